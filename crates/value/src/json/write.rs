use std::io::Write as _;

use super::cursor::{is_plain_ascii, plain_end};
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
        if self.next > 0 {
            out.push(b',');
        }
        self.next += 1;
        write_string(entry.key, out);
        out.push(b':');
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
pub fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
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
            chunk.iter().for_each(|byte| write_byte(*byte, out));
        }
        rest = behind;
    }
    rest.iter().for_each(|byte| write_byte(*byte, out));
}

#[inline]
fn write_byte(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x20.. => return out.push(byte),
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            // Writing into a vector cannot fail.
            let _ = write!(out, "\\u{byte:04x}");
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
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
