//! What a trial has reached of a statement: each side of its conditions, each arm of its CASEs, each entry of FROM.
//!
//! Only programs made by [`crate::prepare_watched`] carry watches. Those that run on messages do not, and pay nothing.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use diagnostic::Span;
use event::Event;
use value::{Value, json};

use crate::Program;
use crate::program::{Condition, Node};
use crate::run::Run;

/// A part of a statement that a trial watches.
#[derive(Debug)]
pub struct Watch {
    /// What it is.
    pub part: Part,
    /// Where it stands.
    pub span: Span,
    /// The sides that were reached, as bits.
    reached: AtomicU8,
}

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// An entry of FROM: whether a message came in by it.
    From,
    /// The whole of WHERE.
    Where,
    /// The whole of INCASE.
    Incase,
    /// One operand of AND or OR.
    Operand,
    /// An arm of CASE: whether it was taken.
    Arm,
    /// ELSE of CASE: whether it was taken.
    Else,
}

/// A side of a [`Watch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// It was reached: what has no true and no false.
    Reached,
    /// It was true.
    True,
    /// It was false.
    False,
}

impl Part {
    /// The sides that a thorough trial reaches.
    pub fn sides(self) -> &'static [Side] {
        match self {
            Part::From | Part::Arm | Part::Else => &[Side::Reached],
            Part::Where | Part::Incase | Part::Operand => &[Side::True, Side::False],
        }
    }
}

impl Side {
    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Watch {
    pub(crate) fn new(part: Part, span: Span) -> Self {
        Self { part, span, reached: AtomicU8::new(0) }
    }

    /// Whether a side was reached by any run so far.
    pub fn has_reached(&self, side: Side) -> bool {
        self.reached.load(Relaxed) & side.bit() != 0
    }

    fn reach(&self, side: Side) {
        self.reached.fetch_or(side.bit(), Relaxed);
    }

    /// Notes what the part has come to.
    pub(crate) fn note(&self, value: &Value<'_>) {
        match (self.part.sides(), value) {
            ([Side::Reached], _) => self.reach(Side::Reached),
            (_, Value::Bool(true)) => self.reach(Side::True),
            (_, Value::Bool(false)) => self.reach(Side::False),
            _ => {}
        }
    }
}

impl Program {
    /// What is watched, in the order of the text but for FROM, which comes first; nothing in a program for messages.
    pub fn watches(&self) -> &[Watch] {
        &self.watches
    }

    /// Notes the entries of FROM by which an event comes in.
    pub(crate) fn note_from(&self, event: &Event<'_>) {
        let entries = self.watches.iter().filter(|watch| watch.part == Part::From);
        for (watch, from) in entries.zip(&self.from) {
            if from.matches(event) {
                watch.reach(Side::Reached);
            }
        }
    }
}

/// A part of WHERE that kept a message out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Where it stands.
    pub span: Span,
    /// For a comparison, what stood left and right, as JSON.
    pub values: Option<[String; 2]>,
}

impl Reason {
    /// In words, given the text that the spans are places in: `` `payload.t > 30` is false (3 against 30) ``.
    pub fn describe(&self, text: &str) -> String {
        let part = text.get(self.span.range()).unwrap_or("a part of WHERE");
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        match &self.values {
            Some([left, right]) => format!("`{part}` is false ({left} against {right})"),
            None => format!("`{part}` is false"),
        }
    }

    /// Several in one line; also where none is known.
    pub fn describe_all(reasons: &[Reason], text: &str) -> String {
        let parts: Vec<String> = reasons.iter().map(|reason| reason.describe(text)).collect();
        if parts.is_empty() { "WHERE is not true".to_owned() } else { parts.join(", ") }
    }
}

/// The innermost parts of WHERE that were false after `run` has found it false. The program must be watched and must have
/// been run this once.
pub(crate) fn reasons<'m>(run: &Run<'m>, condition: &'m Condition) -> Vec<Reason> {
    let mut reasons = Vec::new();
    // Conditions nest as deeply as their text, which is bounded; terms of a chain lie side by side.
    collect(run, condition, &mut reasons);
    reasons
}

fn collect<'m>(run: &Run<'m>, condition: &'m Condition, reasons: &mut Vec<Reason>) {
    let node = match &condition.node {
        // True, or never asked, as something before it had decided.
        Node::Watched { at, .. } if !run.watch(*at).has_reached(Side::False) => return,
        Node::Watched { node, .. } => node,
        node => node,
    };
    match node {
        Node::And(terms) | Node::Or(terms) => terms.iter().for_each(|term| collect(run, term, reasons)),
        Node::Compare { left, right, .. } | Node::TopicMatch { topic: left, filter: right } => {
            let values = [left, right].map(|side| run.eval(side).ok().map(|value| shown(&value)));
            let values = match values {
                [Some(left), Some(right)] => Some([left, right]),
                _ => None,
            };
            reasons.push(Reason { span: condition.span, values });
        }
        _ => reasons.push(Reason { span: condition.span, values: None }),
    }
}

/// A value as a terminal shows it, cut where it is long.
fn shown(value: &Value<'_>) -> String {
    const CHARS_MAX: usize = 60;
    if value.is_undefined() {
        return "undefined".to_owned();
    }
    let mut json = Vec::new();
    json::write(value, &mut json);
    let text = String::from_utf8_lossy(&json);
    match text.char_indices().nth(CHARS_MAX) {
        None => text.into_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}
