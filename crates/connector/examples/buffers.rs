//! What each kind of buffer costs, side by side in one run:
//! `cargo run --release -p connector --example buffers -- [MESSAGES] [DIR]`.
//!
//! *steady*: one thread pushes requests of 200 bytes, each with an acknowledgement that waits until it is stored, and no
//! more than 1,000 unacknowledged; another takes and settles. *fill* and *drain*: all of it goes in while nothing is
//! taken, then all of it comes out. CPU is that of the whole process, threads of the disk included.
#![allow(clippy::unwrap_used)] // a measurement that fails is to stop there

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use connector::{ActionQueue, DiskLog, DiskOptions, Fsync, Item, QueueOptions, Verdict, Wake};
use event::{AckLevel, Acker, Completion, Outcome};

const REQUEST: [u8; 200] = [7; 200];
const ORIGIN: [u8; 90] = [3; 90];
const WINDOW: u64 = 1_000;

/// Counts what is acknowledged.
#[derive(Default)]
struct Acked(AtomicU64);

impl Acker for Acked {
    fn settled(&self, _: u64, _: Outcome) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let count: u64 = args.next().map_or(300_000, |count| count.parse().unwrap());
    let dir = args.next().map_or_else(std::env::temp_dir, Into::into).join("sluicegate-buffers");
    println!("{count} messages of {} bytes, on {}", REQUEST.len(), dir.display());
    println!(
        "{:<16} {:>12} {:>12}  {:>12} {:>12}  {:>12}",
        "", "steady /s", "CPU ns", "fill /s", "drain /s", "CPU ns"
    );
    for (name, fsync, is_volatile) in [
        ("memory", None, false),
        ("hybrid", Some(Fsync::Never), true),
        ("disk never", Some(Fsync::Never), false),
        ("disk interval", Some(Fsync::Interval(Duration::from_millis(10))), false),
        ("disk always", Some(Fsync::Always), false),
    ] {
        let steady = measure(count, || steady(&open(&dir, fsync, is_volatile), count));
        let filled = open(&dir, fsync, is_volatile);
        let fill = measure(count, || fill(&filled, count));
        let drain = measure(count, || take_all(&filled, count));
        println!(
            "{name:<16} {:>12.0} {:>12.0}  {:>12.0} {:>12.0}  {:>12.0}",
            steady.0,
            steady.1,
            fill.0,
            drain.0,
            fill.1 + drain.1
        );
        filled.close_logs();
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

fn open(dir: &Path, fsync: Option<Fsync>, is_volatile: bool) -> Arc<ActionQueue> {
    let options = QueueOptions::bounded(4 << 30);
    let Some(fsync) = fsync else { return ActionQueue::in_memory("mqtt:a", options) };
    if dir.exists() {
        std::fs::remove_dir_all(dir).unwrap();
    }
    let memory_bytes = if is_volatile { DiskOptions::HYBRID_MEMORY_BYTES } else { DiskOptions::MEMORY_BYTES };
    let disk = DiskOptions { fsync, segment_bytes: 16 << 20, memory_bytes, is_volatile };
    ActionQueue::on_disk("mqtt:a", options, Arc::new(DiskLog::open("mqtt:a", dir, disk, |_| None).unwrap()))
}

/// Messages a second, and CPU nanoseconds a message.
fn measure(count: u64, run: impl FnOnce()) -> (f64, f64) {
    let (cpu, begun) = (cpu_nanos(), Instant::now());
    run();
    (count as f64 / begun.elapsed().as_secs_f64(), (cpu_nanos() - cpu) / count as f64)
}

fn cpu_nanos() -> f64 {
    const NANOS_PER_TICK: f64 = 1e7;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(12) + ticks(13)) * NANOS_PER_TICK
}

fn steady(queue: &Arc<ActionQueue>, count: u64) {
    std::thread::scope(|scope| {
        scope.spawn(|| fill(queue, count));
        take_all(queue, count);
    });
    queue.close_logs();
}

/// Pushes with the window of a good client; whoever holds nothing back is not waited for.
fn fill(queue: &Arc<ActionQueue>, count: u64) {
    let acked = Arc::new(Acked::default());
    for number in 0..count {
        let completion = Completion::new(Arc::clone(&acked) as Arc<dyn Acker>, number, AckLevel::Durable);
        let item = Item { request: &REQUEST, origin: &ORIGIN };
        queue.push(number % 97, item, Some(&completion), Instant::now());
        if completion.release() {
            acked.0.fetch_add(1, Ordering::Release);
        }
        while number - acked.0.load(Ordering::Acquire).min(number) >= WINDOW {
            // Not spinning: it would count as cost.
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// Takes and settles everything, but what was dropped because the disk did not keep up with somebody who waits for nothing.
fn take_all(queue: &Arc<ActionQueue>, count: u64) {
    let mut reader = queue.reader(0, 1, &Arc::new(Wake::default()));
    let (mut batch, mut taken) = (Vec::new(), 0);
    while taken < count {
        if reader.take(256, Instant::now(), &mut batch) == 0 {
            let dropped = queue.reading(Instant::now()).counters.dropped();
            if taken + dropped >= count {
                println!("{dropped} were dropped");
                return;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        taken += batch.len() as u64;
        for one in batch.drain(..) {
            reader.settle(one.lane, one.seq, Verdict::Success);
        }
    }
}
