//! A journal against a model, with crashes at any byte, torn writes and flipped bits.
#![allow(clippy::unwrap_used)] // a test that finds nothing is to stop there

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use journal::{Batch, Found, Frames, Journal, OpenError, Options, Recovered};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

const OPTIONS: Options = Options { segment_bytes: 2000, sync_folder: false, lanes_version: 1 };

/// A body that says which entry it belongs to.
fn body(id: u64, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (id.wrapping_mul(31) as usize + at) as u8).collect()
}

/// Everything that is not gone, as a reader finds it.
fn live(journal: &Journal, recovered: &Recovered) -> BTreeMap<u64, Vec<u8>> {
    let (mut found, mut last) = (BTreeMap::new(), 0);
    let mut at = journal.start();
    while let Some(cursor) = at {
        let Some((bytes, next)) = journal.read(cursor, 300).unwrap() else { break };
        for frame in Frames::new(&bytes, 0) {
            if let Found::Entry(entry) = frame
                && entry.id > last
            {
                last = entry.id;
                if !recovered.gone.contains(entry.id) {
                    assert_eq!(entry.lane, entry.id as u8 % 64);
                    found.insert(entry.id, entry.body.to_vec());
                }
            }
        }
        at = Some(next);
    }
    found
}

#[derive(Debug, Clone)]
enum Step {
    Write {
        bodies: Vec<usize>,
        gone: Vec<usize>,
    },
    Reopen,
    Compact,
    /// The last write comes back from the disk's cache as a failure.
    Unwrite(usize),
    /// The machine dies while a write of this many bytes is under way, of which this share arrives.
    Tear {
        bodies: Vec<usize>,
        share: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let bodies = proptest::collection::vec(0usize..400, 0..8);
    let gone = proptest::collection::vec(any::<usize>(), 0..8);
    prop_oneof![
        6 => (bodies.clone(), gone).prop_map(|(bodies, gone)| Step::Write { bodies, gone }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Compact),
        1 => (0usize..400).prop_map(Step::Unwrite),
        2 => (bodies, any::<u8>()).prop_map(|(bodies, share)| Step::Tear { bodies, share }),
    ]
}

struct World {
    dir: tempfile::TempDir,
    journal: Journal,
    model: BTreeMap<u64, Vec<u8>>,
    next_id: u64,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (journal, recovered) = Journal::open(dir.path(), OPTIONS).unwrap();
        Self { dir, journal, model: BTreeMap::new(), next_id: recovered.next_id }
    }

    fn batch(&self, bodies: &[usize]) -> (Batch, BTreeMap<u64, Vec<u8>>) {
        let (mut batch, mut added) = (Batch::default(), BTreeMap::new());
        for (id, bytes) in (self.next_id..).zip(bodies) {
            let body = body(id, *bytes);
            let (one, two) = body.split_at(bytes / 3);
            batch.entry(id, id as u8 % 64, id as i64, [one, two, &[]]);
            added.insert(id, body);
        }
        (batch, added)
    }

    fn write(&mut self, bodies: &[usize], gone: &[usize]) {
        let (mut batch, added) = self.batch(bodies);
        let known: Vec<u64> = self.model.keys().copied().collect();
        let mut ids: Vec<u64> =
            gone.iter().filter_map(|pick| known.get(pick % known.len().max(1))).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        batch.gone(&mut ids);
        if batch.is_empty() {
            return;
        }
        self.journal.write(&mut batch).unwrap();
        self.next_id += added.len() as u64;
        self.model.extend(added);
        for id in ids {
            self.model.remove(&id);
            self.journal.forget(id..id + 1);
        }
        self.journal.reclaim();
    }

    fn reopen(&mut self) -> Recovered {
        let (journal, recovered) = Journal::open(self.dir.path(), OPTIONS).unwrap();
        self.journal = journal;
        assert_eq!(recovered.lost, 0);
        assert_eq!(live(&self.journal, &recovered), self.model);
        let bytes: usize = self.model.values().map(Vec::len).sum();
        assert_eq!(
            (recovered.total().entries, recovered.total().bytes),
            (self.model.len() as u64, bytes as u64)
        );
        assert!(self.model.is_empty() || recovered.next_id == self.next_id);
        self.next_id = recovered.next_id;
        recovered
    }
}

proptest! {
    #[test]
    fn keeps_what_was_written_and_forgets_what_is_gone(steps in proptest::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Write { bodies, gone } => world.write(&bodies, &gone),
                Step::Reopen => drop(world.reopen()),
                Step::Compact => world.journal.compact(u64::MAX).unwrap(),
                Step::Unwrite(bytes) => {
                    let (mut batch, added) = world.batch(&[bytes, 1]);
                    world.journal.write(&mut batch).unwrap();
                    world.journal.unwrite(&batch);
                    world.journal.write(&mut batch).unwrap();
                    world.next_id += added.len() as u64;
                    world.model.extend(added);
                }
                Step::Tear { bodies, share } => {
                    let (mut batch, added) = world.batch(&bodies);
                    if batch.is_empty() {
                        continue;
                    }
                    world.journal.write(&mut batch).unwrap();
                    let kept = batch.len() * usize::from(share) / 256;
                    let end = world.journal.end().unwrap();
                    let last = newest(world.dir.path());
                    let file = OpenOptions::new().write(true).open(last).unwrap();
                    file.set_len(end.offset - (batch.len() - kept) as u64).unwrap();
                    // Whole records that arrived are there; that is more than anybody was promised.
                    let mut whole = 0;
                    for found in Frames::new(&batch.bytes()[..kept], 0) {
                        whole += usize::from(matches!(found, Found::Entry(_)));
                    }
                    world.next_id += whole as u64;
                    world.model.extend(added.into_iter().take(whole));
                    world.reopen();
                }
            }
        }
        world.reopen();
        // What is all gone leaves at most one small file behind.
        let all: Vec<usize> = (0..world.model.len()).collect();
        world.write(&[], &all);
        assert!(world.journal.segments() <= 1, "{:?}", world.journal);
    }
}

proptest! {
    /// A compaction writes segments anew one after the other. Whichever of them a crash or a power cut leaves in which form, and
    /// however much of another lies beside it, nothing is lost, nothing comes back, and what is written next has its place.
    #[test]
    fn a_compaction_may_end_anywhere(
        writes in proptest::collection::vec((proptest::collection::vec(0usize..400, 0..8), proptest::collection::vec(any::<usize>(), 0..12)), 8..40),
        renamed in any::<u64>(),
        torn in any::<(usize, u8)>(),
        again in any::<bool>(),
    ) {
        let mut world = World::new();
        for (bodies, gone) in &writes {
            world.write(bodies, gone);
        }
        let before = contents(world.dir.path());
        world.journal.compact(u64::MAX).unwrap();
        let after = contents(world.dir.path());
        // What a compaction changes is what is in the files, never which files there are.
        assert!(before.keys().eq(after.keys()));
        for (place, (path, old)) in before.iter().enumerate() {
            fs::write(path, if renamed >> (place % 64) & 1 == 1 { &after[path] } else { old }).unwrap();
        }
        let mut unfinished = None;
        if let Some((path, new)) = after.iter().nth(torn.0 % after.len().max(1)) {
            let aside = path.with_extension("new");
            fs::write(&aside, &new[..new.len() * usize::from(torn.1) / 255]).unwrap();
            unfinished = Some(aside);
        }
        world.reopen();
        assert!(unfinished.is_none_or(|aside| !aside.exists()));
        if again {
            world.journal.compact(u64::MAX).unwrap();
            world.reopen();
        }
        world.write(&[10, 20], &[0, 1, 2]);
        world.reopen();
    }
}

/// Every file of a folder.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn newest(dir: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.pop().unwrap()
}

/// Three segments with twelve entries, of which two are gone.
fn sample() -> World {
    let mut world = World::new();
    for round in 0..4 {
        world.write(&[400, 300, 20], if round == 1 { &[1, 2] } else { &[] });
    }
    assert!(world.journal.segments() >= 2);
    world
}

/// Every bit of every file, one at a time: whatever is read is right, whatever is not is counted, and nothing else is
/// touched.
#[test]
fn a_flipped_bit_costs_one_record_and_is_counted() {
    let world = sample();
    let mut files: Vec<PathBuf> =
        fs::read_dir(world.dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for path in files {
        let before = fs::read(&path).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        // Within a body every byte is like every other: all bits of heads, and some of bodies.
        for at in (0..before.len()).filter(|at| *at < 64 || at % 7 == 0) {
            let bit = 1 << (at % 8);
            file.write_all_at(&[before[at] ^ bit], at as u64).unwrap();
            let (journal, recovered) = Journal::open_to_read(world.dir.path()).unwrap();
            let found = live(&journal, &recovered);
            for (id, body) in &found {
                // A damaged note that an entry is gone brings it back; that is a duplicate, and no harm.
                assert!(world.model.get(id).is_none_or(|expected| expected == body), "{path:?} {at}");
            }
            let missing = world.model.keys().filter(|id| !found.contains_key(id)).count();
            assert!(missing <= 1, "{path:?} {at}: {missing} entries are missing");
            assert!(
                missing as u64 <= recovered.lost + recovered.torn_bytes.min(1),
                "{path:?} {at}: nothing was counted"
            );
            file.write_all_at(&before[at..=at], at as u64).unwrap();
        }
    }
}

#[test]
fn one_entry_that_stays_does_not_keep_the_others_on_disk() {
    let mut world = World::new();
    world.write(&[10, 10], &[]);
    for _ in 0..500 {
        world.write(&[300], &[1]);
        if world.journal.is_sparse() {
            world.journal.compact(u64::MAX).unwrap();
        }
    }
    assert_eq!(world.model.len(), 2);
    assert!(world.journal.bytes() < 60_000, "{} bytes for two entries", world.journal.bytes());
    world.reopen();
}

#[test]
fn what_is_not_ours_is_refused_in_words() {
    let world = sample();
    let path = newest(world.dir.path());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [b"SQLite format 3\0".as_slice(), &[7; 100]].concat()).unwrap();
    let error = Journal::open(world.dir.path(), OPTIONS).unwrap_err();
    assert!(matches!(&error, OpenError::Foreign(found) if *found == path), "{error}");
    assert!(error.to_string().contains("is no segment of a buffer"));

    // The same head with a later version in it, and a checksum that is right.
    let mut later = whole.clone();
    later[8] = 2;
    let sum = crc32fast::hash(&later[8..28]);
    later[28..32].copy_from_slice(&sum.to_le_bytes());
    fs::write(&path, later).unwrap();
    let error = Journal::open(world.dir.path(), OPTIONS).unwrap_err();
    assert!(matches!(error, OpenError::Version { found: 2, .. }), "{error}");
    fs::write(&path, whole).unwrap();
    Journal::open(world.dir.path(), OPTIONS).unwrap();
}

#[test]
fn a_file_whose_head_never_arrived_is_no_obstacle() {
    let mut world = sample();
    let empty = world.dir.path().join("00000000000000ff.log");
    for bytes in [&[][..], &[0; 400][..], b"SLUICE"] {
        fs::write(&empty, bytes).unwrap();
        world.reopen();
        assert!(!empty.exists());
    }
}
