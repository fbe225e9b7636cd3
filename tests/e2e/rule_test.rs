//! `POST /api/v5/rule_test` and `POST /api/v5/rules/:id/test`.

use serde_json::{Value, json};

use crate::gate;

#[path = "../conformance/cases.rs"]
mod cases;

use cases::Answer;

/// What is expected of a case.
enum Expect {
    Row(Value),
    NoMatch,
    Refused,
}
use Expect::{NoMatch, Refused, Row};

fn cases() -> Vec<(&'static str, Value, Expect)> {
    let reading = json!({"event_type": "message_publish", "topic": "plant/7", "clientid": "c1", "qos": 1,
        "payload": r#"{"temp": 31.5, "list": [{"id": "a", "v": 1}, {"id": "b", "v": 9}]}"#});
    let source =
        json!({"event_type": "$bridges/mqtt:*", "topic": "far/1", "payload": "{\"x\": 2}", "retain": true});
    vec![
        (
            "SELECT payload.temp AS t, clientid FROM \"plant/#\"",
            reading.clone(),
            Row(json!({"t": 31.5, "clientid": "c1"})),
        ),
        (
            "SELECT payload.temp + 1 AS t FROM \"plant/+\" WHERE payload.temp > 30",
            reading.clone(),
            Row(json!({"t": 32.5})),
        ),
        ("SELECT payload.temp FROM \"plant/7\"", reading.clone(), Row(json!({"payload": {"temp": 31.5}}))),
        ("SELECT payload.list[2].id AS id FROM \"#\"", reading.clone(), Row(json!({"id": "b"}))),
        (
            "SELECT 'n' + qos AS n, upper(clientid) AS c FROM \"#\"",
            reading.clone(),
            Row(json!({"n": "n1", "c": "C1"})),
        ),
        (
            "SELECT CASE WHEN payload.temp > 30 THEN 'hot' ELSE 'fine' END AS state FROM \"#\"",
            reading.clone(),
            Row(json!({"state": "hot"})),
        ),
        (
            "FOREACH payload.list AS s DO s.id AS id INCASE s.v > 5 FROM \"#\"",
            reading.clone(),
            Row(json!([{"id": "b"}])),
        ),
        ("FOREACH payload.none AS s DO s.id AS id FROM \"#\"", reading.clone(), Row(json!([]))),
        (
            "SELECT payload.x AS x, topic, retain FROM \"$bridges/mqtt:*\"",
            source,
            Row(json!({"x": 2, "topic": "far/1", "retain": true})),
        ),
        ("SELECT * FROM \"attic/#\"", reading.clone(), NoMatch),
        ("SELECT * FROM \"plant/#\" WHERE payload.temp > 99", reading.clone(), NoMatch),
        ("SELECT FROM \"plant/#\"", reading.clone(), Refused),
        ("SELECT no_such_function(1) AS x FROM \"plant/#\"", reading.clone(), Refused),
        ("SELECT 1 / 0 AS x FROM \"plant/#\"", reading, Refused),
        ("SELECT * FROM \"#\"", json!({"event_type": "no_such_event"}), Refused),
    ]
}

#[tokio::test]
async fn each_case_is_answered_as_the_reference_does() {
    let gate = gate().start().await;
    for (sql, context, expect) in cases() {
        let answer = gate.http().post("/api/v5/rule_test", &json!({"sql": sql, "context": context})).await;
        match expect {
            Row(row) => assert_eq!(answer.expect(200).json(), row, "{sql}"),
            NoMatch => assert_eq!(answer.expect(412).at("/code"), "NOT_MATCH", "{sql}"),
            Refused => drop(answer.expect(400)),
        }
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let gate = gate().start().await;
    for body in ["", "{", "[]", "{}", r#"{"sql": 7}"#, r#"{"sql": "SELECT * FROM \"t\"", "context": 7}"#] {
        gate.http().send("POST", "/api/v5/rule_test", Some(body.to_owned())).await.expect(400);
    }
    gate.http().get("/api/v5/rule_test").await.expect(405);
    gate.http().get("/api/v5/no_such_path").await.expect(404);
}

/// Answers are compared as data, as in process; those that differ are the ones that are known to.
#[tokio::test]
async fn every_conformance_case_is_answered_over_http() {
    let gate = gate().start().await;
    let known = cases::known();
    let (mut asked, mut wrong) = (0, Vec::new());
    for case in cases::cases() {
        let request = json!({"sql": case["sql"], "context": case["context"]});
        let answer = gate.http().post("/api/v5/rule_test", &request).await;
        asked += 1;
        let ours = match answer.status {
            200 => Answer::Ok(answer.json()),
            412 => Answer::NoMatch,
            400 => Answer::Refused(answer.body.clone()),
            _ => panic!("{}: {answer}", case["id"]),
        };
        let listed = case["id"].as_str().is_some_and(|id| known.contains_key(id));
        if cases::agrees(&case, &ours) == listed {
            let expected = cases::expected(&case);
            wrong.push(format!(
                "{}: expected {expected:?}, listed as different: {listed}: {answer}",
                case["id"]
            ));
        }
    }
    assert!(asked > 2_000, "only {asked} cases");
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}
