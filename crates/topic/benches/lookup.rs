//! Which of many filters match a topic: `cargo bench -p topic`.

use divan::{Bencher, black_box};

mod filters;

fn main() {
    divan::main();
}

/// Another topic every time. The engine looks up a topic once, and then remembers what it has found.
#[divan::bench(args = [1_000, 10_000, 100_000])]
fn cold(bencher: Bencher<'_, '_>, count: usize) {
    let (index, topics) = (filters::index(count), filters::topics(count));
    let mut next = topics.iter().cycle();
    bencher.bench_local(|| {
        let mut found = 0_usize;
        if let Some(topic) = next.next() {
            index.matching(black_box(topic), |value| found = found.wrapping_add(*value));
        }
        found
    });
}
