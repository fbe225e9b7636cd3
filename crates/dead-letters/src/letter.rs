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
        let payload = self.message.as_ref().map_or(0, |message| message.payload.len());
        size_of::<Self>() + self.request.len() + payload
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Nothing in it can fail to be JSON: keys are text and numbers are finite.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn from_bytes(id: u64, bytes: &[u8]) -> Option<Self> {
        Some(Self { id, ..serde_json::from_slice(bytes).ok()? })
    }
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
