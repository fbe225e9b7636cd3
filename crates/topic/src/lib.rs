//! Topic names, topic filters, and the index that matches one name against many filters (MQTT 5.0 §4.7).
//!
//! [`TopicName`], [`TopicFilter`] and [`Subscription`] are checked once, at the rim, and trusted from there on.
//! [`matches()`] and [`Index::matching`] take plain text, since events and sources have names that are no topics.
//!
//! *Invariant:* pure data and pure functions; a look-up allocates nothing and visits only nodes that can still match.

mod index;
mod name;
mod pattern;

pub use index::Index;
pub use name::{
    BYTES_MAX, LEVELS_MAX, Subscription, TopicError, TopicFilter, TopicName, matches, matches_bytes,
    split_levels,
};
pub use pattern::{AccessPattern, BoundPattern};
