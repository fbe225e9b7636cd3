//! The values that jq programs work with: JSON, paid for at the meter.

use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use value::json::{self, JsonError};
use value::{Arena, Entry, Map, Value, number};

use super::heap::{Entries, Heap};
use super::meter::{self, Bound};

/// A value of a jq program.
///
/// A number is an integer where it is whole, as jq knows one kind of numbers only; a float that comes in with a point
/// keeps it as long as nothing is computed with it. An integer beyond 64 bits passes through unchanged, and computes as
/// a float.
#[derive(Clone, Debug, Default)]
pub(super) enum Val {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    /// The digits of an integer beyond 64 bits, with their sign.
    Big(Rc<str>),
    Float(f64),
    Str(Rc<Heap<String>>),
    Arr(Rc<Heap<Vec<Val>>>),
    Obj(Rc<Heap<Entries>>),
}

/// What passes for the size of a plain value (bytes).
const PLAIN_BYTES: usize = 16;
/// How much of a value error messages show (characters).
const SHOWN_MAX: usize = 60;

impl Val {
    pub(super) fn string(text: impl Into<String>) -> Self {
        Val::Str(Heap::new(text.into()))
    }

    pub(super) fn array(items: Vec<Val>) -> Self {
        Val::Arr(Heap::new(items))
    }

    pub(super) fn object(entries: Entries) -> Self {
        Val::Obj(Heap::new(entries))
    }

    /// A computed number: whole ones are integers, as far as jq prints them so.
    pub(super) fn number(float: f64) -> Self {
        const LIMIT: f64 = 1e17;
        if float.fract() != 0.0 || !float.is_finite() {
            return Val::Float(float);
        }
        if float.abs() < LIMIT {
            return Val::Int(float as i64);
        }
        // Digits and zeros as long as the zeros are fewer than sixteen, an exponent otherwise.
        let text = format!("{float:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: usize = exponent.parse().unwrap_or(0);
        let sign = if float < 0.0 { "-" } else { "" };
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        if exponent + 1 > digits.len() + 15 {
            return Val::Float(float);
        }
        let zeros = "0".repeat((exponent + 1).saturating_sub(digits.len()));
        let text = format!("{sign}{digits}{zeros}");
        text.parse().map_or_else(|_| Val::Big(text.into()), Val::Int)
    }

    /// A number as a float; `None` for anything else.
    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Val::Int(int) => Some(*int as f64),
            Val::Float(float) => Some(*float),
            Val::Big(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// How much it is, if nothing in it were shared (bytes).
    pub(super) fn size(&self) -> usize {
        match self {
            Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) => PLAIN_BYTES,
            Val::Big(digits) => PLAIN_BYTES + digits.len(),
            Val::Str(text) => text.size(),
            Val::Arr(items) => items.size(),
            Val::Obj(entries) => entries.size(),
        }
    }

    /// How deeply it is nested.
    pub(super) fn depth(&self) -> u16 {
        match self {
            Val::Arr(items) => items.depth(),
            Val::Obj(entries) => entries.depth(),
            _ => 0,
        }
    }

    /// The name of its type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "boolean",
            Val::Int(_) | Val::Big(_) | Val::Float(_) => "number",
            Val::Str(_) => "string",
            Val::Arr(_) => "array",
            Val::Obj(_) => "object",
        }
    }

    /// The value that JSON text holds.
    pub(super) fn parse(text: &[u8]) -> Result<Val, JsonError> {
        // What reading takes beside the text is gone again at the end.
        meter::room_for(text.len().saturating_mul(4));
        meter::work(text.len() / 16);
        let arena = Arena::new();
        Ok(Val::from_value(&json::parse(text, &arena)?))
    }

    /// A value of the dialect. What is undefined becomes the word, as everywhere that it becomes JSON.
    pub(super) fn from_value(value: &Value<'_>) -> Val {
        convert(value, 0)
    }

    /// The value in the dialect: there is no infinity, and what is not a number becomes null.
    pub(super) fn to_value<'a>(&self, arena: &'a Arena) -> Value<'a> {
        meter::work(1);
        match self {
            Val::Null => Value::Null,
            Val::Bool(value) => Value::Bool(*value),
            Val::Int(int) => Value::Int(*int),
            Val::Big(digits) => number::parse_int(digits.as_bytes(), arena).unwrap_or(Value::Null),
            Val::Float(float) if float.is_nan() => Value::Null,
            Val::Float(float) => Value::Float(float.clamp(f64::MIN, f64::MAX)),
            Val::Str(text) => Value::text(arena.str(text.get())),
            Val::Arr(items) => {
                let items = items.get().iter().map(|item| item.to_value(arena));
                Value::Array(bumpalo::collections::Vec::from_iter_in(items, arena.bump()).into_bump_slice())
            }
            Val::Obj(entries) => {
                let entries = entries
                    .get()
                    .iter()
                    .map(|(key, item)| Entry { key: arena.str(key).as_bytes(), value: item.to_value(arena) });
                let entries = bumpalo::collections::Vec::from_iter_in(entries, arena.bump());
                Value::Map(Map::new(entries.into_bump_slice()))
            }
        }
    }

    /// The value as JSON.
    pub(super) fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    fn write(&self, out: &mut Vec<u8>) {
        meter::work(1);
        let mut plain = |value: Value<'_>| json::write(&value, out);
        match self {
            Val::Null => plain(Value::Null),
            Val::Bool(value) => plain(Value::Bool(*value)),
            Val::Int(int) => plain(Value::Int(*int)),
            Val::Big(digits) => out.extend_from_slice(digits.as_bytes()),
            Val::Float(float) if float.is_nan() => plain(Value::Null),
            Val::Float(float) => plain(Value::Float(float.clamp(f64::MIN, f64::MAX))),
            Val::Str(text) => json::write_string(text.get().as_bytes(), out),
            Val::Arr(items) => {
                out.push(b'[');
                for (at, item) in items.get().iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Val::Obj(entries) => {
                out.push(b'{');
                for (at, (key, item)) in entries.get().iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    json::write_string(key.as_bytes(), out);
                    out.push(b':');
                    item.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The place of its type in the order of all values.
    fn rank(&self) -> u8 {
        match self {
            Val::Null => 0,
            Val::Bool(false) => 1,
            Val::Bool(true) => 2,
            Val::Int(_) | Val::Big(_) | Val::Float(_) => 3,
            Val::Str(_) => 4,
            Val::Arr(_) => 5,
            Val::Obj(_) => 6,
        }
    }
}

fn convert(value: &Value<'_>, depth: u16) -> Val {
    if depth > meter::DEPTH_MAX {
        meter::stop(Bound::Depth);
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match value {
        Value::Undefined => Val::string("undefined"),
        Value::Null => Val::Null,
        Value::Bool(value) => Val::Bool(*value),
        Value::Int(int) => Val::Int(*int),
        Value::Big(_) => {
            let mut digits = Vec::new();
            number::write_int(value, &mut digits);
            Val::Big(text(&digits).into())
        }
        Value::Float(float) => Val::Float(*float),
        Value::Atom(word) => Val::string(*word),
        Value::Str(bytes) => Val::string(text(bytes)),
        Value::Array(items) => Val::array(items.iter().map(|item| convert(item, depth + 1)).collect()),
        Value::Map(map) => {
            let entries = map.entries().iter();
            Val::object(
                entries.map(|entry| (text(entry.key).into(), convert(&entry.value, depth + 1))).collect(),
            )
        }
    }
}

impl fmt::Display for Val {
    /// The value in an error message: the beginning of its JSON.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_json();
        match text.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => write!(out, "{}…", &text[..end]),
            None => out.write_str(&text),
        }
    }
}

impl PartialEq for Val {
    fn eq(&self, other: &Self) -> bool {
        if self.float().is_some_and(f64::is_nan) {
            return false;
        }
        self.cmp(other).is_eq()
    }
}

impl Eq for Val {}

impl PartialOrd for Val {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Val {
    /// null, false, true, numbers, strings, arrays, objects; what is not a number before all numbers.
    fn cmp(&self, other: &Self) -> Ordering {
        meter::work(1);
        match (self, other) {
            (Val::Int(left), Val::Int(right)) => left.cmp(right),
            (Val::Str(left), Val::Str(right)) => {
                meter::work(left.get().len().min(right.get().len()) / 64);
                left.get().cmp(right.get())
            }
            (Val::Arr(left), Val::Arr(right)) => left.get().cmp(right.get()),
            (Val::Obj(left), Val::Obj(right)) => {
                let sorted = |entries: &Entries| {
                    let mut sorted: Vec<_> =
                        entries.iter().map(|(key, item)| (Rc::clone(key), item.clone())).collect();
                    meter::work(sorted.len());
                    sorted.sort_unstable_by(|left, right| left.0.cmp(&right.0));
                    sorted
                };
                let (left, right) = (sorted(left.get()), sorted(right.get()));
                let keys = left.iter().map(|(key, _)| key).cmp(right.iter().map(|(key, _)| key));
                keys.then_with(|| left.iter().map(|(_, item)| item).cmp(right.iter().map(|(_, item)| item)))
            }
            _ => match (self.float(), other.float()) {
                (Some(left), Some(right)) => {
                    let nan = |float: f64| float.is_nan();
                    left.partial_cmp(&right).unwrap_or_else(|| nan(right).cmp(&nan(left)))
                }
                _ => self.rank().cmp(&other.rank()),
            },
        }
    }
}
