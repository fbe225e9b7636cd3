//! The consumer's end of an action's queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::MutexGuard;

use crate::buffer::Release;
use crate::dead::Stage;
use crate::lane::Lane;
use crate::queue::ActionQueue;

/// Takes requests from some lanes of an action and says what became of them. One connection has one of each action.
///
/// Dropping it queues again whatever it took and did not settle.
#[derive(Debug)]
pub struct Reader {
    queue: Arc<ActionQueue>,
    owner: u64,
    /// One bit for each lane that is this reader's.
    mask: u64,
    /// Where the next round begins, so that no lane starves behind another.
    turn: u32,
}

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The lane.
    pub lane: u8,
    /// Its place in the lane; never used twice.
    pub seq: u64,
    /// How often it was taken before.
    pub sendings: u32,
    /// The request, in the format of the kind of connector.
    pub request: Bytes,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The far side has it.
    Success,
    /// The far side will never take it, for this reason.
    Final(&'a str),
    /// It has outlived itself: the message says how long it is worth anything.
    Expired,
    /// It is to be sent again, in its old place: it never arrived, or nobody knows whether it did.
    Retry,
    /// The far side does not take it now, for this reason: it is to be sent again, in its old place, unless that has
    /// happened too often (`max_retries`).
    Later(&'a str),
}

impl Reader {
    pub(crate) fn new(queue: Arc<ActionQueue>, owner: u64, mask: u64) -> Self {
        Self { queue, owner, mask, turn: 0 }
    }

    /// The queue it reads.
    pub fn queue(&self) -> &Arc<ActionQueue> {
        &self.queue
    }

    /// Whether [`Reader::take`] would find something.
    pub fn is_ready(&self) -> bool {
        self.is_ready_in(u64::MAX)
    }

    /// Whether [`Reader::take_from`] these lanes would find something.
    pub fn is_ready_in(&self, lanes: u64) -> bool {
        self.queue.ready().load(Ordering::SeqCst) & self.mask & lanes != 0 && self.queue.window().is_open()
    }

    /// How many of its lanes have something.
    pub fn lanes_ready(&self) -> u32 {
        (self.queue.ready().load(Ordering::SeqCst) & self.mask).count_ones()
    }

    /// Takes up to `max` requests, in order within each lane, and appends them to `out`. Returns how many.
    pub fn take(&mut self, max: usize, now: Instant, out: &mut Vec<Taken>) -> usize {
        self.take_from(u64::MAX, max, now, out)
    }

    /// [`Reader::take`] from some of its lanes, one bit each: for who must finish with what it has of a lane before it
    /// goes on there.
    pub fn take_from(&mut self, lanes: u64, max: usize, now: Instant, out: &mut Vec<Taken>) -> usize {
        let mut waiting = self.queue.ready().load(Ordering::SeqCst) & self.mask & lanes;
        if waiting == 0 || max == 0 {
            return 0;
        }
        let granted = self.queue.window().reserve(u32::try_from(max).unwrap_or(u32::MAX)) as usize;
        let ttl = self.queue.request_ttl();
        let (mut taken, mut expired) = (0, Vec::new());
        while waiting != 0 && taken < granted {
            let number = self.next_lane(waiting);
            waiting &= !(1 << number);
            let mut lane = self.queue.lane(number).lock();
            if !lane.is_read_by(self.owner) {
                // Taken over by another reader: nothing to look for there any more.
                self.mask &= !(1 << number);
                continue;
            }
            if let Some(ttl) = ttl {
                self.queue.expire_lane(&mut lane, ttl, now, &mut expired);
            }
            while taken < granted
                && let Some(pending) = lane.buffer.next()
            {
                taken += 1;
                lane.counters.retried += u64::from(pending.sendings > 0);
                out.push(Taken {
                    lane: number as u8,
                    seq: lane.outside(pending.seq),
                    sendings: pending.sendings,
                    request: pending.request,
                });
            }
            self.queue.refresh(number, &lane);
        }
        self.queue.release((granted - taken) as u64);
        self.queue.end_expired(expired);
        taken
    }

    /// Says what became of a request that was taken. One that this reader no longer has is ignored.
    pub fn settle(&self, lane: u8, seq: u64, verdict: Verdict<'_>) {
        let number = usize::from(lane);
        let mut lane = self.queue.lane(number).lock();
        if !lane.is_read_by(self.owner) {
            return;
        }
        let Some(seq) = lane.inside(seq) else { return };
        let gave_up;
        let verdict = match verdict {
            Verdict::Success | Verdict::Final(_) | Verdict::Expired => verdict,
            Verdict::Retry => return self.retry(number, lane, seq),
            Verdict::Later(reason) => {
                let max = self.queue.max_retries();
                let refusals = lane.buffer.refuse(seq);
                if refusals.is_none_or(|refusals| refusals <= max) {
                    return self.retry(number, lane, seq);
                }
                gave_up = format!("given up after {max} retries: {reason}");
                Verdict::Final(&gave_up)
            }
        };
        let Some(removed) = lane.buffer.ack(seq) else { return };
        let mut queued_at = None;
        match verdict {
            Verdict::Success => {
                lane.counters.succeeded(&removed);
                queued_at = lane.time_delivery();
            }
            Verdict::Expired => lane.counters.dropped_expired += 1,
            Verdict::Final(_) | Verdict::Later(_) | Verdict::Retry => lane.counters.failed_for_good(&removed),
        }
        drop(lane);
        if let Some(queued_at) = queued_at {
            self.queue.delivery().observe(queued_at.elapsed());
        }
        self.queue.freed(1, removed.bytes);
        self.queue.release(1);
        match verdict {
            Verdict::Expired => self.queue.end_expired(vec![removed]),
            Verdict::Final(reason) => {
                self.queue.notice().failed(self.queue.id(), reason);
                self.queue.bury(Stage::Send, reason, removed);
            }
            Verdict::Success | Verdict::Later(_) | Verdict::Retry => removed.release.settle(),
        }
        self.queue.unblock();
    }

    /// Says that the far side has these, `(lane, seq)` each: [`Verdict::Success`] for many with one look at their lane, as long
    /// as those of one lane stand together.
    pub fn settle_delivered(&self, delivered: &[(u8, u64)]) {
        let mut removed = Vec::with_capacity(delivered.len());
        for run in delivered.chunk_by(|one, next| one.0 == next.0) {
            let mut lane = self.queue.lane(usize::from(run[0].0)).lock();
            if !lane.is_read_by(self.owner) {
                continue;
            }
            for (_, seq) in run {
                let Some(entry) = lane.inside(*seq).and_then(|seq| lane.buffer.ack(seq)) else { continue };
                lane.counters.succeeded(&entry);
                removed.push(entry);
                if let Some(queued_at) = lane.time_delivery() {
                    self.queue.delivery().observe(queued_at.elapsed());
                }
            }
        }
        if removed.is_empty() {
            return;
        }
        self.queue.freed(removed.len() as u64, removed.iter().map(|entry| entry.bytes).sum());
        self.queue.release(removed.len() as u64);
        Release::settle_all(removed.into_iter().map(|entry| entry.release));
        self.queue.unblock();
    }

    fn retry(&self, number: usize, mut lane: MutexGuard<'_, Lane>, seq: u64) {
        let found = lane.buffer.retry(seq);
        self.queue.refresh(number, &lane);
        drop(lane);
        self.queue.release(u64::from(found));
    }

    /// Counts a request that is sent again while it stays in flight. One that this reader no longer has is ignored.
    pub fn count_retried(&self, lane: u8, seq: u64) {
        let mut lane = self.queue.lane(usize::from(lane)).lock();
        if lane.is_read_by(self.owner)
            && let Some(seq) = lane.inside(seq)
            && lane.buffer.sent_again(seq)
        {
            lane.counters.retried += 1;
        }
    }

    /// Queues again whatever was taken and not settled.
    pub fn rewind(&self) {
        let mut rewound = 0;
        for number in lanes(self.mask) {
            let mut lane = self.queue.lane(number).lock();
            if lane.is_read_by(self.owner) {
                rewound += self.queue.rewind_lane(number, &mut lane);
            }
        }
        self.queue.release(rewound);
    }

    /// The first waiting lane from `turn` on, and the turn to the one after it.
    fn next_lane(&mut self, waiting: u64) -> usize {
        let number = (waiting.rotate_right(self.turn).trailing_zeros() + self.turn) % u64::BITS;
        self.turn = (number + 1) % u64::BITS;
        number as usize
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.rewind();
        for number in lanes(self.mask) {
            let mut lane = self.queue.lane(number).lock();
            if lane.is_read_by(self.owner) {
                lane.reader = None;
            }
        }
    }
}

/// The numbers of the bits that are set.
fn lanes(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let number = mask.trailing_zeros() as usize;
        (mask != 0).then(|| {
            mask &= mask - 1;
            number
        })
    })
}
