use std::collections::HashMap;
use std::net::SocketAddr;

use value::{Arena, Entry, Map, Value};

use crate::{Column, Columns, Completion, Trail};

/// The MQTT 5 properties of a message that travel with it. Absent ones are `None`, and `user` keeps order and doubles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// Payload Format Indicator: 1 says the payload is UTF-8.
    pub payload_format_indicator: Option<u8>,
    /// Message Expiry Interval (seconds).
    pub message_expiry_interval: Option<u32>,
    /// Content Type.
    pub content_type: Option<String>,
    /// Response Topic.
    pub response_topic: Option<String>,
    /// Correlation Data.
    pub correlation_data: Option<Vec<u8>>,
    /// User Properties in the order in which they came.
    pub user: Vec<(String, String)>,
}

impl Properties {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// About what they take in memory, beyond the size of this (bytes).
    pub fn bytes(&self) -> usize {
        let Self { content_type, response_topic, correlation_data, user, .. } = self;
        let texts = [content_type, response_topic].into_iter().flatten().map(String::len).sum::<usize>();
        let pair = |(key, value): &(String, String)| size_of::<(String, String)>() + key.len() + value.len();
        texts + correlation_data.as_ref().map_or(0, Vec::len) + user.iter().map(pair).sum::<usize>()
    }

    /// The `pub_props` column: names as the specification writes them with hyphens, user properties both as a map
    /// (the last of a key wins) and as a list of pairs.
    pub fn to_value<'a>(&'a self, arena: &'a Arena) -> Value<'a> {
        let mut entries = bumpalo::collections::Vec::new_in(arena.bump());
        let mut put = |key: &'a str, value: Value<'a>| entries.push(Entry { key: key.as_bytes(), value });
        if let Some(indicator) = self.payload_format_indicator {
            put("Payload-Format-Indicator", Value::Int(i64::from(indicator)));
        }
        if let Some(seconds) = self.message_expiry_interval {
            put("Message-Expiry-Interval", Value::Int(i64::from(seconds)));
        }
        if let Some(content_type) = &self.content_type {
            put("Content-Type", Value::text(content_type));
        }
        if let Some(topic) = &self.response_topic {
            put("Response-Topic", Value::text(topic));
        }
        if let Some(data) = &self.correlation_data {
            put("Correlation-Data", Value::Str(data));
        }
        if !self.user.is_empty() {
            put("User-Property", user_map(&self.user, arena));
            put("User-Property-Pairs", user_pairs(&self.user, arena));
        }
        Value::Map(Map::new(entries.into_bump_slice()))
    }

    /// Reads what [`Properties::to_value`] writes, and leaves out what has the wrong kind. User properties come from the
    /// list of pairs where there is one, since only that keeps order and doubles.
    pub fn from_value(value: &Value<'_>) -> Self {
        let Value::Map(map) = value else { return Self::default() };
        let text = |key: &[u8]| map.get(key).and_then(text_of);
        let int = |key: &[u8]| match map.get(key) {
            Some(Value::Int(int)) => Some(int),
            _ => None,
        };
        Properties {
            payload_format_indicator: int(b"Payload-Format-Indicator").and_then(|int| int.try_into().ok()),
            message_expiry_interval: int(b"Message-Expiry-Interval").and_then(|int| int.try_into().ok()),
            content_type: text(b"Content-Type"),
            response_topic: text(b"Response-Topic"),
            correlation_data: match map.get(b"Correlation-Data") {
                Some(Value::Str(bytes)) => Some(bytes.to_vec()),
                _ => None,
            },
            user: match (map.get(b"User-Property-Pairs"), map.get(b"User-Property")) {
                (Some(Value::Array(pairs)), _) => pairs.iter().filter_map(user_pair).collect(),
                (_, Some(Value::Map(map))) => user_entries(&map).collect(),
                _ => Vec::new(),
            },
        }
    }
}

fn text_of(value: Value<'_>) -> Option<String> {
    match value {
        Value::Str(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

fn user_pair(pair: &Value<'_>) -> Option<(String, String)> {
    let Value::Map(map) = pair else { return None };
    Some((map.get(b"key").and_then(text_of)?, map.get(b"value").and_then(text_of)?))
}

fn user_entries(map: &Map<'_>) -> impl Iterator<Item = (String, String)> {
    map.entries()
        .iter()
        .filter_map(|entry| Some((String::from_utf8_lossy(entry.key).into_owned(), text_of(entry.value)?)))
}

/// User Properties of which each is looked for among those before.
const SEARCHED_MAX: usize = 16;

fn user_map<'a>(user: &'a [(String, String)], arena: &'a Arena) -> Value<'a> {
    let mut entries: bumpalo::collections::Vec<'a, Entry<'a>> =
        bumpalo::collections::Vec::with_capacity_in(user.len(), arena.bump());
    // A packet has room for very many: of more than a few it is remembered where each key is.
    let mut places = (user.len() > SEARCHED_MAX).then(|| HashMap::with_capacity(user.len()));
    for (key, value) in user {
        let (key, value) = (key.as_bytes(), Value::text(value));
        let place = match &mut places {
            Some(places) => *places.entry(key).or_insert(entries.len()),
            None => entries.iter().position(|entry| entry.key == key).unwrap_or(entries.len()),
        };
        match entries.get_mut(place) {
            Some(entry) => entry.value = value,
            None => entries.push(Entry { key, value }),
        }
    }
    Value::Map(Map::new(entries.into_bump_slice()))
}

fn user_pairs<'a>(user: &'a [(String, String)], arena: &'a Arena) -> Value<'a> {
    let pairs = user.iter().map(|(key, value)| {
        let entries = [
            Entry { key: b"key", value: Value::text(key) },
            Entry { key: b"value", value: Value::text(value) },
        ];
        Value::Map(Map::new(arena.slice(&entries)))
    });
    Value::Array(bumpalo::collections::Vec::from_iter_in(pairs, arena.bump()).into_bump_slice())
}

/// The identity of a message: unique on a node, and shown as 32 hexadecimal digits.
///
/// High to low: microseconds since 1970 (64 bits), a hash of the node (32), a running number (32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MessageId(pub u128);

impl MessageId {
    /// Puts the parts together.
    pub fn new(micros: u64, node: u32, number: u32) -> Self {
        Self(u128::from(micros) << 64 | u128::from(node) << 32 | u128::from(number))
    }

    /// The 32 digits.
    pub fn hex(self) -> [u8; 32] {
        let mut hex = [0; 32];
        let (digits, _) = hex.as_chunks_mut::<8>();
        for (digits, at) in digits.iter_mut().zip([96, 64, 32, 0]) {
            *digits = hex8((self.0 >> at) as u32);
        }
        hex
    }
}

/// The eight digits of a number, all at once: spread to a byte each, and 7 more added to those that are letters.
fn hex8(number: u32) -> [u8; 8] {
    let mut spread = u64::from(number);
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (spread + 0x3030_3030_3030_3030 + letters * 7).to_be_bytes()
}

/// A publish that a client sent to the local broker, after its ACL: the event `message.publish`.
#[derive(Debug, Clone, Copy)]
pub struct MessagePublish<'a> {
    /// Its identity.
    pub id: MessageId,
    /// Who sent it; empty where that is not known, as of messages that another broker hands on.
    pub clientid: &'a str,
    /// The user it authenticated as.
    pub username: Option<&'a str>,
    /// Where it came from; `None` for what the server itself publishes.
    pub peername: Option<SocketAddr>,
    /// The topic, without wildcards.
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

impl Columns for MessagePublish<'_> {
    fn get<'a>(&'a self, column: Column, arena: &'a Arena) -> Value<'a> {
        match column {
            Column::Event => Value::Atom("message.publish"),
            Column::Id => Value::Str(arena.slice(&self.id.hex())),
            Column::Clientid if self.clientid.is_empty() => Value::Undefined,
            Column::Clientid => Value::text(self.clientid),
            Column::Username => self.username.map_or(Value::Undefined, Value::text),
            Column::Payload => Value::Str(self.payload),
            Column::Peerhost => self.peername.map_or(Value::Undefined, |peer| peer_text(peer, false, arena)),
            Column::Peername => self.peername.map_or(Value::Undefined, |peer| peer_text(peer, true, arena)),
            Column::Topic => Value::text(self.topic),
            Column::Qos => Value::Int(i64::from(self.qos)),
            Column::Flags => flags(self.retain, self.dup, arena),
            Column::Retain => Value::Bool(self.retain),
            Column::Dup => Value::Bool(self.dup),
            Column::PubProps => match self.properties {
                Some(properties) => properties.to_value(arena),
                None => Value::Map(Map::default()),
            },
            Column::PublishReceivedAt | Column::Timestamp => Value::Int(self.received_at_ms),
            Column::ClientAttrs => Value::Map(Map::default()),
            Column::Node => Value::Atom(self.node),
            _ => Value::Undefined,
        }
    }

    fn properties(&self) -> Option<&Properties> {
        self.properties
    }
}

/// The `flags` column.
pub(crate) fn flags(retain: bool, dup: bool, arena: &Arena) -> Value<'_> {
    let entries = [
        Entry { key: b"retain", value: Value::Bool(retain) },
        Entry { key: b"dup", value: Value::Bool(dup) },
    ];
    Value::Map(Map::new(arena.slice(&entries)))
}

/// An address as text, with or without its port. Every message of `SELECT *` shows two, so the usual sort of address
/// is put together by hand, which takes a tenth of what formatting does.
fn peer_text(peer: SocketAddr, with_port: bool, arena: &Arena) -> Value<'_> {
    let SocketAddr::V4(peer) = peer else {
        let text = match with_port {
            true => bumpalo::format!(in arena.bump(), "{}", peer),
            false => bumpalo::format!(in arena.bump(), "{}", peer.ip()),
        };
        return Value::text(text.into_bump_str());
    };
    let mut text = [0; "255.255.255.255:65535".len()];
    let mut length = 0;
    let mut number = itoa::Buffer::new();
    let mut put = |part: &str| {
        text[length..length + part.len()].copy_from_slice(part.as_bytes());
        length += part.len();
    };
    for (octet, separator) in peer.ip().octets().into_iter().zip(["", ".", ".", "."]) {
        put(separator);
        put(number.format(octet));
    }
    if with_port {
        put(":");
        put(number.format(peer.port()));
    }
    Value::Str(arena.slice(&text[..length]))
}

/// A message for the local broker, as republish gives it.
#[derive(Debug, Clone)]
pub struct LocalMessage<'a> {
    /// Where to; checked by the broker.
    pub topic: &'a str,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether the broker is to keep it for later subscribers.
    pub retain: bool,
    /// The bytes.
    pub payload: &'a [u8],
    /// MQTT 5 properties.
    pub properties: Option<&'a Properties>,
    /// Under whose name it is published.
    pub clientid: &'a str,
    /// The user of that name.
    pub username: Option<&'a str>,
    /// The rules it has passed, this one included.
    pub trail: Trail,
    /// Whether it goes to those who are subscribed at this moment and to nobody else: no rule sees it, and it is not kept.
    pub direct: bool,
}

/// Why the local broker did not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishError {
    /// The topic is empty, has a wildcard or a NUL, or is too long.
    InvalidTopic,
    /// Larger than the broker allows.
    TooLarge,
    /// The broker is shutting down.
    Closed,
}

/// The local broker, as actions see it.
pub trait LocalPublish: Send + Sync {
    /// Routes a message to every matching session and then lets the rules see it; returns when it is queued, with the
    /// number of sessions. Never blocks. `completion` is that of the event from which the message was made: it goes
    /// on to [`crate::Dispatch::dispatch`], so an acknowledgement also waits for the actions of rules further down.
    fn publish(
        &self,
        message: &LocalMessage<'_>,
        completion: Option<&Completion>,
    ) -> Result<usize, PublishError>;

    /// Hears at every change which topic filters the rules listen to. For a broker that must be asked for its messages;
    /// one that sees them all has nothing to do.
    fn listen(&self, _filters: &mut dyn Iterator<Item = &str>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_survive_the_column() {
        let properties = Properties {
            payload_format_indicator: Some(1),
            message_expiry_interval: Some(30),
            content_type: Some("text/plain".into()),
            response_topic: Some("re/1".into()),
            correlation_data: Some(vec![0, 255]),
            user: vec![("a".into(), "1".into()), ("a".into(), "2".into())],
        };
        let arena = Arena::new();
        assert_eq!(Properties::from_value(&properties.to_value(&arena)), properties);
    }

    #[test]
    fn of_many_user_properties_the_last_of_a_key_wins_as_of_few() {
        for count in [1, SEARCHED_MAX, SEARCHED_MAX + 1, 100] {
            let user: Vec<(String, String)> =
                (0..count).map(|number| ((number % 7).to_string(), number.to_string())).collect();
            let arena = Arena::new();
            let Value::Map(map) = user_map(&user, &arena) else { panic!("no map") };
            assert_eq!(map.entries().len(), count.min(7));
            for (at, entry) in map.entries().iter().enumerate() {
                let last =
                    (0..count).filter(|number| number % 7 == at).max().expect("there is one").to_string();
                assert_eq!((entry.key, text_of(entry.value)), (at.to_string().as_bytes(), Some(last)));
            }
        }
    }

    #[test]
    fn ids_read_from_the_left() {
        assert_eq!(&MessageId::new(0x1, 0x2, 0x3).hex(), b"00000000000000010000000200000003");
        let id = MessageId(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        assert_eq!(id.hex().as_slice(), format!("{:032X}", id.0).as_bytes());
    }

    #[test]
    fn addresses_read_as_they_print() {
        let arena = Arena::new();
        for peer in
            ["127.0.0.1:1883", "255.255.255.255:65535", "10.0.0.7:9", "[::1]:1883", "[2001:db8::7]:65535"]
        {
            let peer: SocketAddr = peer.parse().expect("an address");
            let shown = |with_port| match peer_text(peer, with_port, &arena) {
                Value::Str(text) => String::from_utf8(text.to_vec()).expect("ASCII"),
                other => format!("{other:?}"),
            };
            assert_eq!((shown(true), shown(false)), (peer.to_string(), peer.ip().to_string()));
        }
    }
}
