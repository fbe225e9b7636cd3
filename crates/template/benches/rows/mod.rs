//! The template of the benchmark, and the row that it is rendered for.

use template::{Scope, Template};
use value::{Arena, Entry, Map, Value};

/// Three variables, as the topic or payload of an action has them.
pub(crate) const TEMPLATE: &str = "plant/${clientid}/state/${level} at ${payload.temp}";

/// The template, parsed.
pub(crate) fn template() -> Template {
    Template::parse(TEMPLATE).0
}

/// What the row holds.
pub(crate) const CLIENTID: &str = "press4";
pub(crate) const LEVEL: i64 = 7;
pub(crate) const TEMP: f64 = 31.5;

/// The row of one message.
pub(crate) struct Row<'a>(Value<'a>);

impl<'a> Row<'a> {
    /// The row, in an arena.
    pub(crate) fn new(arena: &'a Arena) -> Self {
        let payload = Map::new(arena.slice(&[Entry { key: b"temp", value: Value::Float(TEMP) }]));
        Self(Value::Map(Map::new(arena.slice(&[
            Entry { key: b"clientid", value: Value::text(CLIENTID) },
            Entry { key: b"level", value: Value::Int(LEVEL) },
            Entry { key: b"payload", value: Value::Map(payload) },
        ]))))
    }
}

impl Scope for Row<'_> {
    fn row<'a>(&'a self, _arena: &'a Arena) -> Value<'a> {
        self.0
    }

    fn get<'a>(&'a self, _name: &str, _arena: &'a Arena) -> Value<'a> {
        Value::Undefined
    }
}
