//! What an MQTT action puts into its queue: one message, in a form that outlives the process and the release.
//!
//! ```text
//! version 1 · flags (bits 0-1 QoS, bit 2 RETAIN, bit 3 properties, bit 4 hops, bit 5 time) · topic: u16 and bytes
//! · hops, if bit 4: u8 · time, if bit 5: u64, milliseconds since 1970
//! · properties, if bit 3: u32 and bytes, coded as in an MQTT 5 PUBLISH · payload: the rest
//! ```

use event::Properties;

/// A message that waits to be published, borrowing from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) topic: &'a str,
    /// 0, 1 or 2.
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// Bridges between brokers that the message has crossed to come here.
    pub(crate) hops: u8,
    /// Since when its Message Expiry Interval runs, if it has one (milliseconds since 1970 UTC).
    pub(crate) since_ms: Option<i64>,
    pub(crate) properties: Option<Properties>,
    pub(crate) payload: &'a [u8],
}

const VERSION: u8 = 1;
const RETAIN: u8 = 0b100;
const PROPERTIES: u8 = 0b1000;
const HOPS: u8 = 0b1_0000;
const TIME: u8 = 0b10_0000;

/// Begins a request; the topic follows, then [`end_topic`].
pub(crate) fn begin(out: &mut Vec<u8>, qos: u8, retain: bool) {
    out.extend_from_slice(&[VERSION, qos | if retain { RETAIN } else { 0 }, 0, 0]);
}

/// Writes how long the topic has become that was appended since [`begin`], at `start`. It has 65,535 bytes at most.
pub(crate) fn end_topic(out: &mut [u8], start: usize) {
    let length = (out.len() - start - 4) as u16;
    out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends over how many bridges the message came, if over any, directly after the topic.
pub(crate) fn put_hops(out: &mut Vec<u8>, start: usize, hops: u8) {
    if hops > 0 {
        out[start + 1] |= HOPS;
        out.push(hops);
    }
}

/// Appends when the message came, after the hops and before the properties: for one that has a Message Expiry Interval.
pub(crate) fn put_time(out: &mut Vec<u8>, start: usize, at_ms: i64) {
    out[start + 1] |= TIME;
    out.extend_from_slice(&at_ms.to_be_bytes());
}

/// Appends properties, after the topic and before the payload. `start` is where the request begins.
pub(crate) fn put_properties(out: &mut Vec<u8>, start: usize, properties: &Properties) {
    if properties.is_empty() {
        return;
    }
    out[start + 1] |= PROPERTIES;
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    if let Some(indicator) = properties.payload_format_indicator {
        out.extend_from_slice(&[id::PAYLOAD_FORMAT_INDICATOR, indicator]);
    }
    if let Some(seconds) = properties.message_expiry_interval {
        out.push(id::MESSAGE_EXPIRY_INTERVAL);
        out.extend_from_slice(&seconds.to_be_bytes());
    }
    if let Some(text) = &properties.content_type {
        put(out, id::CONTENT_TYPE, text.as_bytes());
    }
    if let Some(text) = &properties.response_topic {
        put(out, id::RESPONSE_TOPIC, text.as_bytes());
    }
    if let Some(data) = &properties.correlation_data {
        put(out, id::CORRELATION_DATA, data);
    }
    for (key, value) in &properties.user {
        put(out, id::USER_PROPERTY, key.as_bytes());
        put_text(out, value.as_bytes());
    }
    let length = (out.len() - length_at - 4) as u32;
    out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
}

/// MQTT 5.0 §2.2.2.2.
mod id {
    pub(super) const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
    pub(super) const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
    pub(super) const CONTENT_TYPE: u8 = 0x03;
    pub(super) const RESPONSE_TOPIC: u8 = 0x08;
    pub(super) const CORRELATION_DATA: u8 = 0x09;
    pub(super) const USER_PROPERTY: u8 = 0x26;
}

fn put(out: &mut Vec<u8>, id: u8, bytes: &[u8]) {
    out.push(id);
    put_text(out, bytes);
}

/// Longer than 65,535 bytes it can be no property of MQTT, and is cut.
fn put_text(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len().min(usize::from(u16::MAX));
    while length < bytes.len() && length > 0 && bytes[length] & 0xC0 == 0x80 {
        length -= 1;
    }
    out.extend_from_slice(&(length as u16).to_be_bytes());
    out.extend_from_slice(&bytes[..length]);
}

impl<'a> Request<'a> {
    /// Reads a request; `None` for bytes that are none.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let [VERSION, flags] = *rest.take(2)? else { return None };
        let topic = rest.text()?;
        let hops = if flags & HOPS == 0 { 0 } else { rest.take(1)?[0] };
        let since_ms = match flags & TIME {
            0 => None,
            _ => Some(i64::from_be_bytes(rest.take(8)?.try_into().ok()?)),
        };
        let properties = match flags & PROPERTIES {
            0 => None,
            _ => {
                let length = rest.u32()?;
                Some(properties(Rest(rest.take(length as usize)?))?)
            }
        };
        let qos = flags & 0b11;
        let (retain, payload) = (flags & RETAIN != 0, rest.0);
        (qos <= 2).then_some(Self { topic, qos, retain, hops, since_ms, properties, payload })
    }

    /// Lowers the Message Expiry Interval by the time that has passed [MQTT-3.3.2-6]. `false` if it is over.
    pub(crate) fn age(&mut self, now_ms: i64) -> bool {
        let interval = self.properties.as_mut().and_then(|own| own.message_expiry_interval.as_mut());
        let (Some(interval), Some(since_ms)) = (interval, self.since_ms) else { return true };
        let waited = u32::try_from((now_ms - since_ms).max(0) / 1000).unwrap_or(u32::MAX);
        *interval = interval.saturating_sub(waited);
        *interval > 0
    }
}

fn properties(mut rest: Rest<'_>) -> Option<Properties> {
    let mut properties = Properties::default();
    while !rest.0.is_empty() {
        match rest.take(1)?[0] {
            id::PAYLOAD_FORMAT_INDICATOR => properties.payload_format_indicator = Some(rest.take(1)?[0]),
            id::MESSAGE_EXPIRY_INTERVAL => properties.message_expiry_interval = Some(rest.u32()?),
            id::CONTENT_TYPE => properties.content_type = Some(rest.text()?.to_owned()),
            id::RESPONSE_TOPIC => properties.response_topic = Some(rest.text()?.to_owned()),
            id::CORRELATION_DATA => properties.correlation_data = Some(rest.bytes()?.to_vec()),
            id::USER_PROPERTY => properties.user.push((rest.text()?.to_owned(), rest.text()?.to_owned())),
            _ => return None,
        }
    }
    Some(properties)
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        self.take(usize::from(length))
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn written(topic: &str, qos: u8, retain: bool, properties: &Properties, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![9, 9];
        begin(&mut out, qos, retain);
        out.extend_from_slice(topic.as_bytes());
        end_topic(&mut out, 2);
        put_hops(&mut out, 2, payload.len() as u8);
        if let Some(seconds) = properties.message_expiry_interval {
            put_time(&mut out, 2, i64::from(seconds) * 7);
        }
        put_properties(&mut out, 2, properties);
        out.extend_from_slice(payload);
        out.split_off(2)
    }

    proptest! {
        #[test]
        fn goes_round(
            topic in "[a-zä/]{1,40}",
            (qos, retain, payload) in (0u8..=2, any::<bool>(), any::<Vec<u8>>()),
            (expiry, content_type, data) in (any::<Option<u32>>(), any::<Option<String>>(), any::<Option<Vec<u8>>>()),
            user in proptest::collection::vec(("[a-z]{0,9}", ".{0,9}"), 0..4),
        ) {
            let properties = Properties {
                payload_format_indicator: expiry.map(|_| 1),
                message_expiry_interval: expiry,
                response_topic: content_type.clone(),
                content_type,
                correlation_data: data,
                user,
            };
            let bytes = written(&topic, qos, retain, &properties, &payload);
            let expected = Request {
                topic: &topic,
                qos,
                retain,
                hops: payload.len() as u8,
                since_ms: expiry.map(|seconds| i64::from(seconds) * 7),
                properties: (!properties.is_empty()).then_some(properties),
                payload: &payload,
            };
            assert_eq!(Request::read(&bytes), Some(expected));
        }

        #[test]
        fn reads_anything_without_a_panic(bytes: Vec<u8>) {
            let _ = Request::read(&bytes);
        }
    }

    #[test]
    fn an_expiry_interval_runs_down() {
        let properties = Properties { message_expiry_interval: Some(10), ..Properties::default() };
        let bytes = written("t", 1, false, &properties, b"");
        let left = |waited_ms: i64| {
            let mut read = Request::read(&bytes).unwrap();
            let lives = read.age(70 + waited_ms);
            (lives, read.properties.unwrap().message_expiry_interval.unwrap())
        };
        assert_eq!(
            (left(-5), left(999), left(1000), left(9999)),
            ((true, 10), (true, 10), (true, 9), (true, 1))
        );
        assert_eq!((left(10_000), left(1 << 60)), ((false, 0), (false, 0)));
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters() {
        let long = "ä".repeat(40_000);
        let properties = Properties { content_type: Some(long), ..Properties::default() };
        let bytes = written("t", 0, false, &properties, b"p");
        let read = Request::read(&bytes).unwrap();
        assert_eq!(read.properties.unwrap().content_type.unwrap().len(), 65_534);
        assert_eq!(read.payload, b"p");
    }
}
