//! Queues on disk: what survives what.
#![allow(clippy::unwrap_used)] // a test that finds nothing is to stop there

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connector::{ActionQueue, DiskLog, DiskOptions, Fsync, Item, QueueOptions, Reader, Taken, Verdict, Wake};
use event::{AckLevel, Acker, Completion, Outcome};

const ROOMY: QueueOptions = QueueOptions::bounded(1 << 30);
/// Little memory, so that most of it must come back from the disk.
const DISK: DiskOptions = DiskOptions {
    fsync: Fsync::Interval(Duration::from_millis(1)),
    segment_bytes: 20_000,
    memory_bytes: 2_000,
    is_volatile: false,
};

fn open(dir: &Path, disk: DiskOptions) -> Arc<ActionQueue> {
    let log = DiskLog::open("mqtt:a", dir, disk, key_of).unwrap();
    ActionQueue::on_disk("mqtt:a", ROOMY, Arc::new(log))
}

/// The origin of these requests is their key, where they have one.
fn key_of(origin: &[u8]) -> Option<u64> {
    std::str::from_utf8(origin).ok()?.parse().ok()
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn reader(queue: &Arc<ActionQueue>) -> Reader {
    queue.reader(0, 1, &Arc::new(Wake::default()))
}

/// Takes exactly so many.
fn take(reader: &mut Reader, count: usize) -> Vec<Taken> {
    let mut out = Vec::new();
    wait(&format!("{count} requests are there: {:?}", reader.queue().reading(Instant::now())), || {
        reader.take(count - out.len(), Instant::now(), &mut out);
        out.len() == count
    });
    out
}

fn succeed(reader: &Reader, taken: &[Taken]) {
    taken.iter().for_each(|taken| reader.settle(taken.lane, taken.seq, Verdict::Success));
}

fn push(queue: &ActionQueue, key: u64, number: u64) {
    let request = format!("{key} {number} {}", "x".repeat(number as usize % 50));
    queue.push(key, &request, None, Instant::now());
}

/// Key and number of a request.
fn read(taken: &Taken) -> (u64, u64) {
    let text = std::str::from_utf8(&taken.request).unwrap();
    let mut words = text.split(' ').map(|word| word.parse().unwrap_or_default());
    (words.next().unwrap(), words.next().unwrap())
}

/// The numbers of each key rise by one, from `first` on.
fn assert_in_order(taken: &[Taken], first: u64, keys: u64, each: u64) {
    let mut next = vec![first; keys as usize];
    for (key, number) in taken.iter().map(read) {
        assert_eq!(number, next[key as usize], "of key {key}");
        next[key as usize] += 1;
    }
    assert!(next.iter().all(|next| *next == first + each), "{next:?}");
}

#[test]
fn the_backlog_of_a_release_with_other_lanes_stays_in_front() {
    const KEYS: u64 = 20;
    const EACH: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let options = journal::Options { segment_bytes: 20_000, sync_folder: false, lanes_version: 0 };
    let mut journal = journal::Journal::open(dir.path(), options).unwrap().0;
    for number in 0..EACH {
        let mut batch = journal::Batch::default();
        for key in 0..KEYS {
            let request = format!("{key} {number}");
            let (length, origin) = ((request.len() as u32).to_le_bytes(), key.to_string());
            let id = journal.next_id() + key;
            batch.entry(id, (63 - key) as u8, 0, [&length, request.as_bytes(), origin.as_bytes()]);
        }
        journal.write(&mut batch).unwrap();
    }
    drop(journal);

    // Crashed half way, so that logs of both are read.
    for (begin, end) in [(EACH, 2 * EACH), (2 * EACH, 3 * EACH)] {
        let queue = open(dir.path(), DISK);
        for number in begin..end {
            for key in 0..KEYS {
                let (request, origin) = (format!("{key} {number}"), key.to_string());
                let item = Item { request: request.as_bytes(), origin: origin.as_bytes() };
                queue.push(key, item, None, Instant::now());
            }
        }
        stored(&queue);
        queue.close_logs();
    }
    let queue = open(dir.path(), DISK);
    let mut taken = Vec::new();
    let mut readers: Vec<Reader> =
        (0..ActionQueue::LANES).map(|lane| queue.reader(lane, 64, &Arc::new(Wake::default()))).collect();
    // What `stored` has put behind them is of the key 0, too.
    wait("everything is there", || {
        for reader in &mut readers {
            let mut some = Vec::new();
            reader.take(100, Instant::now(), &mut some);
            succeed(reader, &some);
            taken.append(&mut some);
        }
        taken.len() as u64 == KEYS * 3 * EACH + 2
    });
    assert!(queue.reading(Instant::now()).balances());
    for key in 0..KEYS {
        let of_key: Vec<&Taken> = taken.iter().filter(|taken| read(taken).0 == key).collect();
        assert!(of_key.iter().all(|taken| taken.lane == of_key[0].lane), "one lane for one key");
        let mut numbers: Vec<u64> = of_key.iter().map(|taken| read(taken).1).collect();
        numbers.dedup();
        if key > 0 {
            assert_eq!(numbers, (0..3 * EACH).collect::<Vec<_>>());
        }
    }
}

#[derive(Default)]
struct Log(Mutex<Vec<(u64, Outcome)>>);

impl Acker for Log {
    fn settled(&self, ticket: u64, outcome: Outcome) {
        self.0.lock().unwrap().push((ticket, outcome));
    }
}

#[test]
fn what_waits_survives_the_process_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path(), DISK);
    for number in 0..100 {
        (0..20).for_each(|key| push(&queue, key, number));
    }
    let mut first = reader(&queue);
    let taken = take(&mut first, 500);
    succeed(&first, &taken);
    let inflight = take(&mut first, 100);
    assert!(queue.reading(Instant::now()).balances());
    queue.close_logs();
    drop((first, queue));

    let queue = open(dir.path(), DISK);
    let reading = queue.reading(Instant::now());
    assert_eq!((reading.fill.queuing, reading.counters.matched), (1500, 1500));
    let mut again = reader(&queue);
    let rest = take(&mut again, 1500);
    assert!(inflight.iter().all(|one| rest.iter().any(|other| other.request == one.request)));
    let all: Vec<Taken> = taken.into_iter().chain(rest.iter().cloned()).collect();
    assert_in_order(&all, 0, 20, 100);
    succeed(&again, &rest);
    queue.close_logs();
    drop((again, queue));
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(files <= 1, "{files} files are left of nothing");
    assert_eq!(open(dir.path(), DISK).reading(Instant::now()).fill.queuing, 0);
}

#[test]
fn an_acknowledgement_follows_the_disk() {
    for fsync in [Fsync::Always, Fsync::Interval(Duration::from_secs(100)), Fsync::Never] {
        let dir = tempfile::tempdir().unwrap();
        let queue = open(dir.path(), DiskOptions { fsync, ..DISK });
        let log = Arc::new(Log::default());
        for (ticket, level) in [AckLevel::Durable, AckLevel::Stored, AckLevel::Received, AckLevel::Delivered]
            .into_iter()
            .enumerate()
        {
            let acker = Arc::clone(&log) as Arc<dyn Acker>;
            let completion = Completion::new(acker, ticket as u64, level);
            queue.push(7, &format!("{ticket} 0"), Some(&completion), Instant::now());
            // The disk may have been quicker than this thread.
            if completion.release() && level != AckLevel::Received {
                log.0.lock().unwrap().push((ticket as u64, Outcome::Settled));
            }
        }
        wait("what is stored is acknowledged", || log.0.lock().unwrap().len() >= 2);
        let mut acknowledged = log.0.lock().unwrap().clone();
        acknowledged.sort_by_key(|(ticket, _)| *ticket);
        assert_eq!(acknowledged, [(0, Outcome::Settled), (1, Outcome::Settled)]);
        let mut reader = reader(&queue);
        let taken = take(&mut reader, 4);
        succeed(&reader, &taken);
        assert!(log.0.lock().unwrap().contains(&(3, Outcome::Settled)));
        queue.close_logs();
    }
}

/// Waits until everything that was pushed or forgotten before is on disk, by way of one more request.
fn stored(queue: &ActionQueue) {
    let log = Arc::new(Log::default());
    let completion = Completion::new(Arc::clone(&log) as Arc<dyn Acker>, 1, AckLevel::Stored);
    queue.push(0, "0 0", Some(&completion), Instant::now());
    if !completion.release() {
        wait("it is stored", || !log.0.lock().unwrap().is_empty());
    }
}

#[test]
fn what_is_gone_stays_gone_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path(), DISK);
    (0..300).for_each(|number| push(&queue, number % 3, number / 3));
    let mut consumer = reader(&queue);
    let taken = take(&mut consumer, 200);
    succeed(&consumer, &taken);
    stored(&queue);
    // The process ends here: nothing is closed. A copy is what the next one finds.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let after = open(copy.path(), DISK);
    assert_eq!(after.reading(Instant::now()).fill.queuing, 101);
    let rest = take(&mut reader(&after), 101);
    assert!(rest.iter().all(|one| !taken.iter().any(|gone| gone.request == one.request)));
}

#[test]
fn memory_stays_small_and_order_holds_while_the_far_side_comes_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    for disk in [DISK, DiskOptions { is_volatile: true, ..DISK }] {
        let queue = open(&dir.path().join(format!("{}", disk.is_volatile)), disk);
        let (mut pushed, mut taken_all) = (0, Vec::new());
        let mut consumer = reader(&queue);
        for round in 0..60u64 {
            for _ in 0..(round * 7) % 40 {
                (0..5).for_each(|key| push(&queue, key, pushed));
                pushed += 1;
            }
            let waiting = queue.reading(Instant::now()).fill.queuing as usize;
            let taken = take(&mut consumer, waiting * (round as usize % 3) / 2);
            if round % 5 == 4 {
                // The connection is lost; all of it comes once more.
                consumer.rewind();
            } else {
                succeed(&consumer, &taken);
                taken_all.extend(taken);
            }
            assert!(queue.reading(Instant::now()).balances());
        }
        let waiting = queue.reading(Instant::now()).fill.queuing as usize;
        let taken = take(&mut consumer, waiting);
        succeed(&consumer, &taken);
        taken_all.extend(taken);
        assert_in_order(&taken_all, 0, 5, pushed);
        queue.close_logs();
    }
}

#[test]
fn a_queue_moves_with_everything_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let volatile = DiskOptions { is_volatile: true, ..DISK };
    let queue = ActionQueue::in_memory("mqtt:a", ROOMY);
    let mut number = 0;
    let mut fill = |queue: &ActionQueue| {
        for _ in 0..50 {
            (0..10).for_each(|key| push(queue, key, number));
            number += 1;
        }
    };
    fill(&queue);
    let mut old = reader(&queue);
    let inflight = take(&mut old, 100);
    let lasting = Arc::new(DiskLog::open("mqtt:a", &dir.path().join("lasting"), DISK, key_of).unwrap());
    queue.move_to(Some(Arc::clone(&lasting)));
    // What was in flight is queued again, and its old place means nothing any more.
    succeed(&old, &inflight);
    assert_eq!(queue.reading(Instant::now()).fill.queuing, 500);
    fill(&queue);
    queue.move_to(None);
    assert!(queue.former_log().is_some(), "in memory it would be lost by a crash");
    fill(&queue);
    let spill = DiskLog::open("mqtt:a", &dir.path().join("spill"), volatile, key_of).unwrap();
    queue.move_to(Some(Arc::new(spill)));
    fill(&queue);
    queue.move_to(Some(queue.former_log().unwrap()));
    fill(&queue);
    let reading = queue.reading(Instant::now());
    assert!(reading.balances() && reading.fill.queuing == 2500, "{reading:?}");
    let taken = take(&mut old, 2500);
    assert_in_order(&taken, 0, 10, 250);
    succeed(&old, &taken);
    queue.move_to(None);
    wait("nothing is left on disk", || {
        queue.tidy();
        queue.former_log().is_none() && !dir.path().join("lasting").exists()
    });
}

#[test]
fn a_disk_that_takes_nothing_is_said_and_nothing_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let queue = open(&path, DISK);
    // A file where the folder was: no segment can be made.
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::write(&path, "in the way").unwrap();
    let log = Arc::new(Log::default());
    for ticket in 0..200 {
        let completion = Completion::new(Arc::clone(&log) as Arc<dyn Acker>, ticket, AckLevel::Stored);
        queue.push(1, &format!("1 {ticket} {}", "x".repeat(50)), Some(&completion), Instant::now());
        assert!(!completion.release());
    }
    wait("the trouble shows", || queue.trouble().is_some_and(|words| words.contains("cannot be written")));
    // What waits can be sent all the same.
    let mut consumer = reader(&queue);
    let taken = take(&mut consumer, 150);
    assert!(log.0.lock().unwrap().is_empty());
    succeed(&consumer, &taken);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    wait("all of it is acknowledged", || log.0.lock().unwrap().len() == 200);
    assert_eq!(queue.trouble(), None);
    assert!(log.0.lock().unwrap().iter().all(|(_, outcome)| *outcome == Outcome::Settled));
    queue.close_logs();
    drop((consumer, queue));
    assert_eq!(open(&path, DISK).reading(Instant::now()).fill.queuing, 50);
}

#[test]
fn damage_costs_what_it_hit_and_is_counted() {
    use std::os::unix::fs::FileExt as _;
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path(), DISK);
    for number in 0..6000 {
        push(&queue, 1, number);
        if number % 100 == 99 {
            // A batch becomes no more than that, and so no file much larger than a segment.
            stored(&queue);
        }
    }
    queue.close_logs();
    let mut files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let damage = |file: &Path| {
        let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
        file.write_all_at(b"!", 32 + 40).unwrap();
    };
    damage(&files[0]);
    let [.., unread, _] = &files[..] else { panic!("there are several files: {files:?}") };
    let queue = open(dir.path(), DISK);
    let reading = queue.reading(Instant::now());
    assert_eq!(
        (reading.fill.queuing, reading.counters.dropped_other, reading.counters.matched),
        (6059, 1, 6060)
    );
    // And once more, where it was seen whole and is not read yet: not in the last file, which may end before that place.
    damage(unread);
    let mut consumer = reader(&queue);
    let mut taken = Vec::new();
    wait("all but the damaged ones come", || {
        consumer.take(1000, Instant::now(), &mut taken);
        assert!(queue.reading(Instant::now()).balances());
        taken.len() == 6058 && queue.reading(Instant::now()).counters.dropped_other == 2
    });
}

#[test]
fn a_backlog_that_could_not_be_opened_is_found_when_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path(), DISK);
    (0..100).for_each(|number| push(&queue, number % 3, number / 3));
    stored(&queue);
    queue.close_logs();
    let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, "not ours for now, whoever put it there, and long enough to be looked at").unwrap();
    let error = DiskLog::open("mqtt:a", dir.path(), DISK, key_of).unwrap_err();
    let queue = ActionQueue::unstored("mqtt:a", QueueOptions::bounded(200 * 200), error.to_string());
    (0..10).for_each(|number| push(&queue, 3, number));
    // One record of it is damaged when it comes back.
    let mut damaged = whole;
    damaged[32 + 40] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    queue.move_to(Some(Arc::new(DiskLog::open("mqtt:a", dir.path(), DISK, key_of).unwrap())));
    let reading = queue.reading(Instant::now());
    assert_eq!((reading.fill.queuing, reading.counters.dropped_other), (110, 1), "{reading:?}");
    assert!(reading.balances(), "{reading:?}");
    let mut consumer = reader(&queue);
    let taken = take(&mut consumer, 110);
    succeed(&consumer, &taken);
    // And what it holds is nothing again, so that there is room.
    let full = QueueOptions { overflow: connector::Overflow::DropNewest, ..QueueOptions::bounded(200) };
    queue.set_options(full);
    push(&queue, 1, 0);
    assert_eq!(queue.reading(Instant::now()).fill.queuing, 1);
}

#[test]
fn a_full_buffer_holds_back_its_senders() {
    let dir = tempfile::tempdir().unwrap();
    let log = DiskLog::open("mqtt:a", dir.path(), DISK, key_of).unwrap();
    let size = 100 + ActionQueue::ENTRY_BYTES;
    let options = QueueOptions { overflow: connector::Overflow::Block, ..QueueOptions::bounded(10 * size) };
    let queue = ActionQueue::on_disk("mqtt:a", options, Arc::new(log));
    let acks = Arc::new(Log::default());
    for ticket in 0..15 {
        let completion = Completion::new(Arc::clone(&acks) as Arc<dyn Acker>, ticket, AckLevel::Stored);
        queue.push(1, &[b'x'; 100], Some(&completion), Instant::now());
        completion.release();
    }
    // What nobody waits for is dropped and counted.
    queue.push(1, &[b'x'; 100], None, Instant::now());
    wait("those with room are acknowledged", || acks.0.lock().unwrap().len() == 10);
    let reading = queue.reading(Instant::now());
    assert_eq!((reading.fill.queuing, reading.counters.dropped_queue_full), (15, 1));
    let mut consumer = reader(&queue);
    for left in (0..5).rev() {
        let taken = take(&mut consumer, 1);
        succeed(&consumer, &taken);
        wait("one more has room", || acks.0.lock().unwrap().len() == 15 - left);
    }
    let order: Vec<u64> = acks.0.lock().unwrap().iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(order, (0..15).collect::<Vec<_>>());
}
