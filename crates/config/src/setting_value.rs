//! One setting, once it is checked: what it means, and how it is shown.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::time::Duration;

use diagnostic::Span;

use crate::content::ContentHash;
use crate::secret::{REDACTED, Secret};
use crate::section::{Node, Text};
use crate::settings::{Settings, holds_key};
use crate::units;

/// The value of one field.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) value: SettingValue,
    /// As it was written, or as the default says it; its span is that of the section if the setting was left out.
    pub(crate) node: Node,
    pub(crate) key_span: Span,
    pub(crate) given: bool,
    /// The file that the value names, there or not.
    pub(crate) file: Option<PathBuf>,
}

impl Setting {
    /// As [`Settings::to_json`] shows it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let written = || self.node.as_str();
        match &self.value {
            SettingValue::Absent => serde_json::Value::Null,
            SettingValue::Bool(b) => (*b).into(),
            SettingValue::Int(int) => (*int).into(),
            SettingValue::Duration(duration) => {
                written().map_or_else(|| units::duration_text(*duration), str::to_owned).into()
            }
            SettingValue::Infinity => "infinity".into(),
            SettingValue::Bytes(bytes) => {
                written().map_or_else(|| units::bytes_text(*bytes), str::to_owned).into()
            }
            SettingValue::Word(word) => (*word).into(),
            SettingValue::Text(text) => text.as_str().into(),
            SettingValue::Secret(_) => REDACTED.into(),
            // The reference takes the text of a key instead of its path.
            SettingValue::Path(..) => written().filter(|text| !holds_key(text)).unwrap_or(REDACTED).into(),
            SettingValue::StrList(items) => items.iter().map(|item| item.node.to_json()).collect(),
            SettingValue::Map(map) => {
                map.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect()
            }
            SettingValue::Table(settings) => settings.to_json(),
            SettingValue::Tables(tables) => tables.iter().map(Settings::to_json).collect(),
            SettingValue::Any(anything) => anything.0.to_json(),
        }
    }
}

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
