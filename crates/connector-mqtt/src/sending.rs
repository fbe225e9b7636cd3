//! One request as a PUBLISH on the present connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use connector::Verdict;
use event::Trail;
use mqtt::{EncodeError, Output, PacketId, Publish, QoS, Version};

use crate::link::Limits;
use crate::request::Request;

/// The MQTT 5 User Property by which a connector knows its own messages again. Only sent while one of its sources has
/// `no_local`: sources have sessions of their own, so the remote alone cannot tell.
pub(crate) const ORIGIN_PROPERTY: &str = "sluicegate-origin";

/// Whose messages these are. Shared by the clients of a connector.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    name: Arc<str>,
    /// Whether messages are to say it.
    pub(crate) is_said: AtomicBool,
}

impl Origin {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self { name, is_said: AtomicBool::new(false) }
    }

    /// Whether a message with these properties went out from here.
    pub(crate) fn is_of(&self, properties: Option<&event::Properties>) -> bool {
        let own = |(key, value): &(String, String)| key == ORIGIN_PROPERTY && **value == *self.name;
        properties.is_some_and(|properties| properties.user.iter().any(own))
    }
}

/// Makes publishes of requests, as the remote allows.
#[derive(Debug)]
pub(crate) struct Sender {
    limits: Limits,
    /// The topic aliases of the present connection (MQTT 5.0 §3.3.2.3.4). First come, first served: what has none when
    /// they are used up is sent in full.
    aliases: HashMap<Box<str>, u16>,
    pub(crate) max_hops: u8,
    origin: Arc<Origin>,
}

/// Why a request is not sent, now or ever.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsent {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("it has gone over {0} bridges, so it seems to go round; `max_hops` allows no more")]
    GoesRound(u8),
    #[error("its Message Expiry Interval is over")]
    Expired,
}

impl Unsent {
    /// Tells `settle` what becomes of the request.
    pub(crate) fn settle<T>(&self, settle: impl FnOnce(Verdict<'_>) -> T) -> T {
        match self {
            Unsent::Expired => settle(Verdict::Expired),
            Unsent::Encode(_) | Unsent::GoesRound(_) => settle(Verdict::Final(&self.to_string())),
        }
    }
}

impl Sender {
    /// Topic aliases of one connection at most: what they cost is memory on both sides.
    const ALIASES_MAX: u16 = 256;
    /// An alias costs three bytes, so for a shorter topic it does not pay.
    const ALIAS_TOPIC_BYTES: usize = 6;

    pub(crate) fn new(limits: Limits, max_hops: u8, origin: Arc<Origin>) -> Self {
        Self { limits, aliases: HashMap::new(), max_hops, origin }
    }

    /// A connection is up.
    pub(crate) fn connected(&mut self, limits: Limits) {
        self.limits = limits;
        self.aliases.clear();
    }

    /// Unacknowledged publishes that the remote takes at once.
    pub(crate) fn receive_max(&self) -> usize {
        self.limits.receive_max
    }

    /// The QoS that a message of this QoS is sent with.
    pub(crate) fn qos(&self, asked: u8) -> QoS {
        let asked = match asked {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        if u8::from(asked) > u8::from(self.limits.qos_max) { self.limits.qos_max } else { asked }
    }

    /// Puts a request. As a duplicate it is one that the remote may have: it is completed, whatever its age.
    pub(crate) fn put(
        &mut self,
        mut request: Request<'_>,
        qos: QoS,
        packet_id: Option<PacketId>,
        dup: bool,
        output: &mut Output,
    ) -> Result<(), Unsent> {
        if request.hops >= self.max_hops {
            return Err(Unsent::GoesRound(request.hops));
        }
        let since_ms = request.since_ms;
        if since_ms.is_some() && !request.age(now_ms()) {
            if !dup {
                return Err(Unsent::Expired);
            }
            request.properties.get_or_insert_default().message_expiry_interval = Some(1);
        }
        let v5 = output.version() == Version::V5;
        if v5 {
            self.mark(&mut request);
        }
        let topic = request.topic;
        let known = if v5 { self.aliases.get(topic).copied() } else { None };
        let new = if known.is_none() && v5 { self.free_alias(topic) } else { None };
        output.put_publish(&Publish {
            topic: if known.is_some() { "" } else { topic },
            payload: request.payload,
            qos,
            retain: request.retain && self.limits.retain,
            dup,
            packet_id,
            properties: request.properties.as_ref(),
            subscription_ids: &[],
            topic_alias: known.or(new),
        })?;
        // Only now has the remote heard of it.
        if let Some(alias) = new {
            self.aliases.insert(topic.into(), alias);
        }
        Ok(())
    }

    fn free_alias(&self, topic: &str) -> Option<u16> {
        let next = self.aliases.len() as u16 + 1;
        let max = self.limits.topic_alias_max.min(Self::ALIASES_MAX);
        (next <= max && topic.len() >= Self::ALIAS_TOPIC_BYTES).then_some(next)
    }

    /// Says over how many bridges a message has gone, from the second on, and where it comes from if somebody asks.
    fn mark(&self, request: &mut Request<'_>) {
        let mut say = |key: &str, value: String| {
            let user = &mut request.properties.get_or_insert_default().user;
            user.retain(|(other, _)| other != key);
            user.push((key.to_owned(), value));
        };
        if request.hops > 0 {
            say(Trail::HOPS_PROPERTY, request.hops.saturating_add(1).to_string());
        }
        if self.origin.is_said.load(Ordering::Relaxed) {
            say(ORIGIN_PROPERTY, self.origin.name.to_string());
        }
    }
}

/// Milliseconds since 1970 UTC.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}
