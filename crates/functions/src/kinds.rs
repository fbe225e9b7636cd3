use value::{Kind, Kinds, Value};

use crate::function::{ANY, ARRAY, BOOL, INT, MAP_LIKE, NUMBER, STR, fails, gives, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Data Type Judgment and Conditional Functions";

/// A check that looks at the kind of its argument only.
macro_rules! check {
    ($name:literal, $summary:literal, $examples:expr, $kinds:expr) => {
        Function {
            name: $name,
            usage: concat!($name, "(any)"),
            signatures: &[sig(&[ANY], BOOL)],
            summary: $summary,
            errors: "",
            source: SOURCE,
            examples: $examples,
            body: |args| {
                const KINDS: Kinds = $kinds;
                Ok(Value::Bool(KINDS.contains(args.value(0).kind())))
            },
        }
    };
}

const UNDEFINED: Kinds = Kinds::of(Kind::Undefined);
const NOTHING: Kinds = UNDEFINED.or(Kind::Null);
const SOMETHING: Kinds = NUMBER.or(Kind::Bool).or(Kind::Atom).or(Kind::Str).or(Kind::Array).or(Kind::Map);

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "coalesce",
        usage: "coalesce(any, any) or coalesce(list)",
        signatures: &[sig(&[ANY, ANY], ANY), sig(&[ARRAY], ANY)],
        summary: "The first value that is not undefined; undefined if there is none.",
        errors: "",
        source: SOURCE,
        examples: &[gives("coalesce(payload.nothing, 5)", "5"), gives("coalesce([null(), 'x'])", "'x'")],
        body: |args| first(args, |value| !value.is_undefined()),
    },
    Function {
        name: "coalesce_ne",
        usage: "coalesce_ne(any, any) or coalesce_ne(list)",
        signatures: &[sig(&[ANY, ANY], ANY), sig(&[ARRAY], ANY)],
        summary: "The first value that is neither undefined nor empty, as a string or a list can be; undefined if there is none.",
        errors: "",
        source: SOURCE,
        examples: &[gives("coalesce_ne('', 'x')", "'x'"), gives("coalesce_ne(0, 1)", "0")],
        body: |args| {
            first(args, |value| !matches!(value, Value::Undefined | Value::Str(b"") | Value::Array([])))
        },
    },
    check!("is_array", "Whether it is a list.", &[gives("is_array([])", "true")], ARRAY),
    check!("is_bool", "Whether it is a boolean.", &[gives("is_bool('true')", "false")], BOOL),
    Function {
        name: "is_empty",
        usage: "is_empty(string | list | map)",
        signatures: &[sig(&[MAP_LIKE.or(Kind::Map)], BOOL)],
        summary: "Whether a list or map has no element; the empty string is empty too, other strings are read as JSON maps.",
        errors: "Fails when the argument is something else, or a string that is not a JSON map.",
        source: SOURCE,
        examples: &[gives("is_empty([])", "true"), gives("is_empty('{}')", "true"), fails("is_empty('x')")],
        body: is_empty,
    },
    check!("is_float", "Whether it is a float.", &[gives("is_float(1.0)", "true")], Kinds::of(Kind::Float)),
    check!("is_int", "Whether it is an integer.", &[gives("is_int(1.0)", "false")], INT),
    check!("is_map", "Whether it is a map.", &[gives("is_map('{}')", "false")], Kinds::of(Kind::Map)),
    check!(
        "is_not_null",
        "Whether it is not undefined; null is something.",
        &[gives("is_not_null(json_decode('null'))", "true")],
        SOMETHING.or(Kind::Null)
    ),
    check!(
        "is_not_null_var",
        "Whether it is neither undefined nor null.",
        &[gives("is_not_null_var(json_decode('null'))", "false")],
        SOMETHING
    ),
    check!(
        "is_null",
        "Whether it is undefined; null is something.",
        &[gives("is_null(payload.nothing)", "true")],
        UNDEFINED
    ),
    check!(
        "is_null_var",
        "Whether it is undefined or null.",
        &[gives("is_null_var(json_decode('null'))", "true")],
        NOTHING
    ),
    check!("is_num", "Whether it is a number.", &[gives("is_num('1')", "false")], NUMBER),
    check!(
        "is_str",
        "Whether it is a string; the name of an event is none.",
        &[gives("is_str('x')", "true"), gives("is_str(event)", "false")],
        STR
    ),
    Function {
        name: "null",
        usage: "null()",
        signatures: &[sig(&[], UNDEFINED)],
        summary: "The undefined value.",
        errors: "",
        source: SOURCE,
        examples: &[gives("is_null(null())", "true")],
        body: |_| Ok(Value::Undefined),
    },
];

fn first(args: Args<'_>, wanted: fn(&Value<'_>) -> bool) -> Result<Value<'_>, CallError> {
    let values = if args.len() == 1 { args.array(0)? } else { args.values() };
    Ok(values.iter().find(|value| wanted(value)).copied().unwrap_or_default())
}

fn is_empty(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let empty = match args.value(0) {
        Value::Str(text) => text.is_empty() || args.map_like(0)?.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => return Err(args.kind(0, MAP_LIKE.or(Kind::Map))),
    };
    Ok(Value::Bool(empty))
}
