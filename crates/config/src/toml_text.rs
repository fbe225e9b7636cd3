//! Sections as TOML text, laid out as a person would write them.

use std::fmt::Write;

use crate::section::{Node, NodeValue, Section};

/// A line longer than this has its list spread over several lines.
const LINE_CHARS_MAX: usize = 100;

/// The section as `key = value` lines; tables inside are written inline, long lists one item a line.
///
/// Reading it back gives an equal section. TOML has no null: entries and items that are null are left out.
pub fn section_text(section: &Section) -> String {
    let mut text = String::new();
    for entry in section.entries() {
        if entry.node.value == NodeValue::Null {
            continue;
        }
        let start = text.len();
        key(&mut text, &entry.key);
        text.push_str(" = ");
        value(&mut text, &entry.node);
        if let NodeValue::List(items) = &entry.node.value
            && text[start..].chars().count() > LINE_CHARS_MAX
        {
            text.truncate(start);
            key(&mut text, &entry.key);
            text.push_str(" = [\n");
            for item in items.iter().filter(|item| item.value != NodeValue::Null) {
                text.push_str("  ");
                value(&mut text, item);
                text.push_str(",\n");
            }
            text.push(']');
        }
        text.push('\n');
    }
    text
}

/// The section under the header `[path]`, a key for each part: `[actions.mqtt.uplink]`.
pub fn table_text(path: &[&str], section: &Section) -> String {
    let mut text = String::from("[");
    for (at, part) in path.iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        key(&mut text, part);
    }
    text.push_str("]\n");
    text.push_str(&section_text(section));
    text
}

fn key(text: &mut String, key: &str) {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !key.is_empty() && key.bytes().all(bare) { text.push_str(key) } else { string(text, key) }
}

fn value(text: &mut String, node: &Node) {
    match &node.value {
        NodeValue::Null => {}
        NodeValue::Bool(b) => text.push_str(if *b { "true" } else { "false" }),
        NodeValue::Int(int) => text.push_str(&int.to_string()),
        NodeValue::Float(float) if float.is_nan() => text.push_str("nan"),
        // The debug form always has a point or an exponent, so that it stays a float, and is the shortest that reads back.
        NodeValue::Float(float) => text.push_str(&format!("{float:?}")),
        NodeValue::Str(s) => string(text, s),
        NodeValue::List(items) => {
            text.push('[');
            for (at, item) in items.iter().filter(|item| item.value != NodeValue::Null).enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                value(text, item);
            }
            text.push(']');
        }
        NodeValue::Table(section) => {
            let entries = section.entries().iter().filter(|entry| entry.node.value != NodeValue::Null);
            let mut separator = "{ ";
            for entry in entries {
                text.push_str(separator);
                key(text, &entry.key);
                text.push_str(" = ");
                value(text, &entry.node);
                separator = ", ";
            }
            text.push_str(if separator == ", " { " }" } else { "{}" });
        }
    }
}

/// A string on one line: in single quotes if that spares escapes, otherwise in double quotes.
fn string(text: &mut String, s: &str) {
    let needs_escape = |c: char| c == '"' || c == '\\';
    if s.chars().any(needs_escape) && !s.chars().any(|c| c == '\'' || c.is_control()) {
        text.push('\'');
        text.push_str(s);
        text.push('\'');
        return;
    }
    text.push('"');
    for c in s.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{:04X}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use diagnostic::Diagnostic;
    use proptest::prelude::*;

    use super::*;
    use crate::section::tests::any_section;

    fn read(text: &str) -> Section {
        let mut diagnostics: Vec<Diagnostic> = Vec::new();
        let section = Section::parse_toml(text, &mut diagnostics);
        assert_eq!(diagnostics, [], "{text}");
        section
    }

    #[test]
    fn it_looks_as_a_person_would_write_it() {
        let text = concat!(
            "[actions.mqtt.\"up.link\"]\n",
            "connector = \"cloud\"\n",
            "parameters = { topic = \"pub/${topic}\", qos = 1, payload = '{\"t\": ${t}}' }\n",
            "tags = [\"a\", \"b\"]\n",
            "ratio = 1.0\n",
            "nothing = {}\n",
        );
        let section = read(text);
        let inner = ["actions", "mqtt", "up.link"]
            .iter()
            .fold(&section, |section, key| section.get(key).and_then(Node::as_section).unwrap());
        assert_eq!(table_text(&["actions", "mqtt", "up.link"], inner), text);
    }

    #[test]
    fn long_lists_take_several_lines() {
        let mut section = Section::default();
        let items = (0..3).map(|_| Node::str("x".repeat(40))).collect();
        section.set("list", Node::new(NodeValue::List(items)));
        let text = section_text(&section);
        assert_eq!(text.lines().count(), 5, "{text}");
        assert_eq!(read(&text), section);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(section in any_section()) {
            prop_assert_eq!(&read(&section_text(&section)), &section);
            let nested = read(&table_text(&["a", "b c", ""], &section));
            let inner = nested.get("a").and_then(Node::as_section).and_then(|a| a.get("b c"));
            let inner = inner.and_then(Node::as_section).and_then(|b| b.get(""));
            prop_assert_eq!(inner.and_then(Node::as_section), Some(&section));
        }
    }
}
