//! From a place in a text back to the setting that stands there.
//!
//! What comes over the API is checked as the text of a file, which its sender never sees. What is wrong there is told by the
//! path of the setting, which stands in the body and in the file alike.

use std::fmt;
use std::ops::Range;

use diagnostic::{Diagnostic, Span};

use crate::section::{Node, NodeValue, Section};

/// A setting by its path from the outermost table, and which part of it is meant.
///
/// Prints as messages write it: `parameters.user_properties.a`, `ids[0].clientid`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingPath {
    /// From the outermost table inwards; empty for the table itself.
    pub steps: Vec<Step>,
    /// What of it.
    pub part: Part,
}

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The value of a key of a table.
    Key(String),
    /// An item of a list, from 0. Items that are `null` do not count: no file has them.
    Item(usize),
}

/// Which part of a setting is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Part {
    /// Its value.
    #[default]
    Value,
    /// Its key.
    Key,
    /// These bytes of its text.
    Text(Range<usize>),
    /// A key that it does not have and should; the table that lacks it is what the steps lead to without the last.
    Missing,
}

impl SettingPath {
    /// One key of the outermost table.
    pub fn key(key: &str) -> Self {
        Self { steps: vec![Step::Key(key.to_owned())], part: Part::Value }
    }

    /// The setting that `diagnostic` is about, whose spans are those of `section`; `None` where none is, as when it is about
    /// the section as a whole.
    pub fn of(section: &Section, diagnostic: &Diagnostic) -> Option<Self> {
        let mut path = section.path_at(diagnostic.span);
        if let Some(key) = &diagnostic.lacks {
            path.steps.push(Step::Key(key.clone()));
            path.part = Part::Missing;
        }
        (!path.steps.is_empty()).then_some(path)
    }
}

impl fmt::Display for SettingPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Item(item) => write!(f, "[{item}]")?,
                Step::Key(key) => write!(f, "{}{key}", if at == 0 { "" } else { "." })?,
            }
        }
        Ok(())
    }
}

impl Section {
    /// The innermost key or value that holds the whole of `span`; without steps where none of them does.
    pub fn path_at(&self, span: Span) -> SettingPath {
        let mut path = SettingPath::default();
        let mut table = Some(self);
        while let Some(section) = table.take() {
            for entry in section.entries() {
                if holds(entry.key_span, span) {
                    path.steps.push(Step::Key(entry.key.clone()));
                    path.part = Part::Key;
                    return path;
                }
                if holds(entry.node.span, span) {
                    path.steps.push(Step::Key(entry.key.clone()));
                    table = into_lists(&entry.node, span, &mut path);
                    break;
                }
            }
        }
        path
    }
}

/// Goes on into `node` as far as it is lists; the table that stands there then, if one does.
fn into_lists<'n>(node: &'n Node, span: Span, path: &mut SettingPath) -> Option<&'n Section> {
    match &node.value {
        NodeValue::Table(section) => Some(section),
        NodeValue::List(items) => {
            let at = items.iter().position(|item| holds(item.span, span))?;
            path.steps.push(Step::Item(at));
            into_lists(&items[at], span, path)
        }
        NodeValue::Str(text) => {
            let start = node.text_start?;
            let inside = start <= span.start && span.end as usize <= start as usize + text.len();
            if inside && span != node.span {
                path.part = Part::Text(Span::new(span.start - start, span.end - start).range());
            }
            None
        }
        NodeValue::Null | NodeValue::Bool(_) | NodeValue::Int(_) | NodeValue::Float(_) => None,
    }
}

/// Whether one lies in the other. A place before the first byte is none in it: that is where nothing stands.
fn holds(outer: Span, inner: Span) -> bool {
    let begins = if inner.is_empty() { outer.start < inner.start } else { outer.start <= inner.start };
    !outer.is_empty() && begins && inner.end <= outer.end
}

#[cfg(test)]
mod tests {
    use diagnostic::Code;

    use super::*;

    /// The path of the place that `|…|` marks in the text.
    fn at(marked: &str) -> (String, Part) {
        let start = marked.find('|').unwrap();
        let end = marked.rfind('|').unwrap() - 1;
        let text = marked.replace('|', "");
        let section = Section::parse_toml(&text, &mut Vec::new());
        let path = section.path_at(Span::from(start..end));
        (path.to_string(), path.part)
    }

    #[test]
    fn a_place_leads_back_to_its_setting() {
        for (marked, path, part) in [
            ("server = |5|", "server", Part::Value),
            ("|srever| = 'h'", "srever", Part::Key),
            ("a = 1\nssl = { enable = |1| }", "ssl.enable", Part::Value),
            ("ssl = |{ enable = true }|", "ssl", Part::Value),
            ("ids = ['a', { clientid = |5| }]", "ids[1].clientid", Part::Value),
            ("ids = [[|5|]]", "ids[0][0]", Part::Value),
            ("topic = 'a/|${t}|'", "topic", Part::Text(2..6)),
            ("topic = |'a/${t}'|", "topic", Part::Value),
            ("topic = \"a\\n|${t}|\"", "topic", Part::Value),
            ("a = 1\n|\n|b = 2", "", Part::Value),
        ] {
            assert_eq!(at(marked), (path.to_owned(), part), "{marked}");
        }
    }

    #[test]
    fn a_key_that_is_missing_has_a_path_too() {
        let text = "parameters = { qos = 1 }";
        let section = Section::parse_toml(text, &mut Vec::new());
        let table = Diagnostic::new(Code::MissingKey, Span::from(13..text.len()), "").lacks("topic");
        let path = SettingPath::of(&section, &table).unwrap();
        assert_eq!((path.to_string(), path.part), ("parameters.topic".to_owned(), Part::Missing));
        let outermost = Diagnostic::new(Code::MissingKey, Span::default(), "").lacks("server");
        assert_eq!(SettingPath::of(&section, &outermost).unwrap().to_string(), "server");
        assert_eq!(SettingPath::of(&section, &Diagnostic::new(Code::Conflict, Span::default(), "")), None);
    }
}
