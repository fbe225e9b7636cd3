//! `check` and `eval`: exit codes and what they print.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::PROGRAM;

fn sluicegate(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it prints text")
}

/// Everything it said, for messages and where the stream does not matter.
fn said(output: &Output) -> String {
    format!("{}{}", stdout(output), String::from_utf8_lossy(&output.stderr))
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a temporary file can be written");
    }
    folder
}

const FINE: &str = "SELECT payload.t AS t FROM \"plant/+\" WHERE payload.t > 30\n";
const BROKEN: &str = "SELECT\n  substr(payload.name) AS n,\n  no_such_function(1) AS m\nFROM \"plant/+\"\n";

#[test]
fn check_is_content_with_what_is_fine() {
    let folder = folder(&[("fine.sql", FINE)]);
    let output = sluicegate(&["check", "--rules", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn check_shows_every_mistake_at_its_place() {
    let folder = folder(&[("fine.sql", FINE), ("broken.sql", BROKEN)]);
    let output = sluicegate(&["check", "--rules", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let said = said(&output);
    for part in ["broken.sql:2:3", "broken.sql:3:3", "substr(payload.name) AS n", "^^^^", "help:"] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
}

#[test]
fn check_prints_an_object_for_each_mistake() {
    let folder = folder(&[("broken.sql", BROKEN)]);
    let output = sluicegate(&["check", "--format", "json", "--rules", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for (line, object) in (2..).zip(&lines) {
        assert_eq!((&object["line"], &object["column"]), (&json!(line), &json!(3)), "{object}");
        assert_eq!(object["severity"], "error");
        assert!(object["file"].as_str().is_some_and(|file| file.ends_with("broken.sql")), "{object}");
        assert!(object["code"].as_str().is_some_and(|code| code.starts_with('E')), "{object}");
    }
}

/// What SARIF 2.1.0 requires, and what GitHub reads of it.
#[test]
fn check_prints_a_sarif_log() {
    let folder = folder(&[("broken.sql", BROKEN), ("no id.sql", FINE)]);
    let output = sluicegate(&["check", "--format", "sarif", "--rules", folder.path().to_str().unwrap()]);
    let log: Value = serde_json::from_str(&stdout(&output)).expect("it prints JSON");
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().is_some_and(|schema| schema.contains("sarif-2.1.0")), "{log}");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "sluicegate");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    let results = run["results"].as_array().expect("results");
    assert_eq!(results.len(), 3, "{results:#?}");
    for result in results {
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{result}");
        assert!(["error", "warning", "note"].map(Value::from).contains(&result["level"]), "{result}");
        assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]), "{result}");
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str();
        let ends = |end| uri.is_some_and(|uri| uri.ends_with(end));
        assert!(ends("/broken.sql") || ends("/no%20id.sql"), "{result}");
        for key in ["startLine", "startColumn", "endLine", "endColumn"] {
            assert!(place["region"][key].as_u64().is_some_and(|number| number >= 1), "{result}");
        }
    }
    for rule in rules {
        assert!(rule["shortDescription"]["text"].is_string(), "{rule}");
    }
}

#[test]
fn check_finds_a_missing_action() {
    let folder = folder(&[("r1.sql", "--- actions = [\"mqtt:nowhere\"]\nSELECT * FROM \"t\"\n")]);
    let output = sluicegate(&["check", "--rules", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("mqtt:nowhere") && said(&output).contains("r1.sql:1:"),
        "{}",
        said(&output)
    );
}

#[test]
fn eval_prints_the_row() {
    let sql = "SELECT payload.t + 1 AS t, topic FROM \"plant/+\" WHERE payload.t > 30";
    let output = sluicegate(&["eval", sql, "--topic", "plant/7", "--payload", r#"{"t": 31}"#]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let row: Value = serde_json::from_str(&stdout(&output)).expect("it prints JSON");
    assert_eq!(row, json!({"t": 32, "topic": "plant/7"}));
}

#[test]
fn eval_reads_the_variables_that_are_meant_for_rules() {
    let eval = |sql: &str| {
        let mut command = Command::new(PROGRAM);
        command.env("SLUICEGATEVAR_SITE", "north").env("SITE", "south");
        command.args(["eval", sql, "--topic", "t"]).output().expect("the binary runs")
    };
    let output = eval("SELECT getenv('SITE') AS site FROM \"t\" WHERE getenv('SITE') = 'north'");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(stdout(&output), "{\"site\":\"north\"}\n");
    let output = eval("SELECT 1 AS one FROM \"t\" WHERE getenv('SITE') = 'south'");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("is false (\"north\" against \"south\")"), "{}", said(&output));
}

#[test]
fn eval_says_why_nothing_comes_out() {
    let sql = "SELECT payload.t AS t FROM \"plant/+\" WHERE payload.t > 30";
    for (topic, payload) in [("attic/7", r#"{"t": 31}"#), ("plant/7", r#"{"t": 3}"#)] {
        let output = sluicegate(&["eval", sql, "--topic", topic, "--payload", payload]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(!said(&output).is_empty());
    }
    let output = sluicegate(&["eval", "SELECT substr(1) FROM \"t\""]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("substr") && said(&output).contains('^'), "{}", said(&output));
}

#[test]
fn eval_reads_a_context() {
    let folder =
        folder(&[("context.json", r#"{"event_type": "$bridges/mqtt:*", "topic": "far/1", "qos": 0}"#)]);
    let context = folder.path().join("context.json");
    let sql = "SELECT topic, qos FROM \"$bridges/mqtt:*\"";
    let output = sluicegate(&["eval", sql, "--context", context.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let row: Value = serde_json::from_str(&stdout(&output)).expect("it prints JSON");
    assert_eq!(row, json!({"topic": "far/1", "qos": 0}));
}

#[test]
fn help_and_version() {
    assert!(stdout(&sluicegate(&["--version"])).starts_with("sluicegate "));
    let help = stdout(&sluicegate(&["--help"]));
    for verb in ["run", "check", "eval"] {
        assert!(help.contains(verb), "{help}");
    }
    assert_eq!(sluicegate(&["no-such-verb"]).status.code(), Some(2));
}

#[test]
fn a_mistake_in_the_configuration_has_a_place() {
    let files = folder(&[("sluicegate.toml", "[http]\nlisten = \"127.0.0.1:0\"\nlissten = 1\n")]);
    let (config, rules) = (files.path().join("sluicegate.toml"), folder(&[]));
    let (config, rules) = (config.to_str().unwrap(), rules.path().to_str().unwrap());
    for verb in ["check", "run"] {
        let output = sluicegate(&[verb, "--config", config, "--rules", rules]);
        assert!(!output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("sluicegate.toml:3:1"), "{}", said(&output));
    }
}
