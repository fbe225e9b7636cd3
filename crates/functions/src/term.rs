//! Erlang's external term format: `term_encode` and `term_decode`, and the form of stored values.

use bumpalo::collections::Vec as ArenaVec;
use num_bigint::{BigInt, Sign};
use value::{Arena, Entry, Map, Value, number};

use crate::function::{ANY, STR, fails, gives, sig};
use crate::{CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions; Erlang/OTP, External Term Format";
/// How deeply a term may be nested.
const DEPTH_MAX: usize = 256;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "term_decode",
        usage: "term_decode(string)",
        signatures: &[sig(&[STR], ANY)],
        summary: "The value that a binary in Erlang's external term format holds.",
        errors: "Fails when the argument is no such binary, or has terms that are no values here.",
        source: SOURCE,
        examples: &[gives("term_decode(term_encode([1, 'a']))", "[1, 'a']"), fails("term_decode('junk')")],
        body: |args| {
            let bad = CallError::Domain { arg: 0, reason: "is not in the external term format" };
            decode(args.bytes(0)?, args.arena()).ok_or(bad)
        },
    },
    Function {
        name: "term_encode",
        usage: "term_encode(any)",
        signatures: &[sig(&[ANY], STR)],
        summary: "The value as a binary in Erlang's external term format.",
        errors: "Fails when the value is nested too deeply.",
        source: SOURCE,
        examples: &[gives("bin2hexstr(term_encode(1))", "'836101'")],
        body: |args| {
            let mut out = Vec::new();
            encode(&args.value(0), &mut out)?;
            Ok(args.string(&out))
        },
    },
];

/// Appends a value as a term, version byte included.
pub(crate) fn encode(value: &Value<'_>, out: &mut Vec<u8>) -> Result<(), CallError> {
    out.push(131);
    put(value, 0, out)
}

fn put(value: &Value<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), CallError> {
    if depth > DEPTH_MAX {
        return Err(CallError::TooLarge);
    }
    let size = |length: usize| u32::try_from(length).map(u32::to_be_bytes).map_err(|_| CallError::TooLarge);
    match value {
        Value::Undefined => put_atom("undefined", out),
        Value::Null => put_atom("null", out),
        Value::Bool(true) => put_atom("true", out),
        Value::Bool(false) => put_atom("false", out),
        Value::Atom(text) => put_atom(text, out),
        Value::Int(int) => match (u8::try_from(*int), i32::try_from(*int)) {
            (Ok(byte), _) => out.extend([97, byte]),
            (_, Ok(int)) => {
                out.push(98);
                out.extend(int.to_be_bytes());
            }
            _ => put_big(&BigInt::from(*int), out)?,
        },
        Value::Big(_) => put_big(&number::to_wide(value).unwrap_or_default(), out)?,
        Value::Float(float) => {
            out.push(70);
            out.extend(float.to_be_bytes());
        }
        Value::Str(bytes) => {
            out.push(109);
            out.extend(size(bytes.len())?);
            out.extend_from_slice(bytes);
        }
        Value::Array([]) => out.push(106),
        Value::Array(items) => {
            let byte = |item: &Value<'_>| match item {
                Value::Int(int) => u8::try_from(*int).ok(),
                _ => None,
            };
            match u16::try_from(items.len()) {
                Ok(length) if items.iter().all(|item| byte(item).is_some()) => {
                    out.push(107);
                    out.extend(length.to_be_bytes());
                    out.extend(items.iter().filter_map(byte));
                }
                _ => {
                    out.push(108);
                    out.extend(size(items.len())?);
                    items.iter().try_for_each(|item| put(item, depth + 1, out))?;
                    out.push(106);
                }
            }
        }
        Value::Map(map) => {
            out.push(116);
            out.extend(size(map.len())?);
            for entry in map.entries() {
                put(&Value::Str(entry.key), depth + 1, out)?;
                put(&entry.value, depth + 1, out)?;
            }
        }
    }
    Ok(())
}

fn put_atom(text: &str, out: &mut Vec<u8>) {
    // Names are short: those of events and nodes. A longer one would be cut rather than break the term.
    let length = text.floor_char_boundary(255);
    out.extend([119, length as u8]);
    out.extend_from_slice(&text.as_bytes()[..length]);
}

fn put_big(int: &BigInt, out: &mut Vec<u8>) -> Result<(), CallError> {
    let (sign, bytes) = int.to_bytes_le();
    match u8::try_from(bytes.len()) {
        Ok(length) => out.extend([110, length]),
        Err(_) => {
            out.push(111);
            out.extend(u32::try_from(bytes.len()).map_err(|_| CallError::TooLarge)?.to_be_bytes());
        }
    }
    out.push(u8::from(sign == Sign::Minus));
    out.extend(bytes);
    Ok(())
}

/// Reads a term, which must be all of the bytes. `None` if it is none, or not a value of ours.
pub(crate) fn decode<'a>(bytes: &'a [u8], arena: &'a Arena) -> Option<Value<'a>> {
    let mut reader = Reader(bytes);
    if reader.byte()? != 131 {
        return None;
    }
    let value = reader.value(0, arena)?;
    reader.0.is_empty().then_some(value)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn short(&mut self) -> Option<usize> {
        Some(usize::from(u16::from_be_bytes(self.take(2)?.try_into().ok()?)))
    }

    fn long(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(self.take(4)?.try_into().ok()?)).ok()
    }

    fn value(&mut self, depth: usize, arena: &'a Arena) -> Option<Value<'a>> {
        if depth > DEPTH_MAX {
            return None;
        }
        Some(match self.byte()? {
            97 => Value::Int(i64::from(self.byte()?)),
            98 => Value::Int(i64::from(i32::from_be_bytes(self.take(4)?.try_into().ok()?))),
            70 => number::finite(f64::from_be_bytes(self.take(8)?.try_into().ok()?)).ok()?,
            110 => {
                let length = usize::from(self.byte()?);
                self.big(length, arena)?
            }
            111 => {
                let length = self.long()?;
                self.big(length, arena)?
            }
            100 | 118 => {
                let length = self.short()?;
                atom(self.take(length)?)?
            }
            115 | 119 => {
                let length = usize::from(self.byte()?);
                atom(self.take(length)?)?
            }
            109 => {
                let length = self.long()?;
                Value::Str(self.take(length)?)
            }
            106 => Value::Array(&[]),
            107 => {
                let length = self.short()?;
                let items = self.take(length)?.iter().map(|byte| Value::Int(i64::from(*byte)));
                Value::Array(ArenaVec::from_iter_in(items, arena.bump()).into_bump_slice())
            }
            108 => {
                let length = self.long()?;
                let mut items = ArenaVec::new_in(arena.bump());
                for _ in 0..length {
                    items.push(self.value(depth + 1, arena)?);
                }
                if self.byte()? != 106 {
                    return None;
                }
                Value::Array(items.into_bump_slice())
            }
            116 => {
                let length = self.long()?;
                let mut entries: ArenaVec<'_, Entry<'_>> = ArenaVec::new_in(arena.bump());
                for _ in 0..length {
                    let Value::Str(key) = self.value(depth + 1, arena)? else { return None };
                    entries.push(Entry { key, value: self.value(depth + 1, arena)? });
                }
                entries.sort_unstable_by_key(|entry| entry.key);
                if entries.windows(2).any(|pair| pair[0].key == pair[1].key) {
                    return None;
                }
                Value::Map(Map::new(entries.into_bump_slice()))
            }
            _ => return None,
        })
    }

    fn big(&mut self, length: usize, arena: &'a Arena) -> Option<Value<'a>> {
        let sign = if self.byte()? == 0 { Sign::Plus } else { Sign::Minus };
        number::from_wide(&BigInt::from_bytes_le(sign, self.take(length)?), arena).ok()
    }
}

fn atom(name: &[u8]) -> Option<Value<'_>> {
    Some(match name {
        b"true" => Value::Bool(true),
        b"false" => Value::Bool(false),
        b"null" => Value::Null,
        b"undefined" => Value::Undefined,
        name => Value::Atom(std::str::from_utf8(name).ok()?),
    })
}
