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
use crate::shapes::Shapes;
use crate::{EvalError, Program};

/// What one thread needs to evaluate: its arena and what lies outside of messages.
///
/// Keep one per thread and use it for every message; after the first few it takes no more memory from the heap, but seldom
/// to remember how a payload looks that it has not met before.
#[derive(Debug)]
pub struct Worker {
    arena: Arena,
    random: Random,
    surroundings: Arc<Surroundings>,
    effort: Effort,
    shapes: Shapes,
}

impl Worker {
    /// A worker whose random numbers begin at `seed`.
    pub fn new(surroundings: Arc<Surroundings>, seed: u64) -> Self {
        Self {
            arena: Arena::new(),
            random: Random::new(seed),
            surroundings,
            effort: Effort::default(),
            shapes: Shapes::default(),
        }
    }

    /// Takes up the next message: everything that was built for the one before is gone. `union` belongs to the
    /// programs that will run on it.
    pub fn begin<'m>(&'m mut self, event: &'m Event<'m>, union: &'m Union) -> Message<'m> {
        self.arena.reset();
        self.shapes.settle();
        let worker: &'m Worker = self;
        Message(worker.arena.bump().alloc(Ground {
            worker,
            event,
            declared: declared(event.kind),
            union,
            scan: Cell::new(None),
            unscanned: Cell::new(Unscanned::Unread),
            contexts: Default::default(),
        }))
    }
}

/// One message under evaluation. Its payload is scanned when the first program needs it, once for all of them.
#[derive(Clone, Copy)]
pub struct Message<'m>(&'m Ground<'m>);

/// What all programs see of a message.
struct Ground<'m> {
    worker: &'m Worker,
    event: &'m Event<'m>,
    /// The columns of its kind of event, as bits.
    declared: u64,
    union: &'m Union,
    /// What the payload holds, once a program has asked for it.
    scan: Cell<Option<&'m Scan<'m>>>,
    unscanned: Cell<Unscanned>,
    /// What functions see in each clause, once one has been called there.
    contexts: [Cell<Option<&'m CallContext<'m>>>; 2],
}

/// Why there is no scan.
#[derive(Clone, Copy)]
enum Unscanned {
    /// No program has asked yet.
    Unread,
    /// There is no payload.
    Absent,
    Faulty(JsonError),
}

/// The parts of a statement that functions tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clause {
    /// SELECT, FOREACH and DO.
    Select,
    /// WHERE and INCASE, in which there are no columns for functions.
    Where,
}

impl ColumnSource for Ground<'_> {
    fn column<'a>(&'a self, name: &str, arena: &'a Arena) -> Value<'a> {
        match Column::from_name(name) {
            Some(column) if self.declared & bit(column) != 0 => self.event.columns.get(column, arena),
            _ => Value::Undefined,
        }
    }
}

impl<'m> Message<'m> {
    /// Runs the program that stands at `place` in the list from which the union was made.
    ///
    /// Does not look at FROM: the caller has found that the program matches. Rows live as long as the message. An
    /// error concerns this program only; there are no partial results.
    pub fn run(&self, place: usize, program: &'m Program) -> Result<Verdict<'m>, EvalError> {
        self.start(place, program).all().map_err(|error| *error)
    }

    /// The same, not begun yet.
    #[inline]
    pub(crate) fn start(&self, place: usize, program: &'m Program) -> Run<'m> {
        self.effort().reset();
        Run::new(*self, program, self.0.union.program(place))
    }

    /// Where rows and columns live: for templates that want more of the message.
    pub fn arena(&self) -> &'m Arena {
        &self.0.worker.arena
    }

    /// What has happened.
    pub fn event(&self) -> &'m Event<'m> {
        self.0.event
    }

    /// What the program under way may still spend in calls.
    pub(crate) fn effort(&self) -> &'m Effort {
        &self.0.worker.effort
    }

    /// What functions see in a clause.
    pub(crate) fn context(&self, clause: Clause) -> &'m CallContext<'m> {
        let kept = &self.0.contexts[clause as usize];
        kept.get().unwrap_or_else(|| {
            let Ground { worker, event, .. } = self.0;
            let columns: Option<&dyn ColumnSource> = match clause {
                Clause::Select => Some(self.0),
                Clause::Where => None,
            };
            let made = worker.arena.alloc(CallContext {
                arena: &worker.arena,
                columns,
                now_micros: event.timestamp_ms.saturating_mul(1000),
                random: &worker.random,
                surroundings: &worker.surroundings,
                effort: &worker.effort,
            });
            kept.set(Some(made));
            made
        })
    }

    /// A column as SQL sees it.
    pub(crate) fn column(&self, column: Column) -> Value<'m> {
        if self.0.declared & bit(column) == 0 {
            return Value::Undefined;
        }
        self.0.event.columns.get(column, self.arena())
    }

    /// What the payload holds at the paths of the union, if a program has asked before.
    #[inline]
    pub(crate) fn scanned(&self) -> Option<&'m Scan<'m>> {
        self.0.scan.get()
    }

    /// What the payload holds at the paths of the union; `None` if there is no payload.
    pub(crate) fn scan(&self) -> Result<Option<&'m Scan<'m>>, JsonError> {
        if let Some(scan) = self.scanned() {
            return Ok(Some(scan));
        }
        match self.0.unscanned.get() {
            Unscanned::Unread => {}
            Unscanned::Absent => return Ok(None),
            Unscanned::Faulty(error) => return Err(error),
        }
        let Value::Str(payload) = self.column(Column::Payload) else {
            self.0.unscanned.set(Unscanned::Absent);
            return Ok(None);
        };
        let Ground { worker: Worker { shapes, .. }, union, event, .. } = self.0;
        if let Some(scan) = shapes.find(payload, event.from[0], union, self.arena()) {
            self.0.scan.set(Some(scan));
            return Ok(Some(scan));
        }
        let scan = Scan::new(payload, union, self.arena());
        match scan {
            Ok(scan) => {
                shapes.walked(scan, union, self.arena());
                self.0.scan.set(Some(scan));
            }
            Err(error) => self.0.unscanned.set(Unscanned::Faulty(error)),
        }
        scan.map(Some)
    }
}
