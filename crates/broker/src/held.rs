//! What messages take in memory that the broker holds: those that wait for clients or are under way to them, and those that
//! are retained.
//!
//! One sum for the process, as its memory is, since a message is shared by all sessions that have it and lives as long as the
//! last of them wants. Threads add to it in large steps: what one has not added yet is [`STEP`] at the most.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

/// What a thread adds up for itself (bytes).
const STEP: i64 = 32 << 10;

static HELD: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static PENDING: Pending = const { Pending(Cell::new(0)) };
}

/// What this thread has yet to add.
struct Pending(Cell<i64>);

/// What all messages take (bytes), but for what threads have yet to add.
#[inline]
pub(crate) fn bytes() -> usize {
    // A message may be subtracted before another thread has added it.
    HELD.load(Ordering::Relaxed).max(0) as usize
}

/// What a message takes, until it is gone (bytes).
#[derive(Debug, Default)]
pub(crate) struct Room(u32);

/// What one session's copy of a message takes beside the message, until it is gone.
#[derive(Debug)]
pub(crate) struct Place;

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        // Packets are smaller than that.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        add(bytes.into());
        Self(bytes)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        add(-i64::from(self.0));
    }
}

impl Place {
    /// About what an entry of a queue takes (bytes).
    pub(crate) const BYTES: i64 = 64;

    pub(crate) fn new() -> Self {
        add(Self::BYTES);
        Self
    }
}

impl Clone for Place {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        add(-Self::BYTES);
    }
}

#[inline]
fn add(bytes: i64) {
    let kept = PENDING.try_with(|pending| {
        let sum = pending.0.get() + bytes;
        if sum.abs() < STEP {
            pending.0.set(sum);
        } else {
            pending.0.set(0);
            HELD.fetch_add(sum, Ordering::Relaxed);
        }
    });
    if kept.is_err() {
        // The thread is ending.
        HELD.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        HELD.fetch_add(self.0.get(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_hold_is_known_but_for_a_step_and_all_of_it_once_they_have_ended() {
        const MESSAGE: usize = 10_000;
        let before = bytes();
        let held =
            std::thread::spawn(|| (0..100).map(|_| (Room::new(MESSAGE), Place::new())).collect::<Vec<_>>());
        let held = held.join().expect("it only counts");
        // Other tests of this process hold little.
        let added = bytes() - before;
        assert!((100 * MESSAGE..101 * MESSAGE + (1 << 20)).contains(&added), "{added}");
        std::thread::spawn(move || drop(held)).join().expect("it only counts");
        assert!(bytes() < before + (1 << 20));
    }
}
