use std::io::Write as _;

use super::cursor::{is_plain_ascii, is_plain_word, plain_end};
use crate::{Entry, Value, number};

/// Appends a value as JSON.
///
/// Floats are the shortest text that reads back the same, always with a point or an exponent. Bytes that are not
/// UTF-8 come out as U+FFFD. What is undefined is written as the string `"undefined"`, as the reference shows it.
/// Any depth is written, without recursion.
pub fn write(value: &Value<'_>, out: &mut Vec<u8>) {
    let Some(mut level) = begin(value, out) else { return };
    let mut above = Vec::new();
    loop {
        let inner = match &mut level {
            Level::Array(items) => items.next_value(out),
            Level::Map(entries) => entries.next_value(out),
        };
        match inner {
            Some(value) => {
                if let Some(inner) = begin(value, out) {
                    above.push(std::mem::replace(&mut level, inner));
                }
            }
            None => match above.pop() {
                Some(outer) => level = outer,
                None => return,
            },
        }
    }
}

/// An array or map of which some is written.
enum Level<'v, 'a> {
    Array(Items<'v, Value<'a>>),
    Map(Items<'v, Entry<'a>>),
}

struct Items<'v, T> {
    items: &'v [T],
    next: usize,
}

impl<'v, 'a> Items<'v, Value<'a>> {
    fn next_value(&mut self, out: &mut Vec<u8>) -> Option<&'v Value<'a>> {
        let Some(value) = self.items.get(self.next) else {
            out.push(b']');
            return None;
        };
        if self.next > 0 {
            out.push(b',');
        }
        self.next += 1;
        Some(value)
    }
}

impl<'v, 'a> Items<'v, Entry<'a>> {
    fn next_value(&mut self, out: &mut Vec<u8>) -> Option<&'v Value<'a>> {
        let Some(entry) = self.items.get(self.next) else {
            out.push(b'}');
            return None;
        };
        let first = self.next == 0;
        self.next += 1;
        write_key(entry.key, first, out);
        Some(&entry.value)
    }
}

/// Writes a scalar wholly, and the opening bracket of anything else.
fn begin<'v, 'a>(value: &'v Value<'a>, out: &mut Vec<u8>) -> Option<Level<'v, 'a>> {
    match value {
        Value::Undefined => out.extend_from_slice(b"\"undefined\""),
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(_) | Value::Big(_) => number::write_int(value, out),
        Value::Float(float) => number::write_float(*float, out),
        Value::Atom(text) => write_string(text.as_bytes(), out),
        Value::Str(bytes) => write_string(bytes, out),
        Value::Array(items) => {
            out.push(b'[');
            return Some(Level::Array(Items { items, next: 0 }));
        }
        Value::Map(map) => {
            out.push(b'{');
            return Some(Level::Map(Items { items: map.entries(), next: 0 }));
        }
    }
    None
}

/// Appends text as a JSON string, quotes included; each malformed sequence becomes one U+FFFD.
#[inline]
pub fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    if !write_short::<0>(bytes, out) {
        write_long(bytes, out);
    }
}

/// Appends a key with its colon, and the comma before it unless it is the first.
#[inline]
pub(super) fn write_key(key: &[u8], first: bool, out: &mut Vec<u8>) {
    if !first && write_short::<1>(key, out) {
        return;
    }
    if !first {
        out.push(b',');
    }
    write_string(key, out);
    out.push(b':');
}

/// Appends text of at most 32 bytes in which nothing must be escaped, as most names and values are; otherwise gives `false`.
/// With `KEY` 1 instead of 0, a comma goes before it and a colon behind it.
///
/// The text is handled as one, two or four words, which is cheaper than to ask for a copy of so few bytes.
#[inline(always)]
fn write_short<const KEY: usize>(text: &[u8], out: &mut Vec<u8>) -> bool {
    let length = text.len();
    let words = |chunk: &[u8; 16]| {
        let words = u128::from_le_bytes(*chunk);
        [words as u64, (words >> 64) as u64]
    };
    match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) if length <= 16 => {
            let words = [(0, u64::from_le_bytes(*first)), (length - 8, u64::from_le_bytes(*last))];
            write_words::<KEY, 2, 24>(words, length, out)
        }
        (None, None) => write_words::<KEY, 1, 16>([(0, few(text))], length, out),
        _ => match (text.first_chunk(), text.last_chunk()) {
            (Some(first), Some(last)) if length <= 32 => {
                let ([first, second], [third, last]) = (words(first), words(last));
                let words = [(0, first), (8, second), (length - 16, third), (length - 8, last)];
                write_words::<KEY, 4, 40>(words, length, out)
            }
            _ => false,
        },
    }
}

/// The same with the text as words, each with where in the text it stands.
#[inline(always)]
fn write_words<const KEY: usize, const WORDS: usize, const ROOM: usize>(
    words: [(usize, u64); WORDS],
    length: usize,
    out: &mut Vec<u8>,
) -> bool {
    if !words.iter().all(|(_, word)| is_plain_word(*word)) {
        return false;
    }
    let mut room = [b'"'; ROOM];
    room[0] = if KEY == 1 { b',' } else { b'"' };
    for (at, word) in words {
        if let Some(place) = room.get_mut(KEY + 1 + at..).and_then(|rest| rest.first_chunk_mut()) {
            *place = word.to_le_bytes();
        }
    }
    let end = KEY + 1 + length;
    room[end] = b'"';
    if KEY == 1 {
        room[end + 1] = b':';
    }
    let start = out.len();
    out.extend_from_slice(&room);
    out.truncate(start + end + 1 + KEY);
    true
}

const BLANKS: u64 = 0x2020_2020_2020_2020;

/// Less than eight bytes as a word, filled up with blanks.
#[inline(always)]
fn few(text: &[u8]) -> u64 {
    let length = text.len();
    let word = match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (length - 4))
        }
        _ => match text {
            [] => 0,
            [first, .., last] => {
                u64::from(*first)
                    | u64::from(text[length / 2]) << (8 * (length / 2))
                    | u64::from(*last) << (8 * (length - 1))
            }
            [one] => u64::from(*one),
        },
    };
    word | BLANKS << (8 * length)
}

fn write_long(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    if is_plain_ascii(bytes) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => write_escaped(text.as_bytes(), out),
        Err(_) => {
            for chunk in bytes.utf8_chunks() {
                write_escaped(chunk.valid().as_bytes(), out);
                if !chunk.invalid().is_empty() {
                    out.extend_from_slice("\u{fffd}".as_bytes());
                }
            }
        }
    }
    out.push(b'"');
}

fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    // Most of what must be escaped takes two bytes.
    out.reserve(text.len() + text.len() / 2);
    let mut rest = text;
    while let Some((chunk, behind)) = rest.split_first_chunk::<8>() {
        if plain_end(chunk, 0) == 8 {
            out.extend_from_slice(chunk);
        } else {
            write_chunk(chunk, out);
        }
        rest = behind;
    }
    rest.iter().for_each(|byte| write_byte(*byte, out));
}

/// Writes bytes of which some must be escaped.
#[inline]
fn write_chunk(chunk: &[u8; 8], out: &mut Vec<u8>) {
    let mut text = [0; 16];
    let mut length = 0;
    for byte in chunk {
        let Escape { bytes, length: more } = ESCAPES[usize::from(*byte)];
        if more == 0 {
            return chunk.iter().for_each(|byte| write_byte(*byte, out));
        }
        // Two bytes in any case; of one, the second is overwritten by what comes next.
        if let Some(place) = text.get_mut(length..).and_then(|rest| rest.first_chunk_mut()) {
            *place = bytes;
        }
        length += usize::from(more);
    }
    let start = out.len();
    out.extend_from_slice(&text);
    out.truncate(start + length);
}

/// How a byte is written.
#[derive(Clone, Copy)]
struct Escape {
    bytes: [u8; 2],
    /// How many of them count; 0 if it takes more than two.
    length: u8,
}

const ESCAPES: [Escape; 256] = {
    let mut escapes = [Escape { bytes: [b'\\', 0], length: 0 }; 256];
    let mut byte = 0;
    while byte < 256 {
        let (letter, length) = match byte as u8 {
            b'\n' => (b'n', 2),
            b'\r' => (b'r', 2),
            b'\t' => (b't', 2),
            0x08 => (b'b', 2),
            0x0c => (b'f', 2),
            b'"' => (b'"', 2),
            b'\\' => (b'\\', 2),
            0..0x20 => (0, 0),
            _ => (0, 1),
        };
        escapes[byte] = match length {
            1 => Escape { bytes: [byte as u8, 0], length },
            _ => Escape { bytes: [b'\\', letter], length },
        };
        byte += 1;
    }
    escapes
};

#[inline]
fn write_byte(byte: u8, out: &mut Vec<u8>) {
    let Escape { bytes, length } = ESCAPES[usize::from(byte)];
    match length {
        // Writing into a vector cannot fail.
        0 => _ = write!(out, "\\u{byte:04x}"),
        length => out.extend_from_slice(&bytes[..usize::from(length)]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Arena;

    fn shown(value: Value<'_>) -> String {
        let mut out = Vec::new();
        write(&value, &mut out);
        String::from_utf8(out).expect("writes UTF-8")
    }

    #[test]
    fn writes_scalars_as_the_reference_shows_them() {
        assert_eq!(shown(Value::Undefined), "\"undefined\"");
        assert_eq!(shown(Value::Float(1.0)), "1.0");
        assert_eq!(shown(Value::Float(0.1 + 0.2)), "0.30000000000000004");
        assert_eq!(shown(Value::Float(1e300)), "1e+300");
        assert_eq!(shown(Value::Str(b"\xfb\xff\"\x01/")), "\"\u{fffd}\u{fffd}\\\"\\u0001/\"");
    }

    proptest! {
        #[test]
        fn writes_strings_as_an_independent_writer(text in "([ -~]|[\\x00-\\x1f\"\\\\]|é){0,24}", plain in "[a-z ]{0,20}") {
            for text in [text, plain] {
                let mut out = b"before ".to_vec();
                write_string(text.as_bytes(), &mut out);
                prop_assert_eq!(String::from_utf8(out).expect("UTF-8"), format!("before {}", serde_json::json!(text)));
            }
        }
    }

    #[test]
    fn writes_any_depth() {
        let arena = Arena::new();
        let mut value = Value::Null;
        for _ in 0..200_000 {
            value = Value::Array(arena.slice(&[value]));
        }
        assert_eq!(shown(value).len(), 400_004);
    }
}
