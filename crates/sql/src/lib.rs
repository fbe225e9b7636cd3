//! The rule dialect's front end: text to syntax tree to typed IR.
//!
//! [`parse()`] makes an [`ast::Tree`] of text; [`lower()`] looks its names up in a [`Catalog`] and makes an
//! [`ir::Statement`] of it. Both report every problem they find and go on.
//!
//! *Invariant:* ignorant of function bodies and events, for which a [`Catalog`] answers. Pure: broken input is input,
//! and nothing here fails, blocks or panics; every problem comes back as a diagnostic.

pub mod ast;
mod catalog;
pub mod ir;
mod lower;
mod parse;
mod portability;
mod print;
mod token;

pub use catalog::{Catalog, Column, ColumnId, Function, FunctionId, Lookup, Refusal};
pub use lower::lower;
pub use parse::parse;

/// How deep parentheses, lists, calls, CASE, NOT and signs may be nested in one another.
pub const NESTING_MAX: u32 = 64;

/// How many steps a path may have.
pub const PATH_STEPS_MAX: usize = 64;

/// How many diagnostics one statement may have; what lies behind the bound is not worth reading.
pub const PROBLEMS_MAX: usize = 100;

/// How long the SQL of one rule may be (bytes).
pub const SQL_BYTES_MAX: usize = 64 << 10;
