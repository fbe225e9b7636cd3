use crate::ast::{Node, NodeKind, Path, Segment, SegmentKind, Shape, Tree};
use crate::{NESTING_MAX, SQL_BYTES_MAX, parse};
use diagnostic::{Code, Span};

/// The tree of a statement without problems, its spans erased, so that trees can be compared.
pub(crate) fn shape_of(sql: &str) -> Tree {
    let (mut tree, problems) = parse(sql, 0);
    assert!(problems.is_empty(), "{sql}: {problems:?}");
    for node in &mut tree.nodes {
        erase(node);
    }
    if let Some(statement) = &mut tree.statement {
        statement.span = Span::default();
        statement.from.iter_mut().for_each(|name| name.span = Span::default());
        let (fields, body) = match &mut statement.shape {
            Shape::Select(fields) => (fields, None),
            Shape::Foreach { fields, body, .. } => (fields, body.as_mut()),
        };
        for field in fields.iter_mut().chain(body.into_iter().flatten()) {
            field.span = Span::default();
            if let Some((_, Some(alias))) = &mut field.value {
                erase_path(alias);
            }
        }
    }
    tree.portability.clear();
    tree
}

fn erase(node: &mut Node) {
    node.span = Span::default();
    match &mut node.kind {
        NodeKind::Path(path) => erase_path(path),
        NodeKind::Postfix { segments, .. } => segments.iter_mut().for_each(erase_segment),
        NodeKind::Call { module, name, .. } => {
            name.span = Span::default();
            module.iter_mut().for_each(|module| module.span = Span::default());
        }
        NodeKind::Chain { rest, .. } => rest.iter_mut().for_each(|(_, span, _)| *span = Span::default()),
        _ => {}
    }
}

fn erase_path(path: &mut Path) {
    path.span = Span::default();
    path.name.span = Span::default();
    path.segments.iter_mut().for_each(erase_segment);
}

fn erase_segment(segment: &mut Segment) {
    segment.span = Span::default();
    match &mut segment.kind {
        SegmentKind::Key(name) => name.span = Span::default(),
        SegmentKind::Variable(path) => erase_path(path),
        SegmentKind::Index { .. } | SegmentKind::Slice { .. } => {}
    }
}

fn codes(sql: &str) -> Vec<Code> {
    parse(sql, 0).1.iter().map(|problem| problem.code).collect()
}

#[test]
fn what_is_printed_parses_to_the_same_tree() {
    for sql in [
        "select a.b[1].'c d'.\"e\", -  - 5 as x from 't/#' where not a = 1 and b in (1, 'x') or (c)",
        "foreach a, b.c as d do *, item[-0] x incase item[i.j] > 1 from \"t\", \"u\" where true",
        "select case x when 1 then 2 else 3 end, m.f(1, [2, [3..-4]])[1..2][1].y, a not in (1) from t",
        "select a div b mod 2 - 3 * (4 + 5), a =~ 'x', a != b, .5, 1e5 from t;",
        "select '', \"\", 'it''s', \"a\"\"b\", payload.from, 007 from t",
    ] {
        let printed = parse(sql, 0).0.to_string();
        let (again, first) = (shape_of(&printed), shape_of(sql));
        assert_eq!(again.nodes, first.nodes, "{printed}");
        assert_eq!(again.statement, first.statement, "{printed}");
        assert_eq!(again.to_string(), printed);
    }
}

#[test]
fn spans_cover_what_was_written() {
    let sql = "SELECT  a . b [ 1 ] + f( x )[2] , CASE WHEN c THEN 1 END FROM t WHERE ( d )";
    let tree = parse(sql, 0).0;
    let texts: Vec<&str> = tree.nodes.iter().map(|node| &sql[node.span.range()]).collect();
    let expected = [
        "a . b [ 1 ]",
        "x",
        "f( x )",
        "f( x )[2]",
        "a . b [ 1 ] + f( x )[2]",
        "c",
        "1",
        "CASE WHEN c THEN 1 END",
        "d",
        "( d )",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn the_base_offset_is_added_everywhere() {
    let (tree, problems) = parse("SELECT a b c FROM t", 1000);
    assert_eq!(problems[0].span, Span::new(1011, 1012));
    assert!(tree.nodes.iter().all(|node| node.span.start >= 1000));
}

#[test]
fn nesting_is_bounded() {
    let nested = |open: &str, close: &str, levels: usize| {
        format!("SELECT {}1{} AS x FROM t", open.repeat(levels), close.repeat(levels))
    };
    let levels = NESTING_MAX as usize;
    for (open, close) in
        [("(", ")"), ("[", "]"), ("f(", ")"), ("- ", ""), ("NOT ", ""), ("CASE WHEN a THEN ", " END")]
    {
        assert_eq!(codes(&nested(open, close, levels)), [], "{open}");
        assert_eq!(codes(&nested(open, close, levels + 1)), [Code::NestingTooDeep], "{open}");
        let many = SQL_BYTES_MAX / (open.len() + close.len()) - 10;
        assert_eq!(codes(&nested(open, close, many)), [Code::NestingTooDeep], "{open}");
    }
    assert_eq!(
        codes(&format!("SELECT {}1{} FROM t", "a[".repeat(66), "]".repeat(66))),
        [Code::NestingTooDeep]
    );
    assert_eq!(codes(&format!("SELECT a{} FROM t", ".b".repeat(65))), [Code::NestingTooDeep]);
}

#[test]
fn length_is_bounded_and_chains_are_flat() {
    let long = format!("SELECT {}1 AS x FROM t", "1+".repeat(SQL_BYTES_MAX / 2));
    assert_eq!(codes(&long), [Code::SqlTooLong]);
    let terms = 30_000;
    for op in ["+", " AND "] {
        let count = terms / op.len();
        let sql = format!("SELECT {}1 AS x FROM t", format!("1{op}").repeat(count));
        let (tree, problems) = parse(&sql, 0);
        assert_eq!(problems, [], "{op}");
        let chains: Vec<usize> = tree
            .nodes
            .iter()
            .filter_map(|node| match &node.kind {
                NodeKind::Chain { rest, .. } => Some(rest.len()),
                _ => None,
            })
            .collect();
        assert_eq!(chains, [count]);
    }
}

#[test]
fn as_many_problems_as_one_likes_are_bounded() {
    let sql = format!("SELECT {} FROM t", "a b c, ".repeat(5000));
    assert_eq!(parse(&sql, 0).1.len(), crate::PROBLEMS_MAX);
}
