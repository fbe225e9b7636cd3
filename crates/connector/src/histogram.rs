//! How long something takes, in buckets that Prometheus can add up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts durations in buckets, each four times as wide as the one before it.
///
/// Relaxed throughout, as all counters here: a reading that is taken while something is observed may miss it in one place
/// and not in another.
#[derive(Debug)]
pub struct Histogram {
    /// The upper bound of the first bucket (nanoseconds).
    first: u64,
    buckets: [AtomicU64; Self::BUCKETS + 1],
    sum_nanos: AtomicU64,
}

/// A reading of a [`Histogram`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistogramReading {
    /// Upper bound (seconds) and how many took no longer, by rising bound; without the last bucket, which has no bound.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// How long they took together (seconds).
    pub sum: f64,
}

impl Histogram {
    /// Buckets that have a bound.
    const BUCKETS: usize = 13;

    /// From `first` to 4¹² (16.8 million) times as long.
    pub fn new(first: Duration) -> Self {
        let first = u64::try_from(first.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self { first, buckets: Default::default(), sum_nanos: AtomicU64::new(0) }
    }

    /// Counts one.
    pub fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = match nanos.saturating_sub(1) / self.first {
            0 => 0,
            times => (times.ilog2() / 2 + 1) as usize,
        };
        self.buckets[bucket.min(Self::BUCKETS)].fetch_add(1, Ordering::Relaxed);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Reads it.
    pub fn read(&self) -> HistogramReading {
        let (mut bound, mut count) = (self.first as f64 / 1e9, 0);
        let mut buckets = Vec::with_capacity(Self::BUCKETS);
        for bucket in &self.buckets[..Self::BUCKETS] {
            count += bucket.load(Ordering::Relaxed);
            buckets.push((bound, count));
            bound *= 4.0;
        }
        count += self.buckets[Self::BUCKETS].load(Ordering::Relaxed);
        HistogramReading { buckets, count, sum: self.sum_nanos.load(Ordering::Relaxed) as f64 / 1e9 }
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.buckets.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
        self.sum_nanos.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_duration_lies_below_its_bound_and_above_the_one_before() {
        let histogram = Histogram::new(Duration::from_micros(1));
        for nanos in [0, 1000, 1001, 4000, 4001, u64::MAX] {
            histogram.observe(Duration::from_nanos(nanos));
        }
        let reading = histogram.read();
        let counts: Vec<u64> = reading.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!((&counts[..4], reading.count), (&[2, 4, 5, 5][..], 6));
        assert!((reading.buckets[1].0 - 4e-6).abs() < 1e-12);
        histogram.reset();
        assert_eq!(histogram.read().count, 0);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_its_bound_says(nanos in 0..u64::MAX / 2) {
            let histogram = Histogram::new(Duration::from_nanos(250));
            histogram.observe(Duration::from_nanos(nanos));
            for (bound, count) in histogram.read().buckets {
                let within = nanos as f64 <= (bound * 1e9).round();
                prop_assert_eq!(count, u64::from(within), "{} ns and {} s", nanos, bound);
            }
        }
    }
}
