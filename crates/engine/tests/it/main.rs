//! The engine on real folders, with a local broker and a kind of connector that only remember.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails like a test")]

mod acks;
mod alone;
mod api;
mod broken;
mod files;
mod flow;
mod house;
mod trial;
