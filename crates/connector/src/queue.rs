//! The queue of one action: many lanes, each in order, filled by rules and emptied by connections.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use event::{AckLevel, Completion};
use parking_lot::Mutex;
use wake::Wake;

use crate::bounds::{Bounds, QueueOptions};
use crate::buffer::{Buffer, Fill, Hold, Item, Release, Removed};
use crate::dead::{Dead, DeadEnd, Stage};
use crate::disk::{DiskLog, Lanes};
use crate::histogram::Histogram;
use crate::lane::{Lane, Owner};
use crate::memory::MemoryBuffer;
use crate::metrics::{ActionReading, Counters, Dropped};
use crate::notice::Notice;
use crate::order::lane_of;
use crate::overflow::{Blocked, Overflow};
use crate::reader::Reader;
use crate::window::Window;

/// What an action still has to send, in [`ActionQueue::LANES`] lanes.
///
/// A request goes to a lane by the hash of its key, so what has the same key leaves in the order in which it came. Each
/// lane is served by one connection at a time, whichever that is: a change of the number of connections deals the lanes
/// out anew and moves no request. The queue belongs to the action, outlives every connector and rule that uses it, and
/// counts everything the action does.
pub struct ActionQueue {
    id: Arc<str>,
    bounds: Bounds,
    lanes: Box<[Mutex<Lane>]>,
    /// One bit for each lane that has something to send. Changed only under the lane's lock.
    ready: AtomicU64,
    /// What all lanes hold, as `buffer_bytes_max` counts it.
    held: AtomicU64,
    window: Window,
    blocked: Blocked,
    /// The last reader that was made: its number names the owner of a lane.
    readers: AtomicU64,
    closed: AtomicBool,
    notice: Notice,
    delivery: Histogram,
    dead_end: OnceLock<Arc<dyn DeadEnd>>,
    /// Looked at by whoever changes or shows the queue, never by push or take.
    logs: Mutex<Logs>,
    /// Whether it is not kept on disk although it should be.
    is_unstored: AtomicBool,
}

/// What an action has on disk.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    /// Where its lanes are.
    pub(crate) current: Option<Arc<DiskLog>>,
    /// Where its lanes were, as long as entries that are in memory now would be lost without it.
    pub(crate) former: Option<Arc<DiskLog>>,
    /// Why there is none although there should be one.
    pub(crate) unstored: Option<String>,
}

impl ActionQueue {
    /// The number of lanes: more connections than this cannot share the work of one action.
    pub const LANES: usize = 64;
    /// What an entry counts beyond its request (bytes): about what it costs to keep.
    pub const ENTRY_BYTES: u64 = 80;

    /// A queue in memory for the action of this id (`mqtt:uplink`, as messages show it).
    pub fn in_memory(id: &str, options: QueueOptions) -> Arc<Self> {
        Self::new(id, options, None, None)
    }

    /// A queue on a log on disk, with everything that was in it.
    pub fn on_disk(id: &str, options: QueueOptions, log: Arc<DiskLog>) -> Arc<Self> {
        Self::new(id, options, Some(log), None)
    }

    /// A queue that should be on disk and cannot, for this reason: in memory, and nothing is acknowledged before it is
    /// delivered.
    pub fn unstored(id: &str, options: QueueOptions, reason: String) -> Arc<Self> {
        Self::new(id, options, None, Some(reason))
    }

    fn new(
        id: &str,
        options: QueueOptions,
        log: Option<Arc<DiskLog>>,
        unstored: Option<String>,
    ) -> Arc<Self> {
        let buffer = |number| match &log {
            Some(log) => log.lane(number),
            None => Box::new(MemoryBuffer::new()) as Box<dyn Buffer>,
        };
        let lanes: Box<[_]> =
            (0..Self::LANES as u8).map(|number| Mutex::new(Lane::new(buffer(number)))).collect();
        let (mut ready, mut held) = (0, 0);
        for (number, lane) in lanes.iter().enumerate() {
            // What a durable buffer still has from the last run was matched then, and is accounted for now.
            let mut lane = lane.lock();
            let fill = lane.buffer.fill();
            lane.counters.matched = fill.queuing + fill.inflight;
            held += charge(fill);
            ready |= u64::from(lane.buffer.is_ready()) << number;
        }
        let queue = Arc::new(Self {
            id: id.into(),
            bounds: Bounds::default(),
            lanes,
            ready: AtomicU64::new(ready),
            held: AtomicU64::new(held),
            window: Window::default(),
            blocked: Blocked::default(),
            readers: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            notice: Notice::default(),
            delivery: Histogram::new(Duration::from_micros(250)),
            dead_end: OnceLock::new(),
            is_unstored: AtomicBool::new(unstored.is_some()),
            logs: Mutex::new(Logs { current: log.clone(), former: None, unstored }),
        });
        queue.set_options(options);
        if let Some(log) = log {
            queue.count_lost(&log);
            log.attach(Arc::downgrade(&queue) as Weak<dyn Lanes>);
        }
        queue
    }

    /// Counts what a log that was just opened has lost: it was matched once.
    pub(crate) fn count_lost(&self, log: &DiskLog) {
        let lost = log.take_lost();
        let mut first = self.lanes[0].lock();
        first.counters.matched += lost;
        first.counters.dropped_other += lost;
    }

    /// Says where requests end that nobody will take; without, they are only counted.
    pub fn set_dead_end(&self, dead_end: Arc<dyn DeadEnd>) {
        // A queue has one for as long as it lives.
        let _ = self.dead_end.set(dead_end);
    }

    /// The id of the action.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Replaces the bounds; what is queued stays.
    pub fn set_options(&self, options: QueueOptions) {
        self.bounds.set(&options);
        self.window.set_size(options.inflight_window);
        self.wake_all();
        self.unblock();
    }

    /// Queues a rendered request. Never blocks.
    ///
    /// `key` is the hash of what must stay in order among itself, publisher and topic ([`crate::order_key`]). The acknowledgement of
    /// `completion` waits as long as its level asks for: not at all for `received`, until it is stored where the buffer
    /// is durable, otherwise until it is delivered. What does not fit is dealt with as [`Overflow`] says; what holds an
    /// acknowledgement is never dropped.
    pub fn push<'a>(
        &self,
        key: u64,
        item: impl Into<Item<'a>>,
        completion: Option<&Completion>,
        now: Instant,
    ) {
        let item = item.into();
        let number = lane_of(key);
        let bytes_max = self.bounds.buffer_bytes_max();
        let size = item.bytes() as u64 + Self::ENTRY_BYTES;
        let overflow = self.bounds.overflow();
        let mut lane = self.lanes[number].lock();
        lane.counters.matched += 1;
        if self.closed.load(Ordering::Acquire) {
            lane.counters.dropped_resource_stopped += 1;
            drop(lane);
            return self.notice.dropped(&self.id, Dropped::ResourceStopped, 1);
        }
        let hold = self.hold(completion, lane.buffer.durable());
        let is_full = self.held.load(Ordering::Acquire) + size > bytes_max;
        let is_refused = is_full
            && match overflow {
                Overflow::DropOldest | Overflow::DeadLetter => size > bytes_max,
                Overflow::DropNewest => true,
                Overflow::Block => size > bytes_max || completion.is_none(),
            }
            && !matches!(hold, Hold::UntilDelivered(_));
        if is_refused {
            lane.counters.dropped_queue_full += 1;
            drop(lane);
            if let Hold::UntilStored(part) = hold {
                part.settle();
            }
            if overflow == Overflow::DeadLetter {
                self.bury_item(Stage::Overflow, "it is larger than the whole buffer", item);
            }
            return self.notice.dropped(&self.id, Dropped::QueueFull, 1);
        }
        if let Err(error) = lane.buffer.append(item, hold, now) {
            lane.counters.dropped_other += 1;
            drop(lane);
            return self.notice.failed(&self.id, &error.to_string());
        }
        lane.time_push(now);
        // Added before the lock goes, so that nobody can subtract an entry that is not added yet.
        let held = self.held.fetch_add(size, Ordering::AcqRel) + size;
        if lane.buffer.is_ready() {
            self.ready.fetch_or(1 << number, Ordering::SeqCst);
        }
        let wake = lane.wake();
        drop(lane);
        if held > bytes_max {
            self.overflowed(overflow, size, completion, now);
        }
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    /// The queue holds more than it may.
    #[cold]
    fn overflowed(&self, overflow: Overflow, size: u64, completion: Option<&Completion>, now: Instant) {
        match (overflow, completion) {
            (Overflow::DropOldest | Overflow::DeadLetter, _) => self.make_room(overflow, now),
            (Overflow::Block, Some(completion)) => {
                self.blocked.add(size, completion.part());
                // Room may have been made just before.
                self.unblock();
            }
            (Overflow::Block | Overflow::DropNewest, _) => {}
        }
    }

    /// Counts a row that could not be rendered, and hands on what it was made of: `matched` and `failed`. The
    /// acknowledgement waits until it is a dead letter.
    pub fn fail(&self, reason: &str, origin: &[u8], completion: Option<&Completion>) {
        let mut lane = self.lanes[0].lock();
        lane.counters.matched += 1;
        lane.counters.failed += 1;
        drop(lane);
        self.notice.failed(&self.id, reason);
        if let Some(dead_end) = self.dead_end.get() {
            let waits = completion.filter(|completion| completion.level() != AckLevel::Received);
            let release = Release { part: waits.map(Completion::part), claim: None };
            let dead =
                Dead { action: &self.id, stage: Stage::Render, reason, sendings: 0, request: &[], origin };
            dead_end.bury(&dead, release);
        }
    }

    /// Counts a row that the action does not take: `matched` and `dropped`.
    pub fn refuse(&self, reason: Dropped) {
        let mut lane = self.lanes[0].lock();
        lane.counters.matched += 1;
        *lane.counters.dropped_for(reason) += 1;
        drop(lane);
        self.notice.dropped(&self.id, reason, 1);
    }

    /// Drops what waited longer than `request_ttl`. Pushing and taking do so by themselves; this is for a link that is
    /// down while nothing comes.
    pub fn expire(&self, now: Instant) {
        let Some(ttl) = self.request_ttl() else { return };
        let mut expired = Vec::new();
        for (number, lane) in self.lanes.iter().enumerate() {
            let mut lane = lane.lock();
            self.expire_lane(&mut lane, ttl, now, &mut expired);
            self.refresh(number, &lane);
        }
        self.end_expired(expired);
    }

    /// Reads all counters at one moment.
    pub fn reading(&self, now: Instant) -> ActionReading {
        self.expire(now);
        let mut lanes: Vec<_> = self.lanes.iter().map(|lane| lane.lock()).collect();
        let mut reading = ActionReading::default();
        for lane in &mut lanes {
            reading.fill += lane.settled_fill();
            reading.counters += lane.counters;
        }
        reading
    }

    /// How long a sample of the requests took from the rule to the far side's word that it has them.
    pub fn delivery(&self) -> &Histogram {
        &self.delivery
    }

    /// Starts counting anew. What is still queued or in flight counts as matched, so that the sum stays right.
    pub fn reset_metrics(&self) {
        self.delivery.reset();
        let mut lanes: Vec<_> = self.lanes.iter().map(|lane| lane.lock()).collect();
        for lane in &mut lanes {
            let fill = lane.settled_fill();
            lane.counters = Counters { matched: fill.queuing + fill.inflight, ..Counters::default() };
        }
    }

    /// The end of an action that was deleted: what it still has is dropped, counted and no longer waited for, and so is
    /// whatever comes after.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for (number, lane) in self.lanes.iter().enumerate() {
            let mut lane = lane.lock();
            let fill = lane.settled_fill();
            let parts = lane.buffer.clear();
            lane.counters.dropped_resource_stopped += fill.queuing + fill.inflight;
            self.ready.fetch_and(!(1 << number), Ordering::SeqCst);
            self.held.fetch_sub(charge(fill), Ordering::AcqRel);
            drop(lane);
            self.release(fill.inflight);
            parts.into_iter().for_each(event::Part::settle);
        }
        self.blocked.release_all();
    }

    /// Makes the one consumer of the lanes whose number is `share` modulo `shares`, which `wake` wakes.
    ///
    /// It takes the lanes over from whoever had them: what that one had in flight is queued again, and it gets nothing
    /// any more. What the reader has in flight when it is dropped is queued again too.
    pub fn reader(self: &Arc<Self>, share: usize, shares: usize, wake: &Arc<Wake>) -> Reader {
        let owner = self.readers.fetch_add(1, Ordering::Relaxed) + 1;
        let (mut mask, mut rewound) = (0, 0);
        for number in (share..Self::LANES).step_by(shares.max(1)) {
            mask |= 1 << number;
            let mut lane = self.lanes[number].lock();
            rewound += self.rewind_lane(number, &mut lane);
            lane.reader = Some(Owner { id: owner, wake: Arc::clone(wake) });
        }
        self.release(rewound);
        Reader::new(Arc::clone(self), owner, mask)
    }

    /// Frees room until the bound is kept, oldest first over all lanes, or nothing is left that may be dropped.
    ///
    /// Looks at every lane for each victim. That is a microsecond, and only while the action overflows.
    fn make_room(&self, overflow: Overflow, now: Instant) {
        self.expire(now);
        let mut dropped = Vec::new();
        while self.held.load(Ordering::Acquire) > self.bounds.buffer_bytes_max() {
            let oldest = |number: usize| Some((self.lanes[number].lock().buffer.oldest(now)?, number));
            let Some((_, number)) = (0..self.lanes.len()).filter_map(oldest).max() else { break };
            let mut lane = self.lanes[number].lock();
            let Some(removed) = lane.buffer.drop_oldest() else { continue };
            lane.counters.dropped_queue_full += 1;
            self.freed(1, removed.bytes);
            self.refresh(number, &lane);
            dropped.push(removed);
        }
        self.notice.dropped(&self.id, Dropped::QueueFull, dropped.len() as u64);
        for removed in dropped {
            if overflow == Overflow::DeadLetter {
                self.bury(Stage::Overflow, "the queue was full", removed);
            } else {
                removed.release.settle();
            }
        }
    }

    /// Ends what waited too long. Not to be called under a lock.
    pub(crate) fn end_expired(&self, expired: Vec<Removed>) {
        if expired.is_empty() {
            return;
        }
        self.notice.dropped(&self.id, Dropped::Expired, expired.len() as u64);
        for removed in expired {
            if self.bounds.buries_expired() {
                self.bury(Stage::Expired, "it waited longer than `request_ttl`", removed);
            } else {
                removed.release.settle();
            }
        }
        self.unblock();
    }

    /// Hands on what will never be sent, and lets go of it.
    pub(crate) fn bury(&self, stage: Stage, reason: &str, removed: Removed) {
        let Some(dead_end) = self.dead_end.get() else { return removed.release.settle() };
        let Item { request, origin } = removed.content.item();
        let sendings = removed.sendings;
        let dead = Dead { action: &self.id, stage, reason, sendings, request, origin };
        dead_end.bury(&dead, removed.release);
    }

    fn bury_item(&self, stage: Stage, reason: &str, item: Item<'_>) {
        if let Some(dead_end) = self.dead_end.get() {
            let Item { request, origin } = item;
            let dead = Dead { action: &self.id, stage, reason, sendings: 0, request, origin };
            dead_end.bury(&dead, Release::default());
        }
    }

    /// Acknowledges what waited for room, as far as there is some. Not to be called under a lock.
    pub(crate) fn unblock(&self) {
        if self.blocked.any() {
            let max = self.bounds.buffer_bytes_max();
            self.blocked.release(self.held.load(Ordering::Acquire), max);
        }
    }

    /// How long the acknowledgement waits for an entry of a buffer that is, or is not, durable.
    fn hold(&self, completion: Option<&Completion>, is_durable: bool) -> Hold {
        let Some(completion) = completion else { return Hold::Nothing };
        match (completion.level(), is_durable) {
            (AckLevel::Received, _) => Hold::Nothing,
            (AckLevel::Durable, false) if !self.is_unstored.load(Ordering::Relaxed) => Hold::Nothing,
            (AckLevel::Durable | AckLevel::Stored, true) => Hold::UntilStored(completion.part()),
            (AckLevel::Durable | AckLevel::Stored, false) | (AckLevel::Delivered, _) => {
                Hold::UntilDelivered(completion.part())
            }
        }
    }

    /// How often the far side may refuse a request for now.
    pub(crate) fn max_retries(&self) -> u32 {
        self.bounds.max_retries()
    }

    pub(crate) fn lane(&self, number: usize) -> &Mutex<Lane> {
        &self.lanes[number]
    }

    pub(crate) fn ready(&self) -> &AtomicU64 {
        &self.ready
    }

    pub(crate) fn notice(&self) -> &Notice {
        &self.notice
    }

    pub(crate) fn request_ttl(&self) -> Option<Duration> {
        self.bounds.request_ttl()
    }

    /// Takes what is too old out of one lane; the caller ends it once the lock is gone.
    pub(crate) fn expire_lane(
        &self,
        lane: &mut Lane,
        ttl: Duration,
        now: Instant,
        expired: &mut Vec<Removed>,
    ) {
        while lane.buffer.oldest(now).is_some_and(|age| age >= ttl)
            && let Some(removed) = lane.buffer.drop_oldest()
        {
            lane.counters.dropped_expired += 1;
            self.freed(1, removed.bytes);
            expired.push(removed);
        }
    }

    /// Makes the lane's bit say whether it has something to send.
    pub(crate) fn refresh(&self, number: usize, lane: &Lane) {
        if lane.buffer.is_ready() {
            self.ready.fetch_or(1 << number, Ordering::SeqCst);
        } else {
            self.ready.fetch_and(!(1 << number), Ordering::SeqCst);
        }
    }

    /// Queues again what the lane has in flight, and says how much that was; the caller gives those places of the window
    /// back once the lock is gone.
    #[must_use]
    pub(crate) fn rewind_lane(&self, number: usize, lane: &mut Lane) -> u64 {
        let inflight = lane.buffer.fill().inflight;
        lane.buffer.rewind();
        self.refresh(number, lane);
        inflight
    }

    /// Subtracts what so many requests held that are gone.
    pub(crate) fn freed(&self, entries: u64, bytes: u64) {
        self.held.fetch_sub(bytes + entries * Self::ENTRY_BYTES, Ordering::AcqRel);
    }

    pub(crate) fn logs(&self) -> &Mutex<Logs> {
        &self.logs
    }

    /// Says whether the queue is to be as careful as one on disk although it is not.
    pub(crate) fn set_unstored(&self, is_unstored: bool) {
        self.is_unstored.store(is_unstored, Ordering::Relaxed);
    }

    /// Puts another buffer into every lane, and everything that was in the old one into it. What was in flight is queued
    /// again.
    pub(crate) fn replace_buffers(&self, make: impl Fn(u8) -> Box<dyn Buffer>) {
        for (number, lane) in self.lanes.iter().enumerate() {
            let mut lane = lane.lock();
            let before = lane.settled_fill();
            let mut old = lane.replace(make(number as u8));
            let mut moved = 0;
            for entry in old.drain() {
                match lane.buffer.adopt(entry) {
                    Ok(()) => moved += 1,
                    // Its part is dropped with it, so whoever waits is not told that it is safe.
                    Err(error) => tracing::error!(action = &*self.id, %error, "a message was lost"),
                }
            }
            let left = (before.queuing + before.inflight).saturating_sub(moved);
            lane.counters.dropped_other += left;
            let after = lane.buffer.fill();
            // What the new one had already, of an earlier run, was matched then.
            lane.counters.matched += (after.queuing + after.inflight).saturating_sub(moved);
            self.held.fetch_add(charge(after), Ordering::AcqRel);
            self.held.fetch_sub(charge(before), Ordering::AcqRel);
            self.refresh(number, &lane);
            let wake = lane.wake();
            drop(lane);
            self.release(before.inflight);
            if let Some(wake) = wake {
                wake.wake();
            }
        }
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// Gives places of the window back. Takes locks: not to be called under one.
    pub(crate) fn release(&self, places: u64) {
        if places > 0 && self.window.release(places as u32) {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        for lane in &self.lanes {
            let wake = lane.lock().wake();
            if let Some(wake) = wake {
                wake.wake();
            }
        }
    }
}

fn charge(fill: Fill) -> u64 {
    fill.queuing_bytes + fill.inflight_bytes + (fill.queuing + fill.inflight) * ActionQueue::ENTRY_BYTES
}

impl Lanes for ActionQueue {
    fn refilled(&self, lanes: u64) {
        for number in (0..Self::LANES).filter(|number| lanes >> number & 1 == 1) {
            let lane = self.lanes[number].lock();
            self.refresh(number, &lane);
            let wake = lane.wake();
            drop(lane);
            if let Some(wake) = wake {
                wake.wake();
            }
        }
    }
}

impl std::fmt::Debug for ActionQueue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ActionQueue").field("id", &self.id).finish_non_exhaustive()
    }
}
