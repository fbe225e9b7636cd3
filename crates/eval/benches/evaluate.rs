//! Evaluations per core: four rules, let through and not, beside the plainest way to do it with `serde_json`.
//!
//! `cargo bench -p eval`. For instruction counts:
//! `valgrind --tool=callgrind --toggle-collect='*evaluate*' <the bench binary> --test`.

use std::sync::Arc;

use divan::Bencher;
use eval::{Surroundings, Union, Verdict, Worker};

mod rules;

fn main() {
    divan::main();
}

const CASES: [(usize, bool); 7] =
    [(0, true), (1, true), (1, false), (2, true), (2, false), (3, true), (3, false)];

/// Evaluates, checks the whole payload, and writes the rows as JSON.
#[divan::bench(args = CASES)]
fn sluicegate(bencher: Bencher<'_, '_>, (at, accepted): (usize, bool)) {
    let rule = &rules::all()[at];
    let payloads = rule.payloads(accepted, 16);
    let program = eval::prepare(&rule.sql, 0, "bench").0.expect("the rule is good");
    let union = Union::of(&[&program]);
    let messages: Vec<_> = payloads.iter().map(|payload| rules::message(payload.as_bytes())).collect();
    let events: Vec<_> = messages.iter().map(rules::event).collect();
    let mut events = events.iter().cycle();
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 1);
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        let event = events.next().expect("they come round");
        let message = worker.begin(divan::black_box(event), &union);
        if let Ok(Verdict::Rows(rows)) = message.run(0, &program) {
            rows.iter().for_each(|row| row.write(&mut out));
        }
        out.len()
    });
}

/// So many rules of kind (b) on one message that none lets through: what a further one costs is the difference.
#[divan::bench(args = [1, 17])]
fn wheres(bencher: Bencher<'_, '_>, count: usize) {
    let rule = &rules::all()[1];
    let program = eval::prepare(&rule.sql, 0, "bench").0.expect("the rule is good");
    let union = Union::of(&vec![&program; count]);
    let payload = rule.payloads(false, 1).remove(0);
    let message = rules::message(payload.as_bytes());
    let event = rules::event(&message);
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 1);
    bencher.bench_local(|| {
        let message = worker.begin(divan::black_box(&event), &union);
        (0..count).filter(|place| message.run(*place, &program).is_ok()).count()
    });
}

/// Reading the payload into `serde_json::Value`, and nothing else: the floor of evaluating on a tree.
#[divan::bench(args = [1, 2, 3])]
fn serde_json_value(bencher: Bencher<'_, '_>, at: usize) {
    let payload = rules::all()[at].payloads(true, 1).remove(0);
    bencher.bench_local(|| {
        serde_json::from_slice::<serde_json::Value>(divan::black_box(payload.as_bytes())).is_ok()
    });
}
