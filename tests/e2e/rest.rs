//! Both directions of a bridge, built and torn down over HTTP.

use serde_json::{Value, json};
use testkit::{Client, Mosquitto, Sluicegate};

use crate::{UPLINK, cloud, gate};

async fn post(gate: &Sluicegate, path: &str, body: Value) -> Value {
    gate.http().post(&format!("/api/v5{path}"), &body).await.expect(201).json()
}

async fn post_connector(gate: &Sluicegate, remote: &Mosquitto) {
    let body = json!({"type": "mqtt", "name": "cloud", "server": remote.address().to_string(),
        "proto_ver": "v5", "pool_size": 2});
    let connector = post(gate, "/connectors", body).await;
    assert_eq!(connector["id"], "mqtt:cloud");
    assert_eq!(connector["server"], remote.address().to_string());
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
}

async fn post_uplink(gate: &Sluicegate) {
    let parameters = json!({"topic": "pub/${topic}", "qos": "${qos}", "retain": "${flags.retain}",
        "payload": "${payload}"});
    let body = json!({"type": "mqtt", "name": "uplink", "connector": "cloud", "parameters": parameters});
    assert_eq!(post(gate, "/actions", body).await["parameters"]["topic"], "pub/${topic}");
    let body = json!({"id": "to_cloud", "name": "", "sql": "SELECT topic, payload FROM \"temp_hum/emqx\"",
        "actions": ["mqtt:uplink"]});
    let rule = post(gate, "/rules", body).await;
    assert_eq!(rule["id"], "to_cloud");
    assert_eq!(rule["from"], json!(["temp_hum/emqx"]));
    assert_eq!(rule["actions"], json!(["mqtt:uplink"]));
    assert_eq!(rule["enable"], true);
}

/// Deletes, and makes sure that it is gone.
async fn delete(gate: &Sluicegate, path: &str) {
    let path = format!("/api/v5{path}");
    gate.http().delete(&path).await.expect(204);
    gate.http().get(&path).await.expect(404);
    gate.http().delete(&path).await.expect(404);
}

#[tokio::test]
async fn a_bridge_out() {
    let remote = Mosquitto::start().await;
    let mut gate = gate().start().await;
    post_connector(&gate, &remote).await;
    post_uplink(&gate).await;

    let reader = Client::connect(remote.address(), "reader").await;
    reader.subscribe("pub/#", 2).await;
    let device = Client::connect(gate.mqtt(), "c1").await;
    device.publish("temp_hum/emqx", "one", 2).await;
    let message = reader.next("pub/temp_hum/emqx").await;
    assert_eq!((message.payload.as_slice(), message.qos), (b"one".as_slice(), 2));
    gate.wait_metric("/rules/to_cloud", "actions.success", 1).await;

    // What was made over HTTP outlives the process.
    assert!(gate.terminate().await.success());
    gate.resume().await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let device = Client::connect(gate.mqtt(), "c1").await;
    device.publish("temp_hum/emqx", "two", 1).await;
    assert_eq!(reader.next("pub/temp_hum/emqx").await.payload, b"two");

    // What is still used stays.
    gate.http().delete("/api/v5/connectors/mqtt:cloud").await.expect(400);
    delete(&gate, "/rules/to_cloud").await;
    device.publish("temp_hum/emqx", "three", 1).await;
    delete(&gate, "/actions/mqtt:uplink").await;
    delete(&gate, "/connectors/mqtt:cloud").await;
    reader.nothing("pub/#").await;
}

#[tokio::test]
async fn a_bridge_in() {
    let remote = Mosquitto::start().await;
    let gate = gate().start().await;
    post_connector(&gate, &remote).await;
    let body = json!({"type": "mqtt", "name": "source-d1f51e81", "connector": "cloud",
        "parameters": {"topic": "temp_hum/emqx", "qos": 1}});
    assert_eq!(post(&gate, "/sources", body).await["id"], "mqtt:source-d1f51e81");
    let args = json!({"topic": "sub/${topic}", "qos": "${qos}", "retain": "${flags.retain}",
        "payload": "${payload}"});
    let body = json!({"id": "from_cloud", "sql": "SELECT * FROM \"$bridges/mqtt:source-d1f51e81\"",
        "actions": [{"function": "republish", "args": args}]});
    post(&gate, "/rules", body).await;
    remote.wait_subscribed("temp_hum/emqx").await;

    let reader = Client::connect(gate.mqtt(), "reader").await;
    reader.subscribe("sub/#", 1).await;
    let device = Client::connect(remote.address(), "device").await;
    device.publish("temp_hum/emqx", "one", 1).await;
    assert_eq!(reader.next("sub/temp_hum/emqx").await.payload, b"one");

    delete(&gate, "/rules/from_cloud").await;
    delete(&gate, "/sources/mqtt:source-d1f51e81").await;
    delete(&gate, "/connectors/mqtt:cloud").await;
}

#[tokio::test]
async fn what_a_file_declares_is_changed_in_the_file() {
    let remote = Mosquitto::start().await;
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", UPLINK))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t\"")
        .start()
        .await;
    for (path, file) in [
        ("/rules/to_cloud", "to_cloud.sql"),
        ("/actions/mqtt:uplink", "cloud.toml"),
        ("/connectors/mqtt:cloud", "cloud.toml"),
    ] {
        let path = format!("/api/v5{path}");
        assert_eq!(gate.http().get(&path).await.expect(200).at("/managed_by"), "file", "{path}");
        let refused = gate.http().delete(&path).await.expect(409);
        assert!(refused.body.contains(file), "{refused}");
    }
}

#[tokio::test]
async fn a_mistake_is_answered_with_its_place() {
    let gate = gate().start().await;
    let body = json!({"id": "r1", "sql": "SELECT\n  no_such_function(payload)\nFROM \"t\"", "actions": []});
    let answer = gate.http().post("/api/v5/rules", &body).await.expect(400);
    assert_eq!(answer.at("/code"), "BAD_REQUEST");
    assert_eq!(answer.at("/diagnostics/0/line"), 2);
    assert_eq!(answer.at("/diagnostics/0/column"), 3);
    gate.http().get("/api/v5/rules/r1").await.expect(404);

    let body = json!({"id": "r1", "sql": "SELECT * FROM \"t\"", "actions": ["mqtt:nowhere"]});
    gate.http().post("/api/v5/rules", &body).await.expect(400);
    let body = json!({"type": "mqtt", "name": "x", "server": "localhost", "pool_sise": 3});
    let answer = gate.http().post("/api/v5/connectors", &body).await.expect(400);
    assert!(answer.body.contains("pool_sise"), "{answer}");
}

#[tokio::test]
async fn a_connector_is_probed_before_it_is_made() {
    let mut remote = Mosquitto::start().await;
    let gate = gate().start().await;
    let body = json!({"type": "mqtt", "name": "cloud", "server": remote.address().to_string()});
    gate.http().post("/api/v5/connectors_probe", &body).await.expect(204);
    remote.stop().await;
    let answer = gate.http().post("/api/v5/connectors_probe", &body).await.expect(400);
    assert_eq!(answer.at("/code"), "TEST_FAILED");
    gate.http().get("/api/v5/connectors/mqtt:cloud").await.expect(404);
}

#[tokio::test]
async fn health_status_and_metrics() {
    let gate = gate().rule("r1", "SELECT * FROM \"t\"").start().await;
    gate.http().get("/livez").await.expect(200);
    let status = gate.http().get("/api/v5/status?format=json").await.expect(200);
    let listeners = status.at("/listeners");
    let address = |name: &str| {
        let all = listeners.as_array().expect("listeners are a list");
        all.iter().find(|listener| listener["name"] == name).map(|listener| listener["address"].clone())
    };
    assert_eq!(address("mqtt"), Some(gate.mqtt().to_string().into()));
    assert_eq!(address("http"), Some(gate.http().address().to_string().into()));

    Client::connect(gate.mqtt(), "c1").await.publish("t", "", 1).await;
    gate.wait_metric("/rules/r1", "matched", 1).await;
    let metrics = gate.http().get("/metrics").await.expect(200);
    let line = r#"sluicegate_rule_matched_total{rule="r1"} 1"#;
    assert!(metrics.body.lines().any(|other| other == line), "{metrics}");
}
