//! What is counted per rule, how fast things rise, and what came of reloads.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use connector::{Histogram, HistogramReading, Notice};
use parking_lot::Mutex;

use crate::counts::{Lanes, RuleCounts};
use crate::view::{Category, ReloadOutcome, ResourceId};

/// The counters of one rule. They outlive reloads and edits of the rule.
///
/// `matched` = `passed` + `failed`, and `failed` = `failed.exception` + `failed.no_result`: what is a sum is no counter of its
/// own, so that every reading adds up, also one that is taken while messages flow. An event counts once it is judged.
#[derive(Debug)]
pub struct RuleMetrics {
    /// What threads count.
    pub(crate) counts: Lanes,
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
    /// Events that gave at least one row.
    pub passed: u64,
    /// Evaluation failed.
    pub failed_exception: u64,
    /// WHERE was false, or FOREACH gave no row.
    pub failed_no_result: u64,
    /// Rows that an action took: published, written to the log, or accepted into its queue.
    pub actions_success: u64,
    /// Rows that could not be handed to a declared action because it is missing or disabled.
    pub actions_failed_out_of_service: u64,
    /// Rows that an action refused: a template that could not be rendered, a topic that is none.
    pub actions_failed_unknown: u64,
    /// Rows that an action left out on purpose: a rule that would have fed itself.
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

impl Default for RuleMetrics {
    fn default() -> Self {
        Self {
            counts: Lanes::default(),
            evaluation: Histogram::new(Duration::from_nanos(250)),
            rate: Mutex::default(),
            notice: Notice::default(),
        }
    }
}

impl RuleMetrics {
    /// `matched`: every event that was judged.
    pub fn matched(&self) -> u64 {
        self.counts.all().iter().map(RuleCounts::matched).sum()
    }

    /// Reads every counter.
    pub fn read(&self) -> RuleReading {
        let mut reading = RuleReading { rate: self.rate.lock().reading, ..RuleReading::default() };
        for counts in self.counts.all() {
            reading.passed += counts.passed.get();
            reading.failed_exception += counts.failed_exception.get();
            reading.failed_no_result += counts.failed_no_result.get();
            reading.actions_success += counts.actions_success.get();
            reading.actions_failed_out_of_service += counts.actions_failed_out_of_service.get();
            reading.actions_failed_unknown += counts.actions_failed_unknown.get();
            reading.actions_discarded += counts.actions_discarded.get();
        }
        reading.matched = reading.passed + reading.failed();
        reading
    }

    /// Sets every counter to zero.
    pub fn reset(&self) {
        self.counts.all().iter().for_each(RuleCounts::reset);
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
    /// Reloads and changes that broke off because of a mistake in the server; what was in force stayed so.
    pub broken: u64,
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

    /// Counts a change of a single rule, which is a reload that looks at nothing else. `is_partial`: some file has an error.
    pub(crate) fn count_change(&self, is_partial: bool) {
        let mut reading = self.0.lock();
        *if is_partial { &mut reading.partial } else { &mut reading.good } += 1;
        reading.last = Some(SystemTime::now());
    }

    pub(crate) fn broke_off(&self) {
        self.0.lock().broken += 1;
    }

    pub(crate) fn read(&self) -> ReloadReading {
        *self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::Lane;

    #[test]
    fn rates_follow_the_counter() {
        let metrics = RuleMetrics::default();
        let counts = metrics.counts.of(Lane::of_thread());
        (0..20).for_each(|_| counts.passed.add_one());
        (0..30).for_each(|_| counts.failed_no_result.add_one());
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
    fn a_reset_forgets_everything() {
        let metrics = RuleMetrics::default();
        let counts = metrics.counts.of(Lane::of_thread());
        counts.passed.add_one();
        counts.actions_discarded.add_one();
        metrics.sample(Duration::from_secs(1));
        metrics.reset();
        assert_eq!(metrics.read(), RuleReading::default());
    }
}
