//! What is counted per rule, how fast things rise, and what came of reloads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use connector::{Histogram, HistogramReading, Notice};
use parking_lot::Mutex;

use crate::view::{Category, ReloadOutcome, ResourceId};

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
/// `matched` = `passed` + `failed`, and `failed` = `failed.exception` + `failed.no_result`: what is a sum is no counter of its
/// own, so that every reading adds up, also one that is taken while messages flow. An event counts once it is judged.
#[derive(Debug)]
pub struct RuleMetrics {
    /// Events whose topic a FROM clause matched and that gave at least one row.
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
    /// How long the evaluation of a sample of the events took.
    pub evaluation: Histogram,
    rate: Mutex<Rate>,
    /// Keeps log lines about single messages few.
    pub(crate) notice: Notice,
}

/// A reading of [`RuleMetrics`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RuleReading {
    /// Events whose topic a FROM clause matched.
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
    /// How fast `matched` rises.
    pub rate: RateReading,
}

/// How fast a counter rises.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RateReading {
    /// Per second over the last sampling interval.
    pub now: f64,
    /// The highest such rate.
    pub max: f64,
    /// Per second over the last five minutes, older ones weighing less.
    pub last5m: f64,
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

/// How fast a counter rises.
#[derive(Debug, Default)]
struct Rate {
    sampled: u64,
    seconds: f64,
    reading: RateReading,
}

/// The first events of a rule whose evaluation is timed, each of them.
const TIMED_AT_FIRST: u64 = 256;
/// From then on one of so many is.
const TIMED_EVERY: u64 = 64;

impl Default for RuleMetrics {
    fn default() -> Self {
        Self {
            passed: Counter::default(),
            failed_exception: Counter::default(),
            failed_no_result: Counter::default(),
            actions_success: Counter::default(),
            actions_failed_out_of_service: Counter::default(),
            actions_failed_unknown: Counter::default(),
            actions_discarded: Counter::default(),
            evaluation: Histogram::new(Duration::from_nanos(250)),
            rate: Mutex::default(),
            notice: Notice::default(),
        }
    }
}

impl RuleMetrics {
    /// Whether the next evaluation is to be timed: reading the clock twice costs as much as a simple rule, so it is not
    /// done for all.
    pub fn times_next(&self) -> bool {
        let before = self.matched();
        before < TIMED_AT_FIRST || before.is_multiple_of(TIMED_EVERY)
    }

    /// `matched`: every event that was judged.
    pub fn matched(&self) -> u64 {
        self.passed.get() + self.failed_exception.get() + self.failed_no_result.get()
    }

    /// Reads every counter.
    pub fn read(&self) -> RuleReading {
        let (passed, failed_exception, failed_no_result) =
            (self.passed.get(), self.failed_exception.get(), self.failed_no_result.get());
        RuleReading {
            matched: passed + failed_exception + failed_no_result,
            passed,
            failed_exception,
            failed_no_result,
            actions_success: self.actions_success.get(),
            actions_failed_out_of_service: self.actions_failed_out_of_service.get(),
            actions_failed_unknown: self.actions_failed_unknown.get(),
            actions_discarded: self.actions_discarded.get(),
            rate: self.rate.lock().reading,
        }
    }

    /// Sets every counter to zero.
    pub fn reset(&self) {
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
        self.evaluation.reset();
        *self.rate.lock() = Rate::default();
    }

    /// How long evaluations took.
    pub fn evaluations(&self) -> HistogramReading {
        self.evaluation.read()
    }

    /// Takes a sample for the rates, `elapsed` after the last one.
    pub fn sample(&self, elapsed: Duration) {
        let matched = self.matched();
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
        let RateReading { now, max, last5m } = &mut self.reading;
        *now = matched.saturating_sub(self.sampled) as f64 / seconds;
        self.sampled = matched;
        *max = max.max(*now);
        // A true mean until five minutes have passed, from then on an exponential one: the state stays four numbers.
        self.seconds = (self.seconds + seconds).min(Self::WINDOW_SECONDS);
        *last5m += (*now - *last5m) * (seconds / self.seconds).min(1.0);
    }
}

/// How fast the counters of actions and sources rise. Those are kept with their queues; here is what follows from looking
/// at them now and then.
#[derive(Debug, Default)]
pub(crate) struct ResourceRates(Mutex<HashMap<(Category, ResourceId), Rate>>);

impl ResourceRates {
    /// Takes a sample of every counter, `elapsed` after the last one, and forgets what is not among them any more.
    pub(crate) fn sample(
        &self,
        counts: impl Iterator<Item = ((Category, ResourceId), u64)>,
        elapsed: Duration,
    ) {
        let mut rates = self.0.lock();
        let mut kept = HashMap::with_capacity(rates.len());
        for (id, count) in counts {
            let mut rate = rates.remove(&id).unwrap_or_default();
            rate.sample(count, elapsed);
            kept.insert(id, rate);
        }
        *rates = kept;
    }

    pub(crate) fn of(&self, category: Category, id: &ResourceId) -> RateReading {
        self.0.lock().get(&(category, id.clone())).map(|rate| rate.reading).unwrap_or_default()
    }

    pub(crate) fn reset(&self, category: Category, id: &ResourceId) {
        self.0.lock().remove(&(category, id.clone()));
    }
}

/// What came of reading the files, at the start and since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReloadReading {
    /// Reloads without an error.
    pub good: u64,
    /// Reloads that left out a file, or kept its last good version, because of an error.
    pub partial: u64,
    /// Reloads that changed nothing because `strict` forbids errors.
    pub refused: u64,
    /// When the last one ended that was not refused.
    pub last: Option<SystemTime>,
}

/// The one that counts; a lock, since its numbers belong together and are touched once a reload.
#[derive(Debug, Default)]
pub(crate) struct ReloadMetrics(Mutex<ReloadReading>);

impl ReloadMetrics {
    pub(crate) fn count(&self, outcome: &ReloadOutcome) {
        let mut reading = self.0.lock();
        if outcome.refused {
            reading.refused += 1;
            return;
        }
        if outcome.findings.iter().any(|finding| finding.diagnostic.is_error()) {
            reading.partial += 1;
        } else {
            reading.good += 1;
        }
        reading.last = Some(SystemTime::now());
    }

    pub(crate) fn read(&self) -> ReloadReading {
        *self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_the_counter() {
        let metrics = RuleMetrics::default();
        metrics.passed.add(20);
        metrics.failed_no_result.add(30);
        metrics.sample(Duration::from_secs(5));
        metrics.sample(Duration::from_secs(5));
        let reading = metrics.read();
        assert_eq!(reading.rate, RateReading { now: 0.0, max: 10.0, last5m: 5.0 });
    }

    #[test]
    fn rates_of_resources_go_with_them() {
        let rates = ResourceRates::default();
        let (one, two) = (ResourceId::new("mqtt", "one"), ResourceId::new("mqtt", "two"));
        let second = Duration::from_secs(1);
        rates.sample(
            [((Category::Action, one.clone()), 7), ((Category::Source, two.clone()), 3)].into_iter(),
            second,
        );
        assert_eq!((rates.of(Category::Action, &one).now, rates.of(Category::Source, &two).now), (7.0, 3.0));
        assert_eq!(rates.of(Category::Source, &one), RateReading::default());
        rates.sample([((Category::Action, one.clone()), 9)].into_iter(), second);
        assert_eq!(rates.of(Category::Source, &two), RateReading::default());
        rates.reset(Category::Action, &one);
        assert_eq!(rates.of(Category::Action, &one), RateReading::default());
    }

    #[test]
    fn evaluations_are_timed_now_and_then() {
        let metrics = RuleMetrics::default();
        let next = |_: &u64| {
            let timed = metrics.times_next();
            metrics.passed.add_one();
            timed
        };
        let timed = (0..TIMED_AT_FIRST + 10 * TIMED_EVERY).filter(next).count() as u64;
        assert_eq!(timed, TIMED_AT_FIRST + 10);
    }

    #[test]
    fn a_reset_forgets_everything() {
        let metrics = RuleMetrics::default();
        metrics.passed.add(3);
        metrics.actions_discarded.add_one();
        metrics.sample(Duration::from_secs(1));
        metrics.reset();
        assert_eq!(metrics.read(), RuleReading::default());
    }
}
