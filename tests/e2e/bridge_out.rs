//! Local topic → SQL rule → remote broker, from files.

use testkit::{Client, Message, Mosquitto, Publish, PublishProperties, Sluicegate};

use crate::{UPLINK, cloud, gate};

const RULE: &str = r#"
-- What happens here is told to the cloud.
--- actions = ["mqtt:uplink"]
SELECT topic, payload FROM "temp_hum/emqx"
"#;

async fn bridge(remote: &Mosquitto, settings: &str) -> Sluicegate {
    let gate =
        gate().file("cloud.toml", &cloud(remote, settings, UPLINK)).rule("to_cloud", RULE).start().await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    gate
}

/// Publishes at both ends and shows what the remote got.
async fn goes_through(settings: &str) {
    let remote = Mosquitto::start().await;
    let gate = bridge(&remote, settings).await;
    let reader = Client::connect(remote.address(), "reader").await;
    reader.subscribe("pub/#", 2).await;
    let device = Client::connect(gate.mqtt(), "test_client").await;

    let payload = r#"{ "temp": "27.5", "hum": "41.8" }"#;
    for qos in 0..=2 {
        device.publish("temp_hum/emqx", payload, qos).await;
        let message = reader.next("pub/#").await;
        let expected = Message {
            topic: "pub/temp_hum/emqx".into(),
            payload: payload.into(),
            qos,
            retain: false,
            dup: false,
            properties: None,
        };
        assert_eq!(message, expected);
    }
    device.publish("temp_hum/other", payload, 1).await;

    gate.wait_metric("/rules/to_cloud", "passed", 3).await;
    gate.wait_metric("/rules/to_cloud", "matched", 3).await;
    gate.wait_metric("/actions/mqtt:uplink", "success", 3).await;
    reader.nothing("pub/#").await;
}

#[tokio::test]
async fn by_mqtt_3_1_1() {
    goes_through("proto_ver = \"v4\"\npool_size = 1").await;
}

#[tokio::test]
async fn by_mqtt_5_and_a_pool() {
    goes_through("proto_ver = \"v5\"\npool_size = 4").await;
}

#[tokio::test]
async fn retained_stays_retained() {
    let remote = Mosquitto::start().await;
    let gate = bridge(&remote, "pool_size = 1").await;
    let device = Client::connect(gate.mqtt(), "c1").await;
    let publish = |payload: &str| Publish {
        topic: "temp_hum/emqx".into(),
        payload: payload.into(),
        qos: 1,
        retain: true,
        properties: None,
    };
    device.send(publish("kept")).await.wait(&device).await;
    gate.wait_metric("/actions/mqtt:uplink", "success", 1).await;

    let late = Client::connect(remote.address(), "late").await;
    late.subscribe("pub/#", 1).await;
    let message = late.next("pub/#").await;
    assert_eq!((message.payload.as_slice(), message.retain), (b"kept".as_slice(), true));

    // An empty payload is a payload: it takes the retained message away.
    device.send(publish("")).await.wait(&device).await;
    gate.wait_metric("/actions/mqtt:uplink", "success", 2).await;
    let later = Client::connect(remote.address(), "later").await;
    later.subscribe("pub/#", 1).await;
    later.nothing("pub/#").await;
}

#[tokio::test]
async fn bytes_and_properties_travel_unchanged() {
    let remote = Mosquitto::start().await;
    let gate = bridge(&remote, "proto_ver = \"v5\"\npool_size = 1").await;
    let reader = Client::connect_v5(remote.address(), "reader").await;
    reader.subscribe("pub/#", 1).await;
    let device = Client::connect_v5(gate.mqtt(), "c1").await;

    let user_properties = vec![("line".to_owned(), "7".to_owned()), ("line".to_owned(), "8".to_owned())];
    let properties = PublishProperties {
        user_properties: user_properties.clone(),
        content_type: Some("application/x-reading".into()),
        ..PublishProperties::default()
    };
    // No UTF-8, so nothing that could be shown as text on the way.
    let payload = vec![0xff, 0x00, 0xfe];
    let publish = Publish {
        topic: "temp_hum/emqx".into(),
        payload: payload.clone(),
        qos: 1,
        retain: false,
        properties: Some(properties),
    };
    device.send(publish).await.wait(&device).await;

    let message = reader.next("pub/#").await;
    assert_eq!(message.payload, payload);
    let properties = message.properties.expect("an MQTT 5 message has properties");
    assert_eq!(properties.user_properties, user_properties);
    assert_eq!(properties.content_type.as_deref(), Some("application/x-reading"));
}
