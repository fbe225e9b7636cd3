//! Every case of `tests/conformance` in process, against what the reference answered.
//!
//! Cases that come out otherwise stand in `tests/conformance/differences.txt`, each with a reason, or as a group or
//! function that is not there yet. A difference that is not listed fails the test, and so does a listed one that has
//! gone: `UPDATE_GOLDEN=1` strikes what has gone and adds what is new with the reason `unexplained`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eval::test::{self, Context, Outcome, Setting};
use eval::{Surroundings, Worker};
use serde_json::Value;
use value::Arena;

const SETTING: Setting<'static> = Setting { now_ms: 1_795_434_121_000, node: "nonode@nohost", seed: 7 };

/// What a case says, or what we made of it.
#[derive(Debug, PartialEq)]
enum Answer {
    Ok(Value),
    NoMatch,
    /// Any refusal: SQL that is not valid, a context that is not, a failed evaluation.
    Refused(String),
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

fn cases() -> Vec<Value> {
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

/// What the test endpoint would answer.
fn answer(sql: &str, context: &str, worker: &mut Worker) -> Answer {
    let (program, diagnostics) = eval::prepare(sql, 0, "sql_tester");
    let Some(program) = program else {
        let messages: Vec<_> =
            diagnostics.iter().map(|one| format!("{} {}", one.code, one.message)).collect();
        return Answer::Refused(messages.join("; "));
    };
    let arena = Arena::new();
    let context = match Context::parse(context.as_bytes(), &SETTING, &arena) {
        Ok(context) => context,
        Err(error) => return Answer::Refused(error.to_string()),
    };
    match test::run(&program, &context, &SETTING, worker) {
        Outcome::Output(json) => Answer::Ok(serde_json::from_slice(&json).expect("the output is JSON")),
        Outcome::NoMatch(_) => Answer::NoMatch,
        Outcome::Error(error) => Answer::Refused(error.to_string()),
    }
}

fn expected(case: &Value) -> Answer {
    let result = &case["result"];
    match result.get("ok") {
        Some(ok) => Answer::Ok(ok.clone()),
        None if result.get("nomatch").is_some() => Answer::NoMatch,
        None => Answer::Refused(result.to_string()),
    }
}

fn agrees(case: &Value, ours: &Answer) -> bool {
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

/// How a difference comes about; the head of the file of differences explains each.
const KINDS: [&str; 4] = ["accepted: ", "accepted at run time: ", "found before it runs: ", "other: "];

/// The known differences: case by id with its reason, and functions that are not there yet.
fn known() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder().join("differences.txt")).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .map(|(id, reason)| (id.to_owned(), reason.to_owned()))
        .collect()
}

/// Whether a case calls a function that this build says is not there yet.
fn waits_for_function(sql: &str) -> bool {
    functions::NOT_YET.iter().any(|name| {
        sql.match_indices(&format!("{name}("))
            .any(|(at, _)| !sql[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
    })
}

#[test]
fn agrees_with_the_reference() {
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 7);
    let known = known();
    let mut groups: BTreeMap<String, (u32, u32, u32)> = BTreeMap::new();
    let mut differences = BTreeMap::new();
    let mut unnoted = Vec::new();
    let mut answered = (0_usize, 0_usize);
    for case in cases() {
        let id = case["id"].as_str().expect("an id").to_owned();
        let sql = case["sql"].as_str().expect("SQL");
        let ours = answer(sql, &case["context"].to_string(), &mut worker);
        let group = groups.entry(case["group"].as_str().expect("a group").to_owned()).or_default();
        group.1 += 1;
        if !matches!(expected(&case), Answer::Refused(_)) {
            answered.1 += 1;
            answered.0 += usize::from(agrees(&case, &ours));
        }
        let waits = waits_for_function(sql) && matches!(ours, Answer::Refused(_));
        let accepted = matches!(expected(&case), Answer::Refused(_)) && !matches!(ours, Answer::Refused(_));
        let reason = known.get(&id).map_or("", String::as_str);
        if accepted && eval::portability(sql, 0).is_empty() != reason.starts_with("accepted at run time: ") {
            unnoted.push(format!("{id}: {sql}"));
        }
        if agrees(&case, &ours) {
            group.0 += 1;
        } else if waits {
            group.2 += 1;
        } else {
            differences
                .insert(id, format!("{sql}\n    expected {:?}\n    found    {ours:?}", expected(&case)));
        }
    }
    let (mut agreed, mut all, mut waiting) = (0, 0, 0);
    for (group, (same, count, waits)) in &groups {
        println!(
            "{group:24} {same:5} of {count:5}{}",
            if *waits > 0 { format!(", {waits} wait for a function") } else { String::new() }
        );
        (agreed, all, waiting) = (agreed + same, all + count, waiting + waits);
    }
    println!(
        "{:24} {agreed:5} of {all:5}, {waiting} wait for a function, {} differ",
        "total",
        differences.len()
    );

    println!("{:.2} % of the cases with an answer agree", 100.0 * answered.0 as f64 / answered.1 as f64);
    let found: BTreeSet<_> = differences.keys().cloned().collect();
    let listed: BTreeSet<_> = known.keys().cloned().collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        rewrite(&known, &found);
        return;
    }
    for id in found.difference(&listed) {
        println!("{id}: {}", differences[id]);
    }
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(
        found.is_subset(&listed),
        "{} cases differ and are not listed",
        found.difference(&listed).count()
    );
    assert!(unnoted.is_empty(), "accepted without a portability note:\n{}", unnoted.join("\n"));
    let unexplained: Vec<_> =
        known.iter().filter(|(_, reason)| !KINDS.iter().any(|kind| reason.starts_with(kind))).collect();
    assert!(unexplained.is_empty(), "a reason begins with one of {KINDS:?}: {unexplained:?}");
    assert!(gone.is_empty(), "listed as different, but they agree now: {gone:?}");
}

fn rewrite(known: &BTreeMap<String, String>, found: &BTreeSet<String>) {
    let before = std::fs::read_to_string(folder().join("differences.txt")).unwrap_or_default();
    let mut text: String =
        before.lines().filter(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    for id in found {
        let reason = known.get(id).map_or("unexplained", String::as_str);
        text.push_str(&format!("{id} {reason}\n"));
    }
    std::fs::write(folder().join("differences.txt"), text).expect("the list is written");
}
