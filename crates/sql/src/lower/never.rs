//! Conditions that let nothing through.

use std::cmp::Ordering;
use std::collections::HashMap;

use diagnostic::{Code, Diagnostic, Span};
use value::{Arena, Value, compare, number};

use super::{Lower, outcome};
use crate::ir::{CompareOp, Expr, ExprKind, Literal};

impl Lower<'_> {
    /// Warns of WHERE or INCASE that is never true. Comparisons that are never true by themselves have been reported.
    pub(super) fn check_never(&mut self, condition: &Expr) {
        let alone = std::slice::from_ref(condition);
        let terms = if let ExprKind::And(terms) = &condition.kind { terms } else { alone };
        if let Some(term) = terms.iter().find(|term| term.kind == ExprKind::Literal(Literal::Bool(false))) {
            let problem =
                Diagnostic::new(Code::NeverMatches, term.span, "nothing gets through this condition");
            self.report(problem.label("always false"));
        }
    }

    /// Warns of terms of an AND that exclude each other.
    pub(super) fn check_contradiction(&mut self, terms: &[Expr]) {
        let Some((first, second)) = contradiction(terms) else { return };
        let problem = Diagnostic::new(Code::NeverMatches, second, "these conditions never hold together")
            .label("excludes it")
            .related(first, "this")
            .help("write OR if either will do");
        self.report(problem);
    }
}

/// What the terms met so far say of one name.
struct Allowed<'a> {
    least: Option<(Bound<'a>, Span)>,
    most: Option<(Bound<'a>, Span)>,
}

#[derive(Clone, Copy)]
struct Bound<'a> {
    value: Value<'a>,
    /// Whether the value itself is still allowed.
    included: bool,
}

/// Two comparisons of one name with constants that exclude each other, as `x = 1 AND x = 2`.
fn contradiction(terms: &[Expr]) -> Option<(Span, Span)> {
    let arena = Arena::new();
    let mut names: HashMap<String, Allowed<'_>> = HashMap::new();
    for term in terms {
        let Some((name, op, value)) = simple(term, &arena) else { continue };
        let allowed = names.entry(name).or_insert(Allowed { least: None, most: None });
        let bound = |included| Some((Bound { value, included }, term.span));
        let (least, most) = match op {
            CompareOp::Equal => (bound(true), bound(true)),
            CompareOp::Less => (None, bound(false)),
            CompareOp::LessEqual => (None, bound(true)),
            CompareOp::Greater => (bound(false), None),
            CompareOp::GreaterEqual => (bound(true), None),
            CompareOp::NotEqual | CompareOp::TopicMatch => continue,
        };
        for (low, high) in [(least, allowed.most), (allowed.least, most)] {
            if let (Some((low, first)), Some((high, second))) = (low, high)
                && excluded(&low, &high)
            {
                let earlier = if first == term.span { second } else { first };
                return Some((earlier, term.span));
            }
        }
        allowed.least = least.or(allowed.least);
        allowed.most = most.or(allowed.most);
    }
    None
}

/// `name op constant`, or the other way round. Text that spells a number is left out: `'1' = 1` and `'1.0' = 1` hold both.
fn simple<'a>(term: &Expr, arena: &'a Arena) -> Option<(String, CompareOp, Value<'a>)> {
    let ExprKind::Compare { op, left, right } = &term.kind else { return None };
    let (name, op, value) = match (&left.kind, &right.kind) {
        (ExprKind::Reference(name), _) => (name, *op, outcome::constant(right, arena)?),
        (_, ExprKind::Reference(name)) => (name, turned(*op), outcome::constant(left, arena)?),
        _ => return None,
    };
    match value {
        Value::Str(text) if number::parse(text, arena).is_some() => None,
        value => Some((name.to_string(), op, value)),
    }
}

fn turned(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Less => CompareOp::Greater,
        CompareOp::LessEqual => CompareOp::GreaterEqual,
        CompareOp::Greater => CompareOp::Less,
        CompareOp::GreaterEqual => CompareOp::LessEqual,
        CompareOp::Equal | CompareOp::NotEqual | CompareOp::TopicMatch => op,
    }
}

/// Whether nothing lies between two bounds. Those of different kinds say nothing: values are converted.
fn excluded(low: &Bound<'_>, high: &Bound<'_>) -> bool {
    let numbers = number::compare(&low.value, &high.value).is_some();
    let texts = matches!((low.value, high.value), (Value::Str(_), Value::Str(_)));
    if !numbers && !texts {
        return false;
    }
    match compare::order(&low.value, &high.value) {
        Ordering::Greater => true,
        Ordering::Equal => !(low.included && high.included),
        Ordering::Less => false,
    }
}
