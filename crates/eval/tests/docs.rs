//! The examples of `docs/sql.md`: each statement gives what stands below it, and each row of a table with a column `gives` holds.

use std::path::Path;
use std::sync::Arc;

use eval::test::{self, Context, NoMatch, Outcome, Setting};
use eval::{Surroundings, Worker};
use serde_json::{Value, json};
use value::Arena;

const SETTING: Setting<'static> = Setting { now_ms: 1_700_000_000_000, node: "n@1", seed: 7 };

/// What comes of a statement, as the page spells it.
fn answer(sql: &str, context: &str) -> Result<Value, String> {
    let (program, diagnostics) = eval::prepare(sql, 0, "r");
    let Some(program) = program else {
        let codes: Vec<&str> = diagnostics.iter().map(|problem| problem.code.as_str()).collect();
        return Err(format!("refused: {}", codes.join(", ")));
    };
    let arena = Arena::new();
    let context = Context::parse(context.as_bytes(), &SETTING, &arena).expect("a context");
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 7);
    match test::run(&program, &context, &SETTING, &mut worker) {
        Outcome::Output(json) => Ok(serde_json::from_slice(&json).expect("JSON")),
        Outcome::NoMatch(NoMatch::Topic | NoMatch::Condition) => Err("no match".to_owned()),
        Outcome::Error(error) => Err(format!("fails: {error}")),
    }
}

/// The text in the backticks of a cell.
fn code(cell: &str) -> Option<&str> {
    cell.trim().strip_prefix('`')?.strip_suffix('`')
}

#[test]
fn the_sql_reference_tells_the_truth() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sql.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let mut wrong = Vec::new();
    let (mut context, mut sql) = (String::new(), None);
    let (mut statements, mut expressions) = (0, 0);
    let mut check = |sql: &str, context: &str, expected: &Result<Value, String>| {
        let found = answer(sql, context);
        let agrees = match (expected, &found) {
            (Err(expected), Err(found)) if expected == "fails" => {
                found.starts_with("fails: ") || found.starts_with("refused: ")
            }
            (expected, found) => *expected == *found,
        };
        if !agrees {
            wrong.push(format!("{sql}\n  says  {expected:?}\n  gives {found:?}"));
        }
    };
    let mut lines = page.lines();
    let mut in_table = false;
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let block = block.join("\n");
            match (language, sql.take()) {
                ("sql", _) => sql = Some(block),
                ("json", None) => context = block,
                (_, Some(sql)) => {
                    statements += 1;
                    let json = || serde_json::from_str(&block).expect("JSON stands there");
                    check(&sql, &context, &if language == "json" { Ok(json()) } else { Err(block.clone()) });
                }
                _ => {}
            }
            continue;
        }
        let cells: Vec<&str> = line.split('|').collect();
        in_table = cells.len() > 3 && (in_table || cells[1].trim() == "expression");
        if let ([_, expression, gives, ..], true) = (cells.as_slice(), in_table)
            && let Some(expression) = code(expression)
        {
            expressions += 1;
            let expected = match code(gives) {
                Some(gives) => Ok(json!({ "y": serde_json::from_str::<Value>(gives).expect("JSON") })),
                None => Err(gives.trim().to_owned()),
            };
            check(&format!("SELECT {expression} AS y FROM \"#\""), &context, &expected);
        }
    }
    assert!(statements > 8 && expressions > 30, "{statements} statements and {expressions} expressions");
    assert!(wrong.is_empty(), "docs/sql.md is wrong:\n{}", wrong.join("\n"));
}
