use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fancy_regex::{BytesMode, Regex, RegexBuilder};
use value::{Arena, Value};

use crate::function::{ARRAY, BOOL, STR, TEXT, fails, gives, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, String Operation Functions (regex_…)";
const BAD_PATTERN: &str =
    "Fails when an argument is not text, the pattern is no regular expression, or matching takes too long.";

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "regex_extract",
        usage: "regex_extract(string, pattern)",
        signatures: &[sig(&[TEXT.union(ARRAY), STR], ARRAY)],
        summary: "The groups of the first match; none if nothing matches. Works on bytes.",
        errors: BAD_PATTERN,
        source: SOURCE,
        examples: &[gives("regex_extract('rack 12', '([a-z]+) ([0-9]+)')", "['rack', '12']")],
        body: |args| args.context().effort.timed(|| regex_extract(args)),
    },
    Function {
        name: "regex_match",
        usage: "regex_match(string, pattern)",
        signatures: &[sig(&[TEXT.union(ARRAY), STR], BOOL)],
        summary: "Whether the pattern matches anywhere. Works on bytes.",
        errors: BAD_PATTERN,
        source: SOURCE,
        examples: &[
            gives("regex_match('abc123', '^[a-z]+[0-9]+$')", "true"),
            fails("regex_match('x', '[a-')"),
        ],
        body: |args| {
            let (regex, text) = (pattern(args)?, subject(args)?);
            let found = args.context().effort.timed(|| regex.is_match(text));
            found.map(Value::Bool).map_err(|_| TOO_LONG)
        },
    },
    Function {
        name: "regex_replace",
        usage: "regex_replace(string, pattern, new)",
        signatures: &[sig(&[TEXT.union(ARRAY), STR, STR], STR)],
        summary: r"The string with every match replaced; `&` in the new text stands for the match, `\1` for its first group. Works on bytes.",
        errors: BAD_PATTERN,
        source: SOURCE,
        examples: &[
            gives("regex_replace('a1b22', '[0-9]+', '#')", "'a#b#'"),
            gives(r"regex_replace('k=v', '(.)=(.)', '\2=\1')", "'v=k'"),
        ],
        body: |args| args.context().effort.timed(|| regex_replace(args)),
    },
];

const TOO_LONG: CallError = CallError::Domain { arg: 1, reason: "takes too long to match" };
/// How many compiled patterns a thread keeps.
const KEPT_MAX: usize = 256;
/// How often a match may be tried anew from an earlier place.
const BACKTRACKS_MAX: usize = 1_000_000;
/// How long a call that replaces may go on.
const MATCHING_MAX: Duration = Duration::from_millis(500);

thread_local! {
    // A memory of pure results: patterns are nearly always constants of a rule, and compiling them is slow.
    static KEPT: RefCell<HashMap<Vec<u8>, Rc<Regex>>> = RefCell::default();
}

fn pattern(args: Args<'_>) -> Result<Rc<Regex>, CallError> {
    compiled(args.bytes(1)?).map_err(|reason| CallError::Said { arg: 1, reason: reason.into() })
}

/// Whether a text is a regular expression.
pub(crate) fn check_pattern(text: &[u8]) -> Result<(), String> {
    compiled(text).map(|_| ())
}

fn compiled(text: &[u8]) -> Result<Rc<Regex>, String> {
    KEPT.with_borrow_mut(|kept| {
        if let Some(regex) = kept.get(text) {
            return Ok(Rc::clone(regex));
        }
        let pattern = std::str::from_utf8(text).map_err(|_| "is not UTF-8".to_owned())?;
        let mut builder = RegexBuilder::new(pattern);
        builder.bytes_mode(BytesMode::Ascii).unicode_mode(false).backtrack_limit(BACKTRACKS_MAX);
        let bad =
            |error: fancy_regex::Error| format!("is no regular expression: {}", one_line(&error.to_string()));
        let regex = Rc::new(builder.build().map_err(bad)?);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(text.to_vec(), Rc::clone(&regex));
        Ok(regex)
    })
}

/// The last line of an error, which says what is wrong; the others draw the pattern.
fn one_line(error: &str) -> &str {
    error.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim()
}

/// The text to search: text, or a list of strings and bytes joined.
fn subject(args: Args<'_>) -> Result<&[u8], CallError> {
    match args.value(0) {
        list @ Value::Array(_) => {
            let mut out = Vec::new();
            crate::bits::flatten(&list, &mut |bytes| out.extend_from_slice(bytes))
                .ok_or_else(|| args.kind(0, TEXT))?;
            Ok(args.arena().slice(&out))
        }
        _ => args.text(0),
    }
}

fn regex_extract(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (regex, text) = (pattern(args)?, subject(args)?);
    let Some(captures) = regex.captures(text).map_err(|_| TOO_LONG)? else { return Ok(Value::Array(&[])) };
    let last = (1..captures.len()).rev().find(|at| captures.get(*at).is_some()).unwrap_or(0);
    let group = |at| captures.get(at).map_or(&b""[..], |found| &text[found.start()..found.end()]);
    Ok(args.list((1..=last).map(|at| Value::Str(group(at)))))
}

fn regex_replace(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (regex, text, new) = (pattern(args)?, subject(args)?, args.bytes(2)?);
    let parts = parts(new);
    let mut out = args.builder(text.len());
    let (mut copied, mut from, mut count) = (0, 0, 0_usize);
    // Each match has its bound on backtracking, which says little where there are many of them.
    let deadline = Instant::now() + MATCHING_MAX;
    // As PCRE goes on: an empty match may follow right behind one that is not, so `a*` finds two in `aaa`, which the
    // iterator of the library does not.
    while from <= text.len() {
        let captures = regex.captures_from_pos(text, from).map_err(|_| TOO_LONG)?;
        count += 1;
        if count.is_multiple_of(64) && Instant::now() > deadline {
            return Err(TOO_LONG);
        }
        let Some((captures, whole)) = captures.and_then(|found| found.get(0).map(|whole| (found, whole)))
        else {
            break;
        };
        from = whole.end() + usize::from(whole.end() == whole.start());
        out.extend_from_slice(&text[copied..whole.start()]);
        for part in &parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Group(at) => {
                    let range = captures.get(*at).map(|found| found.start()..found.end());
                    out.extend_from_slice(range.map_or(&b""[..], |range| &text[range]));
                }
            }
        }
        if out.len() > Arena::BYTES_MAX / 4 {
            return Err(CallError::TooLarge);
        }
        copied = whole.end();
    }
    out.extend_from_slice(&text[copied..]);
    Ok(Value::Str(out.into_bump_slice()))
}

/// A part of a replacement text.
enum Part<'t> {
    Text(&'t [u8]),
    Group(usize),
}

/// `&` is the match, `\1`, `\g1` and `\g{1}` a group, and `\` before anything else that thing itself.
fn parts(new: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = new;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'&' | b'\\')) {
        parts.push(Part::Text(&rest[..at]));
        let behind = &rest[at + 1..];
        rest = match (rest[at], group(behind)) {
            (b'&', _) => {
                parts.push(Part::Group(0));
                behind
            }
            (_, Some((group, taken))) => {
                parts.push(Part::Group(group));
                &behind[taken..]
            }
            _ if behind.is_empty() => {
                parts.push(Part::Text(b"\\"));
                behind
            }
            _ => {
                parts.push(Part::Text(&behind[..1]));
                &behind[1..]
            }
        };
    }
    parts.push(Part::Text(rest));
    parts
}

/// The number of a group behind a backslash, and how long its spelling is.
fn group(text: &[u8]) -> Option<(usize, usize)> {
    let (digits, around) = match text {
        [b'g', b'{', digits @ ..] => (digits, 3),
        [b'g', digits @ ..] => (digits, 1),
        digits => (digits, 0),
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if around == 3 && digits.get(length) != Some(&b'}') {
        return None;
    }
    let number = std::str::from_utf8(&digits[..length]).ok()?.parse().ok()?;
    Some((number, length + around))
}
