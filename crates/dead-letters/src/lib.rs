//! What could not be delivered, kept on disk with its reason, for people to look at, send again, or throw away.
//!
//! A [`Store`] is a journal of [`Letter`]s with a bound: the oldest give way to new ones, and that is counted. Whoever
//! hands in a letter is told when it is on disk; only then may whatever it came from be forgotten.
//!
//! *Invariant:* knows neither rules nor connectors. Handing in a letter never waits for the disk.

mod letter;
mod store;

pub use letter::{Letter, Message};
pub use store::{Filter, OpenError, Store, Summary};
