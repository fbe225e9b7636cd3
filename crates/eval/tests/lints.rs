//! What `check` says of a comparison holds for every message: each pair of operands is tried on messages of many kinds.

use std::sync::Arc;

use diagnostic::Code;
use eval::test::{self, Context, Outcome, Setting};
use eval::{Surroundings, Worker};
use serde_json::{Value, json};
use value::Arena;

const SETTING: Setting<'static> = Setting { now_ms: 1_700_000_000_000, node: "n@1", seed: 7 };

/// Operands of every kind that is known beforehand, and of none.
const OPERANDS: &[&str] = &[
    "1",
    "-1",
    "0",
    "9",
    "2",
    "'9'",
    "proto_ver",
    "1.0",
    "2.5",
    "123456789012345678901234567890",
    "'1'",
    "'1.0'",
    "'abc'",
    "''",
    "'true'",
    "'message.publish'",
    "'t/+'",
    "'t/#/x'",
    "true",
    "false",
    "null()",
    "[1, 2]",
    "[1..2]",
    "map_new()",
    "qos",
    "clientid",
    "username",
    "event",
    "node",
    "flags",
    "topic",
    "timestamp",
    "keepalive",
    "upper(clientid)",
    "is_null(payload.x)",
    "strlen(topic)",
    "qos + 1",
    "qos / 2",
    "payload.x",
    "CASE WHEN qos = 1 THEN 'a' END",
];

fn messages() -> Vec<String> {
    let values = ["1", "1.0", "\"1\"", "\"abc\"", "true", "null", "[1,2]", "{}", "{\"a\":1}", "\"t/1\""];
    let mut messages: Vec<Value> = values
        .iter()
        .map(
            |x| json!({"event_type": "message_publish", "topic": "t/1", "payload": format!("{{\"x\":{x}}}")}),
        )
        .collect();
    messages.push(
        json!({"event_type": "message_publish", "topic": "t/1", "qos": 0, "clientid": "1", "payload": "{}"}),
    );
    messages.push(json!({"event_type": "message_publish", "topic": "abc", "qos": 2, "clientid": "abc", "username": "true", "payload": "{}"}));
    messages.iter().map(Value::to_string).collect()
}

/// What is known of the one comparison of a statement: `true`, `false`, `fails`.
fn known(problems: &[diagnostic::Diagnostic]) -> Option<&'static str> {
    let known = problems.iter().find(|problem| problem.code == Code::ConstantComparison)?;
    let outcomes = [("is true", "true"), ("is false", "false"), ("fails", "fails"), ("never equal", "false")];
    outcomes.into_iter().find(|(part, _)| known.message.contains(part)).map(|(_, outcome)| outcome)
}

fn check(condition: &str, messages: &[String], worker: &mut Worker) -> bool {
    let sql = format!("SELECT 1 AS x FROM \"#\" WHERE {condition}");
    let (program, problems) = eval::prepare(&sql, 0, "r");
    let (Some(program), Some(known)) = (program, known(&problems)) else { return false };
    for message in messages {
        let arena = Arena::new();
        let context = Context::parse(message.as_bytes(), &SETTING, &arena).expect("a context");
        let found = match test::run(&program, &context, &SETTING, worker) {
            Outcome::Output(_) => "true",
            Outcome::NoMatch(_) => "false",
            Outcome::Error(_) => "fails",
        };
        // Where a side may be missing, a comparison that would fail is false.
        let agrees = found == known || known == "fails" && found == "false";
        assert!(agrees, "{condition} is said to be {known} for every message, and is {found} for {message}");
    }
    true
}

#[test]
fn what_is_said_of_comparisons_holds() {
    let messages = messages();
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 7);
    let mut said = 0;
    for left in OPERANDS {
        for right in OPERANDS {
            for op in ["=", "<>", "<", ">=", "=~"] {
                said += usize::from(check(&format!("{left} {op} {right}"), &messages, &mut worker));
            }
            said += usize::from(check(&format!("{left} IN ({right})"), &messages, &mut worker));
            let case = format!("CASE {left} WHEN {right} THEN true ELSE false END");
            said += usize::from(check(&case, &messages, &mut worker));
        }
    }
    assert!(said > 1000, "only {said} comparisons are known beforehand");
}
