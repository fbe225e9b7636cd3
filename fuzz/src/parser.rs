//! SQL: any text comes back as a tree and diagnostics whose places are in it, and what is printed parses to the same.

use diagnostic::{Diagnostic, Source, Style};

/// Parses the bytes as SQL.
pub fn run(data: &[u8]) {
    let sql = String::from_utf8_lossy(data);
    let base = 7;
    let (tree, problems) = sql::parse(&sql, base);
    let text = format!("-- 789\n{sql}");
    let source = Source::new("rule.sql", &*text);
    for problem in problems.iter().chain(&tree.portability) {
        check_place(problem, &text, base);
        source.render(problem, Style::Plain);
    }
    if problems.is_empty() {
        let printed = tree.to_string();
        let (again, problems) = sql::parse(&printed, 0);
        assert!(problems.is_empty(), "{printed:?} of {sql:?}: {problems:?}");
        assert_eq!(again.to_string(), printed, "{sql:?}");
    }
}

fn check_place(problem: &Diagnostic, text: &str, base: u32) {
    let related = problem.related.iter().map(|related| related.span);
    for span in std::iter::once(problem.span).chain(related) {
        assert!(span.start >= base && text.get(span.range()).is_some(), "{problem:?} in {text:?}");
    }
}
