//! What a request was made of, in the bytes that go through the queue with it: what a dead letter will tell.
//!
//! ```text
//! version 1 · fields: tag: u8, length: u32 (little-endian), bytes
//! ```
//!
//! Written for every request, so it is copied and not formatted; a payload that ends the request is not even copied.
//! Fields that a later release adds are skipped by this one.

use dead_letters::{Letter, Message};
use event::{Column, Event, EventKind};
use template::Scope;
use value::{Arena, Value, json};

use crate::last_resort::order_key;

const VERSION: u8 = 1;

/// The fields.
mod tag {
    pub(super) const RULE: u8 = 1;
    pub(super) const GENERATION: u8 = 2;
    pub(super) const EVENT: u8 = 3;
    pub(super) const AT: u8 = 4;
    pub(super) const CLIENTID: u8 = 5;
    pub(super) const USERNAME: u8 = 6;
    pub(super) const SERVER: u8 = 7;
    pub(super) const ID: u8 = 8;
    pub(super) const TOPIC: u8 = 9;
    /// Bits 0-1 QoS, bit 2 RETAIN, bit 3 DUP.
    pub(super) const FLAGS: u8 = 10;
    pub(super) const PAYLOAD: u8 = 11;
    /// The length of the payload, which is the end of the request.
    pub(super) const PAYLOAD_AT_END: u8 = 12;
    pub(super) const PUB_PROPS: u8 = 13;
    pub(super) const COLUMNS: u8 = 14;
    pub(super) const ROW: u8 = 15;
    /// It comes from a fallback action: what fails of it has no further one.
    pub(super) const FALLBACK: u8 = 16;
    /// Only where there is no request: then the rule may have to run once more.
    pub(super) const PEERNAME: u8 = 17;
}

/// What triggered a rule, and which.
pub(crate) struct Cause<'a> {
    pub(crate) rule: &'a str,
    pub(crate) generation: u64,
    pub(crate) event: &'a Event<'a>,
    pub(crate) arena: &'a Arena,
}

/// Appends what `request` was made of. `row` is kept too where a fallback action will want it.
pub(crate) fn write(cause: &Cause<'_>, request: &[u8], row: Option<&dyn Scope>, out: &mut Vec<u8>) {
    let Cause { rule, generation, event, arena } = cause;
    out.push(VERSION);
    put(out, tag::RULE, rule.as_bytes());
    put(out, tag::GENERATION, &generation.to_le_bytes());
    put(out, tag::AT, &event.timestamp_ms.to_le_bytes());
    let is_message = matches!(event.kind, EventKind::MessagePublish | EventKind::Source);
    let name = if event.kind == EventKind::MessagePublish { event.kind.spec().name } else { event.from[0] };
    put(out, tag::EVENT, name.as_bytes());
    if is_message {
        write_message(event, arena, request, out);
    } else {
        let start = begin(out, tag::COLUMNS);
        json::write(&crate::rule::event_columns(event, arena), out);
        end(out, start);
    }
    if let Some(row) = row {
        let start = begin(out, tag::ROW);
        row.write_row(arena, out);
        end(out, start);
    }
}

fn write_message(event: &Event<'_>, arena: &Arena, request: &[u8], out: &mut Vec<u8>) {
    const TEXTS: [(u8, Column); 5] = [
        (tag::CLIENTID, Column::Clientid),
        (tag::USERNAME, Column::Username),
        (tag::SERVER, Column::Server),
        (tag::ID, Column::Id),
        (tag::TOPIC, Column::Topic),
    ];
    let columns = event.columns;
    for (tag, column) in TEXTS {
        if let Value::Str(text) = columns.get(column, arena) {
            put(out, tag, text);
        }
    }
    if let (true, Value::Str(peername)) = (request.is_empty(), columns.get(Column::Peername, arena)) {
        put(out, tag::PEERNAME, peername);
    }
    let qos = match columns.get(Column::Qos, arena) {
        Value::Int(qos @ 0..=2) => qos as u8,
        _ => 0,
    };
    let is_set = |column| matches!(columns.get(column, arena), Value::Bool(true));
    let flags = qos | u8::from(is_set(Column::Retain)) << 2 | u8::from(is_set(Column::Dup)) << 3;
    put(out, tag::FLAGS, &[flags]);
    if let Value::Str(payload) = columns.get(Column::Payload, arena) {
        put_payload(payload, request, out);
    }
    if let Some(properties) = columns.properties().filter(|properties| !properties.is_empty()) {
        let start = begin(out, tag::PUB_PROPS);
        json::write(&properties.to_value(arena), out);
        end(out, start);
    }
}

fn put_payload(payload: &[u8], request: &[u8], out: &mut Vec<u8>) {
    if request.ends_with(payload) {
        put(out, tag::PAYLOAD_AT_END, &(payload.len() as u32).to_le_bytes());
    } else {
        put(out, tag::PAYLOAD, payload);
    }
}

/// Writes what a letter tells, for its request to be queued once more. `is_fallback`: by a fallback action.
pub(crate) fn of_letter(letter: &Letter, request: &[u8], is_fallback: bool) -> Vec<u8> {
    let mut out = vec![VERSION];
    put(&mut out, tag::RULE, letter.rule.as_bytes());
    put(&mut out, tag::GENERATION, &letter.generation.to_le_bytes());
    put(&mut out, tag::AT, &letter.event_at_ms.to_le_bytes());
    put(&mut out, tag::EVENT, letter.event.as_bytes());
    if let Some(message) = &letter.message {
        let texts = [
            (tag::CLIENTID, &message.clientid),
            (tag::USERNAME, &message.username),
            (tag::SERVER, &message.server),
            (tag::PEERNAME, &message.peername),
        ];
        for (tag, text) in texts {
            if let Some(text) = text {
                put(&mut out, tag, text.as_bytes());
            }
        }
        put(&mut out, tag::ID, message.id.as_bytes());
        put(&mut out, tag::TOPIC, message.topic.as_bytes());
        put(
            &mut out,
            tag::FLAGS,
            &[message.qos | u8::from(message.retain) << 2 | u8::from(message.dup) << 3],
        );
        put_payload(&message.payload, request, &mut out);
    }
    for (tag, json) in [
        (tag::PUB_PROPS, letter.message.as_ref().and_then(|message| message.pub_props.as_ref())),
        (tag::COLUMNS, letter.columns.as_ref()),
        (tag::ROW, letter.row.as_ref()),
    ] {
        if let Some(json) = json {
            put(&mut out, tag, json.to_string().as_bytes());
        }
    }
    if is_fallback {
        put(&mut out, tag::FALLBACK, &[]);
    }
    out
}

/// Fills a letter with what was written; what cannot be read stays empty. Whether it came from a fallback action.
pub(crate) fn read(origin: &[u8], request: &[u8], letter: &mut Letter) -> bool {
    let mut is_fallback = false;
    let mut message = Message::default();
    let mut is_message = false;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let json = |bytes: &[u8]| serde_json::from_slice(bytes).ok();
    let Some((&VERSION, mut rest)) = origin.split_first() else { return false };
    while let Some((tag, bytes)) = field(&mut rest) {
        match tag {
            tag::RULE => letter.rule = text(bytes),
            tag::GENERATION => letter.generation = number(bytes).cast_unsigned(),
            tag::EVENT => letter.event = text(bytes),
            tag::AT => letter.event_at_ms = number(bytes),
            tag::CLIENTID => message.clientid = Some(text(bytes)),
            tag::USERNAME => message.username = Some(text(bytes)),
            tag::SERVER => message.server = Some(text(bytes)),
            tag::PEERNAME => message.peername = Some(text(bytes)),
            tag::ID => message.id = text(bytes),
            tag::TOPIC => (message.topic, is_message) = (text(bytes), true),
            tag::FLAGS => {
                let flags = bytes.first().copied().unwrap_or_default();
                (message.qos, message.retain, message.dup) = (flags & 3, flags & 4 != 0, flags & 8 != 0);
            }
            tag::PAYLOAD => message.payload = bytes.to_vec(),
            tag::PAYLOAD_AT_END => {
                let length = bytes.try_into().map_or(0, u32::from_le_bytes) as usize;
                message.payload = request[request.len().saturating_sub(length)..].to_vec();
            }
            tag::PUB_PROPS => message.pub_props = json(bytes),
            tag::COLUMNS => letter.columns = json(bytes),
            tag::ROW => letter.row = json(bytes),
            tag::FALLBACK => is_fallback = true,
            _ => {}
        }
    }
    letter.message = is_message.then_some(message);
    is_fallback
}

/// The key of what a request was made of: the lane it belongs to. `None` where that cannot be read.
pub(crate) fn key(origin: &[u8]) -> Option<u64> {
    let mut letter = Letter::default();
    origin.starts_with(&[VERSION]).then(|| {
        read(origin, &[], &mut letter);
        order_key(&letter)
    })
}

fn put(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Begins a field whose bytes are appended by somebody else.
fn begin(out: &mut Vec<u8>, tag: u8) -> usize {
    put(out, tag, &[]);
    out.len()
}

fn end(out: &mut [u8], start: usize) {
    let length = (out.len() - start) as u32;
    out[start - 4..start].copy_from_slice(&length.to_le_bytes());
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (head, after) = rest.split_first_chunk::<5>()?;
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let (bytes, after) = after.split_at_checked(length)?;
    *rest = after;
    Some((head[0], bytes))
}

fn number(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use connector::testing::Fixed;
    use event::{MessageId, MessagePublish, Properties, Trail};
    use value::Entry;

    use super::*;

    #[test]
    fn a_letter_tells_what_the_request_was_made_of() {
        let properties = Properties { user: vec![("k".into(), "v".into())], ..Properties::default() };
        let message = MessagePublish {
            id: MessageId(1),
            clientid: "c1",
            username: None,
            peername: None,
            topic: "t/1",
            qos: 1,
            retain: true,
            dup: false,
            payload: b"\xffbytes",
            properties: Some(&properties),
            received_at_ms: 5,
            node: "n",
        };
        let trail = Trail::empty();
        let event = Event {
            kind: EventKind::MessagePublish,
            from: ["t/1", ""],
            timestamp_ms: 5,
            columns: &message,
            trail: &trail,
        };
        let arena = Arena::new();
        let cause = Cause { rule: "r", generation: 7, event: &event, arena: &arena };
        let entries = [Entry { key: b"a", value: Value::Int(1) }];
        let row = Fixed(&entries);
        for request in [&b"head\xffbytes"[..], b"something else", b""] {
            let mut origin = Vec::new();
            write(&cause, request, Some(&row), &mut origin);
            let mut letter = Letter::default();
            assert!(!read(&origin, request, &mut letter));
            assert_eq!(key(&origin), Some(crate::rule::order_key(&event, &arena)));
            assert_eq!((letter.rule.as_str(), letter.generation, letter.event_at_ms), ("r", 7, 5));
            assert_eq!(
                (letter.event.as_str(), &letter.row),
                ("message.publish", &Some(serde_json::json!({"a": 1})))
            );
            let told = letter.message.clone().unwrap_or_default();
            assert_eq!((told.clientid.as_deref(), told.topic.as_str(), told.qos), (Some("c1"), "t/1", 1));
            assert_eq!((told.retain, told.dup, told.payload.as_slice()), (true, false, &b"\xffbytes"[..]));
            assert_eq!(told.pub_props.clone().unwrap_or_default()["User-Property"]["k"], "v");
            // And what is queued once more tells the same.
            let mut again = Letter::default();
            assert!(read(&of_letter(&letter, request, true), request, &mut again));
            assert_eq!(again, letter);
        }
    }
}
