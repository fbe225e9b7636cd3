//! What `sluicegate test --coverage` adds.

use std::fmt::Write as _;

use engine::trial::{Coverage, Missed};
use eval::Side;
use serde_json::json;

use crate::test::xml;

/// A line for every rule, below it what no case has reached.
pub(crate) fn as_text(rules: &[Coverage]) -> String {
    let mut text = String::from("\n");
    for rule in rules {
        let file = rule.source.name();
        if rule.is_untried() {
            let _ = writeln!(text, "{file}: no case, {} to reach", counted(rule.sides));
            continue;
        }
        let _ = writeln!(text, "{file}: {} of {} reached", rule.reached, counted(rule.sides));
        for missed in &rule.missed {
            let _ =
                writeln!(text, "  {}: {}: `{}`", place(rule, missed), missed.reason(), quoted(rule, missed));
        }
    }
    let (reached, sides) = totals(rules);
    let share = if sides == 0 { 100.0 } else { 100.0 * reached as f64 / sides as f64 };
    let _ = writeln!(text, "{reached} of {} reached ({share:.0} %)", counted(sides));
    text
}

/// An object that says of one rule what was reached.
pub(crate) fn as_json(rule: &Coverage) -> serde_json::Value {
    let missed: Vec<_> = rule
        .missed
        .iter()
        .map(|missed| {
            let place = rule.source.locate(missed.span);
            json!({
                "line": place.line,
                "column": place.column,
                "end_line": place.end_line,
                "end_column": place.end_column,
                "side": match missed.side {
                    Side::Reached => "reached",
                    Side::True => "true",
                    Side::False => "false",
                },
                "message": missed.reason(),
            })
        })
        .collect();
    json!({
        "rule": &*rule.rule,
        "file": rule.source.name(),
        "coverage": { "reached": rule.reached, "sides": rule.sides, "missed": missed },
    })
}

/// The properties of a suite.
pub(crate) fn write_junit(text: &mut String, rule: &Coverage) {
    text.push_str("    <properties>\n");
    for (name, value) in [("coverage.reached", rule.reached), ("coverage.sides", rule.sides)] {
        let _ = writeln!(text, "      <property name=\"{name}\" value=\"{value}\"/>");
    }
    text.push_str("    </properties>\n");
}

/// What no case has reached, as what a suite has printed.
pub(crate) fn write_junit_missed(text: &mut String, rule: &Coverage) {
    let lines = rule
        .missed
        .iter()
        .map(|missed| format!("{}: {}: {}\n", place(rule, missed), missed.reason(), quoted(rule, missed)));
    let lines: String = lines.collect();
    if !lines.is_empty() {
        let _ = writeln!(text, "    <system-out>{}</system-out>", xml(lines.trim_end()));
    }
}

fn totals(rules: &[Coverage]) -> (usize, usize) {
    rules.iter().fold((0, 0), |(reached, sides), rule| (reached + rule.reached, sides + rule.sides))
}

fn counted(sides: usize) -> String {
    format!("{sides} side{}", if sides == 1 { "" } else { "s" })
}

fn place(rule: &Coverage, missed: &Missed) -> String {
    let place = rule.source.locate(missed.span);
    format!("{}:{}:{}", rule.source.name(), place.line, place.column)
}

/// The part of the rule in one line, cut where it is long.
fn quoted(rule: &Coverage, missed: &Missed) -> String {
    const CHARS_MAX: usize = 60;
    let text = rule.source.text().get(missed.span.range()).unwrap_or_default();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(CHARS_MAX) {
        None => line,
        Some((at, _)) => format!("{}…", &line[..at]),
    }
}
