//! Order, and nothing lost, through whatever can happen to a queue: refusals, lost connections, other numbers of
//! connections, other buffers, restarts. Against a model that is too simple to be wrong.
#![allow(clippy::unwrap_used)] // a test that finds nothing is to stop there

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::{ActionQueue, DiskLog, DiskOptions, Fsync, QueueOptions, Reader, Taken, Verdict, Wake};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

const OPTIONS: QueueOptions = QueueOptions { max_retries: Some(2), ..QueueOptions::bounded(1 << 30) };
const DISK: DiskOptions =
    DiskOptions { fsync: Fsync::Never, segment_bytes: 2_000, memory_bytes: 300, is_volatile: false };
const KEYS: u64 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Memory,
    Hybrid,
    Disk,
}

#[derive(Debug, Clone)]
enum Step {
    Push {
        count: usize,
    },
    Take(usize),
    Settle {
        pick: usize,
        how: How,
    },
    /// A connection is lost: what it had in flight is queued again.
    Lose,
    /// Another number of connections.
    Connections(usize),
    Move(Mode),
    /// The process ends and starts again.
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Success,
    Final,
    Retry,
    Later,
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        6 => Just(How::Success), 1 => Just(How::Final), 1 => Just(How::Retry), 1 => Just(How::Later),
    ];
    prop_oneof![
        6 => (1usize..40).prop_map(|count| Step::Push { count }),
        6 => (1usize..60).prop_map(Step::Take),
        12 => (any::<usize>(), how).prop_map(|(pick, how)| Step::Settle { pick, how }),
        1 => Just(Step::Lose),
        1 => (1usize..5).prop_map(Step::Connections),
        1 => prop_oneof![Just(Mode::Memory), Just(Mode::Hybrid), Just(Mode::Disk)].prop_map(Step::Move),
        1 => Just(Step::Restart),
    ]
}

/// What is neither delivered nor dead, by key and number: how often it was refused, and whether it is in flight.
#[derive(Default)]
struct Model {
    live: BTreeMap<(u64, u64), Entry>,
    next: u64,
}

#[derive(Default)]
struct Entry {
    inflight: bool,
    refusals: u32,
}

impl Model {
    fn rewind(&mut self) {
        self.live.values_mut().for_each(|entry| entry.inflight = false);
    }

    /// The next of this key that is to be taken.
    fn first(&self, key: u64) -> Option<u64> {
        let mut of_key = self.live.range((key, 0)..(key + 1, 0));
        of_key.find(|(_, entry)| !entry.inflight).map(|((_, number), _)| *number)
    }
}

struct World<'d> {
    dir: &'d Path,
    mode: Mode,
    queue: Arc<ActionQueue>,
    readers: Vec<Reader>,
    /// In flight, with the reader that has it.
    taken: Vec<(usize, Taken)>,
    model: Model,
}

fn lasting(dir: &Path) -> Arc<DiskLog> {
    Arc::new(DiskLog::open("mqtt:a", &dir.join("lasting"), DISK, |_| None).unwrap())
}

fn spill(dir: &Path) -> Arc<DiskLog> {
    let volatile = DiskOptions { is_volatile: true, ..DISK };
    Arc::new(DiskLog::open("mqtt:a", &dir.join("spill"), volatile, |_| None).unwrap())
}

fn readers(queue: &Arc<ActionQueue>, count: usize) -> Vec<Reader> {
    (0..count).map(|share| queue.reader(share, count, &Arc::new(Wake::default()))).collect()
}

/// Key and number of a request.
fn read(taken: &Taken) -> (u64, u64) {
    let text = std::str::from_utf8(&taken.request).unwrap();
    let mut words = text.split(' ').map(|word| word.parse().unwrap_or_default());
    (words.next().unwrap(), words.next().unwrap())
}

impl<'d> World<'d> {
    fn new(dir: &'d Path) -> Self {
        let queue = ActionQueue::on_disk("mqtt:a", OPTIONS, lasting(dir));
        let readers = readers(&queue, 2);
        Self { dir, mode: Mode::Disk, queue, readers, taken: Vec::new(), model: Model::default() }
    }

    fn push(&mut self) {
        let (key, number) = (self.model.next % KEYS, self.model.next);
        self.model.next += 1;
        let request = format!("{key} {number} {}", "x".repeat(number as usize % 40));
        self.queue.push(key, &request, None, Instant::now());
        self.model.live.insert((key, number), Entry::default());
    }

    /// Takes from every connection until `count` have come or nothing is left.
    fn take(&mut self, count: usize) {
        let left = self.model.live.values().filter(|entry| !entry.inflight).count();
        let wanted = self.taken.len() + count.min(left);
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.taken.len() < wanted {
            assert!(Instant::now() < deadline, "{:?}", self.queue.reading(Instant::now()));
            for number in 0..self.readers.len() {
                let mut batch = Vec::new();
                self.readers[number].take(wanted - self.taken.len(), Instant::now(), &mut batch);
                for taken in batch {
                    let (key, of_key) = read(&taken);
                    assert_eq!(self.model.first(key), Some(of_key), "of key {key}");
                    self.model.live.get_mut(&(key, of_key)).unwrap().inflight = true;
                    self.taken.push((number, taken));
                }
            }
            std::thread::yield_now();
        }
    }

    fn settle(&mut self, pick: usize, how: How) {
        if self.taken.is_empty() {
            return;
        }
        let (reader, taken) = self.taken.swap_remove(pick % self.taken.len());
        let id = read(&taken);
        let entry = self.model.live.get_mut(&id).unwrap();
        let verdict = match how {
            How::Success => Verdict::Success,
            How::Final => Verdict::Final("no"),
            How::Retry => Verdict::Retry,
            How::Later => Verdict::Later("not now"),
        };
        self.readers[reader].settle(taken.lane, taken.seq, verdict);
        entry.refusals += u32::from(matches!(how, How::Later));
        let is_over = match how {
            How::Success | How::Final => true,
            How::Retry => false,
            How::Later => entry.refusals > 2,
        };
        if is_over {
            self.model.live.remove(&id);
        } else {
            entry.inflight = false;
        }
    }

    fn lose(&mut self) {
        self.readers.iter().for_each(Reader::rewind);
        self.taken.clear();
        self.model.rewind();
    }

    fn connections(&mut self, count: usize) {
        self.readers = readers(&self.queue, count);
        self.taken.clear();
        self.model.rewind();
    }

    fn move_to(&mut self, mode: Mode) {
        if mode == self.mode {
            return;
        }
        let log = match mode {
            Mode::Memory => None,
            Mode::Hybrid => Some(spill(self.dir)),
            Mode::Disk => Some(self.queue.former_log().unwrap_or_else(|| lasting(self.dir))),
        };
        self.queue.move_to(log);
        self.mode = mode;
        self.lose();
        // Every buffer counts refusals anew.
        self.model.live.values_mut().for_each(|entry| entry.refusals = 0);
    }

    fn restart(&mut self) {
        self.move_to(Mode::Disk);
        self.taken.clear();
        self.readers.clear();
        self.queue.close_logs();
        self.queue = ActionQueue::on_disk("mqtt:a", OPTIONS, lasting(self.dir));
        self.readers = readers(&self.queue, 2);
        self.model.rewind();
        self.model.live.values_mut().for_each(|entry| entry.refusals = 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_order_holds(steps in proptest::collection::vec(step(), 0..150)) {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::new(dir.path());
        for step in steps {
            match step {
                Step::Push { count } => (0..count).for_each(|_| world.push()),
                Step::Take(count) => world.take(count),
                Step::Settle { pick, how } => world.settle(pick, how),
                Step::Lose => world.lose(),
                Step::Connections(count) => world.connections(count),
                Step::Move(mode) => world.move_to(mode),
                Step::Restart => world.restart(),
            }
            let reading = world.queue.reading(Instant::now());
            assert!(reading.balances(), "{reading:?}");
            let (live, inflight) = (world.model.live.len() as u64, world.taken.len() as u64);
            assert_eq!((reading.fill.queuing + reading.fill.inflight, reading.fill.inflight), (live, inflight));
        }
        world.restart();
        world.take(usize::MAX);
        assert_eq!(world.taken.len(), world.model.live.len());
        world.queue.close_logs();
    }
}
