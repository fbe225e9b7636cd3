//! The connector against a remote that does what it is told, and against a real mosquitto.
#![allow(clippy::unwrap_used)] // a test that finds nothing is to stop there

mod broker;
mod changes;
mod house;
mod marks;
mod mosquitto;
mod sessions;
mod sinks;
mod sources;
mod status;
