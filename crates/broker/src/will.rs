use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event::Properties;
use mqtt::{Connect, LastWill, QoS};

use crate::acl::Access;
use crate::message::Publisher;

/// What is to be published when a connection ends without a word.
#[derive(Debug)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: Option<Properties>,
    pub(crate) delay: Duration,
    pub(crate) publisher: Arc<Publisher>,
    /// Its part of what all wills may take; none for one that an earlier process has let in.
    pub(crate) room: Option<Room>,
}

/// What wills take together (bytes). Clones count the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wills(Arc<AtomicUsize>);

/// What one will takes, until it is gone.
#[derive(Debug)]
pub(crate) struct Room {
    all: Wills,
    bytes: usize,
}

impl Wills {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Room for one more, unless all of them would take more than `bytes_max` then.
    fn room(&self, bytes: usize, bytes_max: usize) -> Option<Room> {
        let add = |taken: usize| Some(taken + bytes).filter(|taken| *taken <= bytes_max);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        Some(Room { all: self.clone(), bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Will {
    /// The will that a CONNECT leaves; its topic is not checked yet.
    pub(crate) fn of(connect: &Connect, publisher: &Arc<Publisher>) -> Option<Self> {
        connect.request.last_will.as_ref().map(|will| Self {
            topic: will.topic.to_string(),
            payload: will.message.to_vec(),
            qos: will.qos,
            retain: will.retain,
            properties: Some(properties(will, connect.will_expires_at_once))
                .filter(|properties| !properties.is_empty()),
            delay: Duration::from_secs(will.will_delay_interval_sec.unwrap_or(0).into()),
            publisher: Arc::clone(publisher),
            room: None,
        })
    }

    /// Counts it among `wills`. Whether there is room for it.
    pub(crate) fn enter(&mut self, wills: &Wills, bytes_max: usize) -> bool {
        let of_properties = self.properties.as_ref().map_or(0, Properties::bytes);
        let bytes = size_of::<Self>() + self.topic.len() + self.payload.len() + of_properties;
        self.room = wills.room(bytes, bytes_max);
        self.room.is_some()
    }

    /// What it does when it is published, as the ACL asks for it.
    pub(crate) fn access(&self) -> Access<'_> {
        Access::Publish { topic: &self.topic, qos: self.qos, retain: self.retain }
    }
}

fn properties(will: &LastWill, expires_at_once: bool) -> Properties {
    Properties {
        payload_format_indicator: will.is_utf8_payload.map(u8::from),
        message_expiry_interval: expires_at_once
            .then_some(0)
            .or(will.message_expiry_interval.map(Into::into)),
        content_type: will.content_type.as_ref().map(ToString::to_string),
        response_topic: will.response_topic.as_ref().map(ToString::to_string),
        correlation_data: will.correlation_data.as_ref().map(|data| data.to_vec()),
        user: will.user_properties.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
    }
}
