//! The scan of the payload against a full read of the same text, and evaluation of anything.

use std::sync::Arc;

use eval::test::{self, Context, Outcome, Setting};
use eval::{Surroundings, Worker};
use proptest::prelude::*;
use serde_json::{Value, json};
use value::Arena;

const SETTING: Setting<'static> = Setting { now_ms: 1_700_000_000_000, node: "n@1", seed: 7 };

fn run(sql: &str, payload: &str) -> Result<Value, String> {
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 7);
    let (program, diagnostics) = eval::prepare(sql, 0, "r");
    let Some(program) = program else { return Err(format!("{diagnostics:?}")) };
    let context = json!({"event_type": "message_publish", "topic": "t", "payload": payload}).to_string();
    let arena = Arena::new();
    let context = Context::parse(context.as_bytes(), &SETTING, &arena).map_err(|error| error.to_string())?;
    match test::run(&program, &context, &SETTING, &mut worker) {
        Outcome::Output(out) => Ok(serde_json::from_slice(&out).expect("the output is JSON")),
        outcome => Err(format!("{outcome:?}")),
    }
}

#[test]
fn takes_the_last_of_doubled_keys_with_all_below() {
    let sql = "SELECT payload.a.b AS b, payload.a.c AS c, payload.a AS a FROM \"t\"";
    let row = run(sql, r#"{"a":{"b":1,"c":2},"a":{"c":3}}"#).expect("a row");
    assert_eq!(row, json!({"b": "undefined", "c": 3, "a": {"c": 3}}));
    let row = run(sql, r#"{"a":{"b":1},"a":5}"#).expect("a row");
    assert_eq!(row, json!({"b": "undefined", "c": "undefined", "a": 5}));
}

#[test]
fn finds_keys_that_are_written_with_escapes() {
    let row = run("SELECT payload.temp AS t FROM \"t\"", r#"{"t\u0065mp":1}"#).expect("a row");
    assert_eq!(row, json!({"t": 1}));
}

#[test]
fn a_fault_anywhere_in_the_document_counts() {
    let sql = "SELECT payload.a AS a FROM \"t\"";
    for payload in [r#"{"a":1,"b":}"#, r#"{"a":1} x"#, r#"{"a":1,"b":[1,}"#, r#"{"a":1,"b":1e999}"#, ""] {
        assert!(run(sql, payload).is_err(), "{payload}");
    }
    assert!(run("SELECT payload AS p FROM \"t\"", "{broken").is_ok());
}

#[test]
fn reads_json_inside_of_strings_at_every_level() {
    let inner = json!({"list": ["{}", r#"{"v": 8}"#]}).to_string();
    let payload = json!({"inner": inner, "raw": "text"}).to_string();
    let sql =
        "SELECT payload.inner.list[2].v AS v, payload.inner.list[-1].v AS w, payload.raw.x AS x FROM \"t\"";
    assert_eq!(run(sql, &payload), Ok(json!({"v": 8, "w": 8, "x": "undefined"})));
}

#[test]
fn work_and_memory_are_bounded() {
    let many = format!("{{\"a\":[{}1]}}", "1,".repeat(300_000));
    let long: Vec<_> = (0..400).map(|at| format!("item = {at}.5")).collect();
    let sql = format!("FOREACH payload.a DO item INCASE {} FROM \"t\"", long.join(" OR "));
    assert!(run(&sql, &many).is_err_and(|error| error.contains("too long")));
    let sql = "FOREACH payload.a DO item FROM \"t\"";
    assert!(run(sql, &many).is_err_and(|error| error.contains("too many rows")));
    let doubled = format!("SELECT payload.a AS a0{} FROM \"t\"", {
        let steps = (1..30).map(|at| format!(", concat(a{0}, a{0}) AS a{at}", at - 1));
        steps.collect::<String>()
    });
    assert!(run(&doubled, r#"{"a":"0123456789"}"#).is_err_and(|error| error.contains("too much memory")));
    for call in ["[1..100000000]", "bitsl(1, 9999999)", "pad('', 999999999)"] {
        assert!(run(&format!("SELECT {call} AS y FROM \"t\""), "{}").is_err(), "{call}");
    }
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[a-c\"\\\\é\n]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::hash_map("[abc]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn paths() -> impl Strategy<Value = Vec<Result<String, usize>>> {
    proptest::collection::vec(prop_oneof!["[abc]".prop_map(Ok), (1usize..4).prop_map(Err)], 1..5)
}

fn spelled(path: &[Result<String, usize>]) -> String {
    path.iter()
        .map(|step| match step {
            Ok(key) => format!(".{key}"),
            Err(place) => format!("[{place}]"),
        })
        .collect()
}

/// What a path leads to, by the plain rules: strings are read as JSON on the way.
fn oracle(document: &Value, path: &[Result<String, usize>]) -> Value {
    let undefined = Value::from("undefined");
    let Some((step, rest)) = path.split_first() else { return document.clone() };
    if let Value::String(text) = document {
        return match serde_json::from_str::<Value>(text) {
            Ok(Value::String(_)) | Err(_) => undefined,
            Ok(inner) => oracle(&inner, path),
        };
    }
    let inner = match step {
        Ok(key) => document.get(key),
        Err(place) => document.get(place - 1),
    };
    inner.map_or(undefined, |inner| oracle(inner, rest))
}

proptest! {
    #[test]
    fn finds_what_a_full_read_finds(document in documents(), paths in proptest::collection::vec(paths(), 1..5)) {
        let fields: Vec<_> =
            paths.iter().enumerate().map(|(at, path)| format!("payload{} AS f{at}", spelled(path))).collect();
        let row = run(&format!("SELECT {} FROM \"t\"", fields.join(", ")), &document.to_string());
        let row = row.expect("a row");
        for (at, path) in paths.iter().enumerate() {
            prop_assert_eq!(&row[format!("f{at}")], &oracle(&document, path), "{}", spelled(path));
        }
    }

    #[test]
    fn evaluation_of_anything_returns(
        payload in r#"[\[\]{}",:0-9.eE+\-\\abctruefalsn ]{0,60}"#,
        call in 0usize..200,
        left in 0usize..12,
        right in 0usize..12,
    ) {
        const OPERANDS: [&str; 12] = [
            "payload", "payload.a", "payload.a[1]", "1", "-2.5", "'x'", "''", "[1, 'a']", "map_new()", "null()",
            "9999999999999999999999", "event",
        ];
        let (left, right) = (OPERANDS[left], OPERANDS[right]);
        let function = functions::all()[call % functions::all().len()].name;
        for expr in [
            format!("{left} + {right}"), format!("{left} * {right}"), format!("{left} / {right}"),
            format!("{left} = {right}"), format!("{function}()"), format!("{function}({left})"),
            format!("{function}({left}, {right})"), format!("{function}({left}, {right}, {left})"),
        ] {
            _ = run(&format!("SELECT {expr} AS y FROM \"t\""), &payload);
            _ = run(&format!("FOREACH {left} AS x DO {expr} AS y INCASE {left} = {right} FROM \"t\""), &payload);
        }
    }
}
