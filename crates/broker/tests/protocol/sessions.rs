//! What outlives a connection, and what bounds it.

use crate::raw::{Client, Hello, Message, message, string};
use crate::server::{Server, until};

async fn gone(server: &Server, connections: usize) {
    until(|| server.broker.metrics().connections == connections, "it has left").await;
}

#[tokio::test]
async fn mqtt_3_1_2_4_to_6_sessions_are_kept_or_begun_anew_as_asked() {
    let server = Server::start().await;
    for hello in [Hello::v311("a"), Hello::v5("a")] {
        let (mut client, ack) = server.try_connect(hello.clone().kept()).await;
        assert!(!ack.present);
        client.subscribe(&[("t", 1)]).await;
        drop(client);
        gone(&server, 0).await;
        let (mut client, ack) = server.try_connect(hello.clone().kept()).await;
        assert!(ack.present);
        client.publish(&message("t", "still subscribed")).await;
        assert_eq!(client.payload().await, "still subscribed");
        client.disconnect().await;
        let (mut client, ack) = server.try_connect(hello.clone()).await;
        assert!(!ack.present);
        client.publish(&message("t", "no longer")).await;
        client.ping().await;
        client.disconnect().await;
        gone(&server, 0).await;
        assert_eq!(server.broker.metrics().sessions, 0);
    }
}

#[tokio::test]
async fn mqtt_3_1_2_23_a_session_ends_when_its_expiry_has_passed() {
    let server = Server::start().await;
    let expiring = || Hello { flags: 0, ..Hello::v5("a").property(&[0x11, 0, 0, 0, 1]) };
    let mut client = server.connect(expiring()).await;
    client.subscribe(&[("t", 1)]).await;
    drop(client);
    gone(&server, 0).await;
    assert_eq!(server.broker.metrics().sessions, 1);
    until(|| server.broker.metrics().sessions == 0, "it has expired").await;
    assert_eq!(server.broker.metrics().subscriptions, 0);
    // Zero at DISCONNECT ends it at once.
    let mut client = server.connect(expiring()).await;
    client.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0]).await;
    gone(&server, 0).await;
    assert_eq!(server.broker.metrics().sessions, 0);
}

#[tokio::test]
async fn what_the_broker_grants_it_says() {
    let server = Server::with(|config| config.session_expiry_max = std::time::Duration::from_secs(100)).await;
    let (_client, ack) = server.try_connect(Hello::v5("a").kept()).await;
    assert!(ack.properties.windows(5).any(|bytes| bytes == [0x11, 0, 0, 0, 100]), "{:?}", ack.properties);
}

#[tokio::test]
async fn mqtt_4_4_0_1_what_was_not_acknowledged_comes_again_in_order() {
    let server = Server::start().await;
    for hello in [Hello::v311("s"), Hello::v5("s")] {
        let mut subscriber = server.connect(hello.clone().kept()).await;
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
        subscriber.acked(0x62, ids[1]).await;
        subscriber.ack(0x40, ids[2]).await;
        subscriber.ping().await;
        drop(subscriber);
        publisher.publish(&message("t", "while away")).await;
        publisher.ping().await;
        let (mut subscriber, ack) = server.try_connect(hello.clone().kept()).await;
        assert!(ack.present);
        let first = subscriber.message().await;
        assert_eq!((&*first.payload, first.dup, first.id), ("1", true, ids[0]));
        subscriber.acked(0x62, ids[1]).await;
        let fourth = subscriber.message().await;
        assert_eq!((&*fourth.payload, fourth.dup, fourth.id), ("4", true, ids[3]));
        assert_eq!(subscriber.payload().await, "while away");
        subscriber.ack(0x70, ids[1]).await;
        subscriber.ack(0x40, ids[0]).await;
        subscriber.ack(0x50, ids[3]).await;
        subscriber.acked(0x62, ids[3]).await;
        subscriber.ack(0x70, ids[3]).await;
        subscriber.ping().await;
        subscriber.disconnect().await;
        let mut subscriber = server.connect(hello.clone().kept()).await;
        subscriber.silence().await;
        drop(subscriber);
        gone(&server, 1).await;
        server.connect(hello.clone()).await.disconnect().await;
    }
}

#[tokio::test]
async fn a_session_that_is_taken_over_loses_nothing() {
    let server = Server::start().await;
    let mut old = server.connect(Hello::v5("s").kept()).await;
    old.subscribe(&[("t", 1)]).await;
    let mut publisher = server.client("p").await;
    let mut got = Vec::new();
    let mut id = 0;
    for round in 0..10 {
        for _ in 0..20 {
            id += 1;
            publisher.publish(&message("t", &id.to_string()).qos(1, id)).await;
            publisher.acked(0x40, id).await;
        }
        let mut next = server.connect(Hello::v5("s").kept()).await;
        // Take some, leave some unacknowledged.
        for number in 0..15 {
            let message = next.message().await;
            if number < 10 + round {
                next.ack(0x40, message.id).await;
                got.push(message.payload.parse::<u16>().unwrap());
            }
        }
        next.ping_through().await;
        old = next;
    }
    drop(old);
    let mut last = server.connect(Hello::v5("s").kept()).await;
    loop {
        let (first, body) = last.frame().await;
        assert_eq!(first & 0xF0, 0x30);
        let number: u16 = String::from_utf8_lossy(&body[6..]).parse().unwrap();
        got.push(number);
        let id = u16::from_be_bytes([body[3], body[4]]);
        last.ack(0x40, id).await;
        if number == 200 {
            break;
        }
    }
    got.dedup();
    assert_eq!(got, (1..=200).collect::<Vec<_>>());
}

impl crate::raw::Client {
    /// A ping whose answer may stand behind messages that are passed over.
    async fn ping_through(&mut self) {
        self.send(&[0xC0, 0]).await;
        while self.frame().await.0 != 0xD0 {}
    }
}

#[tokio::test]
async fn a_queue_of_a_client_that_is_away_is_bounded_and_gives_up_the_oldest() {
    let server = Server::with(|config| config.limits.session_messages_max = 10).await;
    let mut away = server.connect(Hello::v5("s").kept()).await;
    away.subscribe(&[("t", 1)]).await;
    drop(away);
    gone(&server, 0).await;
    let mut publisher = server.client("p").await;
    for id in 1..=25 {
        publisher.publish(&message("t", &id.to_string()).qos(1, id)).await;
        assert_eq!(publisher.acked(0x40, id).await, 0);
    }
    assert_eq!(server.broker.metrics().dropped_queue_full, 15);
    let mut back = server.connect(Hello::v5("s").kept()).await;
    for number in 16..=25 {
        assert_eq!(back.payload().await, number.to_string());
    }
}

#[tokio::test]
async fn a_subscriber_that_never_reads_costs_its_bound_and_nobody_else_anything() {
    let server = Server::with(|config| config.limits.session_bytes_max = 1 << 20).await;
    let mut stuck = server.client("stuck").await;
    stuck.subscribe(&[("t", 0)]).await;
    let mut fine = server.client("fine").await;
    fine.subscribe(&[("t", 0)]).await;
    let mut publisher = server.client("p").await;
    let payload = "x".repeat(20_000);
    for _ in 0..1_000 {
        publisher.publish(&message("t", &payload)).await;
        assert_eq!(fine.payload().await.len(), payload.len());
    }
    // 20 MB for one that takes nothing: its queue, its output and two socket buffers hold only part of them.
    let metrics = server.broker.metrics();
    assert!(metrics.dropped_queue_full > 300, "{metrics:?}");
    // It is not given up: what it missed is gone, the rest comes when it reads.
    for _ in 0..10 {
        assert_eq!(stuck.payload().await.len(), payload.len());
    }
}

#[tokio::test]
async fn properties_count_for_what_a_session_may_queue() {
    let server = Server::with(|config| config.limits.session_bytes_max = 10_000).await;
    let mut away = server.connect(Hello::v5("away").kept()).await;
    away.subscribe(&[("t", 1)]).await;
    drop(away);
    until(|| server.broker.metrics().connections == 0, "it has left").await;
    let mut publisher = server.client("p").await;
    // Two user properties of a kilobyte each.
    let user = [&[0x26][..], &string(&"k".repeat(1_000)), &string("v")].concat();
    for id in 1..=20 {
        let message = Message { properties: user.repeat(2), ..message("t", "x").qos(1, id) };
        publisher.publish(&message).await;
        publisher.acked(0x40, id).await;
    }
    let dropped = server.broker.metrics().dropped_queue_full;
    assert!((15..20).contains(&dropped), "{dropped} of 20");
}

#[tokio::test]
async fn no_more_sessions_are_kept_than_there_is_room_for() {
    let server = Server::with(|config| config.sessions_max = 2).await;
    for id in ["1", "2"] {
        drop(server.connect(Hello::v5(id).kept()).await);
    }
    gone(&server, 0).await;
    let (_, ack) = server.try_connect(Hello::v5("3").kept()).await;
    assert_eq!(ack.code, 0x97);
    let (_, ack) = server.try_connect(Hello::v311("3").kept()).await;
    assert_eq!(ack.code, 3);
    let (_back, ack) = server.try_connect(Hello::v5("1").kept()).await;
    assert!(ack.code == 0 && ack.present);
    server.client("3").await.ping().await;
    assert_eq!(server.broker.listener_metrics()[0].refused[0], 2, "for want of room");
}

/// Messages of QoS 1, 16 KB each, for so many sessions that are away, one after the other.
async fn fill(publisher: &mut Client, sessions: std::ops::Range<u16>, rounds: u16) {
    for round in 1..=rounds {
        for number in sessions.clone() {
            let payload = format!("{round:016384}");
            publisher.publish(&message(&format!("q/{number}"), &payload).qos(1, 1)).await;
            assert_eq!(publisher.acked(0x40, 1).await, 0);
        }
    }
}

#[tokio::test]
async fn all_queues_together_are_bounded_and_whoever_has_little_loses_nothing() {
    const MAX: usize = 4 << 20;
    let server = Server::with(|config| config.queued_bytes_max = MAX).await;
    let sessions = 0..20;
    for number in sessions.clone() {
        let mut away = server.connect(Hello::v5(&number.to_string()).kept()).await;
        away.subscribe(&[(&format!("q/{number}"), 1)]).await;
    }
    gone(&server, 0).await;
    let mut publisher = server.client("p").await;
    let full = || server.broker.metrics().is_crowded;
    fill(&mut publisher, sessions.clone(), 8).await;
    assert!(!full(), "{:?}", server.broker.metrics());
    assert_eq!(server.broker.metrics().dropped_queue_full, 0);
    fill(&mut publisher, sessions.clone(), 24).await;
    let metrics = server.broker.metrics();
    assert!(metrics.dropped_queue_full > 200, "{metrics:?}");
    assert!(metrics.queued_bytes < MAX + MAX / 4, "{metrics:?}");
    // Of QoS 0 none is taken by who has his part already, and all are by who has not.
    let mut reader = server.client("reader").await;
    reader.subscribe(&[("q/+", 0), ("live", 1)]).await;
    fill(&mut publisher, 0..1, 1).await;
    assert_eq!(reader.payload().await.len(), 16384);
    for id in 1..=50 {
        publisher.publish(&message("live", &id.to_string()).qos(1, id)).await;
        assert_eq!(reader.payload().await, id.to_string());
    }
    // The latest are those that are left, and with them goes what they took.
    for number in sessions {
        server.client(&number.to_string()).await.ping().await;
    }
    until(|| server.broker.metrics().queued_bytes < MAX / 8, "all is given back").await;
    assert!(!full());
}
