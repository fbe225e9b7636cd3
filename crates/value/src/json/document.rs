use super::cursor::plain_end;
use super::{Cursor, parse_at};
use crate::{Arena, Value, number};

/// A document that is known to be JSON from end to end.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    pub(super) bytes: &'a [u8],
}

/// Where a value begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub(super) start: u32,
    /// How many arrays and objects it stands in.
    pub(super) depth: u32,
}

impl Place {
    /// Where nothing is.
    pub const NOWHERE: Place = Place { start: u32::MAX, depth: 0 };

    /// Whether nothing is there.
    pub fn is_nowhere(self) -> bool {
        self.start == u32::MAX
    }
}

impl<'a> Document<'a> {
    /// Its text.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The byte with which a value begins; 0 where nothing is.
    #[inline]
    pub fn first_byte(&self, place: Place) -> u8 {
        self.bytes.get(place.start as usize).copied().unwrap_or(0)
    }

    /// Decodes a value. Strings without escapes are borrowed from the document; the rest goes into the arena.
    #[inline]
    pub fn value(&self, place: Place, arena: &'a Arena) -> Value<'a> {
        let start = place.start as usize;
        match self.first_byte(place) {
            b'"' => {
                let end = plain_end(self.bytes, start + 1);
                if let Some(b'"') = self.bytes.get(end) {
                    return Value::Str(&self.bytes[start + 1..end]);
                }
            }
            b'-' | b'0'..=b'9' => return number::parse_in_json(&self.bytes[start..], arena),
            _ => {}
        }
        // The text has been checked, so this cannot fail.
        parse_at(&mut Cursor::within(self.bytes, start), arena).unwrap_or_default()
    }
}
