//! Will messages (MQTT 5.0 §3.1.2.5, §3.1.3.2).

use crate::raw::{Client, Hello, message};
use crate::server::{Server, until};

async fn watcher(server: &Server) -> Client {
    let mut watcher = server.client("w").await;
    watcher.subscribe_with(&[("will/#", 2 | 8)], &[]).await;
    watcher
}

#[tokio::test]
async fn mqtt_3_1_2_14_and_15_a_will_is_retained_if_it_says_so() {
    let server = Server::start().await;
    let mut watcher = watcher(&server).await;
    for (retain, flag) in [(false, 0), (true, 0x20)] {
        drop(server.connect(Hello::v5("c").will("will/c", "bye", flag | 8, &[])).await);
        let got = watcher.message().await;
        assert_eq!((&*got.payload, got.qos, got.retain), ("bye", 1, retain));
        watcher.ack(0x40, got.id).await;
        assert_eq!(server.broker.metrics().retained, usize::from(retain));
    }
}

#[tokio::test]
async fn mqtt_3_1_3_2_a_will_carries_its_properties() {
    let server = Server::start().await;
    let mut watcher = watcher(&server).await;
    let travels = [
        &[0x01, 1][..],
        &[0x03, 0, 1, b'c'],
        &[0x08, 0, 1, b'r'],
        &[0x09, 0, 1, b'd'],
        &[0x26, 0, 1, b'k', 0, 1, b'v'],
    ]
    .concat();
    drop(server.connect(Hello::v5("c").will("will/c", "bye", 0, &travels)).await);
    assert_eq!(watcher.message().await.properties, travels);
}

#[tokio::test]
async fn mqtt_3_1_3_2_4_a_will_expires_like_any_message() {
    let server = Server::start().await;
    let mut away = server.connect(Hello::v5("away").kept()).await;
    away.subscribe(&[("will/#", 1)]).await;
    drop(away);
    until(|| server.broker.metrics().connections == 0, "it has left").await;
    drop(server.connect(Hello::v5("c").will("will/c", "bye", 8, &[0x02, 0, 0, 0, 1])).await);
    until(|| server.rules.payloads() == ["bye"], "the will is published").await;
    tokio::time::sleep(std::time::Duration::from_millis(2_050)).await;
    let mut away = server.connect(Hello::v5("away").kept()).await;
    away.silence().await;
    assert_eq!(server.broker.metrics().dropped_expired, 1);
}

#[tokio::test]
async fn mqtt_3_1_3_2_4_a_will_that_expires_at_once_is_for_nobody_who_is_away() {
    let server = Server::start().await;
    let mut away = server.connect(Hello::v5("away").kept()).await;
    away.subscribe(&[("will/#", 1)]).await;
    drop(away);
    until(|| server.broker.metrics().connections == 0, "it has left").await;
    drop(server.connect(Hello::v5("c").will("will/c", "bye", 8, &[0x02, 0, 0, 0, 0])).await);
    until(|| server.rules.payloads() == ["bye"], "the will is published").await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let mut away = server.connect(Hello::v5("away").kept()).await;
    away.silence().await;
    assert_eq!(server.broker.metrics().dropped_expired, 1);
}

#[tokio::test]
async fn mqtt_3_1_3_9_a_delayed_will_goes_out_when_the_session_ends() {
    let server = Server::start().await;
    let mut watcher = watcher(&server).await;
    let delayed = [0x18, 0, 0, 0xFF, 0xFF];
    drop(server.connect(Hello::v5("c").kept().will("will/c", "bye", 0, &delayed)).await);
    until(|| server.broker.metrics().connections == 1, "it has left").await;
    watcher.silence().await;
    // Clean Start ends the session.
    let _new = server.client("c").await;
    assert_eq!(watcher.payload().await, "bye");
    // A session that ends with its connection has nothing to wait for.
    drop(server.connect(Hello::v5("d").will("will/d", "at once", 0, &delayed)).await);
    assert_eq!(watcher.payload().await, "at once");
}

#[tokio::test]
async fn mqtt_3_1_2_8_who_is_taken_over_leaves_a_will() {
    let server = Server::start().await;
    let mut watcher = watcher(&server).await;
    let first = server.connect(Hello::v5("c").kept().will("will/c", "taken over", 0, &[])).await;
    let second = server.connect(Hello::v5("c").kept()).await;
    assert_eq!(watcher.payload().await, "taken over");
    drop((first, second));
}

#[tokio::test]
async fn mqtt_3_1_2_8_who_breaks_the_protocol_leaves_a_will() {
    let server = Server::start().await;
    let mut watcher = watcher(&server).await;
    let mut client = server.connect(Hello::v5("c").will("will/c", "broken", 0, &[])).await;
    client.send(&[0x00, 0]).await;
    assert_eq!(watcher.payload().await, "broken");
}

#[tokio::test]
async fn mqtt_3_14_4_3_of_311_a_will_is_forgotten_at_disconnect() {
    let server = Server::start().await;
    let mut watcher = watcher(&server).await;
    server.connect(Hello::v311("c").will("will/c", "never", 0, &[])).await.disconnect().await;
    watcher.publish(&message("will/x", "later")).await;
    assert_eq!(watcher.payload().await, "later");
}

#[tokio::test]
async fn wills_have_a_bound_for_all_of_them() {
    let server = Server::with(|config| config.will_bytes_max = 3000).await;
    let payload = "z".repeat(1000);
    let hello = |id: &str| Hello::v5(id).kept().will("w", &payload, 0, &[0x18, 0, 0, 1, 0]);
    let (first, second) = (server.connect(hello("1")).await, server.connect(hello("2")).await);
    let (_, ack) = server.try_connect(hello("3")).await;
    assert_eq!(ack.code, 0x97);
    let _other = server.connect(Hello::v5("without").kept()).await;
    let connacks = server.rules.seen(event::EventKind::ClientConnack);
    assert_eq!(connacks.last().map(|seen| seen.columns["reason_code"].clone()), Some("success".into()));
    assert_eq!(connacks[2].columns["reason_code"], "quota_exceeded");
    // One whose client has gone and left it for later takes its room on; one that will never be published gives it back.
    drop(first);
    until(|| server.broker.metrics().connections == 2, "it is gone").await;
    let (_, ack) = server.try_connect(hello("3")).await;
    assert_eq!(ack.code, 0x97);
    second.disconnect().await;
    until(|| server.broker.metrics().will_bytes < 1500, "given back").await;
    server.connect(hello("3")).await;
}
