//! The rule dialect's front end: text to syntax tree to typed IR.
//!
//! *Invariant:* ignorant of function bodies and events, for which a [`Catalog`] answers. Pure: broken input is input,
//! and nothing here fails, blocks or panics; every problem comes back as a diagnostic.

mod catalog;
pub mod ir;

pub use catalog::{Catalog, Column, ColumnId, Function, FunctionId, Lookup};

/// How deep parentheses, lists, calls, CASE, NOT and signs may be nested in one another.
pub const NESTING_MAX: u32 = 64;

/// How long the SQL of one rule may be (bytes).
pub const SQL_BYTES_MAX: usize = 64 << 10;
