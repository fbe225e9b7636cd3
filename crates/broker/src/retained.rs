use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event::Part;
use mqtt::QoS;
use parking_lot::RwLock;
use topic::{Subscription, TopicFilter, matches};

use crate::message::Message;
use crate::shared::SharedMessage;
use crate::store::{Change, Store};
use crate::sys;

/// The last retained message of each topic, within bounds, and kept in the store if there is one.
///
/// A lock since every connection may publish and subscribe; held for one change, or for a bounded part of a look-up.
#[derive(Debug)]
pub(crate) struct Retained {
    topics: RwLock<Topics>,
    /// `topics.bytes`, for those who do not have the lock.
    bytes: AtomicUsize,
    messages_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Topics {
    by_topic: BTreeMap<Arc<str>, SharedMessage>,
    bytes: usize,
    /// How many of them are of `$SYS`, which are neither bounded nor stored.
    sys: usize,
    /// Before this time (milliseconds since 1970) nothing more expires, as far as is known.
    sweep_at_ms: i64,
}

/// Retained messages that a new subscription has yet to get.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) subscription: Subscription,
    pub(crate) qos: QoS,
    pub(crate) id: Option<u32>,
    /// Everything up to this topic has been looked at.
    after: Option<Arc<str>>,
}

impl Feed {
    pub(crate) fn new(subscription: Subscription, qos: QoS, id: Option<u32>) -> Self {
        Self { subscription, qos, id, after: None }
    }
}

/// Topics that one part of a look-up visits at most, so that nobody waits long for the lock.
const VISITED_MAX: usize = 1024;
/// Bytes of messages that one part of a look-up finds, or little more.
const FEED_BYTES: usize = 64 * 1024;
/// A full store is searched for what has expired this often at most (milliseconds).
const SWEEP_EVERY_MS: i64 = 1_000;

impl Retained {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { topics: RwLock::default(), bytes: AtomicUsize::new(0), messages_max, bytes_max }
    }

    /// Takes what the store held. Returns the topics for which there is no room.
    pub(crate) fn restore(&self, messages: impl IntoIterator<Item = SharedMessage>) -> Vec<Arc<str>> {
        let mut topics = self.topics.write();
        let mut refused = Vec::new();
        for message in messages {
            if self.fits(&topics, &message) {
                topics.bytes += message.bytes();
                topics.by_topic.insert(Arc::clone(&message.topic), message);
            } else {
                refused.push(Arc::clone(&message.topic));
            }
        }
        self.bytes.store(topics.bytes, Ordering::Relaxed);
        refused
    }

    /// Puts a message in the place of the one before; one without payload only takes that away [MQTT-3.3.1-6].
    /// Returns whether there was room. What it changes in `store` is written when the part is settled.
    pub(crate) fn set(
        &self,
        message: &SharedMessage,
        store: Option<&Store>,
        part: impl FnOnce() -> Option<Part>,
    ) -> bool {
        if message.topic.starts_with(sys::PREFIX) {
            return self.set_sys(message);
        }
        let mut topics = self.topics.write();
        let before = topics.by_topic.remove(&message.topic);
        topics.bytes -= before.as_ref().map_or(0, |before| before.bytes());
        let is_kept = !message.payload.is_empty();
        if is_kept && !self.fits(&topics, message) {
            self.sweep(&mut topics, message.received_at_ms, store);
        }
        let fits = is_kept && self.fits(&topics, message);
        if fits {
            topics.bytes += message.bytes();
            topics.by_topic.insert(Arc::clone(&message.topic), message.clone());
        }
        self.bytes.store(topics.bytes, Ordering::Relaxed);
        // Under the lock, so that the store sees the messages of a topic in the order in which they are here.
        if let Some(store) = store {
            let change = match (fits, before) {
                (true, _) => Change::Retained(message.clone()),
                (false, Some(_)) => Change::Cleared(Arc::clone(&message.topic)),
                (false, None) => return !is_kept,
            };
            store.submit(&mut vec![change], part());
        }
        fits || !is_kept
    }

    fn set_sys(&self, message: &SharedMessage) -> bool {
        let mut topics = self.topics.write();
        let before = topics.by_topic.insert(Arc::clone(&message.topic), message.clone());
        topics.sys += usize::from(before.is_none());
        true
    }

    fn fits(&self, topics: &Topics, message: &Message) -> bool {
        topics.by_topic.len() - topics.sys < self.messages_max
            && topics.bytes + message.bytes() <= self.bytes_max
    }

    /// Makes room by what has expired.
    fn sweep(&self, topics: &mut Topics, now_ms: i64, store: Option<&Store>) {
        if now_ms < topics.sweep_at_ms {
            return;
        }
        topics.sweep_at_ms = now_ms + SWEEP_EVERY_MS;
        let Topics { by_topic, bytes, .. } = topics;
        let mut expired = Vec::new();
        by_topic.retain(|topic, message| {
            let is_expired = message.is_expired(now_ms);
            if is_expired {
                *bytes -= message.bytes();
                expired.push(Change::Cleared(Arc::clone(topic)));
            }
            !is_expired
        });
        if let Some(store) = store {
            store.submit(&mut expired, None);
        }
    }

    /// Adds the next messages of a feed to `found`, a bounded number of them. Those that have expired are left out.
    /// Returns whether there may be more.
    pub(crate) fn next(&self, feed: &mut Feed, now_ms: i64, found: &mut Vec<SharedMessage>) -> bool {
        let topics = self.topics.read();
        let filter = &feed.subscription.filter;
        if !filter.has_wildcard() {
            found.extend(
                topics.by_topic.get(filter.as_str()).filter(|message| !message.is_expired(now_ms)).cloned(),
            );
            return false;
        }
        let text = filter.as_str();
        let prefix = prefix(filter);
        let start = feed.after.as_deref().map_or(Bound::Included(prefix), Bound::Excluded);
        let mut bytes = 0;
        let mut visited: Option<&Arc<str>> = None;
        for (number, (topic, message)) in
            topics.by_topic.range::<str, _>((start, Bound::Unbounded)).enumerate()
        {
            if !topic.starts_with(prefix) {
                return false;
            }
            if number == VISITED_MAX || bytes > FEED_BYTES {
                feed.after = visited.cloned();
                return true;
            }
            visited = Some(topic);
            if matches(text, topic) && !message.is_expired(now_ms) {
                bytes += message.bytes();
                found.push(message.clone());
            }
        }
        false
    }

    /// What they take (bytes), without those of `$SYS`.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The number of messages, without those of `$SYS`.
    pub(crate) fn len(&self) -> usize {
        let topics = self.topics.read();
        topics.by_topic.len() - topics.sys
    }
}

/// Everything that can match starts with the levels before the first wildcard.
fn prefix(filter: &TopicFilter) -> &str {
    let text = filter.as_str();
    text.find(['+', '#']).map_or(text, |at| text[..at].trim_end_matches('/'))
}
