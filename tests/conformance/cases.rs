//! The cases of this folder, and how an answer is held against them: for the test in process and the one over HTTP.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What a case says, or what we made of it.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Ok(Value),
    NoMatch,
    /// Any refusal: SQL that is not valid, a context that is not, a failed evaluation.
    Refused(String),
}

/// This folder.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

/// Every case.
pub(crate) fn cases() -> Vec<Value> {
    let mut files = vec![folder()];
    let mut cases = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(path.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|end| end == "jsonl") {
            let text = std::fs::read_to_string(&path).expect("a file");
            cases.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
        }
    }
    cases
}

/// The known differences: case by id with its reason, and functions that are not there yet.
pub(crate) fn known() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder().join("differences.txt")).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .map(|(id, reason)| (id.to_owned(), reason.to_owned()))
        .collect()
}

/// What the reference answered.
pub(crate) fn expected(case: &Value) -> Answer {
    let result = &case["result"];
    match result.get("ok") {
        Some(ok) => Answer::Ok(ok.clone()),
        None if result.get("nomatch").is_some() => Answer::NoMatch,
        None => Answer::Refused(result.to_string()),
    }
}

/// Whether an answer is the reference's, as far as the case wants it compared.
pub(crate) fn agrees(case: &Value, ours: &Answer) -> bool {
    match (expected(case), ours) {
        (Answer::Ok(theirs), Answer::Ok(ours)) => {
            let rule = Rule {
                shape: case["compare"] == "shape",
                approx: case["compare"] == "approx",
                json: case["compare"] == "json",
                mask: case["mask"].as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
            };
            rule.same(&theirs, ours, &mut Vec::new())
        }
        (Answer::NoMatch, Answer::NoMatch) | (Answer::Refused(_), Answer::Refused(_)) => true,
        _ => false,
    }
}

/// How two outputs are compared, as the README of the cases says.
struct Rule<'c> {
    shape: bool,
    approx: bool,
    json: bool,
    mask: Vec<&'c str>,
}

impl Rule<'_> {
    fn same(&self, theirs: &Value, ours: &Value, path: &mut Vec<String>) -> bool {
        if self.mask.contains(&path.join(".").as_str()) {
            return kind(theirs) == kind(ours);
        }
        match (theirs, ours) {
            (Value::Object(theirs), Value::Object(ours)) => {
                let made_up = |map: &serde_json::Map<String, Value>| {
                    let own = map.iter().filter(|(key, _)| key.starts_with("_v_"));
                    own.map(|(_, value)| value.clone()).collect::<Vec<_>>()
                };
                let mut rest = made_up(ours);
                let named = |(key, theirs): (&String, &Value)| {
                    if key.starts_with("_v_") {
                        let found = rest.iter().position(|ours| self.same(theirs, ours, &mut Vec::new()));
                        return found.map(|at| rest.remove(at)).is_some();
                    }
                    path.push(key.clone());
                    let same = ours.get(key).is_some_and(|ours| self.same(theirs, ours, path));
                    path.pop();
                    same
                };
                theirs.len() == ours.len() && theirs.iter().all(named)
            }
            (Value::Array(theirs), Value::Array(ours)) => {
                path.push("*".to_owned());
                let all = theirs.iter().zip(ours).all(|(theirs, ours)| self.same(theirs, ours, path));
                path.pop();
                theirs.len() == ours.len() && all
            }
            (theirs, ours) if self.shape => kind(theirs) == kind(ours),
            (Value::Number(left), Value::Number(right)) => {
                let (left_text, right_text) = (left.to_string(), right.to_string());
                if is_float(&left_text) != is_float(&right_text) {
                    return false;
                }
                if !is_float(&left_text) {
                    return left_text == right_text;
                }
                let (left, right): (f64, f64) = match (left_text.parse(), right_text.parse()) {
                    (Ok(left), Ok(right)) => (left, right),
                    _ => return false,
                };
                left == right || self.approx && (left - right).abs() <= 1e-12 * left.abs().max(right.abs())
            }
            (Value::String(theirs), Value::String(ours)) if self.json => {
                match (serde_json::from_str::<Value>(theirs), serde_json::from_str::<Value>(ours)) {
                    (Ok(theirs), Ok(ours)) => self.same(&theirs, &ours, path),
                    _ => theirs == ours,
                }
            }
            (theirs, ours) => theirs == ours,
        }
    }
}

fn is_float(text: &str) -> bool {
    text.contains(['.', 'e', 'E'])
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if is_float(&number.to_string()) => "float",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
