//! Runs a target for a moment, on seeds and on what comes of them when they are damaged.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A change to a text.
#[derive(Debug, Clone)]
enum Edit {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Cut(usize),
    Repeat(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let sign =
        prop_oneof![any::<u8>(), prop::sample::select(b"\"'\\.,()[]{}$#+-*/=<> \n\0\xff0:aAeE".to_vec()),];
    prop_oneof![
        (any::<usize>(), sign.clone()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (any::<usize>(), sign).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        any::<usize>().prop_map(Edit::Remove),
        any::<usize>().prop_map(Edit::Cut),
        (any::<usize>(), 1..20_usize).prop_map(|(at, length)| Edit::Repeat(at, length)),
    ]
}

fn apply(data: &mut Vec<u8>, edit: &Edit) {
    let length = data.len();
    match *edit {
        Edit::Insert(at, byte) => data.insert(at % (length + 1), byte),
        _ if length == 0 => {}
        Edit::Set(at, byte) => data[at % length] = byte,
        Edit::Remove(at) => drop(data.remove(at % length)),
        Edit::Cut(at) => data.truncate(at % length),
        Edit::Repeat(at, count) => {
            let at = at % length;
            let part = data[at..length.min(at + count)].to_vec();
            data.splice(at..at, part);
        }
    }
}

/// Runs `target` on every seed, and on `cases` damaged ones; with `FUZZ_SECONDS` in the environment for as long, on others every
/// time.
pub(crate) fn run(seeds: &[Vec<u8>], cases: u32, target: fn(&[u8])) {
    seeds.iter().for_each(|seed| target(seed));
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (start, mut rounds) = (Instant::now(), 0_u64);
    while rounds == 0 || start.elapsed() < Duration::from_secs(seconds) {
        round(seeds, cases, target, seconds > 0);
        rounds += 1;
    }
    println!("{} damaged seeds in {} s", rounds * u64::from(cases), start.elapsed().as_secs());
}

/// One round; with `chance` on other damaged seeds every time.
fn round(seeds: &[Vec<u8>], cases: u32, target: fn(&[u8]), chance: bool) {
    let damaged = (0..seeds.len(), prop::collection::vec(edit(), 1..12));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = if chance {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let result = runner.run(&damaged, |(seed, edits)| {
        let mut data = seeds[seed].clone();
        edits.iter().for_each(|edit| apply(&mut data, edit));
        target(&data);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
