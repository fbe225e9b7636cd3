use value::{Arena, Value};

use crate::{Column, Completion, EventKind, Properties, Trail};

/// One thing that happened, for the length of one dispatch.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// What sort of thing.
    pub kind: EventKind,
    /// What FROM is matched against: the topic of a publish, the name of an event or source in either spelling. The
    /// first is the one to show; the second is empty where there is only one spelling.
    pub from: [&'a str; 2],
    /// When it happened (milliseconds since 1970 UTC); the clock of whatever the rules compute.
    pub timestamp_ms: i64,
    /// What it brings.
    pub columns: &'a dyn Columns,
    /// The rules it has passed on its way here.
    pub trail: &'a Trail,
}

/// Gives the columns of one event. Cheap per call: a column is asked for when a rule uses it, and not otherwise.
pub trait Columns {
    /// The value of a column; `Undefined` for one that this event does not have. `arena` takes what must be built.
    fn get<'a>(&'a self, column: Column, arena: &'a Arena) -> Value<'a>;

    /// The MQTT 5 properties of the message, which travel along to wherever a rule sends it; `None` where the event is
    /// no message or has none.
    fn properties(&self) -> Option<&Properties> {
        None
    }
}

/// Columns that were put together beforehand: rare events, and the contexts of tests.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(pub &'a [(Column, Value<'a>)]);

impl Columns for Fields<'_> {
    fn get<'a>(&'a self, column: Column, _arena: &'a Arena) -> Value<'a> {
        self.0.iter().find(|(name, _)| *name == column).map_or(Value::Undefined, |(_, value)| *value)
    }
}

/// Takes events and judges them by the rules: what a broker or source holds of the engine.
pub trait Dispatch: Send + Sync {
    /// Runs every rule that the event concerns, on the caller's thread, before it returns. Never blocks: what a rule
    /// produces is queued, and each queue that the acknowledgement must wait for takes a part of `completion`.
    fn dispatch(&self, event: &Event<'_>, completion: Option<&Completion>);

    /// Whether any rule could match an event of this kind: lets a broker skip building events nobody wants.
    fn wants(&self, kind: EventKind) -> bool;
}
