//! One rule of the benchmark in a plain loop, for profilers.
//!
//! `cargo run --release -p eval --example evaluate -- RULE accept|reject COUNT`, RULE from 0 to 3. Instructions of one
//! evaluation are the difference of two counts under `valgrind --tool=callgrind`.

use std::hint::black_box;
use std::sync::Arc;

use eval::{Surroundings, Union, Verdict, Worker};

#[path = "../benches/rules/mod.rs"]
mod rules;

fn main() {
    let mut args = std::env::args().skip(1);
    let at: usize = args.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let accept = args.next().is_none_or(|text| text == "accept");
    let count: u64 = args.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let rule = &rules::all()[at];
    let payload = if accept { &rule.accepted } else { rule.rejected.as_ref().unwrap_or(&rule.accepted) };
    let program = eval::prepare(&rule.sql, 0, "bench").0.expect("the rule is good");
    let union = Union::of(&[&program]);
    let message = rules::message(payload.as_bytes());
    let event = rules::event(&message);
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 1);
    let mut out = Vec::new();
    for _ in 0..count {
        out.clear();
        let message = worker.begin(black_box(&event), &union);
        if let Verdict::Rows(rows) = message.run(0, &program).expect("no error") {
            rows.iter().for_each(|row| value::json::write(row, &mut out));
        }
        black_box(&out);
    }
    println!("{} bytes of payload, {} bytes of rows", payload.len(), out.len());
}
