//! A tree of values that remember where they stood: what a TOML file or a REST body says before anybody checks it.

use std::fmt;
use std::ops::Range;

use diagnostic::{Code, Diagnostic, Span};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::redact::masked;
use crate::toml_text::section_text;

/// The most syntax errors reported for one file: past them something else than TOML is being read.
pub const SYNTAX_ERRORS_MAX: usize = 20;

/// A value and where it stood. Two nodes are equal when their values are, wherever they stood.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub value: NodeValue,
    /// Where it stood, in bytes of its file; empty for what came as JSON or from a default.
    pub span: Span,
    /// Where the text between the quotes begins, if it stands in the file byte for byte as in `value`.
    pub(crate) text_start: Option<u32>,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue {
    /// JSON's `null`: a setting that is `null` is left out. TOML has none.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text; also TOML's dates and times, as written, and JSON numbers that no `f64` holds.
    Str(String),
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Section),
}

/// A table: keys in the order in which they stood. Equal to another in any order of keys, wherever they stood.
///
/// `Debug` is TOML without what sounds like a secret.
#[derive(Clone, Default)]
pub struct Section {
    entries: Vec<Entry>,
    /// Where the table, or its header, stood.
    pub span: Span,
}

/// One key of a [`Section`].
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stood.
    pub key_span: Span,
    /// Its value.
    pub node: Node,
}

/// Text and where it stood.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text<'a> {
    /// The text.
    pub text: &'a str,
    /// Where it stood, with its quotes.
    pub span: Span,
    start: Option<u32>,
}

impl Text<'_> {
    /// Where the bytes `range` of the text stood: exactly, if the file holds them without escapes, otherwise the whole.
    pub fn part(&self, range: Range<usize>) -> Span {
        match self.start {
            Some(start) if range.end <= self.text.len() => {
                let start = start as usize;
                Span::from(start + range.start..start + range.end)
            }
            _ => self.span,
        }
    }
}

impl Node {
    /// A value that stood nowhere.
    pub fn new(value: NodeValue) -> Node {
        Node { value, span: Span::default(), text_start: None }
    }

    /// Text that stood nowhere.
    pub fn str(text: impl Into<String>) -> Node {
        Node::new(NodeValue::Str(text.into()))
    }

    /// The same value with everything in it at one place: that of a text from which it was made.
    pub(crate) fn placed(self, span: Span) -> Node {
        let value = match self.value {
            NodeValue::List(items) => {
                NodeValue::List(items.into_iter().map(|item| item.placed(span)).collect())
            }
            NodeValue::Table(mut section) => {
                section.span = span;
                let entries = std::mem::take(&mut section.entries).into_iter();
                section.entries = entries
                    .map(|e| Entry { key: e.key, key_span: span, node: e.node.placed(span) })
                    .collect();
                NodeValue::Table(section)
            }
            value => value,
        };
        Node { value, span, text_start: None }
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<Text<'_>> {
        match &self.value {
            NodeValue::Str(text) => Some(Text { text, span: self.span, start: self.text_start }),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        self.as_text().map(|text| text.text)
    }

    /// The table, if it is one.
    pub fn as_section(&self) -> Option<&Section> {
        match &self.value {
            NodeValue::Table(section) => Some(section),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            NodeValue::List(items) => Some(items),
            _ => None,
        }
    }

    /// What kind of value it is, for messages: `text`, `a whole number`, …
    pub fn kind_text(&self) -> &'static str {
        match &self.value {
            NodeValue::Null => "null",
            NodeValue::Bool(_) => "a boolean",
            NodeValue::Int(_) => "a whole number",
            NodeValue::Float(_) => "a number",
            NodeValue::Str(_) => "text",
            NodeValue::List(_) => "a list",
            NodeValue::Table(_) => "a table",
        }
    }

    /// The node of a JSON value.
    pub fn from_json(json: &serde_json::Value) -> Node {
        Node::new(match json {
            serde_json::Value::Null => NodeValue::Null,
            serde_json::Value::Bool(b) => NodeValue::Bool(*b),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(int), _) => NodeValue::Int(int),
                (None, Some(float)) => NodeValue::Float(float),
                (None, None) => NodeValue::Str(number.to_string()),
            },
            serde_json::Value::String(text) => NodeValue::Str(text.clone()),
            serde_json::Value::Array(items) => NodeValue::List(items.iter().map(Node::from_json).collect()),
            serde_json::Value::Object(map) => NodeValue::Table(Section::from_json(map)),
        })
    }

    /// The JSON of this value. Not-a-number and the infinities become `null`.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            NodeValue::Null => serde_json::Value::Null,
            NodeValue::Bool(b) => (*b).into(),
            NodeValue::Int(int) => (*int).into(),
            NodeValue::Float(float) => (*float).into(),
            NodeValue::Str(text) => text.as_str().into(),
            NodeValue::List(items) => items.iter().map(Node::to_json).collect(),
            NodeValue::Table(section) => section.to_json(),
        }
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&section_text(self)))
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Section {
    fn eq(&self, other: &Section) -> bool {
        // Sorted, because a section of a stranger may have very many keys.
        let sorted = |section: &Section| {
            let mut order: Vec<usize> = (0..section.entries.len()).collect();
            order.sort_by(|a, b| section.entries[*a].key.cmp(&section.entries[*b].key));
            order
        };
        self.entries.len() == other.entries.len()
            && sorted(self).into_iter().zip(sorted(other)).all(|(a, b)| {
                let (a, b) = (&self.entries[a], &other.entries[b]);
                a.key == b.key && a.node == b.node
            })
    }
}

impl Section {
    /// A table without keys that stood at `span`.
    pub fn empty(span: Span) -> Section {
        Section { entries: Vec::new(), span }
    }

    /// Reads TOML. Every syntax error that can be told apart is reported, in order, up to [`SYNTAX_ERRORS_MAX`]; what could
    /// be read is returned all the same, but a check of it would mostly repeat those errors.
    pub fn parse_toml(text: &str, diagnostics: &mut Vec<Diagnostic>) -> Section {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut problems: Vec<Diagnostic> = errors
            .into_iter()
            .map(|error| {
                let span = Span::from(error.span().unwrap_or(0..0));
                Diagnostic::new(Code::BadToml, span, error.message())
            })
            .collect();
        in_order_of_the_file(&mut problems);
        problems.truncate(SYNTAX_ERRORS_MAX);
        diagnostics.append(&mut problems);
        let span = Span::from(table.span());
        section_of(table.into_inner(), span, text, diagnostics)
    }

    /// The section of a JSON object.
    pub fn from_json(map: &serde_json::Map<String, serde_json::Value>) -> Section {
        let entries = map
            .iter()
            .map(|(key, value)| Entry {
                key: key.clone(),
                key_span: Span::default(),
                node: Node::from_json(value),
            })
            .collect();
        Section { entries, span: Span::default() }
    }

    /// The section as a JSON object, with every value as it is. What may hold secrets is shown through
    /// [`redacted`](crate::redact::redacted) or [`Settings::to_json`](crate::settings::Settings::to_json) instead.
    pub fn to_json(&self) -> serde_json::Value {
        self.entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect()
    }

    /// The value of `key`. Linear: a section has few keys.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The entry of `key`.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The entries in the order in which they stood.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Gives `key` a value, in its old place if it has one, otherwise at the end.
    pub fn set(&mut self, key: &str, node: Node) {
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.node = node,
            None => self.entries.push(Entry { key: key.to_owned(), key_span: node.span, node }),
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// The section with other values.
    pub(crate) fn mapped(&self, value: impl Fn(&Entry) -> Node) -> Section {
        let entries = self.entries.iter().map(|entry| Entry {
            key: entry.key.clone(),
            key_span: entry.key_span,
            node: value(entry),
        });
        Section { entries: entries.collect(), span: self.span }
    }

    /// The section without the entries of which `keep` says no.
    pub fn filtered(&self, keep: impl Fn(&Entry) -> bool) -> Section {
        let entries = self.entries.iter().filter(|entry| keep(entry)).cloned().collect();
        Section { entries, span: self.span }
    }
}

/// Sorts the problems of one file as a reader meets them.
pub(crate) fn in_order_of_the_file(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
}

fn section_of(table: DeTable<'_>, span: Span, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Section {
    let entries = table
        .into_iter()
        .map(|(key, value)| {
            let key_span = Span::from(key.span());
            Entry { key: key.into_inner().into_owned(), key_span, node: node_of(value, text, diagnostics) }
        })
        .collect();
    Section { entries, span }
}

fn node_of(value: Spanned<DeValue<'_>>, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Node {
    let range = value.span();
    let span = Span::from(range.clone());
    let mut text_start = None;
    let value = match value.into_inner() {
        DeValue::String(content) => {
            text_start = verbatim_start(text, range, &content);
            NodeValue::Str(content.into_owned())
        }
        DeValue::Integer(int) => match i64::from_str_radix(int.as_str(), int.radix()) {
            Ok(int) => NodeValue::Int(int),
            Err(_) => {
                let message = format!("`{int}` does not fit into 64 bits");
                diagnostics.push(Diagnostic::new(Code::OutOfRange, span, message));
                NodeValue::Int(0)
            }
        },
        DeValue::Float(float) => NodeValue::Float(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(b) => NodeValue::Bool(b),
        DeValue::Datetime(datetime) => NodeValue::Str(datetime.to_string()),
        DeValue::Array(items) => {
            NodeValue::List(items.into_iter().map(|item| node_of(item, text, diagnostics)).collect())
        }
        DeValue::Table(table) => NodeValue::Table(section_of(table, span, text, diagnostics)),
    };
    Node { value, span, text_start }
}

/// Where `content` begins in `text` if it stands there unescaped within `range`, quotes included.
fn verbatim_start(text: &str, range: Range<usize>, content: &str) -> Option<u32> {
    let raw = text.get(range.clone())?;
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| raw.starts_with(quote))?;
    let inner = raw.get(quote.len()..raw.len().checked_sub(quote.len())?)?;
    let newline = if quote.len() < 3 {
        0
    } else if inner.starts_with("\r\n") {
        2
    } else {
        usize::from(inner.starts_with('\n'))
    };
    (&inner[newline..] == content).then(|| u32::try_from(range.start + quote.len() + newline).ok()).flatten()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_node() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(NodeValue::Bool),
            any::<i64>().prop_map(NodeValue::Int),
            any::<f64>().prop_filter("a number", |float| !float.is_nan()).prop_map(NodeValue::Float),
            any::<String>().prop_map(NodeValue::Str),
            "[a-z${}.\"'\\\\\n\r\t\u{7f}]{0,12}".prop_map(NodeValue::Str),
        ];
        let leaf = leaf.prop_map(Node::new);
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| Node::new(NodeValue::List(items))),
                section_with(inner).prop_map(|section| Node::new(NodeValue::Table(section))),
            ]
        })
    }

    fn section_with(node: impl Strategy<Value = Node>) -> impl Strategy<Value = Section> {
        let key = prop_oneof!["[a-z_-]{1,6}", any::<String>()];
        proptest::collection::vec((key, node), 0..5).prop_map(|entries| {
            let mut section = Section::default();
            entries.into_iter().for_each(|(key, node)| section.set(&key, node));
            section
        })
    }

    /// Any section that TOML can hold.
    pub(crate) fn any_section() -> impl Strategy<Value = Section> {
        section_with(any_node())
    }

    fn parse(text: &str) -> (Section, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        (Section::parse_toml(text, &mut diagnostics), diagnostics)
    }

    #[test]
    fn every_value_knows_its_place() {
        let text = "a = 1\n[t.u]\nb = [\"x\", true]\nd = 1979-05-27\n";
        let (section, diagnostics) = parse(text);
        assert_eq!(diagnostics, []);
        let at = |span: Span| &text[span.range()];
        let u = section.get("t").and_then(Node::as_section).and_then(|t| t.entry("u")).unwrap();
        let inner = u.node.as_section().unwrap();
        let items = inner.get("b").and_then(Node::as_list).unwrap();
        assert_eq!((at(u.key_span), at(inner.span)), ("u", "[t.u]"));
        assert_eq!((at(items[0].span), at(items[1].span)), ("\"x\"", "true"));
        assert_eq!(inner.get("d").and_then(Node::as_str), Some("1979-05-27"));
    }

    #[test]
    fn a_part_of_a_text_knows_its_place() {
        let cases = [
            ("a = \"x/${t}\"", "${t}"),
            ("a = 'x/${t}'", "${t}"),
            ("a = \"\"\"\nx/${t}\"\"\"", "${t}"),
            ("a = \'\'\'\r\nx/${t}\'\'\'", "${t}"),
            ("a = \"\\u0078/${t}\"", "\"\\u0078/${t}\""),
        ];
        for (file, expected) in cases {
            let (section, diagnostics) = parse(file);
            assert_eq!(diagnostics, []);
            let text = section.get("a").and_then(Node::as_text).unwrap();
            assert_eq!(text.text, "x/${t}");
            assert_eq!(&file[text.part(2..6).range()], expected, "{file}");
        }
    }

    #[test]
    fn syntax_errors_are_all_reported() {
        let (section, diagnostics) = parse("a = \nb = 1\n[c\n");
        let codes: Vec<_> = diagnostics.iter().map(|d| (d.code, d.span.start)).collect();
        assert_eq!(codes, [(Code::BadToml, 4), (Code::BadToml, 13)], "{diagnostics:?}");
        assert_eq!(section.get("b"), Some(&Node::new(NodeValue::Int(1))));
        let (_, diagnostics) = parse("a = 1\na = 2\n");
        assert_eq!(diagnostics.len(), 1);
        let (_, diagnostics) = parse("d = 99999999999999999999\n");
        assert_eq!((diagnostics[0].code, diagnostics[0].span), (Code::OutOfRange, Span::new(4, 24)));
    }

    #[test]
    fn json_comes_and_goes_unchanged() {
        let json = serde_json::json!({"b": [1, 2.5, null, "x", true], "a": {"k": {}}});
        let section = Section::from_json(json.as_object().unwrap());
        assert_eq!(section.to_json(), json);
        let huge: serde_json::Value = serde_json::from_str("123456789012345678901234567890").unwrap();
        assert!(matches!(Node::from_json(&huge).value, NodeValue::Float(_)));
    }

    proptest! {
        #[test]
        fn reading_anything_returns(text in "[a\\[\\]={}\"'.,\n #-]{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn spans_lie_within_the_text(section in any_section()) {
            let text = crate::toml_text::section_text(&section);
            let (section, _) = parse(&text);
            for entry in section.entries() {
                prop_assert!(text.get(entry.key_span.range()).is_some());
                prop_assert!(text.get(entry.node.span.range()).is_some_and(|raw| !raw.is_empty()));
            }
        }
    }
}
