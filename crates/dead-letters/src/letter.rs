//! One dead letter, and how it lies on disk: JSON, with bytes in base64.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Something that will not be delivered, and everything that is known of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// Its number in the store; never used twice. 0 before it is stored.
    #[serde(skip)]
    pub id: u64,
    /// When it died (milliseconds since 1970 UTC).
    pub died_at_ms: i64,
    /// The id of the action, `mqtt:uplink`.
    pub action: String,
    /// Where it ended: `render`, `overflow`, `expired`, `send`.
    pub stage: String,
    /// Why, in words.
    pub reason: String,
    /// How often it was sent.
    #[serde(default)]
    pub sendings: u32,
    /// The rule that made it.
    #[serde(default)]
    pub rule: String,
    /// The generation of the rules that it was made by.
    #[serde(default)]
    pub generation: u64,
    /// The event that triggered the rule, as FROM names it; `message.publish` for messages of clients.
    #[serde(default)]
    pub event: String,
    /// When that happened (milliseconds since 1970 UTC).
    #[serde(default)]
    pub event_at_ms: i64,
    /// The message that it was made of; other events than messages have `columns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// The columns of an event that is no message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<serde_json::Value>,
    /// The row of the rule, where a fallback action was to have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<serde_json::Value>,
    /// The rendered request, in the format of its connector; empty where there was none.
    #[serde(default, with = "bytes", skip_serializing_if = "Vec::is_empty")]
    pub request: Vec<u8>,
    /// The request in words.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub rendered: serde_json::Value,
}

/// The original message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who published it; absent for what a source received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clientid: Option<String>,
    /// The user of that client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The remote that a source received it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Where its publisher's connection came from, `host:port`; for letters that were never rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peername: Option<String>,
    /// Its id.
    #[serde(default)]
    pub id: String,
    /// Its topic.
    pub topic: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The RETAIN flag.
    pub retain: bool,
    /// The DUP flag.
    #[serde(default)]
    pub dup: bool,
    /// Its bytes.
    #[serde(with = "bytes")]
    pub payload: Vec<u8>,
    /// Its MQTT 5 properties, as the column `pub_props` shows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pub_props: Option<serde_json::Value>,
}

impl Letter {
    /// About what it takes in memory (bytes).
    pub(crate) fn memory(&self) -> usize {
        let Self { action, stage, reason, rule, event, message, columns, row, request, rendered, .. } = self;
        let texts = [action, stage, reason, rule, event].into_iter().map(String::len);
        let values = [columns.as_ref(), row.as_ref(), Some(rendered)].into_iter().flatten().map(json_memory);
        let message = message.as_ref().map_or(0, Message::memory);
        size_of::<Self>() + request.len() + message + texts.chain(values).sum::<usize>()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Nothing in it can fail to be JSON: keys are text and numbers are finite.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn from_bytes(id: u64, bytes: &[u8]) -> Option<Self> {
        Some(Self { id, ..serde_json::from_slice(bytes).ok()? })
    }
}

impl Message {
    /// What it takes beyond its own size (bytes).
    fn memory(&self) -> usize {
        let Self { clientid, username, server, peername, id, topic, payload, pub_props, .. } = self;
        let texts = [clientid, username, server, peername].into_iter().flatten().chain([id, topic]);
        texts.map(String::len).sum::<usize>() + payload.len() + pub_props.as_ref().map_or(0, json_memory)
    }
}

/// About what a value takes (bytes).
fn json_memory(value: &serde_json::Value) -> usize {
    // An entry of an object has its key, and its share of a node of the map.
    const ENTRY: usize = size_of::<String>() + 2 * size_of::<usize>();
    let inner: usize = match value {
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => 0,
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Array(items) => items.iter().map(json_memory).sum(),
        serde_json::Value::Object(entries) => {
            entries.iter().map(|(key, value)| ENTRY + key.len() + json_memory(value)).sum()
        }
    };
    size_of::<serde_json::Value>() + inner
}

/// Bytes as base64.
mod bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_is_large_in_a_letter_counts() {
        const LARGE: usize = 1 << 20;
        let text = || "x".repeat(LARGE);
        let with = |change: fn(&mut Letter, String)| {
            let mut letter = Letter { message: Some(Message::default()), ..Letter::default() };
            let before = letter.memory();
            change(&mut letter, text());
            letter.memory() - before
        };
        let changes: [fn(&mut Letter, String); 18] = [
            |letter, text| letter.action = text,
            |letter, text| letter.stage = text,
            |letter, text| letter.reason = text,
            |letter, text| letter.rule = text,
            |letter, text| letter.event = text,
            |letter, text| letter.columns = Some(json!({ "a": [text] })),
            |letter, text| letter.row = Some(json!({ text: 1 })),
            |letter, text| letter.request = text.into(),
            |letter, text| letter.rendered = json!(text),
            |letter, text| of(letter).clientid = Some(text),
            |letter, text| of(letter).username = Some(text),
            |letter, text| of(letter).server = Some(text),
            |letter, text| of(letter).peername = Some(text),
            |letter, text| of(letter).id = text,
            |letter, text| of(letter).topic = text,
            |letter, text| of(letter).payload = text.into(),
            |letter, text| of(letter).pub_props = Some(json!([text])),
            // Nothing in it is large, but there is much of it.
            |letter, text| letter.row = Some(text.chars().map(|_| json!(1)).collect()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let more = with(change);
            assert!(more >= LARGE, "the {number}. is counted as {more} bytes");
        }
    }

    fn of(letter: &mut Letter) -> &mut Message {
        letter.message.get_or_insert_default()
    }
}
