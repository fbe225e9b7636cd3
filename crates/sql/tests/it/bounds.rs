//! Nothing that fits the bound on length takes long: each of these would, were there anything quadratic on its way.

use std::time::{Duration, Instant};

use crate::catalog::TestCatalog;

#[test]
fn any_repetition_is_done_in_no_time() {
    let pieces = [
        "a,",
        "a b c,",
        "x1 AS y1,",
        "f(1),",
        "(",
        "a[",
        "1+",
        "NOT ",
        "'",
        "$a$",
        "a#,",
        "FROM b,",
        "CASE WHEN a THEN b END,",
        ")._a",
        "..",
        "--",
    ];
    for head in ["SELECT ", "SELECT a FROM "] {
        for piece in pieces {
            let room = sql::SQL_BYTES_MAX - head.len() - 10;
            let mut sql = head.to_owned();
            let mut count = 0;
            while sql.len() + piece.len() + 8 < room {
                // Names that differ, so that nothing is found or reported only once.
                sql.push_str(&piece.replace("a", &format!("a{count}")));
                count += 1;
            }
            let started = Instant::now();
            let (tree, problems) = sql::parse(&sql, 0);
            let (_, more) = sql::lower(&tree, &TestCatalog { any_function: false });
            let took = started.elapsed();
            assert!(took < Duration::from_secs(10), "{head:?} {piece:?} took {took:?}");
            assert!(problems.len() <= sql::PROBLEMS_MAX && more.len() <= sql::PROBLEMS_MAX);
        }
    }
}
