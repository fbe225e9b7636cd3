//! The exchanges of packets that the qualities of service are made of (MQTT 5.0 §4.3, §4.4, §4.9).

use crate::raw::{Hello, frame, message};
use crate::server::Server;

#[tokio::test]
async fn mqtt_3_3_1_3_dup_of_a_copy_is_its_own() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("t", 2)]).await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", "x").qos(1, 1).again()).await;
    assert!(!subscriber.message().await.dup);
}

#[tokio::test]
async fn mqtt_4_3_1_1_qos_0_comes_without_packet_id() {
    let server = Server::start().await;
    for level in [3, 4, 5] {
        let mut client = server.connect(Hello { level, ..Hello::v311("c") }).await;
        client.subscribe(&[("t", 0)]).await;
        client.publish(&message("t", "x").qos(2, 5)).await;
        // In whichever order.
        let (first, second) = (client.frame().await, client.frame().await);
        let copy = if first.0 == 0x50 { second } else { first };
        assert_eq!(copy.0, 0x30);
        client.ack(0x62, 5).await;
        assert_eq!(client.acked(0x70, 5).await, 0);
    }
}

#[tokio::test]
async fn mqtt_4_3_2_3_what_acknowledges_nothing_is_ignored() {
    let server = Server::start().await;
    for level in [4, 5] {
        let mut client = server.connect(Hello { level, ..Hello::v311("c") }).await;
        client.ack(0x40, 77).await;
        client.ack(0x70, 77).await;
        client.ping().await;
    }
}

#[tokio::test]
async fn mqtt_3_6_2_1_a_packet_id_that_is_not_known_is_told() {
    let server = Server::start().await;
    let mut client = server.client("c").await;
    client.ack(0x62, 77).await;
    assert_eq!(client.acked(0x70, 77).await, 0x92);
    client.ack(0x50, 78).await;
    assert_eq!(client.acked(0x62, 78).await, 0x92);
}

#[tokio::test]
async fn mqtt_4_3_3_4_a_pubrec_that_refuses_ends_the_exchange() {
    let server = Server::start().await;
    // One at a time, so that what follows says whether the first is over.
    let mut subscriber = server.connect(Hello::v5("s").property(&[0x21, 0, 1])).await;
    subscriber.subscribe(&[("t", 2)]).await;
    let mut publisher = server.client("p").await;
    for id in [1, 2] {
        publisher.publish(&message("t", &id.to_string()).qos(2, id)).await;
        assert_eq!(publisher.acked(0x50, id).await, 0);
    }
    let first = subscriber.message().await;
    let id = first.id.to_be_bytes();
    subscriber.send(&[0x50, 3, id[0], id[1], 0x97]).await;
    let second = subscriber.message().await;
    assert_eq!((&*first.payload, &*second.payload), ("1", "2"));
}

#[tokio::test]
async fn mqtt_4_3_3_8_a_message_of_qos_2_is_not_sent_again_after_pubrec() {
    let server = Server::start().await;
    let mut subscriber = server.connect(Hello::v5("s").kept()).await;
    subscriber.subscribe(&[("t", 2)]).await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", "x").qos(2, 1)).await;
    let got = subscriber.message().await;
    subscriber.ack(0x50, got.id).await;
    subscriber.acked(0x62, got.id).await;
    drop(subscriber);
    let mut subscriber = server.connect(Hello::v5("s").kept()).await;
    assert_eq!(subscriber.acked(0x62, got.id).await, 0);
    subscriber.ack(0x70, got.id).await;
    subscriber.ping().await;
}

#[tokio::test]
async fn mqtt_4_4_0_1_nothing_is_sent_again_on_a_living_connection() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("t", 1)]).await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", "x").qos(1, 1)).await;
    subscriber.message().await;
    subscriber.ping().await;
    subscriber.silence().await;
}

#[tokio::test]
async fn mqtt_4_9_0_2_pings_and_qos_0_pass_a_full_window() {
    let server = Server::start().await;
    let mut subscriber = server.connect(Hello::v5("s").property(&[0x21, 0, 1])).await;
    subscriber.subscribe(&[("one", 1), ("zero", 0)]).await;
    let mut publisher = server.client("p").await;
    for id in [1, 2] {
        publisher.publish(&message("one", &id.to_string()).qos(1, id)).await;
        publisher.acked(0x40, id).await;
    }
    let first = subscriber.message().await;
    subscriber.ping().await;
    subscriber.silence().await;
    subscriber.ack(0x40, first.id).await;
    assert_eq!(subscriber.payload().await, "2");
}

#[tokio::test]
async fn mqtt_2_2_1_4_packet_ids_are_used_again_only_when_they_are_free() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("t", 1)]).await;
    let mut publisher = server.client("p").await;
    let mut held = None;
    for id in 1..=300 {
        publisher.publish(&message("t", "x").qos(1, id)).await;
        publisher.acked(0x40, id).await;
        let got = subscriber.message().await;
        assert_ne!(Some(got.id), held);
        match held {
            None => held = Some(got.id),
            Some(_) => subscriber.ack(0x40, got.id).await,
        }
    }
}

#[tokio::test]
async fn mqtt_3_4_2_1_user_properties_and_reasons_of_acknowledgements_are_taken() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("t", 1)]).await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", "x").qos(1, 1)).await;
    let id = subscriber.message().await.id.to_be_bytes();
    let said = [0x1F, 0, 2, b'o', b'k', 0x26, 0, 1, b'k', 0, 1, b'v'];
    let mut ack = vec![id[0], id[1], 0x10, said.len() as u8];
    ack.extend(said);
    subscriber.send(&frame(0x40, &ack)).await;
    subscriber.ping().await;
    let acked = &server.rules.seen(event::EventKind::MessageAcked)[0];
    assert_eq!(
        acked.columns["puback_props"],
        "{Reason-String:ok,User-Property:{k:v},User-Property-Pairs:[{key:k,value:v}]}"
    );
}
