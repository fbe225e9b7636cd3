use std::cell::Cell;
use std::sync::Arc;

use event::{Column, Event};
use functions::{CallContext, ColumnSource, Effort, Random, Surroundings};
use value::json::JsonError;
use value::{Arena, Value};

use crate::catalog::{bit, declared};
use crate::paths::Union;
use crate::run::{Run, Verdict};
use crate::scan::Scan;
use crate::{EvalError, Program};

/// What one thread needs to evaluate: its arena and what lies outside of messages.
///
/// Keep one per thread and use it for every message; after the first few it takes no more memory from the heap.
#[derive(Debug)]
pub struct Worker {
    arena: Arena,
    random: Random,
    surroundings: Arc<Surroundings>,
    effort: Effort,
}

impl Worker {
    /// A worker whose random numbers begin at `seed`.
    pub fn new(surroundings: Arc<Surroundings>, seed: u64) -> Self {
        Self { arena: Arena::new(), random: Random::new(seed), surroundings, effort: Effort::default() }
    }

    /// Takes up the next message: everything that was built for the one before is gone. `union` belongs to the
    /// programs that will run on it.
    pub fn begin<'m>(&'m mut self, event: &'m Event<'m>, union: &'m Union) -> Message<'m> {
        self.arena.reset();
        let this: &'m Worker = self;
        let arena = &this.arena;
        let columns: &'m EventColumns<'m> = arena.bump().alloc(EventColumns(event));
        let selecting = CallContext {
            arena,
            columns: Some(columns),
            now_micros: event.timestamp_ms.saturating_mul(1000),
            random: &this.random,
            surroundings: &this.surroundings,
            effort: &this.effort,
        };
        Message(arena.bump().alloc(Ground {
            arena,
            event,
            declared: declared(event.kind),
            union,
            scan: Cell::new(None),
            selecting,
            judging: CallContext { columns: None, ..selecting },
        }))
    }
}

struct EventColumns<'m>(&'m Event<'m>);

impl ColumnSource for EventColumns<'_> {
    fn column<'a>(&'a self, name: &str, arena: &'a Arena) -> Value<'a> {
        match Column::from_name(name) {
            Some(column) if declared(self.0.kind) & bit(column) != 0 => self.0.columns.get(column, arena),
            _ => Value::Undefined,
        }
    }
}

/// One message under evaluation. Its payload is scanned when the first program needs it, once for all of them.
#[derive(Clone, Copy)]
pub struct Message<'m>(&'m Ground<'m>);

/// What all programs see of a message.
struct Ground<'m> {
    arena: &'m Arena,
    event: &'m Event<'m>,
    /// The columns of its kind of event, as bits.
    declared: u64,
    union: &'m Union,
    /// What the payload holds, once a program has asked for it.
    scan: Cell<Option<Scanned<'m>>>,
    /// What functions see in SELECT, FOREACH and DO, and what they see in WHERE and INCASE.
    selecting: CallContext<'m>,
    judging: CallContext<'m>,
}

type Scanned<'m> = Result<Option<&'m Scan<'m>>, JsonError>;

impl<'m> Message<'m> {
    /// Runs the program that stands at `place` in the list from which the union was made.
    ///
    /// Does not look at FROM: the caller has found that the program matches. Rows live as long as the message. An
    /// error concerns this program only; there are no partial results.
    pub fn run(&self, place: usize, program: &'m Program) -> Result<Verdict<'m>, EvalError> {
        self.start(place, program).all().map_err(|error| *error)
    }

    /// The same, not begun yet.
    pub(crate) fn start(&self, place: usize, program: &'m Program) -> Run<'m> {
        self.0.selecting.effort.reset();
        Run::new(*self, program, self.0.union.program(place))
    }

    /// Where rows and columns live: for templates that want more of the message.
    pub fn arena(&self) -> &'m Arena {
        self.0.arena
    }

    /// What has happened.
    pub(crate) fn event(&self) -> &'m Event<'m> {
        self.0.event
    }

    /// What functions see in SELECT, FOREACH and DO.
    pub(crate) fn selecting(&self) -> &'m CallContext<'m> {
        &self.0.selecting
    }

    /// What functions see in WHERE and INCASE.
    pub(crate) fn judging(&self) -> &'m CallContext<'m> {
        &self.0.judging
    }

    /// A column as SQL sees it.
    pub(crate) fn column(&self, column: Column) -> Value<'m> {
        if self.0.declared & bit(column) == 0 {
            return Value::Undefined;
        }
        self.0.event.columns.get(column, self.0.arena)
    }

    /// What the payload holds at the paths of the union; `None` if there is no payload.
    #[inline]
    pub(crate) fn scan(&self) -> Scanned<'m> {
        self.0.scan.get().unwrap_or_else(|| self.first_scan())
    }

    #[inline(never)]
    fn first_scan(&self) -> Scanned<'m> {
        let scan = match self.column(Column::Payload) {
            Value::Str(payload) => Scan::new(payload, self.0.union, self.0.arena).map(Some),
            _ => Ok(None),
        };
        self.0.scan.set(Some(scan));
        scan
    }
}
