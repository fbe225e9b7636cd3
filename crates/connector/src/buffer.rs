//! What keeps the requests of one lane until the far side has them.

use std::time::Instant;

use bytes::Bytes;
use event::Part;

/// The requests of one lane in the order in which they came, behind one lock of the lane: memory now, a disk later.
///
/// An entry is *queued* until [`Buffer::next`] hands it out, then *in flight* until [`Buffer::ack`] removes it or
/// [`Buffer::retry`] or [`Buffer::rewind`] queues it again, in its old place. An entry whose acknowledgement is pending
/// (its part has not settled) is never expired nor dropped; nor is one in flight.
pub trait Buffer: Send {
    /// Puts a request at the end. `now` never runs backwards from one call to the next.
    ///
    /// On failure the part is dropped unsettled, which withholds the acknowledgement.
    fn append(&mut self, request: &[u8], hold: Hold, now: Instant) -> Result<(), StoreError>;

    /// Hands out the first queued entry and marks it in flight.
    fn next(&mut self) -> Option<Pending>;

    /// Removes an entry in flight, in any order. `None` where `seq` is not in flight.
    fn ack(&mut self, seq: u64) -> Option<Removed>;

    /// Queues an entry in flight again, in its old place. Returns its bytes; `None` where `seq` is not in flight.
    fn retry(&mut self, seq: u64) -> Option<u64>;

    /// Queues everything in flight again: all that is unacknowledged will be handed out once more, in order.
    fn rewind(&mut self);

    /// When the oldest entry came that may be dropped.
    fn oldest(&mut self) -> Option<Instant>;

    /// Drops the oldest entry that may be dropped; returns its bytes.
    fn drop_oldest(&mut self) -> Option<u64>;

    /// Empties the buffer and gives every part that was still held.
    fn clear(&mut self) -> Vec<Part>;

    /// What it holds.
    fn fill(&self) -> Fill;

    /// Whether what is stored survives the process: then a part may settle when its entry is stored.
    fn durable(&self) -> bool;
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

/// An entry that was acknowledged.
#[derive(Debug)]
pub struct Removed {
    /// The size of its request.
    pub bytes: u64,
    /// What it held; for the caller to settle once it has let go of its locks.
    pub part: Option<Part>,
}

/// How much a buffer, or a whole action, holds. Bytes are those of the requests.
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
#[error("storing a request failed: {0}")]
pub struct StoreError(#[from] pub std::io::Error);
