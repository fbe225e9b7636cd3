//! The way through a document, found 64 bytes at a time.
//!
//! [`Walk`] checks the document and leaves a few [`Marks`] for each block; [`Entries`] and [`Items`] go through what
//! has been checked by these marks. A fault is only noticed here. What and where it is, the [`Cursor`] says, to which
//! faulty documents go.

mod follow;
mod marks;
mod nesting;
mod numbers;
#[cfg(test)]
pub(super) mod tests;
mod walk;

pub use follow::{Entries, Items};

use marks::Marks;
use walk::Walk;

use super::{Cursor, Document, JsonError, Place};
use crate::Arena;

/// A document that has been checked from end to end, with what it takes to find one's way in it.
#[derive(Debug, Clone, Copy)]
pub struct Outline<'a> {
    bytes: &'a [u8],
    marks: &'a [Marks],
    /// Whether there are escapes in keys.
    escaped_keys: bool,
    root: Place,
}

/// How many bytes a block has.
const WIDTH: usize = 64;

impl<'a> Outline<'a> {
    /// Checks a document, UTF-8 included, and finds the way through it.
    pub fn new(bytes: &'a [u8], arena: &'a Arena) -> Result<Self, JsonError> {
        if bytes.len() >= u32::MAX as usize {
            return Err(JsonError { at: u32::MAX as usize, reason: "the document is too long" });
        }
        let mut cursor = Cursor::new(bytes);
        match cursor.peek() {
            b'{' | b'[' => Self::nested(bytes, cursor.at(), arena).ok_or_else(|| fault(bytes)),
            _ => Self::scalar(bytes),
        }
    }

    fn scalar(bytes: &'a [u8]) -> Result<Self, JsonError> {
        check_utf8(bytes)?;
        let mut cursor = Cursor::new(bytes);
        cursor.peek();
        let start = cursor.at();
        if cursor.skip(0).and_then(|_| cursor.end()).is_none() {
            return Err(cursor.error());
        }
        Ok(Self { bytes, marks: &[], escaped_keys: false, root: Place { start: start as u32, depth: 0 } })
    }

    #[inline(always)]
    fn nested(bytes: &'a [u8], start: usize, arena: &'a Arena) -> Option<Self> {
        let marks = arena.bump().alloc_slice_fill_copy(bytes.len().div_ceil(WIDTH), Marks::default());
        let mut walk = Walk::new(bytes);
        let last = walk.run(marks)?;
        let mut cursor = Cursor::within(bytes, last + 1);
        cursor.end()?;
        if walk.beyond_ascii && simdutf8::basic::from_utf8(bytes).is_err() {
            return None;
        }
        let root = Place { start: start as u32, depth: 0 };
        Some(Self { bytes, marks, escaped_keys: walk.escaped_keys, root })
    }

    /// The whole document.
    pub fn root(&self) -> Place {
        self.root
    }

    /// The document, which needs no outline to be read from.
    #[inline]
    pub fn document(&self) -> Document<'a> {
        Document { bytes: self.bytes }
    }
}

/// What is wrong with a document that is not well-formed.
#[cold]
fn fault(bytes: &[u8]) -> JsonError {
    if let Err(error) = check_utf8(bytes) {
        return error;
    }
    let mut cursor = Cursor::new(bytes);
    if cursor.skip(0).and_then(|_| cursor.end()).is_some() {
        cursor.fail::<()>("malformed");
    }
    cursor.error()
}

/// Checks that a document is UTF-8.
pub(super) fn check_utf8(bytes: &[u8]) -> Result<(), JsonError> {
    if simdutf8::basic::from_utf8(bytes).is_ok() {
        return Ok(());
    }
    // The fast check only says that there is a fault; the slow one says where.
    let at = std::str::from_utf8(bytes).err().map_or(0, |slow| slow.valid_up_to());
    Err(JsonError { at, reason: "not UTF-8" })
}
