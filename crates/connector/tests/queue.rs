//! An action's queue as its two users see it.
#![allow(clippy::unwrap_used)] // a test that finds nothing is to stop there

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connector::{ActionQueue, Dropped, QueueOptions, Reader, Taken, Verdict, Wake};
use event::{AckLevel, Acker, Completion, Outcome};

const ROOMY: QueueOptions = QueueOptions::bounded(1 << 20);

fn reader(queue: &Arc<ActionQueue>, share: usize, shares: usize) -> Reader {
    queue.reader(share, shares, &Arc::new(Wake::default()))
}

fn take(reader: &mut Reader, max: usize) -> Vec<Taken> {
    let mut out = Vec::new();
    reader.take(max, Instant::now(), &mut out);
    out
}

fn texts(taken: &[Taken]) -> Vec<String> {
    taken.iter().map(|taken| String::from_utf8(taken.request.to_vec()).unwrap()).collect()
}

#[derive(Default)]
struct Log(Mutex<Vec<(u64, Outcome)>>);

impl Acker for Log {
    fn settled(&self, ticket: u64, outcome: Outcome) {
        self.0.lock().unwrap().push((ticket, outcome));
    }
}

impl Log {
    fn entries(&self) -> Vec<(u64, Outcome)> {
        self.0.lock().unwrap().clone()
    }
}

/// Pushes one request as an event of this level, and lets go of the event.
fn push(queue: &ActionQueue, log: &Arc<Log>, ticket: u64, level: AckLevel) -> bool {
    let completion = Completion::new(Arc::clone(log) as Arc<dyn Acker>, ticket, level);
    queue.push(ticket, format!("{ticket}").as_bytes(), Some(&completion), Instant::now());
    completion.release()
}

#[test]
fn one_key_stays_in_order() {
    let queue = ActionQueue::in_memory("mqtt:a", ROOMY);
    for number in 0..10 {
        queue.push(7, format!("{number}").as_bytes(), None, Instant::now());
    }
    let mut reader = reader(&queue, 0, 1);
    assert_eq!(texts(&take(&mut reader, 4)), ["0", "1", "2", "3"]);
    assert_eq!(texts(&take(&mut reader, 100)), ["4", "5", "6", "7", "8", "9"]);
    assert!(!reader.is_ready());
}

#[test]
fn another_number_of_connections_moves_no_request_and_keeps_the_order() {
    let queue = ActionQueue::in_memory("mqtt:a", ROOMY);
    let keys = 100u64;
    for number in 0..5 {
        for key in 0..keys {
            queue.push(key, format!("{key} {number}").as_bytes(), None, Instant::now());
        }
    }
    let mut first: Vec<Reader> = (0..8).map(|share| reader(&queue, share, 8)).collect();
    let taken: usize = first.iter_mut().map(|reader| take(reader, 20).len()).sum();
    assert_eq!(queue.reading(Instant::now()).fill.inflight, taken as u64);
    drop(first);
    assert_eq!(queue.reading(Instant::now()).fill.inflight, 0);
    let mut second: Vec<Reader> = (0..3).map(|share| reader(&queue, share, 3)).collect();
    let all: Vec<String> = second.iter_mut().flat_map(|reader| texts(&take(reader, 1000))).collect();
    assert_eq!(all.len(), 500);
    for key in 0..keys {
        let of_key: Vec<&str> = all.iter().filter_map(|text| text.strip_prefix(&format!("{key} "))).collect();
        assert_eq!(of_key, ["0", "1", "2", "3", "4"]);
    }
}

#[test]
fn a_reader_that_was_replaced_gets_nothing_and_says_nothing() {
    let queue = ActionQueue::in_memory("mqtt:a", ROOMY);
    queue.push(1, b"x", None, Instant::now());
    queue.push(1, b"y", None, Instant::now());
    let mut old = reader(&queue, 0, 1);
    let taken = take(&mut old, 1);
    let mut new = reader(&queue, 0, 1);
    old.settle(taken[0].lane, taken[0].seq, Verdict::Success);
    assert!(take(&mut old, 5).is_empty());
    drop(old);
    let again = take(&mut new, 5);
    assert_eq!(texts(&again), ["x", "y"]);
    assert_eq!(again[0].sendings, 1);
    assert_eq!(queue.reading(Instant::now()).counters.success, 0);
}

#[test]
fn retries_come_first_and_final_refusals_count_as_failed() {
    let queue = ActionQueue::in_memory("mqtt:a", ROOMY);
    for text in ["a", "b", "c"] {
        queue.push(1, text.as_bytes(), None, Instant::now());
    }
    let mut reader = reader(&queue, 0, 1);
    let taken = take(&mut reader, 2);
    reader.settle(taken[0].lane, taken[0].seq, Verdict::Retry);
    reader.settle(taken[1].lane, taken[1].seq, Verdict::Final("not authorized"));
    assert_eq!(texts(&take(&mut reader, 5)), ["a", "c"]);
    let reading = queue.reading(Instant::now());
    assert_eq!((reading.counters.failed, reading.counters.retried, reading.fill.inflight), (1, 1, 2));
    assert!(reading.balances());
}

#[test]
fn what_became_of_requests_that_were_sent_again_is_told_apart() {
    let queue = ActionQueue::in_memory("mqtt:a", ROOMY);
    for text in ["once", "again", "resent", "in vain"] {
        queue.push(1, text.as_bytes(), None, Instant::now());
    }
    let mut reader = reader(&queue, 0, 1);
    let taken = take(&mut reader, 4);
    let settle = |place: usize, verdict| reader.settle(taken[place].lane, taken[place].seq, verdict);
    settle(0, Verdict::Success);
    settle(1, Verdict::Retry);
    settle(3, Verdict::Retry);
    reader.count_retried(taken[2].lane, taken[2].seq);
    let again = take(&mut reader, 4);
    assert_eq!(texts(&again), ["again", "in vain"]);
    reader.settle_delivered(&[(again[0].lane, again[0].seq), (taken[2].lane, taken[2].seq)]);
    reader.settle(again[1].lane, again[1].seq, Verdict::Final("not authorized"));
    // What this reader no longer has is not counted.
    reader.count_retried(taken[2].lane, taken[2].seq);
    let counters = queue.reading(Instant::now()).counters;
    assert_eq!((counters.success, counters.failed, counters.retried), (3, 1, 3));
    assert_eq!((counters.retried_success, counters.retried_failed), (2, 1));
}

#[test]
fn overflow_drops_the_oldest_of_all_lanes() {
    let room = 3 * (1 + ActionQueue::ENTRY_BYTES);
    let queue = ActionQueue::in_memory("mqtt:a", QueueOptions { buffer_bytes_max: room, ..ROOMY });
    let start = Instant::now();
    for key in 0..9u64 {
        queue.push(key, format!("{key}").as_bytes(), None, start + Duration::from_millis(key));
    }
    let mut left = texts(&take(&mut reader(&queue, 0, 1), 100));
    left.sort();
    assert_eq!(left, ["6", "7", "8"]);
    assert_eq!(queue.reading(start).counters.dropped_queue_full, 6);
    queue.push(1, &[0; 4096], None, start);
    assert_eq!(queue.reading(start).counters.dropped_queue_full, 7);
    assert_eq!(queue.reading(start).fill.queuing, 3);
    assert!(queue.reading(start).balances());
}

#[test]
fn what_is_in_flight_or_holds_an_acknowledgement_is_neither_dropped_nor_expired() {
    let (log, start) = (Arc::new(Log::default()), Instant::now());
    let options = QueueOptions { request_ttl: Some(Duration::from_secs(5)), ..QueueOptions::bounded(100) };
    let queue = ActionQueue::in_memory("mqtt:a", options);
    queue.push(1, b"in flight", None, start);
    let mut reader = reader(&queue, 0, 1);
    let taken = take(&mut reader, 1);
    assert!(!push(&queue, &log, 2, AckLevel::Delivered));
    queue.push(3, b"free", None, start);
    let reading = queue.reading(start + Duration::from_secs(60));
    assert_eq!((reading.fill.inflight, reading.fill.queuing), (1, 1));
    assert_eq!(reading.counters.dropped_queue_full, 1);
    reader.settle(taken[0].lane, taken[0].seq, Verdict::Success);
    queue.push(3, b"f", None, start);
    let reading = queue.reading(start + Duration::from_secs(60));
    assert_eq!(reading.counters.dropped(), 2, "{reading:?}");
    assert!(reading.balances());
    assert!(log.entries().is_empty());
}

#[test]
fn expired_requests_are_never_handed_out() {
    let start = Instant::now();
    let options = QueueOptions { request_ttl: Some(Duration::from_secs(5)), ..ROOMY };
    let queue = ActionQueue::in_memory("mqtt:a", options);
    queue.push(1, b"old", None, start);
    queue.push(1, b"new", None, start + Duration::from_secs(3));
    let (mut reader, mut out) = (reader(&queue, 0, 1), Vec::new());
    reader.take(5, start + Duration::from_secs(6), &mut out);
    assert_eq!(texts(&out), ["new"]);
    assert_eq!(queue.reading(start).counters.dropped_expired, 1);
}

#[test]
fn the_acknowledgement_waits_as_long_as_its_level_asks_for() {
    let (log, queue) = (Arc::new(Log::default()), ActionQueue::in_memory("mqtt:a", ROOMY));
    assert!(push(&queue, &log, 1, AckLevel::Received));
    assert!(push(&queue, &log, 2, AckLevel::Durable), "memory is not durable");
    assert!(!push(&queue, &log, 3, AckLevel::Stored));
    assert!(!push(&queue, &log, 4, AckLevel::Delivered));
    let mut reader = reader(&queue, 0, 1);
    for taken in take(&mut reader, 10) {
        let final_one = taken.request.as_ref() == b"4";
        let verdict = if final_one { Verdict::Final("no") } else { Verdict::Success };
        reader.settle(taken.lane, taken.seq, verdict);
    }
    let mut entries = log.entries();
    entries.sort_by_key(|(ticket, _)| *ticket);
    assert_eq!(entries, [(3, Outcome::Settled), (4, Outcome::Settled)]);
}

#[test]
fn a_deleted_action_settles_and_a_lost_one_abandons() {
    let (log, queue) = (Arc::new(Log::default()), ActionQueue::in_memory("mqtt:a", ROOMY));
    push(&queue, &log, 1, AckLevel::Delivered);
    queue.close();
    queue.push(1, b"late", None, Instant::now());
    assert_eq!(log.entries(), [(1, Outcome::Settled)]);
    assert_eq!(queue.reading(Instant::now()).counters.dropped_resource_stopped, 2);
    assert!(queue.reading(Instant::now()).balances());
    let queue = ActionQueue::in_memory("mqtt:a", ROOMY);
    push(&queue, &log, 2, AckLevel::Delivered);
    drop(queue);
    assert_eq!(log.entries()[1], (2, Outcome::Abandoned));
}

#[test]
fn the_window_bounds_all_connections_together() {
    let queue = ActionQueue::in_memory("mqtt:a", QueueOptions { inflight_window: Some(3), ..ROOMY });
    for key in 0..100 {
        queue.push(key, b"x", None, Instant::now());
    }
    let (mut one, mut two) = (reader(&queue, 0, 2), reader(&queue, 1, 2));
    let taken = take(&mut one, 2);
    assert_eq!((taken.len(), take(&mut two, 10).len()), (2, 1));
    assert!(!one.is_ready() && take(&mut one, 1).is_empty());
    one.settle(taken[0].lane, taken[0].seq, Verdict::Success);
    assert_eq!(take(&mut two, 10).len(), 1);
    drop(two);
    assert_eq!(take(&mut one, 10).len(), 2);
}

#[test]
fn rows_that_never_became_requests_are_accounted_for() {
    let queue = ActionQueue::in_memory("mqtt:a", ROOMY);
    queue.fail("no topic", &[], None);
    queue.refuse(Dropped::ResourceNotFound);
    let reading = queue.reading(Instant::now());
    assert_eq!((reading.counters.matched, reading.counters.failed, reading.counters.dropped()), (2, 1, 1));
    queue.push(1, b"x", None, Instant::now());
    queue.reset_metrics();
    assert_eq!(queue.reading(Instant::now()).counters.matched, 1);
    assert!(queue.reading(Instant::now()).balances());
}

#[test]
fn every_reading_balances_under_load_and_no_wake_is_lost() {
    const EACH: usize = 20_000;
    let queue = ActionQueue::in_memory("mqtt:a", QueueOptions { inflight_window: Some(40), ..ROOMY });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..2)
            .map(|share| {
                let wake = Arc::new(Wake::default());
                let mut reader = queue.reader(share, 2, &wake);
                let done = &done;
                (Arc::clone(&wake), scope.spawn(move || consume(&mut reader, &wake, done)))
            })
            .collect();
        let producers: Vec<_> = (0..2u64)
            .map(|producer| {
                let queue = &queue;
                scope.spawn(move || {
                    for number in 0..EACH as u64 {
                        queue.push((producer << 32) | (number % 50), &[1; 50], None, Instant::now());
                    }
                })
            })
            .collect();
        while !producers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            assert!(queue.reading(Instant::now()).balances());
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while queue.reading(Instant::now()).counters.success
            + queue.reading(Instant::now()).counters.dropped()
            < 2 * EACH as u64
        {
            assert!(Instant::now() < deadline, "a wake was lost: {:?}", queue.reading(Instant::now()));
            std::thread::yield_now();
        }
        done.store(true, Ordering::SeqCst);
        for (wake, consumer) in consumers {
            while !consumer.is_finished() {
                wake.wake();
                std::thread::yield_now();
            }
        }
    });
    let reading = queue.reading(Instant::now());
    assert!(reading.balances() && reading.fill.queuing == 0 && reading.fill.inflight == 0, "{reading:?}");
}

/// Takes and settles until it is told to stop; sleeps when there is nothing.
fn consume(reader: &mut Reader, wake: &Wake, done: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut batch = Vec::new();
        while !done.load(Ordering::SeqCst) {
            if reader.take(16, Instant::now(), &mut batch) == 0 {
                wake.wait(|| reader.is_ready() || done.load(Ordering::SeqCst)).await;
            }
            for taken in batch.drain(..) {
                reader.settle(taken.lane, taken.seq, Verdict::Success);
            }
        }
    });
}

#[test]
fn deliveries_are_timed_from_the_push_to_the_far_sides_word() {
    let queue = ActionQueue::in_memory("far:up", ROOMY);
    let mut reader = reader(&queue, 0, 1);
    let pushed_at = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
    for n in 0..20 {
        queue.push(7, format!("{n}").as_bytes(), None, pushed_at);
    }
    let taken = take(&mut reader, 20);
    reader.settle(taken[0].lane, taken[0].seq, Verdict::Final("no"));
    assert_eq!(queue.delivery().read().count, 0, "what failed was not delivered");
    for taken in &taken[1..] {
        reader.settle(taken.lane, taken.seq, Verdict::Success);
    }
    let delivery = queue.delivery().read();
    assert!((1..=3).contains(&delivery.count), "{delivery:?}");
    assert!(delivery.sum >= 2.0 * delivery.count as f64, "{delivery:?}");
    queue.reset_metrics();
    assert_eq!(queue.delivery().read().count, 0);
}
