//! One rule as it runs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use connector::{ActionQueue, Dropped, Item, Render, Row};
use eval::Program;
use event::{Column, Completion, Event, LocalPublish};
use template::Scope;
use value::{Arena, Entry, Map, Value};

use crate::counts::Lane;
use crate::metrics::RuleMetrics;
use crate::origin::{self, Cause};
use crate::republish::{Republish, Republished, Target};

/// A rule of a generation: its program, what is done with its rows, and its counters, which outlive it.
pub(crate) struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) program: Arc<Program>,
    pub(crate) actions: Box<[Binding]>,
    pub(crate) metrics: Arc<RuleMetrics>,
    /// The generation it was bound for.
    pub(crate) generation: u64,
    /// Whether its last evaluation that was timed took long.
    pub(crate) is_slow: AtomicBool,
}

/// An action of a rule, looked up.
pub(crate) enum Binding {
    /// A declared action.
    Queue(Bound),
    /// A declared action that is disabled: rows are counted there as dropped.
    Disabled { queue: Arc<ActionQueue> },
    /// An action that is not there any more.
    Missing,
    /// Into the local broker.
    Republish(Arc<Republish>),
    /// Into the log.
    Console,
}

/// A declared action that runs: its templates and its queue.
pub(crate) struct Bound {
    pub(crate) render: Arc<dyn Render>,
    pub(crate) queue: Arc<ActionQueue>,
    /// Whether it has fallback actions, which will want to see the row.
    pub(crate) keeps_row: bool,
}

/// Buffers to work in, kept from event to event.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Where requests are rendered.
    pub(crate) request: Vec<u8>,
    /// What they are made of.
    pub(crate) origin: Vec<u8>,
    /// How far the action under way is.
    pub(crate) step: Step,
}

/// What an action is at, which decides what becomes of its row if it breaks off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Step {
    /// It makes a request, or a message, of the row.
    #[default]
    Rendering,
    /// It writes down what the request is made of.
    Tracing,
    /// It hands the request to its queue.
    Queueing,
}

/// What the actions of one event have in common.
pub(crate) struct Surroundings<'a> {
    pub(crate) event: &'a Event<'a>,
    pub(crate) completion: Option<&'a Completion>,
    pub(crate) local: &'a dyn LocalPublish,
    pub(crate) arena: &'a Arena,
    pub(crate) now: Instant,
    /// What must stay in order among itself: the hash of publisher and topic.
    pub(crate) key: u64,
    /// Where is counted.
    pub(crate) lane: Lane,
}

impl Rule {
    /// Hands a row to every action, in their order.
    pub(crate) fn act(&self, row: &eval::Row<'_>, around: &Surroundings<'_>, scratch: &mut Scratch) {
        let counts = self.metrics.counts.of(around.lane);
        let scope = RowScope::new(*row, around.event, &self.id);
        let event = around.event;
        let row = Row {
            scope: &scope,
            properties: event.columns.properties(),
            hops: event.trail.hops(),
            at_ms: event.timestamp_ms,
        };
        for action in &self.actions {
            scratch.step = Step::Rendering;
            let tried = supervise::tried(|| match action {
                Binding::Queue(bound) => self.queue(bound, &row, around, scratch),
                Binding::Disabled { queue } => {
                    queue.refuse(Dropped::ResourceStopped);
                    counts.actions_failed_out_of_service.add_one();
                }
                Binding::Missing => counts.actions_failed_out_of_service.add_one(),
                Binding::Republish(republish) => {
                    self.republish(republish, &row, around, &mut scratch.request)
                }
                Binding::Console => {
                    self.print(&scope, around);
                    counts.actions_success.add_one();
                }
            });
            if let Err(panic) = tried {
                self.action_broke_off(action, &panic, &row, around, scratch);
            }
        }
    }

    /// A log line about a single message, few enough to be read.
    pub(crate) fn warn(&self, event: &Event<'_>, reason: &str) {
        if let Some(count) = self.metrics.notice.due(1) {
            tracing::warn!(rule = &*self.id, topic = event.from[0], count, "{reason}");
        }
    }

    fn queue(&self, bound: &Bound, row: &Row<'_>, around: &Surroundings<'_>, scratch: &mut Scratch) {
        let counts = self.metrics.counts.of(around.lane);
        let Scratch { request, origin, step } = scratch;
        request.clear();
        origin.clear();
        let rendered = bound.render.render(row, around.arena, request);
        if rendered.is_err() {
            request.clear();
        }
        *step = Step::Tracing;
        // Whoever sends it again from a letter must know which row it was.
        let keeps_row = bound.keeps_row || rendered.is_err();
        self.trace(row, keeps_row, around, request, origin);
        *step = Step::Queueing;
        match rendered {
            Ok(()) => {
                bound.queue.push(around.key, Item { request, origin }, around.completion, around.now);
                counts.actions_success.add_one();
            }
            Err(error) => {
                bound.queue.fail(&error.to_string(), origin, around.completion);
                counts.actions_failed_unknown.add_one();
            }
        }
    }

    /// Writes down what a request is made of, with its row if `keeps_row`.
    pub(crate) fn trace(
        &self,
        row: &Row<'_>,
        keeps_row: bool,
        around: &Surroundings<'_>,
        request: &[u8],
        origin: &mut Vec<u8>,
    ) {
        let cause =
            Cause { rule: &self.id, generation: self.generation, event: around.event, arena: around.arena };
        origin::write(&cause, request, keeps_row.then_some(row.scope), origin);
    }

    fn republish(
        &self,
        republish: &Republish,
        row: &Row<'_>,
        around: &Surroundings<'_>,
        buffer: &mut Vec<u8>,
    ) {
        let counts = self.metrics.counts.of(around.lane);
        let target = Target {
            local: around.local,
            rule: &self.id,
            trail: around.event.trail,
            completion: around.completion,
        };
        match republish.run(row, around.arena, buffer, &target) {
            Republished::Published => counts.actions_success.add_one(),
            Republished::Discarded => {
                counts.actions_discarded.add_one();
                self.warn(around.event, "the rule would have fed itself, so the message was not republished");
            }
            Republished::Failed(reason) => {
                counts.actions_failed_unknown.add_one();
                self.warn(around.event, &reason);
            }
            Republished::Stopping => {
                counts.actions_failed_out_of_service.add_one();
                // A part that nobody settles withholds the acknowledgement.
                drop(around.completion.map(Completion::part));
            }
        }
    }

    /// The console action: the row and what it was made of.
    fn print(&self, scope: &RowScope<'_>, around: &Surroundings<'_>) {
        let mut row = Vec::new();
        scope.row.write(&mut row);
        let mut columns = Vec::new();
        value::json::write(&event_columns(around.event, around.arena), &mut columns);
        tracing::info!(
            rule = &*self.id,
            row = %String::from_utf8_lossy(&row),
            columns = %String::from_utf8_lossy(&columns),
            "console"
        );
    }
}

/// The hash by which an event finds its lane in every action: of publisher and topic. [`origin::key`] finds the same in what
/// goes along with a request.
pub(crate) fn order_key(event: &Event<'_>, arena: &Arena) -> u64 {
    let columns = [Column::Clientid, Column::Topic].map(|column| event.columns.get(column, arena));
    connector::order_key(columns.into_iter().filter_map(|value| match value {
        Value::Str(bytes) => Some(bytes),
        _ => None,
    }))
}

/// Every column of an event that has a value.
pub(crate) fn event_columns<'a>(event: &Event<'a>, arena: &'a Arena) -> Value<'a> {
    let spec = event.kind.spec();
    let columns = spec.columns.iter().map(|(column, _)| *column).chain(spec.unfilled.iter().copied());
    let entries: Vec<Entry<'_>> = columns
        .map(|column| Entry { key: column.name().as_bytes(), value: event.columns.get(column, arena) })
        .filter(|entry| !entry.value.is_undefined())
        .collect();
    Value::Map(Map::new(arena.slice(&entries)))
}

/// What placeholders see: the row, then the columns of the event.
pub(crate) struct RowScope<'a> {
    row: eval::Row<'a>,
    event: &'a Event<'a>,
    rule_id: &'a str,
}

impl Scope for RowScope<'_> {
    fn row<'a>(&'a self, arena: &'a Arena) -> Value<'a> {
        self.row.to_value(arena)
    }

    fn selected<'a>(&'a self, name: &str, _arena: &'a Arena) -> Option<Value<'a>> {
        self.row.get(name.as_bytes())
    }

    fn write_row(&self, _arena: &Arena, out: &mut Vec<u8>) {
        self.row.write(out);
    }

    fn get<'a>(&'a self, name: &str, arena: &'a Arena) -> Value<'a> {
        match Column::from_name(name) {
            Some(Column::Metadata) => {
                let rule_id = Entry { key: b"rule_id", value: Value::text(self.rule_id) };
                Value::Map(Map::new(arena.slice(&[rule_id])))
            }
            Some(column) => self.event.columns.get(column, arena),
            None => Value::Undefined,
        }
    }
}

impl<'r> RowScope<'r> {
    pub(crate) fn new(row: eval::Row<'r>, event: &'r Event<'r>, rule_id: &'r str) -> Self {
        Self { row, event, rule_id }
    }
}
