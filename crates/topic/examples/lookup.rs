//! Look-ups in a plain loop, for profilers: `cargo run --release -p topic --example lookup -- [FILTERS [LOOKUPS]]`.

use std::hint::black_box;
use std::time::Instant;

#[path = "../benches/filters/mod.rs"]
mod filters;

fn main() {
    let mut args = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let (count, lookups) = (args.next().unwrap_or(100_000), args.next().unwrap_or(2_000_000));
    let (index, topics) = (filters::index(count), filters::topics(count));
    let (mut hits, start) = (0_usize, Instant::now());
    for topic in topics.iter().cycle().take(lookups) {
        index.matching(black_box(topic), |value| hits += usize::from(*value != usize::MAX));
    }
    let each = |sum: f64| sum / lookups as f64;
    println!(
        "{count} filters: {:.0} ns a look-up, {:.2} hits each",
        each(start.elapsed().as_nanos() as f64),
        each(hits as f64)
    );
}
