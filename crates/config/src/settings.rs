//! The values of a checked section: typed, complete with defaults, each with the place it came from.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnostic::Span;

use crate::content::ContentHash;
use crate::field::Field;
use crate::secret::{REDACTED, Secret};
use crate::section::{Node, NodeValue, Text};
use crate::units;

pub use crate::check::check;

/// A checked section: one value for every declared field.
///
/// A field whose value was wrong holds its default, or the empty value of its kind; its owner looks at the diagnostics
/// before it uses the settings. Two settings are equal when they mean the same: resolved secrets and the content of the
/// files that paths name count, the places and the spelling do not. That decides whether something has changed.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) fields: &'static [Field],
    /// One for each field, in the order of the fields.
    pub(crate) values: Vec<Setting>,
    pub(crate) span: Span,
}

/// The value of one field.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) value: SettingValue,
    /// As it was written, or as the default says it; its span is that of the section if the setting was left out.
    pub(crate) node: Node,
    pub(crate) key_span: Span,
    pub(crate) given: bool,
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

impl PartialEq for Settings {
    fn eq(&self, other: &Settings) -> bool {
        self.values.iter().map(|setting| &setting.value).eq(other.values.iter().map(|setting| &setting.value))
    }
}

impl Eq for Settings {}

impl Hash for Settings {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.values.iter().for_each(|setting| setting.value.hash(state));
    }
}

static ABSENT: Setting =
    Setting { value: SettingValue::Absent, node: Node::NULL, key_span: Span::new(0, 0), given: false };

static EMPTY: Settings = Settings { fields: &[], values: Vec::new(), span: Span::new(0, 0) };

/// Declares the getters of simple values: one that gives the empty value where there is none, one that gives `None`.
macro_rules! getters {
    ($($(#[$doc:meta])* $get:ident / $opt:ident : $variant:ident -> $type:ty, $empty:expr;)*) => {$(
        $(#[$doc])*
        pub fn $get(&self, name: &str) -> $type {
            self.$opt(name).unwrap_or($empty)
        }

        #[doc = concat!("As [`", stringify!($get), "`](Settings::", stringify!($get), "), `None` if it is absent.")]
        pub fn $opt(&self, name: &str) -> Option<$type> {
            match &self.setting(name).value {
                SettingValue::$variant(value) => Some(*value),
                value => self.no_value(name, value),
            }
        }
    )*};
}

/// Getters take the name that the field declares. Asking for a field that is not declared, or for another kind than it
/// has, is a mistake in the program: a debug build stops, a release build answers as if it were absent.
impl Settings {
    getters! {
        /// A boolean; false if it is absent.
        bool / opt_bool: Bool -> bool, false;
        /// A whole number within the field's bounds; 0 if it is absent.
        int / opt_int: Int -> i64, 0;
        /// A time span; zero if it is absent.
        duration / opt_duration: Duration -> Duration, Duration::ZERO;
        /// A number of bytes; 0 if it is absent.
        bytes / opt_bytes: Bytes -> u64, 0;
        /// One of the field's words; empty if it is absent.
        one_of / opt_one_of: Word -> &'static str, "";
    }

    /// Text, also that of a path as it was written; empty if it is absent.
    pub fn str(&self, name: &str) -> &str {
        self.opt_str(name).unwrap_or_default()
    }

    /// As [`str`](Settings::str), `None` if it is absent.
    pub fn opt_str(&self, name: &str) -> Option<&str> {
        self.text(name).map(|text| text.text)
    }

    /// Text with its place, also that of a path or template as it was written; `None` if it is absent.
    pub fn text(&self, name: &str) -> Option<Text<'_>> {
        let setting = self.setting(name);
        match &setting.value {
            SettingValue::Text(_) | SettingValue::Path(..) => setting.node.as_text(),
            value => self.no_value(name, value),
        }
    }

    /// A template with its place; `None` if it is absent.
    pub fn template(&self, name: &str) -> Option<Text<'_>> {
        self.text(name)
    }

    /// A number, or a template that gives one; `None` if it is absent.
    pub fn int_template(&self, name: &str) -> Option<OrTemplate<'_, i64>> {
        match &self.setting(name).value {
            SettingValue::Int(int) => Some(OrTemplate::Value(*int)),
            _ => self.text(name).map(OrTemplate::Template),
        }
    }

    /// A boolean, or a template that gives one; `None` if it is absent.
    pub fn bool_template(&self, name: &str) -> Option<OrTemplate<'_, bool>> {
        match &self.setting(name).value {
            SettingValue::Bool(b) => Some(OrTemplate::Value(*b)),
            _ => self.text(name).map(OrTemplate::Template),
        }
    }

    /// A time span; `None` for `infinity`, and if it is absent.
    pub fn duration_or_infinity(&self, name: &str) -> Option<Duration> {
        match &self.setting(name).value {
            SettingValue::Infinity => None,
            _ => self.opt_duration(name),
        }
    }

    /// A secret; `None` if it is absent.
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        match &self.setting(name).value {
            SettingValue::Secret(secret) => Some(secret),
            value => self.no_value(name, value),
        }
    }

    /// A path, made absolute against the folder of the file that names it; `None` if it is absent.
    pub fn path(&self, name: &str) -> Option<&Path> {
        match &self.setting(name).value {
            SettingValue::Path(path, _) => Some(path),
            value => self.no_value(name, value),
        }
    }

    /// The items of a list of text; none if it is absent.
    pub fn str_list(&self, name: &str) -> Vec<Text<'_>> {
        match &self.setting(name).value {
            SettingValue::StrList(items) => items.iter().map(MapEntry::text).collect(),
            value => self.no_value(name, value).unwrap_or_default(),
        }
    }

    /// The entries of a table with free keys; none if it is absent.
    pub fn template_map(&self, name: &str) -> &[MapEntry] {
        match &self.setting(name).value {
            SettingValue::Map(entries) => entries,
            value => self.no_value(name, value).unwrap_or_default(),
        }
    }

    /// A table, which must be required or default to [`FieldDefault::Empty`](crate::field::FieldDefault::Empty).
    pub fn table(&self, name: &str) -> &Settings {
        self.opt_table(name).unwrap_or(&EMPTY)
    }

    /// A table; `None` if it is absent.
    pub fn opt_table(&self, name: &str) -> Option<&Settings> {
        match &self.setting(name).value {
            SettingValue::Table(settings) => Some(settings),
            value => self.no_value(name, value),
        }
    }

    /// The tables of a list; none if it is absent.
    pub fn tables(&self, name: &str) -> &[Settings] {
        match &self.setting(name).value {
            SettingValue::Tables(tables) => tables,
            value => self.no_value(name, value).unwrap_or_default(),
        }
    }

    /// Where the value stood; where the section stood, if it was left out.
    pub fn span(&self, name: &str) -> Span {
        self.setting(name).node.span
    }

    /// Where the key stood; where the section stood, if it was left out.
    pub fn key_span(&self, name: &str) -> Span {
        self.setting(name).key_span
    }

    /// Where the section stood.
    pub fn section_span(&self) -> Span {
        self.span
    }

    /// Whether the setting was written, rather than left to its default.
    pub fn is_given(&self, name: &str) -> bool {
        self.setting(name).given
    }

    /// Whether the setting has a value, written or by default.
    pub fn is_set(&self, name: &str) -> bool {
        self.setting(name).value != SettingValue::Absent
    }

    /// What was declared.
    pub fn fields(&self) -> &'static [Field] {
        self.fields
    }

    /// All settings as JSON: as they were written, defaults filled in, secrets as [`REDACTED`], absent ones left out.
    pub fn to_json(&self) -> serde_json::Value {
        let shown = self.fields.iter().zip(&self.values).filter(|(_, s)| s.value != SettingValue::Absent);
        shown.map(|(field, setting)| (field.name.to_owned(), setting.to_json())).collect()
    }

    /// The files that paths among these settings name and that existed when they were checked, certificates above all: a
    /// change of one is a change of the settings.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        self.collect_files(&mut files);
        files
    }

    fn collect_files(&self, files: &mut Vec<PathBuf>) {
        for setting in &self.values {
            match &setting.value {
                SettingValue::Path(path, Some(_)) => files.push(path.clone()),
                SettingValue::Table(settings) => settings.collect_files(files),
                SettingValue::Tables(tables) => tables.iter().for_each(|table| table.collect_files(files)),
                _ => {}
            }
        }
    }

    fn setting(&self, name: &str) -> &Setting {
        let at = self.fields.iter().position(|field| field.name == name);
        debug_assert!(at.is_some(), "the field `{name}` is not declared");
        at.and_then(|at| self.values.get(at)).unwrap_or(&ABSENT)
    }

    /// The answer of a getter that finds no value of its kind.
    fn no_value<T>(&self, name: &str, value: &SettingValue) -> Option<T> {
        debug_assert!(
            matches!(value, SettingValue::Absent),
            "the field `{name}` is of another kind: {value:?}"
        );
        None
    }
}

impl Setting {
    fn to_json(&self) -> serde_json::Value {
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
        }
    }
}

/// Whether a text that should be a path holds a private key itself.
pub(crate) fn holds_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

impl Node {
    const NULL: Node = Node { value: NodeValue::Null, span: Span::new(0, 0), text_start: None };
}
