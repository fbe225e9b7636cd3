//! `sluicegate dlq`: dead letters, of a running server over its API, or of the data folder of one that does not run.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use server::dead_letters::{Filter, Store};

use crate::args::{DlqArgs, DlqVerb, LetterFormat, Letters};
use crate::{EXIT_FINDINGS, EXIT_USAGE};

/// How long the server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What an answer may have (bytes).
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// Why it did not work, and the exit code for that.
struct Failure(String, u8);

type Outcome = Result<String, Failure>;

/// Runs the verb.
pub(crate) fn run(args: &DlqArgs) -> ExitCode {
    match answer(args) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Failure(reason, code)) => {
            eprintln!("error: {reason}");
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
                    call(args, "GET", &path, None)?["data"].as_array().cloned().unwrap_or_default()
                }
            };
            Ok(listed(letters.iter().take(*limit), *format))
        }
        DlqVerb::Show { id } => {
            let letter = match &args.data {
                Some(_) => offline(args, |filter| filter.ids = Some(vec![*id]))?.pop(),
                None => Some(call(args, "GET", &format!("/dead_letters/{id}"), None)?),
            };
            let letter =
                letter.ok_or_else(|| Failure(format!("there is no dead letter {id}"), EXIT_FINDINGS))?;
            Ok(format!("{letter:#}\n"))
        }
        DlqVerb::Replay(letters) => {
            let answer = call(args, "POST", "/dead_letters/replay", Some(&body(letters)?))?;
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
            let answer = call(args, "POST", "/dead_letters/discard", Some(&body(letters)?))?;
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

fn call(args: &DlqArgs, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let url = args.url.trim_end_matches('/');
    let failed = |reason: String| Failure(reason, EXIT_FINDINGS);
    if !url.starts_with("http://") {
        let reason = format!(
            "`{url}` is no URL of the form http://HOST:PORT; a server behind TLS is reached by way of what ends the TLS"
        );
        return Err(Failure(reason, EXIT_USAGE));
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER_WITHIN))
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{url}/api/v5{path}"));
    if let Some(key) = &args.key {
        let secret = args.secret.as_deref().unwrap_or_default();
        request =
            request.header("authorization", format!("Basic {}", STANDARD.encode(format!("{key}:{secret}"))));
    }
    let text = body.map(ToString::to_string).unwrap_or_default();
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(text).map_err(|error| failed(error.to_string()))?;
    let mut response = agent
        .run(request)
        .map_err(|error| failed(format!("{url} cannot be asked: {error}; `--url` says where the API is")))?;
    let status = response.status();
    let text = response
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_string()
        .map_err(|error| failed(error.to_string()))?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    if status.is_success() {
        return Ok(answer);
    }
    let message = answer["message"].as_str().map_or_else(|| text.clone(), str::to_owned);
    Err(failed(format!("{message} ({})", status.as_u16())))
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
