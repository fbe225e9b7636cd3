//! A dead letter as the event that it tells of.

use std::net::SocketAddr;

use dead_letters::{Letter, Message};
use event::{Column, Columns, EVENTS, EventKind, Properties};
use value::{Arena, Entry, Map, Value, json};

/// The columns of the event that a letter tells of.
pub(crate) struct LetterColumns<'a> {
    letter: &'a Letter,
    node: &'a str,
    /// Those of an event that is no message.
    columns: Value<'a>,
    properties: Option<Properties>,
}

impl<'a> LetterColumns<'a> {
    pub(crate) fn new(letter: &'a Letter, node: &'a str, arena: &'a Arena) -> Self {
        let pub_props = letter.message.as_ref().and_then(|message| message.pub_props.as_ref());
        Self {
            letter,
            node,
            columns: parsed(letter.columns.as_ref(), arena).unwrap_or_default(),
            properties: parsed(pub_props, arena).map(|value| Properties::from_value(&value)),
        }
    }

    /// Which event it was; `None` for one that this release does not know.
    pub(crate) fn kind(&self) -> Option<EventKind> {
        let name = self.letter.event.as_str();
        if self.letter.message.is_some() {
            let is_source = name != EventKind::MessagePublish.spec().name;
            return Some(if is_source { EventKind::Source } else { EventKind::MessagePublish });
        }
        EVENTS.iter().find(|spec| spec.from.contains(&name)).map(|spec| spec.kind)
    }

    /// What FROM is matched against; the second spelling is empty where there is none.
    pub(crate) fn from(&self, kind: EventKind) -> [String; 2] {
        let name = self.letter.event.as_str();
        match (kind, &self.letter.message) {
            (EventKind::MessagePublish, Some(message)) => [message.topic.clone(), String::new()],
            (EventKind::Source, _) => [name.to_owned(), name.replacen("$bridges/", "$sources/", 1)],
            _ => {
                let other = kind.spec().from.iter().find(|other| **other != name);
                [name.to_owned(), other.copied().unwrap_or_default().to_owned()]
            }
        }
    }

    fn of_message<'b>(&'b self, message: &'b Message, column: Column, arena: &'b Arena) -> Value<'b> {
        let text = |text: &'b Option<String>| text.as_deref().map_or(Value::Undefined, Value::text);
        match column {
            Column::Event => Value::text(&self.letter.event),
            Column::Id => Value::text(&message.id),
            Column::Clientid => text(&message.clientid),
            Column::Username => text(&message.username),
            Column::Server => text(&message.server),
            Column::Peername => text(&message.peername),
            Column::Peerhost => {
                let peer = message.peername.as_ref().and_then(|peer| peer.parse::<SocketAddr>().ok());
                peer.map_or(Value::Undefined, |peer| Value::text(arena.str(&peer.ip().to_string())))
            }
            Column::Topic => Value::text(&message.topic),
            Column::Payload => Value::Str(&message.payload),
            Column::Qos => Value::Int(i64::from(message.qos)),
            Column::Retain => Value::Bool(message.retain),
            Column::Dup => Value::Bool(message.dup),
            Column::Flags => {
                let flags = [
                    Entry { key: b"retain", value: Value::Bool(message.retain) },
                    Entry { key: b"dup", value: Value::Bool(message.dup) },
                ];
                Value::Map(Map::new(arena.slice(&flags)))
            }
            Column::PubProps => self
                .properties
                .as_ref()
                .map_or(Value::Map(Map::default()), |properties| properties.to_value(arena)),
            Column::Timestamp | Column::PublishReceivedAt | Column::MessageReceivedAt => {
                Value::Int(self.letter.event_at_ms)
            }
            Column::Node => Value::Atom(self.node),
            _ => Value::Undefined,
        }
    }
}

impl Columns for LetterColumns<'_> {
    fn get<'b>(&'b self, column: Column, arena: &'b Arena) -> Value<'b> {
        match (&self.letter.message, self.columns) {
            (Some(message), _) => self.of_message(message, column, arena),
            (None, Value::Map(columns)) => columns.get(column.name().as_bytes()).unwrap_or_default(),
            (None, _) => Value::Undefined,
        }
    }

    fn properties(&self) -> Option<&Properties> {
        self.properties.as_ref()
    }
}

/// A part of a letter as a value.
pub(crate) fn parsed<'a>(found: Option<&serde_json::Value>, arena: &'a Arena) -> Option<Value<'a>> {
    let text = arena.str(&found.map(ToString::to_string)?);
    json::parse(text.as_bytes(), arena).ok()
}
