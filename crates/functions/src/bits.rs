use num_bigint::BigInt;
use value::{Value, number};

use crate::bit_sequences::{BIT_STRING, bit_string};
use crate::function::{ANY, ARRAY, INT, STR, fails, gives, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Bitwise and Bit Sequence Functions";
const NOT_INTEGERS: &str = "Fails when an argument is not an integer.";

/// An operation on two integers in two's complement of any width.
macro_rules! bitwise {
    ($name:literal, $summary:literal, $examples:expr, $small:expr, $large:expr) => {
        Function {
            name: $name,
            usage: concat!($name, "(integer, integer)"),
            signatures: &[sig(&[INT, INT], INT)],
            summary: $summary,
            errors: NOT_INTEGERS,
            source: SOURCE,
            examples: $examples,
            body: |args| bitwise(args, $small, $large),
        }
    };
}

pub(crate) const FUNCTIONS: &[Function] = &[
    bitwise!("bitand", "The bits that both have.", &[gives("bitand(10, 8)", "8")], |a, b| a & b, |a, b| a
        & b),
    Function {
        name: "bitnot",
        usage: "bitnot(integer)",
        signatures: &[sig(&[INT], INT)],
        summary: "Every bit inverted.",
        errors: NOT_INTEGERS,
        source: SOURCE,
        examples: &[gives("bitnot(10)", "-11"), fails("bitnot('1')")],
        body: bitnot,
    },
    bitwise!("bitor", "The bits that either has.", &[gives("bitor(10, 5)", "15")], |a, b| a | b, |a, b| a
        | b),
    Function {
        name: "bitsize",
        usage: "bitsize(string)",
        signatures: &[sig(&[BIT_STRING], INT)],
        summary: "The length of the string in bits.",
        errors: "Fails when the argument is not a string.",
        source: SOURCE,
        examples: &[gives("bitsize('abc')", "24"), fails("bitsize(12)")],
        body: |args| bit_string(args, 0).map(|(_, bits)| count(bits)),
    },
    Function {
        name: "bitsl",
        usage: "bitsl(integer, places)",
        signatures: &[sig(&[INT, INT], INT)],
        summary: "The integer shifted left; a negative number of places shifts right.",
        errors: "Fails when an argument is not an integer, or the result would be too large.",
        source: SOURCE,
        examples: &[gives("bitsl(1, 4)", "16"), fails("bitsl(1, 1000000000)")],
        body: |args| shift(args, args.integer(0)?, args.int(1)?),
    },
    Function {
        name: "bitsr",
        usage: "bitsr(integer, places)",
        signatures: &[sig(&[INT, INT], INT)],
        summary: "The integer shifted right, keeping its sign; a negative number of places shifts left.",
        errors: "Fails when an argument is not an integer, or the result would be too large.",
        source: SOURCE,
        examples: &[gives("bitsr(170, 2)", "42")],
        body: |args| shift(args, args.integer(0)?, args.int(1)?.saturating_neg()),
    },
    bitwise!(
        "bitxor",
        "The bits that exactly one has.",
        &[gives("bitxor(10, 8)", "2")],
        |a, b| a ^ b,
        |a, b| a ^ b
    ),
    Function {
        name: "bytesize",
        usage: "bytesize(string)",
        signatures: &[sig(&[ANY], INT)],
        summary: "The length in bytes of a string, or of a list of strings and bytes.",
        errors: "Fails when the argument is neither.",
        source: SOURCE,
        examples: &[gives("bytesize('温')", "3"), gives("bytesize(['ab', 99])", "3"), fails("bytesize(5)")],
        body: |args| Ok(count(bytes_of(&args.value(0)).ok_or_else(|| args.kind(0, STR.union(ARRAY)))?)),
    },
];

fn count<'a>(size: usize) -> Value<'a> {
    Value::Int(i64::try_from(size).unwrap_or(i64::MAX))
}

fn bitwise(
    args: Args<'_>,
    small: fn(i64, i64) -> i64,
    large: fn(BigInt, BigInt) -> BigInt,
) -> Result<Value<'_>, CallError> {
    let (left, right) = (args.integer(0)?, args.integer(1)?);
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        return Ok(Value::Int(small(left, right)));
    }
    match number::to_wide(&left).zip(number::to_wide(&right)) {
        Some((left, right)) => wide(args, &large(left, right)),
        None => Err(args.kind(0, INT)),
    }
}

fn bitnot(args: Args<'_>) -> Result<Value<'_>, CallError> {
    match args.integer(0)? {
        Value::Int(int) => Ok(Value::Int(!int)),
        value => wide(args, &!number::to_wide(&value).unwrap_or_default()),
    }
}

fn shift<'a>(args: Args<'a>, value: Value<'a>, left: i64) -> Result<Value<'a>, CallError> {
    if let (Value::Int(int), ..=0) = (value, left) {
        return Ok(Value::Int(int >> left.unsigned_abs().min(63)));
    }
    let int = number::to_wide(&value).unwrap_or_default();
    let places = left.unsigned_abs();
    if left <= 0 {
        return wide(args, &(int >> places));
    }
    if int == BigInt::ZERO {
        return Ok(Value::Int(0));
    }
    if int.bits().saturating_add(places) > number::INT_BITS_MAX {
        return Err(CallError::TooLarge);
    }
    wide(args, &(int << places))
}

fn wide<'a>(args: Args<'a>, int: &BigInt) -> Result<Value<'a>, CallError> {
    number::from_wide(int, args.arena()).map_err(|error| args.number_error(0, error))
}

/// The size of what can be written as bytes: strings, bytes as numbers, and lists of these.
fn bytes_of(value: &Value<'_>) -> Option<usize> {
    let mut size = 0;
    flatten(value, &mut |bytes| size += bytes.len())?;
    Some(size)
}

/// Hands over the bytes of a string, or of a list of strings, bytes as numbers and lists; `None` if something else is
/// among them. Lists may be nested deeply, so they wait on a stack of their own.
pub(crate) fn flatten(value: &Value<'_>, each: &mut dyn FnMut(&[u8])) -> Option<()> {
    let items = match value {
        Value::Str(bytes) => {
            each(bytes);
            return Some(());
        }
        Value::Array(items) => items,
        _ => return None,
    };
    let mut open: Vec<_> = items.iter().rev().collect();
    while let Some(item) = open.pop() {
        match item {
            Value::Int(byte) => each(&[u8::try_from(*byte).ok()?]),
            Value::Str(bytes) => each(bytes),
            Value::Array(items) => open.extend(items.iter().rev()),
            _ => return None,
        }
    }
    Some(())
}
