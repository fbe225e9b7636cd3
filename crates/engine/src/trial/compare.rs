//! What was expected against what came.

use std::fmt;

use serde_json::{Value as Json, json};

use super::{ExpectedPublish, Published};

/// A place at which what came is not what was expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where: `output.sensors[2].id`, `publishes[1].topic`; lists count from 1, as in SQL.
    pub path: String,
    /// What was expected; `None` for nothing.
    pub expected: Option<Json>,
    /// What came; `None` for nothing.
    pub found: Option<Json>,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [expected, found] = self.values();
        write!(out, "{}: expected {expected}, found {found}", self.path)
    }
}

impl Difference {
    /// What was expected and what came, each on one line.
    pub fn values(&self) -> [String; 2] {
        [&self.expected, &self.found]
            .map(|value| value.as_ref().map_or_else(|| "nothing".to_owned(), shortened))
    }
}

/// A value on one line, cut where it is very long.
fn shortened(value: &Json) -> String {
    const CHARS_MAX: usize = 2000;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        None => text,
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// Where two values differ. Integers and floats are different things; integers are compared exactly, whatever their
/// size, and floats by their value.
pub(super) fn differences(path: &str, expected: &Json, found: &Json) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare(path, Some(expected), Some(found), &mut differences);
    differences
}

fn compare(path: &str, expected: Option<&Json>, found: Option<&Json>, out: &mut Vec<Difference>) {
    match (expected, found) {
        (Some(Json::Object(expected)), Some(Json::Object(found))) => {
            for (key, value) in expected {
                compare(&joined(path, key), Some(value), found.get(key), out);
            }
            for (key, value) in found.iter().filter(|(key, _)| !expected.contains_key(*key)) {
                compare(&joined(path, key), None, Some(value), out);
            }
        }
        (Some(Json::Array(expected)), Some(Json::Array(found))) => {
            for at in 0..expected.len().max(found.len()) {
                compare(&format!("{path}[{}]", at + 1), expected.get(at), found.get(at), out);
            }
        }
        (Some(expected), Some(found)) if same(expected, found) => {}
        (expected, found) => {
            out.push(Difference { path: path.to_owned(), expected: expected.cloned(), found: found.cloned() })
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.chars().all(plain) {
        format!("{path}.{key}")
    } else {
        format!("{path}.{}", Json::from(key))
    }
}

/// Whether two values that are not both maps or both lists are the same.
fn same(expected: &Json, found: &Json) -> bool {
    let (Json::Number(left), Json::Number(right)) = (expected, found) else { return expected == found };
    let (left, right) = (left.to_string(), right.to_string());
    let is_float = |text: &str| text.contains(['.', 'e', 'E']);
    match (is_float(&left), is_float(&right)) {
        (false, false) => left == right,
        (true, true) => left.parse::<f64>().ok() == right.parse::<f64>().ok(),
        _ => false,
    }
}

/// What actions send against what they are to send, one after the other. Of actions that are not named it is enough that they
/// can send; where none is named, none is to send anything.
pub(super) fn publishes(expected: &[ExpectedPublish], found: &[Published]) -> Vec<Difference> {
    let is_named = |found: &&Published| {
        expected.is_empty() || expected.iter().any(|expected| expected.action == found.action)
    };
    let (found, others): (Vec<&Published>, Vec<&Published>) = found.iter().partition(is_named);
    let mut differences = unfit(others);
    for at in 0..expected.len().max(found.len()) {
        let path = format!("publishes[{}]", at + 1);
        match (expected.get(at), found.get(at)) {
            (Some(expected), Some(found)) => publish(&path, expected, found, &mut differences),
            (expected, found) => differences.push(Difference {
                path,
                expected: expected.map(ExpectedPublish::to_json),
                found: found.map(|found| found.to_json()),
            }),
        }
    }
    differences
}

/// What cannot be sent, each with its reason.
pub(super) fn unfit<'p>(found: impl IntoIterator<Item = &'p Published>) -> Vec<Difference> {
    let reason = |found: &Published| {
        let reason = found.request.as_ref().err()?;
        let path = format!("publishes of {}", found.action);
        Some(Difference { path, expected: None, found: Some(json!({ "error": reason })) })
    };
    found.into_iter().filter_map(reason).collect()
}

fn publish(path: &str, expected: &ExpectedPublish, found: &Published, out: &mut Vec<Difference>) {
    let at = |key: &str| joined(path, key);
    if expected.action != found.action {
        return out.push(Difference {
            path: path.to_owned(),
            expected: Some(expected.to_json()),
            found: Some(found.to_json()),
        });
    }
    match (&expected.error, &found.request) {
        (Some(part), Err(reason)) if reason.contains(part) => {}
        (Some(part), Err(reason)) => out.push(Difference {
            path: at("error"),
            expected: Some(part.as_str().into()),
            found: Some(reason.as_str().into()),
        }),
        (Some(_), Ok(_)) | (None, Err(_)) => out.push(Difference {
            path: path.to_owned(),
            expected: Some(expected.to_json()),
            found: Some(found.to_json()),
        }),
        (None, Ok(request)) => {
            for (key, value) in &expected.parts {
                let part = request.get(key);
                // A payload that is given as a table or list is compared as JSON, whatever its blanks and order.
                let read = part.filter(|_| key == "payload" && !value.is_string()).and_then(Json::as_str);
                let read = read.and_then(|text| serde_json::from_str::<Json>(text).ok());
                compare(&at(key), Some(value), read.as_ref().or(part), out);
            }
        }
    }
}

impl ExpectedPublish {
    fn to_json(&self) -> Json {
        let mut shown = self.parts.clone();
        shown.insert("action".to_owned(), self.action.as_str().into());
        if let Some(error) = &self.error {
            shown.insert("error".to_owned(), error.as_str().into());
        }
        Json::Object(shown)
    }
}

impl Published {
    fn to_json(&self) -> Json {
        let mut shown = match &self.request {
            Ok(request @ Json::Object(_)) => request.clone(),
            Ok(request) => serde_json::json!({ "request": request }),
            Err(reason) => serde_json::json!({ "error": reason }),
        };
        shown["action"] = self.action.as_str().into();
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(expected: &str, found: &str) -> Vec<String> {
        let read = |text| serde_json::from_str(text).unwrap();
        differences("output", &read(expected), &read(found)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_every_place_that_differs() {
        assert_eq!(
            lines(
                r#"{"a": 1, "b": [1, {"c": "x"}], "d": null}"#,
                r#"{"a": 1, "b": [1, {"c": "y"}, 3], "e f": 2}"#
            ),
            [
                r#"output.b[2].c: expected "x", found "y""#,
                "output.b[3]: expected nothing, found 3",
                "output.d: expected null, found nothing",
                r#"output."e f": expected nothing, found 2"#,
            ]
        );
        assert_eq!(lines("[]", "{}"), ["output: expected [], found {}"]);
    }

    #[test]
    fn numbers_are_compared_as_what_they_are() {
        assert!(lines("[1.50, 1e3, 0.1]", "[1.5, 1000.0, 0.1]").is_empty());
        assert!(lines("123456789012345678901234567890", "123456789012345678901234567890").is_empty());
        assert_eq!(
            lines("123456789012345678901234567890", "123456789012345678901234567891"),
            ["output: expected 123456789012345678901234567890, found 123456789012345678901234567891"]
        );
        assert_eq!(lines("1", "1.0"), ["output: expected 1, found 1.0"]);
    }
}
