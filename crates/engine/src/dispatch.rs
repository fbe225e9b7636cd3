//! The path of an event: from a broker or source through the rules into the actions' queues.

use std::cell::{LazyCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use eval::{Message, Verdict, Worker};
use event::{Completion, Dispatch, Event, EventKind, LocalPublish};

use crate::aside::{Aside, SLOW};
use crate::counts::Lane;
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
    /// Where this thread counts.
    lane: Lane,
}

thread_local! {
    /// A stack, since republishing judges the new message before the judgement of the old one has ended. Behind pointers,
    /// since each event takes one and puts it back.
    #[expect(clippy::vec_box, reason = "see above")]
    static BENCHES: RefCell<Vec<Box<Bench>>> = const { RefCell::new(Vec::new()) };
}

/// What is to be known of the live rules for every event, so that the pointer to them is seldom loaded.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The kinds of events that some rule wants, a bit for each: whoever has an event that nobody wants is told so by a
    /// single read.
    kinds: AtomicU64,
    /// The stamp of the rules: who has found what an event concerns in the same rules needs not look at them.
    stamp: AtomicU64,
}

const _: () = assert!(EventKind::COUNT <= u64::BITS as usize);

impl Wanted {
    /// Adds what the next generation wants, before it is live: what it should judge must not be passed over.
    pub(crate) fn add(&self, rules: &RuleSet) {
        self.kinds.fetch_or(rules.wanted(), Ordering::SeqCst);
    }

    /// Leaves what the generation wants that is live now. From here on nobody goes by what was found in the one before.
    pub(crate) fn set(&self, rules: &RuleSet) {
        self.kinds.store(rules.wanted(), Ordering::SeqCst);
        self.stamp.store(rules.stamp(), Ordering::SeqCst);
    }

    fn has(&self, kind: EventKind) -> bool {
        self.kinds.load(Ordering::SeqCst) & 1 << kind as u32 != 0
    }

    fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::SeqCst)
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
            Box::new(Bench {
                worker: self.worker(),
                matches: Matches::default(),
                scratch: Scratch::default(),
                lane: Lane::of_thread(),
            })
        })
    }

    fn worker(&self) -> Worker {
        let seed = self.seeds.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        Worker::new(Arc::clone(&self.surroundings), seed)
    }
}

impl Dispatch for Dispatcher {
    fn dispatch(&self, event: &Event<'_>, completion: Option<&Completion>) {
        if !self.wanted.has(event.kind)
            || event.kind == EventKind::MessagePublish && self.settings.ignores(event.from[0])
        {
            return;
        }
        let mut bench = self.bench();
        let Bench { worker, matches, scratch, lane } = &mut *bench;
        let found = match matches.remembered(event, self.wanted.stamp()) {
            Some(found) => found,
            None => matches.find(event, &self.live.load().rules),
        };
        wake::spend(found.rules.len());
        let mut next = 0;
        while next < found.rules.len() {
            // One for all of them: only if it catches something, the rest begin anew.
            let judged = supervise::tried(|| {
                let message = worker.begin(event, &found.union);
                // Only rows need it: clock and key are no cost of a rule that lets nothing through.
                let around = LazyCell::new(|| Surroundings {
                    event,
                    completion,
                    local: &*self.local,
                    arena: message.arena(),
                    now: Instant::now(),
                    key: order_key(event, message.arena()),
                    lane: *lane,
                });
                while let Some(rule) = found.rules.get(next) {
                    judge(rule, next, &message, &around, *lane, scratch, &self.aside);
                    next += 1;
                }
            });
            if let Err(panic) = judged {
                found.rules[next].broke_off(&panic, event, *lane);
                next += 1;
                // Nobody knows what was left half done in it.
                *worker = self.worker();
            }
        }
        let Scratch { request, origin, .. } = &bench.scratch;
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
    lane: Lane,
    scratch: &mut Scratch,
    aside: &Aside,
) {
    let counts = rule.metrics.counts.of(lane);
    let is_slow = rule.is_slow.load(Ordering::Relaxed);
    let begun = (is_slow || counts.times_next()).then(Instant::now);
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
        Ok(Verdict::Filtered | Verdict::Rows([])) => counts.failed_no_result.add_one(),
        Ok(Verdict::Rows(rows)) => {
            // Before it is counted: from there on no panic of an action comes back here.
            let around = &**around;
            counts.passed.add_one();
            rows.iter().for_each(|row| rule.act(row, around, scratch));
        }
        Err(error) => {
            counts.failed_exception.add_one();
            rule.warn(message.event(), &error.to_string());
        }
    }
}
