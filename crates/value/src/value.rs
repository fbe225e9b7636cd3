use crate::kind::Kind;

/// One value of the dialect.
///
/// `Undefined` is what a missing column or path gives and is not `Null`, which is JSON's. An `Atom` is a name that is
/// no string inside (`event`, `node`): it prints as one, but `is_str` is false and `CASE` does not match it.
///
/// The tag takes a whole word, so that a value is copied as three words instead of byte by byte.
#[derive(Debug, Clone, Copy, Default)]
#[repr(u64)]
pub enum Value<'a> {
    /// Nothing there.
    #[default]
    Undefined,
    /// JSON's `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer that fits; the normal form of every integer that does.
    Int(i64),
    /// An integer that does not fit `Int`. Never holds one that would.
    Big(&'a BigInt<'a>),
    /// A finite number with a fraction: there is no infinity and no NaN in the dialect.
    Float(f64),
    /// A symbolic name.
    Atom(&'a str),
    /// Text or bytes; not necessarily UTF-8.
    Str(&'a [u8]),
    /// A list; positions count from 1 in SQL and from 0 here.
    Array(&'a [Value<'a>]),
    /// A map with unique keys.
    Map(Map<'a>),
}

const _: () = assert!(size_of::<Option<Value<'_>>>() == 24, "a value is passed around by copy");

impl<'a> Value<'a> {
    /// The kind, as signatures and error messages name it.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Undefined => Kind::Undefined,
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) | Value::Big(_) => Kind::Int,
            Value::Float(_) => Kind::Float,
            Value::Atom(_) => Kind::Atom,
            Value::Str(_) => Kind::Str,
            Value::Array(_) => Kind::Array,
            Value::Map(_) => Kind::Map,
        }
    }

    /// A string value of this text.
    pub fn text(text: &'a str) -> Self {
        Value::Str(text.as_bytes())
    }

    /// Whether nothing is there.
    pub fn is_undefined(&self) -> bool {
        matches!(self, Value::Undefined)
    }
}

/// An integer of any size: sign and magnitude, least significant word first, no leading zero words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BigInt<'a> {
    /// Whether it is below zero.
    pub negative: bool,
    /// The magnitude.
    pub limbs: &'a [u64],
}

/// A map: entries in the order in which they were put, keys unique.
#[derive(Debug, Clone, Copy, Default)]
pub struct Map<'a> {
    entries: &'a [Entry<'a>],
}

/// One key of a [`Map`] with its value.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The key; text, but not necessarily UTF-8.
    pub key: &'a [u8],
    /// What it holds.
    pub value: Value<'a>,
}

impl<'a> Map<'a> {
    /// A map over entries whose keys are already unique.
    pub fn new(entries: &'a [Entry<'a>]) -> Self {
        Self { entries }
    }

    /// The entries in the order in which they were put.
    pub fn entries(&self) -> &'a [Entry<'a>] {
        self.entries
    }

    /// What `key` holds; `None` where it does not occur.
    pub fn get(&self, key: &[u8]) -> Option<Value<'a>> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.value)
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
