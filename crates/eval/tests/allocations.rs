//! Nothing is taken from the heap for the four rules of the benchmark once a worker is warm.

#![allow(unsafe_code)] // an allocator that counts is one by nature

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use eval::{Surroundings, Union, Verdict, Worker};
use event::{Column, Columns, Event, EventKind, MessageId, MessagePublish, Trail};
use value::{Arena, Value};

#[path = "../benches/rules/mod.rs"]
mod rules;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything to the system's allocator unchanged, and counts on the way.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_worker_takes_nothing_from_the_heap() {
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 1);
    for rule in rules::all() {
        for accepted in [true, false] {
            if !accepted && !rule.rejects {
                continue;
            }
            let (program, _) = eval::prepare(&rule.sql, 0, "bench");
            let program = program.expect("the rule is good");
            let union = Union::of(&[&program]);
            // Known by their shape, which is learned before, or walked over: no shape comes twice, and lessons get rare.
            for (payloads, lessons) in [(rule.payloads(accepted, 16), 0), (rule.shapes(accepted, 600), 1)] {
                let mut evaluate = |payload: &String| {
                    let message = rules::message(payload.as_bytes());
                    let event = rules::event(&message);
                    match worker.begin(&event, &union).run(0, &program).expect("no error") {
                        Verdict::Filtered => 0,
                        Verdict::Rows(rows) => rows.len(),
                    }
                };
                for payload in &payloads {
                    assert_eq!(evaluate(payload) > 0, accepted, "{}", rule.sql);
                }
                let allocates = |payload: &String| {
                    let before = COUNT.get();
                    evaluate(payload);
                    COUNT.get() > before
                };
                // A lesson is written in one message, and kept with the next.
                let allocating = payloads.iter().map(allocates).filter(|allocates| *allocates).count();
                assert!(allocating <= 2 * lessons, "{} accepted: {accepted}: {allocating}", rule.sql);
            }
        }
    }
}

#[test]
fn programs_share_one_scan() {
    let first = eval::prepare("SELECT payload.a AS a FROM \"#\"", 0, "first").0.expect("a program");
    let second = eval::prepare("SELECT payload.b AS b FROM \"#\" WHERE payload.a = 1", 0, "second")
        .0
        .expect("a program");
    let none = eval::prepare("SELECT clientid FROM \"#\"", 0, "none").0.expect("a program");
    assert!(!Union::of(&[&none]).needs_scan());
    let union = Union::of(&[&first, &none, &second]);
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 1);
    let message = MessagePublish { payload: b"{broken", ..rules::message(b"") };
    let event = Event { columns: &message, ..rules::event(&message) };
    let broken = worker.begin(&event, &union);
    assert!(broken.run(0, &first).is_err() && broken.run(2, &second).is_err());
    assert!(matches!(broken.run(1, &none), Ok(Verdict::Rows([_]))));
    let message = MessagePublish { id: MessageId::default(), payload: br#"{"a":1,"b":2}"#, ..message };
    let trail = Trail::empty();
    let event = Event { kind: EventKind::MessagePublish, columns: &message, trail: &trail, ..event };
    let good = worker.begin(&event, &union);
    let shown = |verdict| match verdict {
        Ok(Verdict::Rows([row])) => {
            let mut out = Vec::new();
            row.write(&mut out);
            String::from_utf8(out).expect("JSON")
        }
        other => format!("{other:?}"),
    };
    assert_eq!(shown(good.run(0, &first)), r#"{"a":1}"#);
    assert_eq!(shown(good.run(2, &second)), r#"{"b":2}"#);
}

/// A message that counts how often its payload is asked for.
struct Watched<'a> {
    message: MessagePublish<'a>,
    reads: AtomicU32,
}

impl Columns for Watched<'_> {
    fn get<'a>(&'a self, column: Column, arena: &'a Arena) -> Value<'a> {
        if column == Column::Payload {
            self.reads.fetch_add(1, Relaxed);
        }
        self.message.get(column, arena)
    }
}

#[test]
fn a_hundred_rules_take_up_the_payload_once() {
    let rules: Vec<_> = (0..100)
        .map(|at| {
            let sql =
                format!("SELECT payload.temp AS t FROM \"#\" WHERE payload.temp > {at} AND payload.hum < 90");
            eval::prepare(&sql, 0, "r").0.expect("the rule is good")
        })
        .collect();
    let union = Union::of(&rules.iter().collect::<Vec<_>>());
    let message = rules::message(br#"{"temp":49.5,"hum":61}"#);
    let watched = Watched { message, reads: AtomicU32::new(0) };
    let event = Event { columns: &watched, ..rules::event(&message) };
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 1);
    let message = worker.begin(&event, &union);
    let passed = rules
        .iter()
        .enumerate()
        .filter(|(place, rule)| matches!(message.run(*place, rule).expect("no error"), Verdict::Rows([_])));
    assert_eq!(passed.count(), 50);
    assert_eq!(watched.reads.load(Relaxed), 1);
}
