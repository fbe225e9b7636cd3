//! What each fuzz target does with its bytes, and what must hold whatever they are. The same files run for a moment among
//! the tests of the crates they are about.

pub mod evaluator;
pub mod mqtt_packets;
pub mod parser;
pub mod rule_file;
pub mod scan;
pub mod shape;
pub mod templates;
