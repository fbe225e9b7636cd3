//! JSON in and out.
//!
//! Reading is strict (RFC 8259): the whole document is checked, UTF-8 included, the last of doubled keys wins,
//! integers keep every digit, and a float beyond range is an error, as there is no infinity in the dialect.

mod cursor;
mod document;
mod key;
mod lanes;
mod name;
mod outline;
mod parse;
mod shape;
mod windows;
mod write;

pub use cursor::{Cursor, RawString, Token};
pub use document::{Document, Place, Read, Text};
pub use key::Key;
pub use name::Name;
pub use outline::{Entries, Items, Outline};
pub use parse::{parse, parse_at};
pub use shape::{Fit, Misfit, Shape};
pub use write::{write, write_string};

/// Where and why a document is not JSON, or is more than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Offset of the offending byte.
    pub at: usize,
    /// What was expected there, or which bound was met.
    pub reason: &'static str,
}

impl std::fmt::Display for JsonError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "not JSON at byte {}: {}", self.at, self.reason)
    }
}

impl std::error::Error for JsonError {}

/// How deeply arrays and objects may be nested in a document.
pub const DEPTH_MAX: usize = 256;
