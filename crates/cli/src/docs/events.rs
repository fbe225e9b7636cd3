//! The page of events and their columns.

use std::fmt::Write as _;

use event::{EVENTS, EventKind, EventSpec, Example};

use super::{cell, head};

/// `docs/generated/events.md`.
pub(super) fn page() -> String {
    let mut page = head(
        "Events and their columns",
        "What may stand in FROM, what `event_type` of a test's context is called, and what each event brings. Columns that a context leaves out are filled with the examples.",
    );
    page.push_str("\n| event | FROM | `event_type` |\n| --- | --- | --- |\n");
    for spec in EVENTS {
        let _ = writeln!(
            page,
            "| [{}](#{}) | {} | `{}` |",
            spec.title,
            anchor(spec.title),
            from(spec).join("<br>"),
            spec.event_type
        );
    }
    for spec in EVENTS {
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\n```sql\n{}\n```\n\n| column | kind | example |\n| --- | --- | --- |\n",
            spec.title, spec.description, spec.sql_example
        );
        for (column, example) in spec.columns {
            let (kind, shown) = described(spec, *example);
            let _ = writeln!(page, "| `{}` | {kind} | {} |", column.name(), cell(&shown));
        }
        page.push_str("| `metadata` | map | `{\"rule_id\": …}` |\n");
        if !spec.unfilled.is_empty() {
            let names: Vec<String> =
                spec.unfilled.iter().map(|column| format!("`{}`", column.name())).collect();
            let _ = writeln!(page, "\nWhere the message has them: {}.", names.join(", "));
        }
    }
    page
}

/// What FROM says.
fn from(spec: &EventSpec) -> Vec<String> {
    match spec.kind {
        EventKind::MessagePublish => vec!["a topic filter, `\"sensors/#\"`".to_owned()],
        EventKind::Source => {
            vec!["`\"$bridges/mqtt:NAME\"`".to_owned(), "`\"$sources/mqtt:NAME\"`".to_owned()]
        }
        _ => spec.from.iter().map(|name| format!("`\"{name}\"`")).collect(),
    }
}

/// The kind of a column, and its example.
fn described(spec: &EventSpec, example: Example) -> (&'static str, String) {
    match example {
        Example::Text(text) => ("string", format!("`{}`", serde_json::Value::from(text))),
        Example::Int(int) => ("integer", format!("`{int}`")),
        Example::Bool(value) => ("boolean", format!("`{value}`")),
        Example::Json(text) => ("map", format!("`{text}`")),
        Example::Event if spec.kind == EventKind::Source => ("string", "the name in FROM".to_owned()),
        Example::Event => ("name", format!("`\"{}\"`", spec.name)),
        Example::Now => ("integer", "the time, in milliseconds since 1970 UTC".to_owned()),
        Example::Id => ("string", "a new id".to_owned()),
        Example::Node => ("name", "the name of the node".to_owned()),
        Example::Undefined => ("string", "undefined".to_owned()),
    }
}

/// Where GitHub puts a heading.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}
