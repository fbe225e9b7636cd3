//! `GET /api-docs/openapi.json` against the router.

use std::collections::BTreeSet;

use api::ApiKeys;
use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::gate::{self, Gate};

const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE", "PATCH"];

async fn document(keys: ApiKeys) -> Value {
    let gate = Gate::start(&[], keys).await;
    let request = Request::get("/api-docs/openapi.json");
    let request = request.header("authorization", "Basic b3BzOnMzY3JldA==");
    let answer = gate.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 200);
    serde_json::from_str(&answer.body).unwrap()
}

/// A path with something in place of every parameter.
fn filled(path: &str) -> String {
    let fill = |part: &str| match part {
        "{id}" => "far:nothing".to_owned(),
        "{node}" => "sluicegate@127.0.0.1".to_owned(),
        "{enable}" => "true".to_owned(),
        "{operation}" => "start".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_router_has_what_the_document_says_and_nothing_else() {
    let document = document(ApiKeys::default()).await;
    let gate = Gate::start(&[], ApiKeys::default()).await;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 40, "{} paths", paths.len());
    for (path, operations) in paths {
        let described: BTreeSet<String> =
            operations.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        for method in METHODS {
            let request = Request::builder().method(*method).uri(filled(path)).body(Body::empty()).unwrap();
            let answer = gate.send(request).await;
            assert!(!answer.body.contains("there is nothing at"), "{method} {path}");
            assert_eq!(answer.status != 405, described.contains(*method), "{method} {path}");
            if answer.status == 405 {
                let allow = answer.headers.iter().find(|(name, _)| name == "allow").map(|(_, value)| value);
                let allowed: BTreeSet<String> =
                    allow.unwrap().split(',').filter(|method| *method != "HEAD").map(str::to_owned).collect();
                assert_eq!(allowed, described, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn every_operation_is_described() {
    let document = document(ApiKeys::default()).await;
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let place = format!("{method} {path}");
            assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{place}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{place}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|status| status.starts_with('2')), "{place}");
            for (status, answer) in answers {
                assert!(
                    answer["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "{place} {status}"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let document = document(ApiKeys::default()).await;
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap_or(reference);
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                open.extend(object.values());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[tokio::test]
async fn it_says_whether_a_key_is_needed() {
    let open = document(ApiKeys::default()).await;
    assert_eq!(open["security"], serde_json::json!([{}, { "basic": [] }]));
    let keyed = document(gate::keys()).await;
    assert_eq!(keyed["security"], serde_json::json!([{ "basic": [] }]));
    assert_eq!(keyed["paths"]["/livez"]["get"]["security"], serde_json::json!([{}]));
}
