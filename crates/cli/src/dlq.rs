//! `sluicegate dlq`: dead letters, of a running server over its API, or of the data folder of one that does not run.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};
use server::dead_letters::{Filter, Store};

use crate::args::{DlqArgs, DlqVerb, LetterFormat, Letters};
use crate::ask::{Failure, call};
use crate::terminal::{show, tell};
use crate::{EXIT_FINDINGS, EXIT_USAGE};

type Outcome = Result<String, Failure>;

/// Runs the verb.
pub(crate) fn run(args: &DlqArgs) -> ExitCode {
    match answer(args) {
        Ok(text) => {
            show(text);
            ExitCode::SUCCESS
        }
        Err(Failure(reason, code)) => {
            tell(format_args!("error: {reason}"));
            ExitCode::from(code)
        }
    }
}

fn answer(args: &DlqArgs) -> Outcome {
    match &args.verb {
        DlqVerb::List { action, rule, stage, limit, format } => {
            let wanted = [("action", action), ("rule", rule), ("stage", stage)];
            let letters = match &args.data {
                Some(_) => offline(args, |filter| {
                    (filter.action, filter.rule, filter.stage) =
                        (action.clone(), rule.clone(), stage.clone());
                })?,
                None => {
                    let mut path = format!("/dead_letters?limit={limit}");
                    for (name, value) in wanted {
                        if let Some(value) = value {
                            let _ = write!(path, "&{name}={}", percent_encoded(value));
                        }
                    }
                    call(&args.api, "GET", &path, None)?["data"].as_array().cloned().unwrap_or_default()
                }
            };
            if letters.is_empty() {
                // What reads the output finds nothing in it, and who sees none knows that it is all.
                tell("no dead letters");
            }
            Ok(listed(letters.iter().take(*limit), *format))
        }
        DlqVerb::Show { id } => {
            let letter = match &args.data {
                Some(_) => offline(args, |filter| filter.ids = Some(vec![*id]))?.pop(),
                None => Some(call(&args.api, "GET", &format!("/dead_letters/{id}"), None)?),
            };
            let letter =
                letter.ok_or_else(|| Failure(format!("there is no dead letter {id}"), EXIT_FINDINGS))?;
            Ok(format!("{letter:#}\n"))
        }
        DlqVerb::Replay(letters) => {
            let answer = call(&args.api, "POST", "/dead_letters/replay", Some(&body(letters)?))?;
            let replayed = answer["replayed"].as_array().map_or(0, Vec::len);
            let refused = answer["refused"].as_array().cloned().unwrap_or_default();
            let mut text = format!("{replayed} queued again\n");
            for one in &refused {
                let _ = writeln!(text, "{}: {}", one["id"], one["reason"].as_str().unwrap_or_default());
            }
            if refused.is_empty() {
                Ok(text)
            } else {
                Err(Failure(text.trim_end().to_owned(), EXIT_FINDINGS))
            }
        }
        DlqVerb::Discard(letters) => {
            let answer = call(&args.api, "POST", "/dead_letters/discard", Some(&body(letters)?))?;
            Ok(format!("{} discarded\n", answer["discarded"]))
        }
    }
}

/// Which letters are meant, as the API takes it.
fn body(letters: &Letters) -> Result<Value, Failure> {
    let mut body = json!({});
    if !letters.ids.is_empty() {
        body["ids"] = json!(letters.ids);
    }
    if let Some(action) = &letters.action {
        body["action"] = json!(action);
    }
    if letters.all {
        body["all"] = json!(true);
    }
    if body == json!({}) {
        let reason = "say which letters: their numbers, `--action TYPE:NAME`, or `--all`";
        return Err(Failure(reason.to_owned(), EXIT_USAGE));
    }
    Ok(body)
}

/// The letters in a data folder, as the API would show them.
fn offline(args: &DlqArgs, set: impl FnOnce(&mut Filter)) -> Result<Vec<Value>, Failure> {
    let mut filter = Filter::default();
    set(&mut filter);
    let dir = args.data.clone().unwrap_or_default().join("dlq");
    let letters =
        Store::read_folder(&dir, &filter).map_err(|error| Failure(error.to_string(), EXIT_FINDINGS))?;
    Ok(letters.into_iter().map(server::show_letter).collect())
}

fn listed<'l>(letters: impl Iterator<Item = &'l Value>, format: LetterFormat) -> String {
    let mut text = String::new();
    for letter in letters {
        // To a string it never fails.
        let _ = match format {
            LetterFormat::Json => writeln!(text, "{letter}"),
            LetterFormat::Text => {
                let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
                writeln!(
                    text,
                    "{:>6}  {}  {:<8}  {}  {}  {}  {}",
                    letter["id"],
                    time(letter["died_at_ms"].as_i64().unwrap_or_default()),
                    word(&letter["stage"]),
                    word(&letter["action"]),
                    word(&letter["rule"]),
                    word(&letter["message"]["topic"]),
                    word(&letter["reason"]),
                )
            }
        };
    }
    text
}

/// A time as people of any zone can compare it.
fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map(|time| time.to_string()).unwrap_or_default()
}

/// A value in a query.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_letters_means_none() {
        let none = Letters { ids: Vec::new(), action: None, all: false };
        assert!(body(&none).is_err());
        let some = Letters { ids: vec![3], action: Some("mqtt:a".into()), all: false };
        assert_eq!(body(&some).ok(), Some(json!({"ids": [3], "action": "mqtt:a"})));
    }

    #[test]
    fn a_value_is_safe_in_a_query() {
        assert_eq!(percent_encoded("mqtt:a b&c"), "mqtt:a%20b%26c");
    }
}
