//! The queue of one action: many lanes, each in order, filled by rules and emptied by connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event::{AckLevel, Completion};
use parking_lot::Mutex;

use crate::buffer::{Buffer, Fill, Hold};
use crate::lane::{Lane, Owner};
use crate::memory::MemoryBuffer;
use crate::metrics::{ActionReading, Counters, Dropped};
use crate::notice::Notice;
use crate::reader::Reader;
use crate::wake::Wake;

/// The bounds of an action's queue, as `resource_opts` gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueOptions {
    /// What all lanes together may hold (bytes, with [`ActionQueue::ENTRY_BYTES`] for each entry).
    pub buffer_bytes_max: u64,
    /// How long a request may wait; `None` for ever.
    pub request_ttl: Option<Duration>,
    /// How many requests may be in flight at once over all lanes; `None` leaves it to the connections.
    pub inflight_window: Option<u32>,
}

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
    /// The last reader that was made: its number names the owner of a lane.
    readers: AtomicU64,
    closed: AtomicBool,
    notice: Notice,
}

/// [`QueueOptions`] as every push and take reads them.
#[derive(Debug, Default)]
struct Bounds {
    buffer_bytes_max: AtomicU64,
    /// In milliseconds; 0 for ever.
    request_ttl: AtomicU64,
}

/// The requests in flight over all lanes.
#[derive(Debug, Default)]
struct Window {
    /// 0 for no bound.
    size: AtomicU32,
    used: AtomicU32,
    /// Whether a reader got less than it asked for and must hear of free places.
    starved: AtomicBool,
}

impl ActionQueue {
    /// The number of lanes: more connections than this cannot share the work of one action.
    pub const LANES: usize = 64;
    /// What an entry counts beyond its request (bytes): about what it costs to keep.
    pub const ENTRY_BYTES: u64 = 80;

    /// A queue in memory for the action of this id (`mqtt:uplink`, as messages show it).
    pub fn in_memory(id: &str, options: QueueOptions) -> Arc<Self> {
        Self::with_buffers(id, options, |_| Box::new(MemoryBuffer::new()))
    }

    /// A queue on buffers of the caller's choice, one for each lane.
    pub fn with_buffers(
        id: &str,
        options: QueueOptions,
        mut buffer: impl FnMut(usize) -> Box<dyn Buffer>,
    ) -> Arc<Self> {
        let lanes: Box<[_]> = (0..Self::LANES).map(|lane| Mutex::new(Lane::new(buffer(lane)))).collect();
        let (mut ready, mut held) = (0, 0);
        for (number, lane) in lanes.iter().enumerate() {
            // What a durable buffer still has from the last run was matched then, and is accounted for now.
            let mut lane = lane.lock();
            let fill = lane.buffer.fill();
            lane.counters.matched = fill.queuing + fill.inflight;
            held += charge(fill);
            ready |= u64::from(fill.queuing > 0) << number;
        }
        let queue = Self {
            id: id.into(),
            bounds: Bounds::default(),
            lanes,
            ready: AtomicU64::new(ready),
            held: AtomicU64::new(held),
            window: Window::default(),
            readers: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            notice: Notice::default(),
        };
        queue.set_options(options);
        Arc::new(queue)
    }

    /// The id of the action.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Replaces the bounds; what is queued stays.
    pub fn set_options(&self, options: QueueOptions) {
        let ttl = options.request_ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(0).max(1));
        self.bounds.request_ttl.store(ttl, Ordering::Relaxed);
        self.bounds.buffer_bytes_max.store(options.buffer_bytes_max, Ordering::Relaxed);
        self.window.size.store(options.inflight_window.unwrap_or(0), Ordering::SeqCst);
        self.wake_all();
    }

    /// Queues a rendered request. Never blocks.
    ///
    /// `key` is a hash of what must stay in order among itself (publisher and topic). The acknowledgement of
    /// `completion` waits as long as its level asks for: not at all for `received`, until it is stored where the buffer
    /// is durable, otherwise until it is delivered. What overflows is dropped from the old end and counted; what holds
    /// an acknowledgement is not.
    pub fn push(&self, key: u64, request: &[u8], completion: Option<&Completion>, now: Instant) {
        let number = lane_of(key);
        let bytes_max = self.bounds.buffer_bytes_max.load(Ordering::Relaxed);
        let size = request.len() as u64 + Self::ENTRY_BYTES;
        let mut lane = self.lanes[number].lock();
        lane.counters.matched += 1;
        if self.closed.load(Ordering::Acquire) {
            lane.counters.dropped_resource_stopped += 1;
            drop(lane);
            return self.notice.dropped(&self.id, Dropped::ResourceStopped, 1);
        }
        let hold = hold(completion, lane.buffer.durable());
        if matches!(hold, Hold::Nothing) && size > bytes_max {
            lane.counters.dropped_queue_full += 1;
            drop(lane);
            return self.notice.dropped(&self.id, Dropped::QueueFull, 1);
        }
        if let Err(error) = lane.buffer.append(request, hold, now) {
            lane.counters.dropped_other += 1;
            drop(lane);
            return self.notice.failed(&self.id, &error.to_string());
        }
        // Added before the lock goes, so that nobody can subtract an entry that is not added yet.
        let held = self.held.fetch_add(size, Ordering::AcqRel) + size;
        self.ready.fetch_or(1 << number, Ordering::SeqCst);
        let wake = lane.wake();
        drop(lane);
        if held > bytes_max {
            self.make_room(now);
        }
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    /// Counts a row that could not be rendered: `matched` and `failed`.
    pub fn fail(&self, reason: &str) {
        let mut lane = self.lanes[0].lock();
        lane.counters.matched += 1;
        lane.counters.failed += 1;
        drop(lane);
        self.notice.failed(&self.id, reason);
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
        let mut expired = 0;
        for (number, lane) in self.lanes.iter().enumerate() {
            let mut lane = lane.lock();
            expired += self.expire_lane(&mut lane, ttl, now);
            self.refresh(number, &lane);
        }
        self.notice.dropped(&self.id, Dropped::Expired, expired);
    }

    /// Reads all counters at one moment.
    pub fn reading(&self, now: Instant) -> ActionReading {
        self.expire(now);
        let lanes: Vec<_> = self.lanes.iter().map(|lane| lane.lock()).collect();
        let mut reading = ActionReading::default();
        for lane in &lanes {
            reading.counters += lane.counters;
            reading.fill += lane.buffer.fill();
        }
        reading
    }

    /// Starts counting anew. What is still queued or in flight counts as matched, so that the sum stays right.
    pub fn reset_metrics(&self) {
        let mut lanes: Vec<_> = self.lanes.iter().map(|lane| lane.lock()).collect();
        for lane in &mut lanes {
            let fill = lane.buffer.fill();
            lane.counters = Counters { matched: fill.queuing + fill.inflight, ..Counters::default() };
        }
    }

    /// The end of an action that was deleted: what it still has is dropped, counted and no longer waited for, and so is
    /// whatever comes after.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for (number, lane) in self.lanes.iter().enumerate() {
            let mut lane = lane.lock();
            let fill = lane.buffer.fill();
            let parts = lane.buffer.clear();
            lane.counters.dropped_resource_stopped += fill.queuing + fill.inflight;
            self.ready.fetch_and(!(1 << number), Ordering::SeqCst);
            self.held.fetch_sub(charge(fill), Ordering::AcqRel);
            drop(lane);
            self.release(fill.inflight);
            parts.into_iter().for_each(event::Part::settle);
        }
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
    #[cold]
    fn make_room(&self, now: Instant) {
        self.expire(now);
        let mut dropped = 0;
        while self.held.load(Ordering::Acquire) > self.bounds.buffer_bytes_max.load(Ordering::Relaxed) {
            let oldest = |number: usize| Some((self.lanes[number].lock().buffer.oldest()?, number));
            let Some((_, number)) = (0..self.lanes.len()).filter_map(oldest).min() else { break };
            let mut lane = self.lanes[number].lock();
            let Some(bytes) = lane.buffer.drop_oldest() else { continue };
            lane.counters.dropped_queue_full += 1;
            dropped += 1;
            self.freed(bytes);
            self.refresh(number, &lane);
        }
        self.notice.dropped(&self.id, Dropped::QueueFull, dropped);
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
        let millis = self.bounds.request_ttl.load(Ordering::Relaxed);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// Drops what is too old from one lane, and says how many; the caller writes the notice once the lock is gone.
    pub(crate) fn expire_lane(&self, lane: &mut Lane, ttl: Duration, now: Instant) -> u64 {
        let mut expired = 0;
        while lane.buffer.oldest().is_some_and(|at| now.saturating_duration_since(at) >= ttl)
            && let Some(bytes) = lane.buffer.drop_oldest()
        {
            expired += 1;
            self.freed(bytes);
        }
        lane.counters.dropped_expired += expired;
        expired
    }

    /// Makes the lane's bit say whether it has something to send.
    pub(crate) fn refresh(&self, number: usize, lane: &Lane) {
        if lane.buffer.fill().queuing > 0 {
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

    /// Subtracts what a request held that is gone.
    pub(crate) fn freed(&self, bytes: u64) {
        self.held.fetch_sub(bytes + Self::ENTRY_BYTES, Ordering::AcqRel);
    }

    /// Whether the window has a free place.
    pub(crate) fn window_open(&self) -> bool {
        let size = self.window.size.load(Ordering::SeqCst);
        size == 0 || self.window.used.load(Ordering::SeqCst) < size
    }

    /// Reserves up to `wanted` places of the window.
    pub(crate) fn reserve(&self, wanted: u32) -> u32 {
        let size = self.window.size.load(Ordering::SeqCst);
        let mut granted = wanted;
        let taken = self.window.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
            granted = if size == 0 { wanted } else { wanted.min(size.saturating_sub(used)) };
            Some(used.saturating_add(granted))
        });
        debug_assert!(taken.is_ok(), "the update always has a value");
        if granted < wanted {
            self.window.starved.store(true, Ordering::SeqCst);
        }
        granted
    }

    /// Gives places of the window back. Takes locks: not to be called under one.
    pub(crate) fn release(&self, places: u64) {
        if places == 0 {
            return;
        }
        self.window.used.fetch_sub(places as u32, Ordering::SeqCst);
        if self.window.starved.swap(false, Ordering::SeqCst) {
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

/// Which lane a key belongs to. Fixed for ever: durable lanes outlive the process.
fn lane_of(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - ActionQueue::LANES.ilog2())) as usize
}

fn charge(fill: Fill) -> u64 {
    fill.queuing_bytes + fill.inflight_bytes + (fill.queuing + fill.inflight) * ActionQueue::ENTRY_BYTES
}

/// How long the acknowledgement waits for an entry of a buffer that is, or is not, durable.
fn hold(completion: Option<&Completion>, durable: bool) -> Hold {
    let Some(completion) = completion else { return Hold::Nothing };
    match (completion.level(), durable) {
        (AckLevel::Received, _) | (AckLevel::Durable, false) => Hold::Nothing,
        (AckLevel::Durable | AckLevel::Stored, true) => Hold::UntilStored(completion.part()),
        (AckLevel::Stored, false) | (AckLevel::Delivered, _) => Hold::UntilDelivered(completion.part()),
    }
}

impl std::fmt::Debug for ActionQueue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ActionQueue").field("id", &self.id).finish_non_exhaustive()
    }
}
