use value::{Map, Value, path};

use crate::function::{ANY, BOOL, INT, MAP, STR, TEXT, fails, gives, optional, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions (IoT functions of the rule engine)";

/// A function that gives a column of the event.
macro_rules! column {
    ($name:literal, $column:literal, $summary:literal, $example:literal) => {
        Function {
            name: $name,
            usage: concat!($name, "()"),
            signatures: &[sig(&[], ANY)],
            summary: $summary,
            errors: "",
            source: SOURCE,
            examples: &[gives(concat!($name, "()"), $example)],
            body: |args| Ok(args.context().column($column)),
        }
    };
}

pub(crate) const FUNCTIONS: &[Function] = &[
    column!("clientid", "clientid", "The client id; undefined in WHERE and INCASE.", "clientid"),
    column!("clientip", "peerhost", "The address of the client; undefined in WHERE and INCASE.", "peerhost"),
    Function {
        name: "contains_topic",
        usage: "contains_topic(list, topic[, qos])",
        signatures: &[optional(2, &[ANY, TEXT, INT], BOOL)],
        summary: "Whether a list of the broker's own subscription records has this topic. No event carries such a list, so it is false.",
        errors: "Fails when the first argument is not a list.",
        source: SOURCE,
        examples: &[gives("contains_topic([], 't/a')", "false"), fails("contains_topic('x', 't')")],
        body: no_record,
    },
    Function {
        name: "contains_topic_match",
        usage: "contains_topic_match(list, topic[, qos])",
        signatures: &[optional(2, &[ANY, TEXT, INT], BOOL)],
        summary: "Whether a list of the broker's own subscription records has a filter for this topic. No event carries such a list, so it is false.",
        errors: "Fails when the first argument is not a list.",
        source: SOURCE,
        examples: &[
            gives("contains_topic_match([], 't/a')", "false"),
            fails("contains_topic_match('x', 't')"),
        ],
        body: no_record,
    },
    Function {
        name: "flag",
        usage: "flag(name)",
        signatures: &[sig(&[STR], ANY)],
        summary: "A flag of the message, such as `retain`; undefined in WHERE and INCASE.",
        errors: "Fails when the name is not a string.",
        source: SOURCE,
        examples: &[gives("flag('nothing')", "null()")],
        body: |args| Ok(path::get_step(flags(args), path::Step::Key(args.bytes(0)?), args.arena())),
    },
    Function {
        name: "flags",
        usage: "flags()",
        signatures: &[sig(&[], MAP)],
        summary: "The flags of the message; an empty map in WHERE and INCASE.",
        errors: "",
        source: SOURCE,
        examples: &[gives("flags()", "flags")],
        body: |args| Ok(flags(args)),
    },
    column!("msgid", "id", "The identity of the message; undefined in WHERE and INCASE.", "id"),
    Function {
        name: "payload",
        usage: "payload([path])",
        signatures: &[optional(0, &[STR], ANY)],
        summary: "The payload, or what lies in it at the end of a dotted path; undefined in WHERE and INCASE.",
        errors: "Fails when the path is not a string, or the payload is not JSON.",
        source: SOURCE,
        examples: &[
            gives("payload()", "payload"),
            gives("payload('a.nothing')", "null()"),
            fails("payload(5)"),
        ],
        body: payload,
    },
    column!("peerhost", "peerhost", "The address of the client; undefined in WHERE and INCASE.", "peerhost"),
    column!("qos", "qos", "The quality of service; undefined in WHERE and INCASE.", "qos"),
    Function {
        name: "topic",
        usage: "topic([level])",
        signatures: &[optional(0, &[INT], ANY)],
        summary: "The topic, or one of its levels, counted from 1; undefined in WHERE and INCASE.",
        errors: "Fails when the topic has no such level.",
        source: SOURCE,
        examples: &[gives("topic()", "topic"), fails("topic(99)")],
        body: topic,
    },
    column!("username", "username", "The user name; undefined in WHERE and INCASE.", "username"),
];

fn flags(args: Args<'_>) -> Value<'_> {
    match args.context().column("flags") {
        Value::Undefined => Value::Map(Map::default()),
        flags => flags,
    }
}

fn no_record(args: Args<'_>) -> Result<Value<'_>, CallError> {
    args.array(0).map(|_| Value::Bool(false))
}

fn payload(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let payload = args.context().column("payload");
    match (args.len(), payload) {
        (0, payload) => Ok(payload),
        (_, Value::Str(text)) => {
            let steps = crate::maps::dotted(args, 0)?;
            Ok(path::get(args.json(0, text)?, &steps, args.arena()))
        }
        _ => Ok(Value::Undefined),
    }
}

fn topic(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let topic = args.context().column("topic");
    match (args.len(), topic) {
        (1, Value::Str(text)) => {
            let level = usize::try_from(args.int(0)?).ok().and_then(|level| level.checked_sub(1));
            let found = level.and_then(|level| text.split(|byte| *byte == b'/').nth(level));
            found.map(Value::Str).ok_or(CallError::Domain { arg: 0, reason: "is not a level of the topic" })
        }
        _ => Ok(topic),
    }
}
