//! The values of the rule dialect: what a column holds, what an expression gives, what a template prints.
//!
//! A [`Value`] is 24 bytes, `Copy`, and borrows from the event, from the compiled rule or from the [`Arena`] of the
//! worker that evaluates. Nothing here owns heap memory, so an evaluation that stays within the arena's current
//! chunk allocates nothing.
//!
//! *Invariant:* pure data and pure functions. No clock, no randomness, no I/O, and no knowledge of SQL or events.

mod arena;
pub mod compare;
pub mod json;
mod kind;
pub mod number;
pub mod path;
pub mod size;
pub mod text;
mod value;

pub use arena::Arena;
pub use kind::{Kind, Kinds, Signature};
pub use value::{BigInt, Entry, Map, Value};
