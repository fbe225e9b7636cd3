//! What is evaluated when: WHERE first, the aliases it needs on demand, and each reader its own state of a name.

use std::sync::Arc;

use eval::test::{self, Context, NoMatch, Outcome, Setting};
use eval::{Surroundings, Worker};
use serde_json::{Value, json};
use value::Arena;

const SETTING: Setting<'static> = Setting { now_ms: 1_700_000_000_000, node: "n@1", seed: 7 };

fn outcome(sql: &str, payload: &str) -> Outcome {
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 7);
    let (program, diagnostics) = eval::prepare(sql, 0, "r");
    let program = program.unwrap_or_else(|| panic!("{sql}: {diagnostics:?}"));
    let context = json!({"event_type": "message_publish", "topic": "t", "payload": payload}).to_string();
    let arena = Arena::new();
    let context = Context::parse(context.as_bytes(), &SETTING, &arena).expect("a context");
    test::run(&program, &context, &SETTING, &mut worker)
}

fn check(sql: &str, payload: &str, expected: &Value) {
    match outcome(sql, payload) {
        Outcome::Output(out) => {
            assert_eq!(serde_json::from_slice::<Value>(&out).expect("JSON"), *expected, "{sql}");
        }
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn what_where_filters_out_never_fails_in_select() {
    let sql = "SELECT 1 div payload.n AS broken, payload.ok AS ok FROM \"t\" WHERE ok = true";
    assert_eq!(outcome(sql, r#"{"n":0,"ok":false}"#), Outcome::NoMatch(NoMatch::Condition));
    assert!(matches!(outcome(sql, r#"{"n":0,"ok":true}"#), Outcome::Error(_)));
}

#[test]
fn an_alias_that_where_needs_may_fail() {
    let sql = "SELECT 1 div payload.n AS share FROM \"t\" WHERE payload.ok = true AND share > 0";
    assert!(matches!(outcome(sql, r#"{"n":0,"ok":false}"#), Outcome::Error(_)));
    assert_eq!(outcome(sql, r#"{"n":5,"ok":true}"#), Outcome::NoMatch(NoMatch::Condition));
}

#[test]
fn each_reader_sees_what_stood_before_it() {
    let sql = "SELECT 1 AS a, a + 1 AS b, a + b AS a, a * 10 AS c FROM \"t\" WHERE a = 3";
    check(sql, "{}", &json!({"a": 3, "b": 2, "c": 30}));
    let sql = "SELECT 1 AS m.x, m.x AS first, 2 AS m.x, 3 AS m.y, m AS all FROM \"t\" WHERE m.x = 2";
    check(sql, "{}", &json!({"m": {"x": 2, "y": 3}, "first": 1, "all": {"x": 2, "y": 3}}));
}

#[test]
fn a_path_falls_back_to_the_column_as_a_whole() {
    let sql = "SELECT 5 AS payload.a, payload.b AS b FROM \"t\" WHERE payload.b = 2";
    check(sql, r#"{"a":1,"b":2}"#, &json!({"payload": {"a": 5}, "b": 2}));
}

#[test]
fn loops_see_the_element_then_the_variables_then_the_columns() {
    let sql = "FOREACH payload.limit AS qos, payload.l AS n DO n, qos, topic INCASE n > qos FROM \"t\" WHERE length(n) = 3";
    let rows = json!([{"n": 2, "qos": 1, "topic": "t"}, {"n": 3, "qos": 1, "topic": "t"}]);
    check(sql, r#"{"l":[1,2,3],"limit":1}"#, &rows);
}

#[test]
fn functions_of_the_message_are_blind_in_conditions() {
    check(
        "SELECT topic() AS a, is_null(qos()) AS b FROM \"t\" WHERE is_null(topic())",
        "{}",
        &json!({"a": "t", "b": false}),
    );
    check("FOREACH [1] AS x DO topic() AS a INCASE is_null(topic()) FROM \"t\"", "{}", &json!([{"a": "t"}]));
}

#[test]
fn says_which_clause_turned_a_message_away() {
    let none = outcome("SELECT * FROM \"other\"", "{}");
    assert_eq!(none, Outcome::NoMatch(NoMatch::Topic));
    assert_eq!(outcome("SELECT * FROM \"t\" WHERE qos = 9", "{}"), Outcome::NoMatch(NoMatch::Condition));
    check("FOREACH payload.l AS x FROM \"t\"", r#"{"l":5}"#, &json!([]));
}

#[test]
fn errors_know_their_place() {
    let sql = "SELECT clientid, 1 + payload.s * 2 AS y FROM \"t\"";
    let Outcome::Error(error) = outcome(sql, r#"{"s":"x"}"#) else { panic!("it fails") };
    assert_eq!(&sql[error.span.range()], "*");
    assert_eq!(error.to_string(), "`*` cannot be applied to string and integer");
}

#[test]
fn a_payload_that_is_passed_on_is_read_like_one_that_is_made() {
    let payloads = [
        r#"{"a": {"b": 3}, "n": 1}"#,
        r#"{"a": "{\"b\": 3}"}"#,
        r#""{\"a\": {\"b\": 3}}""#,
        r#"{"a": {"b": 1}, "a": {"b": 3}}"#,
        r#"{"a": [1, {"b": 3}]}"#,
        "[1, 2]",
        "no JSON",
        "",
    ];
    let conditions =
        ["payload.a.b = 3", "payload.a[2].b = 3", "payload.a[payload.n] = 1", "is_null(payload.zz)"];
    for condition in conditions {
        for payload in payloads {
            // The second has the same value, but only once it is evaluated.
            let [passed, made] = ["payload", "concat(payload, '') AS payload"].map(|field| {
                let sql = format!("SELECT {field}, payload.a.b AS b FROM \"t\" WHERE {condition}");
                match outcome(&sql, payload) {
                    Outcome::Error(_) => None,
                    other => Some(other),
                }
            });
            assert_eq!(passed, made, "{condition} on {payload}");
        }
    }
}
