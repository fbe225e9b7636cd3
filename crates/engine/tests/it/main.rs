//! The engine on real folders, with a local broker and a kind of connector that only remember.

mod acks;
mod api;
mod files;
mod flow;
mod house;
