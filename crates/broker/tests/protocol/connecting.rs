//! CONNECT, CONNACK, DISCONNECT, keep-alive, wills.

use std::time::{Duration, Instant};

use event::EventKind;

use crate::raw::{Client, Hello, frame, message, string};
use crate::server::{Server, until};

#[tokio::test]
async fn every_version_is_served() {
    let server = Server::start().await;
    for hello in [Hello::v31("a"), Hello::v311("b"), Hello::v5("c")] {
        let mut client = server.connect(hello).await;
        assert!(client.subscribe(&[("t", 2)]).await == [2]);
        client.publish(&message("t", "x")).await;
        assert_eq!(client.payload().await, "x");
        client.disconnect().await;
    }
    let connected = server.rules.seen(EventKind::ClientConnected);
    let shown: Vec<_> =
        connected.iter().map(|seen| (&*seen.columns["proto_name"], &*seen.columns["proto_ver"])).collect();
    assert_eq!(shown, [("MQIsdp", "3"), ("MQTT", "4"), ("MQTT", "5")]);
    assert_eq!(connected[0].from, "$events/client/connected");
    until(|| server.rules.seen(EventKind::ClientDisconnected).len() == 3, "three have left").await;
    assert_eq!(server.rules.seen(EventKind::ClientDisconnected)[2].columns["reason"], "normal");
    until(|| server.broker.metrics().connections == 0, "nobody is connected").await;
    assert_eq!(server.broker.metrics().sessions, 0);
}

#[tokio::test]
async fn mqtt_3_1_0_1_the_first_packet_is_connect() {
    let server = Server::start().await;
    let mut client = Client::open(server.address, 4).await;
    client.send(&[0xC0, 0]).await;
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn mqtt_3_1_0_2_a_second_connect_is_a_protocol_error() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.send(&Hello::v5("a").bytes()).await;
    client.ended(0x82).await;
}

#[tokio::test]
async fn mqtt_3_1_2_2_other_versions_are_told() {
    let server = Server::start().await;
    let (_, ack) = server.try_connect(Hello { level: 6, ..Hello::v5("a") }).await;
    assert_eq!(ack.code, 0x84);
    let mut client = Client::open(server.address, 4).await;
    client.send(&Hello { level: 2, ..Hello::v311("a") }.bytes()).await;
    assert_eq!(client.connack().await.code, 1);
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn mqtt_3_1_2_3_reserved_flag_is_0() {
    let server = Server::start().await;
    let mut client = Client::open(server.address, 5).await;
    client.send(&Hello { flags: 3, ..Hello::v5("a") }.bytes()).await;
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn mqtt_3_1_3_8_of_311_an_empty_client_id_needs_a_clean_session() {
    let server = Server::start().await;
    let (_, ack) = server.try_connect(Hello::v311("").kept()).await;
    assert_eq!(ack.code, 2);
    let (_, ack) = server.try_connect(Hello::v311("")).await;
    assert_eq!(ack.code, 0);
}

#[tokio::test]
async fn mqtt_3_1_3_7_an_empty_client_id_is_replaced_and_told() {
    let server = Server::start().await;
    let (_one, ack) = server.try_connect(Hello::v5("")).await;
    assert!(ack.code == 0 && String::from_utf8_lossy(&ack.properties).contains("auto-"));
    let (_two, _) = server.try_connect(Hello::v5("").kept()).await;
    assert_eq!(server.broker.metrics().connections, 2);
}

#[tokio::test]
async fn mqtt_3_1_4_3_who_connects_again_takes_over() {
    let server = Server::start().await;
    let mut first = server.client("same").await;
    let mut second = server.connect(Hello::v5("same").kept()).await;
    first.ended(0x8E).await;
    let mut third = server.connect(Hello::v311("same")).await;
    second.ended(0x8E).await;
    third.ping().await;
    assert_eq!(server.broker.metrics().connections, 1);
    let left = server.rules.seen(EventKind::ClientDisconnected);
    let reasons: Vec<&str> = left.iter().map(|seen| &*seen.columns["reason"]).collect();
    assert_eq!(reasons, ["takenover", "discarded"]);
}

#[tokio::test]
async fn quick_reconnects_of_one_id_are_never_refused() {
    let server = Server::start().await;
    let mut last = None;
    for round in 0..2_000 {
        let hello = if round % 2 == 0 { Hello::v5("same") } else { Hello::v5("same").kept() };
        last = Some(server.connect(hello).await);
    }
    last.unwrap().ping().await;
    assert_eq!(server.broker.metrics().sessions, 1);
    let mut racing: Vec<_> = Vec::new();
    for _ in 0..20 {
        let mut client = Client::open(server.address, 5).await;
        client.send(&Hello::v5("same").bytes()).await;
        racing.push(client);
    }
    until(|| server.broker.metrics().connections == 1, "one has won").await;
}

#[tokio::test]
async fn mqtt_3_1_2_22_who_is_silent_for_one_and_a_half_keep_alives_is_gone() {
    let server = Server::start().await;
    let mut watcher = server.client("watcher").await;
    watcher.subscribe(&[("will", 0)]).await;
    let start = Instant::now();
    let mut client = server.connect(Hello::v5("a").keep_alive(1).will("will", "gone", 0, &[])).await;
    client.ended(0x8D).await;
    let took = start.elapsed();
    assert!(took > Duration::from_millis(1400) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(watcher.payload().await, "gone");
    assert_eq!(server.rules.seen(EventKind::ClientDisconnected)[0].columns["reason"], "keepalive_timeout");
}

#[tokio::test]
async fn mqtt_3_1_2_8_a_will_goes_out_when_the_connection_just_ends() {
    let server = Server::start().await;
    let mut watcher = server.client("watcher").await;
    watcher.subscribe(&[("will", 1)]).await;
    drop(server.connect(Hello::v5("a").will("will", "lost", 0x28, &[0x03, 0, 1, b'c'])).await);
    let will = watcher.message().await;
    assert_eq!((&*will.payload, will.qos, &will.properties[..]), ("lost", 1, &[0x03, 0, 1, b'c'][..]));
    // It was to be retained.
    let mut late = server.connect(Hello::v311("late")).await;
    late.subscribe(&[("will", 0)]).await;
    assert!(late.message().await.retain);
}

#[tokio::test]
async fn mqtt_3_14_4_3_a_will_is_forgotten_at_disconnect_but_for_code_4() {
    let server = Server::start().await;
    let mut watcher = server.client("watcher").await;
    watcher.subscribe(&[("will", 0)]).await;
    server.connect(Hello::v5("a").will("will", "unsaid", 0, &[])).await.disconnect().await;
    server.connect(Hello::v311("a").will("will", "unsaid", 0, &[])).await.disconnect().await;
    let mut client = server.connect(Hello::v5("a").will("will", "said", 0, &[])).await;
    client.send(&[0xE0, 1, 4]).await;
    assert_eq!(watcher.payload().await, "said");
}

#[tokio::test]
async fn mqtt_3_1_3_9_a_delayed_will_waits_for_the_client() {
    let server = Server::start().await;
    let mut watcher = server.client("watcher").await;
    watcher.subscribe(&[("will", 0)]).await;
    let delayed = |payload| Hello::v5("a").kept().will("will", payload, 0, &[0x18, 0, 0, 0, 1]);
    drop(server.connect(delayed("unsaid")).await);
    until(|| server.broker.metrics().connections == 1, "it has left").await;
    let back = server.connect(delayed("late")).await;
    drop(back);
    let start = Instant::now();
    assert_eq!(watcher.payload().await, "late");
    assert!(start.elapsed() > Duration::from_millis(900));
    // A session that ends takes its will along, delay or not.
    drop(server.connect(delayed("at once")).await);
    until(|| server.broker.metrics().connections == 1, "it has left").await;
    server.client("a").await.disconnect().await;
    assert_eq!(watcher.payload().await, "at once");
    watcher.silence().await;
}

#[tokio::test]
async fn a_will_with_wildcards_is_refused() {
    let server = Server::start().await;
    let (_, ack) = server.try_connect(Hello::v5("a").will("w/#", "x", 0, &[])).await;
    assert_eq!(ack.code, 0x90);
}

#[tokio::test]
async fn mqtt_3_2_2_15_packets_larger_than_allowed_end_the_connection() {
    let server = Server::with(|config| config.limits.packet_bytes_max = 2_000).await;
    let (mut client, ack) = server.try_connect(Hello::v5("a")).await;
    assert!(ack.properties.windows(5).any(|bytes| bytes == [0x27, 0, 0, 0x07, 0xD0]));
    client.publish(&message("t", &"x".repeat(1_900))).await;
    client.ping().await;
    // Known from the length alone, before the rest has come.
    client.send(&[0x30, 0x80, 0x80, 0x40, 0, 1, b't']).await;
    client.ended(0x95).await;
}

#[tokio::test]
async fn mqtt_3_12_4_1_pings_are_answered_and_nonsense_ends_the_connection() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.ping().await;
    client.send(&[0xF0, 0]).await;
    client.ended(0x82).await;
    let mut client = server.client("a").await;
    client.send(&[0x00, 0]).await;
    client.ended(0x81).await;
    let mut client = server.client("a").await;
    client.send(&frame(0x20, &[0, 0, 0])).await;
    client.ended(0x82).await;
}

#[tokio::test]
async fn mqtt_3_1_2_24_nobody_is_sent_more_than_it_takes() {
    let server = Server::start().await;
    let mut small = server.connect(Hello::v5("small").property(&[0x27, 0, 0, 0, 60])).await;
    small.subscribe(&[("t", 1)]).await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", &"x".repeat(100)).qos(1, 1)).await;
    assert_eq!(publisher.acked(0x40, 1).await, 0);
    publisher.publish(&message("t", "fits").qos(1, 2)).await;
    assert_eq!(small.payload().await, "fits");
    assert_eq!(server.broker.metrics().dropped_too_large, 1);
    assert_eq!(server.rules.seen(EventKind::DeliveryDropped)[0].columns["reason"], "too_large");
}

#[tokio::test]
async fn mqtt_3_14_2_2_a_session_cannot_be_prolonged_at_the_last_moment() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 9]).await;
    client.ended(0x82).await;
}

#[tokio::test]
async fn what_a_client_says_about_itself_is_told_to_the_rules() {
    let server = Server::start().await;
    let user = [&[0x26][..], &string("k"), &string("v")].concat();
    let hello = Hello::v5("a").property(&[0x21, 0, 20]).property(&user).keep_alive(60).login("ann", "secret");
    let _client = server.connect(hello).await;
    let columns = &server.rules.seen(EventKind::ClientConnected)[0].columns;
    assert_eq!(columns["clientid"], "a");
    assert_eq!(columns["username"], "ann");
    assert_eq!(columns["keepalive"], "60");
    assert_eq!(columns["receive_maximum"], "20");
    assert_eq!(columns["clean_start"], "true");
    assert_eq!(columns["node"], "node@test");
    assert!(columns["conn_props"].contains("Receive-Maximum:20") && columns["conn_props"].contains("{k:v}"));
    assert!(columns["peername"].starts_with("127.0.0.1:"));
    assert!(!format!("{columns:?}").contains("secret"));
}
