//! What the reference takes for a statement is one here too, without a portability note; what it does not take is
//! refused here as well, or has a note.

use std::path::Path;

use serde_json::Value;

use crate::catalog::TestCatalog;

pub(crate) fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
    let mut files = Vec::new();
    for folder in [folder.clone(), folder.join("grammar"), folder.join("functions")] {
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        files.extend(entries.map(|entry| entry.expect("readable").path()));
    }
    files.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        for line in text.lines() {
            let case: Value = serde_json::from_str(line).expect("a case a line");
            cases.push((case["sql"].as_str().expect("sql").to_owned(), case["result"].clone()));
        }
    }
    assert!(cases.len() > 2000, "only {} cases found", cases.len());
    cases
}

#[test]
fn statements_of_the_reference_are_statements_here() {
    let catalog = TestCatalog { any_function: true };
    let mut wrong = Vec::new();
    for (sql, result) in cases() {
        let (tree, mut problems) = sql::parse(&sql, 0);
        let portable = tree.portability.is_empty();
        // What is no SQL to it at all, not what it would fail on.
        let refused = tree.portability.iter().any(|note| note.message.starts_with("the reference refuses"));
        let (statement, more) = sql::lower(&tree, &catalog);
        problems.extend(more);
        let errors: Vec<_> =
            problems.iter().filter(|problem| problem.is_error()).map(|p| &p.message).collect();
        assert_eq!(statement.is_none(), !errors.is_empty(), "{sql}");
        let shown = sql.replace('\n', "\\n");
        let kind = result.as_object().and_then(|result| result.keys().next().cloned()).expect("a result");
        match kind.as_str() {
            "parse_error" if errors.is_empty() && portable => {
                wrong.push(format!("no portability note: {shown}"))
            }
            "ok" | "nomatch" if !errors.is_empty() => wrong.push(format!("refused: {shown}: {errors:?}")),
            "ok" | "nomatch" if refused => {
                wrong.push(format!("portable after all: {shown}: {:?}", tree.portability))
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
