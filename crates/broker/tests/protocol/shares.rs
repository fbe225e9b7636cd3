//! Shared subscriptions (MQTT 5.0 §4.8.2).

use crate::raw::{Client, Hello, message};
use crate::server::{Server, until};

async fn member(server: &Server, id: &str) -> Client {
    let mut client = server.connect(Hello::v5(id).kept()).await;
    assert_eq!(client.subscribe(&[("$share/g/t", 2)]).await, [2]);
    client
}

async fn publish(publisher: &mut Client, id: u16, qos: u8) {
    publisher.publish(&message("t", &id.to_string()).qos(qos, id)).await;
    publisher.acked(if qos == 1 { 0x40 } else { 0x50 }, id).await;
}

/// DISCONNECT with a session expiry of 0: the session ends.
const END: [u8; 9] = [0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0];

#[tokio::test]
async fn mqtt_4_8_2_1_and_2_names_of_groups_are_checked() {
    let server = Server::start().await;
    let mut client = server.client("c").await;
    let filters = ["$share//t", "$share/g", "$share/g+/t", "$share/g#/t", "$share/g/"];
    for filter in filters {
        assert_eq!(client.subscribe(&[(filter, 1)]).await, [0x8F], "{filter}");
    }
}

#[tokio::test]
async fn mqtt_4_8_2_3_each_copy_has_the_qos_of_its_member() {
    let server = Server::start().await;
    let mut zero = server.client("zero").await;
    zero.subscribe(&[("$share/g/t", 0)]).await;
    let mut publisher = server.client("p").await;
    publish(&mut publisher, 1, 1).await;
    assert_eq!(zero.message().await.qos, 0);
}

#[tokio::test]
async fn mqtt_4_8_2_4_what_a_member_leaves_unacknowledged_goes_to_another() {
    let server = Server::start().await;
    let mut first = member(&server, "first").await;
    let mut publisher = server.client("p").await;
    for id in 1..=4 {
        publish(&mut publisher, id, 1).await;
    }
    let got = first.message().await;
    first.ack(0x40, got.id).await;
    let mut second = member(&server, "second").await;
    first.send(&END).await;
    let mut rest = Vec::new();
    for _ in 0..3 {
        rest.push(second.payload().await);
    }
    assert_eq!(rest, ["2", "3", "4"]);
    second.silence().await;
}

#[tokio::test]
async fn mqtt_4_8_2_5_a_message_of_qos_2_that_is_under_way_goes_to_nobody_else() {
    let server = Server::start().await;
    let mut first = server.connect(Hello::v5("first").kept().property(&[0x21, 0, 1])).await;
    first.subscribe(&[("$share/g/t", 2)]).await;
    let mut publisher = server.client("p").await;
    for id in 1..=2 {
        publish(&mut publisher, id, 2).await;
    }
    first.message().await;
    let mut second = member(&server, "second").await;
    first.send(&END).await;
    // The one that waited does, the one that was sent does not.
    assert_eq!(second.payload().await, "2");
    second.silence().await;
}

#[tokio::test]
async fn mqtt_4_8_2_a_member_that_comes_back_has_what_was_its_own() {
    let server = Server::start().await;
    let mut first = member(&server, "first").await;
    let _second = member(&server, "second").await;
    let mut publisher = server.client("p").await;
    for id in 1..=4 {
        publish(&mut publisher, id, 1).await;
    }
    let unacknowledged = first.payload().await;
    drop(first);
    until(|| server.broker.metrics().connections == 2, "it has left").await;
    let mut first = server.connect(Hello::v5("first").kept()).await;
    let again = first.message().await;
    assert_eq!((again.payload, again.dup), (unacknowledged, true));
}

#[tokio::test]
async fn mqtt_4_8_2_members_that_are_connected_come_first() {
    let server = Server::start().await;
    drop(member(&server, "away").await);
    until(|| server.broker.metrics().connections == 0, "it has left").await;
    let mut here = member(&server, "here").await;
    let mut publisher = server.client("p").await;
    for id in 1..=10 {
        publish(&mut publisher, id, 1).await;
        assert_eq!(here.payload().await, id.to_string());
    }
}

#[tokio::test]
async fn mqtt_3_3_1_9_shares_get_no_retained_messages() {
    let server = Server::start().await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", "kept").retained()).await;
    publisher.ping().await;
    let mut client = member(&server, "c").await;
    client.silence().await;
}

#[tokio::test]
async fn who_comes_back_takes_turns_again() {
    let server = Server::start().await;
    let (away, mut here) = (member(&server, "away").await, member(&server, "here").await);
    let mut publisher = server.client("p").await;
    away.disconnect().await;
    until(|| server.broker.metrics().connections == 2, "it has left").await;
    for id in 1..=4 {
        publish(&mut publisher, id, 1).await;
        assert_eq!(here.payload().await, id.to_string(), "all goes to who is there");
    }
    let mut back = server.connect(Hello::v5("away").kept()).await;
    for id in 5..=6 {
        publish(&mut publisher, id, 1).await;
    }
    let got = (back.payload().await, here.payload().await);
    assert!(got == ("5".into(), "6".into()) || got == ("6".into(), "5".into()), "{got:?}");
}
