//! The pages of settings: those of connectors, sources and actions, and those of the configuration file.

use std::fmt::Write as _;

use config::{Field, FieldDefault, FieldKind, SERVER_FIELDS};

use super::{cell, head};

pub(super) fn connectors() -> String {
    let mut page = head(
        "Connectors, sources and actions",
        "What may stand in a resource file, and in the bodies of the API. Paths are relative to the file that names them. A duration is \
         written `15s`, `200ms` or `1h30m`; a number without a unit counts milliseconds, as in the reference, where nothing else is said.",
    );
    for kind in server::KINDS {
        let _ = write!(page, "\n## {}\n\n{}\n", kind.name, kind.summary);
        for (category, fields) in
            [("connectors", kind.fields), ("sources", kind.source_fields), ("actions", kind.action_fields)]
        {
            if !fields.is_empty() {
                let _ = write!(page, "\n### `[{category}.{}.NAME]`\n", kind.name);
                table(fields, Env::None, &mut page);
            }
        }
    }
    page.push_str("\n## republish\n\n### `{ function = \"republish\", args = { … } }`\n");
    table(engine::REPUBLISH_FIELDS, Env::None, &mut page);
    page
}

pub(super) fn config() -> String {
    let mut page = head(
        "The configuration file",
        "What may stand in `sluicegate.toml`. Flags win over environment variables, these over the file, the file over the defaults. An \
         empty file is valid. A list in a variable is separated by commas; a table, or a list of tables, is written as TOML.",
    );
    let (tables, plain): (Vec<&Field>, Vec<&Field>) =
        SERVER_FIELDS.iter().partition(|field| matches!(field.kind, FieldKind::Table(_)));
    let plain: Vec<Field> = plain.into_iter().copied().collect();
    if !plain.is_empty() {
        page.push_str("\n## On top\n");
        table(&plain, Env::Prefix("SLUICEGATE"), &mut page);
    }
    for field in tables {
        let FieldKind::Table(fields) = field.kind else { continue };
        let _ = write!(page, "\n## `[{}]`\n\n{}\n", field.name, field.summary);
        table(fields, Env::Prefix(&variable("SLUICEGATE", field.name)), &mut page);
    }
    page
}

/// The column of environment variables.
#[derive(Clone, Copy)]
enum Env<'a> {
    /// There is none.
    None,
    /// It stays empty: one variable holds the whole list.
    Empty,
    /// Every setting has one that begins like this.
    Prefix(&'a str),
}

/// One line for each setting, those of tables below their table.
fn table(fields: &[Field], env: Env<'_>, page: &mut String) {
    let (title, rule) = match env {
        Env::None => ("", ""),
        Env::Empty | Env::Prefix(_) => (" environment |", " --- |"),
    };
    let _ = write!(page, "\n| setting | value | default |{title} |\n| --- | --- | --- |{rule} --- |\n");
    rows(fields, "", env, page);
}

fn rows(fields: &[Field], path: &str, env: Env<'_>, page: &mut String) {
    for field in fields {
        let name = format!("{path}{}", field.name);
        let own = match env {
            Env::Prefix(prefix) => variable(prefix, field.name),
            Env::None | Env::Empty => String::new(),
        };
        let shown = match env {
            Env::None => String::new(),
            Env::Empty => " |".to_owned(),
            Env::Prefix(_) => format!(" `{own}` |"),
        };
        let aliases = match field.aliases {
            [] => String::new(),
            aliases => format!(" Also spelled `{}`.", aliases.join("`, `")),
        };
        let (value, default, summary) = (cell(&value(field.kind)), default(field), cell(field.summary));
        let _ = writeln!(page, "| `{name}` | {value} | {default} |{shown} {summary}{aliases} |");
        match (field.kind, env) {
            (FieldKind::Table(inner), Env::Prefix(_)) => {
                rows(inner, &format!("{name}."), Env::Prefix(&own), page);
            }
            (FieldKind::Table(inner), env) => rows(inner, &format!("{name}."), env, page),
            (FieldKind::TableList(inner), Env::None) => {
                rows(inner, &format!("{name}[]."), Env::None, page);
            }
            (FieldKind::TableList(inner), _) => rows(inner, &format!("{name}[]."), Env::Empty, page),
            _ => {}
        }
    }
}

fn variable(prefix: &str, name: &str) -> String {
    format!("{prefix}__{}", name.to_ascii_uppercase())
}

/// What values a setting takes, in a few words.
fn value(kind: FieldKind) -> String {
    match kind {
        FieldKind::Bool => "boolean".to_owned(),
        FieldKind::Int { min, max } => bounded("integer", min, max),
        FieldKind::Str => "text".to_owned(),
        FieldKind::Duration => "duration".to_owned(),
        FieldKind::Seconds => "duration; a bare number is seconds".to_owned(),
        FieldKind::DurationOrInfinity => "duration or `infinity`".to_owned(),
        FieldKind::Bytes => "bytes".to_owned(),
        FieldKind::OneOf(words) => format!("`{}`", words.join("`, `")),
        FieldKind::Secret => "secret".to_owned(),
        FieldKind::Path => "path".to_owned(),
        FieldKind::Template => "template".to_owned(),
        FieldKind::IntTemplate { min, max } => format!("{}, or template", bounded("integer", min, max)),
        FieldKind::BoolTemplate => "boolean, or template".to_owned(),
        FieldKind::StrList => "list of text".to_owned(),
        FieldKind::Table(_) => "table".to_owned(),
        FieldKind::TableList(_) => "list of tables".to_owned(),
        FieldKind::TemplateMap => "table of templates".to_owned(),
        FieldKind::Any => "any".to_owned(),
    }
}

fn bounded(kind: &str, min: i64, max: i64) -> String {
    match max {
        i64::MAX => format!("{kind}, {min} or more"),
        max => format!("{kind}, {min} to {max}"),
    }
}

fn default(field: &Field) -> String {
    match (field.default, field.kind) {
        (FieldDefault::Required, _) => "**required**".to_owned(),
        (FieldDefault::Absent, _) | (FieldDefault::Empty, FieldKind::Table(_)) => String::new(),
        (FieldDefault::Bool(value), _) => format!("`{value}`"),
        (FieldDefault::Int(value), _) => format!("`{value}`"),
        (FieldDefault::Text(text), _) => format!("`\"{text}\"`"),
        (FieldDefault::Empty, _) => "`[]`".to_owned(),
    }
}
