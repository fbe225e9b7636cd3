//! What one setting means, once it is checked.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::time::Duration;

use diagnostic::Span;

use crate::content::ContentHash;
use crate::secret::Secret;
use crate::section::{Node, Text};
use crate::settings::Settings;

/// What a setting means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum SettingValue {
    Absent,
    Bool(bool),
    Int(i64),
    Duration(Duration),
    Infinity,
    Bytes(u64),
    Word(&'static str),
    /// Plain text, or the text of a template.
    Text(String),
    Secret(Secret),
    /// The path and the hash of what it held when it was checked, if it was a file.
    Path(PathBuf, Option<ContentHash>),
    StrList(Vec<MapEntry>),
    Map(Vec<MapEntry>),
    Table(Settings),
    Tables(Vec<Settings>),
    Any(Anything),
}

/// A value that only its owner understands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Anything(pub(crate) Node);

// Not-a-number is the one value that differs from itself, and then the settings merely count as changed.
impl Eq for Anything {}

impl Hash for Anything {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.kind_text().hash(state);
    }
}

/// A value that is given outright, or a template that gives one for every message.
#[derive(Debug, Clone, Copy)]
pub enum OrTemplate<'a, T> {
    /// The value.
    Value(T),
    /// The template.
    Template(Text<'a>),
}

/// One entry of a table with free keys, or one item of a list (whose key is empty).
#[derive(Debug, Clone)]
pub struct MapEntry {
    /// The key.
    pub key: String,
    /// Where the key stood.
    pub key_span: Span,
    pub(crate) text: Node,
    pub(crate) node: Node,
}

impl MapEntry {
    /// The value as text, numbers and booleans as they print.
    pub fn text(&self) -> Text<'_> {
        self.text.as_text().unwrap_or_default()
    }
}

impl PartialEq for MapEntry {
    fn eq(&self, other: &MapEntry) -> bool {
        self.key == other.key && self.text == other.text
    }
}

impl Eq for MapEntry {}

impl Hash for MapEntry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.key, self.text().text).hash(state);
    }
}
