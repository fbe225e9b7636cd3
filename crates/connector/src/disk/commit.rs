//! The thread of a log: writes what is staged, and reads ahead of the lanes.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use event::Part;
use journal::{Batch, Bitmap, Cursor, Found, Frames, Journal};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::disk::state::{Read, ReadAt, Shared, State};
use crate::disk::{Fsync, KeyOf};

/// How long after a failure the disk is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// How long what is gone may wait to be written down.
const GONE_WITHIN: Duration = Duration::from_millis(10);
/// Where so many waited for a write, there is more to come,
const CROWD: usize = 4;
/// at least if it comes as soon as this,
const CROWDED_WITHIN: Duration = Duration::from_millis(1);
/// and so the next write waits this long for company,
const GATHER_FOR: Duration = Duration::from_micros(300);
/// unless it has as much (bytes).
const GATHERED: usize = 64 << 10;
/// What is read in one go (bytes).
const READ_BYTES: usize = 256 << 10;

/// Owns the journal.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    journal: Journal,
    syncer: Arc<Syncer>,
    /// What was gone already when the log was opened.
    gone_before: Bitmap,
    key_of: KeyOf,
    /// The last entry that was read: what has no higher number is a copy.
    last_read: u64,
    /// When the last write ended that a crowd waited for.
    crowded_at: Option<Instant>,
    work: Work,
}

/// What is being written.
#[derive(Default)]
struct Work {
    batch: Batch,
    parts: Vec<Part>,
    gone: Vec<u64>,
    /// Where in the batch the first entry is that no lane has.
    read_from: Option<usize>,
}

impl Work {
    /// Takes what is staged, behind what could not be written before.
    fn take(&mut self, state: &mut State) {
        if let ReadAt::Staged(at) = state.read_at {
            self.read_from = Some(self.batch.len() + at);
            state.read_at = ReadAt::BeingWritten;
        }
        if self.batch.is_empty() {
            std::mem::swap(&mut self.batch, &mut state.staged);
        } else {
            self.batch.append(&mut state.staged);
        }
        self.parts.append(&mut state.parts);
    }

    /// Notes what is gone, behind the entries.
    fn note_gone(&mut self, mut gone: Vec<u64>) {
        self.batch.gone(&mut gone);
        self.gone.append(&mut gone);
    }
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        journal: Journal,
        gone_before: Bitmap,
        key_of: KeyOf,
        syncer: Arc<Syncer>,
    ) -> Self {
        Self {
            shared,
            journal,
            syncer,
            gone_before,
            key_of,
            last_read: 0,
            crowded_at: None,
            work: Work::default(),
        }
    }

    /// Works until it is stopped.
    pub(crate) fn run(mut self) {
        loop {
            let gone = {
                let mut state = self.shared.state.lock();
                self.sleep(&mut state);
                self.gather(&mut state);
                if state.is_stopping && !state.has_work() {
                    drop(state);
                    return self.finish();
                }
                self.work.take(&mut state);
                std::mem::take(&mut state.gone)
            };
            self.work.note_gone(gone);
            self.commit();
            self.read_on();
        }
    }

    /// Sleeps until there is something to do. What is gone may wait a moment for more to be written with it.
    fn sleep(&self, state: &mut MutexGuard<'_, State>) {
        while !state.is_urgent() && !self.shared.should_read(state) && !state.is_stopping {
            state.is_asleep = true;
            if state.gone.is_empty() {
                self.shared.commit.wait(state);
            } else if self.shared.commit.wait_for(state, GONE_WITHIN).timed_out() {
                break;
            }
        }
        (state.is_asleep, state.is_woken_later) = (false, false);
    }

    /// Waits for company where one write follows another: one write for all, and one wake for each who waits for it, cost a
    /// fraction of many. Who sends one message at a time waits for nobody, and what is synced takes its time anyway.
    fn gather(&self, state: &mut MutexGuard<'_, State>) {
        let is_crowded = self.crowded_at.is_some_and(|at| at.elapsed() < CROWDED_WITHIN);
        let is_enough = state.staged.is_empty() || state.staged.len() >= GATHERED;
        if is_crowded
            && !is_enough
            && !state.is_always_synced()
            && !state.is_stopping
            && !self.shared.should_read(state)
        {
            self.shared.commit.wait_for(state, GATHER_FOR);
        }
    }

    /// Writes until it succeeds. While it does not, nobody is told that anything is stored; what waits can be sent all
    /// the same.
    fn commit(&mut self) {
        if self.work.batch.is_empty() {
            return;
        }
        let mut is_first = true;
        loop {
            // Before it is written, since a full disk may have no room for it until a segment has gone.
            self.forget_gone(self.journal.next_id());
            if self.journal.segments() == 0 && self.work.batch.ids().is_none() {
                // Everything is gone, and so is everything that would say so.
                return self.committed(None, !is_first);
            }
            let error = match self.write() {
                Ok(place) => return self.committed(Some(place), !is_first),
                Err(error) => error,
            };
            if std::mem::take(&mut is_first) {
                tracing::error!(name = &*self.shared.name, %error, "the buffer on disk cannot be written");
            }
            self.read_on();
            self.feed();
            let gone = {
                let mut state = self.shared.state.lock();
                state.write_trouble = Some(format!("its buffer on disk cannot be written: {error}"));
                if !state.is_stopping {
                    self.shared.commit.wait_for(&mut state, RETRY_AFTER);
                }
                if state.is_stopping {
                    drop(state);
                    return self.give_up();
                }
                self.work.take(&mut state);
                std::mem::take(&mut state.gone)
            };
            self.work.note_gone(gone);
        }
    }

    fn write(&mut self) -> io::Result<Cursor> {
        let is_always_synced = {
            let state = self.shared.state.lock();
            self.journal.set_options(state.options.journal());
            state.is_always_synced()
        };
        let place = self.journal.write(&mut self.work.batch)?;
        if is_always_synced && let Err(error) = self.journal.sync() {
            self.journal.unwrite(&self.work.batch);
            return Err(error);
        }
        Ok(place)
    }

    fn committed(&mut self, place: Option<Cursor>, was_in_trouble: bool) {
        self.forget_gone(u64::MAX);
        let unsynced = self.journal.take_unsynced();
        let is_synced_later = {
            let mut state = self.shared.state.lock();
            state.unwritten_bytes = state.staged.len() as u64;
            state.write_trouble = None;
            if let (Some(from), Some(place)) = (self.work.read_from.take(), place)
                && state.read_at == ReadAt::BeingWritten
            {
                state.read_at = ReadAt::Written(Cursor { offset: place.offset + from as u64, ..place });
            }
            matches!(state.options.fsync, Fsync::Interval(_)) && !state.options.is_volatile
        };
        if is_synced_later {
            self.syncer.add(unsynced);
        }
        if was_in_trouble {
            tracing::info!(name = &*self.shared.name, "the buffer on disk is written again");
        }
        self.crowded_at = (self.work.parts.len() >= CROWD).then(Instant::now);
        self.work.batch.clear();
        wake::batched(|| self.work.parts.drain(..).for_each(Part::settle));
    }

    /// Lets the journal forget what is gone, as far as the ids are below `end`: those in the batch itself have to be
    /// written first.
    fn forget_gone(&mut self, end: u64) {
        if self.work.gone.is_empty() {
            return;
        }
        self.work.gone.sort_unstable();
        let known = self.work.gone.partition_point(|id| *id < end);
        for run in self.work.gone[..known].chunk_by(|one, next| one + 1 == *next) {
            self.journal.forget(run[0]..run[0] + run.len() as u64);
        }
        self.work.gone.drain(..known);
        self.journal.reclaim();
        if self.journal.is_sparse() {
            self.compact();
        }
    }

    /// One lane that is stuck must not keep on disk what all others have delivered.
    fn compact(&mut self) {
        let read_at = self.shared.state.lock().read_at;
        let before = match read_at {
            ReadAt::Written(cursor) => cursor.segment,
            ReadAt::Nowhere | ReadAt::Staged(_) | ReadAt::BeingWritten => u64::MAX,
        };
        if let Err(error) = self.journal.compact(before) {
            tracing::warn!(name = &*self.shared.name, %error, "the buffer on disk could not be made smaller");
        }
    }

    /// The end came while nothing could be written: what waits for it stays unacknowledged.
    fn give_up(&mut self) {
        let count = self.work.batch.ids().map_or(0, |ids| ids.end - ids.start);
        tracing::error!(
            name = &*self.shared.name,
            count,
            "messages could not be written to the buffer on disk before the end; whoever was to hear that they are \
             stored has not heard it"
        );
        self.work = Work::default();
    }

    /// Reads on while the lanes have room.
    fn read_on(&mut self) {
        let mut refilled = 0;
        loop {
            let cursor = {
                let state = self.shared.state.lock();
                match state.read_at {
                    ReadAt::Written(cursor) if self.shared.should_read(&state) => cursor,
                    ReadAt::Written(_) | ReadAt::Nowhere | ReadAt::Staged(_) | ReadAt::BeingWritten => break,
                }
            };
            match self.journal.read(cursor, READ_BYTES) {
                Ok(Some((bytes, next))) => {
                    let found = self.entries(&Bytes::from(bytes), Some(next));
                    self.shared.state.lock().read_trouble = None;
                    refilled |= self.refill(found, ReadAt::Written(next));
                }
                Ok(None) => {
                    self.reconcile();
                    break;
                }
                Err(error) => {
                    self.cannot_read(&error);
                    break;
                }
            }
        }
        self.tell(refilled);
    }

    fn cannot_read(&self, error: &io::Error) {
        let mut state = self.shared.state.lock();
        if state.read_trouble.is_none() {
            tracing::error!(name = &*self.shared.name, %error, "the buffer on disk cannot be read");
        }
        state.read_trouble = Some(format!("its buffer on disk cannot be read: {error}"));
        self.shared.all_read.notify_all();
        // Whoever stages something wakes the thread earlier.
        state.is_asleep = true;
        self.shared.commit.wait_for(&mut state, RETRY_AFTER);
        state.is_asleep = false;
    }

    /// Hands on what could not be written, from memory.
    fn feed(&mut self) {
        {
            let state = self.shared.state.lock();
            let at_end = matches!(state.read_at, ReadAt::Written(cursor) if self.journal.end().is_none_or(|end| cursor >= end));
            if at_end && self.work.read_from.is_none() {
                self.work.read_from = Some(0);
            } else if !at_end && state.read_at != ReadAt::BeingWritten {
                return;
            }
        }
        let Some(from) = self.work.read_from.take() else { return };
        let bytes = Bytes::copy_from_slice(&self.work.batch.bytes()[from..]);
        let found = self.entries(&bytes, None);
        let refilled = self.refill(found, ReadAt::Staged(0));
        self.tell(refilled);
    }

    /// The entries in `bytes` that nobody has seen yet. They were read from the segment of `at`, or are still to be written.
    fn entries(&mut self, bytes: &Bytes, at: Option<Cursor>) -> Vec<(u8, Read)> {
        let mut entries = Vec::new();
        for found in Frames::new(bytes, 0) {
            let Found::Entry(entry) = found else { continue };
            if entry.id > self.last_read {
                self.last_read = entry.id;
                if !self.gone_before.contains(entry.id) {
                    let lane =
                        at.map_or(entry.lane, |at| super::lane(&self.journal, at, &entry, self.key_of));
                    let read = Read { id: entry.id, at_ms: entry.at_ms, bytes: bytes.slice(entry.range) };
                    entries.push((lane, read));
                }
            }
        }
        entries
    }

    /// Puts entries into the inboxes of their lanes, and says which those are. Reading goes on at `next`.
    fn refill(&mut self, entries: Vec<(u8, Read)>, next: ReadAt) -> u64 {
        let mut lanes = 0;
        let is_volatile = !self.shared.is_durable();
        if let (true, Some((_, first)), Some((_, last))) = (is_volatile, entries.first(), entries.last()) {
            // In memory it is as safe as it has to be.
            self.journal.forget(first.id..last.id + 1);
        }
        let mut state = self.shared.state.lock();
        state.unread = state.unread.saturating_sub(entries.len() as u64);
        for (lane, read) in entries {
            let number = usize::from(lane) % state.inbox.len();
            lanes |= 1 << number;
            self.shared.took(read.bytes.len() as u64);
            state.inbox[number].push_back(read);
        }
        self.shared.inboxes.fetch_or(lanes, Ordering::AcqRel);
        state.read_at = if state.unread == 0 { ReadAt::Nowhere } else { next };
        self.note_unread(&state);
        drop(state);
        if is_volatile {
            self.journal.reclaim();
        }
        lanes
    }

    /// Everything was read. What is missing now was damaged after it had been written.
    fn reconcile(&self) {
        let mut state = self.shared.state.lock();
        if state.has_work() || !self.work.batch.is_empty() || state.unread == 0 {
            return;
        }
        let mut lost = 0;
        for lane in 0..state.cold.len() {
            let read = state.inbox[lane].len() as u64;
            let cold = &mut state.cold[lane];
            let missing = cold.entries.saturating_sub(read + cold.lost);
            cold.lost += missing;
            lost += missing;
        }
        (state.unread, state.read_at) = (0, ReadAt::Nowhere);
        self.note_unread(&state);
        drop(state);
        tracing::error!(
            name = &*self.shared.name,
            lost,
            "messages in the buffer on disk were damaged after they had been written"
        );
    }

    fn note_unread(&self, state: &State) {
        self.shared.has_unread.store(state.unread > 0, Ordering::Release);
        if state.unread == 0 {
            self.shared.all_read.notify_all();
        }
    }

    /// Tells the queue that lanes have something to send.
    fn tell(&self, lanes: u64) {
        if lanes != 0
            && let Some(queue) = self.shared.lanes.get().and_then(std::sync::Weak::upgrade)
        {
            queue.refilled(lanes);
        }
    }

    fn finish(&mut self) {
        let is_synced = {
            let state = self.shared.state.lock();
            !state.options.is_volatile && state.options.fsync != Fsync::Never
        };
        if is_synced && let Err(error) = self.journal.sync() {
            tracing::error!(name = &*self.shared.name, %error, "the buffer on disk could not be synced at the end");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // Also where it broke off: whoever closes the log waits for both.
        self.syncer.stop();
    }
}

/// Syncs files some time after they were written, so that whoever writes never waits for it.
pub(crate) struct Syncer {
    /// A lock of its own, under which no other is taken.
    files: Mutex<Unsynced>,
    added: Condvar,
}

#[derive(Default)]
struct Unsynced {
    files: Vec<Arc<File>>,
    is_stopping: bool,
}

impl Syncer {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { files: Mutex::default(), added: Condvar::new() })
    }

    fn add(&self, files: Vec<Arc<File>>) {
        let mut unsynced = self.files.lock();
        let is_first = unsynced.files.is_empty() && !files.is_empty();
        for file in files {
            if !unsynced.files.iter().any(|known| Arc::ptr_eq(known, &file)) {
                unsynced.files.push(file);
            }
        }
        if is_first {
            self.added.notify_one();
        }
    }

    fn stop(&self) {
        self.files.lock().is_stopping = true;
        self.added.notify_one();
    }

    /// Works until it is stopped, and syncs what there is then.
    pub(crate) fn run(&self, shared: &Shared) {
        loop {
            let interval = match shared.fsync() {
                Fsync::Interval(interval) => interval,
                Fsync::Always | Fsync::Never => Duration::ZERO,
            };
            let files = {
                let mut unsynced = self.files.lock();
                while unsynced.files.is_empty() && !unsynced.is_stopping {
                    self.added.wait(&mut unsynced);
                }
                if unsynced.files.is_empty() {
                    return;
                }
                if !unsynced.is_stopping {
                    self.added.wait_for(&mut unsynced, interval);
                }
                std::mem::take(&mut unsynced.files)
            };
            let result = files.iter().try_for_each(|file| file.sync_data());
            shared.synced(result.err());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DiskOptions;

    #[test]
    fn who_syncs_ends_with_who_writes_however_that_ends() {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let options = DiskOptions {
            fsync: Fsync::Always,
            segment_bytes: 1 << 20,
            memory_bytes: 1 << 20,
            is_volatile: false,
        };
        let (journal, recovered) = Journal::open(dir.path(), options.journal()).expect("an empty folder");
        let shared = Arc::new(Shared::new("a", options, &journal, &recovered));
        let syncer = Syncer::new();
        let committer =
            Committer::new(Arc::clone(&shared), journal, recovered.gone, |_| None, Arc::clone(&syncer));
        let syncing = std::thread::spawn(move || syncer.run(&shared));
        let writing = std::thread::spawn(move || {
            let _committer = committer;
            panic!("as bugs do");
        });
        assert!(writing.join().is_err());
        assert!(syncing.join().is_ok());
    }
}
