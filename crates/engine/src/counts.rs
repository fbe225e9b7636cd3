//! What is counted of a rule, in a place of its own for each of a few groups of threads.
//!
//! Threads that count in one place take its cache line from one another with every message, which costs more than a
//! simple rule. So each counts in its own lane, and whoever reads adds the lanes up.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A count that only rises, until it is reset.
///
/// Relaxed throughout: a counter orders nothing, and a snapshot that is read while messages flow may be a few
/// messages apart between two counters.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// One more.
    #[inline]
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// The counters of one rule in one lane, under the reference's names. They fill a cache line and share it with nothing.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct RuleCounts {
    /// Events that gave at least one row.
    pub(crate) passed: Counter,
    /// Evaluation failed.
    pub(crate) failed_exception: Counter,
    /// WHERE was false, or FOREACH gave no row.
    pub(crate) failed_no_result: Counter,
    /// Rows that an action took: published, written to the log, or accepted into its queue.
    pub(crate) actions_success: Counter,
    /// Rows that could not be handed to a declared action because it is missing or disabled.
    pub(crate) actions_failed_out_of_service: Counter,
    /// Rows that an action refused: a template that could not be rendered, a topic that is none.
    pub(crate) actions_failed_unknown: Counter,
    /// Rows that an action left out on purpose: a rule that would have fed itself.
    pub(crate) actions_discarded: Counter,
}

const _: () = assert!(size_of::<RuleCounts>() == 64);

impl RuleCounts {
    /// The first events whose evaluation is timed, each of them.
    pub(crate) const TIMED_AT_FIRST: u64 = 256;
    /// From then on one of so many is.
    pub(crate) const TIMED_EVERY: u64 = 64;

    /// Whether the next evaluation is to be timed: reading the clock twice costs as much as a simple rule, so it is not
    /// done for all.
    #[inline]
    pub(crate) fn times_next(&self) -> bool {
        let before = self.matched();
        before < Self::TIMED_AT_FIRST || before.is_multiple_of(Self::TIMED_EVERY)
    }

    /// Every event that was judged.
    #[inline]
    pub(crate) fn matched(&self) -> u64 {
        self.passed.get() + self.failed_exception.get() + self.failed_no_result.get()
    }

    pub(crate) fn reset(&self) {
        let counters = [
            &self.passed,
            &self.failed_exception,
            &self.failed_no_result,
            &self.actions_success,
            &self.actions_failed_out_of_service,
            &self.actions_failed_unknown,
            &self.actions_discarded,
        ];
        counters.into_iter().for_each(Counter::reset);
    }
}

/// All lanes of one rule; none until its first event.
#[derive(Debug, Default)]
pub(crate) struct Lanes(OnceLock<Box<[RuleCounts]>>);

/// The lane of a thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane(usize);

impl Lane {
    /// With more threads than this, some share a lane: a rule is not to take more memory than it must.
    const LANES_MAX: usize = 8;

    /// The lane of this thread: neighbours in the order in which threads first ask have different ones.
    pub(crate) fn of_thread() -> Self {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static LANE: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
        }
        Self(LANE.get())
    }

    /// How many there are: a power of two.
    fn count() -> usize {
        static COUNT: OnceLock<usize> = OnceLock::new();
        *COUNT.get_or_init(|| {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            processors.next_power_of_two().min(Self::LANES_MAX)
        })
    }
}

impl Lanes {
    /// Where a lane counts.
    #[inline]
    pub(crate) fn of(&self, lane: Lane) -> &RuleCounts {
        let lanes = match self.0.get() {
            Some(lanes) => lanes,
            None => self.begin(),
        };
        &lanes[lane.0 & (lanes.len() - 1)]
    }

    #[cold]
    fn begin(&self) -> &[RuleCounts] {
        self.0.get_or_init(|| (0..Lane::count()).map(|_| RuleCounts::default()).collect())
    }

    /// Those that anybody has counted in.
    pub(crate) fn all(&self) -> &[RuleCounts] {
        self.0.get().map_or(&[], |lanes| lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_are_timed_now_and_then() {
        let counts = RuleCounts::default();
        let next = |_: &u64| {
            let timed = counts.times_next();
            counts.passed.add_one();
            timed
        };
        let (first, every) = (RuleCounts::TIMED_AT_FIRST, RuleCounts::TIMED_EVERY);
        let timed = (0..first + 10 * every).filter(next).count() as u64;
        assert_eq!(timed, first + 10);
    }

    #[test]
    fn every_thread_counts_and_all_of_it_is_read() {
        let lanes = Lanes::default();
        assert!(lanes.all().is_empty());
        std::thread::scope(|scope| {
            for _ in 0..3 * Lane::LANES_MAX {
                scope.spawn(|| lanes.of(Lane::of_thread()).passed.add_one());
            }
        });
        let counted: u64 = lanes.all().iter().map(|counts| counts.passed.get()).sum();
        assert_eq!(counted, 3 * Lane::LANES_MAX as u64);
    }
}
