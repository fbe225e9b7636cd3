//! Buffers on disk: one log for the whole action, with its lanes as an index over it.
//!
//! ```text
//! push ─► lane, under its lock ─► State: staged bytes, and in memory what will be sent soon
//!                                   │ one thread for each log: all that is staged in one write
//!                                 Journal ─► the parts that waited for it settle
//! take ◄─ lane ◄─ inbox ◄───────── read in order, ahead of the far side, when memory has run low
//! ```
//!
//! A request that the far side is soon to have is kept in memory too, up to [`DiskOptions::memory_bytes`]; past it, new
//! ones are only on disk, and are read back in order once there is room. So memory does not depend on how much waits.
//! An entry on disk is forgotten when its [`Claim`] is.
//!
//! A *volatile* log is the disk half of a hybrid buffer: only what does not fit into memory is written, nothing is
//! noted as gone, and a segment goes when it has been read.

mod commit;
mod lane;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use journal::{Count, Cursor, Entry, Journal, OpenError, Options, Recovered};
use parking_lot::Mutex;

use crate::buffer::{Buffer, Content};
use crate::disk::commit::{Committer, Syncer};
use crate::disk::lane::DiskLane;
use crate::disk::state::Shared;
use crate::order::{LANES_VERSION, lane_of};

pub use crate::disk::state::Claim;
pub use config::Fsync;

/// How a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskOptions {
    /// See [`Fsync`]. A volatile log is never synced.
    pub fsync: Fsync,
    /// The size of one file (bytes).
    pub segment_bytes: u64,
    /// What may be kept in memory of that which waits (bytes).
    pub memory_bytes: u64,
    /// Whether it is only the overflow of memory, and empty after a restart.
    pub is_volatile: bool,
}

impl DiskOptions {
    /// What waits in memory in front of a durable log (bytes).
    pub const MEMORY_BYTES: u64 = 4 << 20;
    /// What waits in memory before a hybrid buffer writes anything (bytes).
    pub const HYBRID_MEMORY_BYTES: u64 = 16 << 20;

    /// The size of segments for an action that may keep so many bytes.
    pub fn segment_bytes_for(buffer_bytes_max: u64) -> u64 {
        (buffer_bytes_max / 16).clamp(1 << 20, 16 << 20)
    }

    fn journal(self) -> Options {
        let sync_folder = !self.is_volatile && self.fsync != Fsync::Never;
        Options { segment_bytes: self.segment_bytes, sync_folder, lanes_version: LANES_VERSION }
    }
}

/// Finds the key of an entry ([`crate::order_key`]) in its origin, which only whoever made it can read; `None` where it
/// cannot be read.
pub type KeyOf = fn(origin: &[u8]) -> Option<u64>;

/// An open log with its thread. Dropping it ends the thread, which writes first what it has.
#[derive(Debug)]
pub struct DiskLog {
    shared: Arc<Shared>,
    dir: PathBuf,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lost: AtomicU64,
}

/// Who is told that lanes have something to send again.
pub(crate) trait Lanes: Send + Sync {
    /// One bit for each lane. Called without a lock.
    fn refilled(&self, lanes: u64);
}

impl DiskLog {
    /// Opens the log in a folder, which is made if it is not there, and starts its thread. A volatile log is emptied.
    /// Nothing is handed out before the queue is there ([`crate::ActionQueue::on_disk`]). Entries whose lane was dealt out by
    /// another release, in another way, get a lane by `key_of`.
    pub fn open(name: &str, dir: &Path, options: DiskOptions, key_of: KeyOf) -> Result<Self, OpenError> {
        if options.is_volatile {
            remove(dir).map_err(|cause| OpenError::Io { path: dir.to_owned(), cause })?;
        }
        let (journal, mut recovered) = Journal::open(dir, options.journal())?;
        let lost = recovered.lost;
        if lost > 0 {
            tracing::error!(name, lost, "messages in the buffer on disk are damaged and cannot be sent");
        }
        if recovered.torn_bytes > 0 {
            tracing::info!(
                name,
                bytes = recovered.torn_bytes,
                "the end of the buffer was never written whole and is cut off; nobody was told that it was stored"
            );
        }
        if journal.has_other_lanes(LANES_VERSION) {
            tracing::info!(
                name,
                "the buffer on disk is of another release: its messages are dealt out to lanes anew"
            );
            recovered.lanes = lanes_anew(&journal, &recovered, key_of)
                .map_err(|cause| OpenError::Io { path: dir.to_owned(), cause })?;
        }
        let shared = Arc::new(Shared::new(name, options, &journal, &recovered));
        let failed = |cause| OpenError::Io { path: dir.to_owned(), cause };
        let syncer = Syncer::new();
        let committer =
            Committer::new(Arc::clone(&shared), journal, recovered.gone, key_of, Arc::clone(&syncer));
        let spawn = |suffix: &str, run: Box<dyn FnOnce() + Send>| {
            let what = format!("the {suffix} of the buffer of `{name}`");
            let name: String = format!("{suffix} {name}").chars().take(15).collect();
            supervise::thread(std::thread::Builder::new().name(name), what, run).map_err(failed)
        };
        let mut threads = vec![spawn("log", Box::new(move || committer.run()))?];
        if !options.is_volatile {
            let shared = Arc::clone(&shared);
            threads.push(spawn("sync", Box::new(move || syncer.run(&shared)))?);
        }
        Ok(Self { shared, dir: dir.to_owned(), threads: Mutex::new(threads), lost: AtomicU64::new(lost) })
    }

    /// The buffer of one lane. To be made once for each.
    pub(crate) fn lane(&self, number: u8) -> Box<dyn Buffer> {
        Box::new(DiskLane::new(Arc::clone(&self.shared), number))
    }

    /// Says whom to tell that lanes are to be looked at.
    pub(crate) fn attach(&self, lanes: std::sync::Weak<dyn Lanes>) {
        self.shared.attach(lanes);
    }

    /// Entries that were found damaged when it was opened; 0 from the second call on.
    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    /// What is wrong, in words; what was not stored was not acknowledged either.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Entries that no lane has in memory.
    pub fn unread(&self) -> u64 {
        self.shared.state.lock().unread
    }

    /// Reads everything into memory, for the lanes to be drained; what comes from now on is kept there too.
    pub(crate) fn read_all(&self) {
        self.shared.read_all();
    }

    /// Takes part again after it was left.
    pub(crate) fn begin_anew(&self) {
        self.shared.begin_anew();
    }

    /// Whether it is only the overflow of memory.
    pub fn is_volatile(&self) -> bool {
        !self.shared.is_durable()
    }

    /// Whether entries on disk still belong to somebody.
    pub(crate) fn has_claims(&self) -> bool {
        self.shared.has_claims()
    }

    /// Changes what can be changed while it runs.
    pub fn set_options(&self, options: DiskOptions) {
        self.shared.set_options(options);
    }

    /// Writes and syncs what there is and ends the threads. Blocks until that is done. What is taken or forgotten
    /// afterwards changes nothing on disk.
    pub fn close(&self) {
        self.shared.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!(name = &*self.shared.name, "the thread of a buffer ended in a panic");
            }
        }
    }

    /// Closes it and removes its folder.
    pub fn discard(&self) -> std::io::Result<()> {
        self.close();
        remove(&self.dir)
    }
}

impl Drop for DiskLog {
    fn drop(&mut self) {
        // Whoever must know that it is over calls `close`.
        self.shared.stop();
    }
}

/// The lane of an entry that was read at `at`.
pub(crate) fn lane(journal: &Journal, at: Cursor, entry: &Entry<'_>, key_of: KeyOf) -> u8 {
    if journal.lanes_version(at.segment) == Some(LANES_VERSION) {
        return entry.lane;
    }
    let key = Content::origin_of_stored(entry.body).and_then(key_of);
    key.map_or(entry.lane, |key| lane_of(key) as u8)
}

/// What is in each lane, as [`lane()`] deals it out. Reads everything.
fn lanes_anew(journal: &Journal, recovered: &Recovered, key_of: KeyOf) -> std::io::Result<Box<[Count; 256]>> {
    let (mut lanes, mut last_id) = (Box::new([Count::default(); 256]), 0);
    journal.for_each(|at, entry| {
        // What has no higher number is a copy.
        if entry.id > last_id && !recovered.gone.contains(entry.id) {
            let count = &mut lanes[usize::from(lane(journal, at, entry, key_of))];
            count.entries += 1;
            count.bytes += entry.body.len() as u64;
        }
        last_id = last_id.max(entry.id);
    })?;
    Ok(lanes)
}

/// Removes a folder and everything in it, if it is there.
fn remove(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
