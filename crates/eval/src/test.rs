//! Evaluation of a message that is given as JSON: the test endpoint, test files, and the command line.

use std::sync::Arc;

use bumpalo::collections::Vec as ArenaVec;
use event::{Column, Event, EventKind, EventSpec, Example, Fields, MessageId, Trail};
use functions::{Random, Surroundings};
use value::json::{self, JsonError};
use value::{Arena, Kind, Value, number, text};

use crate::{EvalError, Fault, Program, Reason, Row, Union, Verdict, Worker, watch};

/// How much the rows of a loop may be together when they are shown (bytes).
const OUTPUT_BYTES_MAX: usize = Arena::BYTES_MAX;

/// What surrounds a test: it has no clock and no randomness of its own.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The time of the message (milliseconds since 1970 UTC).
    pub now_ms: i64,
    /// The name of this node.
    pub node: &'a str,
    /// Where random numbers begin.
    pub seed: u64,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The output as JSON: the row of a SELECT, the list of rows of a FOREACH.
    Output(Vec<u8>),
    /// The statement did not let the message through.
    NoMatch(NoMatch),
    /// It failed.
    Error(EvalError),
}

/// Which part of a statement did not let a message through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoMatch {
    /// No topic, event or source of FROM is the message's.
    Topic,
    /// WHERE is not true.
    Condition,
}

/// Why a context is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ContextError {
    /// It is not JSON.
    #[error("the context is {0}")]
    NotJson(#[from] JsonError),
    /// It is not a map.
    #[error("the context must be a map, found {0}")]
    NotAMap(Kind),
    /// `event_type` is missing or not a string.
    #[error("the context must say its `event_type`")]
    NoEventType,
    /// There is no such event.
    #[error("unknown event type `{0}`")]
    UnknownEventType(String),
    /// The event has no such field.
    #[error("an event of type `{event_type}` has no field `{field}`")]
    UnknownField {
        /// The type of the event.
        event_type: &'static str,
        /// The field.
        field: String,
    },
    /// A field of the wrong kind.
    #[error("the field `{field}` must be {expected}, found {found}")]
    Kind {
        /// The field.
        field: &'static str,
        /// What it may be.
        expected: Kind,
        /// What it is.
        found: Kind,
    },
}

/// A message made of a context.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    kind: EventKind,
    from: [&'a str; 2],
    fields: Fields<'a>,
    /// The columns that the context left out and that were filled with examples.
    pub filled: &'a [Column],
}

impl<'a> Context<'a> {
    /// Reads a context: `{"event_type": …, …}`. Fields that it leaves out are filled with the event's examples, but for
    /// the topic of a publish, which is then empty.
    pub fn parse(context: &'a [u8], setting: &Setting<'a>, arena: &'a Arena) -> Result<Self, ContextError> {
        Self::new(json::parse(context, arena)?, setting, arena)
    }

    /// A context that has been read already.
    pub fn new(context: Value<'a>, setting: &Setting<'a>, arena: &'a Arena) -> Result<Self, ContextError> {
        let Value::Map(map) = context else { return Err(ContextError::NotAMap(context.kind())) };
        let Some(Value::Str(event_type)) = map.get(b"event_type") else {
            return Err(ContextError::NoEventType);
        };
        let spec = spec_of(event_type)?;
        let mut fields = ArenaVec::new_in(arena.bump());
        for entry in map.entries().iter().filter(|entry| entry.key != b"event_type") {
            let column = std::str::from_utf8(entry.key).ok().and_then(Column::from_name);
            let column = column.filter(|column| may_be_given(spec, *column));
            let unknown = || ContextError::UnknownField {
                event_type: spec.event_type,
                field: String::from_utf8_lossy(entry.key).into_owned(),
            };
            let column = column.ok_or_else(unknown)?;
            fields.push((column, given(spec, column, entry.value, arena)?));
        }
        let mut filled = ArenaVec::new_in(arena.bump());
        for (column, example) in spec.columns {
            if fields.iter().all(|(known, _)| known != column) {
                let topic = spec.kind == EventKind::MessagePublish && *column == Column::Topic;
                let value = if topic {
                    Value::text("")
                } else {
                    example_value(spec, *column, *example, event_type, setting, arena)
                };
                fields.push((*column, value));
                if !matches!(example, Example::Event | Example::Undefined) {
                    filled.push(*column);
                }
            }
        }
        let fields = Fields(fields.into_bump_slice());
        let from = names(spec, event_type, &fields, arena);
        Ok(Self { kind: spec.kind, from, fields, filled: filled.into_bump_slice() })
    }

    /// The event, for the length of a look.
    pub fn event<R>(&self, setting: &Setting<'_>, look: impl FnOnce(&Event<'_>) -> R) -> R {
        look(&Event {
            kind: self.kind,
            from: self.from,
            timestamp_ms: setting.now_ms,
            columns: &self.fields,
            trail: &Trail::empty(),
        })
    }
}

/// Runs a program on a context, exactly as it would run on the message.
pub fn run(program: &Program, context: &Context<'_>, setting: &Setting<'_>, worker: &mut Worker) -> Outcome {
    run_rows(program, context, setting, worker, |_, _, _| ())
}

/// As [`run`], and shows every row as actions see it: with the event, and where more of it can be built.
pub fn run_rows(
    program: &Program,
    context: &Context<'_>,
    setting: &Setting<'_>,
    worker: &mut Worker,
    mut look: impl FnMut(&Row<'_>, &Event<'_>, &Arena),
) -> Outcome {
    let union = Union::of(&[program]);
    context.event(setting, |event| {
        if !program.matches(event) {
            return Outcome::NoMatch(NoMatch::Topic);
        }
        program.note_from(event);
        let message = worker.begin(event, &union);
        match message.run(0, program) {
            Err(error) => Outcome::Error(error),
            Ok(Verdict::Filtered) => Outcome::NoMatch(NoMatch::Condition),
            Ok(Verdict::Rows(rows)) => {
                rows.iter().for_each(|row| look(row, event, message.arena()));
                let mut out = Vec::new();
                match rows {
                    [row] if !program.is_foreach() => row.write(&mut out),
                    rows => {
                        // One row is bounded by the evaluation, but here they all come together.
                        out.push(b'[');
                        for (at, row) in rows.iter().enumerate() {
                            if at > 0 {
                                out.push(b',');
                            }
                            row.write(&mut out);
                            if out.len() > OUTPUT_BYTES_MAX {
                                let fault = Fault::TooMuch("the rows are too large together");
                                return Outcome::Error(EvalError { span: program.from()[0].span, fault });
                            }
                        }
                        out.push(b']');
                    }
                }
                Outcome::Output(out)
            }
        }
    })
}

/// The parts of WHERE by which the SQL of a rule keeps a message out; none where it lets it in, or fails. `base` is as in
/// [`crate::prepare()`].
///
/// Tried anew, beside what rules keep from one message to the next in these surroundings.
pub fn why_filtered(
    sql: &str,
    base: u32,
    context: &Context<'_>,
    setting: &Setting<'_>,
    surroundings: &Surroundings,
) -> Vec<Reason> {
    let (Some(program), _) = crate::prepare_watched(sql, base, "") else { return Vec::new() };
    let Some(condition) = &program.condition else { return Vec::new() };
    let union = Union::of(&[&program]);
    let mut worker = Worker::new(Arc::new(surroundings.apart()), setting.seed);
    context.event(setting, |event| {
        let message = worker.begin(event, &union);
        let run = message.start(0, &program);
        match run.all() {
            Ok(Verdict::Filtered) => watch::reasons(&run, condition),
            Ok(Verdict::Rows(_)) | Err(_) => Vec::new(),
        }
    })
}

fn spec_of(event_type: &[u8]) -> Result<&'static EventSpec, ContextError> {
    let source = event_type.starts_with(b"$bridges/mqtt:") || event_type.starts_with(b"$sources/mqtt:");
    let known = event::EVENTS.iter().find(|spec| match spec.kind {
        EventKind::Source => source,
        _ => spec.event_type.as_bytes() == event_type,
    });
    known.ok_or_else(|| ContextError::UnknownEventType(String::from_utf8_lossy(event_type).into_owned()))
}

/// What FROM is matched against. A source that is named by its type and name answers to both spellings; the bare
/// pattern `$bridges/mqtt:*` is taken as it stands.
fn names<'a>(spec: &EventSpec, event_type: &'a [u8], fields: &Fields<'a>, arena: &'a Arena) -> [&'a str; 2] {
    let event_type = std::str::from_utf8(event_type).unwrap_or_default();
    match (spec.kind, spec.from) {
        (EventKind::MessagePublish, _) => {
            let topic = fields.0.iter().find(|(column, _)| *column == Column::Topic);
            match topic {
                Some((_, Value::Str(topic))) => [std::str::from_utf8(topic).unwrap_or_default(), ""],
                _ => ["", ""],
            }
        }
        (EventKind::Source, _) => match event_type.split_once("mqtt:") {
            Some((_, name)) if name != "*" => [
                bumpalo::format!(in arena.bump(), "$bridges/mqtt:{}", name).into_bump_str(),
                bumpalo::format!(in arena.bump(), "$sources/mqtt:{}", name).into_bump_str(),
            ],
            _ => [event_type, ""],
        },
        (_, [shown]) => [*shown, ""],
        (_, [shown, other, ..]) => [*shown, *other],
        (_, []) => ["", ""],
    }
}

/// Whether a context may set this column. What the event says of itself it may not.
fn may_be_given(spec: &EventSpec, column: Column) -> bool {
    let declared = crate::catalog::declared(spec.kind) & crate::catalog::bit(column) != 0;
    declared && !matches!(column, Column::Event | Column::Metadata)
}

/// A field of a context in the kind that its column has. Text that spells an integer passes for one, and scalars for
/// text.
fn given<'a>(
    spec: &EventSpec,
    column: Column,
    value: Value<'a>,
    arena: &'a Arena,
) -> Result<Value<'a>, ContextError> {
    let wrong = |expected| ContextError::Kind { field: column.name(), expected, found: value.kind() };
    let example = spec.columns.iter().find(|(own, _)| *own == column).map(|(_, example)| *example);
    let textual = match column {
        Column::ProtoVer => true,
        Column::Dup | Column::Retain => spec.kind == EventKind::Source && matches!(value, Value::Str(_)),
        _ => matches!(example, None | Some(Example::Text(_) | Example::Id | Example::Undefined)),
    };
    if textual {
        return match value {
            Value::Str(_) => Ok(value),
            Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Bool(_) => {
                let mut out = Vec::new();
                text::write(&value, &mut out);
                Ok(Value::Str(arena.slice(&out)))
            }
            _ => Err(wrong(Kind::Str)),
        };
    }
    match (example, value) {
        (Some(Example::Int(_) | Example::Now), Value::Str(text)) => {
            number::parse_int(text, arena).ok_or_else(|| wrong(Kind::Int))
        }
        (Some(Example::Int(_) | Example::Now), Value::Int(_) | Value::Big(_)) => Ok(value),
        (Some(Example::Int(_) | Example::Now), _) => Err(wrong(Kind::Int)),
        (Some(Example::Bool(_)), Value::Str(b"true")) => Ok(Value::Bool(true)),
        (Some(Example::Bool(_)), Value::Str(b"false")) => Ok(Value::Bool(false)),
        (Some(Example::Bool(_)), Value::Bool(_)) => Ok(value),
        (Some(Example::Bool(_)), _) => Err(wrong(Kind::Bool)),
        (Some(Example::Node), Value::Str(name)) => {
            std::str::from_utf8(name).map(Value::Atom).map_err(|_| wrong(Kind::Atom))
        }
        (Some(Example::Json(_)), Value::Map(_)) => Ok(value),
        (Some(Example::Json(_)), _) => Err(wrong(Kind::Map)),
        (_, value) => Ok(value),
    }
}

fn example_value<'a>(
    spec: &'static EventSpec,
    column: Column,
    example: Example,
    event_type: &'a [u8],
    setting: &Setting<'a>,
    arena: &'a Arena,
) -> Value<'a> {
    match example {
        Example::Text(text) => Value::text(text),
        Example::Int(int) => Value::Int(int),
        Example::Bool(value) => Value::Bool(value),
        // The table of events is tested to hold JSON.
        Example::Json(text) => json::parse(text.as_bytes(), arena).unwrap_or_default(),
        Example::Event if spec.kind == EventKind::Source => Value::Str(event_type),
        Example::Event => Value::Atom(spec.name),
        Example::Now => Value::Int(setting.now_ms),
        Example::Id => {
            let number = Random::new(setting.seed ^ column as u64).next();
            let micros = u64::try_from(setting.now_ms).unwrap_or_default().saturating_mul(1000);
            let id = MessageId::new(micros, (number >> 32) as u32, number as u32);
            Value::Str(arena.slice(&id.hex()))
        }
        Example::Node => Value::Atom(arena.str(setting.node)),
        Example::Undefined => Value::Undefined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTING: Setting<'static> = Setting { now_ms: 1_700_000_000_000, node: "n@1", seed: 1 };

    #[test]
    fn every_example_is_what_it_says() {
        let arena = Arena::new();
        for spec in event::EVENTS {
            let context = format!(r#"{{"event_type":"{}"}}"#, spec.event_type);
            let context =
                Context::parse(arena.str(&context).as_bytes(), &SETTING, &arena).expect("a context");
            for (column, example) in spec.columns {
                let found = context.fields.0.iter().find(|(own, _)| own == column).map(|(_, value)| *value);
                let wrong = found.is_none_or(|value| value.is_undefined()) && *example != Example::Undefined;
                assert!(!wrong, "{} {column:?}", spec.name);
            }
        }
    }

    #[test]
    fn refuses_what_the_event_does_not_have() {
        let arena = Arena::new();
        let parse = |text: &'static str| Context::parse(text.as_bytes(), &SETTING, &arena).map(|_| ());
        assert!(parse(r#"{"event_type":"message_publish","qos":"1","clientid":5}"#).is_ok());
        assert!(matches!(parse(r#"{"topic":"t"}"#), Err(ContextError::NoEventType)));
        assert!(matches!(parse(r#"{"event_type":"nothing"}"#), Err(ContextError::UnknownEventType(_))));
        assert!(matches!(
            parse(r#"{"event_type":"message_publish","kept":1}"#),
            Err(ContextError::UnknownField { .. })
        ));
        assert!(matches!(
            parse(r#"{"event_type":"message_publish","payload":{"a":1}}"#),
            Err(ContextError::Kind { field: "payload", expected: Kind::Str, found: Kind::Map })
        ));
    }
}
