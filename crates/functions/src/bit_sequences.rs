use num_bigint::{BigInt, BigUint};
use value::{Entry, Kind, Map, Value, number};

use crate::function::{ANY, INT, STR, fails, gives, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Bit Sequence Functions";

/// A string, or the map that stands for bits that make no whole bytes.
pub(crate) const BIT_STRING: value::Kinds = STR.or(Kind::Map);

pub(crate) const FUNCTIONS: &[Function] = &[Function {
    name: "subbits",
    usage: "subbits(string[, start], length[, 'integer' | 'float' | 'bits'[, 'unsigned' | 'signed'[, 'big' | 'little']]])",
    signatures: &[
        sig(&[BIT_STRING, INT], ANY),
        sig(&[BIT_STRING, INT, INT], ANY),
        sig(&[BIT_STRING, INT, INT, STR], ANY),
        sig(&[BIT_STRING, INT, INT, STR, STR], ANY),
        sig(&[BIT_STRING, INT, INT, STR, STR, STR], ANY),
    ],
    summary: "So many bits from a place on, counted from 1, as a number or as bytes; fewer where the string ends before. Undefined where there is no such place. Bits that make no whole bytes are a map of their number, `bits`, and the `bytes` that they begin; `bitsize`, `bin2hexstr` and `subbits` take it for a string.",
    errors: "Fails when an argument is of the wrong kind, or a float is asked for that is none.",
    source: SOURCE,
    examples: &[
        gives("subbits(hexstr2bin('C3A5'), 4)", "12"),
        gives("subbits(hexstr2bin('C3A5'), 9, 8)", "165"),
        gives("subbits(hexstr2bin('C3A5'), 1, 16, 'integer', 'signed', 'big')", "-15451"),
        gives("bin2hexstr(subbits(hexstr2bin('C3A5'), 1, 12, 'bits'))", "'C3A'"),
        fails("subbits('a', 1, 24, 'float')"),
    ],
    body: subbits,
}];

fn subbits(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (bytes, size) = bit_string(args, 0)?;
    let (start, length) = match args.len() {
        2 => (1, args.int(1)?),
        _ => (args.int(1)?, args.int(2)?),
    };
    let option = |at: usize, names: [&str; 2]| match args.len() > at {
        true => match args.bytes(at)? {
            name if name == names[0].as_bytes() => Ok(false),
            name if name == names[1].as_bytes() => Ok(true),
            _ => Err(CallError::Domain { arg: at, reason: "is none of the options" }),
        },
        false => Ok(false),
    };
    let (signed, little) = (option(4, ["unsigned", "signed"])?, option(5, ["big", "little"])?);
    let Some(start) = usize::try_from(start).ok().and_then(|start| start.checked_sub(1)) else {
        return Ok(Value::Undefined);
    };
    if start >= size && !(start == size && size == 0) {
        return Ok(Value::Undefined);
    }
    // Where so many are not there, or it is no number of bits at all, it is all that are.
    let rest = size - start;
    let length = usize::try_from(length).map_or(rest, |length| length.min(rest));
    let bits = Bits { bytes, start, length };
    match if args.len() > 3 { args.bytes(3)? } else { b"integer" } {
        b"integer" => integer(args, &bits, signed, little),
        b"float" => {
            let all = Bits { bytes, start, length: rest };
            let found = bits.float(little).or_else(|| all.float(little));
            found.ok_or(CallError::Domain { arg: 2, reason: "is not a float there" })
        }
        b"bits" => Ok(bits.string(args)),
        _ => Err(CallError::Domain { arg: 3, reason: "is none of the options" }),
    }
}

const BITS: &[u8] = b"bits";
const BYTES: &[u8] = b"bytes";

/// A string of bits and how many they are: a string, or what `subbits` gives where bits make no whole bytes.
pub(crate) fn bit_string<'a>(args: Args<'a>, at: usize) -> Result<(&'a [u8], usize), CallError> {
    match args.value(at) {
        Value::Str(bytes) => Ok((bytes, bytes.len() * 8)),
        Value::Map(map) => match (map.len(), map.get(BITS), map.get(BYTES)) {
            (2, Some(Value::Int(bits)), Some(Value::Str(bytes))) => usize::try_from(bits)
                .ok()
                .filter(|bits| bits.div_ceil(8) == bytes.len())
                .map(|bits| (bytes, bits))
                .ok_or_else(|| args.kind(at, STR)),
            _ => Err(args.kind(at, STR)),
        },
        _ => Err(args.kind(at, STR)),
    }
}

/// A run of bits.
struct Bits<'a> {
    bytes: &'a [u8],
    start: usize,
    length: usize,
}

impl Bits<'_> {
    /// The bits in groups of eight; where they are no multiple, the last group has fewer, low in its byte.
    fn whole(&self) -> Vec<u8> {
        let bit = |at: usize| self.bytes[at / 8] >> (7 - at % 8) & 1;
        let end = self.start + self.length;
        let group = |from: usize| (from..end.min(from + 8)).fold(0, |byte, at| byte << 1 | bit(at));
        (self.start..end).step_by(8).map(group).collect()
    }

    /// The bits as a string; where they make no whole bytes, as a map of their number and the bytes that they begin.
    fn string<'v>(&self, args: Args<'v>) -> Value<'v> {
        let mut bytes = self.whole();
        let rest = self.length % 8;
        if rest == 0 {
            return args.string(&bytes);
        }
        if let Some(last) = bytes.last_mut() {
            *last <<= 8 - rest;
        }
        let bits = Value::Int(i64::try_from(self.length).unwrap_or(i64::MAX));
        let entries = [Entry { key: BITS, value: bits }, Entry { key: BYTES, value: args.string(&bytes) }];
        Value::Map(Map::new(args.arena().slice(&entries)))
    }

    fn unsigned(&self, little: bool) -> BigUint {
        let groups = self.whole();
        if little {
            return BigUint::from_bytes_le(&groups);
        }
        let rest = self.length % 8;
        match groups.split_last() {
            Some((last, before)) if rest > 0 => {
                (BigUint::from_bytes_be(before) << rest) | BigUint::from(*last)
            }
            _ => BigUint::from_bytes_be(&groups),
        }
    }

    fn float<'v>(&self, little: bool) -> Option<Value<'v>> {
        let mut bytes = self.whole();
        if little {
            bytes.reverse();
        }
        let float = match bytes.len() * 8 {
            bits if bits != self.length => return None,
            16 => half(u16::from_be_bytes(bytes.try_into().ok()?)),
            32 => f64::from(f32::from_be_bytes(bytes.try_into().ok()?)),
            64 => f64::from_be_bytes(bytes.try_into().ok()?),
            _ => return None,
        };
        number::finite(float).ok()
    }
}

/// A float of 16 bits (IEEE 754 binary16).
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff) / 1024.0;
    let size = match bits >> 10 & 0x1f {
        0 => fraction * 2f64.powi(-14),
        0x1f => f64::INFINITY,
        exponent => (1.0 + fraction) * 2f64.powi(i32::from(exponent) - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

fn integer<'a>(args: Args<'a>, bits: &Bits<'_>, signed: bool, little: bool) -> Result<Value<'a>, CallError> {
    if bits.length as u64 > number::INT_BITS_MAX {
        return Err(CallError::TooLarge);
    }
    let mut int = BigInt::from(bits.unsigned(little));
    if signed && bits.length > 0 && int.bit(bits.length as u64 - 1) {
        int -= BigInt::from(1) << bits.length;
    }
    number::from_wide(&int, args.arena()).map_err(|error| args.number_error(0, error))
}
