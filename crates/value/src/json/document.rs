use super::cursor::plain_end;
use super::{Cursor, parse_at, write_string};
use crate::{Arena, Value, number};

/// A document that is known to be JSON from end to end; by default none, of which nothing can be read.
#[derive(Debug, Clone, Copy, Default)]
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
    pub fn read(&self, place: Place, arena: &'a Arena) -> Read<'a> {
        let start = place.start as usize;
        match self.first_byte(place) {
            b'"' => {
                let end = plain_end(self.bytes, start + 1);
                if let Some(b'"') = self.bytes.get(end) {
                    let text = Text::of(place, end + 1 - start);
                    return Read { value: Value::Str(&self.bytes[start + 1..end]), text };
                }
            }
            b'-' | b'0'..=b'9' => {
                let (value, length) = number::parse_in_json(&self.bytes[start..], arena);
                return Read { value, text: Text::of(place, length) };
            }
            _ => {}
        }
        Read::from(self.parse(start, arena))
    }

    #[inline(never)]
    fn parse(&self, start: usize, arena: &'a Arena) -> Value<'a> {
        // The text has been checked, so this cannot fail.
        parse_at(&mut Cursor::within(self.bytes, start), arena).unwrap_or_default()
    }

    /// Appends a value that was read of this document as JSON.
    #[inline]
    pub fn write(&self, read: &Read<'_>, out: &mut Vec<u8>) {
        /// Most are not longer than this, and copied without asking how long they are.
        const SHORT: usize = 32;
        let Text { start, end } = read.text;
        let (start, end) = (start as usize, end as usize);
        match self.bytes.get(start..end) {
            None | Some([]) => write_value(&read.value, out),
            Some(text) => match self.bytes[start..].first_chunk::<SHORT>() {
                Some(chunk) if text.len() <= SHORT => {
                    let end = out.len() + text.len();
                    out.extend_from_slice(chunk);
                    out.truncate(end);
                }
                _ => out.extend_from_slice(text),
            },
        }
    }
}

#[inline(never)]
fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Str(text) => write_string(text, out),
        value => super::write(value, out),
    }
}

/// A value with its text in a [`Document`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Read<'a> {
    /// The value.
    pub value: Value<'a>,
    /// Its text, if that is known.
    pub text: Text,
}

/// Where in a document a value stands just as [`write()`](super::write()) would write it: a number in the shortest form, or a string
/// without escapes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text {
    start: u32,
    end: u32,
}

impl Text {
    /// Nowhere.
    const NONE: Text = Text { start: 0, end: 0 };

    /// So many bytes from this place on; 0 if it is not known. What ends beyond 4 GiB does not count either.
    #[inline]
    fn of(place: Place, length: usize) -> Self {
        Self { start: place.start, end: place.start.wrapping_add(length as u32) }
    }
}

/// A value that stands in no document.
impl<'a> From<Value<'a>> for Read<'a> {
    #[inline]
    fn from(value: Value<'a>) -> Self {
        Self { value, text: Text::NONE }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json;

    proptest! {
        #[test]
        fn text_is_passed_on_only_as_it_would_be_written(
            scalar in "-?(0|[1-9][0-9]{0,18})(\\.[0-9]{1,17}|\\.0{0,4}[1-9]0{0,3})?([eE][+-]?[0-9])?|true|false|null|\"([ !#-~]|é){0,40}\"|\"(\\\\[n/\"u]0041){0,3}\"",
            behind in " {0,40}",
        ) {
            let text = format!("[{scalar}{behind}]");
            let arena = Arena::new();
            if json::parse(text.as_bytes(), &arena).is_ok() {
                let document = Document { bytes: text.as_bytes() };
                let read = document.read(Place { start: 1, depth: 1 }, &arena);
                let (mut written, mut anew) = (Vec::new(), Vec::new());
                document.write(&read, &mut written);
                json::write(&read.value, &mut anew);
                prop_assert_eq!(String::from_utf8(written), String::from_utf8(anew), "{}", text);
            }
        }
    }
}
