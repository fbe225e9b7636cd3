//! Checks a section against the fields its owner declares.

use std::path::{Path, PathBuf};

use diagnostic::{Code, Diagnostic, Span, did_you_mean};

use crate::content::{ContentHash, read_file};
use crate::field::{Field, FieldDefault, FieldKind};
use crate::secret::SecretOrigin;
use crate::section::{Entry, Node, NodeValue, Section};
use crate::settings::{Anything, MapEntry, Setting, SettingValue, Settings, is_pem};
use crate::units::{self, UnitError};

/// The most bytes of a file named by a path that are hashed; a larger one is known by its path alone.
const HASHED_BYTES_MAX: u64 = 1024 * 1024;

/// The most unknown keys reported of one table: past them the table is meant for something else.
const UNKNOWN_KEYS_MAX: usize = 20;

/// The most of a key that a message repeats.
const KEY_BYTES_SHOWN: usize = 64;

/// Checks `section` against `fields` and fills in the defaults.
///
/// Paths and `file://` secrets are relative to `base_dir`, the folder of the file that names them. Every problem is
/// reported: unknown keys, wrong types, values out of range, what is missing, secrets that cannot be read. Messages name
/// a setting by its full path (`parameters.qos`).
pub fn check(
    section: &Section,
    fields: &'static [Field],
    base_dir: &Path,
    diagnostics: &mut Vec<Diagnostic>,
) -> Settings {
    Checker { base_dir, diagnostics, path: String::new() }.table(section, fields)
}

struct Checker<'a> {
    base_dir: &'a Path,
    diagnostics: &'a mut Vec<Diagnostic>,
    /// The path of the table that is being checked, with a full stop at its end unless it is empty.
    path: String,
}

/// A value that was refused; the diagnostic is already written.
struct Refused;

type Checked = Result<SettingValue, Refused>;

impl Checker<'_> {
    fn table(&mut self, section: &Section, fields: &'static [Field]) -> Settings {
        self.unknown_keys(section, fields);
        let values = fields.iter().map(|field| self.setting(section, field)).collect();
        Settings { fields, values, span: section.span }
    }

    fn unknown_keys(&mut self, section: &Section, fields: &'static [Field]) {
        let is_unknown =
            |entry: &&Entry| !fields.iter().any(|field| names(field).any(|name| name == entry.key));
        for entry in section.entries().iter().filter(is_unknown).take(UNKNOWN_KEYS_MAX) {
            let shown = entry.key.get(..entry.key.floor_char_boundary(KEY_BYTES_SHOWN)).unwrap_or_default();
            let message = format!("there is no setting `{}{shown}`", self.path);
            let help = did_you_mean(&entry.key, fields.iter().flat_map(names));
            self.diagnostics
                .push(Diagnostic::new(Code::UnknownKey, entry.key_span, message).maybe_help(help));
        }
    }

    fn setting(&mut self, section: &Section, field: &'static Field) -> Setting {
        match self.given(section, field) {
            Some(entry) => {
                self.bare_duration(&entry.node, field);
                let value = self.value(&entry.node, &entry.key, field.kind);
                let value = value.unwrap_or_else(|Refused| self.placeholder(field, section.span));
                let file = self.named_file(&entry.node, field.kind);
                Setting { value, node: entry.node.clone(), key_span: entry.key_span, given: true, file }
            }
            None => {
                if field.default == FieldDefault::Required {
                    let message = format!("`{}{}` is missing", self.path, field.name);
                    let diagnostic = Diagnostic::new(Code::MissingKey, section.span, message);
                    self.diagnostics.push(diagnostic.lacks(field.name));
                }
                self.default_value(field, section.span)
            }
        }
    }

    /// The entry that gives the field its value: under its own name, or under one of its aliases.
    fn given<'s>(&mut self, section: &'s Section, field: &Field) -> Option<&'s Entry> {
        let mut found: Option<&Entry> = None;
        for entry in names(field).filter_map(|name| section.entry(name)) {
            if entry.node.value == NodeValue::Null {
                continue;
            }
            if let Some(first) = found {
                let message =
                    format!("`{0}{1}` and `{0}{2}` are the same setting", self.path, first.key, entry.key);
                let diagnostic = Diagnostic::new(Code::Conflict, entry.key_span, message);
                self.diagnostics
                    .push(diagnostic.related(first.key_span, "given here").help("give one of them"));
                continue;
            }
            if entry.key != field.name {
                let message = format!("`{}{}` is an old spelling", self.path, entry.key);
                let diagnostic = Diagnostic::new(Code::DeprecatedKey, entry.key_span, message);
                self.diagnostics.push(diagnostic.help(format!("write `{}`", field.name)));
            }
            found = Some(entry);
        }
        found
    }

    /// What holds when the setting is left out. A table's own required settings are reported as missing from it.
    fn default_value(&mut self, field: &'static Field, section_span: Span) -> Setting {
        let node = match field.default {
            FieldDefault::Required | FieldDefault::Absent => Node::new(NodeValue::Null),
            FieldDefault::Bool(b) => Node::new(NodeValue::Bool(b)),
            FieldDefault::Int(int) => Node::new(NodeValue::Int(int)),
            FieldDefault::Text(text) => Node::str(text),
            FieldDefault::Empty => Node::new(match field.kind {
                FieldKind::StrList | FieldKind::TableList(_) => NodeValue::List(Vec::new()),
                _ => NodeValue::Table(Section::empty(section_span)),
            }),
        };
        let value = match node.value {
            NodeValue::Null => SettingValue::Absent,
            _ => self.value(&node, field.name, field.kind).unwrap_or(SettingValue::Absent),
        };
        Setting {
            value,
            node: Node { span: section_span, ..node },
            key_span: section_span,
            given: false,
            file: None,
        }
    }

    fn named_file(&self, node: &Node, kind: FieldKind) -> Option<PathBuf> {
        match kind {
            FieldKind::Path => node
                .as_str()
                .filter(|text| !text.is_empty() && !is_pem(text))
                .map(|text| self.base_dir.join(text)),
            FieldKind::Secret => match secret_origin(node, self.base_dir)? {
                SecretOrigin::File(path) => Some(path),
                SecretOrigin::Plain(_) | SecretOrigin::Env(_) => None,
            },
            _ => None,
        }
    }

    /// What stands in for a refused value. Its own problems would only repeat that it was refused.
    fn placeholder(&mut self, field: &'static Field, section_span: Span) -> SettingValue {
        let reported = self.diagnostics.len();
        let setting = self.default_value(field, section_span);
        self.diagnostics.truncate(reported);
        setting.value
    }

    fn value(&mut self, node: &Node, key: &str, kind: FieldKind) -> Checked {
        match kind {
            FieldKind::Bool => match as_bool(node) {
                Some(b) => Ok(SettingValue::Bool(b)),
                None => self.wrong_type(node, key, "`true` or `false`"),
            },
            FieldKind::Int { min, max } => match as_int(node) {
                Some(int) => self.in_range(int, min, max, node, key),
                None => self.wrong_type(node, key, "a whole number"),
            },
            FieldKind::Str => self.text(node, key),
            FieldKind::Template => self.text(node, key),
            FieldKind::IntTemplate { min, max } => match as_int(node) {
                Some(int) => self.in_range(int, min, max, node, key),
                None if is_template(node) => self.text(node, key),
                None => self.wrong_type(node, key, "a whole number or a template such as `${qos}`"),
            },
            FieldKind::BoolTemplate => match as_bool(node) {
                Some(b) => Ok(SettingValue::Bool(b)),
                None if is_template(node) => self.text(node, key),
                None => self.wrong_type(node, key, "`true`, `false` or a template such as `${retain}`"),
            },
            FieldKind::DurationOrInfinity if node.as_str() == Some("infinity") => Ok(SettingValue::Infinity),
            FieldKind::Duration => self.duration(node, key, "a time span such as `15s`"),
            FieldKind::Seconds => match bare_number(node) {
                Some(count) => {
                    let seconds = Node { span: node.span, ..Node::str(format!("{count}s")) };
                    self.duration(&seconds, key, "a time span such as `15s`")
                }
                None => self.duration(node, key, "a time span such as `15s`"),
            },
            FieldKind::DurationOrInfinity => {
                self.duration(node, key, "a time span such as `15s`, or `infinity`")
            }
            FieldKind::Bytes => self.bytes(node, key),
            FieldKind::OneOf(words) => self.one_of(node, key, words),
            FieldKind::Secret => self.secret(node, key),
            FieldKind::Path => self.path(node, key),
            FieldKind::StrList => self.str_list(node, key),
            FieldKind::Table(fields) => match &node.value {
                NodeValue::Table(section) => {
                    Ok(SettingValue::Table(self.inside(key, |inner| inner.table(section, fields))))
                }
                _ => self.wrong_type(node, key, "a table"),
            },
            FieldKind::TableList(fields) => self.tables(node, key, fields),
            FieldKind::TemplateMap => self.template_map(node, key),
            FieldKind::Any => Ok(SettingValue::Any(Anything(node.clone()))),
        }
    }

    fn inside<T>(&mut self, key: &str, run: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.path.len();
        self.path.push_str(key);
        self.path.push('.');
        let result = run(self);
        self.path.truncate(outer);
        result
    }

    fn text(&mut self, node: &Node, key: &str) -> Checked {
        match node.as_str() {
            Some(text) => Ok(SettingValue::Text(text.to_owned())),
            None => self.wrong_type(node, key, "text"),
        }
    }

    fn in_range(&mut self, int: i64, min: i64, max: i64, node: &Node, key: &str) -> Checked {
        if (min..=max).contains(&int) {
            return Ok(SettingValue::Int(int));
        }
        let bounds = match (min, max) {
            (_, i64::MAX) => format!("at least {min}"),
            (i64::MIN, _) => format!("at most {max}"),
            _ => format!("from {min} to {max}"),
        };
        let message = format!("`{}{key}` is {bounds}, not `{int}`", self.path);
        self.refuse(Code::OutOfRange, node.span, message, None)
    }

    fn duration(&mut self, node: &Node, key: &str, expected: &str) -> Checked {
        let read = match &node.value {
            NodeValue::Int(ms) => u64::try_from(*ms).map_err(|_| UnitError::Duration).and_then(units::millis),
            NodeValue::Str(text) => units::parse_duration(text),
            _ => return self.wrong_type(node, key, expected),
        };
        match read {
            Ok(duration) => Ok(SettingValue::Duration(duration)),
            Err(error) => self.bad_unit(node, key, expected, error),
        }
    }

    /// `30` for half a minute is 30 ms, which is none of the times that are measured in seconds.
    fn bare_duration(&mut self, node: &Node, field: &Field) {
        const SECOND: u64 = 1000;
        let FieldDefault::Text(usual) = field.default else { return };
        let is_long = units::parse_duration(usual).is_ok_and(|usual| usual.as_millis() >= u128::from(SECOND));
        let kind = matches!(field.kind, FieldKind::Duration | FieldKind::DurationOrInfinity);
        let Some(count @ 1..SECOND) = bare_number(node).filter(|_| kind && is_long) else { return };
        let message = format!("`{}{}` is {count} milliseconds here", self.path, field.name);
        let help = format!("a number without a unit counts milliseconds: write `{count}s` or `{count}ms`");
        self.diagnostics.push(Diagnostic::new(Code::BareDuration, node.span, message).help(help));
    }

    fn bytes(&mut self, node: &Node, key: &str) -> Checked {
        let read = match &node.value {
            NodeValue::Int(bytes) => u64::try_from(*bytes).map_err(|_| UnitError::Bytes),
            NodeValue::Str(text) => units::parse_bytes(text),
            _ => return self.wrong_type(node, key, "a size such as `256MB`"),
        };
        match read {
            Ok(bytes) => Ok(SettingValue::Bytes(bytes)),
            Err(error) => self.bad_unit(node, key, "a size such as `256MB`", error),
        }
    }

    fn bad_unit(&mut self, node: &Node, key: &str, expected: &str, error: UnitError) -> Checked {
        let code = match error {
            UnitError::Duration | UnitError::Bytes => Code::InvalidValue,
            UnitError::DurationTooLong | UnitError::BytesTooMany => Code::OutOfRange,
        };
        let message = format!("`{}{key}` needs {expected}, found {}", self.path, found(node));
        self.refuse(code, node.span, message, Some(error.to_string()))
    }

    fn one_of(&mut self, node: &Node, key: &str, words: &'static [&'static str]) -> Checked {
        let known = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let Some(text) = node.as_str() else {
            return self.wrong_type(node, key, &format!("one of {known}"));
        };
        match words.iter().find(|word| **word == text) {
            Some(word) => Ok(SettingValue::Word(word)),
            None => {
                let message = format!("`{}{key}` is one of {known}, not `{text}`", self.path);
                self.refuse(Code::InvalidValue, node.span, message, did_you_mean(text, words.iter().copied()))
            }
        }
    }

    fn secret(&mut self, node: &Node, key: &str) -> Checked {
        let Some(origin) = secret_origin(node, self.base_dir) else {
            let message = format!("`{}{key}` needs a secret, found {}", self.path, node.kind_text());
            let help = "write text, `{ file = \"…\" }` or `{ env = \"NAME\" }`".to_owned();
            return self.refuse(Code::WrongType, node.span, message, Some(help));
        };
        match origin.read() {
            Ok(secret) => Ok(SettingValue::Secret(secret)),
            Err(error) => {
                let message = format!("`{}{key}`: {error}", self.path);
                self.refuse(Code::SecretUnreadable, node.span, message, None)
            }
        }
    }

    fn path(&mut self, node: &Node, key: &str) -> Checked {
        let Some(text) = node.as_str() else {
            return self.wrong_type(node, key, "a path");
        };
        if text.is_empty() {
            return Ok(SettingValue::Absent);
        }
        let path = self.base_dir.join(text);
        let hash = if is_pem(text) {
            None
        } else {
            read_file(&path, HASHED_BYTES_MAX).ok().map(|bytes| ContentHash::of(&bytes))
        };
        Ok(SettingValue::Path(path, hash))
    }

    fn str_list(&mut self, node: &Node, key: &str) -> Checked {
        // One text stands for a list of one.
        let one = node.as_str().map(|_| std::slice::from_ref(node));
        let Some(items) = node.as_list().or(one) else {
            return self.wrong_type(node, key, "a list of text");
        };
        let mut texts = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            if item.as_str().is_some() {
                texts.push(map_entry("", item.span, item, item.clone()));
            } else {
                let _ = self.wrong_type(item, &format!("{key}[{at}]"), "text");
            }
        }
        Ok(SettingValue::StrList(texts))
    }

    fn tables(&mut self, node: &Node, key: &str, fields: &'static [Field]) -> Checked {
        let Some(items) = node.as_list() else {
            return self.wrong_type(node, key, "a list of tables");
        };
        let mut tables = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let item_key = format!("{key}[{at}]");
            let from_text;
            let section = match (&item.value, fields.first()) {
                (NodeValue::Table(section), _) => section,
                (NodeValue::Str(_), Some(first)) => {
                    let mut section = Section::empty(item.span);
                    section.set(first.name, item.clone());
                    from_text = section;
                    &from_text
                }
                _ => {
                    let _ = self.wrong_type(item, &item_key, "a table");
                    continue;
                }
            };
            tables.push(self.inside(&item_key, |inner| inner.table(section, fields)));
        }
        Ok(SettingValue::Tables(tables))
    }

    fn template_map(&mut self, node: &Node, key: &str) -> Checked {
        let Some(section) = node.as_section() else {
            return self.wrong_type(node, key, "a table");
        };
        let mut map = Vec::with_capacity(section.entries().len());
        for entry in section.entries() {
            let text = match &entry.node.value {
                NodeValue::Str(_) => entry.node.clone(),
                NodeValue::Int(int) => Node { span: entry.node.span, ..Node::str(int.to_string()) },
                NodeValue::Float(float) => Node { span: entry.node.span, ..Node::str(float.to_string()) },
                NodeValue::Bool(b) => Node { span: entry.node.span, ..Node::str(b.to_string()) },
                NodeValue::Null => continue,
                NodeValue::List(_) | NodeValue::Table(_) => {
                    let _ = self.wrong_type(&entry.node, &format!("{key}.{}", entry.key), "text");
                    continue;
                }
            };
            map.push(map_entry(&entry.key, entry.key_span, &entry.node, text));
        }
        Ok(SettingValue::Map(map))
    }

    fn wrong_type(&mut self, node: &Node, key: &str, expected: &str) -> Checked {
        let message = format!("`{}{key}` needs {expected}, found {}", self.path, found(node));
        self.refuse(Code::WrongType, node.span, message, None)
    }

    fn refuse(&mut self, code: Code, span: Span, message: String, help: Option<String>) -> Checked {
        self.diagnostics.push(Diagnostic::new(code, span, message).maybe_help(help));
        Err(Refused)
    }
}

/// The secret that a node describes, if it describes one.
pub(crate) fn secret_origin(node: &Node, base_dir: &Path) -> Option<SecretOrigin> {
    match &node.value {
        NodeValue::Str(text) => Some(SecretOrigin::of_text(text, base_dir)),
        NodeValue::Table(section) => match section.entries() {
            [Entry { key, node, .. }] if key == "file" => {
                Some(SecretOrigin::File(base_dir.join(node.as_str()?.trim_start_matches("file://"))))
            }
            [Entry { key, node, .. }] if key == "env" => Some(SecretOrigin::Env(node.as_str()?.to_owned())),
            _ => None,
        },
        _ => None,
    }
}

/// The field's own name and its aliases.
pub(crate) fn names(field: &Field) -> impl Iterator<Item = &'static str> + use<> {
    std::iter::once(field.name).chain(field.aliases.iter().copied())
}

fn map_entry(key: &str, key_span: Span, node: &Node, text: Node) -> MapEntry {
    MapEntry { key: key.to_owned(), key_span, text, node: node.clone() }
}

fn as_bool(node: &Node) -> Option<bool> {
    match &node.value {
        NodeValue::Bool(b) => Some(*b),
        NodeValue::Str(text) => text.parse().ok(),
        _ => None,
    }
}

fn as_int(node: &Node) -> Option<i64> {
    match &node.value {
        NodeValue::Int(int) => Some(*int),
        NodeValue::Str(text) => text.parse().ok(),
        _ => None,
    }
}

/// A number without a unit, as a number or as text.
fn bare_number(node: &Node) -> Option<u64> {
    match &node.value {
        NodeValue::Int(count) => u64::try_from(*count).ok(),
        NodeValue::Str(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn is_template(node: &Node) -> bool {
    node.as_str().is_some_and(|text| text.contains("${"))
}

/// A value as messages show it: short ones themselves, others by their kind.
fn found(node: &Node) -> String {
    const SHOWN_CHARS_MAX: usize = 40;
    match &node.value {
        NodeValue::Bool(b) => format!("`{b}`"),
        NodeValue::Int(int) => format!("`{int}`"),
        NodeValue::Float(float) => format!("`{float}`"),
        NodeValue::Str(text) if text.chars().count() <= SHOWN_CHARS_MAX => format!("`{text}`"),
        NodeValue::Null | NodeValue::Str(_) | NodeValue::List(_) | NodeValue::Table(_) => {
            node.kind_text().to_owned()
        }
    }
}
