use value::{Kind, Value, number, text};

use crate::function::{ANY, ARRAY, BOOL, FLOAT, INT, MAP, MAP_LIKE, NUMBER, STR, fails, gives, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Data Type Conversion Functions";
const NO_NUMBER: CallError = CallError::Domain { arg: 0, reason: "is not the text of a number" };

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "bool",
        usage: "bool(any)",
        signatures: &[sig(&[BOOL.union(NUMBER).union(STR)], BOOL)],
        summary: "The boolean that a boolean, the text `true` or `false`, or the number 1 or 0 stands for.",
        errors: "Fails for anything else.",
        source: SOURCE,
        examples: &[gives("bool('true')", "true"), gives("bool(0)", "false"), fails("bool(2)")],
        body: bool_of,
    },
    Function {
        name: "concat",
        usage: "concat(any, any) or concat(list)",
        signatures: &[sig(&[ANY, ANY], STR), sig(&[ARRAY], STR)],
        summary: "The values as text, one behind the other.",
        errors: "Fails when the only argument is not a list.",
        source: SOURCE,
        examples: &[gives("concat('a', 1)", "'a1'"), gives("concat(['a', 'b', 1])", "'ab1'")],
        body: concat_all,
    },
    Function {
        name: "float",
        usage: "float(number | string[, decimals])",
        signatures: &[
            sig(&[NUMBER.union(STR).union(ARRAY)], FLOAT),
            sig(&[NUMBER.union(STR).union(ARRAY), INT], FLOAT),
        ],
        summary: "The number, or the number that the text spells, as a float, rounded to so many decimals.",
        errors: "Fails when the text spells no number, or the decimals are not between 1 and 253.",
        source: SOURCE,
        examples: &[
            gives("float('1.5e3')", "1500.0"),
            gives("float(3.14159, 2)", "3.14"),
            fails("float('x')"),
        ],
        body: float_of,
    },
    Function {
        name: "float2str",
        usage: "float2str(float, decimals)",
        signatures: &[sig(&[FLOAT, INT], STR)],
        summary: "The float as text with at most so many decimals.",
        errors: "Fails when the first argument is not a float, or the decimals are not between 0 and 253.",
        source: SOURCE,
        examples: &[gives("float2str(3.14159, 2)", "'3.14'"), gives("float2str(2.0, 3)", "'2.0'")],
        body: float2str,
    },
    Function {
        name: "int",
        usage: "int(any)",
        signatures: &[sig(&[BOOL.union(NUMBER).union(STR).union(ARRAY)], INT)],
        summary: "The integer below a number or the number that a text spells; 1 and 0 for booleans.",
        errors: "Fails when the text spells no number, and for anything else.",
        source: SOURCE,
        examples: &[gives("int(-12.25)", "-13"), gives("int('4.2')", "4"), fails("int('12 volts')")],
        body: int_of,
    },
    Function {
        name: "map",
        usage: "map(map | string)",
        signatures: &[sig(&[MAP_LIKE], MAP)],
        summary: "The map, or the map that a JSON text holds; the empty list is the empty map.",
        errors: "Fails for anything else.",
        source: SOURCE,
        examples: &[gives("map('{\"a\": 1}')", "map_put('a', 1, map_new())"), fails("map('5')")],
        body: |args| Ok(Value::Map(args.map_like(0)?)),
    },
    Function {
        name: "str",
        usage: "str(any)",
        signatures: &[sig(&[ANY], STR)],
        summary: "The value as text: floats with at most 10 decimals, maps and lists as JSON, but a list of printable characters as the text they make.",
        errors: "",
        source: SOURCE,
        examples: &[
            gives("str(3.0)", "'3.0'"),
            gives("str([1, 2])", "'[1,2]'"),
            gives("str([72, 105])", "'Hi'"),
        ],
        body: |args| Ok(Value::Str(args.converted(args.value(0)))),
    },
    Function {
        name: "str_utf16_le",
        usage: "str_utf16_le(any)",
        signatures: &[sig(&[ANY], STR)],
        summary: "The value as text, in UTF-16 with the low byte first.",
        errors: "Fails when the text is not UTF-8.",
        source: SOURCE,
        examples: &[gives("str_utf16_le('A')", "concat('A', unescape('\\x0'))")],
        body: str_utf16_le,
    },
    Function {
        name: "str_utf8",
        usage: "str_utf8(any)",
        signatures: &[sig(&[ANY], STR)],
        summary: "The value as text, in UTF-8.",
        errors: "",
        source: SOURCE,
        examples: &[gives("str_utf8(12.75)", "'12.75'")],
        body: |args| Ok(Value::Str(args.converted(args.value(0)))),
    },
];

/// Appends a value as text, as `str` and `+` convert it: as templates print it, but lists of printable characters as
/// the text they make (so the empty list as nothing).
pub(crate) fn write(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) if items.iter().all(|item| printable(item).is_some()) => {
            for character in items.iter().filter_map(printable) {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        value => text::write(value, out),
    }
}

/// The character of Latin-1 that an integer stands for, if it can be printed.
fn printable(value: &Value<'_>) -> Option<char> {
    match value {
        Value::Int(code @ (8..=13 | 27 | 32..=126 | 160..=255)) => u8::try_from(*code).ok().map(char::from),
        _ => None,
    }
}

/// Both values as text, one behind the other: what `+` does where either side is a string.
pub fn concat<'a>(left: Value<'a>, right: Value<'a>, arena: &'a value::Arena) -> Value<'a> {
    if let (Value::Str(left), Value::Str(right)) = (left, right) {
        let mut out = bumpalo::collections::Vec::with_capacity_in(left.len() + right.len(), arena.bump());
        out.extend_from_slice_copy(left);
        out.extend_from_slice_copy(right);
        return Value::Str(out.into_bump_slice());
    }
    let mut out = Vec::new();
    write(&left, &mut out);
    write(&right, &mut out);
    Value::Str(arena.slice(&out))
}

fn concat_all(args: Args<'_>) -> Result<Value<'_>, CallError> {
    if args.len() == 2 {
        return Ok(concat(args.value(0), args.value(1), args.arena()));
    }
    let mut out = Vec::new();
    for item in args.array(0)? {
        write(item, &mut out);
    }
    Ok(args.string(&out))
}

fn bool_of(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let value = match args.value(0) {
        Value::Bool(value) => value,
        Value::Str(b"true") | Value::Int(1) => true,
        Value::Str(b"false") | Value::Int(0) => false,
        Value::Float(float) if float == 1.0 || float == 0.0 => float == 1.0,
        Value::Str(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) => {
            return Err(CallError::Domain { arg: 0, reason: "stands for no boolean" });
        }
        _ => return Err(args.kind(0, BOOL.union(NUMBER).union(STR))),
    };
    Ok(Value::Bool(value))
}

/// A number, or the number that a text spells; text may be a list of its characters.
fn number_of(args: Args<'_>) -> Result<Value<'_>, CallError> {
    match args.value(0) {
        list @ Value::Array([_, ..]) => number::parse(args.converted(list), args.arena()).ok_or(NO_NUMBER),
        Value::Str(text) => number::parse(text, args.arena()).ok_or(NO_NUMBER),
        value if value.kind() == Kind::Int || value.kind() == Kind::Float => Ok(value),
        _ => Err(args.kind(0, NUMBER.union(STR))),
    }
}

fn float_of(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let float = number::to_float(&number_of(args)?).map_err(|error| args.number_error(0, error))?;
    if args.len() == 1 {
        return Ok(Value::Float(float));
    }
    let mut text = Vec::new();
    text::write_fixed(float, decimals(args, 1)?, false, &mut text);
    number::parse_float(&text).ok_or(NO_NUMBER)
}

fn float2str(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let Value::Float(float) = args.value(0) else { return Err(args.kind(0, FLOAT)) };
    let mut text = Vec::new();
    text::write_fixed(float, decimals(args, 0)?, true, &mut text);
    Ok(args.string(&text))
}

fn decimals(args: Args<'_>, least: usize) -> Result<usize, CallError> {
    let decimals = args.count(1)?;
    if (least..=253).contains(&decimals) {
        Ok(decimals)
    } else {
        Err(CallError::Domain { arg: 1, reason: "is not a number of decimals" })
    }
}

fn int_of(args: Args<'_>) -> Result<Value<'_>, CallError> {
    if let Value::Bool(value) = args.value(0) {
        return Ok(Value::Int(i64::from(value)));
    }
    match number_of(args)? {
        Value::Float(float) => {
            number::from_float(float.floor(), args.arena()).map_err(|error| args.number_error(0, error))
        }
        value => Ok(value),
    }
}

fn str_utf16_le(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let text = std::str::from_utf8(args.converted(args.value(0)))
        .map_err(|_| CallError::Domain { arg: 0, reason: "is not UTF-8" })?;
    let mut out = args.builder(text.len() * 2);
    text.encode_utf16().for_each(|unit| out.extend_from_slice(&unit.to_le_bytes()));
    Ok(Value::Str(out.into_bump_slice()))
}
