//! Nanoseconds per look-up: `cargo run --release -p topic --example lookup [LOOKUPS]`.

use std::hint::black_box;
use std::time::Instant;

use topic::{Index, TopicFilter};

fn main() {
    let lookups: usize = std::env::args().nth(1).map_or(2_000_000, |text| text.parse().expect("a number"));
    for count in [1_000usize, 10_000, 100_000] {
        let mut index = Index::new();
        for at in 0..count {
            let (plant, line, device) = (at % 100, at / 100 % 100, at / 10_000);
            let filter = match at % 10 {
                0 => format!("plant/{plant}/line/{line}/+/{device}"),
                1 => format!("plant/{plant}/line/{line}/d{device}/#"),
                _ => format!("plant/{plant}/line/{line}/d{device}/{}", at % 7),
            };
            index.insert(&TopicFilter::parse(&filter).expect("a filter"), at);
        }
        let topics: Vec<String> = (0..count)
            .map(|at| at.wrapping_mul(7919) % count)
            .map(|at| format!("plant/{}/line/{}/d{}/{}", at % 100, at / 100 % 100, at / 10_000, at % 7))
            .collect();
        let rounds = (lookups / count).max(1);
        let start = Instant::now();
        let mut hits = 0usize;
        for _ in 0..rounds {
            for topic in &topics {
                index.matching(black_box(topic), |value| hits += usize::from(*value != usize::MAX));
            }
        }
        let each = start.elapsed().as_nanos() as f64 / (rounds * count) as f64;
        println!(
            "{count:7} filters: {each:5.0} ns per look-up, {:.2} hits each",
            hits as f64 / (rounds * count) as f64
        );
    }
}
