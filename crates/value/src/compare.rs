//! Comparison: by the order of all values, loosely as `=` and `<` do, and strictly as `IN` and `CASE` do.

use std::cmp::Ordering;

use crate::{Arena, Value, number};

/// A string met a number and cannot be read as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANumber;

/// A comparison that SQL spells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`, `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    #[inline]
    fn holds(self, order: Ordering) -> bool {
        // A bit for less, equal and greater.
        let orders = match self {
            Comparison::Equal => 0b010,
            Comparison::NotEqual => 0b101,
            Comparison::Less => 0b001,
            Comparison::LessOrEqual => 0b011,
            Comparison::Greater => 0b100,
            Comparison::GreaterOrEqual => 0b110,
        };
        orders >> (order as i8 + 1) & 1 == 1
    }
}

/// Whether a comparison holds.
///
/// With something undefined on exactly one side none does. A number and a string compare as numbers, and fail if the
/// string is none; a boolean, null or atom and a string compare as text; everything else by [`order`].
#[inline]
pub fn loose(
    comparison: Comparison,
    left: &Value<'_>,
    right: &Value<'_>,
    arena: &Arena,
) -> Result<bool, NotANumber> {
    match numbers(comparison, left, right) {
        Some(holds) => Ok(holds),
        None => loose_any(comparison, left, right, arena),
    }
}

/// The same, if both are numbers of which neither is so large that it takes more than one comparison.
#[inline(always)]
pub fn numbers(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
    number::compare_small(left, right).map(|order| comparison.holds(order))
}

fn loose_any(
    comparison: Comparison,
    left: &Value<'_>,
    right: &Value<'_>,
    arena: &Arena,
) -> Result<bool, NotANumber> {
    use Value::{Atom, Big, Bool, Float, Int, Null, Str, Undefined};
    let order = match (left, right) {
        (Undefined, Undefined) => Ordering::Equal,
        (Undefined, _) | (_, Undefined) => return Ok(false),
        (Int(_) | Big(_) | Float(_), Str(text)) => {
            order(left, &number::parse(text, arena).ok_or(NotANumber)?)
        }
        (Str(text), Int(_) | Big(_) | Float(_)) => {
            order(&number::parse(text, arena).ok_or(NotANumber)?, right)
        }
        (Bool(_) | Null | Atom(_), Str(text)) => word(left).as_bytes().cmp(text),
        (Str(text), Bool(_) | Null | Atom(_)) => text.cmp(&word(right).as_bytes()),
        _ => order(left, right),
    };
    Ok(comparison.holds(order))
}

/// The order of all values: numbers by exact value, then booleans, null and names by their spelling, then maps, then
/// lists, then strings by their bytes. An integer and a float of the same value are equal.
pub fn order(left: &Value<'_>, right: &Value<'_>) -> Ordering {
    walk(left, right, false)
}

/// Whether two values are the same, kinds included: 1 is not 1.0, inside of lists and maps neither.
pub fn strict(left: &Value<'_>, right: &Value<'_>) -> bool {
    walk(left, right, true).is_eq()
}

/// What is still to be compared, the next on top.
enum Task<'v, 'a> {
    Pair(&'v Value<'a>, &'v Value<'a>),
    Decided(Ordering),
}

/// Compares without recursion, as values can be nested deeply. Strictly, values of different kinds are unequal in
/// whatever direction.
fn walk<'v, 'a>(left: &'v Value<'a>, right: &'v Value<'a>, strictly: bool) -> Ordering {
    let mut tasks = Vec::new();
    let mut order = step(left, right, strictly, &mut tasks);
    while order.is_eq() {
        match tasks.pop() {
            Some(Task::Pair(left, right)) => order = step(left, right, strictly, &mut tasks),
            Some(Task::Decided(decided)) => order = decided,
            None => break,
        }
    }
    order
}

fn step<'v, 'a>(
    left: &'v Value<'a>,
    right: &'v Value<'a>,
    strictly: bool,
    tasks: &mut Vec<Task<'v, 'a>>,
) -> Ordering {
    let ranks = rank(left).cmp(&rank(right));
    if ranks.is_ne() {
        return ranks;
    }
    match (left, right) {
        (Value::Str(left), Value::Str(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            tasks.push(Task::Decided(left.len().cmp(&right.len())));
            tasks.extend(left.iter().zip(right.iter()).rev().map(|(left, right)| Task::Pair(left, right)));
            Ordering::Equal
        }
        (Value::Map(left), Value::Map(right)) => {
            let size = left.len().cmp(&right.len());
            if size.is_ne() {
                return size;
            }
            let (left, right) = (sorted(left), sorted(right));
            let keys = left.iter().map(|(key, _)| key).cmp(right.iter().map(|(key, _)| key));
            tasks
                .extend(left.iter().zip(&right).rev().map(|((_, left), (_, right))| Task::Pair(left, right)));
            keys
        }
        _ => match number::compare(left, right) {
            Some(order) if strictly && order.is_eq() && left.kind() != right.kind() => Ordering::Less,
            Some(order) => order,
            None => word(left).cmp(word(right)),
        },
    }
}

fn sorted<'v, 'a>(map: &crate::Map<'a>) -> Vec<(&'a [u8], &'v Value<'a>)>
where
    'a: 'v,
{
    let mut entries: Vec<_> = map.entries().iter().map(|entry| (entry.key, &entry.value)).collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

fn rank(value: &Value<'_>) -> u8 {
    match value {
        Value::Int(_) | Value::Big(_) | Value::Float(_) => 0,
        Value::Undefined | Value::Null | Value::Bool(_) | Value::Atom(_) => 1,
        Value::Map(_) => 2,
        Value::Array(_) => 3,
        Value::Str(_) => 4,
    }
}

/// The spelling of a value that is a name.
fn word<'v>(value: &'v Value<'_>) -> &'v str {
    match value {
        Value::Undefined => "undefined",
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Atom(text) => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::Comparison::{Equal, Greater, GreaterOrEqual, Less, NotEqual};
    use super::*;
    use crate::json;

    fn check(comparison: Comparison, left: &str, right: &str, expected: Result<bool, NotANumber>) {
        let arena = Arena::new();
        let read = |text: &'static [u8]| json::parse(text, &arena).expect("JSON");
        let own = |text: &str| {
            if text == "?" { Value::Undefined } else { read(arena.str(text).to_owned().leak().as_bytes()) }
        };
        let result = loose(comparison, &own(left), &own(right), &arena);
        assert_eq!(result, expected, "{left} {comparison:?} {right}");
    }

    #[test]
    fn compares_loosely_as_the_reference_does() {
        check(Equal, "5", "5.0", Ok(true));
        check(Equal, "5", "\"5\"", Ok(true));
        check(Equal, "5", "\"abc\"", Err(NotANumber));
        check(Equal, "\"1e3\"", "1000", Err(NotANumber));
        check(Equal, "null", "\"null\"", Ok(true));
        check(Equal, "?", "?", Ok(true));
        check(NotEqual, "?", "null", Ok(false));
        check(Less, "?", "\"abc\"", Ok(false));
        check(Greater, "true", "false", Ok(true));
        check(GreaterOrEqual, "null", "5", Ok(true));
        check(Less, "{\"a\":1}", "[]", Ok(true));
        check(Less, "[1,2]", "[1,3]", Ok(true));
        check(Less, "[1]", "[1,0]", Ok(true));
        check(Less, "[]", "\"\"", Ok(true));
        check(Equal, "{\"a\":1,\"b\":2}", "{\"b\":2.0,\"a\":1}", Ok(true));
        check(Equal, "9007199254740993", "9007199254740992.0", Ok(false));
    }

    #[test]
    fn compares_strictly_inside_too() {
        let arena = Arena::new();
        let read = |text: &'static str| json::parse(text.as_bytes(), &arena).expect("JSON");
        assert!(!strict(&read("1"), &read("1.0")));
        assert!(!strict(&read("[1]"), &read("[1.0]")));
        assert!(!strict(&read("{\"a\":[1]}"), &read("{\"a\":[1.0]}")));
        assert!(strict(&read("{\"a\":1,\"b\":[]}"), &read("{\"b\":[],\"a\":1}")));
        assert!(!strict(&Value::Atom("x"), &Value::Str(b"x")));
        assert!(!strict(&Value::Undefined, &Value::Null));
    }

    #[test]
    fn compares_any_depth() {
        let arena = Arena::new();
        let nest = |inner| (0..100_000).fold(inner, |value, _| Value::Array(arena.slice(&[value])));
        assert!(strict(&nest(Value::Null), &nest(Value::Null)));
        assert_eq!(order(&nest(Value::Int(1)), &nest(Value::Int(2))), Ordering::Less);
    }
}
