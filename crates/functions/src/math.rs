use value::{Value, compare, number};

use crate::function::{ANY, BOOL, FLOAT, INT, NUMBER, fails, gives, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Mathematical Functions";
const NOT_INTEGERS: &str = "Fails when an argument is not an integer, or the divisor is 0.";

/// A function of one number that gives a float.
macro_rules! of_float {
    ($name:literal, $summary:literal, $examples:expr, $compute:expr) => {
        Function {
            name: $name,
            usage: concat!($name, "(number)"),
            signatures: &[sig(&[NUMBER], FLOAT)],
            summary: $summary,
            errors: "Fails when the argument is not a number, or there is no finite result.",
            source: SOURCE,
            examples: $examples,
            body: |args| {
                let compute: fn(f64) -> f64 = $compute;
                number::finite(compute(args.float(0)?)).map_err(|error| args.number_error(0, error))
            },
        }
    };
}

/// A function of one number that gives a whole one; integers stay as they are.
macro_rules! rounding {
    ($name:literal, $summary:literal, $examples:expr, $compute:expr) => {
        Function {
            name: $name,
            usage: concat!($name, "(number)"),
            signatures: &[sig(&[NUMBER], INT)],
            summary: $summary,
            errors: "Fails when the argument is not a number.",
            source: SOURCE,
            examples: $examples,
            body: |args| round_by(args, $compute),
        }
    };
}

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "abs",
        usage: "abs(integer)",
        signatures: &[sig(&[INT], INT)],
        summary: "The integer without its sign.",
        errors: "Fails when the argument is not an integer; floats are refused, as in the reference.",
        source: SOURCE,
        examples: &[gives("abs(-3)", "3"), fails("abs(-2.5)")],
        body: abs,
    },
    of_float!("acos", "The arc cosine, in radians.", &[gives("acos(1)", "0.0"), fails("acos(2)")], f64::acos),
    of_float!(
        "acosh",
        "The inverse hyperbolic cosine.",
        &[gives("acosh(1)", "0.0"), fails("acosh(0)")],
        f64::acosh
    ),
    of_float!("asin", "The arc sine, in radians.", &[gives("asin(0)", "0.0"), fails("asin(2)")], f64::asin),
    of_float!("asinh", "The inverse hyperbolic sine.", &[gives("asinh(0)", "0.0")], f64::asinh),
    of_float!("atan", "The arc tangent, in radians.", &[gives("atan(0)", "0.0")], f64::atan),
    of_float!(
        "atanh",
        "The inverse hyperbolic tangent.",
        &[gives("atanh(0)", "0.0"), fails("atanh(1)")],
        f64::atanh
    ),
    rounding!(
        "ceil",
        "The next integer above.",
        &[gives("ceil(2.1)", "3"), gives("ceil(-0.5)", "0")],
        f64::ceil
    ),
    of_float!("cos", "The cosine of radians.", &[gives("cos(0)", "1.0")], f64::cos),
    of_float!("cosh", "The hyperbolic cosine.", &[gives("cosh(0)", "1.0"), fails("cosh(1000)")], f64::cosh),
    Function {
        name: "div",
        usage: "div(integer, integer)",
        signatures: &[sig(&[INT, INT], INT)],
        summary: "The whole quotient, truncated toward zero; the same as the operator.",
        errors: NOT_INTEGERS,
        source: SOURCE,
        examples: &[gives("div(-7, 2)", "-3"), fails("div(1, 0)")],
        body: |args| integer(args, number::div(&args.integer(0)?, &args.integer(1)?, args.arena())),
    },
    Function {
        name: "eq",
        usage: "eq(any, any)",
        signatures: &[sig(&[ANY, ANY], BOOL)],
        summary: "Whether the values are equal; numbers by value, nothing converted.",
        errors: "",
        source: SOURCE,
        examples: &[gives("eq(1, 1.0)", "true"), gives("eq(1, '1')", "false")],
        body: |args| Ok(Value::Bool(compare::order(&args.value(0), &args.value(1)).is_eq())),
    },
    of_float!("exp", "e to the power of the number.", &[gives("exp(0)", "1.0"), fails("exp(710)")], f64::exp),
    rounding!("floor", "The next integer below.", &[gives("floor(-2.1)", "-3")], f64::floor),
    Function {
        name: "fmod",
        usage: "fmod(number, number)",
        signatures: &[sig(&[NUMBER, NUMBER], FLOAT)],
        summary: "The remainder of a division of floats; has the sign of the first.",
        errors: "Fails when an argument is not a number, or the divisor is 0.",
        source: SOURCE,
        examples: &[gives("fmod(-10, 3)", "-1.0"), fails("fmod(5, 0)")],
        body: |args| float(args, args.float(0)? % args.float(1)?),
    },
    of_float!("log", "The natural logarithm.", &[gives("log(1)", "0.0"), fails("log(0)")], f64::ln),
    of_float!(
        "log10",
        "The logarithm to base 10.",
        &[gives("log10(1000)", "3.0"), fails("log10(-5)")],
        f64::log10
    ),
    of_float!("log2", "The logarithm to base 2.", &[gives("log2(8)", "3.0")], f64::log2),
    Function {
        name: "mod",
        usage: "mod(integer, integer)",
        signatures: &[sig(&[INT, INT], INT)],
        summary: "The remainder of a division of integers; has the sign of the first; the same as the operator.",
        errors: NOT_INTEGERS,
        source: SOURCE,
        examples: &[gives("mod(-7, 2)", "-1"), fails("mod(7, 0)")],
        body: |args| integer(args, number::rem(&args.integer(0)?, &args.integer(1)?, args.arena())),
    },
    Function {
        name: "power",
        usage: "power(base, exponent)",
        signatures: &[sig(&[NUMBER, NUMBER], FLOAT)],
        summary: "The base to the power of the exponent, always a float.",
        errors: "Fails when an argument is not a number, or there is no finite result.",
        source: SOURCE,
        examples: &[gives("power(2, 3)", "8.0"), fails("power(10, 400)")],
        body: |args| float(args, args.float(0)?.powf(args.float(1)?)),
    },
    Function {
        name: "random",
        usage: "random()",
        signatures: &[sig(&[], FLOAT)],
        summary: "A random float from 0.0 up to but without 1.0.",
        errors: "",
        source: SOURCE,
        examples: &[gives("floor(random())", "0")],
        body: |args| Ok(Value::Float((args.context().random.next() >> 11) as f64 / (1u64 << 53) as f64)),
    },
    rounding!(
        "round",
        "The nearest integer; halves go away from zero.",
        &[gives("round(2.5)", "3"), gives("round(-2.5)", "-3")],
        f64::round
    ),
    of_float!("sin", "The sine of radians.", &[gives("sin(0)", "0.0")], f64::sin),
    of_float!("sinh", "The hyperbolic sine.", &[gives("sinh(0)", "0.0")], f64::sinh),
    of_float!("sqrt", "The square root.", &[gives("sqrt(9)", "3.0"), fails("sqrt(-1)")], f64::sqrt),
    of_float!("tan", "The tangent of radians.", &[gives("tan(0)", "0.0")], f64::tan),
    of_float!("tanh", "The hyperbolic tangent.", &[gives("tanh(0)", "0.0")], f64::tanh),
];

fn abs(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let value = args.integer(0)?;
    let negative = match value {
        Value::Big(big) => big.negative,
        value => matches!(value, Value::Int(..0)),
    };
    if negative { integer(args, number::neg(&value, args.arena())) } else { Ok(value) }
}

fn round_by(args: Args<'_>, compute: fn(f64) -> f64) -> Result<Value<'_>, CallError> {
    match args.value(0) {
        Value::Float(float) => integer(args, number::from_float(compute(float), args.arena())),
        value @ (Value::Int(_) | Value::Big(_)) => Ok(value),
        _ => Err(args.kind(0, NUMBER)),
    }
}

fn integer<'a>(
    args: Args<'a>,
    result: Result<Value<'a>, number::NumberError>,
) -> Result<Value<'a>, CallError> {
    result.map_err(|error| args.number_error(args.len() - 1, error))
}

fn float(args: Args<'_>, result: f64) -> Result<Value<'_>, CallError> {
    number::finite(result).map_err(|error| args.number_error(args.len() - 1, error))
}
