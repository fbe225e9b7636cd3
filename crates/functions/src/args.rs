use bumpalo::collections::Vec;
use value::{Arena, Kind, Kinds, Map, Value, json, number};

use crate::{CallContext, CallError, function};

/// The arguments of one call, with the context it runs in. Positions count from 0; one that was left out is undefined.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    values: &'a [Value<'a>],
    context: &'a CallContext<'a>,
}

impl<'a> Args<'a> {
    /// The arguments of a call.
    pub fn new(values: &'a [Value<'a>], context: &'a CallContext<'a>) -> Self {
        Self { values, context }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All of them.
    pub fn values(&self) -> &'a [Value<'a>] {
        self.values
    }

    /// What the call can see beside its arguments.
    pub fn context(&self) -> &'a CallContext<'a> {
        self.context
    }

    /// Where results are built.
    pub fn arena(&self) -> &'a Arena {
        self.context.arena
    }

    /// An argument of any kind.
    pub fn value(&self, at: usize) -> Value<'a> {
        self.values.get(at).copied().unwrap_or_default()
    }

    /// The error of an argument of the wrong kind.
    #[cold]
    pub fn kind(&self, at: usize, expected: Kinds) -> CallError {
        CallError::Kind { arg: at, expected, found: self.value(at).kind() }
    }

    /// A string, and nothing else.
    pub fn bytes(&self, at: usize) -> Result<&'a [u8], CallError> {
        match self.value(at) {
            Value::Str(bytes) => Ok(bytes),
            _ => Err(self.kind(at, function::STR)),
        }
    }

    /// Text: a string, or one of the words that pass for one (`true`, `false`, the name of an event).
    pub fn text(&self, at: usize) -> Result<&'a [u8], CallError> {
        match self.value(at) {
            Value::Str(bytes) => Ok(bytes),
            Value::Atom(word) => Ok(word.as_bytes()),
            Value::Bool(true) => Ok(b"true"),
            Value::Bool(false) => Ok(b"false"),
            _ => Err(self.kind(at, function::TEXT)),
        }
    }

    /// [`Args::text`] that is UTF-8.
    pub fn utf8(&self, at: usize) -> Result<&'a str, CallError> {
        simdutf8::basic::from_utf8(self.text(at)?)
            .map_err(|_| CallError::Domain { arg: at, reason: "is not UTF-8" })
    }

    /// [`Args::bytes`] that are UTF-8.
    pub fn str(&self, at: usize) -> Result<&'a str, CallError> {
        simdutf8::basic::from_utf8(self.bytes(at)?)
            .map_err(|_| CallError::Domain { arg: at, reason: "is not UTF-8" })
    }

    /// An integer of 64 bits.
    pub fn int(&self, at: usize) -> Result<i64, CallError> {
        match self.value(at) {
            Value::Int(int) => Ok(int),
            Value::Big(_) => Err(CallError::Domain { arg: at, reason: "is out of range" }),
            _ => Err(self.kind(at, function::INT)),
        }
    }

    /// An integer that counts something.
    pub fn count(&self, at: usize) -> Result<usize, CallError> {
        usize::try_from(self.int(at)?).map_err(|_| CallError::Domain { arg: at, reason: "is negative" })
    }

    /// An integer of any size.
    pub fn integer(&self, at: usize) -> Result<Value<'a>, CallError> {
        match self.value(at) {
            value @ (Value::Int(_) | Value::Big(_)) => Ok(value),
            _ => Err(self.kind(at, function::INT)),
        }
    }

    /// A number as a float.
    pub fn float(&self, at: usize) -> Result<f64, CallError> {
        number::to_float(&self.value(at)).map_err(|error| self.number_error(at, error))
    }

    /// A list.
    pub fn array(&self, at: usize) -> Result<&'a [Value<'a>], CallError> {
        match self.value(at) {
            Value::Array(items) => Ok(items),
            _ => Err(self.kind(at, function::ARRAY)),
        }
    }

    /// A map, or what passes for one: JSON text that holds one, or the empty list.
    pub fn map_like(&self, at: usize) -> Result<Map<'a>, CallError> {
        match self.value(at) {
            Value::Map(map) => Ok(map),
            Value::Array([]) => Ok(Map::default()),
            Value::Str(text) => match self.json(at, text)? {
                Value::Map(map) => Ok(map),
                _ => Err(CallError::Domain { arg: at, reason: "is JSON, but not a map" }),
            },
            _ => Err(self.kind(at, function::MAP)),
        }
    }

    /// Text read as JSON.
    pub fn json(&self, at: usize, text: &'a [u8]) -> Result<Value<'a>, CallError> {
        json::parse(text, self.arena()).map_err(|error| CallError::NotJson { arg: at, error })
    }

    /// A failed calculation as the error of a call; `at` is the argument to name.
    #[cold]
    pub fn number_error(&self, at: usize, error: number::NumberError) -> CallError {
        match error {
            number::NumberError::Kind => self.kind(at, function::NUMBER),
            number::NumberError::Domain => CallError::Domain { arg: at, reason: "has no finite result" },
            number::NumberError::TooLarge => CallError::TooLarge,
        }
    }

    /// A value as text, as `str` converts it, copied only where it is no string yet.
    pub fn converted(&self, value: Value<'a>) -> &'a [u8] {
        match value {
            Value::Str(bytes) => bytes,
            value => {
                let mut out = std::vec::Vec::new();
                crate::convert::write(&value, &mut out);
                self.arena().slice(&out)
            }
        }
    }

    /// A string result, copied into the arena.
    pub fn string(&self, bytes: &[u8]) -> Value<'a> {
        Value::Str(self.arena().slice(bytes))
    }

    /// Bytes to build a string result in.
    pub fn builder(&self, capacity: usize) -> Vec<'a, u8> {
        Vec::with_capacity_in(capacity, self.arena().bump())
    }

    /// A list result.
    pub fn list(&self, items: impl IntoIterator<Item = Value<'a>>) -> Value<'a> {
        Value::Array(Vec::from_iter_in(items, self.arena().bump()).into_bump_slice())
    }
}

/// The kind of a value that is text only in a wide sense.
pub(crate) fn is_word(kind: Kind) -> bool {
    matches!(kind, Kind::Atom | Kind::Bool)
}
