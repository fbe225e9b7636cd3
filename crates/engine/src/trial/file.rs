//! From the text of a test file to its cases.

use std::path::Path;
use std::sync::Arc;

use config::{Field, FieldDefault, FieldKind, Node, NodeValue, Section, Settings, field};
use diagnostic::{Code, Diagnostic, did_you_mean};
use eval::test::{Context, ContextError, Setting};
use event::Column;
use serde_json::Value as Json;
use value::{Arena, Kind};

use super::{Case, Expected, ExpectedPublish, NODE, REPUBLISH, TriedRule};
use crate::unit::{ActionItem, RuleItem};

/// A test file.
pub static FILE_FIELDS: &[Field] = &[
    field(
        "now",
        FieldKind::Any,
        FieldDefault::Text("2026-01-01T00:00:00Z"),
        "What time it is: RFC 3339, or milliseconds since 1970 UTC.",
    ),
    field(
        "seed",
        FieldKind::Int { min: 0, max: i64::MAX },
        FieldDefault::Int(1),
        "Where random numbers begin.",
    ),
    field("case", FieldKind::TableList(CASE_FIELDS), FieldDefault::Empty, "The cases."),
];

/// One `[[case]]`.
pub static CASE_FIELDS: &[Field] = &[
    field("name", FieldKind::Str, FieldDefault::Required, "What the case shows."),
    field(
        "context",
        FieldKind::Any,
        FieldDefault::Required,
        "The message, as `rule_test` takes it: a table, or text that is JSON. Without `event_type` it is a publish.",
    ),
    field(
        "output",
        FieldKind::Any,
        FieldDefault::Absent,
        "The row, or the list of rows of a FOREACH: a table, a list, or text that is JSON.",
    ),
    field("no_match", FieldKind::Bool, FieldDefault::Absent, "`true`: the message is not let through."),
    field(
        "error",
        FieldKind::Any,
        FieldDefault::Absent,
        "`true`, or a part of the message: the evaluation fails.",
    ),
    field(
        "publishes",
        FieldKind::TableList(PUBLISH_FIELDS),
        FieldDefault::Absent,
        "What the actions that it names send, row by row and in the order of the actions; an empty list: that nothing is sent.",
    ),
    field("now", FieldKind::Any, FieldDefault::Absent, "What time it is, if not that of the file."),
    field(
        "seed",
        FieldKind::Int { min: 0, max: i64::MAX },
        FieldDefault::Absent,
        "Where random numbers begin, if not where the file says.",
    ),
];

/// One of a case's `publishes`; what is left out is not compared.
pub static PUBLISH_FIELDS: &[Field] = &[
    field(
        "action",
        FieldKind::Str,
        FieldDefault::Required,
        "Which action sends: `mqtt:NAME` or `republish`.",
    ),
    field("topic", FieldKind::Str, FieldDefault::Absent, "The topic."),
    field("qos", FieldKind::Int { min: 0, max: 2 }, FieldDefault::Absent, "The QoS."),
    field("retain", FieldKind::Bool, FieldDefault::Absent, "The RETAIN flag."),
    field(
        "payload",
        FieldKind::Any,
        FieldDefault::Absent,
        "The payload: text as it stands, or a table or list that is compared as JSON.",
    ),
    field(
        "payload_hex",
        FieldKind::Str,
        FieldDefault::Absent,
        "A payload that is not UTF-8, in hexadecimal.",
    ),
    field("pub_props", FieldKind::Any, FieldDefault::Absent, "The MQTT 5 properties."),
    field(
        "error",
        FieldKind::Any,
        FieldDefault::Absent,
        "`true`, or a part of the reason: the row cannot be sent.",
    ),
];

/// The cases of a file. `rule` is what the rule's file declares, `tried` what runs; without it the cases can only fail.
pub(super) fn parse(
    text: &str,
    dir: &Path,
    rule: Option<&RuleItem>,
    tried: Option<&Arc<TriedRule>>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Case> {
    let before = diagnostics.len();
    let section = Section::parse_toml(&config::text_file::without_bom(text), diagnostics);
    for diagnostic in diagnostics[before..].iter_mut().filter(|one| one.code == Code::OutOfRange) {
        diagnostic.help = Some("write the whole `output` or `context` as text that is JSON".to_owned());
    }
    if diagnostics.len() > before {
        return Vec::new();
    }
    let settings = config::check(&section, FILE_FIELDS, dir, diagnostics);
    let now_ms = moment(&settings, diagnostics);
    // What the fields cannot say alone is asked only of settings that have the right shape.
    let Some(now_ms) = now_ms.filter(|_| !diagnostics[before..].iter().any(Diagnostic::is_error)) else {
        return Vec::new();
    };
    let reader = Reader { now_ms, seed: settings.int("seed"), rule, tried };
    settings.tables("case").iter().filter_map(|case| reader.case(case, diagnostics)).collect()
}

/// Reads the cases of one file.
struct Reader<'a> {
    now_ms: i64,
    seed: i64,
    rule: Option<&'a RuleItem>,
    tried: Option<&'a Arc<TriedRule>>,
}

impl Reader<'_> {
    fn case(&self, case: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Option<Case> {
        let now_ms = if case.is_given("now") { moment(case, diagnostics)? } else { self.now_ms };
        let seed = case.opt_int("seed").unwrap_or(self.seed).unsigned_abs();
        let context = context(case, &Setting { now_ms, node: NODE, seed }, diagnostics);
        let publishes = case.is_given("publishes").then(|| self.publishes(case, diagnostics));
        let expected = expected(case, diagnostics);
        Some(Case {
            name: case.str("name").to_owned(),
            span: case.section_span(),
            context: context?,
            now_ms,
            seed,
            expected: expected?,
            publishes,
            rule: self.tried.cloned(),
        })
    }

    fn publishes(&self, case: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Vec<ExpectedPublish> {
        let read = case.tables("publishes").iter().map(|publish| {
            self.check_action(publish, diagnostics);
            let error = error_part(publish, diagnostics);
            let mut parts = match publish.to_json() {
                Json::Object(parts) => parts,
                _ => serde_json::Map::new(),
            };
            parts.remove("action");
            parts.remove("error");
            ExpectedPublish { action: publish.str("action").to_owned(), parts, error }
        });
        read.collect()
    }

    /// The rule must have the action.
    fn check_action(&self, publish: &Settings, diagnostics: &mut Vec<Diagnostic>) {
        let Some(rule) = self.rule else { return };
        let names: Vec<String> = rule
            .actions
            .iter()
            .filter_map(|action| match action {
                ActionItem::Resource { id, .. } => Some(id.to_string()),
                ActionItem::Republish(_) => Some(REPUBLISH.to_owned()),
                ActionItem::Console => None,
            })
            .collect();
        let action = publish.str("action");
        if !names.iter().any(|name| name == action) {
            let message = format!("the rule `{}` has no action `{action}` that publishes", rule.id);
            let help = did_you_mean(action, names.iter().map(String::as_str));
            diagnostics
                .push(Diagnostic::new(Code::UnknownAction, publish.span("action"), message).maybe_help(help));
        }
    }
}

/// What the case expects: one of `output`, `no_match` and `error`, or what is published.
fn expected(case: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Option<Expected> {
    let given: Vec<&str> =
        ["output", "no_match", "error"].into_iter().filter(|key| case.is_given(key)).collect();
    if let [first, second, ..] = given[..] {
        let message = format!("`{first}` and `{second}` cannot both be expected");
        diagnostics.push(
            Diagnostic::new(Code::Conflict, case.key_span(second), message)
                .related(case.key_span(first), "given here"),
        );
        return None;
    }
    let sends = !case.tables("publishes").is_empty();
    if let ["no_match" | "error"] = given[..]
        && sends
    {
        let message = format!("where `{}` is expected, nothing is published", given[0]);
        diagnostics.push(Diagnostic::new(Code::Conflict, case.key_span("publishes"), message));
    }
    match given.first() {
        Some(&"output") => output(case, diagnostics).map(Expected::Output),
        Some(&"no_match") if case.bool("no_match") => Some(Expected::NoMatch),
        Some(&"no_match") => {
            let help = "leave it out and say what the `output` is";
            diagnostics.push(
                Diagnostic::new(Code::InvalidValue, case.span("no_match"), "`no_match` can only be `true`")
                    .help(help),
            );
            None
        }
        Some(_) => error_part(case, diagnostics).map(Expected::Error),
        None if case.is_given("publishes") => Some(Expected::AnyOutput),
        None => {
            let message = "the case expects nothing";
            let help = "say what comes of it: `output`, `no_match = true`, `error` or `publishes`";
            diagnostics.push(Diagnostic::new(Code::MissingKey, case.section_span(), message).help(help));
            None
        }
    }
}

fn output(case: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Option<Json> {
    let node = case.node("output")?;
    let json = json(node, "output", diagnostics)?;
    if json.is_object() || json.is_array() {
        return Some(json);
    }
    let message = format!("`output` needs a table or a list, found {}", node.kind_text());
    diagnostics.push(Diagnostic::new(Code::WrongType, node.span, message));
    None
}

/// A value as it stands; text is read as JSON.
fn json(node: &Node, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Json> {
    let Some(text) = node.as_str() else { return Some(node.to_json()) };
    match serde_json::from_str(text) {
        Ok(json) => Some(json),
        Err(error) => {
            let message = format!("`{key}` is text that is no JSON: {error}");
            let help = format!("write a table: `{key} = {{ … }}`");
            diagnostics.push(Diagnostic::new(Code::InvalidValue, node.span, message).help(help));
            None
        }
    }
}

/// The part of the message that `error` names, empty for any; `None` where it does not stand there, or is wrong.
fn error_part(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    let node = settings.node("error")?;
    match &node.value {
        NodeValue::Bool(true) => Some(String::new()),
        NodeValue::Str(part) => Some(part.clone()),
        _ => {
            let message = "`error` needs `true`, or a part of the message";
            diagnostics.push(Diagnostic::new(Code::WrongType, node.span, message));
            None
        }
    }
}

/// `now` in milliseconds since 1970 UTC.
fn moment(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Option<i64> {
    let node = settings.node("now")?;
    let moment = match &node.value {
        NodeValue::Int(millis) => Some(*millis),
        NodeValue::Str(text) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond),
        _ => None,
    };
    if moment.is_none() {
        let message = "`now` needs a moment such as `2026-01-01T00:00:00Z`, or milliseconds since 1970 UTC";
        diagnostics.push(Diagnostic::new(Code::InvalidValue, node.span, message));
    }
    moment
}

/// The context as JSON, if a message can be made of it.
fn context(case: &Settings, setting: &Setting<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    let node = case.node("context")?;
    let mut json = json(node, "context", diagnostics)?;
    if let Json::Object(map) = &mut json {
        map.entry("event_type").or_insert_with(|| "message_publish".into());
    }
    let text = json.to_string();
    let arena = Arena::new();
    match Context::parse(text.as_bytes(), setting, &arena) {
        Ok(_) => Some(text),
        Err(error) => {
            diagnostics.push(bad_context(&error, node));
            None
        }
    }
}

/// What is wrong with a context, at the key it is about.
fn bad_context(error: &ContextError, node: &Node) -> Diagnostic {
    let entry = |key: &str| node.as_section().and_then(|section| section.entry(key));
    let value = |key: &str| entry(key).map(|entry| entry.node.span);
    let (code, span, help) = match error {
        ContextError::UnknownField { field, .. } => {
            let names = Column::ALL.iter().map(|column| column.name());
            (Code::UnknownKey, entry(field).map(|entry| entry.key_span), did_you_mean(field, names))
        }
        ContextError::Kind { field: "payload", found: Kind::Map | Kind::Array, .. } => {
            let help = "a payload is text: `payload = '{\"temp\": 31}'`".to_owned();
            (Code::WrongType, value("payload"), Some(help))
        }
        ContextError::Kind { field, .. } => (Code::WrongType, value(field), None),
        ContextError::UnknownEventType(_) => (Code::InvalidValue, value("event_type"), None),
        ContextError::NotJson(_) | ContextError::NotAMap(_) | ContextError::NoEventType => {
            (Code::WrongType, None, None)
        }
    };
    Diagnostic::new(code, span.unwrap_or(node.span), error.to_string()).maybe_help(help)
}
