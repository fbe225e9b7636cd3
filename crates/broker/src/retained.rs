use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;
use topic::{TopicFilter, matches};

use crate::message::Message;

/// The last retained message of each topic, within bounds. In memory: a restart forgets it.
///
/// A lock since every connection may publish and subscribe; held for one look-up or one change.
#[derive(Debug)]
pub(crate) struct Retained {
    store: RwLock<Store>,
    messages_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Store {
    by_topic: BTreeMap<Arc<str>, Arc<Message>>,
    bytes: usize,
}

impl Retained {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { store: RwLock::default(), messages_max, bytes_max }
    }

    /// Puts a message in the place of the one before; one without payload only takes that away [MQTT-3.3.1-6].
    /// Returns whether there was room.
    pub(crate) fn set(&self, message: &Arc<Message>) -> bool {
        let mut store = self.store.write();
        let before = store.by_topic.remove(&message.topic).map_or(0, |before| before.bytes());
        store.bytes -= before;
        if message.payload.is_empty() {
            return true;
        }
        let fits =
            store.by_topic.len() < self.messages_max && store.bytes + message.bytes() <= self.bytes_max;
        if fits {
            store.bytes += message.bytes();
            store.by_topic.insert(Arc::clone(&message.topic), Arc::clone(message));
        }
        fits
    }

    /// The messages that a new subscription to `filter` gets, by topic. Those that have expired are left out.
    pub(crate) fn matching(&self, filter: &TopicFilter, now_ms: i64) -> Vec<Arc<Message>> {
        let store = self.store.read();
        let fresh = |message: &&Arc<Message>| !message.is_expired(now_ms);
        if !filter.has_wildcard() {
            return store.by_topic.get(filter.as_str()).filter(fresh).cloned().into_iter().collect();
        }
        // Everything that can match starts with the levels before the first wildcard.
        let text = filter.as_str();
        let prefix = text.find(['+', '#']).map_or(text, |at| text[..at].trim_end_matches('/'));
        store
            .by_topic
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(topic, _)| topic.starts_with(prefix))
            .filter(|(topic, _)| matches(text, topic))
            .map(|(_, message)| message)
            .filter(fresh)
            .cloned()
            .collect()
    }

    /// The number of messages.
    pub(crate) fn len(&self) -> usize {
        self.store.read().by_topic.len()
    }
}
