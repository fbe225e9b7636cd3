//! The bound of all session queues together: what a session may queue while the queues of all of them take too much.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::Broker;
use crate::held;

/// How crowded the queues are.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// What a session may queue while they are (bytes).
    part: AtomicUsize,
    /// How often that was asked for.
    asked: AtomicU64,
    /// A lock for a log line; taken only while deliveries are lost.
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    at: Option<Instant>,
    untold: u64,
}

/// A session may always have as much, however many there are (bytes).
const PART_MIN: usize = 4 << 10;
/// All parts together are so much of the bound; by that, what has a part left may go beyond it.
const PARTS_OF: usize = 4;
/// The parts are dealt out anew after so many deliveries.
const DEAL_EVERY: u64 = 256;
/// Messages of QoS 1 and 2 that may be under way to a client in the meantime, whatever its window.
pub(crate) const INFLIGHT_MAX: usize = 16;
/// How often it is told while it lasts.
const TELL_EVERY: Duration = Duration::from_secs(60);

impl Broker {
    /// Bytes that messages take which wait for clients or are under way to them. Retained ones are counted where they are
    /// bounded.
    pub(crate) fn queued_bytes(&self) -> usize {
        held::bytes().saturating_sub(self.retained.bytes())
    }

    /// Whether that is more than it may be. Costs two loads.
    #[inline]
    pub(crate) fn is_crowded(&self) -> bool {
        self.queued_bytes() > self.config.queued_bytes_max
    }

    /// What a session may queue now besides its own bounds (bytes); `None` if nothing.
    #[inline]
    pub(crate) fn part_of_session(&self) -> Option<usize> {
        self.is_crowded().then(|| self.deal())
    }

    /// An equal part for every session, of a quarter of the bound.
    #[cold]
    fn deal(&self) -> usize {
        let Crowd { part, asked, .. } = &self.crowd;
        if asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(DEAL_EVERY) {
            let equal = self.config.queued_bytes_max / PARTS_OF / self.sessions.len().max(1);
            part.store(equal.max(PART_MIN), Ordering::Relaxed);
        }
        part.load(Ordering::Relaxed).max(PART_MIN)
    }

    /// So many deliveries were lost because the queues are crowded.
    #[cold]
    pub(crate) fn tell_crowded(&self, count: usize) {
        let mut told = self.crowd.told.lock();
        told.untold += count as u64;
        if told.at.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return;
        }
        told.at = Some(Instant::now());
        let dropped = std::mem::take(&mut told.untold);
        drop(told);
        tracing::warn!(
            dropped,
            bytes = self.queued_bytes(),
            bytes_max = self.config.queued_bytes_max,
            "the queues of all sessions take more than `max_total_mqueue_bytes`: those that have the most lose messages, \
             those of QoS 0 first; look for clients that are away or do not read, or give sessions less to queue or less time"
        );
    }
}
