use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use event::{Acker, Outcome};
use mqtt::PacketId;
use parking_lot::Mutex;
use topic::Subscription;
use wake::Wake;

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
    /// Messages of QoS 1 and 2 to the client that are not acknowledged.
    pub(crate) inflight: Inflight,
    /// Messages of QoS 2 from the client whose packet id is not given free yet.
    pub(crate) incoming: HashMap<PacketId, Incoming>,
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
            inflight: Inflight::new(),
            incoming: HashMap::new(),
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

    /// The rules are done with a message of QoS 2 that no connection waits for at the moment. One that was abandoned
    /// is forgotten, so that its repetition counts as new. Returns its packet id.
    pub(crate) fn settle_incoming(&mut self, ticket: u64, outcome: Outcome) -> Option<PacketId> {
        let (id, incoming) = self.incoming.iter_mut().find(|(_, incoming)| incoming.ticket == ticket)?;
        let id = *id;
        match outcome {
            Outcome::Settled => incoming.is_settled = true,
            Outcome::Abandoned => {
                self.incoming.remove(&id);
            }
        }
        Some(id)
    }
}
