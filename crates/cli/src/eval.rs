//! `sluicegate eval`.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use diagnostic::Source;
use eval::test::{Context, NoMatch, Outcome, Setting};
use eval::{Surroundings, Worker};
use serde_json::{Map, Value, json};
use value::Arena;

use crate::args::EvalArgs;
use crate::run::style;
use crate::{EXIT_FINDINGS, EXIT_USAGE};

/// Says what a rule would make of one message.
pub(crate) fn run(args: &EvalArgs) -> ExitCode {
    let context = match context(args) {
        Ok(context) => context,
        Err(reason) => return refuse(&reason),
    };
    let source = Source::new("sql", args.sql.as_str());
    let (program, diagnostics) = eval::prepare(&args.sql, 0, "eval");
    if !diagnostics.is_empty() {
        eprintln!("{}", source.render_all(&diagnostics, style(std::io::stderr().is_terminal())));
    }
    let Some(program) = program else { return ExitCode::from(EXIT_FINDINGS) };

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let setting =
        Setting { now_ms: now.as_millis() as i64, node: "sluicegate@127.0.0.1", seed: now.as_nanos() as u64 };
    let arena = Arena::new();
    let context = match Context::parse(context.as_bytes(), &setting, &arena) {
        Ok(context) => context,
        Err(error) => return refuse(&error.to_string()),
    };
    tell_filled(&context);
    let mut worker = Worker::new(Arc::new(Surroundings::default()), setting.seed);
    match eval::test::run(&program, &context, &setting, &mut worker) {
        Outcome::Output(mut json) => {
            json.push(b'\n');
            // A reader that has gone has seen enough.
            let _ = std::io::stdout().write_all(&json);
            return ExitCode::SUCCESS;
        }
        Outcome::NoMatch(NoMatch::Topic) => eprintln!("no match: nothing in FROM lets this message in"),
        Outcome::NoMatch(NoMatch::Condition) => eprintln!("no match: WHERE is not true"),
        Outcome::Error(error) => {
            eprintln!("{}", source.render(&error.to_diagnostic(), style(std::io::stderr().is_terminal())));
        }
    }
    ExitCode::from(EXIT_FINDINGS)
}

/// The context as JSON: that of the file, if there is one, with what the flags say put over it.
fn context(args: &EvalArgs) -> Result<String, String> {
    let mut context: Map<String, Value> = match &args.context {
        None => Map::new(),
        Some(path) => {
            let text = read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
            serde_json::from_str(&text).map_err(|error| format!("`{}`: {error}", path.display()))?
        }
    };
    context.entry("event_type").or_insert_with(|| json!("message_publish"));
    for (key, value) in [("topic", &args.topic), ("payload", &args.payload)] {
        if let Some(value) = value {
            context.insert(key.to_owned(), json!(value));
        }
    }
    Ok(Value::Object(context).to_string())
}

fn read(path: &std::path::Path) -> std::io::Result<String> {
    if path.as_os_str() != "-" {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Nobody should take an invented value for their own.
fn tell_filled(context: &Context<'_>) {
    if std::io::stderr().is_terminal() && !context.filled.is_empty() {
        let names: Vec<_> = context.filled.iter().map(|column| column.name()).collect();
        eprintln!("note: columns with example values: {}", names.join(", "));
    }
}

fn refuse(reason: &str) -> ExitCode {
    eprintln!("error: {reason}");
    ExitCode::from(EXIT_USAGE)
}
