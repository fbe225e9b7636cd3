//! Sparkplug B: its payloads, which are protocol buffers, as maps and back.

mod decode;
mod encode;
mod schema;
mod zip;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use value::{Entry, Map, Value};

use self::schema::Message;
use crate::codec::without_white_space;
use crate::function::{MAP, STR, fails, gives, optional, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Sparkplug B; Eclipse Sparkplug 3.0, 6.4 Payload";
const NOT_PAYLOAD: &str =
    "Fails when the string is no such message, or there is no message type of this name.";
const NOT_MAP: &str =
    "Fails when the map has a field that the message does not have, or a value that the field cannot hold.";

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "sparkplug_decode",
        usage: "sparkplug_decode(string[, message])",
        signatures: &[optional(1, &[STR, STR], MAP)],
        summary: "A Sparkplug B payload, or another message of its schema such as `Payload.Metric`, as a map; `bytes_value` is raw.",
        errors: NOT_PAYLOAD,
        source: SOURCE,
        examples: &[
            gives("map_get('seq', sparkplug_decode(base64_decode('GAc=')))", "7"),
            fails("sparkplug_decode('not a payload')"),
        ],
        body: decode,
    },
    Function {
        name: "sparkplug_encode",
        usage: "sparkplug_encode(map[, message])",
        signatures: &[optional(1, &[MAP, STR], STR)],
        summary: "The Sparkplug B payload of a map, or another message of its schema; `bytes_value` is taken as it is.",
        errors: NOT_MAP,
        source: SOURCE,
        examples: &[gives("bin2hexstr(sparkplug_encode(map_put('seq', 7, map_new())))", "'1807'")],
        body: |args| encode(args, args.value(0)),
    },
    Function {
        name: "spb_decode",
        usage: "spb_decode(string[, message])",
        signatures: &[optional(1, &[STR, STR], MAP)],
        summary: "A Sparkplug B payload as a map; the `bytes_value` of a metric is in Base64, as JSON needs it.",
        errors: NOT_PAYLOAD,
        source: SOURCE,
        examples: &[
            gives(
                "spb_decode(spb_encode(json_decode('{\"metrics\":[{\"bytes_value\":\"AP8=\"}]}')))",
                "json_decode('{\"metrics\":[{\"bytes_value\":\"AP8=\"}]}')",
            ),
            fails("spb_decode(5)"),
        ],
        body: |args| {
            let to_text = |bytes: &[u8]| Ok(STANDARD.encode(bytes).into_bytes());
            map_bytes(args, decode(args)?, &to_text)
        },
    },
    Function {
        name: "spb_encode",
        usage: "spb_encode(map[, message])",
        signatures: &[optional(1, &[MAP, STR], STR)],
        summary: "The Sparkplug B payload of a map; the `bytes_value` of a metric is read as Base64.",
        errors: NOT_MAP,
        source: SOURCE,
        examples: &[gives(
            "bin2hexstr(spb_encode(json_decode('{\"metrics\":[{\"bytes_value\":\"AP8=\"}]}')))",
            "'120582010200FF'",
        )],
        body: |args| {
            let from_text = |text: &[u8]| {
                let bytes = STANDARD.decode(without_white_space(text));
                bytes.map_err(|_| CallError::Domain {
                    arg: 0,
                    reason: "has a `bytes_value` that is not Base64",
                })
            };
            encode(args, map_bytes(args, args.value(0), &from_text)?)
        },
    },
    Function {
        name: "spb_zip_kvs",
        usage: "spb_zip_kvs(map)",
        signatures: &[sig(&[MAP], MAP)],
        summary: "A decoded Sparkplug B payload in which `keys` and `values` of property sets, and `columns` and `rows` of data sets, have become maps.",
        errors: "Fails when the argument is not a map, or its `metrics` are not a list of maps.",
        source: SOURCE,
        examples: &[gives(
            "map_get('metrics', spb_zip_kvs(json_decode('{\"metrics\":[{\"properties\":{\"keys\":[\"a\"],\"values\":[1]}}]}')))",
            "json_decode('[{\"properties\":{\"a\":1}}]')",
        )],
        body: zip::zip,
    },
];

/// The message type that the second argument names.
fn message(args: Args<'_>) -> Result<&'static Message, CallError> {
    let name = if args.len() > 1 { args.bytes(1)? } else { b"Payload" };
    let no_message = CallError::Domain { arg: 1, reason: "is no message of Sparkplug B" };
    schema::message(name).ok_or(no_message)
}

fn decode(args: Args<'_>) -> Result<Value<'_>, CallError> {
    decode::decode(args.bytes(0)?, message(args)?, args.arena())
}

fn encode<'a>(args: Args<'a>, value: Value<'a>) -> Result<Value<'a>, CallError> {
    let Value::Map(map) = value else { return Err(args.kind(0, MAP)) };
    Ok(args.string(&encode::encode(&map, message(args)?)?))
}

/// What becomes of bytes.
type Change<'c> = &'c dyn Fn(&[u8]) -> Result<Vec<u8>, CallError>;

/// A payload with the `bytes_value` of each metric changed; metrics inside of templates stay as they are.
fn map_bytes<'a>(args: Args<'a>, payload: Value<'a>, change: Change<'_>) -> Result<Value<'a>, CallError> {
    let Value::Map(map) = payload else { return Ok(payload) };
    let Some(metrics) = map.get(b"metrics") else { return Ok(payload) };
    let Value::Array(metrics) = metrics else {
        return Err(CallError::Domain { arg: 0, reason: "has `metrics` that are no list" });
    };
    let metrics = metrics.iter().map(|metric| match metric {
        Value::Map(fields) => match fields.get(b"bytes_value") {
            Some(Value::Str(bytes)) => {
                let bytes = args.string(&change(bytes)?);
                Ok(Value::Map(put(args, *fields, b"bytes_value", bytes)))
            }
            Some(_) => Err(CallError::Domain { arg: 0, reason: "has a `bytes_value` that is no string" }),
            None => Ok(*metric),
        },
        _ => Ok(*metric),
    });
    let metrics = args.list(metrics.collect::<Result<Vec<_>, _>>()?);
    Ok(Value::Map(put(args, map, b"metrics", metrics)))
}

/// A map with another value under a key that it has.
fn put<'a>(args: Args<'a>, map: Map<'a>, key: &[u8], value: Value<'a>) -> Map<'a> {
    let entries = args.arena().bump().alloc_slice_copy(map.entries());
    for entry in entries.iter_mut().filter(|entry| entry.key == key) {
        *entry = Entry { key: entry.key, value };
    }
    Map::new(entries)
}
