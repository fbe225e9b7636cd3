//! Where actions keep what waits: which queue each gets, and what is on disk that belongs to none.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connector::options::{BufferMode, buffer_mode, queue_options};
use connector::{ActionQueue, DiskLog, DiskOptions, Fsync, QueueOptions};

use crate::origin;
use crate::unit::ResourceItem;
use crate::view::{OrphanView, ResourceId};

/// The folders of all buffers.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// What lasts.
    lasting: PathBuf,
    /// What is wiped at the start.
    volatile: PathBuf,
}

impl Buffers {
    /// For this data folder, which nobody else uses.
    pub(crate) fn new(data_dir: &Path) -> Self {
        let buffers = Self { lasting: data_dir.join("buffers"), volatile: data_dir.join("overflow") };
        if let Err(error) = std::fs::remove_dir_all(&buffers.volatile)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %buffers.volatile.display(), %error, "what is left of the last run cannot be removed");
        }
        buffers
    }

    /// Gives an action the queue that it is declared to have: a new one, or the one it has with other bounds.
    pub(crate) fn keep(&self, item: &ResourceItem, queue: Option<&Arc<ActionQueue>>) -> Arc<ActionQueue> {
        let resource_opts = item.settings.table("resource_opts");
        let (options, mode) = (queue_options(resource_opts), buffer_mode(resource_opts));
        let Some(queue) = queue else {
            let queue = self.queue(&item.id, options, mode);
            if !queue.is_unstored() {
                self.set_mode(&item.id, &queue, mode);
            }
            return queue;
        };
        queue.set_options(options);
        self.set_mode(&item.id, queue, mode);
        queue.tidy();
        Arc::clone(queue)
    }

    /// A new queue, with what an earlier run has left on disk, whatever the mode was then.
    fn queue(&self, id: &ResourceId, options: QueueOptions, mode: BufferMode) -> Arc<ActionQueue> {
        let name = id.to_string();
        let disk = match mode {
            BufferMode::Disk(disk) => disk,
            BufferMode::Memory | BufferMode::Hybrid(_) if has_files(&self.lasting_dir(id)) => LEFT_BEHIND,
            BufferMode::Memory | BufferMode::Hybrid(_) => return ActionQueue::in_memory(&name, options),
        };
        match self.open(id, disk) {
            Ok(log) => ActionQueue::on_disk(&name, options, log),
            Err(reason) => {
                tracing::error!(action = name, "{reason}");
                ActionQueue::unstored(&name, options, reason)
            }
        }
    }

    /// Moves what a queue holds to where it is declared to be, if it is elsewhere.
    fn set_mode(&self, id: &ResourceId, queue: &Arc<ActionQueue>, mode: BufferMode) {
        if queue.is_unstored() && !matches!(mode, BufferMode::Disk(_)) {
            // What an earlier run has left on disk could not be read; until it is, it is in nobody's way.
            match self.open(id, LEFT_BEHIND) {
                Ok(log) => queue.move_to(Some(log)),
                Err(_) => return,
            }
        }
        let current = queue.log();
        match (mode, &current) {
            (BufferMode::Memory, None) => {}
            (BufferMode::Memory, Some(_)) => queue.move_to(None),
            (BufferMode::Disk(options), Some(log)) if !log.is_volatile() => log.set_options(options),
            (BufferMode::Hybrid(options), Some(log)) if log.is_volatile() => log.set_options(options),
            (BufferMode::Disk(options), _) => {
                // The log that it has left may still be open.
                let former = queue.former_log();
                let opened = former.map_or_else(
                    || self.open(id, options),
                    |log| {
                        log.set_options(options);
                        Ok(log)
                    },
                );
                match opened {
                    Ok(log) => {
                        if queue.is_unstored() {
                            tracing::info!(action = %id, "its buffer on disk can be used again");
                        }
                        queue.move_to(Some(log));
                    }
                    // It is tried again and again, and told once.
                    Err(reason) if queue.trouble().as_ref() == Some(&reason) => {}
                    Err(reason) => {
                        tracing::error!(action = %id, "{reason}");
                        queue.set_trouble(reason);
                    }
                }
            }
            (BufferMode::Hybrid(options), _) => {
                match DiskLog::open(&id.to_string(), &place(&self.volatile, id), options, origin::key) {
                    Ok(log) => queue.move_to(Some(Arc::new(log))),
                    Err(error) => tracing::error!(action = %id, "its buffer stays in memory: {error}"),
                }
            }
        }
    }

    fn open(&self, id: &ResourceId, options: DiskOptions) -> Result<Arc<DiskLog>, String> {
        let opened = DiskLog::open(&id.to_string(), &self.lasting_dir(id), options, origin::key);
        opened.map(Arc::new).map_err(|error| format!("its buffer on disk cannot be used: {error}"))
    }

    fn lasting_dir(&self, id: &ResourceId) -> PathBuf {
        place(&self.lasting, id)
    }

    /// The logs that belong to no action that lives. Reads them as a whole.
    pub(crate) fn orphans(&self, living: &HashMap<ResourceId, Arc<ActionQueue>>) -> Vec<OrphanView> {
        self.orphan_ids(living).into_iter().map(|id| self.orphan(id)).collect()
    }

    fn orphan_ids(&self, living: &HashMap<ResourceId, Arc<ActionQueue>>) -> Vec<ResourceId> {
        let mut ids: Vec<ResourceId> = folders(&self.lasting)
            .flat_map(|kind| {
                let names = folders(&self.lasting.join(&kind)).collect::<Vec<_>>();
                names.into_iter().map(move |name| ResourceId::new(&kind, &name))
            })
            .filter(|id| !living.contains_key(id) && has_files(&self.lasting_dir(id)))
            .collect();
        ids.sort();
        ids
    }

    fn orphan(&self, id: ResourceId) -> OrphanView {
        match journal::Journal::open_to_read(&self.lasting_dir(&id)) {
            Ok((journal, found)) => {
                OrphanView { id, messages: Some(found.total().entries), bytes: journal.bytes(), error: None }
            }
            Err(error) => OrphanView { id, messages: None, bytes: 0, error: Some(error.to_string()) },
        }
    }

    /// Tells of every log that belongs to no action; once for each, since a reload may come often.
    pub(crate) fn tell_of_orphans(
        &self,
        living: &HashMap<ResourceId, Arc<ActionQueue>>,
        told: &mut HashSet<ResourceId>,
    ) {
        told.retain(|id| !living.contains_key(id));
        for id in self.orphan_ids(living) {
            if told.insert(id.clone()) {
                let orphan = self.orphan(id);
                tracing::warn!(
                    action = %orphan.id,
                    messages = orphan.messages,
                    "messages of an action that is declared nowhere wait on disk: they are sent when it is declared again, \
                     and `DELETE /api/v5/buffers/{}` discards them",
                    orphan.id
                );
            }
        }
    }

    /// Removes the log of an action that does not live. Whether there was one.
    pub(crate) fn discard_orphan(&self, id: &ResourceId) -> std::io::Result<bool> {
        let dir = self.lasting_dir(id);
        if !has_files(&dir) {
            return Ok(false);
        }
        std::fs::remove_dir_all(dir).map(|()| true)
    }
}

/// How a log is opened only to be emptied into memory.
const LEFT_BEHIND: DiskOptions = DiskOptions {
    fsync: Fsync::Never,
    segment_bytes: 1 << 20,
    memory_bytes: DiskOptions::MEMORY_BYTES,
    is_volatile: false,
};

fn place(dir: &Path, id: &ResourceId) -> PathBuf {
    dir.join(&*id.kind).join(&*id.name)
}

fn has_files(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some())
}

fn folders(dir: &Path) -> impl Iterator<Item = String> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter(|file| file.path().is_dir()).filter_map(|file| file.file_name().into_string().ok())
}
