//! The buffer that lives in memory.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use event::Part;

use crate::buffer::{Buffer, Fill, Hold, Pending, Removed, StoreError};

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
    at: Instant,
    request: Bytes,
    part: Option<Part>,
    sendings: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    InFlight,
    Gone,
}

impl Entry {
    fn bytes(&self) -> u64 {
        self.request.len() as u64
    }

    fn droppable(&self) -> bool {
        self.state == State::Queued && self.part.is_none()
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

    fn copy(&mut self, request: &[u8]) -> Bytes {
        let spare = self.chunk.capacity() - self.chunk.len();
        if spare < request.len() && !self.chunk.try_reclaim(request.len()) {
            self.chunk_bytes = (self.chunk_bytes * 4).clamp(Self::CHUNK_BYTES_MIN, Self::CHUNK_BYTES_MAX);
            self.chunk = BytesMut::with_capacity(self.chunk_bytes.max(request.len()));
        }
        self.chunk.extend_from_slice(request);
        self.chunk.split().freeze()
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
    fn append(&mut self, request: &[u8], hold: Hold, now: Instant) -> Result<(), StoreError> {
        let part = match hold {
            Hold::Nothing => None,
            Hold::UntilStored(part) | Hold::UntilDelivered(part) => Some(part),
        };
        let request = self.copy(request);
        self.fill.queuing += 1;
        self.fill.queuing_bytes += request.len() as u64;
        let seq = self.seq_next;
        self.seq_next += 1;
        self.entries.push_back(Entry { seq, at: now, request, part, sendings: 0, state: State::Queued });
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
        let pending = Pending { seq: entry.seq, sendings: entry.sendings, request: entry.request.clone() };
        entry.sendings = entry.sendings.saturating_add(1);
        Some(pending)
    }

    fn ack(&mut self, seq: u64) -> Option<Removed> {
        let entry = self.in_flight(seq)?;
        entry.state = State::Gone;
        let removed = Removed { bytes: entry.bytes(), part: entry.part.take() };
        entry.request = Bytes::new();
        self.fill.inflight -= 1;
        self.fill.inflight_bytes -= removed.bytes;
        self.reclaim();
        Some(removed)
    }

    fn retry(&mut self, seq: u64) -> Option<u64> {
        let mut fill = self.fill;
        let entry = self.in_flight(seq)?;
        Self::queue_again(entry, &mut fill);
        let bytes = entry.bytes();
        self.fill = fill;
        self.cursor = self.cursor.min(seq);
        self.droppable_from = self.droppable_from.min(seq);
        Some(bytes)
    }

    fn rewind(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.state == State::InFlight) {
            Self::queue_again(entry, &mut self.fill);
        }
        let first = self.entries.front().map_or(self.seq_next, |entry| entry.seq);
        (self.cursor, self.droppable_from) = (first, first);
    }

    fn oldest(&mut self) -> Option<Instant> {
        self.first_droppable().map(|index| self.entries[index].at)
    }

    fn drop_oldest(&mut self) -> Option<u64> {
        let index = self.first_droppable()?;
        let entry = &mut self.entries[index];
        let bytes = entry.bytes();
        entry.state = State::Gone;
        entry.request = Bytes::new();
        self.fill.queuing -= 1;
        self.fill.queuing_bytes -= bytes;
        self.reclaim();
        Some(bytes)
    }

    fn clear(&mut self) -> Vec<Part> {
        self.fill = Fill::default();
        self.tombstones = 0;
        self.entries.drain(..).filter_map(|entry| entry.part).collect()
    }

    fn fill(&self) -> Fill {
        self.fill
    }

    fn durable(&self) -> bool {
        false
    }
}
