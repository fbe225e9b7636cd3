//! One rule as it runs.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use connector::{ActionQueue, Dropped, Render, Row};
use eval::Program;
use event::{Column, Completion, Event, LocalPublish};
use rustc_hash::FxHasher;
use template::Scope;
use value::{Arena, Entry, Map, Value};

use crate::metrics::RuleMetrics;
use crate::republish::{Republish, Republished, Target};

/// A rule of a generation: its program, what is done with its rows, and its counters, which outlive it.
pub(crate) struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) program: Arc<Program>,
    pub(crate) actions: Box<[Binding]>,
    pub(crate) metrics: Arc<RuleMetrics>,
}

/// An action of a rule, looked up.
pub(crate) enum Binding {
    /// A declared action: its templates and its queue.
    Queue { render: Arc<dyn Render>, queue: Arc<ActionQueue> },
    /// A declared action that is disabled: rows are counted there as dropped.
    Disabled { queue: Arc<ActionQueue> },
    /// An action that is not there any more.
    Missing,
    /// Into the local broker.
    Republish(Arc<Republish>),
    /// Into the log.
    Console,
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
}

impl Rule {
    /// Hands a row to every action, in their order.
    pub(crate) fn act(&self, row: &Value<'_>, around: &Surroundings<'_>, buffer: &mut Vec<u8>) {
        let scope = RowScope::new(*row, around.event, &self.id);
        let event = around.event;
        let row = Row {
            scope: &scope,
            properties: event.columns.properties(),
            hops: event.trail.hops(),
            at_ms: event.timestamp_ms,
        };
        for action in &self.actions {
            match action {
                Binding::Queue { render, queue } => self.queue(&**render, queue, &row, around, buffer),
                Binding::Disabled { queue } => {
                    queue.refuse(Dropped::ResourceStopped);
                    self.metrics.actions_failed_out_of_service.add_one();
                }
                Binding::Missing => self.metrics.actions_failed_out_of_service.add_one(),
                Binding::Republish(republish) => self.republish(republish, &row, around, buffer),
                Binding::Console => {
                    self.print(&scope, around);
                    self.metrics.actions_success.add_one();
                }
            }
        }
    }

    /// A log line about a single message, few enough to be read.
    pub(crate) fn warn(&self, reason: &str) {
        if let Some(count) = self.metrics.notice.due(1) {
            tracing::warn!(rule = &*self.id, count, "{reason}");
        }
    }

    fn queue(
        &self,
        render: &dyn Render,
        queue: &ActionQueue,
        row: &Row<'_>,
        around: &Surroundings<'_>,
        buffer: &mut Vec<u8>,
    ) {
        buffer.clear();
        match render.render(row, around.arena, buffer) {
            Ok(()) => {
                queue.push(around.key, &*buffer, around.completion, around.now);
                self.metrics.actions_success.add_one();
            }
            Err(error) => {
                queue.fail(&error.to_string());
                self.metrics.actions_failed_unknown.add_one();
            }
        }
    }

    fn republish(
        &self,
        republish: &Republish,
        row: &Row<'_>,
        around: &Surroundings<'_>,
        buffer: &mut Vec<u8>,
    ) {
        let target = Target {
            local: around.local,
            rule: &self.id,
            trail: around.event.trail,
            completion: around.completion,
        };
        match republish.run(row, around.arena, buffer, &target) {
            Republished::Published => self.metrics.actions_success.add_one(),
            Republished::Discarded => {
                self.metrics.actions_discarded.add_one();
                self.warn("the rule would have fed itself, so the message was not republished");
            }
            Republished::Failed(reason) => {
                self.metrics.actions_failed_unknown.add_one();
                self.warn(&reason);
            }
            Republished::Stopping => {
                self.metrics.actions_failed_out_of_service.add_one();
                // A part that nobody settles withholds the acknowledgement.
                drop(around.completion.map(Completion::part));
            }
        }
    }

    /// The console action: the row and what it was made of.
    fn print(&self, scope: &RowScope<'_>, around: &Surroundings<'_>) {
        let mut row = Vec::new();
        value::json::write(&scope.row, &mut row);
        let mut columns = Vec::new();
        value::json::write(&scope.columns(around.arena), &mut columns);
        tracing::info!(
            rule = &*self.id,
            row = %String::from_utf8_lossy(&row),
            columns = %String::from_utf8_lossy(&columns),
            "console"
        );
    }
}

/// The hash by which an event finds its lane in every action.
pub(crate) fn order_key(event: &Event<'_>, arena: &Arena) -> u64 {
    let mut hasher = FxHasher::default();
    for column in [Column::Clientid, Column::Topic] {
        if let Value::Str(bytes) = event.columns.get(column, arena) {
            bytes.hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// What placeholders see: the row, then the columns of the event.
pub(crate) struct RowScope<'a> {
    row: Value<'a>,
    event: &'a Event<'a>,
    rule_id: &'a str,
}

impl Scope for RowScope<'_> {
    fn row(&self) -> Value<'_> {
        self.row
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
    pub(crate) fn new(row: Value<'r>, event: &'r Event<'r>, rule_id: &'r str) -> Self {
        Self { row, event, rule_id }
    }

    /// Every column of the event that has a value.
    fn columns<'a>(&'a self, arena: &'a Arena) -> Value<'a> {
        let spec = self.event.kind.spec();
        let columns = spec.columns.iter().map(|(column, _)| *column).chain(spec.unfilled.iter().copied());
        let entries: Vec<Entry<'_>> = columns
            .map(|column| Entry {
                key: column.name().as_bytes(),
                value: self.event.columns.get(column, arena),
            })
            .filter(|entry| !entry.value.is_undefined())
            .collect();
        Value::Map(Map::new(arena.slice(&entries)))
    }
}
