use value::{Value, compare};

use crate::function::{ANY, ARRAY, BOOL, INT, fails, gives, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Array Operation Functions";
const EMPTY: CallError = CallError::Domain { arg: 0, reason: "is empty" };

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "contains",
        usage: "contains(any, list)",
        signatures: &[sig(&[ANY, ARRAY], BOOL)],
        summary: "Whether the list has this very value; 1.0 is not 1, and `'1'` is not either.",
        errors: "Fails when the second argument is not a list.",
        source: SOURCE,
        examples: &[gives("contains(2, [1, 2])", "true"), gives("contains(2.0, [1, 2])", "false")],
        body: |args| {
            let (wanted, items) = (args.value(0), args.array(1)?);
            Ok(Value::Bool(items.iter().any(|item| compare::strict(item, &wanted))))
        },
    },
    Function {
        name: "first",
        usage: "first(list)",
        signatures: &[sig(&[ARRAY], ANY)],
        summary: "The first element.",
        errors: "Fails when the argument is not a list, or is empty.",
        source: SOURCE,
        examples: &[gives("first([1, 2])", "1"), fails("first([])")],
        body: |args| args.array(0)?.first().copied().ok_or(EMPTY),
    },
    Function {
        name: "last",
        usage: "last(list)",
        signatures: &[sig(&[ARRAY], ANY)],
        summary: "The last element.",
        errors: "Fails when the argument is not a list, or is empty.",
        source: SOURCE,
        examples: &[gives("last([1, 2])", "2"), fails("last([])")],
        body: |args| args.array(0)?.last().copied().ok_or(EMPTY),
    },
    Function {
        name: "length",
        usage: "length(list)",
        signatures: &[sig(&[ARRAY], INT)],
        summary: "The number of elements.",
        errors: "Fails when the argument is not a list.",
        source: SOURCE,
        examples: &[gives("length([1, 2])", "2"), fails("length('ab')")],
        body: |args| Ok(Value::Int(i64::try_from(args.array(0)?.len()).unwrap_or(i64::MAX))),
    },
    Function {
        name: "nth",
        usage: "nth(place, list)",
        signatures: &[sig(&[INT, ARRAY], ANY)],
        summary: "The element at a place, counted from 1.",
        errors: "Fails when the list has no such place, or an argument is of the wrong kind.",
        source: SOURCE,
        examples: &[gives("nth(2, [10, 20])", "20"), fails("nth(3, [10, 20])")],
        body: nth,
    },
    Function {
        name: "sublist",
        usage: "sublist([start, ]length, list)",
        signatures: &[sig(&[INT, ARRAY], ARRAY), sig(&[INT, INT, ARRAY], ARRAY)],
        summary: "At most so many elements, from the start or from a place counted from 1.",
        errors: "Fails when a number is negative, the place is 0, or an argument is of the wrong kind.",
        source: SOURCE,
        examples: &[gives("sublist(2, [1, 2, 3])", "[1, 2]"), gives("sublist(2, 5, [1, 2, 3])", "[2, 3]")],
        body: sublist,
    },
];

fn nth(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (place, items) = (args.int(0)?, args.array(1)?);
    let at = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
    at.and_then(|at| items.get(at).copied())
        .ok_or(CallError::Domain { arg: 0, reason: "is not a place in the list" })
}

fn sublist(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (skipped, length, items) = match args.len() {
        2 => (0, args.count(0)?, args.array(1)?),
        _ => {
            let start = args.count(0)?;
            let skipped = start
                .checked_sub(1)
                .ok_or(CallError::Domain { arg: 0, reason: "is not a place in a list" })?;
            (skipped, args.count(1)?, args.array(2)?)
        }
    };
    let rest = items.get(skipped..).unwrap_or_default();
    Ok(Value::Array(rest.get(..length).unwrap_or(rest)))
}
