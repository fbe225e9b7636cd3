//! What happens when an action has more to send than it may keep.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use event::Part;
use parking_lot::Mutex;

/// Who gives way when the queue of an action is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest request, which is dropped and counted.
    DropOldest,
    /// The sender: its message is kept, and acknowledged when there is room. What nobody waits for (QoS 0) is dropped and
    /// counted.
    Block,
    /// The request that came last, which is dropped and counted.
    DropNewest,
    /// The oldest request, which becomes a dead letter.
    DeadLetter,
}

/// What becomes of a request that waited too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// It is dropped and counted.
    Drop,
    /// It is counted and becomes a dead letter.
    DeadLetter,
}

/// The acknowledgements that wait for room, in the order in which their messages came.
///
/// Their requests are in the queue already, beyond its bound: the windows of the senders bound how far. A lock of its
/// own, since no lane can say when there is room; nothing is called under it.
#[derive(Debug, Default)]
pub(crate) struct Blocked {
    waiting: Mutex<Waiting>,
    /// Whether anything waits. Changed under the lock.
    any: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    /// With the room that each needs (bytes).
    parts: VecDeque<(u64, Part)>,
    bytes: u64,
}

impl Blocked {
    /// Holds back an acknowledgement until there is room for `bytes`.
    pub(crate) fn add(&self, bytes: u64, part: Part) {
        let mut waiting = self.waiting.lock();
        waiting.parts.push_back((bytes, part));
        waiting.bytes += bytes;
        self.any.store(true, Ordering::SeqCst);
    }

    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Settles what has room now that the queue holds `held` bytes of `max`. What is blocked is part of `held`.
    pub(crate) fn release(&self, held: u64, max: u64) {
        let mut settled = Vec::new();
        {
            let mut waiting = self.waiting.lock();
            while let Some((bytes, _)) = waiting.parts.front()
                && held.saturating_sub(waiting.bytes) + bytes <= max
            {
                let Some((bytes, part)) = waiting.parts.pop_front() else { break };
                waiting.bytes -= bytes;
                settled.push(part);
            }
            if waiting.parts.is_empty() {
                waiting.bytes = 0;
                self.any.store(false, Ordering::SeqCst);
            }
        }
        settled.into_iter().for_each(Part::settle);
    }

    /// Settles everything.
    pub(crate) fn release_all(&self) {
        self.release(0, u64::MAX);
    }
}
