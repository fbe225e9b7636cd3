//! What the clients of one listener may cost: the settings of `[mqtt]` that its listeners repeat, as the broker takes them.

use std::path::Path;
use std::time::Duration;

use diagnostic::{Code, Diagnostic};

use crate::mqtt_fields::LIMITS;
use crate::section::Section;
use crate::settings::{Settings, check};

/// The largest packet that MQTT has.
const PACKET_BYTES_MAX: u64 = 268_435_460;
/// The least that a largest packet may be.
const PACKET_BYTES_MIN: u64 = 1024;

/// What the clients of one listener may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. Past it new ones are told so, or closed at once when there are very many.
    pub connections_max: usize,
    /// Connections that are taken in a second; what comes faster waits. `None` for any number.
    pub connection_rate_max: Option<u32>,
    /// How long a client may take from its first byte to the end of CONNECT.
    pub connect_timeout: Duration,
    /// The largest packet taken from a client (bytes, the whole packet).
    pub packet_bytes_max: u32,
    /// Messages of QoS 1 and 2 that are under way to one client, unless its Receive Maximum is lower. At least 1.
    pub inflight_max: u16,
    /// Messages of QoS 1 and 2 that one client may have sent and not seen acknowledged: Receive Maximum in MQTT 5;
    /// before, a client at this bound is not read until acknowledgements have gone out. At least 1.
    pub receive_max: u16,
    /// Messages that one session queues, in flight not counted. Past it the oldest are dropped, QoS 0 before others.
    pub session_messages_max: usize,
    /// Bytes of the messages that one session queues. Past it the oldest are dropped, QoS 0 before others.
    pub session_bytes_max: usize,
    /// Subscriptions of one session.
    pub subscriptions_max: usize,
    /// Bytes of the topic filters of one session, roughly.
    pub subscription_bytes_max: usize,
    /// Levels of a topic or filter.
    pub topic_levels_max: usize,
    /// Bytes of a client id.
    pub clientid_bytes_max: usize,
    /// Seconds of the longest keep-alive: MQTT 5 clients are told to keep it. `None` for any.
    pub keepalive_max: Option<u16>,
    /// Messages that one client may send in a second; what comes faster is read later. `None` for any number.
    pub message_rate_max: Option<u32>,
}

impl Limits {
    /// The defaults of the settings.
    pub fn declared() -> Self {
        let settings =
            check(&Section::parse_toml("", &mut Vec::new()), &LIMITS, Path::new(""), &mut Vec::new());
        Self::read(|_| settings.clone())
    }

    /// Reads every limit from where it was found.
    pub(crate) fn read(mut found: impl FnMut(&'static str) -> Settings) -> Self {
        let mut limits = Self::NONE;
        LIMITS.iter().for_each(|field| limits.take(&found(field.name), field.name));
        limits
    }

    /// Before anything is read.
    const NONE: Limits = Limits {
        connections_max: 0,
        connection_rate_max: None,
        connect_timeout: Duration::ZERO,
        packet_bytes_max: 0,
        inflight_max: 0,
        receive_max: 0,
        session_messages_max: 0,
        session_bytes_max: 0,
        subscriptions_max: 0,
        subscription_bytes_max: 0,
        topic_levels_max: 0,
        clientid_bytes_max: 0,
        keepalive_max: None,
        message_rate_max: None,
    };

    /// Takes what is given here and leaves the rest.
    pub(crate) fn take_given(&mut self, settings: &Settings) {
        for field in LIMITS.iter().filter(|field| settings.is_given(field.name)) {
            self.take(settings, field.name);
        }
    }

    /// Takes one limit over from where it was found. The declarations have seen to the bounds.
    fn take(&mut self, settings: &Settings, key: &str) {
        let int = || usize::try_from(settings.int(key)).unwrap_or(usize::MAX);
        let short = || u16::try_from(settings.int(key)).unwrap_or(u16::MAX);
        let rate = || u32::try_from(settings.int(key)).ok().filter(|rate| *rate > 0);
        let bytes = || usize::try_from(settings.bytes(key)).unwrap_or(usize::MAX);
        match key {
            "max_connections" => self.connections_max = int(),
            "max_conn_rate" => self.connection_rate_max = rate(),
            "connect_timeout" => self.connect_timeout = settings.duration(key),
            "max_packet_size" => {
                let bytes = settings.bytes(key).clamp(PACKET_BYTES_MIN, PACKET_BYTES_MAX);
                self.packet_bytes_max = u32::try_from(bytes).unwrap_or(u32::MAX);
            }
            "max_inflight" => self.inflight_max = short(),
            "receive_maximum" => self.receive_max = short(),
            "max_mqueue_len" => self.session_messages_max = int(),
            "max_mqueue_bytes" => self.session_bytes_max = bytes(),
            "max_subscriptions" => self.subscriptions_max = int(),
            "max_subscription_bytes" => self.subscription_bytes_max = bytes(),
            "max_topic_levels" => self.topic_levels_max = int(),
            "max_clientid_len" => self.clientid_bytes_max = int(),
            "max_keepalive" => self.keepalive_max = Some(short()).filter(|seconds| *seconds > 0),
            "max_message_rate" => self.message_rate_max = rate(),
            // No cost, and read elsewhere.
            _ => {}
        }
    }
}

/// Says if `max_packet_size` is out of bounds; `path` is what stands before it.
pub(crate) fn check_packet_bytes_max(settings: &Settings, path: &str, diagnostics: &mut Vec<Diagnostic>) {
    let bytes = settings.bytes("max_packet_size");
    if !(PACKET_BYTES_MIN..=PACKET_BYTES_MAX).contains(&bytes) {
        let message = format!("`{path}max_packet_size` is from 1KB to 256MB, not `{bytes}` bytes");
        diagnostics.push(Diagnostic::new(Code::OutOfRange, settings.span("max_packet_size"), message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_its_default() {
        let Limits {
            connections_max,
            connection_rate_max,
            connect_timeout,
            packet_bytes_max,
            inflight_max,
            receive_max,
            session_messages_max,
            session_bytes_max,
            subscriptions_max,
            subscription_bytes_max,
            topic_levels_max,
            clientid_bytes_max,
            keepalive_max,
            message_rate_max,
        } = Limits::declared();
        assert_eq!((connections_max, connection_rate_max), (100_000, None));
        assert_eq!((connect_timeout, packet_bytes_max), (Duration::from_secs(15), 1 << 20));
        assert_eq!((inflight_max, receive_max), (1_000, 1_000));
        assert_eq!((session_messages_max, session_bytes_max), (10_000, 16 << 20));
        assert_eq!((subscriptions_max, topic_levels_max, clientid_bytes_max), (10_000, 128, 65_535));
        assert_eq!(subscription_bytes_max, 16 << 20);
        assert_eq!((keepalive_max, message_rate_max), (None, None));
    }
}
