//! Keeping secrets out of what is shown, and putting them back where an answer is sent in again.

use crate::check::names;
use crate::field::{Field, FieldKind};
use crate::secret::REDACTED;
use crate::section::{Node, NodeValue, Section};
use crate::settings::holds_key;

/// The section as it may be shown: secrets become [`REDACTED`], and so does what is not declared, for it may be a
/// misspelt secret.
pub fn redacted(section: &Section, fields: &[Field]) -> Section {
    section.mapped(|entry| {
        let kind = field_of(&entry.key, fields).map(|field| field.kind);
        redacted_node(&entry.node, kind)
    })
}

fn redacted_node(node: &Node, kind: Option<FieldKind>) -> Node {
    let value = match (kind, &node.value) {
        (Some(FieldKind::Secret) | None, NodeValue::Null) => NodeValue::Null,
        (Some(FieldKind::Secret) | None, _) => NodeValue::Str(REDACTED.to_owned()),
        (Some(FieldKind::Path), NodeValue::Str(text)) if holds_key(text) => {
            NodeValue::Str(REDACTED.to_owned())
        }
        (Some(FieldKind::Table(fields)), NodeValue::Table(section)) => {
            NodeValue::Table(redacted(section, fields))
        }
        (Some(FieldKind::TableList(fields)), NodeValue::List(items)) => {
            let kind =
                |item: &Node| item.as_section().map(|_| FieldKind::Table(fields)).or(Some(FieldKind::Str));
            NodeValue::List(items.iter().map(|item| redacted_node(item, kind(item))).collect())
        }
        (Some(_), value) => value.clone(),
    };
    Node { value, ..node.clone() }
}

/// Puts the secrets of `old` in the place of every [`REDACTED`] in `new`: who reads settings, changes one and sends them
/// back keeps the password without knowing it.
pub fn keep_secrets(new: &mut Section, old: &Section, fields: &[Field]) {
    let keys: Vec<String> = new.entries().iter().map(|entry| entry.key.clone()).collect();
    for key in keys {
        let Some(field) = field_of(&key, fields) else { continue };
        let before = names(field).find_map(|name| old.get(name));
        let (Some(node), Some(before)) = (new.get(&key), before) else { continue };
        let kept = kept_node(node, before, field.kind);
        new.set(&key, kept);
    }
}

fn kept_node(node: &Node, before: &Node, kind: FieldKind) -> Node {
    match (kind, &node.value, &before.value) {
        (FieldKind::Secret | FieldKind::Path, NodeValue::Str(text), _) if text == REDACTED => before.clone(),
        (FieldKind::Table(fields), NodeValue::Table(section), NodeValue::Table(before)) => {
            let mut section = section.clone();
            keep_secrets(&mut section, before, fields);
            Node { value: NodeValue::Table(section), ..node.clone() }
        }
        (FieldKind::TableList(fields), NodeValue::List(items), NodeValue::List(before)) => {
            let pairs = items.iter().zip(before.iter().map(Some).chain(std::iter::repeat(None)));
            let items = pairs.map(|(item, before)| match before {
                Some(before) => kept_node(item, before, FieldKind::Table(fields)),
                None => item.clone(),
            });
            Node { value: NodeValue::List(items.collect()), ..node.clone() }
        }
        _ => node.clone(),
    }
}

/// The TOML text with the values of keys that sound like secrets overwritten by asterisks, byte for byte, so that every
/// place in it stays: for the excerpts that diagnostics show, also of a file that is not valid TOML. In doubt it hides.
pub fn masked(text: &str) -> String {
    const SOUNDS_SECRET: [&str; 5] = ["password", "passphrase", "secret", "token", "private_key"];
    const KEY_BYTES_MAX: usize = 128;
    let mut bytes = text.as_bytes().to_vec();
    let mut masked_end = 0;
    for (equals, _) in text.match_indices('=') {
        if equals < masked_end {
            continue;
        }
        let before = &text[text.floor_char_boundary(equals.saturating_sub(KEY_BYTES_MAX))..equals];
        let key = &before[before.rfind(['\n', '{', ',']).map_or(0, |at| at + 1)..];
        let key = key.to_ascii_lowercase();
        if SOUNDS_SECRET.iter().any(|word| key.contains(word)) {
            let value = value_range(text, equals + 1);
            masked_end = value.end;
            bytes[value].iter_mut().filter(|b| !b.is_ascii_whitespace()).for_each(|b| *b = b'*');
        }
    }
    // What was overwritten are whole characters, from a delimiter to a delimiter.
    String::from_utf8(bytes).unwrap_or_default()
}

/// The bytes of the value that begins after blanks at `from`, without its quotes; nothing for a table or a list.
fn value_range(text: &str, from: usize) -> std::ops::Range<usize> {
    let start = from + text[from..].len() - text[from..].trim_start_matches([' ', '\t']).len();
    let rest = &text[start..];
    for quote in ["\"\"\"", "'''", "\"", "'"] {
        if let Some(content) = rest.strip_prefix(quote) {
            let start = start + quote.len();
            return start..start + closing_quote(content, quote);
        }
    }
    if rest.starts_with(['{', '[']) {
        return start..start;
    }
    start..start + rest.find([',', '}', '\n']).unwrap_or(rest.len())
}

fn closing_quote(content: &str, quote: &str) -> usize {
    let one_line = quote.len() == 1;
    let mut escaped = false;
    for (at, c) in content.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote.starts_with('"') => escaped = true,
            '\n' if one_line => return at,
            _ if content[at..].starts_with(quote) => return at,
            _ => {}
        }
    }
    content.len()
}

fn field_of<'f>(key: &str, fields: &'f [Field]) -> Option<&'f Field> {
    fields.iter().find(|field| names(field).any(|name| name == key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::{FieldDefault, field};

    const IDS: &[Field] = &[
        field("clientid", FieldKind::Str, FieldDefault::Required, ""),
        field("password", FieldKind::Secret, FieldDefault::Absent, ""),
    ];
    const FIELDS: &[Field] = &[
        field("server", FieldKind::Str, FieldDefault::Required, ""),
        field("password", FieldKind::Secret, FieldDefault::Absent, ""),
        field("ids", FieldKind::TableList(IDS), FieldDefault::Empty, ""),
        field("inner", FieldKind::Table(IDS), FieldDefault::Empty, ""),
    ];

    fn section(json: &serde_json::Value) -> Section {
        Section::from_json(json.as_object().unwrap())
    }

    #[test]
    fn what_is_shown_can_be_sent_back() {
        let json = serde_json::json!({
            "server": "h", "password": "p1", "ids": ["c0", {"clientid": "c1", "password": "p2"}],
            "inner": {"password": {"file": "p3"}}, "pasword": "p4",
        });
        let old = section(&json);
        let shown = redacted(&old, FIELDS);
        assert_eq!(
            shown.to_json(),
            serde_json::json!({
                "server": "h", "password": "******", "ids": ["c0", {"clientid": "c1", "password": "******"}],
                "inner": {"password": "******"}, "pasword": "******",
            })
        );
        let mut sent_back = shown;
        sent_back.remove("pasword");
        sent_back.set("server", Node::str("other"));
        keep_secrets(&mut sent_back, &old, FIELDS);
        let json = sent_back.to_json();
        assert_eq!((&json["server"], &json["password"]), (&"other".into(), &"p1".into()));
        assert_eq!(
            (&json["ids"][1]["password"], &json["inner"]["password"]["file"]),
            (&"p2".into(), &"p3".into())
        );
    }

    #[test]
    fn excerpts_hide_what_sounds_secret() {
        let cases = [
            ("password = \"hunter2\"  # why", "password = \"*******\"  # why"),
            ("a = { username = 'u', password = 'p\"w' }", "a = { username = 'u', password = '***' }"),
            ("password = hunter2\nqos = 1", "password = *******\nqos = 1"),
            ("password = \"a\\\"b\" # x", "password = \"****\" # x"),
            ("password = \"open\nqos = 1", "password = \"****\nqos = 1"),
            ("password = { file = \"pw\" }", "password = { file = \"pw\" }"),
            ("password=password=x, b=1", "password=**********, b=1"),
            ("api.secret='''\nx y'''", "api.secret='''\n* *'''"),
            ("\"Token\" = \"é\"", "\"Token\" = \"**\""),
        ];
        for (text, expected) in cases {
            assert_eq!(masked(text), expected);
        }
    }

    proptest! {
        #[test]
        fn masking_moves_nothing(text in "(password|a|=|\"|'|\\{|\\}|,|\n|é| ){0,30}") {
            let shown = masked(&text);
            prop_assert_eq!(shown.len(), text.len());
            prop_assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
        }
    }
}
