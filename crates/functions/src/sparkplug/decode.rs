use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use value::{Arena, Entry, Map, Value, number};

use super::schema::{Field, Kind, Label, Message};
use crate::CallError;

/// How deeply messages may lie in one another.
pub(super) const DEPTH_MAX: u32 = 100;

const BROKEN: CallError = CallError::Domain { arg: 0, reason: "is no such Sparkplug B message" };

/// A message as a map. Fields that are missing are left out, but for repeated ones, which are empty lists; what the
/// schema does not know, or has with another wire type, is skipped. Of a field that is there twice, the last counts.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    message: &'static Message,
    arena: &'a Arena,
) -> Result<Value<'a>, CallError> {
    Decoder { arena }.message(bytes, message, 0).map(Value::Map)
}

struct Decoder<'a> {
    arena: &'a Arena,
}

/// What a field holds so far.
#[derive(Clone, Default)]
enum Held<'a> {
    #[default]
    Nothing,
    Plain(Value<'a>),
    /// The bytes of a message: a second piece continues the first.
    Message(Vec<u8>),
    List(Vec<Value<'a>>),
}

impl<'a> Decoder<'a> {
    fn message(&self, bytes: &[u8], message: &'static Message, depth: u32) -> Result<Map<'a>, CallError> {
        if depth >= DEPTH_MAX || self.arena.is_exhausted() {
            return Err(CallError::TooLarge);
        }
        let mut held = vec![Held::Nothing; message.fields.len()];
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, wire) = decode_key(&mut rest).map_err(|_| BROKEN)?;
            let place = message.fields.iter().position(|field| field.number == number);
            let Some(place) = place.filter(|place| fits(&message.fields[*place], wire)) else {
                skip_field(wire, number, &mut rest, DecodeContext::default()).map_err(|_| BROKEN)?;
                continue;
            };
            let field = &message.fields[place];
            if field.label == Label::OneOf {
                for (other, held) in message.fields.iter().zip(&mut held) {
                    if other.label == Label::OneOf && other.number != number {
                        *held = Held::Nothing;
                    }
                }
            }
            self.field(field, wire, &mut rest, &mut held[place], depth)?;
        }
        let mut entries = Vec::new();
        for (field, held) in message.fields.iter().zip(held) {
            let value = match held {
                Held::Nothing if field.label == Label::Repeated => Value::Array(&[]),
                Held::Nothing => continue,
                Held::Plain(value) => value,
                Held::List(items) => Value::Array(self.arena.slice(&items)),
                Held::Message(bytes) => match field.kind {
                    Kind::Message(inner) => Value::Map(self.message(&bytes, inner, depth + 1)?),
                    _ => continue,
                },
            };
            entries.push(Entry { key: field.name.as_bytes(), value });
        }
        Ok(Map::new(self.arena.slice(&entries)))
    }

    /// Reads one occurrence of a field.
    fn field(
        &self,
        field: &Field,
        wire: WireType,
        rest: &mut &[u8],
        held: &mut Held<'a>,
        depth: u32,
    ) -> Result<(), CallError> {
        if field.label != Label::Repeated {
            *held = match (field.kind, std::mem::take(held)) {
                (Kind::Message(_), Held::Message(mut before)) => {
                    before.extend_from_slice(length_delimited(rest)?);
                    Held::Message(before)
                }
                (Kind::Message(_), _) => Held::Message(length_delimited(rest)?.to_vec()),
                (kind, _) => Held::Plain(self.plain(kind, rest)?),
            };
            return Ok(());
        }
        if !matches!(held, Held::List(_)) {
            *held = Held::List(Vec::new());
        }
        let Held::List(items) = held else { return Ok(()) };
        match field.kind {
            Kind::Message(inner) => {
                let inner = self.message(length_delimited(rest)?, inner, depth + 1)?;
                items.push(Value::Map(inner));
            }
            // Numbers may come one by one or packed.
            Kind::Uint32 if wire == WireType::LengthDelimited => {
                let mut packed = length_delimited(rest)?;
                while !packed.is_empty() {
                    items.push(self.plain(field.kind, &mut packed)?);
                }
            }
            kind => items.push(self.plain(kind, rest)?),
        }
        Ok(())
    }

    fn plain(&self, kind: Kind, rest: &mut &[u8]) -> Result<Value<'a>, CallError> {
        let varint = |rest: &mut &[u8]| decode_varint(rest).map_err(|_| BROKEN);
        Ok(match kind {
            // Longer ones, as negative numbers are written, are cut off.
            Kind::Uint32 => Value::Int(i64::from(varint(rest)? as u32)),
            Kind::Uint64 => match varint(rest)? {
                int if i64::try_from(int).is_ok() => Value::Int(int as i64),
                int => number::from_wide(&int.into(), self.arena).map_err(|_| CallError::TooLarge)?,
            },
            Kind::Bool => Value::Bool(varint(rest)? != 0),
            Kind::Float if rest.len() >= 4 => float(f64::from(rest.get_f32_le())),
            Kind::Double if rest.len() >= 8 => float(rest.get_f64_le()),
            Kind::Float | Kind::Double => return Err(BROKEN),
            Kind::Text | Kind::Bytes => Value::Str(self.arena.slice(length_delimited(rest)?)),
            Kind::Message(_) => return Err(BROKEN),
        })
    }
}

/// Floats have words for what is no number in the dialect.
fn float<'a>(float: f64) -> Value<'a> {
    match float {
        f64::INFINITY => Value::Atom("infinity"),
        f64::NEG_INFINITY => Value::Atom("-infinity"),
        float if float.is_nan() => Value::Atom("nan"),
        float => Value::Float(float),
    }
}

fn length_delimited<'b>(rest: &mut &'b [u8]) -> Result<&'b [u8], CallError> {
    let length = decode_varint(rest).map_err(|_| BROKEN)?;
    let length = usize::try_from(length).map_err(|_| BROKEN)?;
    let (taken, behind) = rest.split_at_checked(length).ok_or(BROKEN)?;
    *rest = behind;
    Ok(taken)
}

fn fits(field: &Field, wire: WireType) -> bool {
    match field.kind {
        Kind::Uint32 if field.label == Label::Repeated => {
            matches!(wire, WireType::Varint | WireType::LengthDelimited)
        }
        Kind::Uint32 | Kind::Uint64 | Kind::Bool => wire == WireType::Varint,
        Kind::Float => wire == WireType::ThirtyTwoBit,
        Kind::Double => wire == WireType::SixtyFourBit,
        Kind::Text | Kind::Bytes | Kind::Message(_) => wire == WireType::LengthDelimited,
    }
}
