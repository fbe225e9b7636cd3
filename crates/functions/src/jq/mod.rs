//! jq programs. jaq runs them, within bounds that it does not have itself: see [`meter`].

mod access;
mod heap;
mod interpreter;
mod meter;
mod natives;
mod ops;
mod regex;
#[cfg(test)]
mod tests;
mod value;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use ::value::{Arena, Value};

use self::interpreter::{End, Program};
use self::meter::Bound;
use self::value::Val;
use crate::function::{ANY, ARRAY, INT, STR, fails, gives, sig};
use crate::{Args, CallError, Function, JqTime};

pub(crate) const FUNCTIONS: &[Function] = &[Function {
    name: "jq",
    usage: "jq(program, any[, milliseconds])",
    signatures: &[sig(&[STR, ANY], ARRAY), sig(&[STR, ANY, INT], ARRAY)],
    summary: "All that a jq program gives for the value, as a list; a string is read as JSON first. It may take as long as is said, ten seconds at the most, otherwise what `jq_function_default_timeout` of the rule engine allows: a second by default.",
    errors: "Fails when the program is none, or fails, takes too long or too much memory, or a string is not JSON.",
    source: "EMQX 5 docs, Built-in SQL Functions, `jq`; the jq manual",
    examples: &[
        gives("jq('.a + 1', '{\"a\": 1}')", "[2]"),
        gives("jq('.[] | select(. > 1)', [1, 2, 3])", "[2, 3]"),
        gives("jq('.rows | map(.v) | add', '{\"rows\": [{\"v\": 1}, {\"v\": 2}]}', 100)", "[3]"),
        fails("jq('.a +', '{}')"),
        fails("jq('def f: f; f', 1, 10)"),
    ],
    body: jq,
}];

/// How long compiling a program may take.
const COMPILE_TIME_MAX: Duration = Duration::from_secs(1);
/// How long the text of a program may be (bytes).
const PROGRAM_BYTES_MAX: usize = 16 << 10;
/// How many outputs a program may have.
const OUTPUTS_MAX: usize = 100_000;
/// How many compiled programs a thread keeps.
const KEPT_MAX: usize = 128;

thread_local! {
    // A memory of pure results: programs are nearly always constants of a rule, and compiling them is slow.
    static KEPT: RefCell<HashMap<Vec<u8>, Rc<Program>>> = RefCell::default();
}

fn jq(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let effort = args.context().effort;
    let asked = match args.len() {
        2 => args.context().surroundings.jq_time.get(),
        _ => Duration::from_millis(args.count(2)? as u64).min(JqTime::MAX),
    };
    // Whoever asks for more than others get, in the call or for all of them, gets it; otherwise it comes out of what is left.
    let time = if args.len() > 2 || asked > JqTime::DEFAULT {
        effort.allow(asked);
        asked
    } else {
        effort.left().min(asked)
    };
    let program =
        program(args.bytes(0)?).map_err(|reason| CallError::Said { arg: 0, reason: reason.into() })?;
    let input = match args.value(1) {
        Value::Str(text) => args.json(1, text)?,
        value => value,
    };
    let now = args.context().now_micros as f64 / 1e6;
    let outputs = effort.timed(|| run(&program, &input, now, time, args.arena()));
    let outputs = outputs.map_err(|reason| CallError::Said { arg: 0, reason: reason.into() })?;
    Ok(args.list(outputs))
}

/// Whether a text is a program.
pub(crate) fn check_program(text: &[u8]) -> Result<(), String> {
    program(text).map(|_| ())
}

/// The program of this text, compiled at most once; otherwise what is wrong with it, to be read on after "argument 1".
fn program(text: &[u8]) -> Result<Rc<Program>, String> {
    if let Some(program) = KEPT.with_borrow(|kept| kept.get(text).map(Rc::clone)) {
        return Ok(program);
    }
    if text.len() > PROGRAM_BYTES_MAX {
        return Err(format!("is a jq program of more than {} KiB", PROGRAM_BYTES_MAX >> 10));
    }
    let code = std::str::from_utf8(text).map_err(|_| "is not UTF-8".to_owned())?;
    let compiled = meter::guarded(COMPILE_TIME_MAX, || Program::compile(code));
    let compiled = compiled.map_err(|bound| format!("is a jq program that {}", bound.reason()))?;
    let program = Rc::new(compiled.map_err(|reason| format!("is no jq program: {reason}"))?);
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(text.to_vec(), Rc::clone(&program));
    });
    Ok(program)
}

fn run<'a>(
    program: &Program,
    input: &Value<'_>,
    now: f64,
    time: Duration,
    arena: &'a Arena,
) -> Result<Vec<Value<'a>>, String> {
    let ended = meter::guarded(time, || {
        let (mut outputs, mut size) = (Vec::new(), 0usize);
        let ended = program.run(Val::from_value(input), now, |output| {
            size = size.saturating_add(output.size());
            if size > meter::SIZE_MAX || outputs.len() >= OUTPUTS_MAX {
                meter::stop(Bound::Size);
            }
            outputs.push(output.to_value(arena));
            Ok(())
        });
        match ended {
            Ok(()) | Err(End::Halt(0)) => Ok(outputs),
            Err(End::Halt(code)) => Err(format!("is a jq program that ended with {code}")),
            Err(End::Error(text)) => Err(format!("is a jq program that failed: {text}")),
        }
    });
    ended.unwrap_or_else(|bound| Err(format!("is a jq program that {}", bound.reason())))
}
