//! Golden files: what stands above `----` is parsed and lowered, what stands below is expected of it; `====` lies
//! between cases. `UPDATE_GOLDEN=1` rewrites what is expected.

use std::path::Path;

use diagnostic::{Diagnostic, Source, Style};

use crate::catalog::TestCatalog;
use crate::outline::outline;

fn check(folder: &str, show: impl Fn(&str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(folder);
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut failed = Vec::new();
    let mut files = 0;
    for entry in entries {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|end| end != "test") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).expect("readable");
        let cases: Vec<String> = text
            .split("\n====\n")
            .map(|case| case.split("\n----\n").next().unwrap_or(case).trim_end_matches('\n'))
            .map(|input| format!("{input}\n----\n{}", show(input).trim_end()))
            .collect();
        let found = cases.join("\n====\n") + "\n";
        if found == text {
            continue;
        }
        if update {
            std::fs::write(&path, &found).expect("writable");
        } else {
            let differs = found.lines().zip(text.lines()).find(|(found, expected)| found != expected);
            failed.push(format!("{}: found, expected: {differs:#?}", path.display()));
        }
    }
    assert!(files > 0, "no golden files in {}", folder.display());
    assert!(failed.is_empty(), "{}\nUPDATE_GOLDEN=1 rewrites them", failed.join("\n"));
}

fn compiled(sql: &str) -> (Option<sql::ir::Statement>, Vec<Diagnostic>, Vec<Diagnostic>) {
    let (tree, mut problems) = sql::parse(sql, 0);
    let (statement, more) = sql::lower(&tree, &TestCatalog { any_function: false });
    problems.extend(more);
    (statement, problems, tree.portability)
}

#[test]
fn statements_lower_to_the_typed_form() {
    check("sql", |sql| {
        let (statement, problems, _) = compiled(sql);
        let warnings: String =
            problems.iter().map(|problem| format!("{}: {}\n", problem.code, problem.message)).collect();
        warnings + &statement.map_or_else(|| "no statement".to_owned(), |statement| outline(&statement))
    });
}

#[test]
fn diagnostics_look_as_they_should() {
    check("diagnostics", |sql| {
        let (_, problems, portability) = compiled(sql);
        let source = Source::new("rules/heat.sql", sql);
        let all: Vec<Diagnostic> = problems.into_iter().chain(portability).collect();
        source.render_all(&all, Style::Plain)
    });
}
