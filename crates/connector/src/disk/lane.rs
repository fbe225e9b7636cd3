//! One lane of a log, as its queue sees it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event::Part;

use crate::buffer::{Buffer, Content, Fill, Hold, Item, Moved, Pending, Release, Removed, StoreError};
use crate::clock;
use crate::disk::state::{Placed, Shared};
use crate::memory::{MemoryBuffer, Put};

/// What a lane has in memory, and through the log what it has on disk behind that.
pub(crate) struct DiskLane {
    shared: Arc<Shared>,
    number: u8,
    near: MemoryBuffer,
    /// What the log knows to be waiting in `near` (bytes). What is in flight is bounded by windows and does not count.
    waiting_bytes: u64,
}

impl DiskLane {
    pub(crate) fn new(shared: Arc<Shared>, number: u8) -> Self {
        Self { shared, number, near: MemoryBuffer::new(), waiting_bytes: 0 }
    }

    /// Tells the log how much waits in memory now.
    fn account(&mut self) {
        let now = self.near.fill().queuing_bytes;
        if now > self.waiting_bytes {
            self.shared.took(now - self.waiting_bytes);
        } else {
            self.shared.freed(self.waiting_bytes - now);
        }
        self.waiting_bytes = now;
        self.shared.has_near(self.number, self.near.fill().queuing);
    }

    /// Fetches what was read from the disk.
    fn fetch(&mut self) {
        if !self.shared.has_inbox(self.number) {
            return;
        }
        for (read, claim, part) in self.shared.fetch(self.number) {
            // What is no entry of a queue passed its checksum all the same: it goes out as it is, and its sink says so.
            let content = Content::from_stored(&read.bytes)
                .unwrap_or_else(|| Content::new(read.bytes.clone(), read.bytes.len()));
            self.waiting_bytes += read.bytes.len() as u64;
            self.near.put(Put { at_ms: read.at_ms, content, part, claim, sendings: 0 });
        }
        self.account();
    }
}

impl Buffer for DiskLane {
    fn append(&mut self, item: Item<'_>, hold: Hold, now: Instant) -> Result<(), StoreError> {
        self.fetch();
        let (stored, mut held) = match hold {
            Hold::Nothing => (None, None),
            Hold::UntilStored(part) => (Some(part), None),
            Hold::UntilDelivered(part) => (None, Some(part)),
        };
        let at_ms = clock::millis(now);
        match self.shared.append(self.number, at_ms, item, stored, &mut held)? {
            Placed::OnDisk => {}
            Placed::InMemory(id) => {
                let content = self.near.copy(item);
                let claim = id.map(|id| self.shared.claim(id));
                self.waiting_bytes += content.bytes();
                self.near.put(Put { at_ms, content, part: held, claim, sendings: 0 });
                self.account();
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Pending> {
        self.fetch();
        let next = self.near.next();
        self.account();
        next
    }

    fn ack(&mut self, seq: u64) -> Option<Removed> {
        self.near.ack(seq)
    }

    fn refuse(&mut self, seq: u64) -> Option<u32> {
        self.near.refuse(seq)
    }

    fn sent_again(&mut self, seq: u64) -> bool {
        self.near.sent_again(seq)
    }

    fn retry(&mut self, seq: u64) -> bool {
        let is_found = self.near.retry(seq);
        self.account();
        is_found
    }

    fn rewind(&mut self) {
        self.near.rewind();
        self.account();
    }

    fn oldest(&mut self, now: Instant) -> Option<Duration> {
        self.fetch();
        self.near.oldest(now)
    }

    fn drop_oldest(&mut self) -> Option<Removed> {
        let removed = self.near.drop_oldest();
        self.account();
        removed
    }

    fn drain(&mut self) -> Vec<Moved> {
        self.fetch();
        let drained = self.near.drain();
        self.account();
        drained
    }

    fn adopt(&mut self, moved: Moved) -> Result<(), StoreError> {
        let Moved { content, at_ms, sendings, release: Release { part, claim } } = moved;
        if claim.is_some() {
            // It is on disk already.
            self.near.put(Put { at_ms, content, part, claim, sendings });
            self.account();
            return Ok(());
        }
        let mut held = part;
        match self.shared.append(self.number, at_ms, content.item(), None, &mut held)? {
            Placed::OnDisk => {}
            Placed::InMemory(id) => {
                let claim = id.map(|id| self.shared.claim(id));
                self.waiting_bytes += content.bytes();
                self.near.put(Put { at_ms, content, part: held, claim, sendings });
                self.account();
            }
        }
        Ok(())
    }

    fn clear(&mut self) -> Vec<Part> {
        let mut parts = self.near.clear();
        self.account();
        parts.extend(self.shared.clear(self.number));
        parts
    }

    fn is_ready(&self) -> bool {
        self.near.is_ready() || self.shared.has_inbox(self.number)
    }

    fn fill(&self) -> Fill {
        let mut fill = self.near.fill();
        fill += self.shared.cold(self.number);
        fill
    }

    fn take_lost(&mut self) -> u64 {
        self.shared.take_lost(self.number)
    }

    fn durable(&self) -> bool {
        self.shared.is_durable()
    }
}
