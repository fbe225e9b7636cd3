//! The parts put together: which connector kinds exist, in which order things start, how they end.
//!
//! *Invariant:* decides nothing about messages. It opens what the configuration names, hands the parts to each other
//! and awaits the end of every one of them.

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "they panic when nobody reads any more")]

mod broker_metrics;
mod certificates;
mod connectors;
mod data_dir;
mod door;
mod local;
mod log_queue;
mod logging;
mod process_metrics;
mod run;
mod runtimes;
mod screen;
mod signals;
mod supervisor;

pub use api::show_letter;
pub use auth::hash_password;
pub use connectors::KINDS;
pub use engine::dead_letters;
pub use logging::{Log, LogFormat};
pub use run::{ServerError, check, run, surroundings};
pub use signals::Signals;
