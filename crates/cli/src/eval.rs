//! `sluicegate eval`.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use diagnostic::Source;
use eval::test::{Context, NoMatch, Outcome, Setting};
use eval::{FromClass, Program, Worker};
use event::{EVENTS, EventKind, EventSpec};
use serde_json::{Map, Value, json};
use value::Arena;

use crate::args::EvalArgs;
use crate::run::style;
use crate::terminal::{show, tell};
use crate::{EXIT_FINDINGS, EXIT_USAGE};

/// Says what a rule would make of one message.
pub(crate) fn run(args: &EvalArgs) -> ExitCode {
    let mut context = match context(args) {
        Ok(context) => context,
        Err(reason) => return refuse(&reason),
    };
    let source = Source::new("sql", args.sql.as_str());
    let (program, diagnostics) = eval::prepare(&args.sql, 0, "eval");
    if !diagnostics.is_empty() {
        tell(source.render_all(&diagnostics, style(std::io::stderr().is_terminal())).trim_end());
    }
    let Some(program) = program else { return ExitCode::from(EXIT_FINDINGS) };
    if let Some(event_type) = choose_event(&program, &mut context) {
        tell(format_args!(
            "note: evaluated with event_type `{event_type}`, as FROM asks for it; `--context` can say another"
        ));
    }

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let setting =
        Setting { now_ms: now.as_millis() as i64, node: "sluicegate@127.0.0.1", seed: now.as_nanos() as u64 };
    let arena = Arena::new();
    let text = Value::Object(context.clone()).to_string();
    let read = match Context::parse(text.as_bytes(), &setting, &arena) {
        Ok(context) => context,
        Err(error) => return refuse(&error.to_string()),
    };
    tell_filled(&read);
    let surroundings = Arc::new(server::surroundings());
    let mut worker = Worker::new(Arc::clone(&surroundings), setting.seed);
    match eval::test::run(&program, &read, &setting, &mut worker) {
        Outcome::Output(mut json) => {
            json.push(b'\n');
            show(&json);
            return ExitCode::SUCCESS;
        }
        Outcome::NoMatch(NoMatch::Topic) => {
            tell("no match: nothing in FROM lets this message in");
            about_no_topic(&program, &context).for_each(tell);
        }
        Outcome::NoMatch(NoMatch::Condition) => {
            tell("no match: WHERE is not true");
            for reason in eval::test::why_filtered(source.text(), 0, &read, &setting, &surroundings) {
                tell(format_args!("  {}", reason.describe(source.text())));
            }
        }
        Outcome::Error(error) => {
            let shown = source.render(&error.to_diagnostic(), style(std::io::stderr().is_terminal()));
            tell(shown.trim_end());
        }
    }
    ExitCode::from(EXIT_FINDINGS)
}

/// The context: that of the file, if there is one, with what the flags say put over it.
fn context(args: &EvalArgs) -> Result<Map<String, Value>, String> {
    let mut context: Map<String, Value> = match &args.context {
        None => Map::new(),
        Some(path) => {
            let text = read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
            serde_json::from_str(&text).map_err(|error| format!("`{}`: {error}", path.display()))?
        }
    };
    for (key, value) in [("topic", &args.topic), ("payload", &args.payload)] {
        if let Some(value) = value {
            context.insert(key.to_owned(), json!(value));
        }
    }
    Ok(context)
}

fn read(path: &std::path::Path) -> std::io::Result<String> {
    if path.as_os_str() != "-" {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Says what sort of event the context is, where it does not: what FROM is about, and otherwise a publish. Returns it
/// where it is no publish.
fn choose_event(program: &Program, context: &mut Map<String, Value>) -> Option<String> {
    if context.contains_key("event_type") {
        return None;
    }
    let asked = program.from().first().and_then(|from| match from.class {
        FromClass::Publish => None,
        FromClass::Source | FromClass::Event => event_type_of(from.filter.as_str()),
    });
    let event_type = asked.clone().unwrap_or_else(|| EventKind::MessagePublish.spec().event_type.to_owned());
    context.insert("event_type".to_owned(), json!(event_type));
    asked
}

/// The `event_type` of a context that an entry of FROM about events or sources lets in.
fn event_type_of(filter: &str) -> Option<String> {
    if let Some(name) = filter.strip_prefix("$bridges/").or_else(|| filter.strip_prefix("$sources/")) {
        return name.starts_with("mqtt:").then(|| format!("$bridges/{name}"));
    }
    let answers = |spec: &&EventSpec| spec.from.iter().any(|name| topic::matches(filter, name));
    EVENTS.iter().find(answers).map(|spec| spec.event_type.to_owned())
}

/// Why no entry of FROM lets a message in.
fn about_no_topic(program: &Program, context: &Map<String, Value>) -> impl Iterator<Item = String> {
    let event_type = context.get("event_type").and_then(Value::as_str).unwrap_or_default();
    let topic = context.get("topic").and_then(Value::as_str).unwrap_or_default();
    let publish = event_type == EventKind::MessagePublish.spec().event_type;
    program.from().iter().map(move |from| {
        let filter = from.filter.as_str();
        let reason = match from.class {
            FromClass::Publish if publish && topic.is_empty() => {
                "the message has no topic; give one with `--topic`".to_owned()
            }
            FromClass::Publish if publish => format!("the topic `{topic}` does not match"),
            FromClass::Publish => format!("takes publishes, and this is `{event_type}`"),
            FromClass::Event | FromClass::Source => match event_type_of(filter) {
                Some(wanted) => {
                    format!("takes messages of event_type `{wanted}`, and this is `{event_type}`")
                }
                None => "there is no such event, and no such type of source".to_owned(),
            },
        };
        format!("  \"{filter}\": {reason}")
    })
}

/// Nobody should take an invented value for their own.
fn tell_filled(context: &Context<'_>) {
    if std::io::stderr().is_terminal() && !context.filled.is_empty() {
        let names: Vec<_> = context.filled.iter().map(|column| column.name()).collect();
        tell(format_args!("note: columns with example values: {}", names.join(", ")));
    }
}

fn refuse(reason: &str) -> ExitCode {
    tell(format_args!("error: {reason}"));
    ExitCode::from(EXIT_USAGE)
}
