//! What a comparison comes to whatever the message, as far as constants and kinds tell.

use std::cmp::Ordering;

use value::compare::{self, Comparison};
use value::{Arena, Kind, Kinds, Value, number};

use crate::ir::{CompareOp, Expr, ExprKind, Literal, UnaryOp};

/// What something gives for every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Always {
    True,
    False,
    /// It fails.
    Fails,
}

/// The value of an expression that is a constant, signs included.
pub(super) fn constant<'a>(expr: &Expr, arena: &'a Arena) -> Option<Value<'a>> {
    Some(match &expr.kind {
        ExprKind::Literal(Literal::Bool(value)) => Value::Bool(*value),
        ExprKind::Literal(Literal::Int(int)) => Value::Int(*int),
        ExprKind::Literal(Literal::BigInt(digits)) => number::parse_int(digits.as_bytes(), arena)?,
        ExprKind::Literal(Literal::Float(float)) => Value::Float(*float),
        ExprKind::Literal(Literal::Str(text)) => Value::Str(arena.slice(text.as_bytes())),
        ExprKind::Unary { op, operand } => {
            let value =
                constant(operand, arena).filter(|value| Kinds::of(value.kind()).meets(Kinds::NUMBER))?;
            match op {
                UnaryOp::Minus => number::neg(&value, arena).ok()?,
                UnaryOp::Plus => value,
            }
        }
        _ => return None,
    })
}

/// What `left op right` gives for every message, if that is known.
pub(super) fn of_comparison(op: CompareOp, left: &Expr, right: &Expr) -> Option<Always> {
    let arena = Arena::new();
    let values = (constant(left, &arena), constant(right, &arena));
    let Some(comparison) = comparison(op) else {
        return of_topic_match(left, right, &values);
    };
    match values {
        (Some(left), Some(right)) => {
            return Some(match compare::loose(comparison, &left, &right, &arena) {
                Ok(true) => Always::True,
                Ok(false) => Always::False,
                Err(compare::NotANumber) => Always::Fails,
            });
        }
        (Some(Value::Str(text)), None) if is_number(right) && number::parse(text, &arena).is_none() => {
            return Some(Always::Fails);
        }
        (None, Some(Value::Str(text))) if is_number(left) && number::parse(text, &arena).is_none() => {
            return Some(Always::Fails);
        }
        _ => {}
    }
    if let Some(always) = of_few(comparison, left, right, &values) {
        return Some(always);
    }
    let mut pairs = kinds_of(left.kinds)
        .flat_map(|left| kinds_of(right.kinds).map(move |right| of_kinds(comparison, left, right)));
    let first = pairs.next()??;
    pairs.all(|other| other == Some(first)).then_some(if first { Always::True } else { Always::False })
}

/// A column of few values against a constant: `qos = 9`, `qos > 2`.
fn of_few(
    comparison: Comparison,
    left: &Expr,
    right: &Expr,
    values: &(Option<Value<'_>>, Option<Value<'_>>),
) -> Option<Always> {
    let arena = Arena::new();
    let (few, column) = match (few_values(left), few_values(right)) {
        (Some(few), None) => (few, left),
        (None, Some(few)) => (few, right),
        _ => return None,
    };
    let outcome = |value: &i64| match (values, Value::Int(*value)) {
        ((None, Some(constant)), value) => compare::loose(comparison, &value, constant, &arena).ok(),
        ((Some(constant), None), value) => compare::loose(comparison, constant, &value, &arena).ok(),
        _ => None,
    };
    let first = outcome(few.first()?)?;
    // Where the column may be missing, a comparison with a constant is false.
    let holds = !first || !column.kinds.contains(Kind::Undefined);
    let same = few.iter().all(|value| outcome(value) == Some(first));
    (holds && same).then_some(if first { Always::True } else { Always::False })
}

/// Every value that a column has, where they are few: a protocol level, a QoS.
pub(super) fn few_values(expr: &Expr) -> Option<&'static [i64]> {
    let ExprKind::Reference(name) = &expr.kind else { return None };
    if name.alias.is_some() || !name.steps.is_empty() || expr.kinds == Kinds::of(Kind::Undefined) {
        return None;
    }
    match &*name.name {
        "qos" => Some(&[0, 1, 2]),
        "proto_ver" => Some(&[3, 4, 5]),
        _ => None,
    }
}

/// `=~` matches a string against a string, and a topic against nothing that is no filter.
fn of_topic_match(
    left: &Expr,
    right: &Expr,
    values: &(Option<Value<'_>>, Option<Value<'_>>),
) -> Option<Always> {
    let text = Kind::Str;
    if !left.kinds.contains(text) || !right.kinds.contains(text) {
        return Some(Always::False);
    }
    match values {
        (Some(Value::Str(topic)), Some(Value::Str(filter))) => {
            let (topic, filter) = (std::str::from_utf8(topic).ok()?, std::str::from_utf8(filter).ok()?);
            Some(if topic::matches(filter, topic) { Always::True } else { Always::False })
        }
        (None, Some(Value::Str(filter))) => {
            let ExprKind::Reference(name) = &left.kind else { return None };
            let is_topic = &*name.name == "topic" && name.alias.is_none() && name.steps.is_empty();
            let filter = std::str::from_utf8(filter).ok()?;
            (is_topic && topic::TopicFilter::parse(filter).is_err()).then_some(Always::False)
        }
        _ => None,
    }
}

/// Whether two values can never be the same, as `IN` and `CASE` compare them.
pub(super) fn never_same(left: &Expr, right: &Expr) -> bool {
    let arena = Arena::new();
    match (constant(left, &arena), constant(right, &arena)) {
        (Some(left), Some(right)) => !compare::strict(&left, &right),
        (None, Some(constant)) | (Some(constant), None)
            if let Some(few) = few_values(left).or_else(|| few_values(right)) =>
        {
            !few.iter().any(|value| compare::strict(&Value::Int(*value), &constant))
        }
        _ => !left.kinds.meets(right.kinds) && left.kinds != Kinds::NONE && right.kinds != Kinds::NONE,
    }
}

fn comparison(op: CompareOp) -> Option<Comparison> {
    Some(match op {
        CompareOp::Equal => Comparison::Equal,
        CompareOp::NotEqual => Comparison::NotEqual,
        CompareOp::Less => Comparison::Less,
        CompareOp::LessEqual => Comparison::LessOrEqual,
        CompareOp::Greater => Comparison::Greater,
        CompareOp::GreaterEqual => Comparison::GreaterOrEqual,
        CompareOp::TopicMatch => return None,
    })
}

/// Whether what is compared is a number, or else not there.
fn is_number(expr: &Expr) -> bool {
    let mut kinds = kinds_of(expr.kinds).filter(|kind| *kind != Kind::Undefined).peekable();
    kinds.peek().is_some() && kinds.all(|kind| Kinds::of(kind).meets(Kinds::NUMBER))
}

fn kinds_of(kinds: Kinds) -> impl Iterator<Item = Kind> + Clone {
    Kind::ALL.iter().copied().filter(move |kind| kinds.contains(*kind))
}

/// What comparing any value of one kind with any of another gives, if that is always the same.
fn of_kinds(comparison: Comparison, left: Kind, right: Kind) -> Option<bool> {
    if left == Kind::Undefined || right == Kind::Undefined {
        let equal = left == right;
        let wants_equal =
            matches!(comparison, Comparison::Equal | Comparison::LessOrEqual | Comparison::GreaterOrEqual);
        return Some(equal && wants_equal);
    }
    let (left, right) = (rank(left), rank(right));
    let converted = |rank| matches!(rank, Rank::Number | Rank::Word);
    if left == right || left == Rank::Text && converted(right) || right == Rank::Text && converted(left) {
        return None;
    }
    let order = left.cmp(&right);
    Some(match comparison {
        Comparison::Equal => false,
        Comparison::NotEqual => true,
        Comparison::Less | Comparison::LessOrEqual => order == Ordering::Less,
        Comparison::Greater | Comparison::GreaterOrEqual => order == Ordering::Greater,
    })
}

/// The order of kinds: see [`compare::order`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number,
    Word,
    Map,
    Array,
    Text,
}

fn rank(kind: Kind) -> Rank {
    match kind {
        Kind::Int | Kind::Float => Rank::Number,
        Kind::Undefined | Kind::Null | Kind::Bool | Kind::Atom => Rank::Word,
        Kind::Map => Rank::Map,
        Kind::Array => Rank::Array,
        Kind::Str => Rank::Text,
    }
}
