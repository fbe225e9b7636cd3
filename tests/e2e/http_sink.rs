//! From a device to an HTTP server, by way of a rule.

use testkit::{Client, Web};

use crate::gate;

fn resources(web: &Web, more: &str) -> String {
    format!(
        "[connectors.http.backend]\nurl = \"http://{}/in\"\n\
         [actions.http.readings]\nconnector = \"backend\"\n\
         parameters = {{ path = \"/${{clientid}}\", body = \"${{payload}}\", headers = {{ x-topic = \"${{topic}}\" }} }}\n\
         resource_opts = {{ {more} }}\n",
        web.address()
    )
}

const RULE: &str = "--- actions = [\"http:readings\"]\nSELECT clientid, topic, payload FROM \"t/#\"";

#[tokio::test]
async fn a_message_becomes_a_request() {
    let web = Web::start().await;
    let gate = gate().file("backend.toml", &resources(&web, "")).rule("readings", RULE).start().await;
    gate.wait_status("/connectors/http:backend", "connected").await;
    let device = Client::connect(gate.mqtt(), "boiler").await;
    device.publish("t/1", r#"{"temp":21}"#, 1).await;
    let sent = web.wait_sent(1).await.remove(0);
    assert_eq!((&*sent.line, &*sent.body), ("POST /in/boiler", r#"{"temp":21}"#));
    assert!(sent.headers.contains("x-topic: t/1"), "{}", sent.headers);
    gate.wait_metric("/actions/http:readings", "success", 1).await;
}

#[tokio::test]
async fn what_a_busy_server_refuses_for_now_outlives_a_crash() {
    let web = Web::start().await;
    // More often than the server can be asked until it is killed.
    web.answer([503; 1000]);
    let mut gate = gate()
        .file("backend.toml", &resources(&web, "buffer_mode = \"disk\""))
        .rule("readings", RULE)
        .start()
        .await;
    let device = Client::connect(gate.mqtt(), "boiler").await;
    for number in 0..20 {
        // Acknowledged as soon as it is on disk.
        device.publish("t/1", number.to_string(), 1).await;
    }
    web.wait_sent(1).await;
    gate.kill().await;
    let refused = web.sent().len();
    web.answer_well();
    gate.resume().await;
    gate.wait_metric("/actions/http:readings", "success", 20).await;
    let bodies: Vec<String> = web.sent().into_iter().skip(refused).map(|sent| sent.body).collect();
    let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn the_guard_of_the_server_counts_for_every_connector() {
    let web = Web::start().await;
    let gate = gate()
        .config("[ssrf]\nenable = true\n")
        .file("backend.toml", &resources(&web, ""))
        .rule("readings", RULE)
        .start()
        .await;
    gate.wait_status("/connectors/http:backend", "disconnected").await;
    let connector = gate.http().get("/api/v5/connectors/http:backend").await.json();
    assert!(
        connector["status_reason"].as_str().is_some_and(|reason| reason.contains("127.0.0.0/8")),
        "{connector}"
    );
    let probe =
        serde_json::json!({ "type": "http", "name": "x", "url": format!("http://{}", web.address()) });
    let answer = gate.http().post("/api/v5/connectors_probe", &probe).await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &"TEST_FAILED".into()));
    assert!(web.sent().is_empty());
}
