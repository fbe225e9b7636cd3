use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use event::{MessageId, Properties, Trail};
use mqtt::QoS;

use crate::acl::Who;
use crate::groups::Group;
use crate::held::{Place, Room};
use crate::shared::SharedMessage;

/// A message on its way to sessions: shared by all of them, and never changed.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: Option<Box<Properties>>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) received_at_ms: i64,
    pub(crate) trail: Trail,
    /// Which rewriting of the log it was last written in: for the thread that writes the log alone.
    pub(crate) written: AtomicU32,
    /// Its part of what all messages take, once it is shared.
    pub(crate) room: Room,
}

/// Who published a message.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) clientid: Arc<str>,
    pub(crate) username: Option<Arc<str>>,
    /// `None` for what the server itself publishes.
    pub(crate) peername: Option<SocketAddr>,
}

impl Publisher {
    /// As the ACL asks for it.
    pub(crate) fn who(&self) -> Who<'_> {
        const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Who {
            clientid: &self.clientid,
            username: self.username.as_deref(),
            peername: self.peername.unwrap_or(NOWHERE),
        }
    }
}

impl Message {
    /// What it counts for in a queue, roughly what it takes in memory (bytes).
    pub(crate) fn bytes(&self) -> usize {
        const OVERHEAD: usize = 128;
        let properties = self.properties.as_ref().map_or(0, |properties| properties.bytes());
        self.topic.len() + self.payload.len() + properties + OVERHEAD
    }

    fn expiry_interval(&self) -> Option<u32> {
        self.properties.as_ref().and_then(|properties| properties.message_expiry_interval)
    }

    /// Whether it can expire at all: what to ask before reading a clock.
    pub(crate) fn expires(&self) -> bool {
        self.expiry_interval().is_some()
    }

    /// Whether its Message Expiry Interval has passed.
    pub(crate) fn is_expired(&self, now_ms: i64) -> bool {
        self.expiry_interval().is_some_and(|seconds| now_ms - self.received_at_ms > i64::from(seconds) * 1000)
    }

    /// What is left of its Message Expiry Interval (seconds) [MQTT-3.3.2-6].
    pub(crate) fn expiry_left(&self, now_ms: i64) -> Option<u32> {
        let waited = u32::try_from((now_ms - self.received_at_ms).max(0) / 1000).unwrap_or(u32::MAX);
        self.expiry_interval().map(|seconds| seconds.saturating_sub(waited))
    }
}

/// A message as one session is to get it.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    /// Its number in the store, from 1 and rising within a session; 0 if it is not kept there.
    pub(crate) number: u64,
    pub(crate) message: SharedMessage,
    /// The lower of the message's and the subscription's.
    pub(crate) qos: QoS,
    /// The RETAIN flag of the copy.
    pub(crate) retain: bool,
    pub(crate) ids: SubscriptionIds,
    /// The group for which this session has it: should the session end, another member gets it.
    pub(crate) share: Option<Arc<Group>>,
    pub(crate) _place: Place,
}

impl Delivery {
    /// A copy of a message for a subscription with this QoS.
    pub(crate) fn new(message: &SharedMessage, qos: QoS, retain: bool, ids: SubscriptionIds) -> Self {
        Self {
            number: 0,
            message: message.clone(),
            qos: message.qos.min(qos),
            retain,
            ids,
            share: None,
            _place: Place::new(),
        }
    }
}

/// The Subscription Identifiers that a delivery carries; nearly always none or one.
#[derive(Debug, Clone, Default)]
pub(crate) enum SubscriptionIds {
    #[default]
    None,
    One(u32),
    Many(Arc<Vec<u32>>),
}

impl SubscriptionIds {
    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            SubscriptionIds::None => &[],
            SubscriptionIds::One(id) => std::slice::from_ref(id),
            SubscriptionIds::Many(ids) => ids,
        }
    }

    pub(crate) fn add(&mut self, id: Option<u32>) {
        let Some(id) = id else { return };
        *self = match std::mem::take(self) {
            SubscriptionIds::None => SubscriptionIds::One(id),
            SubscriptionIds::One(first) => SubscriptionIds::Many(Arc::new(vec![first, id])),
            SubscriptionIds::Many(mut ids) => {
                // Not shared yet while they are gathered.
                Arc::make_mut(&mut ids).push(id);
                SubscriptionIds::Many(ids)
            }
        };
    }
}

/// The time of one batch: read once, used for every packet in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    micros: u64,
}

impl Now {
    pub(crate) fn read() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { micros: u64::try_from(since.as_micros()).unwrap_or(u64::MAX) }
    }

    pub(crate) fn ms(self) -> i64 {
        (self.micros / 1000) as i64
    }
}

/// Numbers messages so that no two on a node are the same, without all connections touching one counter each time.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    next: u32,
    left: u32,
}

impl Numbers {
    const BLOCK: u32 = 1024;

    /// The identity of one more message. `shared` hands out blocks of numbers.
    pub(crate) fn next_id(&mut self, now: Now, node: u32, shared: &AtomicU32) -> MessageId {
        if self.left == 0 {
            self.next = shared.fetch_add(Self::BLOCK, Ordering::Relaxed);
            self.left = Self::BLOCK;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.left -= 1;
        MessageId::new(now.micros, node, number)
    }
}
