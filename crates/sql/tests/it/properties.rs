//! Laws: parsing and lowering anything returns; printing and parsing are inverse.

use proptest::prelude::*;

use crate::catalog::TestCatalog;

/// Pieces of SQL, so that random text gets past the first word.
const PIECES: &[&str] = &[
    "SELECT ",
    "FOREACH ",
    " DO ",
    " INCASE ",
    " FROM ",
    " WHERE ",
    " AS ",
    " CASE ",
    " WHEN ",
    " THEN ",
    " ELSE ",
    " END ",
    " IN ",
    " NOT ",
    " AND ",
    " OR ",
    " div ",
    " mod ",
    "*",
    ",",
    "(",
    ")",
    "[",
    "]",
    ".",
    "..",
    "+",
    "-",
    "/",
    "=",
    "=~",
    "<>",
    "<",
    ">",
    ";",
    "'",
    "\"",
    "--",
    "/*",
    "*/",
    "\n",
    "\n/",
    "\r\n",
    "payload",
    "a",
    "item",
    "true",
    "null",
    "f(",
    "'t/#'",
    "\"x y\"",
    "1",
    "-0",
    "1.5",
    ".5",
    "1e5",
    "99999999999999999999",
    "1..3",
    "°",
    "$",
    "@",
    "_",
    "#",
    "{",
    "0x1",
];

fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// An expression that is valid wherever an operand may stand.
fn operand() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-e]",
        "payload\\.[a-e](\\[-?[0-3]\\])?",
        "[0-9]{1,3}(\\.[0-9])?",
        "'[a-z \"]{0,3}x'",
        Just("true".to_owned()),
        Just("[1..3]".to_owned()),
        Just("\"q n\".'k k'.1".to_owned()),
        Just("l[i.j]".to_owned()),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let op = prop::sample::select(vec!["+", "-", "*", "/", "div", "mod", "=", "<>", "AND", "OR"]);
        prop_oneof![
            (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} + {b} * {c} - {a})")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|args| format!("f({})", args.join(", "))),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            inner.clone().prop_map(|a| format!("- {a}")),
            inner.clone().prop_map(|a| format!("(NOT {a})")),
            inner.clone().prop_map(|a| format!("f({a})[2].x")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} NOT IN ({b}, 1))")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("(CASE {a} WHEN {b} THEN 1 ELSE {a} END)")),
        ]
    })
}

proptest! {
    #[test]
    fn anything_returns(sql in soup()) {
        let (tree, problems) = sql::parse(&sql, 7);
        let (statement, more) = sql::lower(&tree, &TestCatalog { any_function: false });
        let errors = problems.iter().chain(&more).any(diagnostic::Diagnostic::is_error);
        prop_assert_eq!(statement.is_none(), errors);
        let end = u32::try_from(sql.len()).expect("short") + 7;
        for problem in problems.iter().chain(&more).chain(&tree.portability) {
            prop_assert!(problem.span.start >= 7 && problem.span.start <= problem.span.end && problem.span.end <= end);
            diagnostic::Source::new("x", format!("-- 789{sql}")).render(problem, diagnostic::Style::Plain);
        }
    }

    #[test]
    fn printing_and_parsing_are_inverse(exprs in prop::collection::vec(operand(), 1..4), condition in operand()) {
        let sql = format!("SELECT {} AS x FROM 't/#' WHERE {condition}", exprs.join(" AS y, "));
        let (tree, problems) = sql::parse(&sql, 0);
        prop_assert!(problems.is_empty(), "{}: {:?}", sql, problems);
        let printed = tree.to_string();
        let (again, problems) = sql::parse(&printed, 0);
        prop_assert!(problems.is_empty(), "{}: {:?}", printed, problems);
        prop_assert_eq!(again.to_string(), printed);
    }
}
