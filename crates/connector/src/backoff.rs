//! How long to wait before the next attempt.

use std::time::Duration;

/// Delays that double from attempt to attempt up to a cap, each shortened by a random share of up to a half, so that a
/// thousand clients of a broker that comes back do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    attempts: u32,
    random: u64,
}

impl Backoff {
    /// Starts at `first` and never exceeds `cap`; `seed` makes its randomness its own, and repeatable.
    pub fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        Self { first, cap, attempts: 0, random: seed }
    }

    /// The delay before the next attempt.
    pub fn delay(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.attempts.min(31)).min(self.cap);
        self.attempts = self.attempts.saturating_add(1);
        let share = (self.random() >> 11) as f64 / (1u64 << 53) as f64;
        doubled.mul_f64(1.0 - share / 2.0)
    }

    /// An attempt has succeeded: the next delay is the first again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The attempts since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// SplitMix64: small, and good enough for spreading delays.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_within_its_jitter() {
        let (first, cap) = (Duration::from_millis(100), Duration::from_secs(2));
        for seed in 0..100 {
            let mut backoff = Backoff::new(first, cap, seed);
            for attempt in 0..40 {
                let whole = (first * 2u32.pow(attempt.min(10))).min(cap);
                let delay = backoff.delay();
                assert!(delay <= whole && delay >= whole / 2, "attempt {attempt}: {delay:?} of {whole:?}");
            }
            backoff.reset();
            assert!(backoff.delay() <= first);
        }
    }

    #[test]
    fn seeds_differ_and_repeat() {
        let delay = |seed| Backoff::new(Duration::from_secs(1), Duration::from_secs(1), seed).delay();
        assert_eq!(delay(1), delay(1));
        assert_ne!(delay(1), delay(2));
    }
}
