//! CONNACK, and what a client is told by it (MQTT 5.0 §3.2).

use crate::raw::{Client, ConnAck, Hello, frame, message, string};
use crate::server::Server;

/// The property that starts with this identifier and these bytes is in CONNACK.
fn says(ack: &ConnAck, property: &[u8]) -> bool {
    ack.properties.windows(property.len()).any(|bytes| bytes == property)
}

#[tokio::test]
async fn mqtt_3_2_2_2_and_3_session_present_says_whether_there_is_one() {
    let server = Server::start().await;
    for level in [4, 5] {
        let hello = || Hello { level, ..Hello::v5(&format!("c{level}")) };
        let kept = || if level == 5 { hello().kept() } else { Hello { flags: 0, ..hello() } };
        for (hello, present) in [(kept(), false), (kept(), true), (hello(), false), (kept(), false)] {
            let (client, ack) = server.try_connect(hello).await;
            assert_eq!((ack.present, ack.code), (present, 0));
            client.disconnect().await;
        }
    }
}

#[tokio::test]
async fn mqtt_3_2_2_3_of_311_there_is_no_session_present_in_31() {
    let server = Server::start().await;
    for _ in 0..2 {
        let (client, ack) = server.try_connect(Hello::v31("old").kept()).await;
        assert_eq!((ack.present, ack.code), (false, 0));
        client.disconnect().await;
    }
}

#[tokio::test]
async fn mqtt_3_2_2_6_who_is_refused_has_no_session() {
    let server = Server::start().await;
    server.connect(Hello::v5("c").kept()).await.disconnect().await;
    let (mut client, ack) = server.try_connect(Hello::v5("c").kept().will("w/#", "x", 0, &[])).await;
    assert_eq!((ack.present, ack.code), (false, 0x90));
    assert_eq!(client.next().await, None);
    // And whose it was still has it.
    assert!(server.try_connect(Hello::v5("c").kept()).await.1.present);
}

#[tokio::test]
async fn mqtt_3_2_2_3_what_the_broker_takes_is_said_once() {
    let server = Server::with(|config| {
        config.limits.receive_max = 7;
        config.limits.packet_bytes_max = 2_048;
    })
    .await;
    let (_client, ack) = server.try_connect(Hello::v5("c")).await;
    assert!(says(&ack, &[0x21, 0, 7]), "Receive Maximum: {:?}", ack.properties);
    assert!(says(&ack, &[0x27, 0, 0, 8, 0]), "Maximum Packet Size: {:?}", ack.properties);
    assert!(says(&ack, &[0x22, 0, 32]), "Topic Alias Maximum: {:?}", ack.properties);
    // Everything else is at its default, and so not said: QoS 2, retained messages, wildcards, identifiers, shares.
    for id in [0x24, 0x25, 0x28, 0x29, 0x2A] {
        assert!(!says(&ack, &[id, 0]), "{id:x}: {:?}", ack.properties);
    }
    let (_client, ack) = server.try_connect(Hello::v311("c4")).await;
    assert!(ack.properties.is_empty());
}

#[tokio::test]
async fn mqtt_3_1_4_5_what_follows_connect_at_once_is_handled_after_connack() {
    let server = Server::start().await;
    let mut client = Client::open(server.address, 5).await;
    let subscribe = frame(0x82, &[&[0, 9, 0][..], &string("t"), &[0]].concat());
    let all = [Hello::v5("c").bytes(), subscribe, message("t", "x").bytes(5), vec![0xC0, 0]].concat();
    client.send(&all).await;
    assert_eq!(client.connack().await.code, 0);
    let mut firsts = Vec::new();
    for _ in 0..3 {
        firsts.push(client.frame().await.0);
    }
    assert_eq!(firsts[0], 0x90);
    firsts.sort_unstable();
    assert_eq!(firsts, [0x30, 0x90, 0xD0]);
}

#[tokio::test]
async fn mqtt_3_2_2_19_and_3_1_2_25_what_is_too_large_for_a_client_is_not_sent_and_acknowledged_all_the_same()
{
    let server = Server::start().await;
    let mut small = server.connect(Hello::v5("small").property(&[0x27, 0, 0, 0, 60])).await;
    small.subscribe(&[("t", 1)]).await;
    let mut publisher = server.client("p").await;
    for (id, length) in [(1, 100), (2, 10)] {
        publisher.publish(&message("t", &"x".repeat(length)).qos(1, id)).await;
        assert_eq!(publisher.acked(0x40, id).await, 0);
    }
    assert_eq!(small.payload().await.len(), 10);
}
