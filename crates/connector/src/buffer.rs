//! What keeps the requests of one lane until the far side has them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use event::Part;

use crate::disk::Claim;

/// The requests of one lane in the order in which they came, behind one lock of the lane: in memory, on disk, or both.
///
/// An entry is *queued* until [`Buffer::next`] hands it out, then *in flight* until [`Buffer::ack`] removes it or
/// [`Buffer::retry`] or [`Buffer::rewind`] queues it again, in its old place. An entry whose acknowledgement is pending
/// (its part has not settled) is never expired nor dropped; nor is one in flight.
pub trait Buffer: Send {
    /// Puts a request at the end. `now` never runs backwards from one call to the next.
    ///
    /// On failure the part is dropped unsettled, which withholds the acknowledgement.
    fn append(&mut self, item: Item<'_>, hold: Hold, now: Instant) -> Result<(), StoreError>;

    /// Hands out the first queued entry and marks it in flight. `None` also where the next entry is still being read
    /// from the disk; the queue is told when it is there.
    fn next(&mut self) -> Option<Pending>;

    /// Removes an entry in flight, in any order. `None` where `seq` is not in flight.
    fn ack(&mut self, seq: u64) -> Option<Removed>;

    /// Counts that the far side refused an entry in flight for now; returns how often it has. `None` where `seq` is not
    /// in flight.
    fn refuse(&mut self, seq: u64) -> Option<u32>;

    /// Counts that an entry was sent once more while it stayed in flight. Whether `seq` was in flight.
    fn sent_again(&mut self, seq: u64) -> bool;

    /// Queues an entry in flight again, in its old place. Whether `seq` was in flight.
    fn retry(&mut self, seq: u64) -> bool;

    /// Queues everything in flight again: all that is unacknowledged will be handed out once more, in order.
    fn rewind(&mut self);

    /// How long the oldest entry has been here that may be dropped.
    fn oldest(&mut self, now: Instant) -> Option<Duration>;

    /// Drops the oldest entry that may be dropped.
    fn drop_oldest(&mut self) -> Option<Removed>;

    /// Takes out everything that it has at hand, in order; only what [`Fill`] still shows then is elsewhere. What was in
    /// flight is not any more.
    fn drain(&mut self) -> Vec<Moved>;

    /// Puts in an entry that another buffer has let go of.
    fn adopt(&mut self, moved: Moved) -> Result<(), StoreError>;

    /// Empties the buffer and gives every part that was still held. What is on disk stays there: whoever owns the log
    /// decides about it.
    fn clear(&mut self) -> Vec<Part>;

    /// Whether [`Buffer::next`] would find something.
    fn is_ready(&self) -> bool;

    /// What it holds.
    fn fill(&self) -> Fill;

    /// How many entries turned out to be damaged on disk since the last call; [`Fill`] shows them until then.
    fn take_lost(&mut self) -> u64;

    /// Whether what is stored survives the process: then a part may settle when its entry is stored.
    fn durable(&self) -> bool;
}

/// A request and what it was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// The request, in the format of the kind of connector.
    pub request: &'a [u8],
    /// What a dead letter will tell of the message, in a format that the queue does not know; may be empty.
    pub origin: &'a [u8],
}

impl<'a, T: AsRef<[u8]> + ?Sized> From<&'a T> for Item<'a> {
    fn from(request: &'a T) -> Self {
        Self { request: request.as_ref(), origin: &[] }
    }
}

impl Item<'_> {
    pub(crate) fn bytes(&self) -> usize {
        self.request.len() + self.origin.len()
    }
}

/// An [`Item`] that owns its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    bytes: Bytes,
    request_bytes: usize,
}

impl Content {
    /// Puts them together: of `bytes` the first `request_bytes` are the request, the rest is its origin.
    pub(crate) fn new(bytes: Bytes, request_bytes: usize) -> Self {
        let request_bytes = request_bytes.min(bytes.len());
        Self { bytes, request_bytes }
    }

    /// The request.
    pub fn request(&self) -> Bytes {
        self.bytes.slice(..self.request_bytes)
    }

    /// Both, borrowed.
    pub fn item(&self) -> Item<'_> {
        let (request, origin) = self.bytes.split_at(self.request_bytes);
        Item { request, origin }
    }

    /// The size of both.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// Until when an entry holds back the acknowledgement of its event.
#[derive(Debug)]
pub enum Hold {
    /// Not at all.
    Nothing,
    /// Until it is stored; a buffer that is not durable holds it until it is delivered.
    UntilStored(Part),
    /// Until the far side has it.
    UntilDelivered(Part),
}

/// An entry that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its place in the lane; never used twice.
    pub seq: u64,
    /// How often it was handed out before.
    pub sendings: u32,
    /// The request.
    pub request: Bytes,
}

/// An entry that is out of the buffer.
#[derive(Debug)]
pub struct Removed {
    /// What it was; empty where it could not be read any more.
    pub content: Content,
    /// What was counted for it.
    pub bytes: u64,
    /// How often it was handed out.
    pub sendings: u32,
    /// What depends on it.
    pub release: Release,
}

/// What an entry holds on to. To be let go of once its end is certain, and not under a lock.
#[derive(Debug, Default)]
pub struct Release {
    pub(crate) part: Option<Part>,
    /// Keeps the entry on disk, to be found after a crash, for as long as it lives.
    pub(crate) claim: Option<Claim>,
}

impl Release {
    /// The entry has come to its end: its acknowledgement may go out, and the disk may forget it.
    pub fn settle(self) {
        if let Some(part) = self.part {
            part.settle();
        }
        Claim::forget(self.claim);
    }

    /// [`Release::settle`] for many.
    pub(crate) fn settle_all(all: impl Iterator<Item = Release>) {
        Claim::forget(all.filter_map(|Release { part, claim }| {
            if let Some(part) = part {
                part.settle();
            }
            claim
        }));
    }
}

/// An entry on its way from one buffer to another.
#[derive(Debug)]
pub struct Moved {
    pub(crate) content: Content,
    pub(crate) at_ms: i64,
    pub(crate) sendings: u32,
    pub(crate) release: Release,
}

/// How much a buffer, or a whole action, holds. Bytes are those of the requests and of their origins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fill {
    /// Entries waiting.
    pub queuing: u64,
    /// Their bytes.
    pub queuing_bytes: u64,
    /// Entries handed out and not yet acknowledged.
    pub inflight: u64,
    /// Their bytes.
    pub inflight_bytes: u64,
}

/// A request could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More waits to be written than memory may be used for.
    #[error("the disk does not take what waits to be written: {0}")]
    Behind(String),
    /// The buffer was closed.
    #[error("the buffer is closed")]
    Closed,
}
