//! Golden files of requests and answers.
//!
//! ```text
//! === file heat.sql            text up to the next ===, written into the rules folder before the start
//! SELECT * FROM "t/#"
//!
//! === what the request shows
//! GET /api/v5/rules/heat       then header lines, then the body
//! --- 200                      the expected answer: status, some headers, the body with its keys sorted
//! {…}
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Headers that an expectation shows.
const SHOWN_HEADERS: &[&str] = &["allow", "content-type", "www-authenticate", "x-sluicegate-filled"];

/// Values that depend on how far a connector has come, by key; shown where the script only looks.
const MOVING: &[&str] = &["status", "status_reason"];

/// Values that differ from run to run, by key.
const MASKED: &[&str] = &[
    "connected_at",
    "created_at",
    "disconnected_at",
    "last_modified_at",
    "message_received_at",
    "publish_received_at",
    "timestamp",
    "uptime",
];

pub(crate) struct Script {
    path: PathBuf,
    text: String,
    pub(crate) files: Vec<(String, String)>,
    pub(crate) steps: Vec<Step>,
}

pub(crate) struct Step {
    title: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Script {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a golden file can be read");
        let mut script =
            Self { path: path.to_owned(), text: text.clone(), files: Vec::new(), steps: Vec::new() };
        for block in text.split("=== ").skip(1) {
            let (title, rest) = block.split_once('\n').expect("a title has a line of its own");
            match title.strip_prefix("file ") {
                Some(name) => script.files.push((name.to_owned(), format!("{}\n", rest.trim_end()))),
                None => script.steps.push(Step::read(title, rest)),
            }
        }
        script
    }

    /// Compares the answers with what is expected, or writes them there under `UPDATE_GOLDEN=1`.
    pub(crate) fn judge(&self, answers: &[Answer], hidden: &[(&str, &str)]) {
        let mut actual = String::new();
        for (name, text) in &self.files {
            let _ = write!(actual, "=== file {name}\n{text}\n");
        }
        for (step, answer) in self.steps.iter().zip(answers) {
            let masked = if step.method == "GET" { MASKED.to_vec() } else { [MASKED, MOVING].concat() };
            let _ = writeln!(actual, "{}{}", step.show(), answer.show(&masked));
        }
        for (secret, shown) in hidden {
            actual = actual.replace(secret, shown);
        }
        let actual = format!("{}\n", actual.trim_end());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&self.path, actual).expect("a golden file can be written");
        } else {
            assert!(actual == self.text, "{} differs; it is now:\n{actual}", self.path.display());
        }
    }
}

impl Step {
    fn read(title: &str, rest: &str) -> Self {
        let request = rest.split("\n---").next().unwrap_or(rest).trim_end();
        let mut lines = request.lines();
        let (method, path) = lines.next().and_then(|line| line.split_once(' ')).expect("METHOD PATH");
        let (mut headers, mut body) = (Vec::new(), String::new());
        for line in lines {
            match line.split_once(": ") {
                Some((name, value)) if body.is_empty() && !line.starts_with(['{', '[', '"', ' ']) => {
                    headers.push((name.to_owned(), value.to_owned()));
                }
                _ => {
                    body.push_str(line);
                    body.push('\n');
                }
            }
        }
        let body = body.trim_end().to_owned();
        Self { title: title.to_owned(), method: method.to_owned(), path: path.to_owned(), headers, body }
    }

    fn show(&self) -> String {
        let mut out = format!("=== {}\n{} {}\n", self.title, self.method, self.path);
        for (name, value) in &self.headers {
            let _ = writeln!(out, "{name}: {value}");
        }
        if !self.body.is_empty() {
            let _ = writeln!(out, "{}", self.body);
        }
        out
    }
}

impl Answer {
    fn show(&self, masked: &[&str]) -> String {
        let mut out = format!("--- {}\n", self.status);
        let json =
            self.headers.iter().any(|(name, value)| name == "content-type" && value == "application/json");
        for (name, value) in &self.headers {
            if SHOWN_HEADERS.contains(&name.as_str()) && !(json && name == "content-type") {
                let _ = writeln!(out, "{name}: {value}");
            }
        }
        if json {
            let mut value: Value = serde_json::from_str(&self.body).expect("what claims to be JSON is JSON");
            mask(&mut value, masked);
            let _ = writeln!(out, "{value:#}");
        } else if !self.body.is_empty() {
            let _ = writeln!(out, "{}", self.body.trim_end());
        }
        out
    }
}

fn mask(value: &mut Value, masked: &[&str]) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if masked.contains(&key.as_str()) {
                    *value = "(varies)".into();
                } else {
                    mask(value, masked);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, masked)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
