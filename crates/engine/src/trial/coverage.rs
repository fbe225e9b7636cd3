//! What the cases of a rule have reached of it, and what they have not.

use std::sync::Arc;

use diagnostic::{Source, Span};
use eval::{Part, Program, Side};

use crate::assemble::Slot;
use crate::unit::RuleItem;

/// What was reached of one rule.
#[derive(Debug, Clone)]
pub struct Coverage {
    /// The id of the rule.
    pub rule: Arc<str>,
    /// The file of the rule.
    pub source: Arc<Source>,
    /// The number of sides that some case has reached.
    pub reached: usize,
    /// The number of sides there are: of FROM, WHERE, INCASE, the operands of AND and OR, and the arms of CASE.
    pub sides: usize,
    /// Those that no case has reached, in the order of the text.
    pub missed: Vec<Missed>,
}

/// A side that no case has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// What it belongs to.
    pub part: Part,
    /// The side.
    pub side: Side,
    /// Where the part stands in the rule's file.
    pub span: Span,
}

impl Coverage {
    pub(super) fn of(rule: &Arc<str>, source: &Arc<Source>, program: &Program) -> Self {
        let watches = program.watches();
        let sides =
            || watches.iter().flat_map(|watch| watch.part.sides().iter().map(move |side| (watch, *side)));
        let mut missed: Vec<Missed> = sides()
            .filter(|(watch, side)| !watch.has_reached(*side))
            .map(|(watch, side)| Missed { part: watch.part, side, span: watch.span })
            .collect();
        missed.sort_by_key(|missed| missed.span.start);
        let sides = sides().count();
        Self {
            rule: Arc::clone(rule),
            source: Arc::clone(source),
            reached: sides - missed.len(),
            sides,
            missed,
        }
    }

    /// Of a rule without cases: nothing. `None` where it has errors.
    pub(super) fn untried(slot: &Slot, rule: &RuleItem) -> Option<Self> {
        let (program, _) = eval::prepare_watched(slot.newest.sql(rule), rule.id_span.start, &rule.id);
        Some(Self::of(&rule.id, &slot.newest.source, &program?))
    }

    /// Whether no case has reached anything.
    pub fn is_untried(&self) -> bool {
        self.reached == 0
    }
}

impl Missed {
    /// What no case has done, such as `WHERE was never false`.
    pub fn reason(&self) -> &'static str {
        match (self.part, self.side) {
            (Part::From, _) => "no case comes in by this",
            (Part::Where, Side::True) => "WHERE was never true",
            (Part::Where, _) => "WHERE was never false",
            (Part::Incase, Side::True) => "INCASE was never true",
            (Part::Incase, _) => "INCASE was never false",
            (Part::Operand, Side::True) => "this was never true",
            (Part::Operand, _) => "this was never false",
            (Part::Arm, _) => "this arm was never taken",
            (Part::Else, _) => "ELSE was never taken",
        }
    }
}
