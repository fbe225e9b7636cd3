//! What is counted per rule.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connector::Notice;
use parking_lot::Mutex;

/// A count that only rises, until it is reset.
///
/// Relaxed throughout: a counter orders nothing, and a snapshot that is read while messages flow may be a few
/// messages apart between two counters.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// `count` more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// The counters of one rule, under the reference's names. They outlive reloads and edits of the rule.
///
/// `matched` = `passed` + `failed`, and `failed` = `failed.exception` + `failed.no_result`.
#[derive(Debug, Default)]
pub struct RuleMetrics {
    /// Events whose topic a FROM clause matched.
    pub matched: Counter,
    /// Of those, the ones that gave at least one row.
    pub passed: Counter,
    /// Evaluation failed.
    pub failed_exception: Counter,
    /// WHERE was false, or FOREACH gave no row.
    pub failed_no_result: Counter,
    /// Rows that an action took: published, written to the log, or accepted into its queue.
    pub actions_success: Counter,
    /// Rows that could not be handed to a declared action because it is missing or disabled.
    pub actions_failed_out_of_service: Counter,
    /// Rows that an action refused: a template that could not be rendered, a topic that is none.
    pub actions_failed_unknown: Counter,
    /// Rows that an action left out on purpose: a rule that would have fed itself.
    pub actions_discarded: Counter,
    rate: Mutex<Rate>,
    /// Keeps log lines about single messages few.
    pub(crate) notice: Notice,
}

/// A reading of [`RuleMetrics`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RuleReading {
    /// See [`RuleMetrics::matched`].
    pub matched: u64,
    /// See [`RuleMetrics::passed`].
    pub passed: u64,
    /// See [`RuleMetrics::failed_exception`].
    pub failed_exception: u64,
    /// See [`RuleMetrics::failed_no_result`].
    pub failed_no_result: u64,
    /// See [`RuleMetrics::actions_success`].
    pub actions_success: u64,
    /// See [`RuleMetrics::actions_failed_out_of_service`].
    pub actions_failed_out_of_service: u64,
    /// See [`RuleMetrics::actions_failed_unknown`].
    pub actions_failed_unknown: u64,
    /// See [`RuleMetrics::actions_discarded`].
    pub actions_discarded: u64,
    /// Matches per second over the last sampling interval.
    pub rate: f64,
    /// The highest such rate.
    pub rate_max: f64,
    /// Matches per second over the last five minutes, older ones weighing less.
    pub rate_last5m: f64,
}

impl RuleReading {
    /// `failed`: no row came out.
    pub fn failed(&self) -> u64 {
        self.failed_exception + self.failed_no_result
    }

    /// `actions.failed`.
    pub fn actions_failed(&self) -> u64 {
        self.actions_failed_out_of_service + self.actions_failed_unknown
    }

    /// `actions.total`: rows times actions.
    pub fn actions_total(&self) -> u64 {
        self.actions_success + self.actions_failed() + self.actions_discarded
    }
}

/// How fast `matched` rises.
#[derive(Debug, Default)]
struct Rate {
    sampled: u64,
    seconds: f64,
    now: f64,
    max: f64,
    last5m: f64,
}

impl RuleMetrics {
    /// Reads every counter.
    pub fn read(&self) -> RuleReading {
        let rate = self.rate.lock();
        RuleReading {
            matched: self.matched.get(),
            passed: self.passed.get(),
            failed_exception: self.failed_exception.get(),
            failed_no_result: self.failed_no_result.get(),
            actions_success: self.actions_success.get(),
            actions_failed_out_of_service: self.actions_failed_out_of_service.get(),
            actions_failed_unknown: self.actions_failed_unknown.get(),
            actions_discarded: self.actions_discarded.get(),
            rate: rate.now,
            rate_max: rate.max,
            rate_last5m: rate.last5m,
        }
    }

    /// Sets every counter to zero.
    pub fn reset(&self) {
        let counters = [
            &self.matched,
            &self.passed,
            &self.failed_exception,
            &self.failed_no_result,
            &self.actions_success,
            &self.actions_failed_out_of_service,
            &self.actions_failed_unknown,
            &self.actions_discarded,
        ];
        counters.into_iter().for_each(Counter::reset);
        *self.rate.lock() = Rate::default();
    }

    /// Takes a sample for the rates, `elapsed` after the last one.
    pub fn sample(&self, elapsed: Duration) {
        let matched = self.matched.get();
        self.rate.lock().sample(matched, elapsed);
    }
}

impl Rate {
    const WINDOW_SECONDS: f64 = 300.0;

    fn sample(&mut self, matched: u64, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        self.now = matched.saturating_sub(self.sampled) as f64 / seconds;
        self.sampled = matched;
        self.max = self.max.max(self.now);
        // A true mean until five minutes have passed, from then on an exponential one: the state stays four numbers.
        self.seconds = (self.seconds + seconds).min(Self::WINDOW_SECONDS);
        self.last5m += (self.now - self.last5m) * (seconds / self.seconds).min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_the_counter() {
        let metrics = RuleMetrics::default();
        metrics.matched.add(50);
        metrics.sample(Duration::from_secs(5));
        metrics.sample(Duration::from_secs(5));
        let reading = metrics.read();
        assert_eq!((reading.rate, reading.rate_max, reading.rate_last5m), (0.0, 10.0, 5.0));
    }

    #[test]
    fn a_reset_forgets_everything() {
        let metrics = RuleMetrics::default();
        metrics.matched.add(3);
        metrics.actions_discarded.add_one();
        metrics.sample(Duration::from_secs(1));
        metrics.reset();
        assert_eq!(metrics.read(), RuleReading::default());
    }
}
