//! What the lanes of a log and its thread share.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use event::Part;
use journal::{Batch, Cursor, Journal, Recovered};
use parking_lot::{Condvar, Mutex};

use crate::buffer::{Fill, Item, StoreError};
use crate::disk::{DiskOptions, Fsync, Lanes};
use crate::queue::ActionQueue;

const LANES: usize = ActionQueue::LANES;

/// Shared by the lanes, the thread that writes and reads, and the one that syncs.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    is_volatile: bool,
    pub(crate) state: Mutex<State>,
    /// The thread sleeps here.
    pub(crate) commit: Condvar,
    /// Whoever waits for everything to be read sleeps here.
    pub(crate) all_read: Condvar,
    /// What is in memory of that which waits (bytes).
    memory_bytes: AtomicU64,
    /// With less than this in memory it is time to read on (bytes).
    low_bytes: AtomicU64,
    /// One bit for each lane that has something in memory.
    near: AtomicU64,
    /// `unread` is not zero. Changed under the lock.
    pub(crate) has_unread: AtomicBool,
    /// One bit for each lane whose inbox has something.
    pub(crate) inboxes: AtomicU64,
    pub(crate) lanes: OnceLock<Weak<dyn Lanes>>,
}

/// One small lock that pushes, takes and the thread hold for as long as it takes to copy a request; never while the disk
/// is waited for.
pub(crate) struct State {
    pub(crate) options: DiskOptions,
    next_id: u64,
    /// To be written next.
    pub(crate) staged: Batch,
    /// What is staged or being written (bytes).
    pub(crate) unwritten_bytes: u64,
    /// Waiting for what is staged to be stored.
    pub(crate) parts: Vec<Part>,
    /// Entries on disk that are not needed any more.
    pub(crate) gone: Vec<u64>,
    /// Where the first entry is that no lane has in memory; there is one if `unread` says so.
    pub(crate) read_at: ReadAt,
    pub(crate) unread: u64,
    /// By lane: what is on disk only, or in the inbox.
    pub(crate) cold: [Cold; LANES],
    /// By lane: what was read and not yet fetched.
    pub(crate) inbox: [VecDeque<Read>; LANES],
    /// Parts of entries that are on disk only, by lane and id.
    pub(crate) held: HashMap<(u8, u64), Part>,
    /// Claims that were not forgotten, in memory.
    claims: u64,
    /// Everything is to be in memory, whatever it takes: the log is to be left.
    pub(crate) read_all: bool,
    pub(crate) is_asleep: bool,
    /// Whether it is woken at the end of a batch that goes on, for all that is known.
    pub(crate) is_woken_later: bool,
    pub(crate) is_stopping: bool,
    pub(crate) write_trouble: Option<String>,
    pub(crate) sync_trouble: Option<String>,
    pub(crate) read_trouble: Option<String>,
}

/// Where reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadAt {
    /// Nowhere: everything is in memory.
    Nowhere,
    /// So many bytes into what is staged.
    Staged(usize),
    /// In what the thread is just writing.
    BeingWritten,
    /// On disk.
    Written(Cursor),
}

/// Entries of a lane that are not in its memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cold {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Of the entries, those that turned out to be damaged.
    pub(crate) lost: u64,
}

/// An entry that was read back.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) id: u64,
    pub(crate) at_ms: i64,
    /// As it was stored.
    pub(crate) bytes: Bytes,
}

/// Where an appended entry went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The lane is to keep it in memory; with an id if it is on disk too.
    InMemory(Option<u64>),
    /// It is on disk only.
    OnDisk,
}

/// A stored entry that is still needed. Dropped, it leaves the entry on disk, to be found at the next start.
pub struct Claim {
    shared: Arc<Shared>,
    id: u64,
}

impl Shared {
    /// What may be staged before the disk is said not to keep up with what holds no acknowledgement (bytes).
    const UNWRITTEN_BYTES_MAX: u64 = 16 << 20;
    /// What is staged is large from here on (bytes).
    const LARGE: usize = 64 << 10;
    /// With fewer entries at hand than this a lane asks for more.
    const FEW: u64 = 32;
    /// How far beyond its memory a log reads when a lane has run dry while others are stuck.
    const OVERDRAFT: u64 = 4;

    pub(crate) fn new(name: &str, options: DiskOptions, journal: &Journal, recovered: &Recovered) -> Self {
        let mut cold = [Cold::default(); LANES];
        for (number, count) in recovered.lanes.iter().enumerate() {
            // Lanes are numbered from 0 to 63 by whoever wrote them; anything else would be a damaged record.
            let lane = &mut cold[number % LANES];
            lane.entries += count.entries;
            lane.bytes += count.bytes.saturating_sub(4 * count.entries);
        }
        let unread = recovered.total().entries;
        let start = journal.start().filter(|_| unread > 0);
        let state = State {
            options,
            next_id: recovered.next_id,
            staged: Batch::default(),
            unwritten_bytes: 0,
            parts: Vec::new(),
            gone: Vec::new(),
            read_at: start.map_or(ReadAt::Nowhere, ReadAt::Written),
            unread,
            cold,
            inbox: std::array::from_fn(|_| VecDeque::new()),
            held: HashMap::new(),
            claims: 0,
            read_all: false,
            is_asleep: false,
            is_woken_later: false,
            is_stopping: false,
            write_trouble: None,
            sync_trouble: None,
            read_trouble: None,
        };
        Self {
            name: name.into(),
            is_volatile: options.is_volatile,
            state: Mutex::new(state),
            commit: Condvar::new(),
            all_read: Condvar::new(),
            memory_bytes: AtomicU64::new(0),
            low_bytes: AtomicU64::new(options.memory_bytes / 2),
            near: AtomicU64::new(0),
            has_unread: AtomicBool::new(unread > 0),
            inboxes: AtomicU64::new(0),
            lanes: OnceLock::new(),
        }
    }

    pub(crate) fn attach(&self, lanes: Weak<dyn Lanes>) {
        // A log has one queue for as long as it is open.
        let _ = self.lanes.set(lanes);
    }

    /// Stores an entry, or says that memory has room for it. `stored` settles when it is stored; `held` is taken if the
    /// entry is on disk only.
    pub(crate) fn append(
        self: &Arc<Self>,
        lane: u8,
        at_ms: i64,
        item: Item<'_>,
        stored: Option<Part>,
        held: &mut Option<Part>,
    ) -> Result<Placed, StoreError> {
        let bytes = item.bytes() as u64;
        let mut state = self.state.lock();
        if state.is_stopping {
            return Err(StoreError::Closed);
        }
        let used = self.memory_bytes.load(Ordering::Relaxed);
        let has_memory = used + bytes <= state.options.memory_bytes || state.read_all;
        let in_memory = state.unread == 0 && has_memory;
        if in_memory {
            self.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
            if state.options.is_volatile {
                return Ok(Placed::InMemory(None));
            }
        }
        let waits = stored.is_some() || held.is_some();
        if !waits && state.unwritten_bytes + bytes > Self::UNWRITTEN_BYTES_MAX {
            let words = state.write_trouble.clone().unwrap_or_else(|| "it is too slow".to_owned());
            return Err(StoreError::Behind(words));
        }
        let id = state.next_id;
        state.next_id += 1;
        if !in_memory {
            if state.unread == 0 {
                state.read_at = ReadAt::Staged(state.staged.len());
            }
            state.unread += 1;
            self.has_unread.store(true, Ordering::Release);
            let cold = &mut state.cold[usize::from(lane)];
            cold.entries += 1;
            cold.bytes += bytes;
            if let Some(part) = held.take() {
                state.held.insert((lane, id), part);
            }
        }
        let before = state.staged.len();
        let length = (item.request.len() as u32).to_le_bytes();
        state.staged.entry(id, lane, at_ms, [&length, item.request, item.origin]);
        state.unwritten_bytes += (state.staged.len() - before) as u64;
        state.parts.extend(stored);
        state.claims += u64::from(in_memory);
        self.wake(&mut state);
        Ok(if in_memory { Placed::InMemory(Some(id)) } else { Placed::OnDisk })
    }

    /// A claim on an entry that [`Shared::append`] or the inbox gave an id for.
    pub(crate) fn claim(self: &Arc<Self>, id: u64) -> Claim {
        Claim { shared: Arc::clone(self), id }
    }

    /// What was read for a lane. Entries of a volatile log are nowhere but in memory from here on.
    pub(crate) fn fetch(self: &Arc<Self>, lane: u8) -> Vec<(Read, Option<Claim>, Option<Part>)> {
        let mut state = self.state.lock();
        self.inboxes.fetch_and(!(1 << lane), Ordering::AcqRel);
        let inbox = std::mem::take(&mut state.inbox[usize::from(lane)]);
        let is_volatile = self.is_volatile;
        let mut fetched = Vec::with_capacity(inbox.len());
        for read in inbox {
            let cold = &mut state.cold[usize::from(lane)];
            cold.entries -= 1;
            cold.bytes = cold.bytes.saturating_sub((read.bytes.len() as u64).saturating_sub(4));
            let part = if state.held.is_empty() { None } else { state.held.remove(&(lane, read.id)) };
            state.claims += u64::from(!is_volatile);
            let claim = (!is_volatile).then(|| self.claim(read.id));
            fetched.push((read, claim, part));
        }
        fetched
    }

    /// So many bytes of what was in memory are gone.
    pub(crate) fn freed(&self, bytes: u64) {
        self.memory_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// So many bytes more are in memory.
    pub(crate) fn took(&self, bytes: u64) {
        self.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn has_inbox(&self, lane: u8) -> bool {
        self.inboxes.load(Ordering::Acquire) & (1 << lane) != 0
    }

    pub(crate) fn is_durable(&self) -> bool {
        !self.is_volatile
    }

    /// A lane has so many entries in memory that wait. Wakes the thread if it should read on: asked for before the lane is
    /// empty, so that the far side need not wait for the disk.
    pub(crate) fn has_near(self: &Arc<Self>, lane: u8, entries: u64) {
        let bit = 1u64 << lane;
        if (self.near.load(Ordering::Relaxed) & bit != 0) != (entries > 0) {
            self.near.fetch_xor(bit, Ordering::AcqRel);
        }
        let is_few = entries < Self::FEW
            || self.memory_bytes.load(Ordering::Relaxed) < self.low_bytes.load(Ordering::Relaxed);
        if is_few && self.has_unread.load(Ordering::Acquire) {
            let mut state = self.state.lock();
            if self.should_read(&state) {
                self.wake(&mut state);
            }
        }
    }

    /// Whether the thread is to read on: memory has room, or a lane could send and has nothing at hand while others are
    /// stuck.
    pub(crate) fn should_read(&self, state: &State) -> bool {
        if state.unread == 0 || !matches!(state.read_at, ReadAt::Written(_)) {
            return false;
        }
        let used = self.memory_bytes.load(Ordering::Relaxed);
        let max = state.options.memory_bytes;
        state.read_all || used < max / 2 || (used < max * Self::OVERDRAFT && self.is_any_dry(state))
    }

    /// Whether there are entries on disk for a lane that has none in memory.
    fn is_any_dry(&self, state: &State) -> bool {
        let near = self.near.load(Ordering::Acquire);
        state.cold.iter().zip(&state.inbox).enumerate().any(|(lane, (cold, inbox))| {
            near >> lane & 1 == 0 && inbox.is_empty() && cold.entries > cold.lost
        })
    }

    /// What a lane has that is not in its memory.
    pub(crate) fn cold(&self, lane: u8) -> Fill {
        let cold = self.state.lock().cold[usize::from(lane)];
        Fill { queuing: cold.entries, queuing_bytes: cold.bytes, ..Fill::default() }
    }

    pub(crate) fn take_lost(&self, lane: u8) -> u64 {
        let mut state = self.state.lock();
        let cold = &mut state.cold[usize::from(lane)];
        let lost = std::mem::take(&mut cold.lost);
        cold.entries -= lost;
        if cold.entries == 0 {
            cold.bytes = 0;
        }
        lost
    }

    /// Forgets in memory what a lane has on disk only, and gives the parts of it.
    pub(crate) fn clear(&self, lane: u8) -> Vec<Part> {
        let mut state = self.state.lock();
        state.cold[usize::from(lane)] = Cold::default();
        let inbox = std::mem::take(&mut state.inbox[usize::from(lane)]);
        self.freed(inbox.iter().map(|read| read.bytes.len() as u64).sum());
        self.inboxes.fetch_and(!(1 << lane), Ordering::AcqRel);
        state.held.extract_if(|(of, _), _| *of == lane).map(|(_, part)| part).collect()
    }

    pub(crate) fn read_all(&self) {
        let mut state = self.state.lock();
        state.read_all = true;
        // At once, since this waits for it.
        state.is_asleep = false;
        self.commit.notify_one();
        while state.unread > 0 && !state.is_stopping && state.read_trouble.is_none() {
            self.all_read.wait(&mut state);
        }
    }

    pub(crate) fn begin_anew(&self) {
        self.state.lock().read_all = false;
    }

    pub(crate) fn has_claims(&self) -> bool {
        let state = self.state.lock();
        state.claims > 0 || state.cold.iter().any(|cold| cold.entries > 0)
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        let state = self.state.lock();
        state
            .write_trouble
            .clone()
            .or_else(|| state.sync_trouble.clone())
            .or_else(|| state.read_trouble.clone())
    }

    pub(crate) fn fsync(&self) -> Fsync {
        self.state.lock().options.fsync
    }

    /// What came of syncing.
    pub(crate) fn synced(&self, error: Option<std::io::Error>) {
        let mut state = self.state.lock();
        if let (Some(error), None) = (&error, &state.sync_trouble) {
            tracing::error!(name = &*self.name, %error, "the buffer on disk cannot be synced");
        }
        state.sync_trouble = error.map(|error| format!("its buffer on disk cannot be synced: {error}"));
    }

    pub(crate) fn set_options(self: &Arc<Self>, options: DiskOptions) {
        let mut state = self.state.lock();
        state.options = options;
        self.low_bytes.store(options.memory_bytes / 2, Ordering::Relaxed);
        self.wake(&mut state);
    }

    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stopping = true;
        state.is_asleep = false;
        self.commit.notify_all();
        self.all_read.notify_all();
    }

    /// Wakes the thread if it sleeps: once per sleep, so that a busy one costs nobody a call, and once a batch, so that all of
    /// it is written in one go. What is large gains nothing by that, and where the disk is nearly full a smaller write may
    /// still have room.
    fn wake(self: &Arc<Self>, state: &mut State) {
        let was_asleep = std::mem::take(&mut state.is_asleep);
        if state.staged.len() > Self::LARGE {
            if was_asleep || std::mem::take(&mut state.is_woken_later) {
                self.commit.notify_one();
            }
        } else if was_asleep {
            state.is_woken_later = true;
            wake::later(Arc::clone(self).into());
        }
    }
}

impl std::task::Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.commit.notify_one();
    }
}

impl State {
    /// So many entries that are gone are written down at once. Fewer wait for company, since nobody waits for them: should
    /// the process end before that, they are sent again.
    pub(crate) const GONE_MANY: usize = 512;

    pub(crate) fn is_always_synced(&self) -> bool {
        !self.options.is_volatile && self.options.fsync == Fsync::Always
    }

    /// Whether there is something to write that is not to wait.
    pub(crate) fn is_urgent(&self) -> bool {
        !self.staged.is_empty() || self.gone.len() >= Self::GONE_MANY
    }

    /// Whether there is something to write.
    pub(crate) fn has_work(&self) -> bool {
        !self.staged.is_empty() || !self.gone.is_empty()
    }
}

impl Claim {
    /// The entries are not needed any more.
    pub(crate) fn forget(claims: impl IntoIterator<Item = Claim>) {
        // Entries of one action are in one log, or were in another for as long as its buffer is being changed.
        let claims: Vec<_> = claims.into_iter().collect();
        for run in claims.chunk_by(|one, next| Arc::ptr_eq(&one.shared, &next.shared)) {
            let shared = &run[0].shared;
            let mut state = shared.state.lock();
            state.claims -= run.len() as u64;
            // The first begins the time that they may wait for others.
            let is_first = state.gone.is_empty();
            state.gone.extend(run.iter().map(|claim| claim.id));
            if is_first || state.is_urgent() {
                shared.wake(&mut state);
            }
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Claim").field("log", &self.shared.name).field("id", &self.id).finish()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}
