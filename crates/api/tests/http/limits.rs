//! What a request may cost, and what no request may cause.

use api::ApiKeys;
use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;
use tower::ServiceExt as _;

use crate::gate::Gate;

async fn rule_test(gate: &Gate, body: impl Into<Body>) -> (u16, String) {
    let request = Request::post("/api/v5/rule_test").body(body.into()).unwrap();
    let answer = gate.send(request).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_body_has_at_most_a_mebibyte() {
    let gate = Gate::start(&[], ApiKeys::default()).await;
    let body = |text: usize| {
        let rest = r#"{"sql": "SELECT clientid FROM \"t\"", "context": {"event_type": "message_publish", "topic": "t", "clientid": ""}}"#;
        rest.replace(r#""clientid": """#, &format!(r#""clientid": "{}""#, "x".repeat(text - rest.len())))
    };
    let (status, answer) = rule_test(&gate, body(1 << 20)).await;
    assert_eq!((status, answer.len() > 1_000_000), (200, true));
    let (status, answer) = rule_test(&gate, body((1 << 20) + 1)).await;
    assert_eq!((status, answer.contains("PAYLOAD_TOO_LARGE")), (413, true));
}

#[tokio::test]
async fn what_breaks_off_is_answered_as_a_failure_and_hurts_no_other_request() {
    let gate = Gate::start(&[], ApiKeys::default()).await;
    let router = gate.broken();
    for (path, status) in [("/metrics", 500), ("/livez", 200), ("/metrics", 500)] {
        let answer = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn depth_and_encoding_are_bounded() {
    let gate = Gate::start(&[], ApiKeys::default()).await;
    let deep = format!(
        r#"{{"sql": "SELECT * FROM \"t\"", "context": {}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(rule_test(&gate, deep).await.0, 400);
    assert_eq!(rule_test(&gate, &b"{\"sql\": \"\xff\", \"context\": {}}"[..]).await.0, 400);
    let nested = "(".repeat(30_000) + "1" + &")".repeat(30_000);
    let sql = serde_json::json!({ "sql": format!("SELECT {nested} FROM \"t\""), "context": {"event_type": "message_publish"} });
    assert_eq!(rule_test(&gate, sql.to_string()).await.0, 400);
    let long =
        serde_json::json!({ "sql": format!("SELECT {}1 FROM \"t\"", "1 + ".repeat(100_000)), "context": {} });
    assert_eq!(rule_test(&gate, long.to_string()).await.0, 400);
}

/// Pieces that SQL is made of, put together at random.
fn sql() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("SELECT"),
        Just("FOREACH"),
        Just("DO"),
        Just("INCASE"),
        Just("FROM"),
        Just("WHERE"),
        Just("CASE"),
        Just("WHEN"),
        Just("END"),
        Just("*"),
        Just("("),
        Just(")"),
        Just("["),
        Just("]"),
        Just("payload.a"),
        Just("payload.b[1]"),
        Just("as"),
        Just("x"),
        Just("\"t/#\""),
        Just("'s'"),
        Just("1"),
        Just("0.5"),
        Just("/"),
        Just("div"),
        Just("+"),
        Just(","),
        Just("="),
        Just("=~"),
        Just("abs("),
        Just("upper("),
        Just("and"),
        Just("not"),
        Just("in"),
        Just("[1..3]"),
        Just("\u{fffd}"),
    ];
    prop_oneof![
        proptest::collection::vec(word, 0..24).prop_map(|words| words.join(" ")),
        ".{0,64}",
        "SELECT [a-z.0-9+*/()' ]{1,40} FROM \"t/#\"",
    ]
}

#[test]
fn no_sql_and_no_context_gives_a_5xx() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gate = runtime.block_on(Gate::start(&[], ApiKeys::default()));
    let context = prop_oneof![
        Just(
            serde_json::json!({"event_type": "message_publish", "topic": "t/1", "payload": "{\"a\": 1, \"b\": [0, \"x\"]}"})
        ),
        Just(serde_json::json!({"event_type": "message_publish", "topic": 5, "payload": {"a": [1e308]}})),
        Just(serde_json::json!({"event_type": "$bridges/mqtt:x"})),
        (".{0,12}", ".{0,12}").prop_map(|(key, text)| serde_json::json!({"event_type": text, key: 1.5e300})),
    ];
    proptest!(ProptestConfig::with_cases(256), |(sql in sql(), context in context)| {
        let body = serde_json::json!({ "sql": sql, "context": context }).to_string();
        let (status, answer) = runtime.block_on(rule_test(&gate, body));
        prop_assert!(matches!(status, 200 | 400 | 412), "{} {}", status, answer);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&answer).is_ok(), "{}", answer);
    });
}
