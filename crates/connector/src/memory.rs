//! The buffer that lives in memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use event::Part;

use crate::buffer::{Buffer, Content, Fill, Hold, Item, Moved, Pending, Release, Removed, StoreError};
use crate::clock;
use crate::disk::Claim;

/// A lane's requests in chunks of memory that many of them share: no allocation per request, and none at all while the
/// consumer keeps up. A chunk is free again when its last request is.
#[derive(Debug, Default)]
pub struct MemoryBuffer {
    /// By rising `seq`. Removed entries stay as tombstones until they reach the front or outnumber the rest.
    entries: VecDeque<Entry>,
    tombstones: usize,
    seq_next: u64,
    /// No entry before this one is queued.
    cursor: u64,
    /// No entry before this one may be dropped.
    droppable_from: u64,
    chunk: BytesMut,
    chunk_bytes: usize,
    fill: Fill,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    at_ms: i64,
    content: Content,
    part: Option<Part>,
    /// What keeps it on disk, where it is there too.
    claim: Option<Claim>,
    sendings: u32,
    refusals: u32,
    state: State,
}

/// An entry for [`MemoryBuffer::put`].
pub(crate) struct Put {
    pub(crate) at_ms: i64,
    pub(crate) content: Content,
    pub(crate) part: Option<Part>,
    pub(crate) claim: Option<Claim>,
    pub(crate) sendings: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    InFlight,
    Gone,
}

impl Entry {
    fn bytes(&self) -> u64 {
        self.content.bytes()
    }

    fn droppable(&self) -> bool {
        self.state == State::Queued && self.part.is_none()
    }

    /// Makes a tombstone of it.
    fn remove(&mut self) -> Removed {
        self.state = State::Gone;
        let content = std::mem::take(&mut self.content);
        let release = Release { part: self.part.take(), claim: self.claim.take() };
        Removed { bytes: content.bytes(), content, sendings: self.sendings, release }
    }
}

impl MemoryBuffer {
    /// The first chunk is small, since most lanes of most actions are idle (bytes).
    const CHUNK_BYTES_MIN: usize = 1 << 10;
    /// What one late request can pin (bytes).
    const CHUNK_BYTES_MAX: usize = 16 << 10;
    /// As many tombstones are always tolerated.
    const TOMBSTONES: usize = 64;

    /// An empty buffer; takes no memory until something is put into it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Copies a request and its origin into a chunk.
    pub(crate) fn copy(&mut self, item: Item<'_>) -> Content {
        let spare = self.chunk.capacity() - self.chunk.len();
        let bytes = item.bytes();
        if spare < bytes && !self.chunk.try_reclaim(bytes) {
            self.chunk_bytes = (self.chunk_bytes * 4).clamp(Self::CHUNK_BYTES_MIN, Self::CHUNK_BYTES_MAX);
            self.chunk = BytesMut::with_capacity(self.chunk_bytes.max(bytes));
        }
        self.chunk.extend_from_slice(item.request);
        self.chunk.extend_from_slice(item.origin);
        Content::new(self.chunk.split().freeze(), item.request.len())
    }

    /// Puts an entry at the end.
    pub(crate) fn put(&mut self, put: Put) {
        let Put { at_ms, content, part, claim, sendings } = put;
        self.fill.queuing += 1;
        self.fill.queuing_bytes += content.bytes();
        let seq = self.seq_next;
        self.seq_next += 1;
        let state = State::Queued;
        self.entries.push_back(Entry { seq, at_ms, content, part, claim, sendings, refusals: 0, state });
    }

    /// The index of the first entry at or after `seq`: usually the distance from the front, since places are missing
    /// only after a compaction.
    fn index(&self, seq: u64) -> usize {
        let Some(front) = self.entries.front() else { return 0 };
        let guess = seq.saturating_sub(front.seq) as usize;
        match self.entries.get(guess) {
            Some(entry) if entry.seq == seq => guess,
            _ => self.entries.partition_point(|entry| entry.seq < seq),
        }
    }

    fn in_flight(&mut self, seq: u64) -> Option<&mut Entry> {
        let index = self.index(seq);
        self.entries.get_mut(index).filter(|entry| entry.seq == seq && entry.state == State::InFlight)
    }

    /// The index of the oldest entry that may be dropped. Amortised O(1): what it passes over it never looks at again.
    fn first_droppable(&mut self) -> Option<usize> {
        let start = self.index(self.droppable_from);
        let found = (start..self.entries.len()).find(|&index| self.entries[index].droppable());
        self.droppable_from = found.map_or(self.seq_next, |index| self.entries[index].seq);
        found
    }

    fn queue_again(entry: &mut Entry, fill: &mut Fill) {
        entry.state = State::Queued;
        fill.inflight -= 1;
        fill.inflight_bytes -= entry.bytes();
        fill.queuing += 1;
        fill.queuing_bytes += entry.bytes();
    }

    /// Removes what has no entry behind it that is still needed.
    fn reclaim(&mut self) {
        self.tombstones += 1;
        while self.entries.front().is_some_and(|entry| entry.state == State::Gone) {
            self.entries.pop_front();
            self.tombstones -= 1;
        }
        // One late acknowledgement at the front must not keep every tombstone behind it.
        if self.tombstones > Self::TOMBSTONES && self.tombstones > self.entries.len() / 2 {
            self.entries.retain(|entry| entry.state != State::Gone);
            self.tombstones = 0;
        }
    }
}

impl Buffer for MemoryBuffer {
    fn append(&mut self, item: Item<'_>, hold: Hold, now: Instant) -> Result<(), StoreError> {
        let part = match hold {
            Hold::Nothing => None,
            Hold::UntilStored(part) | Hold::UntilDelivered(part) => Some(part),
        };
        let content = self.copy(item);
        self.put(Put { at_ms: clock::millis(now), content, part, claim: None, sendings: 0 });
        Ok(())
    }

    fn next(&mut self) -> Option<Pending> {
        let start = self.index(self.cursor);
        let found = (start..self.entries.len()).find(|&index| self.entries[index].state == State::Queued);
        let Some(index) = found else {
            self.cursor = self.seq_next;
            return None;
        };
        let entry = &mut self.entries[index];
        self.cursor = entry.seq + 1;
        entry.state = State::InFlight;
        self.fill.queuing -= 1;
        self.fill.queuing_bytes -= entry.bytes();
        self.fill.inflight += 1;
        self.fill.inflight_bytes += entry.bytes();
        let pending = Pending { seq: entry.seq, sendings: entry.sendings, request: entry.content.request() };
        entry.sendings = entry.sendings.saturating_add(1);
        Some(pending)
    }

    fn ack(&mut self, seq: u64) -> Option<Removed> {
        let removed = self.in_flight(seq)?.remove();
        self.fill.inflight -= 1;
        self.fill.inflight_bytes -= removed.bytes;
        self.reclaim();
        Some(removed)
    }

    fn refuse(&mut self, seq: u64) -> Option<u32> {
        let entry = self.in_flight(seq)?;
        entry.refusals = entry.refusals.saturating_add(1);
        Some(entry.refusals)
    }

    fn sent_again(&mut self, seq: u64) -> bool {
        let Some(entry) = self.in_flight(seq) else { return false };
        entry.sendings = entry.sendings.saturating_add(1);
        true
    }

    fn retry(&mut self, seq: u64) -> bool {
        let mut fill = self.fill;
        let Some(entry) = self.in_flight(seq) else { return false };
        Self::queue_again(entry, &mut fill);
        self.fill = fill;
        self.cursor = self.cursor.min(seq);
        self.droppable_from = self.droppable_from.min(seq);
        true
    }

    fn rewind(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.state == State::InFlight) {
            Self::queue_again(entry, &mut self.fill);
        }
        let first = self.entries.front().map_or(self.seq_next, |entry| entry.seq);
        (self.cursor, self.droppable_from) = (first, first);
    }

    fn oldest(&mut self, now: Instant) -> Option<Duration> {
        self.first_droppable().map(|index| clock::age(self.entries[index].at_ms, now))
    }

    fn drop_oldest(&mut self) -> Option<Removed> {
        let index = self.first_droppable()?;
        let removed = self.entries[index].remove();
        self.fill.queuing -= 1;
        self.fill.queuing_bytes -= removed.bytes;
        self.reclaim();
        Some(removed)
    }

    fn drain(&mut self) -> Vec<Moved> {
        self.fill = Fill::default();
        self.tombstones = 0;
        let left = self.entries.drain(..).filter(|entry| entry.state != State::Gone);
        left.map(|entry| Moved {
            content: entry.content,
            at_ms: entry.at_ms,
            sendings: entry.sendings,
            release: Release { part: entry.part, claim: entry.claim },
        })
        .collect()
    }

    fn adopt(&mut self, moved: Moved) -> Result<(), StoreError> {
        let Moved { content, at_ms, sendings, release: Release { part, claim } } = moved;
        self.put(Put { at_ms, content, part, claim, sendings });
        Ok(())
    }

    fn clear(&mut self) -> Vec<Part> {
        self.drain().into_iter().filter_map(|moved| moved.release.part).collect()
    }

    fn is_ready(&self) -> bool {
        self.fill.queuing > 0
    }

    fn fill(&self) -> Fill {
        self.fill
    }

    fn take_lost(&mut self) -> u64 {
        0
    }

    fn durable(&self) -> bool {
        false
    }
}

impl Content {
    /// An entry as it was read from a disk: the length of the request, the request, its origin.
    pub(crate) fn from_stored(bytes: &Bytes) -> Option<Self> {
        let (length, _) = bytes.split_first_chunk::<4>()?;
        let request_bytes = u32::from_le_bytes(*length) as usize;
        let content = bytes.slice(4..);
        (request_bytes <= content.len()).then(|| Self::new(content, request_bytes))
    }

    /// The origin of an entry as it lies on a disk.
    pub(crate) fn origin_of_stored(bytes: &[u8]) -> Option<&[u8]> {
        let (length, content) = bytes.split_first_chunk::<4>()?;
        content.get(u32::from_le_bytes(*length) as usize..)
    }
}
