//! One lane of an action's queue: what its lock guards.

use std::sync::Arc;
use std::time::Instant;

use wake::Wake;

use crate::buffer::{Buffer, Fill};
use crate::metrics::Counters;

/// A buffer, what was counted for it, and who empties it. Under one lock, because the counters must agree with the
/// buffer at every moment; nothing is awaited and nothing foreign is called while it is held.
pub(crate) struct Lane {
    pub(crate) buffer: Box<dyn Buffer>,
    pub(crate) counters: Counters,
    pub(crate) reader: Option<Owner>,
    /// Counts the buffers that the lane has had, since each counts its entries anew.
    epoch: u64,
    probe: Option<Probe>,
}

/// An entry whose way through the lane is timed. Which one it is need not be known: it has left once the lane holds no more
/// entries than came after it.
struct Probe {
    queued_at: Instant,
    came_after: u64,
}

/// One of so many entries of a lane is timed at most, so that reading the clock costs next to nothing.
const TIMED_EVERY: u64 = 8;

/// The reader of a lane.
pub(crate) struct Owner {
    pub(crate) id: u64,
    pub(crate) wake: Arc<Wake>,
}

/// So many bits of a place in a lane are the buffer's own.
const SEQ_BITS: u32 = 48;

impl Lane {
    pub(crate) fn new(buffer: Box<dyn Buffer>) -> Self {
        Self { buffer, counters: Counters::default(), reader: None, epoch: 0, probe: None }
    }

    /// Whom to wake once the lock is gone; `None` where nobody sleeps.
    pub(crate) fn wake(&self) -> Option<Arc<Wake>> {
        let reader = self.reader.as_ref().filter(|reader| reader.wake.is_asleep())?;
        Some(Arc::clone(&reader.wake))
    }

    /// An entry was appended: perhaps the next one to be timed. `counters.matched` has it already.
    pub(crate) fn time_push(&mut self, now: Instant) {
        match &mut self.probe {
            Some(probe) => probe.came_after += 1,
            None if self.counters.matched % TIMED_EVERY == 1 => {
                self.probe = Some(Probe { queued_at: now, came_after: 0 });
            }
            None => {}
        }
    }

    /// An entry was delivered: since when the timed one waited, if it has left with it.
    pub(crate) fn time_delivery(&mut self) -> Option<Instant> {
        let probe = self.probe.as_ref()?;
        // What is left by the counters, since a buffer on disk would have to look under the lock of its log.
        let Counters { matched, success, failed, .. } = self.counters;
        let left = matched.saturating_sub(success + failed + self.counters.dropped());
        if left > probe.came_after {
            return None;
        }
        self.probe.take().map(|probe| probe.queued_at)
    }

    pub(crate) fn is_read_by(&self, owner: u64) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.id == owner)
    }

    /// Puts another buffer in place, and gives the one that was there. Places that were handed out mean nothing any more.
    pub(crate) fn replace(&mut self, buffer: Box<dyn Buffer>) -> Box<dyn Buffer> {
        self.epoch += 1;
        self.probe = None;
        std::mem::replace(&mut self.buffer, buffer)
    }

    /// A place in the buffer, as the outside knows it.
    pub(crate) fn outside(&self, seq: u64) -> u64 {
        self.epoch << SEQ_BITS | seq
    }

    /// A place as the buffer knows it; `None` for one of an earlier buffer.
    pub(crate) fn inside(&self, seq: u64) -> Option<u64> {
        (seq >> SEQ_BITS == self.epoch).then_some(seq & ((1 << SEQ_BITS) - 1))
    }

    /// What the buffer holds, once what turned out to be damaged is counted.
    pub(crate) fn settled_fill(&mut self) -> Fill {
        self.counters.dropped_other += self.buffer.take_lost();
        self.buffer.fill()
    }
}
