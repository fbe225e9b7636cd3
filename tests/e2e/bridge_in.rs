//! Remote broker → source → SQL rule → local topic, from files.

use testkit::{Client, Mosquitto, Publish, Sluicegate};

use crate::{cloud, gate};

const SOURCE: &str = r#"
[sources.mqtt.source-d1f51e81]
connector = "cloud"
parameters = { topic = "temp_hum/emqx", qos = 1 }
"#;

const RULE: &str = r#"
--- [[actions]]
--- function = "republish"
--- [actions.args]
--- topic = "sub/${topic}"
--- qos = "${qos}"
--- retain = "${flags.retain}"
--- payload = "${payload}"
SELECT * FROM "$bridges/mqtt:source-d1f51e81"
"#;

async fn bridge(remote: &Mosquitto, settings: &str) -> Sluicegate {
    let gate =
        gate().file("cloud.toml", &cloud(remote, settings, SOURCE)).rule("from_cloud", RULE).start().await;
    remote.wait_subscribed("temp_hum/emqx").await;
    gate
}

async fn comes_through(settings: &str) {
    let remote = Mosquitto::start().await;
    let gate = bridge(&remote, settings).await;
    let reader = Client::connect(gate.mqtt(), "reader").await;
    reader.subscribe("sub/#", 1).await;
    let device = Client::connect(remote.address(), "device").await;

    let payload = r#"{ "temp": 55, "hum": 32 }"#;
    for qos in 0..=1 {
        device.publish("temp_hum/emqx", payload, qos).await;
        let message = reader.next("sub/#").await;
        assert_eq!(message.topic, "sub/temp_hum/emqx");
        assert_eq!(message.payload, payload.as_bytes());
        assert_eq!((message.qos, message.retain), (qos, false));
    }
    device.publish("temp_hum/other", payload, 1).await;

    gate.wait_metric("/rules/from_cloud", "passed", 2).await;
    gate.wait_metric("/sources/mqtt:source-d1f51e81", "received", 2).await;
    reader.nothing("sub/#").await;
}

#[tokio::test]
async fn by_mqtt_3_1_1() {
    comes_through("proto_ver = \"v4\"").await;
}

#[tokio::test]
async fn by_mqtt_5() {
    comes_through("proto_ver = \"v5\"").await;
}

#[tokio::test]
async fn retained_stays_retained() {
    let remote = Mosquitto::start().await;
    let gate = bridge(&remote, "proto_ver = \"v5\"").await;
    let device = Client::connect(remote.address(), "device").await;
    let publish = Publish {
        topic: "temp_hum/emqx".into(),
        payload: b"kept".into(),
        qos: 1,
        retain: true,
        properties: None,
    };
    device.send(publish).await.wait(&device).await;
    gate.wait_metric("/rules/from_cloud", "passed", 1).await;

    let late = Client::connect(gate.mqtt(), "late").await;
    late.subscribe("sub/#", 1).await;
    let message = late.next("sub/#").await;
    assert_eq!((message.payload.as_slice(), message.retain), (b"kept".as_slice(), true));
}

#[tokio::test]
async fn both_names_of_a_source_work() {
    let remote = Mosquitto::start().await;
    let rule = RULE.replace("$bridges/", "$sources/");
    let gate = gate().file("cloud.toml", &cloud(&remote, "", SOURCE)).rule("from_cloud", &rule).start().await;
    remote.wait_subscribed("temp_hum/emqx").await;
    let reader = Client::connect(gate.mqtt(), "reader").await;
    reader.subscribe("sub/#", 1).await;
    Client::connect(remote.address(), "device").await.publish("temp_hum/emqx", "x", 1).await;
    reader.next("sub/temp_hum/emqx").await;
}
