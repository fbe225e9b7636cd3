//! What the log holds, in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use mqtt::PacketId;

use super::Change;
use crate::message::Delivery;
use crate::shared::SharedMessage;
use crate::subscriptions::Options;
use crate::will::Will;

/// The state that all changes so far have led to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    pub(crate) sessions: BTreeMap<u64, SessionImage>,
    pub(crate) retained: BTreeMap<Arc<str>, SharedMessage>,
    queued_bytes: u64,
}

/// One session that outlives its connection.
#[derive(Debug, Clone)]
pub(crate) struct SessionImage {
    pub(crate) clientid: Arc<str>,
    pub(crate) expiry_secs: u32,
    /// When its last connection ended; `None` if there was one when the log ended.
    pub(crate) left_at_ms: Option<i64>,
    /// Not yet published.
    pub(crate) will: Option<Arc<Will>>,
    pub(crate) subscriptions: BTreeMap<Arc<str>, Options>,
    /// By their numbers.
    pub(crate) entries: BTreeMap<u64, Entry>,
    /// Packet ids of QoS 2 that the client has not given free, and whether the rules are done with their messages.
    pub(crate) incoming: BTreeMap<PacketId, bool>,
    /// How many were sent so far.
    sent: u64,
}

/// One delivery of a session.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// It waits.
    Queued(Delivery),
    /// It is under way, as the how-manieth.
    Sent { delivery: Delivery, packet_id: PacketId, place: u64 },
    /// It has arrived; its packet id is not free.
    Released { packet_id: PacketId, place: u64 },
}

impl Entry {
    fn bytes(&self) -> u64 {
        match self {
            Entry::Queued(delivery) | Entry::Sent { delivery, .. } => delivery.message.bytes() as u64,
            Entry::Released { .. } => 0,
        }
    }
}

impl Image {
    /// Bytes of all deliveries, as [`Message::bytes`](crate::message::Message::bytes) counts them.
    pub(crate) fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    /// Takes one step.
    pub(crate) fn apply(&mut self, change: Change) {
        let (session, change) = match change {
            Change::Opened { session, clientid, expiry_secs, will } => {
                let image = self.sessions.entry(session).or_insert_with(|| SessionImage::new(clientid));
                (image.expiry_secs, image.left_at_ms, image.will) = (expiry_secs, None, will);
                return;
            }
            Change::Ended { session } => {
                if let Some(image) = self.sessions.remove(&session) {
                    self.queued_bytes -= image.entries.values().map(Entry::bytes).sum::<u64>();
                }
                return;
            }
            Change::Retained(message) => {
                self.retained.insert(Arc::clone(&message.topic), message);
                return;
            }
            Change::Cleared(topic) => {
                self.retained.remove(&topic);
                return;
            }
            Change::Left { session, .. }
            | Change::Subscribed { session, .. }
            | Change::Unsubscribed { session, .. }
            | Change::Queued { session, .. }
            | Change::Sent { session, .. }
            | Change::Released { session, .. }
            | Change::Done { session, .. }
            | Change::Taken { session, .. }
            | Change::Freed { session, .. } => (session, change),
        };
        // A session that is over, or whose beginning stood in a part of the log that has been rewritten.
        let Some(image) = self.sessions.get_mut(&session) else { return };
        let (added, removed) = image.apply(change);
        self.queued_bytes = (self.queued_bytes + added).saturating_sub(removed);
    }
}

impl SessionImage {
    fn new(clientid: Arc<str>) -> Self {
        Self {
            clientid,
            expiry_secs: 0,
            left_at_ms: None,
            will: None,
            subscriptions: BTreeMap::new(),
            entries: BTreeMap::new(),
            incoming: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Takes one step. Returns the bytes of deliveries that came and that went.
    fn apply(&mut self, change: Change) -> (u64, u64) {
        match change {
            Change::Left { at_ms, expiry_secs, with_will, .. } => {
                (self.left_at_ms, self.expiry_secs) = (Some(at_ms), expiry_secs);
                self.will.take_if(|_| !with_will);
            }
            Change::Subscribed { filter, options, .. } => {
                self.subscriptions.insert(filter, options);
            }
            Change::Unsubscribed { filter, .. } => {
                self.subscriptions.remove(&filter);
            }
            Change::Queued { delivery, .. } => {
                // What stands in the log again, since it was rewritten, may be further than this.
                if let MapEntry::Vacant(place) = self.entries.entry(delivery.number) {
                    let entry = place.insert(Entry::Queued(delivery));
                    return (entry.bytes(), 0);
                }
            }
            Change::Sent { number, packet_id, .. } => {
                let place = self.next_place();
                if let Some(entry) = self.entries.get_mut(&number)
                    && let Entry::Queued(delivery) | Entry::Sent { delivery, .. } = entry
                {
                    *entry = Entry::Sent { delivery: delivery.clone(), packet_id, place };
                }
            }
            Change::Released { number, packet_id, .. } => {
                let place = match self.entries.get(&number) {
                    Some(Entry::Sent { place, .. }) => *place,
                    Some(Entry::Queued(_) | Entry::Released { .. }) | None => self.next_place(),
                };
                let before = self.entries.insert(number, Entry::Released { packet_id, place });
                return (0, before.map_or(0, |before| before.bytes()));
            }
            Change::Done { number, .. } => {
                return (0, self.entries.remove(&number).map_or(0, |entry| entry.bytes()));
            }
            Change::Taken { packet_id, is_settled, .. } => {
                self.incoming.insert(packet_id, is_settled);
            }
            Change::Freed { packet_id, .. } => {
                self.incoming.remove(&packet_id);
            }
            Change::Opened { .. } | Change::Ended { .. } | Change::Retained(_) | Change::Cleared(_) => {}
        }
        (0, 0)
    }

    fn next_place(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// Entries that are under way, in the order in which they were sent.
    pub(crate) fn under_way(&self) -> Vec<(u64, &Entry)> {
        let place = |entry: &Entry| match entry {
            Entry::Queued(_) => None,
            Entry::Sent { place, .. } | Entry::Released { place, .. } => Some(*place),
        };
        let mut entries: Vec<(u64, &Entry)> =
            self.entries.iter().map(|(number, entry)| (*number, entry)).collect();
        entries.retain(|(_, entry)| place(entry).is_some());
        entries.sort_by_key(|(_, entry)| place(entry));
        entries
    }

    /// What leads to this state but for the entries.
    fn head(&self, session: u64, put: &mut impl FnMut(Change)) {
        let Self { clientid, expiry_secs, left_at_ms, will, subscriptions, incoming, .. } = self;
        let (clientid, expiry_secs, will) = (Arc::clone(clientid), *expiry_secs, will.clone());
        let with_will = will.is_some();
        put(Change::Opened { session, clientid, expiry_secs, will });
        if let Some(at_ms) = *left_at_ms {
            put(Change::Left { session, at_ms, expiry_secs, with_will });
        }
        for (filter, options) in subscriptions {
            put(Change::Subscribed { session, filter: Arc::clone(filter), options: *options });
        }
        for (packet_id, is_settled) in incoming {
            put(Change::Taken { session, packet_id: *packet_id, is_settled: *is_settled });
        }
    }
}

/// How far the state has been written anew.
#[derive(Debug, Clone)]
pub(super) enum Walk {
    /// The next session is the first after this one.
    Session(Option<u64>),
    /// The next entry of this session is the first after this one.
    Entries(u64, Option<u64>),
    /// Entries that are under way, in the order in which they were sent; then the next session.
    Sent(u64),
    /// The next retained message is the first after this topic.
    Retained(Option<Arc<str>>),
    /// All of it.
    Over,
}

/// Entries, or retained messages, of one step.
const STEP: usize = 256;

impl Walk {
    /// Gives `put` the changes of the next step. What changes between two steps stands in the log by itself, and is
    /// either met again or gone.
    pub(super) fn step(&mut self, image: &Image, put: &mut impl FnMut(Change)) {
        *self = match self {
            Walk::Session(after) => {
                match image.sessions.range((after.map_or(Unbounded, Excluded), Unbounded)).next() {
                    Some((number, session)) => {
                        session.head(*number, put);
                        Walk::Entries(*number, None)
                    }
                    None => Walk::Retained(None),
                }
            }
            Walk::Entries(number, after) => {
                let entries = image.sessions.get(number).map(|session| &session.entries);
                let range = (after.map_or(Unbounded, Excluded), Unbounded);
                let mut last = None;
                for (at, entry) in entries.into_iter().flat_map(|entries| entries.range(range)).take(STEP) {
                    if let Entry::Queued(delivery) | Entry::Sent { delivery, .. } = entry {
                        put(Change::Queued { session: *number, delivery: delivery.clone() });
                    }
                    last = Some(*at);
                }
                match last {
                    Some(_) => Walk::Entries(*number, last),
                    None => Walk::Sent(*number),
                }
            }
            Walk::Sent(number) => {
                let entries = image.sessions.get(number).map(SessionImage::under_way);
                for (at, entry) in entries.into_iter().flatten() {
                    match *entry {
                        Entry::Queued(_) => {}
                        Entry::Sent { packet_id, .. } => {
                            put(Change::Sent { session: *number, number: at, packet_id });
                        }
                        Entry::Released { packet_id, .. } => {
                            put(Change::Released { session: *number, number: at, packet_id });
                        }
                    }
                }
                Walk::Session(Some(*number))
            }
            Walk::Retained(after) => {
                let range = (after.as_deref().map_or(Unbounded, Excluded), Unbounded);
                let mut last = None;
                for (topic, message) in image.retained.range::<str, _>(range).take(STEP) {
                    put(Change::Retained(message.clone()));
                    last = Some(Arc::clone(topic));
                }
                match last {
                    Some(_) => Walk::Retained(last),
                    None => Walk::Over,
                }
            }
            Walk::Over => Walk::Over,
        };
    }
}
