//! One rule of the benchmark in a plain loop, for profilers.
//!
//! `cargo run --release -p eval --example evaluate -- RULE accept|reject same|new COUNT`, RULE from 0 to 3. The payloads have
//! other values each time, and the same shape, or each another one. Instructions of one evaluation are the
//! difference of two counts under `valgrind --tool=callgrind`.

use std::hint::black_box;
use std::sync::Arc;

use eval::{Surroundings, Union, Verdict, Worker};

#[path = "../benches/rules/mod.rs"]
mod rules;

fn main() {
    let mut args = std::env::args().skip(1);
    let at: usize = args.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let accept = args.next().is_none_or(|text| text == "accept");
    let same = args.next().is_none_or(|text| text == "same");
    let count: usize = args.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let rule = &rules::all()[at];
    // More shapes than a worker remembers.
    let payloads = if same { rule.payloads(accept, 16) } else { rule.shapes(accept, 1_000) };
    let messages: Vec<_> = payloads.iter().map(|payload| rules::message(payload.as_bytes())).collect();
    let events: Vec<_> = messages.iter().map(rules::event).collect();
    let program = eval::prepare(&rule.sql, 0, "bench").0.expect("the rule is good");
    let union = Union::of(&[&program]);
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 1);
    let mut out = Vec::new();
    for event in events.iter().cycle().take(count) {
        out.clear();
        let message = worker.begin(black_box(event), &union);
        if let Verdict::Rows(rows) = message.run(0, &program).expect("no error") {
            rows.iter().for_each(|row| row.write(&mut out));
        }
        black_box(&out);
    }
    let bytes: usize = payloads.iter().map(String::len).sum();
    println!("{} bytes of payload on average, {} bytes of rows", bytes / payloads.len(), out.len());
}
