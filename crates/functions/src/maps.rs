use bumpalo::collections::Vec;
use value::{Arena, Entry, Map, Value, path, size};

use crate::args::is_word;
use crate::function::{ANY, ARRAY, INT, MAP, MAP_LIKE, STR, fails, gives, optional, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Map Operation Functions";
const NOT_A_MAP: &str = "Fails when the argument is no map, nor the JSON text of one.";

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "map_get",
        usage: "map_get(path, map[, default])",
        signatures: &[optional(2, &[STR.union(ARRAY), ANY, ANY], ANY)],
        summary: "What lies at the end of a dotted path; the default, or undefined, where it leads nowhere.",
        errors: "Fails when the path is not a string.",
        source: SOURCE,
        examples: &[
            gives("map_get('a.b', '{\"a\": {\"b\": 1}}')", "1"),
            gives("map_get('x', map_new(), 7)", "7"),
            fails("map_get(1, map_new())"),
        ],
        body: map_get,
    },
    Function {
        name: "map_keys",
        usage: "map_keys(map)",
        signatures: &[sig(&[MAP_LIKE], ARRAY)],
        summary: "The keys in order.",
        errors: NOT_A_MAP,
        source: SOURCE,
        examples: &[gives("map_keys('{\"b\": 1, \"a\": 2}')", "['a', 'b']")],
        body: |args| Ok(args.list(sorted(args)?.iter().map(|entry| Value::Str(entry.key)))),
    },
    Function {
        name: "map_new",
        usage: "map_new()",
        signatures: &[sig(&[], MAP)],
        summary: "A map without keys.",
        errors: "",
        source: SOURCE,
        examples: &[gives("map_size(map_new())", "0")],
        body: |_| Ok(Value::Map(Map::default())),
    },
    Function {
        name: "map_put",
        usage: "map_put(path, any, map)",
        signatures: &[sig(&[STR, ANY, ANY], MAP)],
        summary: "A copy of the map with a value at the end of a dotted path; what is no map becomes a new one.",
        errors: "Fails when the path is not a string, or too long.",
        source: SOURCE,
        examples: &[gives("map_get('a.b', map_put('a.b', 1, map_new()))", "1")],
        body: map_put,
    },
    Function {
        name: "map_size",
        usage: "map_size(map)",
        signatures: &[sig(&[MAP_LIKE], INT)],
        summary: "The number of keys.",
        errors: NOT_A_MAP,
        source: SOURCE,
        examples: &[gives("map_size('{\"a\": 1}')", "1"), fails("map_size(1)")],
        body: |args| Ok(Value::Int(i64::try_from(args.map_like(0)?.len()).unwrap_or(i64::MAX))),
    },
    Function {
        name: "map_to_entries",
        usage: "map_to_entries(map)",
        signatures: &[sig(&[MAP_LIKE], ARRAY)],
        summary: "A list of `{key, value}` maps, ordered by key.",
        errors: NOT_A_MAP,
        source: SOURCE,
        examples: &[gives("map_get('value', first(map_to_entries('{\"a\": 1}')))", "1")],
        body: map_to_entries,
    },
    Function {
        name: "map_to_redis_hset_args",
        usage: "map_to_redis_hset_args(map)",
        signatures: &[sig(&[ANY], ARRAY)],
        summary: "The keys and scalar values of a map as a flat list of text, the last key first, for an HSET command; nothing for what is no map.",
        errors: "",
        source: SOURCE,
        examples: &[gives("map_to_redis_hset_args('{\"a\": 7}')", "['map_to_redis_hset_args', 'a', '7']")],
        body: map_to_redis_hset_args,
    },
    Function {
        name: "map_values",
        usage: "map_values(map)",
        signatures: &[sig(&[MAP_LIKE], ARRAY)],
        summary: "The values in the order of their keys.",
        errors: NOT_A_MAP,
        source: SOURCE,
        examples: &[gives("map_values('{\"b\": 1, \"a\": 2}')", "[2, 1]")],
        body: |args| Ok(args.list(sorted(args)?.iter().map(|entry| entry.value))),
    },
    Function {
        name: "mget",
        usage: "mget(key, map[, default])",
        signatures: &[optional(2, &[ANY, MAP_LIKE, ANY], ANY)],
        summary: "What the map holds under this one key; the default, or undefined, where there is no such key.",
        errors: "Fails when the second argument is no map, nor the JSON text of one.",
        source: SOURCE,
        examples: &[gives("mget('a.b', '{\"a.b\": 1}')", "1"), fails("mget('a', 5)")],
        body: mget,
    },
    Function {
        name: "mput",
        usage: "mput(key, any, map)",
        signatures: &[sig(&[STR, ANY, MAP_LIKE], MAP)],
        summary: "A copy of the map with a value under this one key.",
        errors: "Fails when the key is not a string, or the last argument is no map, nor the JSON text of one.",
        source: SOURCE,
        examples: &[gives("mget('a.b', mput('a.b', 1, map_new()))", "1")],
        body: mput,
    },
];

fn sorted(args: Args<'_>) -> Result<Vec<'_, Entry<'_>>, CallError> {
    let mut entries = Vec::from_iter_in(args.map_like(0)?.entries().iter().copied(), args.arena().bump());
    entries.sort_unstable_by_key(|entry| entry.key);
    Ok(entries)
}

/// The steps of a dotted path.
pub(crate) fn dotted<'a>(args: Args<'a>, at: usize) -> Result<Vec<'a, path::Step<'a>>, CallError> {
    let keys = args.bytes(at)?.split(|byte| *byte == b'.').map(path::Step::Key);
    let steps = Vec::from_iter_in(keys.take(path::STEPS_MAX + 1), args.arena().bump());
    if steps.len() > path::STEPS_MAX {
        return Err(CallError::Domain { arg: at, reason: "has too many steps" });
    }
    Ok(steps)
}

fn map_get(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let found = match args.value(0) {
        Value::Array(_) => Value::Undefined,
        _ => path::get(args.value(1), &dotted(args, 0)?, args.arena()),
    };
    Ok(if found.is_undefined() { args.value(2) } else { found })
}

fn map_put(args: Args<'_>) -> Result<Value<'_>, CallError> {
    sized(args, path::put(args.value(2), &dotted(args, 0)?, args.value(1), args.arena()))
}

/// A map with a value put into it, unless they are too large together; where the value is plain they cannot be.
fn sized<'a>(args: Args<'a>, map: Value<'a>) -> Result<Value<'a>, CallError> {
    if matches!(args.value(1), Value::Array(_) | Value::Map(_)) {
        let bytes = size::of(&map, Arena::BYTES_MAX).ok_or(CallError::TooLarge)?;
        args.context().effort.spend(bytes as u64 / 8);
    }
    Ok(map)
}

fn map_to_entries(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let mut pairs = Vec::new_in(args.arena().bump());
    for entry in sorted(args)? {
        let pair = [
            Entry { key: b"key", value: Value::Str(entry.key) },
            Entry { key: b"value", value: entry.value },
        ];
        pairs.push(Value::Map(Map::new(args.arena().slice(&pair))));
    }
    Ok(Value::Array(pairs.into_bump_slice()))
}

fn map_to_redis_hset_args(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let mut out = Vec::new_in(args.arena().bump());
    out.push(Value::text("map_to_redis_hset_args"));
    // The last key comes first, as in the reference.
    for entry in sorted(args).unwrap_or_else(|_| Vec::new_in(args.arena().bump())).into_iter().rev() {
        if !matches!(
            entry.value,
            Value::Array(_) | Value::Map(_) | Value::Null | Value::Undefined | Value::Atom(_)
        ) {
            out.push(Value::Str(entry.key));
            out.push(Value::Str(args.converted(entry.value)));
        }
    }
    Ok(Value::Array(out.into_bump_slice()))
}

fn mget(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let map = args.map_like(1)?;
    let found = match args.value(0) {
        Value::Str(key) => map.get(key),
        word if is_word(word.kind()) || matches!(word, Value::Null) => map.get(args.converted(word)),
        _ => None,
    };
    Ok(found.unwrap_or(args.value(2)))
}

fn mput(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let step = path::Step::Key(args.bytes(0)?);
    sized(args, path::put(Value::Map(args.map_like(2)?), &[step], args.value(1), args.arena()))
}
