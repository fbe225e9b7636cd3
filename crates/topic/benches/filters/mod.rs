//! Filters as a plant has them, and topics to look up among them.

use topic::{Index, TopicFilter};

/// The index of so many filters; one in ten has `+` in it, and one in ten ends in `#`.
pub(crate) fn index(count: usize) -> Index<usize> {
    let mut index = Index::new();
    for at in 0..count {
        let (plant, line, device) = places(at);
        let filter = match at % 10 {
            0 => format!("plant/{plant}/line/{line}/+/{device}"),
            1 => format!("plant/{plant}/line/{line}/d{device}/#"),
            _ => format!("plant/{plant}/line/{line}/d{device}/{}", at % 7),
        };
        index.insert(&TopicFilter::parse(&filter).expect("a filter"), at);
    }
    index
}

/// As many topics as there are filters, in an order that the processor's caches have no use for.
pub(crate) fn topics(count: usize) -> Vec<String> {
    let spread = (0..count).map(|at| at.wrapping_mul(7919) % count);
    let topic = |at: usize| {
        let (plant, line, device) = places(at);
        format!("plant/{plant}/line/{line}/d{device}/{}", at % 7)
    };
    spread.map(topic).collect()
}

fn places(at: usize) -> (usize, usize, usize) {
    (at % 100, at / 100 % 100, at / 10_000)
}
