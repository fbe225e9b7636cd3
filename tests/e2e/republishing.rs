//! What republish can set, as a client of MQTT 5 that nobody here wrote sees it.

use testkit::{Client, Message, Publish, PublishProperties, Sluicegate};

use crate::gate;

fn rule(args: &str, select: &str) -> String {
    format!(
        "--- actions = [{{ function = \"republish\", args = {{ topic = \"out\", {args} }} }}]\nSELECT {select} FROM \"in\""
    )
}

fn user(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// What becomes of a message with properties.
async fn republished(args: &str, select: &str) -> Message {
    let gate = gate().rule("r", &rule(args, select)).start().await;
    let client = Client::connect_v5(gate.mqtt(), "c1").await;
    client.subscribe("out", 2).await;
    let properties = PublishProperties {
        user_properties: user(&[("k", "1"), ("k", "2")]),
        content_type: Some("text/plain".into()),
        message_expiry_interval: Some(1000),
        ..PublishProperties::default()
    };
    let publish = Publish {
        topic: "in".into(),
        payload: br#"{"a": {"x": 1, "y": "z"}, "ttl": 77}"#.into(),
        qos: 1,
        retain: false,
        properties: Some(properties),
    };
    client.send(publish).await.wait(&client).await;
    client.next("out").await
}

#[tokio::test]
async fn properties_travel_along_unless_they_are_set() {
    let message = republished("qos = 2, payload = \"p\"", "payload").await;
    assert_eq!((message.payload.as_slice(), message.qos), (b"p".as_slice(), 2));
    let properties = message.properties.unwrap();
    assert_eq!(properties.user_properties, user(&[("k", "1"), ("k", "2")]));
    assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
    assert!(properties.message_expiry_interval.is_some_and(|seconds| (900..=1000).contains(&seconds)));
}

#[tokio::test]
async fn every_property_can_be_set() {
    let args = "mqtt_properties = { Payload-Format-Indicator = \"1\", Message-Expiry-Interval = \"${payload.ttl}\", \
                Content-Type = \"application/json\", Response-Topic = \"re/${clientid}\", Correlation-Data = \"${qos}\" }, \
                user_properties = \"${own}\"";
    let properties = republished(args, "*, payload.a AS own").await.properties.unwrap();
    assert_eq!(properties.user_properties, user(&[("x", "1"), ("y", "z")]));
    assert_eq!(properties.payload_format_indicator, Some(1));
    assert!(properties.message_expiry_interval.is_some_and(|seconds| (70..=77).contains(&seconds)));
    assert_eq!(properties.content_type.as_deref(), Some("application/json"));
    assert_eq!(properties.response_topic.as_deref(), Some("re/c1"));
    assert_eq!(properties.correlation_data.as_deref(), Some(b"1".as_slice()));
}

#[tokio::test]
async fn the_original_user_properties_can_be_asked_for() {
    let args = "user_properties = \"${pub_props.'User-Property'}\"";
    let properties = republished(args, "*").await.properties.unwrap();
    assert_eq!(properties.user_properties, user(&[("k", "1"), ("k", "2")]));
    let pairs = "user_properties = \"${pub_props.'User-Property-Pairs'}\"";
    let properties = republished(pairs, "*").await.properties.unwrap();
    assert_eq!(properties.user_properties, user(&[("k", "1"), ("k", "2")]));
}

async fn further(gate: &Sluicegate, matched: u64) {
    gate.wait_metric("/rules/further", "matched", matched).await;
}

#[tokio::test]
async fn direct_dispatch_goes_to_subscribers_and_nobody_else() {
    let gate = gate()
        .rule(
            "r",
            &rule(
                "retain = true, direct_dispatch = \"${direct}\", payload = \"${n}\"",
                "payload.n AS n, payload.direct AS direct",
            ),
        )
        .rule("further", "SELECT * FROM \"out\"")
        .start()
        .await;
    let client = Client::connect(gate.mqtt(), "c1").await;
    client.subscribe("out", 1).await;
    client.publish("in", r#"{"n": 1, "direct": true}"#, 1).await;
    assert_eq!(client.next("out").await.payload, b"1");
    client.publish("in", r#"{"n": 2, "direct": false}"#, 1).await;
    assert_eq!(client.next("out").await.payload, b"2");
    further(&gate, 1).await;
    client.publish("in", r#"{"n": 3, "direct": true}"#, 1).await;
    assert_eq!(client.next("out").await.payload, b"3");
    let late = Client::connect(gate.mqtt(), "late").await;
    late.subscribe("out", 1).await;
    assert_eq!(late.next("out").await.payload, b"2", "what went directly was not kept");
    further(&gate, 1).await;
}
