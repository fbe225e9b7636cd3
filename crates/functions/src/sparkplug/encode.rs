use prost::encoding::{WireType, encode_key, encode_varint};
use value::{Map, Value, number};

use super::decode::DEPTH_MAX;
use super::schema::{Kind, Label, Message};
use crate::CallError;

/// The bytes of a message. Strict: an unknown field, two of the fields of which one may have a value, or a value of the
/// wrong kind is an error.
pub(super) fn encode(map: &Map<'_>, message: &'static Message) -> Result<Vec<u8>, CallError> {
    let mut out = Vec::new();
    write(map, message, 0, &mut out)?;
    Ok(out)
}

fn said(reason: String) -> CallError {
    CallError::Said { arg: 0, reason: reason.into() }
}

fn write(map: &Map<'_>, message: &'static Message, depth: u32, out: &mut Vec<u8>) -> Result<(), CallError> {
    if depth >= DEPTH_MAX {
        return Err(CallError::TooLarge);
    }
    let unknown = map
        .entries()
        .iter()
        .find(|entry| !message.fields.iter().any(|field| field.name.as_bytes() == entry.key));
    if let Some(entry) = unknown {
        let name = String::from_utf8_lossy(entry.key);
        return Err(said(format!("has `{name}`, which a {} does not have", message.name)));
    }
    let mut chosen = None;
    for field in message.fields {
        let Some(value) = map.get(field.name.as_bytes()) else { continue };
        if field.label == Label::OneOf
            && let Some(other) = chosen.replace(field.name)
        {
            return Err(said(format!("has both `{other}` and `{}`", field.name)));
        }
        let items = match (field.label, &value) {
            (Label::Repeated, Value::Array(items)) => *items,
            (Label::Repeated, _) => return Err(said(format!("has `{}` that is no list", field.name))),
            _ => std::slice::from_ref(&value),
        };
        for item in items {
            if let Kind::Message(inner) = field.kind {
                let Value::Map(map) = item else {
                    return Err(said(format!("has `{}` that is no map", field.name)));
                };
                let mut bytes = Vec::new();
                write(map, inner, depth + 1, &mut bytes)?;
                delimited(field.number, &bytes, out);
            } else if !plain(field.kind, field.number, item, out) {
                return Err(said(format!(
                    "has `{}` that holds {}, which it cannot",
                    field.name,
                    item.kind()
                )));
            }
        }
    }
    Ok(())
}

/// Writes a plain value; whether the field can hold it.
fn plain(kind: Kind, number: u32, value: &Value<'_>, out: &mut Vec<u8>) -> bool {
    match kind {
        Kind::Uint32 | Kind::Uint64 => {
            let Some(int) = unsigned(value) else { return false };
            if matches!(kind, Kind::Uint32) && int > u64::from(u32::MAX) {
                return false;
            }
            encode_key(number, WireType::Varint, out);
            encode_varint(int, out);
        }
        Kind::Bool => {
            let int = match value {
                Value::Bool(value) => u64::from(*value),
                Value::Int(int @ (0 | 1)) => *int as u64,
                _ => return false,
            };
            encode_key(number, WireType::Varint, out);
            encode_varint(int, out);
        }
        Kind::Float => {
            let Some(float) = float(value) else { return false };
            let small = float as f32;
            if float.is_finite() && small.is_infinite() {
                return false;
            }
            encode_key(number, WireType::ThirtyTwoBit, out);
            out.extend_from_slice(&small.to_le_bytes());
        }
        Kind::Double => {
            let Some(float) = float(value) else { return false };
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend_from_slice(&float.to_le_bytes());
        }
        Kind::Text => match value {
            Value::Str(text) if simdutf8::basic::from_utf8(text).is_ok() => delimited(number, text, out),
            _ => return false,
        },
        Kind::Bytes => {
            let mut bytes = Vec::new();
            if crate::bits::flatten(value, &mut |part| bytes.extend_from_slice(part)).is_none() {
                return false;
            }
            delimited(number, &bytes, out);
        }
        Kind::Message(_) => return false,
    }
    true
}

fn delimited(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn unsigned(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Int(int) => u64::try_from(*int).ok(),
        Value::Big(big) if !big.negative && big.limbs.len() == 1 => big.limbs.first().copied(),
        _ => None,
    }
}

fn float(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Atom("infinity") => Some(f64::INFINITY),
        Value::Atom("-infinity") => Some(f64::NEG_INFINITY),
        Value::Atom("nan") => Some(f64::NAN),
        value => number::to_float(value).ok(),
    }
}
