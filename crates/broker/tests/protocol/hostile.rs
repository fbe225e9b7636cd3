//! Clients that mean no good.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::raw::{Client, Hello, frame, message};
use crate::server::{Server, until};

/// Packets with a plausible first byte and anything after it.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        Just(0x30u8),
        Just(0x32),
        Just(0x34),
        Just(0x3D),
        Just(0x40),
        Just(0x50),
        Just(0x62),
        Just(0x70),
        Just(0x82),
        Just(0xA2),
        Just(0xC0),
        Just(0xE0),
        any::<u8>()
    ];
    let body = proptest::collection::vec(prop_oneof![0u8..8, any::<u8>()], 0..40);
    proptest::collection::vec((first, body), 1..8)
        .prop_map(|packets| packets.iter().flat_map(|(first, body)| frame(*first, body)).collect())
}

#[tokio::test]
async fn any_bytes_end_a_connection_at_the_worst() {
    let server = Server::start().await;
    let mut runner = TestRunner::deterministic();
    for round in 0..400 {
        let bytes = packets().new_tree(&mut runner).unwrap().current();
        let level = [3, 4, 5][round % 3];
        let mut client = Client::open(server.address, level).await;
        if round % 8 > 0 {
            client.send(&Hello { level, ..Hello::v311("bad") }.bytes()).await;
        }
        client.try_send(&bytes).await;
    }
    until(|| server.broker.metrics().connections == 0, "all of them have left").await;
    let mut client = server.client("good").await;
    client.subscribe(&[("t", 1)]).await;
    client.publish(&message("t", "x")).await;
    assert_eq!(client.payload().await, "x");
}

#[tokio::test]
async fn a_client_that_asks_and_does_not_listen_is_not_read_any_more() {
    let server = Server::start().await;
    let mut client = server.client("deaf").await;
    let pings = [0xC0u8, 0].repeat(32 * 1024);
    let sending = tokio::spawn(async move {
        for _ in 0..4_000 {
            client.send(&pings).await;
        }
    });
    // 256 MB of pings: most of them must stay where they are.
    let mut read = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = server.broker.metrics().bytes_received;
        if now == read {
            break;
        }
        read = now;
    }
    assert!(read < 64 << 20, "{read}");
    sending.abort();
    server.client("other").await.ping().await;
}

#[tokio::test]
async fn a_flood_of_retained_messages_ends_at_its_bound() {
    let server = Server::with(|config| {
        config.retained_messages_max = 100;
        config.retained_bytes_max = 50_000;
    })
    .await;
    let mut client = server.client("flood").await;
    for number in 0..200 {
        client.publish(&message(&format!("few/{number}"), "x").retained()).await;
    }
    client.ping().await;
    let metrics = server.broker.metrics();
    assert_eq!((metrics.retained, metrics.dropped_retained_full), (100, 100));
    // What is there may still be replaced and cleared, within the bytes.
    client.publish(&message("few/1", &"x".repeat(40_000)).retained()).await;
    client.publish(&message("few/0", "").retained()).await;
    client.ping().await;
    assert_eq!(server.broker.metrics().retained, 98);
    // What has expired makes room.
    let brief = [0x02, 0, 0, 0, 0];
    client.publish(&message("few/0", "x").property(&brief).retained()).await;
    client.publish(&message("few/1", "x").property(&brief).retained()).await;
    client.ping().await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    client.publish(&message("new", "x").retained()).await;
    client.ping().await;
    assert_eq!(server.broker.metrics().retained, 99);
}

#[tokio::test]
async fn a_wildcard_over_very_many_retained_messages_loses_none_and_stalls_nobody() {
    const COUNT: usize = 6_000;
    let server = Server::with(|config| config.limits.session_messages_max = 500).await;
    let mut publisher = server.client("p").await;
    for number in 0..COUNT {
        publisher.publish(&message(&format!("many/{number}"), "x").retained()).await;
    }
    publisher.ping().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("many/+", 0)]).await;
    // It does not read, and others are served all the same.
    let mut other = server.client("o").await;
    other.subscribe(&[("live", 1)]).await;
    for id in 1..=100 {
        publisher.publish(&message("live", "x").qos(1, id)).await;
        assert_eq!(other.payload().await, "x");
        other.ping().await;
    }
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < COUNT {
        seen.insert(subscriber.message().await.topic);
    }
    assert_eq!(server.broker.metrics().dropped_queue_full, 0);
    subscriber.silence().await;
}

#[tokio::test]
async fn who_does_not_connect_in_time_is_let_go() {
    let server = Server::with(|config| config.limits.connect_timeout = Duration::from_millis(100)).await;
    let mut client = Client::open(server.address, 5).await;
    client.send(&[0x10]).await;
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_mistake_of_ours_ends_one_connection_in_order_and_no_session() {
    let server = Server::start().await;
    let mut other = server.client("other").await;
    let mut sender = server.connect(Hello::v5("sender").kept()).await;
    sender.subscribe(&[("back", 1)]).await;
    server.rules.breaks(true);
    sender.publish(&message("t", "x").qos(1, 1)).await;
    // Implementation specific error.
    sender.ended(0x83).await;
    server.rules.breaks(false);
    until(|| server.broker.metrics().connections == 1, "the connection is no longer counted").await;
    other.ping().await;
    other.publish(&message("back", "kept").qos(1, 1)).await;
    assert_eq!(other.acked(0x40, 1).await, 0);
    let (mut sender, ack) = server.try_connect(Hello::v5("sender").kept()).await;
    assert!(ack.present, "the session is still there");
    assert_eq!(sender.payload().await, "kept");
    sender.publish(&message("t", "x").qos(1, 2)).await;
    assert_eq!(sender.acked(0x40, 2).await & 0x80, 0, "and it goes on");
}

#[tokio::test]
async fn a_flood_to_many_lets_others_run_in_between() {
    const SESSIONS: usize = 200;
    const MESSAGES: u64 = 1000;
    let server = Server::start().await;
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let mut client = server.connect(Hello::v5(&format!("s{number}")).kept()).await;
        client.subscribe(&[("a", 0)]).await;
        sessions.push(client);
    }
    // The smallest PUBLISH there is, as many as one read brings.
    let flood = [0x30, 4, 0, 1, b'a', 0].repeat(MESSAGES as usize);
    let longest = longest_turn(&server, &flood, MESSAGES).await;
    let share = (wake::SHARE / SESSIONS) as u64 + 1;
    assert!(longest <= share, "{longest} messages to {SESSIONS} in one go, {share} are its share");
}

#[tokio::test]
async fn topics_that_are_dear_to_look_up_let_others_run_in_between() {
    const MESSAGES: u64 = 200;
    let server = Server::start().await;
    let mut client = server.client("c").await;
    // Every way to write ten levels of `a` with `+`, none of which goes on as the messages do.
    for first in 0..4u32 {
        let ways = (0..256u32).map(|way| {
            let level = |bit: u32| if (way | first << 8) & 1 << bit == 0 { "a/" } else { "+/" };
            (0..10).map(level).collect::<String>() + "z"
        });
        let ways: Vec<String> = ways.collect();
        let filters: Vec<(&str, u8)> = ways.iter().map(|way| (way.as_str(), 0)).collect();
        client.subscribe(&filters).await;
    }
    let publish = |n: u64| message(&format!("a/a/a/a/a/a/a/a/a/a/{n}"), "").bytes(5);
    let flood: Vec<u8> = (0..MESSAGES).flat_map(publish).collect();
    let longest = longest_turn(&server, &flood, MESSAGES).await;
    // The nodes that each of them leads to: 2, 4, … 1024, and the root.
    let share = (wake::SHARE / 2047) as u64 + 1;
    assert!(longest <= share, "{longest} messages in one go, {share} are its share");
}

/// Sends a flood whose client is gone before the last of it is looked at. How many of its messages were dealt with in one go
/// at the most.
async fn longest_turn(server: &Server, flood: &[u8], messages: u64) -> u64 {
    let mut sender = server.client("sender").await;
    let received = || server.broker.metrics().messages_received;
    sender.send(flood).await;
    sender.send(&[0xE0, 0]).await;
    // On one thread with the broker: what is new since the last look was done in one go.
    let (mut seen, mut longest) = (received(), 0);
    while seen < messages {
        tokio::task::yield_now().await;
        let now = received();
        longest = longest.max(now - seen);
        seen = now;
    }
    assert_eq!(seen, messages, "all that came before the end is dealt with");
    longest
}
