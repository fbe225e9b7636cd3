//! What outlives the server.

use std::path::Path;
use std::time::Duration;

use event::EventKind;

use crate::raw::{Client, Hello, message};
use crate::server::{Server, until};

async fn start(dir: &Path) -> Server {
    Server::stored(dir, |_| {}).await
}

async fn gone(server: &Server, connections: usize) {
    until(|| server.broker.metrics().connections == connections, "it has left").await;
}

/// Publishes with QoS 1 and waits for the acknowledgement.
async fn publish(client: &mut Client, topic: &str, payload: &str, id: u16) {
    client.publish(&message(topic, payload).qos(1, id)).await;
    assert_eq!(client.acked(0x40, id).await, 0);
}

#[tokio::test]
async fn subscriptions_and_queued_messages_are_there_again() {
    let dir = tempfile::tempdir().unwrap();
    for hello in [Hello::v311("s"), Hello::v5("s")] {
        let server = start(dir.path()).await;
        let mut subscriber = server.connect(hello.clone().kept()).await;
        assert_eq!(subscriber.subscribe(&[("t/+", 1), ("u", 2)]).await, [1, 2]);
        drop(subscriber);
        gone(&server, 0).await;
        let mut publisher = server.client("p").await;
        for id in 1..=50 {
            publish(&mut publisher, "t/x", &id.to_string(), id).await;
        }
        drop(publisher);
        server.stop().await;

        let server = start(dir.path()).await;
        assert_eq!(server.broker.metrics().sessions, 1);
        let (mut subscriber, ack) = server.try_connect(hello.clone().kept()).await;
        assert!(ack.present);
        for id in 1..=50 {
            let got = subscriber.message().await;
            assert_eq!((got.payload, got.dup, got.qos), (id.to_string(), false, 1));
            subscriber.ack(0x40, got.id).await;
        }
        let mut publisher = server.client("p").await;
        publish(&mut publisher, "u", "new", 1).await;
        assert_eq!(subscriber.payload().await, "new");
        // Unacknowledged it stays, over one more restart; what was acknowledged does not.
        drop((subscriber, publisher));
        gone(&server, 0).await;
        server.stop().await;
        let server = start(dir.path()).await;
        let mut subscriber = server.connect(hello.clone().kept()).await;
        let got = subscriber.message().await;
        assert_eq!((&*got.payload, got.dup), ("new", true));
        subscriber.disconnect().await;
        // A clean session ends it for good.
        server.connect(Hello { flags: 2, ..hello.clone() }).await.disconnect().await;
        gone(&server, 0).await;
        server.stop().await;
        let server = start(dir.path()).await;
        assert_eq!(server.broker.metrics().sessions, 0);
        assert_eq!(server.broker.metrics().subscriptions, 0);
        server.stop().await;
    }
}

#[tokio::test]
async fn mqtt_4_4_0_1_packet_ids_of_what_is_under_way_are_the_same_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut subscriber = server.connect(Hello::v5("s").kept()).await;
    subscriber.subscribe(&[("t", 2)]).await;
    let mut publisher = server.client("p").await;
    for (id, qos) in [(1, 1), (2, 2), (3, 1), (4, 2)] {
        publisher.publish(&message("t", &id.to_string()).qos(qos, id)).await;
        publisher.frame().await;
    }
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(subscriber.message().await.id);
    }
    subscriber.ack(0x50, ids[1]).await;
    // PUBREL comes when it is stored that the message has arrived.
    subscriber.acked(0x62, ids[1]).await;
    subscriber.ack(0x40, ids[2]).await;
    subscriber.ping().await;
    drop((subscriber, publisher));
    gone(&server, 0).await;
    server.stop().await;

    let server = start(dir.path()).await;
    let mut subscriber = server.connect(Hello::v5("s").kept()).await;
    let first = subscriber.message().await;
    assert_eq!((&*first.payload, first.dup, first.id), ("1", true, ids[0]));
    subscriber.acked(0x62, ids[1]).await;
    let fourth = subscriber.message().await;
    assert_eq!((&*fourth.payload, fourth.dup, fourth.id), ("4", true, ids[3]));
    // New ones do not take the ids of those under way.
    let mut publisher = server.client("p").await;
    publish(&mut publisher, "t", "5", 1).await;
    let fifth = subscriber.message().await;
    assert!(!ids.contains(&fifth.id), "{ids:?} {}", fifth.id);
}

#[tokio::test]
async fn mqtt_4_3_3_10_a_packet_id_of_qos_2_is_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut subscriber = server.connect(Hello::v5("s").kept()).await;
    subscriber.subscribe(&[("t", 2)]).await;
    drop(subscriber);
    let mut publisher = server.connect(Hello::v5("p").kept()).await;
    publisher.publish(&message("t", "once").qos(2, 7)).await;
    assert_eq!(publisher.acked(0x50, 7).await, 0);
    drop(publisher);
    gone(&server, 0).await;
    server.stop().await;

    let server = start(dir.path()).await;
    let mut publisher = server.connect(Hello::v5("p").kept()).await;
    publisher.publish(&message("t", "once").qos(2, 7).again()).await;
    assert_eq!(publisher.acked(0x50, 7).await, 0);
    publisher.ack(0x62, 7).await;
    assert_eq!(publisher.acked(0x70, 7).await, 0);
    publisher.publish(&message("t", "twice").qos(2, 7)).await;
    assert_eq!(publisher.acked(0x50, 7).await, 0);
    assert_eq!(server.rules.payloads(), ["twice"]);
    let mut subscriber = server.connect(Hello::v5("s").kept()).await;
    assert_eq!(subscriber.payload().await, "once");
    assert_eq!(subscriber.payload().await, "twice");
}

#[tokio::test]
async fn rules_that_were_not_done_with_a_message_of_qos_2_judge_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.rules.hold();
    let mut subscriber = server.connect(Hello::v5("s").kept()).await;
    subscriber.subscribe(&[("t", 2)]).await;
    let mut publisher = server.connect(Hello::v5("p").kept()).await;
    publisher.publish(&message("t", "x").qos(2, 7)).await;
    assert_eq!(subscriber.payload().await, "x");
    drop((subscriber, publisher));
    gone(&server, 0).await;
    server.stop().await;

    let server = start(dir.path()).await;
    let mut publisher = server.connect(Hello::v5("p").kept()).await;
    publisher.publish(&message("t", "x").qos(2, 7).again()).await;
    assert_eq!(publisher.acked(0x50, 7).await, 0);
    assert_eq!(server.rules.payloads(), ["x"]);
    let mut subscriber = server.connect(Hello::v5("s").kept()).await;
    assert!(subscriber.message().await.dup);
    subscriber.silence().await;
}

#[tokio::test]
async fn retained_messages_are_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut publisher = server.client("p").await;
    let properties = [0x03, 0, 1, b'c', 0x26, 0, 1, b'k', 0, 1, b'v'];
    publisher.publish(&message("r/1", "one").retained().property(&properties).qos(1, 1)).await;
    publisher.acked(0x40, 1).await;
    publisher.publish(&message("r/2", "gone").retained()).await;
    publisher.publish(&message("r/3", "two").retained()).await;
    publisher.publish(&message("r/3", "three").retained().qos(1, 2)).await;
    publisher.acked(0x40, 2).await;
    publisher.publish(&message("r/2", "").retained()).await;
    publisher.publish(&message("r/4", "soon over").retained().property(&[0x02, 0, 0, 0, 1])).await;
    publisher.ping().await;
    server.stop().await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;

    let server = start(dir.path()).await;
    assert_eq!(server.broker.metrics().retained, 2);
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("r/#", 1)]).await;
    let got = subscriber.message().await;
    assert_eq!((&*got.payload, got.retain, got.properties), ("one", true, properties.to_vec()));
    assert_eq!(subscriber.payload().await, "three");
    subscriber.silence().await;
}

#[tokio::test]
async fn mqtt_3_1_2_23_sessions_expire_while_the_server_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let expiring = |id: &str, secs| Hello { flags: 0, ..Hello::v5(id).property(&[0x11, 0, 0, 0, secs]) };
    for (id, secs) in [("short", 1), ("long", 100)] {
        let mut client = server.connect(expiring(id, secs)).await;
        client.subscribe(&[("t", 1)]).await;
        client.disconnect().await;
    }
    gone(&server, 0).await;
    server.stop().await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let server = start(dir.path()).await;
    until(|| server.broker.metrics().sessions == 1, "the short one is over").await;
    let (_client, ack) = server.try_connect(expiring("long", 100)).await;
    assert!(ack.present);
    let (_client, ack) = server.try_connect(expiring("short", 1)).await;
    assert!(!ack.present);
}

#[tokio::test]
async fn mqtt_3_3_2_5_messages_expire_while_the_server_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut subscriber = server.connect(Hello::v5("s").kept()).await;
    subscriber.subscribe(&[("t", 1)]).await;
    drop(subscriber);
    gone(&server, 0).await;
    let mut publisher = server.client("p").await;
    for (id, secs) in [(1, 1), (2, 100)] {
        publisher.publish(&message("t", "x").property(&[0x02, 0, 0, 0, secs]).qos(1, id)).await;
        publisher.acked(0x40, id).await;
    }
    server.stop().await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let server = start(dir.path()).await;
    let mut subscriber = server.connect(Hello::v5("s").kept()).await;
    let got = subscriber.message().await;
    assert!(got.properties[4] < 100 && got.properties[4] > 90, "{got:?}");
    subscriber.silence().await;
    assert_eq!(server.rules.seen(EventKind::DeliveryDropped)[0].columns["reason"], "expired");
}

#[tokio::test]
async fn mqtt_3_1_2_8_wills_that_wait_go_out_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut watcher = server.connect(Hello::v5("w").kept()).await;
    watcher.subscribe(&[("will/#", 1)]).await;
    let delayed = [0x18, 0, 0, 0, 1];
    let with_will = |id: &str| Hello::v5(id).kept().will(&format!("will/{id}"), "bye", 8, &delayed);
    let left = server.connect(with_will("left")).await;
    drop(left);
    let _there = server.connect(with_will("there")).await;
    gone(&server, 2).await;
    server.stop().await;
    let server = start(dir.path()).await;
    let mut watcher = server.connect(Hello::v5("w").kept()).await;
    let mut topics = [watcher.message().await.topic, watcher.message().await.topic];
    topics.sort();
    assert_eq!(topics, ["will/left", "will/there"]);
    watcher.silence().await;
}

#[tokio::test]
async fn subscriptions_keep_their_options_and_shares_their_groups() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut client = server.connect(Hello::v5("s").kept()).await;
    // No Local and Retain As Published, with an identifier.
    client.subscribe_with(&[("t", 1 | 4 | 8)], &[0x0B, 42]).await;
    client.subscribe(&[("$share/g/shared", 1), ("away", 0)]).await;
    client.unsubscribe(&["away"]).await;
    drop(client);
    gone(&server, 0).await;
    server.stop().await;
    let server = start(dir.path()).await;
    assert_eq!(server.broker.metrics().subscriptions, 2);
    let mut client = server.connect(Hello::v5("s").kept()).await;
    publish(&mut client, "t", "own", 1).await;
    let mut other = server.client("o").await;
    other.publish(&message("t", "other").retained()).await;
    let got = client.message().await;
    assert_eq!((&*got.payload, got.retain, &got.properties[..]), ("other", true, &[0x0B, 42][..]));
    publish(&mut other, "shared", "x", 1).await;
    assert_eq!(client.payload().await, "x");
}

#[tokio::test]
async fn clean_sessions_and_qos_0_leave_nothing_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut kept = server.connect(Hello::v5("kept").kept()).await;
    kept.subscribe(&[("t", 1)]).await;
    let before = server.broker.metrics().store_bytes;
    let mut clean = server.client("clean").await;
    clean.subscribe(&[("t", 2), ("u", 2)]).await;
    clean.publish(&message("t", "x")).await;
    clean.message().await;
    let mut publisher = server.client("p").await;
    for id in 1..=20 {
        publish(&mut publisher, "u", "x", id).await;
        clean.message().await;
    }
    assert_eq!(kept.message().await.qos, 0);
    clean.disconnect().await;
    assert_eq!(server.broker.metrics().store_bytes, before);
}
