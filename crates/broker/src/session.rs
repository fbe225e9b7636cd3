use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use event::{Acker, Outcome};
use mqtt::PacketId;
use parking_lot::Mutex;
use topic::Subscription;
use wake::Wake;

use crate::groups::Group;
use crate::inbox::Inbox;
use crate::inflight::Inflight;
use crate::janitor::Reminders;
use crate::message::Publisher;
use crate::retained::Feed;
use crate::subscriptions::Options;
use crate::will::Will;

/// What the broker knows of one client id, as long as it knows it: one connection after the other, and the time
/// between.
///
/// What others may touch stands here. What only its connection may touch stands in [`Kept`], behind a lock that the
/// connection holds from CONNECT to its end: a connection that takes over waits for that lock, and so starts exactly
/// where the old one stopped.
pub(crate) struct Session {
    pub(crate) clientid: Arc<str>,
    /// By which the store knows it: no two sessions of one broker have the same.
    pub(crate) number: u64,
    /// Whether it is kept in the store.
    pub(crate) is_stored: AtomicBool,
    /// The number of the last delivery that the store was given.
    pub(crate) delivery_last: AtomicU64,
    /// The client of the last connection, as events tell it.
    pub(crate) client: ArcSwapOption<Publisher>,
    /// What waits to go to the client.
    pub(crate) inbox: Inbox,
    /// Wakes the connection: the inbox is no longer empty, an acknowledgement is settled, or it is to end.
    wake: Wake,
    /// Whether the connection was told, and has not looked yet.
    is_due: AtomicBool,
    /// Tickets of received messages that the rules have dealt with, in the order in which they did.
    settled: Mutex<Vec<(u64, Outcome)>>,
    /// The number of connections that ever asked for this session; the last one has it.
    latest: AtomicU64,
    /// The connection that asked last wants a session of its own.
    discarded: AtomicBool,
    /// Set once, when the broker shuts down.
    stop: AtomicBool,
    /// Whether there is a connection: what a share group prefers.
    pub(crate) connected: AtomicBool,
    pub(crate) kept: Arc<tokio::sync::Mutex<Kept>>,
}

/// The part of a session that its connection alone reads and writes, and leaves to the next.
pub(crate) struct Kept {
    /// By the text that the client subscribed with.
    pub(crate) subscriptions: HashMap<Box<str>, Subscribed>,
    /// What their filters take, as [`filter_bytes`](crate::subscriptions::filter_bytes) counts it.
    pub(crate) subscription_bytes: usize,
    /// Messages of QoS 1 and 2 to the client that are not acknowledged.
    pub(crate) inflight: Inflight,
    /// Messages of QoS 2 from the client whose packet id is not given free yet.
    pub(crate) incoming: HashMap<PacketId, Incoming>,
    /// Those of them that the rules are not done with, by ticket.
    judged: BTreeMap<u64, PacketId>,
    /// Tickets are never used twice in a session, also not by its next connection.
    pub(crate) ticket_next: u64,
    /// Goes out when its delay is over, unless the client is back by then.
    pub(crate) will: Option<Arc<Will>>,
    /// The subscriptions that have yet to get retained messages.
    pub(crate) feeds: VecDeque<Box<str>>,
    /// When the last connection ended (milliseconds since 1970), and how long the session lives from there.
    pub(crate) left_at_ms: i64,
    pub(crate) expiry: Duration,
    /// What the janitor is to do with it if the client does not come back.
    pub(crate) reminders: Reminders,
    /// Whether an earlier connection has left anything: Session Present.
    pub(crate) is_old: bool,
    /// The session is over and no longer in the registry; whoever waited for it must look again.
    pub(crate) is_over: bool,
}

/// A subscription as the session knows it.
#[derive(Debug, Clone)]
pub(crate) struct Subscribed {
    pub(crate) subscription: Subscription,
    pub(crate) options: Options,
    /// The share group that it is in.
    pub(crate) group: Option<Arc<Group>>,
    /// The retained messages that it has yet to get. Who subscribes again while there are some gets all of them again, once.
    pub(crate) feed: Option<Feed>,
}

/// A message of QoS 2 that has come and is not released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incoming {
    /// Of the acknowledgement; [`Incoming::FORGOTTEN`] if it is not known what became of it.
    pub(crate) ticket: u64,
    /// Whether the rules are done with it, so that PUBREC may go out (again).
    pub(crate) is_settled: bool,
}

impl Incoming {
    /// The ticket of a message that an earlier process had given to its sessions, and whose rules may not have been done:
    /// when it comes again, they judge it again.
    pub(crate) const FORGOTTEN: u64 = 0;
}

impl Session {
    pub(crate) fn new(clientid: Arc<str>, number: u64, inbox: Inbox) -> Self {
        Self {
            clientid,
            number,
            is_stored: AtomicBool::new(false),
            delivery_last: AtomicU64::new(0),
            client: ArcSwapOption::empty(),
            inbox,
            wake: Wake::default(),
            is_due: AtomicBool::new(false),
            settled: Mutex::new(Vec::new()),
            latest: AtomicU64::new(0),
            discarded: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            kept: Arc::new(tokio::sync::Mutex::new(Kept::new())),
        }
    }

    /// One more connection wants this session: whoever has it is told to give it up. Returns the number by which the
    /// connection knows whether it is still the last.
    pub(crate) fn claim(&self, clean_start: bool) -> u64 {
        self.discarded.store(clean_start, Ordering::Relaxed);
        let claim = self.latest.fetch_add(1, Ordering::AcqRel) + 1;
        self.notify();
        claim
    }

    /// Whether no later connection has asked for it.
    pub(crate) fn is_latest(&self, claim: u64) -> bool {
        self.latest.load(Ordering::Acquire) == claim
    }

    /// Whether the connection that asked for it last wants it without what is in it.
    pub(crate) fn is_discarded(&self) -> bool {
        self.discarded.load(Ordering::Relaxed)
    }

    /// Whether it is kept in the store.
    pub(crate) fn is_stored(&self) -> bool {
        self.is_stored.load(Ordering::Relaxed)
    }

    /// The number of one more delivery in the store.
    pub(crate) fn next_delivery(&self) -> u64 {
        self.delivery_last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Tells its connection, if it has one, to look what there is to do: at the end of the batch that this thread works on.
    pub(crate) fn notify(&self) {
        self.is_due.store(true, Ordering::SeqCst);
        self.wake.wake();
    }

    /// Waits until it is told. For its connection alone.
    pub(crate) async fn notified(&self) {
        self.wake.wait(|| self.is_due.load(Ordering::SeqCst)).await;
    }

    /// Its connection is about to look at everything that it may have been told of.
    pub(crate) fn begin_turn(&self) {
        self.is_due.store(false, Ordering::SeqCst);
    }

    /// Tells its connection that the broker shuts down.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.notify();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Takes the tickets that were settled since the last call.
    pub(crate) fn take_settled(&self, into: &mut Vec<(u64, Outcome)>) {
        into.append(&mut self.settled.lock());
    }
}

impl Acker for Session {
    fn settled(&self, ticket: u64, outcome: Outcome) {
        let mut settled = self.settled.lock();
        settled.push((ticket, outcome));
        if settled.len() == 1 {
            drop(settled);
            self.notify();
        }
    }
}

impl Kept {
    fn new() -> Self {
        Self {
            subscriptions: HashMap::new(),
            subscription_bytes: 0,
            inflight: Inflight::new(),
            incoming: HashMap::new(),
            judged: BTreeMap::new(),
            ticket_next: 0,
            will: None,
            feeds: VecDeque::new(),
            left_at_ms: 0,
            expiry: Duration::ZERO,
            reminders: Reminders::default(),
            is_old: false,
            is_over: false,
        }
    }

    /// A ticket for one more received message.
    pub(crate) fn ticket(&mut self) -> u64 {
        self.ticket_next += 1;
        self.ticket_next
    }

    /// Notes that a client has a connection, or has none any more, for those who prefer such.
    pub(crate) fn set_connected(&self, session: &Session, is_connected: bool) {
        session.connected.store(is_connected, Ordering::Relaxed);
        let groups = self.subscriptions.values().filter_map(|subscribed| subscribed.group.as_ref());
        groups.for_each(|group| group.set_connected(session, is_connected));
    }

    /// A message of QoS 2 has come.
    pub(crate) fn take_in(&mut self, packet_id: PacketId, incoming: Incoming) {
        if !incoming.is_settled && incoming.ticket != Incoming::FORGOTTEN {
            self.judged.insert(incoming.ticket, packet_id);
        }
        self.incoming.insert(packet_id, incoming);
    }

    /// The packet id of a message of QoS 2 is free again. Whether it was not.
    pub(crate) fn free(&mut self, packet_id: PacketId) -> bool {
        let incoming = self.incoming.remove(&packet_id);
        if let Some(incoming) = incoming {
            self.judged.remove(&incoming.ticket);
        }
        incoming.is_some()
    }

    /// The rules are done with a message of QoS 2 that no connection waits for at the moment. One that was abandoned
    /// is forgotten, so that its repetition counts as new. Returns its packet id.
    pub(crate) fn settle_incoming(&mut self, ticket: u64, outcome: Outcome) -> Option<PacketId> {
        let packet_id = self.judged.remove(&ticket)?;
        match outcome {
            Outcome::Settled => self.incoming.get_mut(&packet_id)?.is_settled = true,
            Outcome::Abandoned => drop(self.incoming.remove(&packet_id)),
        }
        Some(packet_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).expect("not zero")
    }

    #[test]
    fn what_the_rules_are_done_with_is_found_by_its_ticket() {
        let mut kept = Kept::new();
        for number in 1..=3 {
            kept.take_in(id(number), Incoming { ticket: 10 + u64::from(number), is_settled: false });
        }
        kept.take_in(id(4), Incoming { ticket: Incoming::FORGOTTEN, is_settled: false });
        kept.take_in(id(5), Incoming { ticket: 15, is_settled: true });
        assert_eq!(kept.settle_incoming(12, Outcome::Settled), Some(id(2)));
        assert!(kept.incoming[&id(2)].is_settled);
        assert_eq!(kept.settle_incoming(12, Outcome::Settled), None, "once");
        assert_eq!(kept.settle_incoming(11, Outcome::Abandoned), Some(id(1)));
        assert!(!kept.incoming.contains_key(&id(1)));
        // Free, and taken again by another message.
        assert!(kept.free(id(3)) && !kept.free(id(3)));
        kept.take_in(id(3), Incoming { ticket: 16, is_settled: false });
        assert_eq!(kept.settle_incoming(13, Outcome::Abandoned), None);
        assert_eq!(kept.settle_incoming(16, Outcome::Settled), Some(id(3)));
        for ticket in [Incoming::FORGOTTEN, 15] {
            assert_eq!(kept.settle_incoming(ticket, Outcome::Settled), None);
        }
        assert!(kept.judged.is_empty());
    }
}
