//! Where the requests of an action wait, and how they move when that changes.

use std::sync::{Arc, Weak};

use crate::buffer::Buffer;
use crate::disk::{DiskLog, Lanes};
use crate::memory::MemoryBuffer;
use crate::queue::ActionQueue;

impl ActionQueue {
    /// Moves everything to a log, or to memory. What was on disk stays there until it is delivered, so that a crash on
    /// the way loses nothing. Blocks while the old log is read.
    pub fn move_to(self: &Arc<Self>, log: Option<Arc<DiskLog>>) {
        let old = std::mem::take(&mut *self.logs().lock());
        if let Some(old) = &old.current {
            old.read_all();
        }
        if let Some(log) = &log {
            self.count_lost(log);
            log.begin_anew();
            log.attach(Arc::downgrade(self) as Weak<dyn Lanes>);
        }
        self.set_unstored(false);
        self.replace_buffers(|number| match &log {
            Some(log) => log.lane(number),
            None => Box::new(MemoryBuffer::new()) as Box<dyn Buffer>,
        });
        let mut logs = self.logs().lock();
        for old in [old.current, old.former].into_iter().flatten() {
            let is_current = log.as_ref().is_some_and(|log| Arc::ptr_eq(log, &old));
            if old.is_volatile() {
                discard(&old);
            } else if !is_current {
                logs.former = Some(old);
            }
        }
        logs.current = log;
        drop(logs);
        self.tidy();
    }

    /// Lets go of the log that it has left, once nothing in it is needed any more.
    pub fn tidy(&self) {
        let former = self.logs().lock().former.take_if(|former| !former.has_claims());
        if let Some(former) = former {
            discard(&former);
        }
    }

    /// Why the queue is not as safe as it should be, in words.
    pub fn trouble(&self) -> Option<String> {
        let logs = self.logs().lock();
        logs.unstored.clone().or_else(|| logs.current.as_ref()?.trouble())
    }

    /// Whether it should be on disk and is not.
    pub fn is_unstored(&self) -> bool {
        self.logs().lock().unstored.is_some()
    }

    /// It should be on disk and cannot be, for this reason: from now on nothing is acknowledged before it is delivered.
    pub fn set_trouble(&self, reason: String) {
        self.logs().lock().unstored = Some(reason);
        self.set_unstored(true);
    }

    /// The log its lanes are in.
    pub fn log(&self) -> Option<Arc<DiskLog>> {
        self.logs().lock().current.clone()
    }

    /// The log that it has left and that still has entries of it.
    pub fn former_log(&self) -> Option<Arc<DiskLog>> {
        self.logs().lock().former.clone()
    }

    /// Whether what it holds is still there when the process has ended.
    pub fn is_durable(&self) -> bool {
        self.logs().lock().current.as_ref().is_some_and(|log| !log.is_volatile())
    }

    /// Writes everything to disk that belongs there and ends the threads that do so. For the end of the action or the
    /// process: what comes afterwards is not stored.
    pub fn close_logs(&self) {
        let logs = std::mem::take(&mut *self.logs().lock());
        for log in [logs.current, logs.former].into_iter().flatten() {
            if log.is_volatile() {
                discard(&log);
            } else {
                log.close();
            }
        }
    }

    /// Removes everything from the disk.
    pub fn discard_logs(&self) {
        let logs = std::mem::take(&mut *self.logs().lock());
        [logs.current, logs.former].iter().flatten().for_each(|log| discard(log));
    }
}

fn discard(log: &DiskLog) {
    if let Err(error) = log.discard() {
        tracing::error!(dir = %log.dir().display(), %error, "an emptied buffer could not be removed");
    }
}
