//! Paths into values: reading and changing what lies inside.

use bumpalo::collections::Vec;

use crate::{Arena, Entry, Map, Value, json};

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// `.name`: what a map holds under this key.
    Key(&'a [u8]),
    /// `[n]`: the element at this place, from 1, or from the end if negative. 0 is before the first: nothing to read,
    /// and where [`put`] prepends.
    Index(i64),
    /// `[-0]`: behind the last element: nothing to read, and where [`put`] appends.
    Tail,
}

/// A path may have at most this many steps; [`put`] does nothing with a longer one.
pub const STEPS_MAX: usize = 128;

/// What lies at the end of the path; `Undefined` where it leads nowhere. A string met on the way is read as JSON at
/// every level, and is a dead end if it is not.
pub fn get<'a>(value: Value<'a>, steps: &[Step<'_>], arena: &'a Arena) -> Value<'a> {
    let mut value = value;
    for step in steps {
        value = get_step(value, *step, arena);
        if value.is_undefined() {
            break;
        }
    }
    value
}

/// One step of [`get`].
pub fn get_step<'a>(value: Value<'a>, step: Step<'_>, arena: &'a Arena) -> Value<'a> {
    match (value, step) {
        (Value::Map(map), Step::Key(key)) => map.get(key).unwrap_or_default(),
        (Value::Array(items), Step::Index(index)) => {
            place(index, items.len()).map_or(Value::Undefined, |at| items[at])
        }
        (Value::Str(text), step) => match json::parse(text, arena) {
            Ok(Value::Str(_)) | Err(_) => Value::Undefined,
            Ok(value) => get_step(value, step, arena),
        },
        _ => Value::Undefined,
    }
}

/// The place of `[index]` in a list of this length, from 0; `None` out of range and for 0.
pub fn place(index: i64, length: usize) -> Option<usize> {
    let at = match index {
        1.. => index - 1,
        0 => return None,
        _ => index + i64::try_from(length).ok()?,
    };
    usize::try_from(at).ok().filter(|at| *at < length)
}

/// A copy of `base` with `value` at the end of the path, as an alias `AS a.b[1]` puts it.
///
/// What is missing or of the wrong kind on the way is made new: a map for a key (in which, where JSON text was, what
/// the path goes through is kept), a list of one for a place. In a list
/// that is there, `[0]` prepends, `[-0]` appends, `[n]` replaces, and a place out of range leaves it as it is.
pub fn put<'a>(base: Value<'a>, steps: &[Step<'a>], value: Value<'a>, arena: &'a Arena) -> Value<'a> {
    if steps.len() > STEPS_MAX {
        return base;
    }
    let Some((step, rest)) = steps.split_first() else { return value };
    match (*step, base) {
        (Step::Key(key), Value::Map(map)) => put_key(map, key, rest, value, arena),
        (Step::Key(key), base) => {
            // Of JSON text only what the path itself goes through is taken over.
            let inner = if rest.is_empty() { Value::Undefined } else { get_step(base, *step, arena) };
            let inner = put(inner, rest, value, arena);
            Value::Map(Map::new(arena.slice(&[Entry { key, value: inner }])))
        }
        (Step::Index(0), Value::Array(items)) => {
            let first = put(Value::Undefined, rest, value, arena);
            array(std::iter::once(first).chain(items.iter().copied()), items.len() + 1, arena)
        }
        (Step::Tail, Value::Array(items)) => {
            let last = put(Value::Undefined, rest, value, arena);
            array(items.iter().copied().chain(std::iter::once(last)), items.len() + 1, arena)
        }
        (Step::Index(index), Value::Array(items)) => match place(index, items.len()) {
            Some(at) => {
                let changed = put(items[at], rest, value, arena);
                let items = arena.bump().alloc_slice_copy(items);
                items[at] = changed;
                Value::Array(items)
            }
            None => base,
        },
        (Step::Index(_) | Step::Tail, _) => {
            Value::Array(arena.slice(&[put(Value::Undefined, rest, value, arena)]))
        }
    }
}

fn put_key<'a>(
    map: Map<'a>,
    key: &'a [u8],
    rest: &[Step<'a>],
    value: Value<'a>,
    arena: &'a Arena,
) -> Value<'a> {
    let entries = map.entries();
    match entries.iter().position(|entry| entry.key == key) {
        Some(at) => {
            let changed = put(entries[at].value, rest, value, arena);
            let entries = arena.bump().alloc_slice_copy(entries);
            entries[at].value = changed;
            Value::Map(Map::new(entries))
        }
        None => {
            let mut grown = Vec::with_capacity_in(entries.len() + 1, arena.bump());
            grown.extend_from_slice_copy(entries);
            grown.push(Entry { key, value: put(Value::Undefined, rest, value, arena) });
            Value::Map(Map::new(grown.into_bump_slice()))
        }
    }
}

fn array<'a>(items: impl Iterator<Item = Value<'a>>, length: usize, arena: &'a Arena) -> Value<'a> {
    let mut list = Vec::with_capacity_in(length, arena.bump());
    list.extend(items);
    Value::Array(list.into_bump_slice())
}

#[cfg(test)]
mod tests {
    use super::Step::{Index, Key, Tail};
    use super::*;

    fn check_put(base: &str, steps: &[Step<'static>], expected: &str) {
        let arena = Arena::new();
        let base = json::parse(base.as_bytes(), &arena).expect("JSON");
        let mut out = std::vec::Vec::new();
        json::write(&put(base, steps, Value::Int(9), &arena), &mut out);
        assert_eq!(String::from_utf8(out).as_deref(), Ok(expected));
    }

    #[test]
    fn puts_as_aliases_do() {
        check_put("{}", &[Key(b"a"), Key(b"b")], r#"{"a":{"b":9}}"#);
        check_put(r#"{"a":{"x":1}}"#, &[Key(b"a"), Key(b"b")], r#"{"a":{"x":1,"b":9}}"#);
        check_put(r#"{"a":5}"#, &[Key(b"a"), Key(b"b")], r#"{"a":{"b":9}}"#);
        check_put("[1,2]", &[Index(0)], "[9,1,2]");
        check_put("[1,2]", &[Tail], "[1,2,9]");
        check_put("[1,2]", &[Index(-1)], "[1,9]");
        check_put("[1,2]", &[Index(3)], "[1,2]");
        check_put("null", &[Index(3)], "[9]");
        check_put("[[1,2],[3]]", &[Index(1), Index(1), Key(b"x")], r#"[[{"x":9},2],[3]]"#);
        check_put("[]", &[Tail, Key(b"v")], r#"[{"v":9}]"#);
        check_put(r#""{\"t\":1,\"l\":[1]}""#, &[Key(b"l"), Tail], r#"{"l":[1,9]}"#);
    }

    #[test]
    fn reads_through_strings() {
        let arena = Arena::new();
        let text = br#"{"inner":"{\"list\": [\"{}\", \"{\\\"v\\\": 8}\"]}","raw":"no"}"#;
        let steps = [Key(b"inner"), Key(b"list"), Index(-1), Key(b"v")];
        assert!(matches!(get(Value::Str(text), &steps, &arena), Value::Int(8)));
        assert!(get(Value::Str(text), &[Key(b"raw"), Key(b"x")], &arena).is_undefined());
        assert!(get(Value::Str(b"[1]"), &[Index(0)], &arena).is_undefined());
        assert!(get(Value::Str(b"[1]"), &[Tail], &arena).is_undefined());
    }
}
