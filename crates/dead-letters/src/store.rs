//! Where dead letters lie.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use journal::{Batch, Cursor, Found, Frames, Journal, Options};
use parking_lot::Mutex;

use crate::letter::Letter;

pub use journal::OpenError;

/// Letters on disk, and what of them is kept in memory: where each is, and what they are sorted by.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    sender: Mutex<Option<SyncSender<Incoming>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    /// Held while letters are written or read, never by whoever hands one in.
    shelves: Mutex<Shelves>,
    /// What waits for the disk (bytes).
    incoming_bytes: AtomicUsize,
    lost: AtomicU64,
}

#[derive(Debug)]
struct Shelves {
    journal: Journal,
    index: BTreeMap<u64, Entry>,
    next_id: u64,
    bytes: u64,
    bytes_max: u64,
    buried: u64,
    dropped: u64,
    trouble: Option<String>,
}

/// What is known of a letter without reading it.
#[derive(Debug)]
struct Entry {
    at: Cursor,
    bytes: u32,
    action: Arc<str>,
    rule: Arc<str>,
    stage: Arc<str>,
}

/// A letter on its way to the disk, and who is to hear that it is there.
struct Incoming {
    letter: Box<Letter>,
    /// What it takes in memory.
    bytes: usize,
    stored: Box<dyn FnOnce() + Send>,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Incoming").field("letter", &self.letter).finish_non_exhaustive()
    }
}

/// Which letters are meant. Empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those with these ids.
    pub ids: Option<Vec<u64>>,
    /// Those of this action.
    pub action: Option<String>,
    /// Those of this rule.
    pub rule: Option<String>,
    /// Those that ended there.
    pub stage: Option<String>,
}

/// How much there is, and was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Letters that are there.
    pub letters: u64,
    /// Their bytes on disk.
    pub bytes: u64,
    /// Letters that came since the start.
    pub buried: u64,
    /// Of all letters, those that had to give way to newer ones since the start.
    pub dropped: u64,
    /// Letters that could not be kept since the start: more came than the disk took.
    pub lost: u64,
    /// What is wrong with the disk.
    pub trouble: Option<String>,
}

/// Letters that may wait for the disk, and what they may be together (bytes), but for the last of them.
const INCOMING_MAX: usize = 4096;
const INCOMING_BYTES_MAX: usize = 32 << 20;
/// Letters that are written in one go.
const BATCH_MAX: usize = 256;

impl Store {
    /// Opens the store in a folder, which is made if it is not there, and starts its thread. It keeps `bytes_max` bytes
    /// of letters at most.
    pub fn open(dir: &Path, bytes_max: u64) -> Result<Self, OpenError> {
        let segment_bytes = (bytes_max / 8).clamp(64 << 10, 8 << 20);
        let (journal, found) =
            Journal::open(dir, Options { segment_bytes, sync_folder: true, lanes_version: 0 })?;
        let shelves = Shelves::read(journal, &found, bytes_max, dir)?;
        let lost = AtomicU64::new(found.lost);
        let shared =
            Arc::new(Shared { shelves: Mutex::new(shelves), incoming_bytes: AtomicUsize::new(0), lost });
        let (sender, incoming) = sync_channel(INCOMING_MAX);
        let keeper = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("dead-letters".into());
        let thread = supervise::thread(thread, "the store of dead letters", move || keep(&keeper, &incoming))
            .map_err(|cause| OpenError::Io { path: dir.to_owned(), cause })?;
        Ok(Self { shared, sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Reads the letters of a folder whose server does not run, newest first. Changes nothing there.
    pub fn read_folder(dir: &Path, filter: &Filter) -> Result<Vec<Letter>, OpenError> {
        let (journal, found) = Journal::open_to_read(dir)?;
        let shelves = Shelves::read(journal, &found, u64::MAX, dir)?;
        let ids: Vec<u64> = shelves.matching(filter).rev().collect();
        Ok(ids.into_iter().filter_map(|id| shelves.letter(id)).collect())
    }

    /// Hands in a letter. `stored` is called once it is on disk, on the thread of the store; at once where there is no
    /// room for it, which is counted. Never waits.
    pub fn bury(&self, letter: Letter, stored: impl FnOnce() + Send + 'static) {
        let bytes = letter.memory();
        let incoming = Incoming { letter: Box::new(letter), bytes, stored: Box::new(stored) };
        let has_room = self.shared.incoming_bytes.load(Ordering::Relaxed) < INCOMING_BYTES_MAX;
        let refused = match &*self.sender.lock() {
            Some(_) if !has_room => incoming,
            Some(sender) => {
                // Before it can be taken out.
                self.shared.incoming_bytes.fetch_add(bytes, Ordering::Relaxed);
                match sender.try_send(incoming) {
                    Ok(()) => return,
                    Err(TrySendError::Full(incoming) | TrySendError::Disconnected(incoming)) => {
                        self.shared.incoming_bytes.fetch_sub(bytes, Ordering::Relaxed);
                        incoming
                    }
                }
            }
            // The process ends. Nobody is told, so that whatever the letter came from is kept.
            None => return,
        };
        self.shared.lost.fetch_add(1, Ordering::Relaxed);
        (refused.stored)();
    }

    /// The letters that are meant, newest first, from the `skip`th on and `take` at most, each as `show` makes it, and how many
    /// there are in all. Reads from the disk, one after the other: not to be called where others wait.
    pub fn list<T>(
        &self,
        filter: &Filter,
        skip: usize,
        take: usize,
        show: impl Fn(Letter) -> T,
    ) -> (Vec<T>, usize) {
        let ids: Vec<u64> = self.shared.shelves.lock().matching(filter).rev().collect();
        let page = ids.iter().skip(skip).take(take);
        // Letters that are written meanwhile do not wait for all of it.
        (page.filter_map(|id| self.get(*id)).map(show).collect(), ids.len())
    }

    /// One letter. Reads from the disk.
    pub fn get(&self, id: u64) -> Option<Letter> {
        self.shared.shelves.lock().letter(id)
    }

    /// The ids of the letters that are meant, oldest first.
    pub fn ids(&self, filter: &Filter) -> Vec<u64> {
        self.shared.shelves.lock().matching(filter).collect()
    }

    /// Throws letters away. Returns how many there were of these.
    pub fn discard(&self, ids: &[u64]) -> std::io::Result<usize> {
        let mut shelves = self.shared.shelves.lock();
        let known: Vec<u64> = ids.iter().copied().filter(|id| shelves.index.contains_key(id)).collect();
        shelves.remove(&known, &mut Batch::default())?;
        Ok(known.len())
    }

    /// How much there is.
    pub fn summary(&self) -> Summary {
        let shelves = self.shared.shelves.lock();
        Summary {
            letters: shelves.index.len() as u64,
            bytes: shelves.bytes,
            buried: shelves.buried,
            dropped: shelves.dropped,
            lost: self.shared.lost.load(Ordering::Relaxed),
            trouble: shelves.trouble.clone(),
        }
    }

    /// Writes what was handed in and ends the thread. Blocks until that is done.
    pub fn close(&self) {
        drop(self.sender.lock().take());
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the dead letters ended in a panic");
        }
    }
}

/// The thread: writes what comes, as much at a time as there is.
fn keep(shared: &Shared, incoming: &Receiver<Incoming>) {
    let mut batch = Batch::default();
    while let Ok(first) = incoming.recv() {
        let mut letters = vec![first];
        letters.extend(incoming.try_iter().take(BATCH_MAX - 1));
        let unsynced = {
            let mut shelves = shared.shelves.lock();
            match shelves.add(letters.iter().map(|incoming| &*incoming.letter), &mut batch) {
                Ok(()) => shelves.trouble = None,
                Err(error) => {
                    // They are counted as lost and let go of: holding on to them would hold on to their senders.
                    tracing::error!(%error, count = letters.len(), "dead letters could not be written and are lost");
                    shared.lost.fetch_add(letters.len() as u64, Ordering::Relaxed);
                    shelves.trouble = Some(error.to_string());
                }
            }
            shelves.journal.take_unsynced()
        };
        if let Err(error) = unsynced.iter().try_for_each(|file| file.sync_data()) {
            tracing::error!(%error, "dead letters could not be synced");
        }
        let bytes = letters.iter().map(|incoming| incoming.bytes).sum();
        shared.incoming_bytes.fetch_sub(bytes, Ordering::Relaxed);
        letters.into_iter().for_each(|incoming| (incoming.stored)());
    }
}

impl Shelves {
    fn read(
        journal: Journal,
        found: &journal::Recovered,
        bytes_max: u64,
        dir: &Path,
    ) -> Result<Self, OpenError> {
        let mut shelves = Self {
            journal,
            index: BTreeMap::new(),
            next_id: found.next_id,
            bytes: 0,
            bytes_max,
            buried: 0,
            dropped: 0,
            trouble: None,
        };
        let mut index = BTreeMap::new();
        let read = shelves.journal.for_each(|at, entry| {
            if !found.gone.contains(entry.id)
                && let Some(letter) = Letter::from_bytes(entry.id, entry.body)
            {
                index.insert(entry.id, Entry::new(&letter, at, entry.body.len()));
            }
        });
        read.map_err(|cause| OpenError::Io { path: dir.to_owned(), cause })?;
        shelves.bytes = index.values().map(|entry| u64::from(entry.bytes)).sum();
        shelves.index = index;
        Ok(shelves)
    }

    fn add<'l>(
        &mut self,
        letters: impl Iterator<Item = &'l Letter>,
        batch: &mut Batch,
    ) -> std::io::Result<()> {
        batch.clear();
        let (mut added, mut next_id) = (Vec::new(), self.next_id);
        for letter in letters {
            let body = letter.to_bytes();
            added.push((next_id, batch.len() as u64, body.len(), letter));
            batch.entry(next_id, 0, letter.died_at_ms, [&body, &[], &[]]);
            next_id += 1;
        }
        let place = self.journal.write(batch)?;
        for (id, offset, bytes, letter) in added {
            let at = Cursor { offset: place.offset + offset, ..place };
            self.index.insert(id, Entry::new(letter, at, bytes));
            self.bytes += bytes as u64;
            self.buried += 1;
        }
        self.next_id = next_id;
        self.make_room(batch)
    }

    fn make_room(&mut self, batch: &mut Batch) -> std::io::Result<()> {
        let mut excess = self.bytes.saturating_sub(self.bytes_max);
        let mut oldest = Vec::new();
        for (id, entry) in &self.index {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(u64::from(entry.bytes));
            oldest.push(*id);
        }
        self.dropped += oldest.len() as u64;
        self.remove(&oldest, batch)
    }

    fn remove(&mut self, ids: &[u64], batch: &mut Batch) -> std::io::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        batch.clear();
        batch.gone(&mut ids.to_vec());
        self.journal.write(batch)?;
        for id in ids {
            if let Some(entry) = self.index.remove(id) {
                self.bytes -= u64::from(entry.bytes);
                self.journal.forget(*id..*id + 1);
            }
        }
        self.journal.reclaim();
        Ok(())
    }

    fn matching<'s>(&'s self, filter: &'s Filter) -> impl DoubleEndedIterator<Item = u64> + 's {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        self.index
            .iter()
            .filter(move |(id, entry)| {
                filter.ids.as_ref().is_none_or(|ids| ids.contains(id))
                    && is(&filter.action, &entry.action)
                    && is(&filter.rule, &entry.rule)
                    && is(&filter.stage, &entry.stage)
            })
            .map(|(id, _)| *id)
    }

    fn letter(&self, id: u64) -> Option<Letter> {
        let entry = self.index.get(&id)?;
        let (bytes, _) = self.journal.read(entry.at, entry.bytes as usize + 64).ok()??;
        match Frames::new(&bytes, 0).next()? {
            Found::Entry(entry) if entry.id == id => Letter::from_bytes(id, entry.body),
            _ => None,
        }
    }
}

impl Entry {
    fn new(letter: &Letter, at: Cursor, bytes: usize) -> Self {
        Self {
            at,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            action: letter.action.as_str().into(),
            rule: letter.rule.as_str().into(),
            stage: letter.stage.as_str().into(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that finds nothing is to stop there
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::letter::Message;

    fn letter(number: u64) -> Letter {
        Letter {
            died_at_ms: number as i64,
            action: format!("mqtt:{}", number % 2),
            stage: "send".into(),
            reason: "not authorized".into(),
            rule: "r".into(),
            message: Some(Message {
                topic: "t".into(),
                payload: vec![0xff, number as u8],
                ..Message::default()
            }),
            request: vec![1, 2, number as u8],
            ..Letter::default()
        }
    }

    fn bury(store: &Store, numbers: std::ops::Range<u64>) {
        let (told, hears) = channel();
        for number in numbers.clone() {
            let told = told.clone();
            store.bury(letter(number), move || told.send(()).unwrap());
        }
        numbers.for_each(|_| hears.recv().unwrap());
    }

    #[test]
    fn letters_are_found_again_and_can_be_thrown_away() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 1 << 20).unwrap();
        bury(&store, 0..10);
        let of_one = Filter { action: Some("mqtt:1".into()), ..Filter::default() };
        let (page, count) = store.list(&of_one, 1, 2, |letter| letter);
        assert_eq!((page.iter().map(|letter| letter.died_at_ms).collect::<Vec<_>>(), count), (vec![7, 5], 5));
        assert_eq!(store.discard(&[page[0].id, 999]).unwrap(), 1);
        assert!(store.get(page[0].id).is_none());
        store.close();
        let again = Store::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(again.summary().letters, 9);
        let found = again.get(page[1].id).unwrap();
        assert_eq!(Letter { id: 0, ..found }, letter(5));
        assert_eq!(Store::read_folder(dir.path(), &of_one).unwrap().len(), 4);
        again.close();
    }

    #[test]
    fn what_waits_for_a_slow_disk_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 1 << 30).unwrap();
        // As slow as can be: whoever reads holds it back.
        let reading = store.shared.shelves.lock();
        let (told, hears) = channel();
        for number in 0..100 {
            let (told, mut letter) = (told.clone(), letter(number));
            letter.request = vec![1; 1 << 20];
            store.bury(letter, move || told.send(()).unwrap());
        }
        // Those that were refused are let go of at once.
        let refused = hears.try_iter().count();
        assert!((60..=70).contains(&refused), "{refused} of 100 were refused");
        drop(reading);
        (refused..100).for_each(|_| hears.recv().unwrap());
        assert_eq!(store.summary().lost, refused as u64);
        assert_eq!(store.summary().letters, 100 - refused as u64);
        store.close();
    }

    #[test]
    fn the_oldest_give_way() {
        let dir = tempfile::tempdir().unwrap();
        let one = letter(0).to_bytes().len() as u64;
        let store = Store::open(dir.path(), 10 * one + 50).unwrap();
        bury(&store, 0..100);
        let summary = store.summary();
        assert_eq!((summary.letters, summary.buried), (10, 100));
        assert_eq!(summary.dropped, 90);
        assert_eq!(store.list(&Filter::default(), 9, 1, |letter| letter.died_at_ms).0[0], 90);
        store.close();
    }
}
