//! What one evaluation of a jq program may take, and the end of one that takes more.
//!
//! The interpreter has no bounds of its own. It asks for its table of terms at every step, though, and every value it
//! makes is ours: both come past here. Past a bound the evaluation is unwound up to [`guarded`], as an error of jq
//! could be caught by the program itself. Nothing of this touches the panic hook.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// A bound that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// It takes too long.
    Time,
    /// It holds too much.
    Memory,
    /// A value, or all that it gives, is too large.
    Size,
    /// A value is nested too deeply.
    Depth,
    /// Functions call each other too deeply.
    Recursion,
    /// The interpreter has failed.
    Internal,
}

impl Bound {
    /// The words for an error message.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Bound::Time => "takes too long",
            Bound::Memory => "takes too much memory",
            Bound::Size => "gives too much",
            Bound::Depth => "makes a value that is nested too deeply",
            Bound::Recursion => "calls itself too deeply",
            Bound::Internal => "cannot be run",
        }
    }
}

/// The stack of an evaluation (bytes). Only what is touched takes memory.
const STACK_BYTES: usize = 64 << 20;
/// What of it stays free for the interpreter's linked lists, which are dropped recursively: [`CHAINED_MAX`] says how
/// long they get (bytes).
const STACK_RESERVE_BYTES: usize = 48 << 20;
/// Steps without a look at the clock.
const STEPS_PER_LOOK: u32 = 2048;
/// What all values together may take (bytes).
const BYTES_MAX: usize = 64 << 20;
/// How much one value may be, counted as if nothing in it were shared (bytes).
pub(super) const SIZE_MAX: usize = 8 << 20;
/// How deeply a value may be nested.
pub(super) const DEPTH_MAX: u16 = value::json::DEPTH_MAX as u16;
/// How many contexts, of some hundred bytes each, the interpreter may hold at once.
const CONTEXTS_MAX: u32 = 200_000;
/// How often the interpreter may lengthen a linked list: by calling a function that takes functions, or by reading
/// from null, which is the only path that can go on for ever.
const CHAINED_MAX: u32 = 100_000;

struct Meter {
    left: Cell<u32>,
    deadline: Cell<Option<Instant>>,
    bytes: Cell<usize>,
    contexts: Cell<u32>,
    chained: Cell<u32>,
}

thread_local! {
    static METER: Meter = const {
        Meter {
            left: Cell::new(0),
            deadline: Cell::new(None),
            bytes: Cell::new(0),
            contexts: Cell::new(0),
            chained: Cell::new(0),
        }
    };
}

/// Runs something within the bounds, on a stack of its own.
pub(super) fn guarded<T>(time: Duration, run: impl FnOnce() -> T) -> Result<T, Bound> {
    METER.with(|meter| {
        meter.left.set(STEPS_PER_LOOK);
        meter.deadline.set(Instant::now().checked_add(time));
        meter.bytes.set(0);
        meter.contexts.set(0);
        meter.chained.set(0);
    });
    let caught = stacker::grow(STACK_BYTES, || catch_unwind(AssertUnwindSafe(run)));
    caught.map_err(|payload| payload.downcast_ref().copied().unwrap_or(Bound::Internal))
}

#[cold]
pub(super) fn stop(bound: Bound) -> ! {
    resume_unwind(Box::new(bound))
}

/// One step of the interpreter.
pub(super) fn step() {
    if stacker::remaining_stack().is_some_and(|left| left < STACK_RESERVE_BYTES) {
        stop(Bound::Recursion);
    }
    work(1);
}

/// Work that is worth so many steps.
pub(super) fn work(steps: usize) {
    METER.with(|meter| {
        match usize::try_from(meter.left.get()).ok().and_then(|left| left.checked_sub(steps)) {
            Some(left) => meter.left.set(left as u32),
            None => look(meter),
        }
    });
}

/// Work of which nobody knows how much it was.
pub(super) fn look_at_the_clock() {
    METER.with(look);
}

#[cold]
fn look(meter: &Meter) {
    meter.left.set(STEPS_PER_LOOK);
    if meter.deadline.get().is_some_and(|deadline| Instant::now() >= deadline) {
        stop(Bound::Time);
    }
}

/// Takes memory for a value.
pub(super) fn take(bytes: usize) {
    METER.with(|meter| {
        let all = meter.bytes.get().saturating_add(bytes);
        if all > BYTES_MAX {
            stop(Bound::Memory);
        }
        meter.bytes.set(all);
    });
    work(bytes / 64);
}

/// Whether there is room for so much more, which is about to be taken.
pub(super) fn room_for(bytes: usize) {
    if METER.with(|meter| meter.bytes.get()).saturating_add(bytes) > BYTES_MAX {
        stop(Bound::Memory);
    }
}

/// Gives memory back.
pub(super) fn give(bytes: usize) {
    METER.with(|meter| meter.bytes.set(meter.bytes.get().saturating_sub(bytes)));
}

/// Something that makes one of the interpreter's linked lists longer.
pub(super) fn chain() {
    METER.with(|meter| {
        let chained = meter.chained.get() + 1;
        if chained > CHAINED_MAX {
            stop(Bound::Recursion);
        }
        meter.chained.set(chained);
    });
}

/// Counts one context of the interpreter while it lives.
pub(super) struct Context(());

impl Context {
    pub(super) fn new() -> Self {
        METER.with(|meter| {
            let contexts = meter.contexts.get() + 1;
            if contexts > CONTEXTS_MAX {
                stop(Bound::Memory);
            }
            meter.contexts.set(contexts);
        });
        Context(())
    }
}

impl Clone for Context {
    fn clone(&self) -> Self {
        Context::new()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        METER.with(|meter| meter.contexts.set(meter.contexts.get().saturating_sub(1)));
    }
}
