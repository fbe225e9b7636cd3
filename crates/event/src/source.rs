use value::{Arena, Map, Value};

use crate::{Column, Columns, MessageId, Properties};

/// A message that a source received from its remote: the event `$bridges/mqtt:NAME`.
#[derive(Debug, Clone, Copy)]
pub struct SourceMessage<'a> {
    /// Its identity, given at arrival.
    pub id: MessageId,
    /// `$bridges/mqtt:NAME`: what the `event` column shows.
    pub event: &'a str,
    /// The remote as it is configured, `host:port`.
    pub server: &'a str,
    /// The topic at the remote.
    pub topic: &'a str,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The RETAIN flag.
    pub retain: bool,
    /// The DUP flag.
    pub dup: bool,
    /// The bytes as they came.
    pub payload: &'a [u8],
    /// MQTT 5 properties.
    pub properties: Option<&'a Properties>,
    /// When it was read (milliseconds since 1970 UTC).
    pub received_at_ms: i64,
    /// The node that read it.
    pub node: &'a str,
}

impl Columns for SourceMessage<'_> {
    fn get<'a>(&'a self, column: Column, arena: &'a Arena) -> Value<'a> {
        match column {
            Column::Event => Value::text(self.event),
            Column::Id => Value::Str(arena.slice(&self.id.hex())),
            Column::Payload => Value::Str(self.payload),
            Column::Server => Value::text(self.server),
            Column::Topic => Value::text(self.topic),
            Column::Qos => Value::Int(i64::from(self.qos)),
            Column::Retain => Value::Bool(self.retain),
            Column::Dup => Value::Bool(self.dup),
            Column::Flags => crate::publish::flags(self.retain, self.dup, arena),
            Column::PubProps => match self.properties {
                Some(properties) => properties.to_value(arena),
                None => Value::Map(Map::default()),
            },
            Column::MessageReceivedAt | Column::Timestamp => Value::Int(self.received_at_ms),
            Column::Node => Value::Atom(self.node),
            _ => Value::Undefined,
        }
    }

    fn properties(&self) -> Option<&Properties> {
        self.properties
    }
}
