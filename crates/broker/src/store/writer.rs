//! The thread that writes the log, and the one that has it put onto the disk.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::Part;
use parking_lot::Mutex;

use super::codec::Encoder;
use super::frames::FRAME;
use super::image::Walk;
use super::log::Log;
use super::{Change, Fsync, Image, Pending, Shared};
use crate::message::Message;

/// A file that is larger than this is followed by another, so that reading them again takes little memory.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The log is rewritten when it is larger than this and twice as large as after the last time.
const REWRITE_BYTES_MIN: u64 = 16 << 20;
/// A small log in more files than this is rewritten at the start.
const FILES_MAX: usize = 8;
/// How long after a failure the disk is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a failure that lasts is told.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Bytes of a frame's buffer that are kept for the next.
const BUFFER_KEPT: usize = 1 << 20;

pub(super) struct Writer {
    shared: Arc<Shared>,
    log: Log,
    image: Image,
    syncer: Option<Syncer>,
    fsync: Fsync,
    buffer: Vec<u8>,
    /// Which rewriting of the log this is: messages that were written in an earlier one must be written again.
    epoch: u32,
    rewriting: Option<Rewriting>,
    /// Bytes of the log when it was last rewritten.
    bytes_then: u64,
    /// Bytes of the log after the last frame and the piece that followed it.
    bytes_before: u64,
    trouble: Option<Trouble>,
    /// What waits until the disk can be written again.
    unsettled: Vec<Part>,
}

/// The log being rewritten: when the walk is over, the files before this one go.
struct Rewriting {
    first_file: u64,
    walk: Walk,
}

/// The disk cannot be written.
struct Trouble {
    since: Instant,
    told: Instant,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, log: Log, image: Image, fsync: Fsync) -> Self {
        let syncer = match fsync {
            Fsync::Interval(interval) => Some(Syncer::start(interval)),
            Fsync::Always | Fsync::Never => None,
        };
        let (bytes_then, bytes_before) = (image.queued_bytes(), log.bytes());
        Self {
            shared,
            log,
            image,
            syncer,
            fsync,
            buffer: vec![0; FRAME],
            epoch: 1,
            rewriting: None,
            bytes_then,
            bytes_before,
            trouble: None,
            unsettled: Vec::new(),
        }
    }

    /// Writes until the store is closed, and what is left then.
    pub(super) fn run(mut self) {
        // Also at a panic: nothing may be queued for a writer that is not there.
        let _closing = Closing(Arc::clone(&self.shared));
        if self.log.files() > FILES_MAX && self.log.bytes() < REWRITE_BYTES_MIN {
            // Each start begins a file: many starts have left many small ones.
            self.begin_rewriting();
        }
        loop {
            let (batch, closed) = self.next_batch();
            if self.trouble.is_some() {
                self.apply(batch);
                self.try_again();
            } else {
                self.write(batch);
                self.go_on_rewriting();
            }
            self.account();
            if closed {
                break;
            }
        }
        while self.rewriting.is_some() && self.log.bytes() < REWRITE_BYTES_MIN {
            self.go_on_rewriting();
        }
        if let Fsync::Always | Fsync::Interval(_) = self.fsync
            && let Err(error) = self.log.file().sync_data()
        {
            tracing::error!(%error, "sessions and retained messages may not be on the disk");
        }
        let lost = self.unsettled.len();
        if lost > 0 {
            tracing::error!(
                messages = lost,
                "stopped with messages that were neither written nor acknowledged"
            );
        }
    }

    /// Waits for something to do. Also returns whether it is the last.
    fn next_batch(&mut self) -> (Pending, bool) {
        let mut pending = self.shared.pending.lock();
        let idle = |pending: &Pending| pending.changes.is_empty() && !pending.closed;
        if idle(&pending) && self.rewriting.is_none() {
            match self.trouble {
                Some(_) => {
                    self.shared.filled.wait_for(&mut pending, RETRY);
                }
                None => self.shared.filled.wait_while(&mut pending, |pending| idle(pending)),
            }
        }
        let closed = pending.closed;
        let batch = std::mem::take(&mut *pending);
        pending.closed = closed;
        self.shared.congested.store(false, Ordering::Relaxed);
        drop(pending);
        for session in &batch.waiting {
            session.notify();
        }
        (batch, closed)
    }

    fn write(&mut self, batch: Pending) {
        if batch.changes.is_empty() {
            return;
        }
        for change in batch.changes {
            self.encode(&change);
            self.image.apply(change);
        }
        match self.flush() {
            Ok(()) => wake::batched(|| batch.parts.into_iter().for_each(Part::settle)),
            Err(error) => {
                self.unsettled.extend(batch.parts);
                self.fail(&error);
            }
        }
    }

    /// Changes that cannot be written at the moment: when the disk is back, the whole state is written.
    fn apply(&mut self, batch: Pending) {
        batch.changes.into_iter().for_each(|change| self.image.apply(change));
        self.unsettled.extend(batch.parts);
    }

    fn encode(&mut self, change: &Change) {
        let message: Option<&Message> = match change {
            Change::Queued { delivery, .. } => Some(&delivery.message),
            Change::Retained(message) => Some(message),
            _ => None,
        };
        let mut encoder = Encoder(&mut self.buffer);
        // Only this thread writes the mark.
        if let Some(message) = message.filter(|message| message.written.load(Ordering::Relaxed) != self.epoch)
        {
            encoder.message(message);
            message.written.store(self.epoch, Ordering::Relaxed);
        }
        encoder.change(change);
    }

    /// Writes the frame in the buffer.
    fn flush(&mut self) -> io::Result<()> {
        let written = self.append();
        self.buffer.truncate(FRAME);
        self.buffer.shrink_to(BUFFER_KEPT);
        written
    }

    fn append(&mut self) -> io::Result<()> {
        if self.buffer.len() == FRAME {
            return Ok(());
        }
        #[cfg(test)]
        if self.shared.failing.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.syncer.as_ref().is_some_and(Syncer::has_failed) {
            return Err(io::Error::other("what was written could not be put onto the disk"));
        }
        if self.log.file_bytes() > FILE_BYTES_MAX {
            self.sync()?;
            self.log.rotate()?;
        }
        self.log.append(&mut self.buffer)?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        match (&self.fsync, &self.syncer) {
            (Fsync::Always, _) => self.log.file().sync_data()?,
            (_, Some(syncer)) => syncer.written(self.log.file()),
            (Fsync::Interval(_) | Fsync::Never, None) => {}
        }
        Ok(())
    }

    /// Begins to write everything that is alive anew, if the log has grown enough, and writes the next piece of it: as much
    /// as has come since the last, or a log under load would grow faster than it is rewritten.
    fn go_on_rewriting(&mut self) {
        let bytes = self.log.bytes();
        if self.rewriting.is_none() && bytes > REWRITE_BYTES_MIN.max(2 * self.bytes_then) {
            match self.log.rotate() {
                Ok(()) => self.begin_rewriting(),
                Err(error) => return self.fail(&error),
            }
        }
        let come = bytes.saturating_sub(self.bytes_before);
        let mut rewritten = 0;
        while self.rewriting.is_some() && rewritten <= come {
            let before = self.log.bytes();
            if let Err(error) = self.rewrite_step() {
                return self.fail(&error);
            }
            rewritten += self.log.bytes().saturating_sub(before).max(1);
        }
        self.bytes_before = self.log.bytes();
    }

    fn begin_rewriting(&mut self) {
        self.epoch = self.epoch.wrapping_add(1).max(1);
        self.rewriting = Some(Rewriting { first_file: self.log.number(), walk: Walk::Session(None) });
    }

    fn rewrite_step(&mut self) -> io::Result<()> {
        let Some(Rewriting { first_file, mut walk }) = self.rewriting.take() else { return Ok(()) };
        let image = std::mem::take(&mut self.image);
        walk.step(&image, &mut |change| self.encode(&change));
        self.image = image;
        self.flush()?;
        if let Walk::Over = walk {
            // Nothing may be gone before what stands for it is on the disk.
            if !matches!(self.fsync, Fsync::Never) {
                self.log.file().sync_data()?;
            }
            self.log.forget_before(first_file)?;
            self.bytes_then = self.log.bytes();
        } else {
            self.rewriting = Some(Rewriting { first_file, walk });
        }
        Ok(())
    }

    fn fail(&mut self, error: &io::Error) {
        let now = Instant::now();
        let (since, told) =
            self.trouble.as_ref().map_or((now, None), |before| (before.since, Some(before.told)));
        let tell = told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY);
        if tell {
            tracing::error!(
                dir = %self.log.dir().display(), %error, waiting = self.unsettled.len(),
                "sessions and retained messages cannot be written: messages for sessions that are kept are not \
                 acknowledged until this is mended; free space on the disk, or make it writable"
            );
        }
        self.trouble = Some(Trouble { since, told: told.filter(|_| !tell).unwrap_or(now) });
        self.rewriting = None;
        self.shared.healthy.store(false, Ordering::Relaxed);
    }

    /// Writes the whole state into a new file, and then all is well again.
    fn try_again(&mut self) {
        if let Err(error) = self.write_all() {
            return self.fail(&error);
        }
        let parts = std::mem::take(&mut self.unsettled);
        if let Some(trouble) = self.trouble.take() {
            tracing::info!(
                after = ?trouble.since.elapsed(), messages = parts.len(),
                "sessions and retained messages are written again"
            );
        }
        self.shared.healthy.store(true, Ordering::Relaxed);
        parts.into_iter().for_each(Part::settle);
    }

    fn write_all(&mut self) -> io::Result<()> {
        self.log.rotate()?;
        if let Some(syncer) = &self.syncer {
            syncer.forgive();
        }
        self.begin_rewriting();
        while self.rewriting.is_some() {
            if let Err(error) = self.rewrite_step() {
                // Or a disk that stays full would fill with beginnings.
                self.log.discard();
                return Err(error);
            }
        }
        Ok(())
    }

    fn account(&self) {
        self.shared.queued_bytes.store(self.image.queued_bytes(), Ordering::Relaxed);
        self.shared.log_bytes.store(self.log.bytes(), Ordering::Relaxed);
    }
}

/// Writes a log anew, as it would be when it had grown.
#[cfg(test)]
pub(super) fn rewrite_for_test(log: Log, image: Image) {
    writer_for_test(log, image).write_all().unwrap();
}

#[cfg(test)]
fn writer_for_test(log: Log, image: Image) -> Writer {
    let shared = Arc::new(Shared {
        pending: Mutex::default(),
        filled: Default::default(),
        congested: Default::default(),
        queued_bytes: Default::default(),
        log_bytes: Default::default(),
        healthy: AtomicBool::new(true),
        failing: AtomicBool::new(false),
    });
    Writer::new(shared, log, image, Fsync::Never)
}

/// Writes a log anew as under load: between any two steps one of `changes` comes. `look` sees the image before and after
/// each step.
#[cfg(test)]
pub(super) fn rewrite_under_load_for_test(
    log: Log,
    image: Image,
    changes: Vec<Change>,
    mut look: impl FnMut(&Image),
) {
    let mut writer = writer_for_test(log, image);
    writer.log.rotate().unwrap();
    writer.begin_rewriting();
    let mut changes = changes.into_iter();
    while writer.rewriting.is_some() {
        writer.write(Pending { changes: changes.next().into_iter().collect(), ..Pending::default() });
        look(&writer.image);
        writer.rewrite_step().unwrap();
        look(&writer.image);
    }
}

/// Closes what nobody writes any more.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        let left = {
            let mut pending = self.0.pending.lock();
            pending.closed = true;
            let left = std::mem::take(&mut *pending);
            pending.closed = true;
            left
        };
        // Outside of the lock, since what is abandoned here tells connections.
        drop(left);
    }
}

/// Has files put onto the disk, a while after they were first written, so that no acknowledgement waits for it.
struct Syncer {
    state: Arc<Syncing>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Syncing {
    /// What was written last. A lock, since files change; held to put or take it.
    file: Mutex<Option<Arc<File>>>,
    failed: AtomicBool,
    stop: AtomicBool,
}

impl Syncer {
    fn start(interval: Duration) -> Self {
        let state = Arc::new(Syncing::default());
        let thread = std::thread::Builder::new().name("broker-fsync".to_owned());
        let thread = supervise::thread(thread, "the sync of sessions and retained messages", {
            let state = Arc::clone(&state);
            move || state.work(interval)
        });
        if let Err(error) = &thread {
            // Without its thread it is as if `fsync` were `never`, but for what is said here.
            tracing::error!(%error, "no thread to put sessions onto the disk: the system does it when it wants");
        }
        Self { state, thread: thread.ok() }
    }

    fn written(&self, file: &Arc<File>) {
        let mut waiting = self.state.file.lock();
        if waiting.is_none()
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        *waiting = Some(Arc::clone(file));
    }

    /// Since the last [`Syncer::forgive`].
    fn has_failed(&self) -> bool {
        self.state.failed.load(Ordering::Relaxed)
    }

    fn forgive(&self) {
        self.state.failed.store(false, Ordering::Relaxed);
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say but what it has logged.
            let _ = thread.join();
        }
    }
}

impl Syncing {
    fn work(&self, interval: Duration) {
        while !self.stop.load(Ordering::Relaxed) {
            if self.file.lock().is_none() {
                std::thread::park();
                continue;
            }
            std::thread::sleep(interval);
            let Some(file) = self.file.lock().take() else { continue };
            if let Err(error) = file.sync_data() {
                tracing::error!(%error, "sessions and retained messages could not be put onto the disk");
                self.failed.store(true, Ordering::Relaxed);
            }
        }
    }
}
