use unicode_segmentation::UnicodeSegmentation as _;
use value::{Arena, Value};

use crate::function::{ANY, ARRAY, INT, STR, TEXT, fails, gives, optional, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, String Operation Functions";
const NOT_TEXT: &str = "Fails when an argument is not text.";

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "ascii",
        usage: "ascii(string)",
        signatures: &[sig(&[TEXT], INT)],
        summary: "The first byte of the string as a number.",
        errors: "Fails when the argument is not text, or is empty.",
        source: SOURCE,
        examples: &[gives("ascii('A')", "65"), fails("ascii('')")],
        body: ascii,
    },
    Function {
        name: "find",
        usage: "find(string, part[, 'leading' | 'trailing'])",
        signatures: &[optional(2, &[TEXT, STR, STR], STR)],
        summary: "The string from the first (or last) occurrence of the part on; empty where it does not occur.",
        errors: NOT_TEXT,
        source: SOURCE,
        examples: &[
            gives("find('a/b/c', '/')", "'/b/c'"),
            gives("find('a/b/c', '/', 'trailing')", "'/c'"),
            gives("find('a/b/c', 'x')", "''"),
        ],
        body: find,
    },
    Function {
        name: "join_to_string",
        usage: "join_to_string([separator, ]list)",
        signatures: &[sig(&[ARRAY], STR), sig(&[STR, ARRAY], STR)],
        summary: "The elements as text, with `, ` or the separator between them.",
        errors: "Fails when the separator is not a string or the list is not a list.",
        source: SOURCE,
        examples: &[
            gives("join_to_string('-', ['a', 1, 2.5])", "'a-1-2.5'"),
            gives("join_to_string([1, 2])", "'1, 2'"),
        ],
        body: join_to_string,
    },
    Function {
        name: "join_to_sql_values_string",
        usage: "join_to_sql_values_string(list)",
        signatures: &[sig(&[ARRAY], STR)],
        summary: "The elements as literals of standard SQL, separated by `, `; strings quoted, undefined as NULL.",
        errors: "Fails when the argument is not a list.",
        source: SOURCE,
        examples: &[gives("join_to_sql_values_string([1, 2.5, null()])", "'1, 2.5, NULL'")],
        body: join_to_sql_values_string,
    },
    Function {
        name: "lower",
        usage: "lower(string)",
        signatures: &[sig(&[TEXT], STR)],
        summary: "The string in lower case.",
        errors: NOT_TEXT,
        source: SOURCE,
        examples: &[gives("lower('ÀB')", "'àb'"), fails("lower(1)")],
        body: lower,
    },
    Function {
        name: "ltrim",
        usage: "ltrim(string)",
        signatures: &[sig(&[TEXT.union(ARRAY)], STR.union(ARRAY))],
        summary: "The string without white space at its start; text may be a list of strings and characters, and stays one.",
        errors: NOT_TEXT,
        source: SOURCE,
        examples: &[gives("ltrim('  x ')", "'x '"), gives("ltrim([' ', ' a', 'b'])", "['a', 'b']")],
        body: ltrim,
    },
    Function {
        name: "pad",
        usage: "pad(string, length[, 'leading' | 'trailing' | 'both'[, fill]])",
        signatures: &[optional(2, &[TEXT, INT, STR, STR], STR)],
        summary: "The string filled up to a length in characters, at its end by default, with blanks by default.",
        errors: "Fails when an argument is of the wrong kind, the length is negative, or `fill` is not ASCII.",
        source: SOURCE,
        examples: &[
            gives("pad('7', 3, 'leading', '0')", "'007'"),
            gives("pad('77', 5, 'both')", "' 77  '"),
            fails("pad('x', 1000000000000)"),
        ],
        body: pad,
    },
    Function {
        name: "replace",
        usage: "replace(string, part, new[, 'all' | 'leading' | 'trailing'])",
        signatures: &[optional(3, &[TEXT, STR, STR, STR], STR)],
        summary: "The string with every (or the first, or the last) occurrence of the part replaced.",
        errors: NOT_TEXT,
        source: SOURCE,
        examples: &[
            gives("replace('aXbX', 'X', '-')", "'a-b-'"),
            gives("replace('aXbX', 'X', '-', 'trailing')", "'aXb-'"),
        ],
        body: replace,
    },
    Function {
        name: "reverse",
        usage: "reverse(string)",
        signatures: &[sig(&[TEXT], STR)],
        summary: "The characters of the string in reverse order.",
        errors: "Fails when the argument is not text, or has characters beyond ASCII.",
        source: SOURCE,
        examples: &[gives("reverse('abc')", "'cba'"), fails("reverse('温')")],
        body: reverse,
    },
    Function {
        name: "rm_prefix",
        usage: "rm_prefix(string, prefix)",
        signatures: &[sig(&[ANY, STR], ANY)],
        summary: "The string without its leading prefix; unchanged if it does not start with it, and numbers always.",
        errors: "Fails when the string is null or undefined, or the prefix is not text.",
        source: SOURCE,
        examples: &[
            gives("rm_prefix('plant/7/temp', 'plant/')", "'7/temp'"),
            gives("rm_prefix('attic/temp', 'plant/')", "'attic/temp'"),
        ],
        body: rm_prefix,
    },
    Function {
        name: "rtrim",
        usage: "rtrim(string[, characters])",
        signatures: &[optional(1, &[TEXT, STR], STR)],
        summary: "The string without white space, or any of the characters, at its end.",
        errors: NOT_TEXT,
        source: SOURCE,
        examples: &[gives("rtrim(' x  ')", "' x'"), gives("rtrim('1.2500', '0')", "'1.25'")],
        body: rtrim,
    },
    Function {
        name: "split",
        usage: "split(string, separator[, 'notrim' | 'leading' | 'leading_notrim' | 'trailing' | 'trailing_notrim'])",
        signatures: &[optional(2, &[TEXT, STR, STR], ARRAY)],
        summary: "The parts between separators (or what is before and behind the first or last one). Empty parts are left out unless the option ends in `notrim`.",
        errors: "Fails when an argument is not text, or the option is none of these.",
        source: SOURCE,
        examples: &[
            gives("split('a,,b', ',')", "['a', 'b']"),
            gives("split('a,,b', ',', 'notrim')", "['a', '', 'b']"),
            gives("split('a/b/c', '/', 'leading')", "['a', 'b/c']"),
        ],
        body: split,
    },
    Function {
        name: "strlen",
        usage: "strlen(string)",
        signatures: &[sig(&[TEXT], INT)],
        summary: "The number of characters as a reader counts them (grapheme clusters).",
        errors: NOT_TEXT,
        source: SOURCE,
        examples: &[gives("strlen('温度')", "2"), fails("strlen(5)")],
        body: |args| Ok(int(args.utf8(0)?.graphemes(true).count())),
    },
    Function {
        name: "substr",
        usage: "substr(string, start[, length])",
        signatures: &[optional(2, &[TEXT, INT, INT], STR)],
        summary: "The characters from a place on, counted from 0, at most so many.",
        errors: "Fails when an argument is of the wrong kind or negative.",
        source: SOURCE,
        examples: &[gives("substr('abcdef', 2)", "'cdef'"), gives("substr('abcdef', 2, 3)", "'cde'")],
        body: substr,
    },
    Function {
        name: "tokens",
        usage: "tokens(string, separators[, 'nocrlf'])",
        signatures: &[optional(2, &[TEXT, STR, STR], ARRAY)],
        summary: "The parts between any of the separating characters, without empty ones; `nocrlf` separates lines too.",
        errors: "Fails when an argument is not text, or the option is none.",
        source: SOURCE,
        examples: &[gives("tokens('a b;c', '; ')", "['a', 'b', 'c']")],
        body: tokens,
    },
    Function {
        name: "trim",
        usage: "trim(string)",
        signatures: &[sig(&[TEXT], STR)],
        summary: "The string without white space at either end.",
        errors: NOT_TEXT,
        source: SOURCE,
        examples: &[gives("trim('  x ')", "'x'")],
        body: |args| Ok(Value::text(args.utf8(0)?.trim_matches(is_space))),
    },
    Function {
        name: "unescape",
        usage: "unescape(string)",
        signatures: &[sig(&[TEXT], STR)],
        summary: r"The string with `\n`, `\t`, `\x41` and their like resolved.",
        errors: "Fails when the argument is not text, or on an escape it does not know.",
        source: SOURCE,
        examples: &[gives(r"unescape('\x41\x42')", "'AB'"), fails(r"unescape('\q')")],
        body: unescape,
    },
    Function {
        name: "upper",
        usage: "upper(string)",
        signatures: &[sig(&[TEXT], STR)],
        summary: "The string in upper case.",
        errors: NOT_TEXT,
        source: SOURCE,
        examples: &[gives("upper('Straße')", "'STRASSE'"), fails("upper(1)")],
        body: upper,
    },
];

/// The longest string that a function builds out of small arguments (bytes).
const BUILT_BYTES_MAX: usize = Arena::BYTES_MAX / 4;

fn int<'a>(count: usize) -> Value<'a> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The white space that trimming takes away (Unicode's Pattern_White_Space).
fn is_space(character: char) -> bool {
    matches!(character, '\t'..='\r' | ' ' | '\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
}

/// The option in the last place, by name.
fn option(args: Args<'_>, at: usize, names: &[&'static str]) -> Result<&'static str, CallError> {
    let text = args.bytes(at)?;
    let found = names.iter().find(|name| name.as_bytes() == text);
    found.copied().ok_or(CallError::Domain { arg: at, reason: "is none of the options" })
}

fn ascii(args: Args<'_>) -> Result<Value<'_>, CallError> {
    match args.text(0)?.first() {
        Some(byte) => Ok(Value::Int(i64::from(*byte))),
        None => Err(CallError::Domain { arg: 0, reason: "is empty" }),
    }
}

fn find(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (text, part) = (args.utf8(0)?, args.str(1)?);
    let trailing = args.len() > 2 && option(args, 2, &["leading", "trailing"])? == "trailing";
    if part.is_empty() {
        return Ok(Value::text(text));
    }
    let at = if trailing { text.rfind(part) } else { text.find(part) };
    Ok(Value::text(at.map_or("", |at| &text[at..])))
}

fn join_to_string(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (separator, items) = match args.len() {
        1 => (&b", "[..], args.array(0)?),
        _ => (args.bytes(0)?, args.array(1)?),
    };
    let mut out = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(separator);
        }
        crate::convert::write(item, &mut out);
        if out.len() > BUILT_BYTES_MAX {
            return Err(CallError::TooLarge);
        }
    }
    Ok(args.string(&out))
}

fn join_to_sql_values_string(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let mut out = Vec::new();
    for (at, item) in args.array(0)?.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b", ");
        }
        match item {
            Value::Undefined => out.extend_from_slice(b"NULL"),
            Value::Int(_) | Value::Big(_) | Value::Float(_) => crate::convert::write(item, &mut out),
            item => {
                out.push(b'\'');
                for byte in args.converted(*item) {
                    out.push(*byte);
                    if *byte == b'\'' {
                        out.push(b'\'');
                    }
                }
                out.push(b'\'');
            }
        }
        if out.len() > BUILT_BYTES_MAX {
            return Err(CallError::TooLarge);
        }
    }
    Ok(args.string(&out))
}

fn lower(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let text = args.utf8(0)?;
    let mut out = args.builder(text.len());
    if text.is_ascii() {
        out.extend_from_slice(text.as_bytes());
        out.make_ascii_lowercase();
    } else {
        push_all(&mut out, text.chars().flat_map(char::to_lowercase));
    }
    Ok(Value::Str(out.into_bump_slice()))
}

fn upper(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let text = args.utf8(0)?;
    let mut out = args.builder(text.len());
    if text.is_ascii() {
        out.extend_from_slice(text.as_bytes());
        out.make_ascii_uppercase();
    } else {
        push_all(&mut out, text.chars().flat_map(char::to_uppercase));
    }
    Ok(Value::Str(out.into_bump_slice()))
}

fn push_all(out: &mut bumpalo::collections::Vec<'_, u8>, characters: impl Iterator<Item = char>) {
    for character in characters {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

fn ltrim(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let Value::Array(items) = args.value(0) else {
        return Ok(Value::text(args.utf8(0)?.trim_start_matches(is_space)));
    };
    let mut rest = items;
    while let Some((first, behind)) = rest.split_first() {
        match first {
            Value::Str(bytes) => {
                let text = std::str::from_utf8(bytes)
                    .map_err(|_| CallError::Domain { arg: 0, reason: "is not UTF-8" })?
                    .trim_start_matches(is_space);
                if !text.is_empty() {
                    return Ok(args.list(std::iter::once(Value::text(text)).chain(behind.iter().copied())));
                }
            }
            Value::Int(code) => match u32::try_from(*code).ok().and_then(char::from_u32) {
                Some(character) if is_space(character) => {}
                Some(_) => break,
                None => return Err(args.kind(0, TEXT)),
            },
            _ => return Err(args.kind(0, TEXT)),
        }
        rest = behind;
    }
    Ok(Value::Array(rest))
}

fn pad(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let text = args.utf8(0)?;
    // Less than nothing is nothing to add.
    let length = usize::try_from(args.int(1)?).unwrap_or(0);
    let side = match args.len() {
        2 => "trailing",
        _ => option(args, 2, &["leading", "trailing", "both"])?,
    };
    let fill = if args.len() > 3 { args.str(3)? } else { " " };
    if !fill.is_ascii() {
        return Err(CallError::Domain { arg: 3, reason: "is not ASCII" });
    }
    let missing = length.saturating_sub(text.graphemes(true).count());
    if missing.saturating_mul(fill.len()) > BUILT_BYTES_MAX {
        return Err(CallError::TooLarge);
    }
    let before = match side {
        "leading" => missing,
        "both" => missing / 2,
        _ => 0,
    };
    let mut out = args.builder(text.len() + missing * fill.len());
    (0..before).for_each(|_| out.extend_from_slice(fill.as_bytes()));
    out.extend_from_slice(text.as_bytes());
    (before..missing).for_each(|_| out.extend_from_slice(fill.as_bytes()));
    Ok(Value::Str(out.into_bump_slice()))
}

fn replace(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (text, part, new) = (args.utf8(0)?, args.str(1)?, args.str(2)?);
    let which = if args.len() > 3 { option(args, 3, &["all", "leading", "trailing"])? } else { "all" };
    if part.is_empty() {
        return Ok(Value::text(text));
    }
    let once = |at: Option<usize>| match at {
        Some(at) => [&text[..at], new, &text[at + part.len()..]].concat(),
        None => text.to_owned(),
    };
    let replaced = match which {
        "leading" => once(text.find(part)),
        "trailing" => once(text.rfind(part)),
        _ => {
            let grown = text.matches(part).count().saturating_mul(new.len());
            if grown > BUILT_BYTES_MAX {
                return Err(CallError::TooLarge);
            }
            text.replace(part, new)
        }
    };
    Ok(args.string(replaced.as_bytes()))
}

fn reverse(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let text = args.text(0)?;
    if !text.is_ascii() {
        return Err(CallError::Domain { arg: 0, reason: "has characters beyond ASCII" });
    }
    let mut out = args.builder(text.len());
    out.extend(text.iter().rev());
    Ok(Value::Str(out.into_bump_slice()))
}

fn rm_prefix(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let prefix = args.bytes(1)?;
    if let value @ (Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Array(_) | Value::Map(_)) =
        args.value(0)
    {
        return Ok(value);
    }
    let text = args.text(0)?;
    Ok(Value::Str(text.strip_prefix(prefix).unwrap_or(text)))
}

fn rtrim(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let text = args.utf8(0)?;
    let rest = match args.len() {
        1 => text.trim_end_matches(is_space),
        _ => {
            let characters = args.str(1)?;
            text.trim_end_matches(|character| characters.contains(character))
        }
    };
    Ok(Value::text(rest))
}

fn split(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (text, separator) = (args.utf8(0)?, args.str(1)?);
    let options = ["notrim", "leading", "leading_notrim", "trailing", "trailing_notrim"];
    let which = if args.len() > 2 { option(args, 2, &options)? } else { "" };
    let keep = |part: &&str| which.ends_with("notrim") || !part.is_empty();
    if separator.is_empty() {
        return Ok(args.list(Some(text).filter(keep).map(Value::text)));
    }
    let pair = |halves: Option<(_, _)>| match halves {
        Some((before, behind)) => args.list([before, behind].into_iter().filter(keep).map(Value::text)),
        None => args.list(Some(text).filter(keep).map(Value::text)),
    };
    Ok(match which.trim_end_matches("_notrim") {
        "leading" => pair(text.split_once(separator)),
        "trailing" => pair(text.rsplit_once(separator)),
        _ => args.list(text.split(separator).filter(keep).map(Value::text)),
    })
}

fn substr(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (text, start) = (args.utf8(0)?, args.count(1)?);
    let length = if args.len() > 2 { args.count(2)? } else { usize::MAX };
    if text.is_ascii() && !text.contains('\r') {
        let rest = text.get(start..).unwrap_or_default();
        return Ok(Value::text(rest.get(..length).unwrap_or(rest)));
    }
    let mut places = text.grapheme_indices(true).map(|(at, _)| at).chain(std::iter::once(text.len()));
    let from = places.nth(start).unwrap_or(text.len());
    let to = match length {
        0 => from,
        length => places.nth(length - 1).unwrap_or(text.len()),
    };
    Ok(Value::text(&text[from..to]))
}

fn tokens(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let separators = args.str(1)?;
    let lines = args.len() > 2 && option(args, 2, &["nocrlf"])? == "nocrlf";
    if separators.is_ascii() {
        // What is between need not be text then.
        let separates =
            |byte: &u8| separators.as_bytes().contains(byte) || lines && matches!(byte, b'\r' | b'\n');
        let parts = args.text(0)?.split(separates).filter(|part| !part.is_empty());
        return Ok(args.list(parts.map(Value::Str)));
    }
    let text = args.utf8(0)?;
    let separates =
        |character: char| separators.contains(character) || lines && matches!(character, '\r' | '\n');
    Ok(args.list(text.split(separates).filter(|part| !part.is_empty()).map(Value::text)))
}

fn unescape(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let text = args.utf8(0)?;
    let mut out = args.builder(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let Some(sign) = behind.chars().next() else {
            out.push(b'\\');
            rest = "";
            break;
        };
        rest = &behind[sign.len_utf8()..];
        let resolved = match sign {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'a' => '\u{7}',
            '\'' | '"' | '\\' | '?' => sign,
            'x' => {
                let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
                let code = u32::from_str_radix(&rest[..digits], 16).ok();
                rest = &rest[digits..];
                code.and_then(char::from_u32)
                    .ok_or(CallError::Domain { arg: 0, reason: r"has a `\x` that is no character" })?
            }
            _ => return Err(CallError::Domain { arg: 0, reason: "has an unknown escape" }),
        };
        push_all(&mut out, std::iter::once(resolved));
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(Value::Str(out.into_bump_slice()))
}
