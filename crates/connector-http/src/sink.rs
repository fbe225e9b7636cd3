//! One worker's share of an action: what it took, what is under way, what rests.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use connector::{ActionQueue, Backoff, Reader, Taken, Verdict};

use crate::request::Content;
use crate::send::Outcome;
use crate::settings::SinkOptions;

/// The lanes of one action that are this worker's.
pub(crate) struct Sink {
    reader: Reader,
    pub(crate) options: SinkOptions,
    lanes: Vec<Lane>,
    /// What waits for a batch to become full, or for `due`.
    gathered: Vec<Taken>,
    due: Option<Instant>,
    /// Where the next batch begins, so that no lane starves behind another.
    turn: usize,
}

/// Requests of one lane: one, or one batch, is under way at a time, so that they arrive in order.
struct Lane {
    /// Taken and not settled. The first `flying` of them are under way.
    held: VecDeque<Taken>,
    flying: usize,
    /// So many of the next go alone: they were in a batch that was refused, and one of them is the cause.
    alone: usize,
    /// After a failure: nothing is taken before this.
    rests_until: Option<Instant>,
    backoff: Backoff,
}

/// Requests that travel as one.
pub(crate) struct Batch {
    pub(crate) content: Content,
    /// Which lanes they are from, and how many from each.
    pub(crate) parts: Vec<(usize, usize)>,
}

/// The shortest and the longest pause of a lane after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

impl Sink {
    pub(crate) fn new(reader: Reader, options: SinkOptions, seed: u64) -> Self {
        let lane = |number: usize| Lane {
            held: VecDeque::new(),
            flying: 0,
            alone: 0,
            rests_until: None,
            backoff: Backoff::new(PAUSE.0, PAUSE.1, seed.wrapping_add(number as u64)),
        };
        let lanes = (0..ActionQueue::LANES).map(lane).collect();
        Self { reader, options, lanes, gathered: Vec::new(), due: None, turn: 0 }
    }

    /// The id of the action.
    pub(crate) fn id(&self) -> &str {
        self.reader.queue().id()
    }

    /// Whether [`Sink::take`] would find something.
    pub(crate) fn is_ready(&self) -> bool {
        self.gathered.len() < self.options.batch_size && self.reader.is_ready_in(self.free_lanes())
    }

    /// Whether nothing is taken and nothing waits in the queue.
    pub(crate) fn is_idle(&self) -> bool {
        self.gathered.is_empty()
            && self.lanes.iter().all(|lane| lane.held.is_empty())
            && !self.reader.is_ready()
    }

    /// Drops what waited too long in the queue.
    pub(crate) fn expire(&self, now: Instant) {
        self.reader.queue().expire(now);
    }

    /// When there is something to do though nothing new comes.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|lane| lane.rests_until).chain(self.due).min()
    }

    /// Takes from the queue what may be sent now, as much as one batch.
    pub(crate) fn take(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            lane.rests_until = lane.rests_until.filter(|until| now < *until);
        }
        let room = self.options.batch_size.saturating_sub(self.gathered.len());
        let taken = self.reader.take_from(self.free_lanes(), room, now, &mut self.gathered);
        if taken > 0 && self.due.is_none() {
            self.due = Some(now + self.options.batch_time);
        }
        if self.gathered.len() >= self.options.batch_size || self.due.is_some_and(|due| due <= now) {
            self.due = None;
            for taken in self.gathered.drain(..) {
                self.lanes[usize::from(taken.lane)].held.push_back(taken);
            }
        }
    }

    /// The next requests that may travel as one: the same head, each lane in order, none of a lane that has something
    /// under way.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        let count = self.lanes.len();
        let order = (0..count).map(|step| (self.turn + step) % count);
        let mut batch = Batch { content: Content::default(), parts: Vec::new() };
        for number in order {
            let lane = &mut self.lanes[number];
            if lane.flying > 0 || (lane.alone > 0 && !batch.content.bodies.is_empty()) {
                continue;
            }
            let room = if lane.alone > 0 { 1 } else { self.options.batch_size - batch.content.bodies.len() };
            for taken in lane.held.iter().take(room) {
                if !batch.content.add(&taken.request) {
                    break;
                }
                lane.flying += 1;
            }
            if lane.flying > 0 {
                batch.parts.push((number, lane.flying));
            }
            if batch.content.bodies.len() >= self.options.batch_size || (lane.alone > 0 && lane.flying > 0) {
                break;
            }
        }
        let (last, _) = batch.parts.last()?;
        self.turn = (last + 1) % count;
        Some(batch)
    }

    /// Says what became of a batch.
    pub(crate) fn settle(&mut self, parts: &[(usize, usize)], outcome: &Outcome, now: Instant) {
        let total: usize = parts.iter().map(|(_, count)| count).sum();
        for &(number, count) in parts {
            match outcome {
                Outcome::Done => self.conclude(number, count, Verdict::Success),
                Outcome::Refused(reason) if total == 1 => {
                    self.conclude(number, count, Verdict::Final(reason))
                }
                // One of them spoils it for the others: each goes alone once.
                Outcome::Refused(_) => {
                    let lane = &mut self.lanes[number];
                    (lane.alone, lane.flying) = (count, 0);
                    for taken in lane.held.iter().take(count) {
                        self.reader.count_retried(taken.lane, taken.seq);
                    }
                }
                Outcome::Later(reason, after) => self.rest(number, *after, now, Verdict::Later(reason)),
                Outcome::Lost(_) => self.rest(number, None, now, Verdict::Retry),
            }
        }
    }

    fn conclude(&mut self, number: usize, count: usize, verdict: Verdict<'_>) {
        let lane = &mut self.lanes[number];
        lane.flying = 0;
        lane.alone = lane.alone.saturating_sub(count);
        lane.backoff.reset();
        for taken in lane.held.drain(..count.min(lane.held.len())) {
            self.reader.settle(taken.lane, taken.seq, verdict);
        }
    }

    /// Gives back what the lane has, so that it may expire, and leaves it alone for a while.
    fn rest(&mut self, number: usize, at_least: Option<Duration>, now: Instant, verdict: Verdict<'_>) {
        let lane = &mut self.lanes[number];
        let flown = std::mem::take(&mut lane.flying);
        lane.rests_until = Some(now + lane.backoff.delay().max(at_least.unwrap_or_default()));
        for (place, taken) in lane.held.drain(..).enumerate() {
            // Only what was under way has been refused.
            let verdict = if place < flown { verdict } else { Verdict::Retry };
            self.reader.settle(taken.lane, taken.seq, verdict);
        }
    }

    /// The lanes of which nothing is taken and which do not rest, one bit each.
    fn free_lanes(&self) -> u64 {
        let free = |lane: &Lane| lane.held.is_empty() && lane.rests_until.is_none();
        self.lanes.iter().enumerate().fold(0, |mask, (number, lane)| mask | (u64::from(free(lane)) << number))
    }
}
