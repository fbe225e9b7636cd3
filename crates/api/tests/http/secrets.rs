//! What is secret stays where it belongs.

use api::ApiKeys;
use axum::body::Body;
use axum::http::Request;

use crate::gate::Gate;

async fn send(gate: &Gate, method: &str, path: &str, body: &str) -> String {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    let answer = gate.send(request).await;
    assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.body);
    answer.body
}

#[tokio::test]
async fn a_password_is_kept_and_never_shown() {
    let gate = Gate::start(&[], ApiKeys::default()).await;
    let stored = || {
        let path = format!("{}/data/rest/resources/connector.far.cloud.toml", gate.folder());
        std::fs::read_to_string(path).unwrap()
    };
    let create = r#"{"type": "far", "name": "cloud", "server": "a:1", "password": "hunter2"}"#;
    let mut shown = send(&gate, "POST", "/api/v5/connectors", create).await;
    assert!(stored().contains("hunter2"));

    let back = shown.replace("a:1", "b:1");
    shown += &send(&gate, "PUT", "/api/v5/connectors/far:cloud", &back).await;
    assert!(stored().contains("hunter2") && stored().contains("b:1"), "{}", stored());

    send(&gate, "PUT", "/api/v5/connectors/far:cloud/enable/false", "").await;
    assert!(stored().contains("hunter2") && stored().contains("enable = false"), "{}", stored());

    for path in ["/api/v5/connectors", "/api/v5/connectors/far:cloud", "/metrics"] {
        shown += &send(&gate, "GET", path, "").await;
    }
    assert!(shown.contains("******") && !shown.contains("hunter2"), "{shown}");
}
