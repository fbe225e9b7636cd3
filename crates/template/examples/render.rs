//! The template of the benchmark in a plain loop, for profilers: `cargo run --release -p template --example render [COUNT]`.

use std::hint::black_box;

use template::Missing;
use value::Arena;

#[path = "../benches/rows/mod.rs"]
mod rows;

fn main() {
    let count: u64 = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number"));
    let (template, arena, mut out) = (rows::template(), Arena::new(), Vec::new());
    let row = rows::Row::new(&arena);
    for _ in 0..count {
        out.clear();
        template.render(black_box(&row), Missing::Empty, &arena, &mut out);
        black_box(&out);
    }
    let plain = format!("plant/{}/state/{} at {}", rows::CLIENTID, rows::LEVEL, rows::TEMP);
    assert_eq!(out, plain.as_bytes(), "{}", rows::TEMPLATE);
    println!("{plain}");
}
