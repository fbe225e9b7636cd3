//! What outlives the process: persistent sessions and retained messages, in a log that one thread writes.
//!
//! Whoever changes such state says so with a [`Change`], which costs a push under a lock. The writer takes all that has
//! gathered meanwhile, writes it as one frame, and then settles the [`Part`]s that came along, on which acknowledgements
//! hang. It also applies every change to an [`Image`] of what the log holds; messages are shared with the queues in
//! memory, so the image costs its bookkeeping. From it the log is rewritten step by step once it has grown to a
//! multiple of what is still alive, and after a failure of the disk.
//!
//! A frame is whole or it is not there, so what was submitted together is found together. Reading the log again from
//! any of its files on gives the same state, since each thing that is alive stands in the newest part of it at least once.

mod codec;
mod frames;
mod image;
mod log;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use ::config::Fsync;
use event::Part;
use mqtt::PacketId;
use parking_lot::{Condvar, Mutex};

use crate::message::Delivery;
use crate::session::Session;
use crate::shared::SharedMessage;
use crate::subscriptions::Options;
use crate::will::Will;

pub(crate) use image::{Entry, Image, SessionImage};
use log::Log;
use writer::Writer;

/// Where and how persistent sessions and retained messages are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persistence {
    /// The folder of the log; made if it is not there.
    pub dir: PathBuf,
    /// When the operating system is told to put what was written onto the disk.
    pub fsync: Fsync,
    /// Bytes that queued messages of all persistent sessions may take together. Past it further ones are dropped, as at
    /// the bound of one session.
    pub bytes_max: usize,
}

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file of it cannot be read or written.
    #[error("cannot use `{}`: {cause}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file that another version has written.
    #[error(
        "`{}` has format {found}, and this version reads format {}: run the version that wrote it, or move the file away, \
         which forgets the sessions and retained messages in it",
        path.display(), frames::FORMAT
    )]
    Format {
        /// Which.
        path: PathBuf,
        /// The number that it says.
        found: u32,
    },
    /// A file that is no log of a broker.
    #[error("`{}` is not a log of this broker: move it out of the folder", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
}

impl StoreError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| StoreError::Io { path: path.to_owned(), cause }
    }
}

/// One step from one state of persistent sessions and retained messages to the next. Sessions go by number, since
/// several of one client id may follow each other. What concerns a session that is over, or an entry that is gone, is
/// without effect.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A connection has the session, which is new if its number is.
    Opened { session: u64, clientid: Arc<str>, expiry_secs: u32, will: Option<Arc<Will>> },
    /// It has none any more. `with_will` if the will is still to be published.
    Left { session: u64, at_ms: i64, expiry_secs: u32, with_will: bool },
    /// It is over, with everything in it.
    Ended { session: u64 },
    /// A subscription is there, or has other options now.
    Subscribed { session: u64, filter: Arc<str>, options: Options },
    /// A subscription is gone.
    Unsubscribed { session: u64, filter: Arc<str> },
    /// A delivery waits, under the number that it has.
    Queued { session: u64, delivery: Delivery },
    /// It is under way.
    Sent { session: u64, number: u64, packet_id: PacketId },
    /// It has arrived, and its packet id is not free yet.
    Released { session: u64, number: u64, packet_id: PacketId },
    /// Nothing more is to be done for it.
    Done { session: u64, number: u64 },
    /// A message of QoS 2 has come from the client. `is_settled` if the rules are done with it.
    Taken { session: u64, packet_id: PacketId, is_settled: bool },
    /// Its packet id is free again.
    Freed { session: u64, packet_id: PacketId },
    /// A message is retained, in the place of the one before.
    Retained(SharedMessage),
    /// Nothing is retained for this topic any more.
    Cleared(Arc<str>),
}

/// The log, as the broker holds it.
pub(crate) struct Store {
    shared: Arc<Shared>,
    bytes_max: usize,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the broker and the writer share.
struct Shared {
    /// A lock, since every connection adds to it: held for a push of what one packet changes.
    pending: Mutex<Pending>,
    /// Tells the writer that there is something to do.
    filled: Condvar,
    /// So much is pending that no more should be taken in.
    congested: AtomicBool,
    /// Bytes of the deliveries that are queued, as [`Message::bytes`](crate::message::Message::bytes) counts them.
    queued_bytes: AtomicU64,
    /// Bytes of the files.
    log_bytes: AtomicU64,
    /// The last write went well.
    healthy: AtomicBool,
    /// What tests set to see what a disk that fails leads to.
    #[cfg(test)]
    failing: AtomicBool,
}

impl std::task::Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.filled.notify_one();
    }
}

#[derive(Default)]
struct Pending {
    changes: Vec<Change>,
    parts: Vec<Part>,
    bytes: usize,
    /// Connections to wake when it is empty again.
    waiting: Vec<Arc<Session>>,
    /// Nothing is taken any more: the writer has ended, or is to.
    closed: bool,
}

/// Bytes of messages that may wait for the writer before those who add to them are asked to wait.
const PENDING_BYTES_MAX: usize = 32 << 20;

impl Store {
    /// Reads the log and starts to write it on a thread of its own. The image is what was found.
    pub(crate) fn open(persistence: &Persistence) -> Result<(Self, Image), StoreError> {
        let (log, image) = Log::open(&persistence.dir)?;
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            filled: Condvar::new(),
            congested: AtomicBool::new(false),
            queued_bytes: AtomicU64::new(image.queued_bytes()),
            log_bytes: AtomicU64::new(log.bytes()),
            healthy: AtomicBool::new(true),
            #[cfg(test)]
            failing: AtomicBool::new(false),
        });
        let writer = Writer::new(Arc::clone(&shared), log, image.clone(), persistence.fsync);
        let thread = std::thread::Builder::new().name("broker-store".to_owned());
        let writer = supervise::thread(thread, "the log of sessions and retained messages", || writer.run())
            .map_err(StoreError::io(&persistence.dir))?;
        let store = Self { shared, bytes_max: persistence.bytes_max, writer: Mutex::new(Some(writer)) };
        Ok((store, image))
    }

    /// Takes changes that belong together out of `changes`. `part` is settled when they are written, and abandoned if
    /// that cannot be any more. Does not wait.
    pub(crate) fn submit(&self, changes: &mut Vec<Change>, part: Option<Part>) {
        if changes.is_empty() {
            return part.into_iter().for_each(Part::settle);
        }
        let mut pending = self.shared.pending.lock();
        if pending.closed {
            changes.clear();
            drop(pending);
            return drop(part);
        }
        let was_empty = pending.changes.is_empty();
        pending.bytes += changes.iter().map(Change::bytes).sum::<usize>();
        pending.changes.append(changes);
        pending.parts.extend(part);
        if pending.bytes > PENDING_BYTES_MAX {
            self.shared.congested.store(true, Ordering::Relaxed);
        }
        drop(pending);
        if was_empty {
            // Later, since more may come of the same batch: what is written together costs little more than one.
            wake::later(Arc::clone(&self.shared).into());
        }
    }

    /// Takes one change that nobody waits for.
    pub(crate) fn note(&self, change: Change) {
        self.submit(&mut vec![change], None);
    }

    /// Whether so much waits for the writer that no more should be taken in. `session` is woken when that is over.
    pub(crate) fn is_congested(&self, session: &Arc<Session>) -> bool {
        if !self.shared.congested.load(Ordering::Relaxed) {
            return false;
        }
        let mut pending = self.shared.pending.lock();
        let is_congested = pending.bytes > PENDING_BYTES_MAX;
        if is_congested {
            pending.waiting.push(Arc::clone(session));
        }
        is_congested
    }

    /// Whether queued messages take as much as they may.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.queued_bytes.load(Ordering::Relaxed) >= self.bytes_max as u64
    }

    /// Bytes of the files.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.shared.log_bytes.load(Ordering::Relaxed)
    }

    /// Whether what is submitted reaches the disk.
    pub(crate) fn is_healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    fn fail_writes(&self, failing: bool) {
        self.shared.failing.store(failing, Ordering::SeqCst);
    }

    /// Writes what is left and takes nothing more. Blocks.
    pub(crate) fn close(&self) {
        self.shared.pending.lock().closed = true;
        self.shared.filled.notify_one();
        if let Some(writer) = self.writer.lock().take()
            && writer.join().is_err()
        {
            tracing::error!("the thread that writes sessions and retained messages has died");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl Change {
    /// What it keeps in memory until it is written, roughly (bytes).
    fn bytes(&self) -> usize {
        match self {
            Change::Queued { delivery, .. } => delivery.message.bytes(),
            Change::Retained(message) => message.bytes(),
            _ => size_of::<Change>(),
        }
    }
}

#[cfg(test)]
mod tests;
