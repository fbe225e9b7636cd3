//! `sprintf` and `sprintf_s`: Erlang's format language.

use std::io::Write as _;

use value::{Value, number, text};

use crate::function::{ANY, ARRAY, STR, TEXT, fails, gives, sig, variadic};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, `sprintf`; Erlang/OTP, io:fwrite/3";
const ERRORS: &str =
    "Fails when the format has an unknown directive, or the values do not fit it in number and kind.";

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "sprintf",
        usage: "sprintf(format, any…)",
        signatures: &[variadic(&[TEXT, ANY], STR)],
        summary: "The values laid out by a format: `~s` text, `~p` and `~w` anything as Erlang writes it, `~b` and `~B` integers in any base, `~f`, `~e` and `~g` floats, `~c` characters, `~n` a line's end, `~~` the sign itself; `~x` and `~X` integers behind a prefix of their own; width, precision and fill as in `~8.2.0B`, and `*` for one that is the next value.",
        errors: ERRORS,
        source: SOURCE,
        examples: &[
            gives("sprintf('~s: ~.2f', 'temp', 21.456)", "'temp: 21.46'"),
            gives("sprintf('~8.2.0B', 5)", "'00000101'"),
            gives("sprintf('[~*s]', -4, 'ab')", "'[ab  ]'"),
            fails("sprintf('~s')"),
        ],
        body: |args| {
            let (_, values) = args.values().split_at(1);
            format(args, values)
        },
    },
    Function {
        name: "sprintf_s",
        usage: "sprintf_s(format, list)",
        signatures: &[sig(&[TEXT, ARRAY], STR)],
        summary: "The same as `sprintf`, with the values in a list.",
        errors: ERRORS,
        source: SOURCE,
        examples: &[gives("sprintf_s('~s/~b', ['a', 7])", "'a/7'")],
        body: |args| format(args, args.array(1)?),
    },
];

/// The widest a field may be.
const WIDTH_MAX: usize = 64 << 10;
/// How deeply `~p` and `~w` look into a value.
const DEPTH_MAX: usize = 128;

/// A directive: `~`, width, precision, fill and modifiers, and the letter.
#[derive(Default)]
struct Directive {
    width: Option<usize>,
    left: bool,
    precision: Option<usize>,
    fill: Option<u8>,
    letter: u8,
    /// What `~x` and `~X` set before the digits.
    prefix: Vec<u8>,
}

fn format<'a>(args: Args<'a>, values: &'a [Value<'a>]) -> Result<Value<'a>, CallError> {
    const BAD: CallError = CallError::Domain { arg: 0, reason: "is no format for these values" };
    let mut rest = args.text(0)?;
    let mut values = values.iter();
    let mut out = Vec::new();
    while let Some(at) = rest.iter().position(|byte| *byte == b'~') {
        out.extend_from_slice(&rest[..at]);
        let (mut directive, behind) = directive(&rest[at + 1..], &mut values).ok_or(BAD)?;
        rest = behind;
        match directive.letter {
            b'~' => out.push(b'~'),
            b'n' => out.extend(std::iter::repeat_n(b'\n', directive.width.unwrap_or(1))),
            b'i' => _ = values.next().ok_or(BAD)?,
            _ => {
                let value = values.next().ok_or(BAD)?;
                if matches!(directive.letter, b'x' | b'X') {
                    directive.prefix = prefix(values.next().ok_or(BAD)?).ok_or(BAD)?;
                }
                let field = lay_out(&directive, value, args).ok_or(BAD)?;
                directive.pad(&field, &mut out);
            }
        }
        if out.len() > value::Arena::BYTES_MAX / 4 {
            return Err(CallError::TooLarge);
        }
    }
    out.extend_from_slice(rest);
    if values.next().is_some() {
        return Err(BAD);
    }
    Ok(args.string(&out))
}

/// Values that directives take one after the other.
type Values<'v> = std::slice::Iter<'v, Value<'v>>;

/// Reads a directive behind its `~`; a `*` in it takes a value.
fn directive<'t>(text: &'t [u8], values: &mut Values<'_>) -> Option<(Directive, &'t [u8])> {
    let mut directive = Directive::default();
    let mut rest = text;
    if let Some(behind) = rest.strip_prefix(b"-") {
        (directive.left, rest) = (true, behind);
    }
    if let Some(behind) = rest.strip_prefix(b"*") {
        // A width below zero is one from the left, whatever the sign before it.
        let width = whole(values.next()?)?;
        directive.left |= width < 0;
        (directive.width, rest) = (Some(within(width.unsigned_abs())?), behind);
    } else {
        (directive.width, rest) = count(rest)?;
    }
    if let Some(behind) = rest.strip_prefix(b".") {
        (directive.precision, rest) = match behind.strip_prefix(b"*") {
            Some(behind) => (Some(within(u64::try_from(whole(values.next()?)?).ok()?)?), behind),
            None => count(behind)?,
        };
        match rest {
            [b'.', b'*', behind @ ..] => {
                let fill = u8::try_from(whole(values.next()?)?).ok()?;
                (directive.fill, rest) = (Some(fill), behind);
            }
            [b'.', fill, behind @ ..] => (directive.fill, rest) = (Some(*fill), behind),
            _ => {}
        }
    }
    while let [b't' | b'l' | b'k' | b'K', behind @ ..] = rest {
        rest = behind;
    }
    let (letter, behind) = rest.split_first()?;
    directive.letter = *letter;
    Some((directive, behind))
}

fn whole(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

fn within(width: u64) -> Option<usize> {
    usize::try_from(width).ok().filter(|width| *width <= WIDTH_MAX)
}

/// What stands before the digits of `~x`: text or a list of bytes.
fn prefix(value: &Value<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match value {
        Value::Array(_) => crate::bits::flatten(value, &mut |bytes| out.extend_from_slice(bytes))?,
        Value::Atom(name) => out.extend_from_slice(name.as_bytes()),
        _ => return None,
    }
    Some(out)
}

fn count(text: &[u8]) -> Option<(Option<usize>, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    if digits.is_empty() {
        return Some((None, rest));
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok().filter(|width| *width <= WIDTH_MAX)?;
    Some((Some(number), rest))
}

impl Directive {
    /// Appends a field, filled up to the width; one that does not fit becomes asterisks, but for text, which is cut.
    fn pad(&self, field: &[u8], out: &mut Vec<u8>) {
        let length = std::str::from_utf8(field).map_or(field.len(), |text| text.chars().count());
        // The width of `~c` counts characters, and 0 means no breaking of lines, which there is none of here.
        let width = self.width.filter(|width| *width > 0 && self.letter != b'c').unwrap_or(length);
        let fill = self.fill.unwrap_or(b' ');
        if length > width {
            match self.letter {
                b's' => out.extend_from_slice(&field[..width.min(field.len())]),
                _ => out.extend(std::iter::repeat_n(b'*', width)),
            }
            return;
        }
        let missing = std::iter::repeat_n(fill, width - length);
        if self.left {
            out.extend_from_slice(field);
            out.extend(missing);
        } else {
            out.extend(missing);
            out.extend_from_slice(field);
        }
    }
}

/// The text of one value; `None` if the directive does not take it.
fn lay_out(directive: &Directive, value: &Value<'_>, args: Args<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match (directive.letter, value) {
        (b's', Value::Array(_)) => crate::bits::flatten(value, &mut |bytes| out.extend_from_slice(bytes))?,
        (b's', Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Map(_)) => return None,
        (b's', value) => out.extend_from_slice(args.converted(*value)),
        (b'w', value) => write_term(value, false, 0, &mut out),
        (b'p', value) => write_term(value, true, 0, &mut out),
        (b'c', Value::Int(code)) => {
            let character = u8::try_from(*code).ok()?;
            out.extend(std::iter::repeat_n(character, directive.precision.or(directive.width).unwrap_or(1)));
        }
        (b'f', Value::Float(float)) => {
            text::write_fixed(*float, directive.precision.unwrap_or(6).clamp(1, 253), false, &mut out);
        }
        (b'e', Value::Float(float)) => exponent(*float, directive.precision.unwrap_or(6), &mut out)?,
        (b'g', Value::Float(float)) => general(*float, directive.precision.unwrap_or(6), &mut out)?,
        (b'b' | b'B' | b'#' | b'+' | b'x' | b'X', Value::Int(_) | Value::Big(_)) => {
            let base = directive.precision.unwrap_or(10);
            let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base))?;
            let digits = number::to_wide(value)?.to_str_radix(base);
            let (sign, digits) = digits.strip_prefix('-').map_or(("", &*digits), |digits| ("-", digits));
            out.extend_from_slice(sign.as_bytes());
            match directive.letter {
                b'#' | b'+' => out.extend_from_slice(format!("{base}#").as_bytes()),
                _ => out.extend_from_slice(&directive.prefix),
            }
            let upper = matches!(directive.letter, b'B' | b'#' | b'X');
            out.extend_from_slice(if upper { digits.to_uppercase() } else { digits.to_owned() }.as_bytes());
        }
        _ => return None,
    }
    if let (b's', Some(precision)) = (directive.letter, directive.precision) {
        out.truncate(precision);
    }
    Some(out)
}

/// `1.23e+4`, with so many digits in all.
fn exponent(float: f64, digits: usize, out: &mut Vec<u8>) -> Option<()> {
    let decimals = digits.checked_sub(1).filter(|decimals| (1..253).contains(decimals))?;
    let text = format!("{float:.decimals$e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let sign = if exponent.starts_with('-') { "" } else { "+" };
    out.extend_from_slice(format!("{mantissa}e{sign}{exponent}").as_bytes());
    Some(())
}

/// Plain where that is short, else with an exponent; so many digits in all.
fn general(float: f64, digits: usize, out: &mut Vec<u8>) -> Option<()> {
    let before = match float.abs() {
        0.1..1.0 => 0,
        1.0..10.0 => 1,
        10.0..100.0 => 2,
        100.0..1000.0 => 3,
        1000.0..10000.0 => 4,
        _ => return exponent(float, digits, out),
    };
    let decimals = digits.checked_sub(before).filter(|decimals| (1..253).contains(decimals))?;
    text::write_fixed(float, decimals, false, out);
    Some(())
}

/// A value as Erlang writes it. `pretty` shows bytes and lists that can be printed as text.
fn write_term(value: &Value<'_>, pretty: bool, depth: usize, out: &mut Vec<u8>) {
    if depth > DEPTH_MAX {
        return out.extend_from_slice(b"...");
    }
    let separated = |items: &mut dyn Iterator<Item = &Value<'_>>, out: &mut Vec<u8>| {
        for (at, item) in items.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_term(item, pretty, depth + 1, out);
        }
    };
    match value {
        Value::Str(bytes) => {
            out.extend_from_slice(b"<<");
            if pretty && !bytes.is_empty() && bytes.iter().all(|byte| is_plain(*byte)) {
                quoted(bytes.iter().copied(), out);
            } else {
                let numbers: Vec<_> = bytes.iter().map(|byte| Value::Int(i64::from(*byte))).collect();
                separated(&mut numbers.iter(), out);
            }
            out.extend_from_slice(b">>");
        }
        Value::Array(items) => {
            let plain = |item: &Value<'_>| match item {
                Value::Int(code) => u8::try_from(*code).ok().filter(|byte| is_plain(*byte)),
                _ => None,
            };
            if pretty && !items.is_empty() && items.iter().all(|item| plain(item).is_some()) {
                return quoted(items.iter().filter_map(plain), out);
            }
            out.push(b'[');
            separated(&mut items.iter(), out);
            out.push(b']');
        }
        Value::Map(map) => {
            let mut entries = map.entries().to_vec();
            entries.sort_unstable_by_key(|entry| entry.key);
            out.extend_from_slice(b"#{");
            for (at, entry) in entries.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_term(&Value::Str(entry.key), pretty, depth + 1, out);
                out.extend_from_slice(b" => ");
                write_term(&entry.value, pretty, depth + 1, out);
            }
            out.push(b'}');
        }
        Value::Atom(name) => {
            let bare = name.starts_with(|first: char| first.is_ascii_lowercase())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@'));
            // Writing into a vector cannot fail.
            let _ = if bare { write!(out, "{name}") } else { write!(out, "'{name}'") };
        }
        Value::Float(_) => value::json::write(value, out),
        value => text::write(value, out),
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\t' | b'\r')
}

fn quoted(bytes: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}
