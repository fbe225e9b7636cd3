//! The path of an event: from a broker or source through the rules into the actions' queues.

use std::cell::{LazyCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use eval::{Message, Verdict, Worker};
use event::{Completion, Dispatch, Event, EventKind, LocalPublish};

use crate::aside::{Aside, SLOW};
use crate::generation::Generation;
use crate::rule::{Rule, Scratch, Surroundings, order_key};
use crate::rule_set::{Matches, RuleSet};
use crate::settings::RuleEngineSettings;

/// Judges events by the generation that is live when they arrive.
pub(crate) struct Dispatcher {
    live: Arc<ArcSwap<Generation>>,
    wanted: Arc<Wanted>,
    local: Arc<dyn LocalPublish>,
    surroundings: Arc<eval::Surroundings>,
    settings: Arc<RuleEngineSettings>,
    /// Makes every thread's random numbers its own.
    seeds: AtomicU64,
    aside: Aside,
}

/// What one thread needs to judge: kept from event to event.
struct Bench {
    worker: Worker,
    matches: Matches,
    scratch: Scratch,
}

thread_local! {
    /// A stack, since republishing judges the new message before the judgement of the old one has ended. Behind pointers,
    /// since each event takes one and puts it back.
    #[expect(clippy::vec_box, reason = "see above")]
    static BENCHES: RefCell<Vec<Box<Bench>>> = const { RefCell::new(Vec::new()) };
}

/// The kinds of events that some rule wants, as one number: whoever has an event that nobody wants is told so by a single
/// read.
#[derive(Debug, Default)]
pub(crate) struct Wanted(AtomicU64);

const _: () = assert!(EventKind::COUNT <= u64::BITS as usize);

impl Wanted {
    /// Adds what the next generation wants, before it is live: what it should judge must not be passed over.
    pub(crate) fn add(&self, rules: &RuleSet) {
        self.0.fetch_or(rules.wanted(), Ordering::SeqCst);
    }

    /// Leaves what the generation wants that is live now.
    pub(crate) fn set(&self, rules: &RuleSet) {
        self.0.store(rules.wanted(), Ordering::SeqCst);
    }

    fn has(&self, kind: EventKind) -> bool {
        self.0.load(Ordering::SeqCst) & 1 << kind as u32 != 0
    }
}

impl Dispatcher {
    pub(crate) fn new(
        live: Arc<ArcSwap<Generation>>,
        wanted: Arc<Wanted>,
        local: Arc<dyn LocalPublish>,
        surroundings: Arc<eval::Surroundings>,
        settings: Arc<RuleEngineSettings>,
        seed: u64,
    ) -> Self {
        Self {
            live,
            wanted,
            local,
            surroundings,
            settings,
            seeds: AtomicU64::new(seed),
            aside: Aside::default(),
        }
    }

    fn bench(&self) -> Box<Bench> {
        let kept = BENCHES.with_borrow_mut(Vec::pop);
        kept.unwrap_or_else(|| {
            let seed = self.seeds.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let worker = Worker::new(Arc::clone(&self.surroundings), seed);
            Box::new(Bench { worker, matches: Matches::default(), scratch: Scratch::default() })
        })
    }
}

impl Dispatch for Dispatcher {
    fn dispatch(&self, event: &Event<'_>, completion: Option<&Completion>) {
        if !self.wanted.has(event.kind)
            || event.kind == EventKind::MessagePublish && self.settings.ignores(event.from[0])
        {
            return;
        }
        let generation = self.live.load();
        let mut bench = self.bench();
        let Bench { worker, matches, scratch } = &mut *bench;
        let found = matches.of(event, &generation.rules);
        if !found.rules.is_empty() {
            let message = worker.begin(event, &found.union);
            // Only rows need it: clock and key are no cost of a rule that lets nothing through.
            let around = LazyCell::new(|| Surroundings {
                event,
                completion,
                local: &*self.local,
                arena: message.arena(),
                now: Instant::now(),
                key: order_key(event, message.arena()),
            });
            for (place, rule) in found.rules.iter().enumerate() {
                judge(rule, place, &message, &around, scratch, &self.aside);
            }
        }
        let Scratch { request, origin } = &bench.scratch;
        if request.capacity().max(origin.capacity()) > BUFFER_BYTES_KEPT {
            bench.scratch = Scratch::default();
        }
        BENCHES.with_borrow_mut(|benches| benches.push(bench));
    }

    fn wants(&self, kind: EventKind) -> bool {
        self.wanted.has(kind)
    }
}

/// A buffer larger than this is given back rather than kept (bytes).
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// Runs a rule, counts what came of it, and hands its rows on.
fn judge<'m, 's>(
    rule: &'m Rule,
    place: usize,
    message: &Message<'m>,
    around: &LazyCell<Surroundings<'s>, impl FnOnce() -> Surroundings<'s>>,
    scratch: &mut Scratch,
    aside: &Aside,
) {
    let is_slow = rule.is_slow.load(Ordering::Relaxed);
    let begun = (is_slow || rule.metrics.times_next()).then(Instant::now);
    let verdict = if is_slow {
        aside.run(|| message.run(place, &rule.program))
    } else {
        message.run(place, &rule.program)
    };
    if let Some(begun) = begun {
        let took = begun.elapsed();
        rule.metrics.evaluation.observe(took);
        if is_slow != (took >= SLOW) {
            rule.is_slow.store(!is_slow, Ordering::Relaxed);
        }
    }
    match verdict {
        Ok(Verdict::Filtered | Verdict::Rows([])) => rule.metrics.failed_no_result.add_one(),
        Ok(Verdict::Rows(rows)) => {
            rule.metrics.passed.add_one();
            rows.iter().for_each(|row| rule.act(row, around, scratch));
        }
        Err(error) => {
            rule.metrics.failed_exception.add_one();
            rule.warn(&error.to_string());
        }
    }
}
