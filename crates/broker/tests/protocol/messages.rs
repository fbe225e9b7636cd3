//! PUBLISH in and out: quality of service, retained messages, properties.

use event::EventKind;

use crate::raw::{Hello, frame, message, string};
use crate::server::{Server, until};

#[tokio::test]
async fn mqtt_3_3_2_2_topics_have_no_wildcards_and_no_nul() {
    let server = Server::start().await;
    for topic in ["a/+", "#", "a\0b", ""] {
        let mut client = server.client("a").await;
        client.publish(&message(topic, "x")).await;
        client.ended(0x90).await;
        let mut client = server.connect(Hello::v311("a")).await;
        client.publish(&message(topic, "x")).await;
        client.ended(0).await;
    }
    assert!(server.rules.payloads().is_empty());
}

#[tokio::test]
async fn topics_that_are_not_utf_8_end_the_connection() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.send(&frame(0x30, &[0, 2, 0xC3, 0x28, 0])).await;
    client.ended(0x81).await;
}

#[tokio::test]
async fn mqtt_4_3_2_qos_1_is_acknowledged_and_delivered_at_the_lower_qos() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("zero", 0), ("one", 1), ("two", 2)]).await;
    let mut publisher = server.client("p").await;
    let qos = [("zero", 2, 0), ("one", 2, 1), ("two", 1, 1), ("two", 0, 0), ("two", 2, 2)];
    for (id, (topic, sent, expected)) in (1..).zip(qos) {
        publisher.publish(&message(topic, "x").qos(sent, id)).await;
        let got = subscriber.message().await;
        assert_eq!(got.qos, expected, "{topic} {sent}");
        match sent {
            1 => assert_eq!(publisher.acked(0x40, id).await, 0),
            2 => assert_eq!(publisher.acked(0x50, id).await, 0),
            _ => {}
        }
        match got.qos {
            1 => subscriber.ack(0x40, got.id).await,
            2 => {
                subscriber.ack(0x50, got.id).await;
                subscriber.acked(0x62, got.id).await;
                subscriber.ack(0x70, got.id).await;
            }
            _ => {}
        }
    }
    subscriber.ping().await;
    assert_eq!(server.rules.seen(EventKind::MessageDelivered).len(), 5);
    let acked = server.rules.seen(EventKind::MessageAcked);
    assert_eq!(acked.len(), 3);
    assert_eq!((&*acked[0].columns["from_clientid"], &*acked[0].columns["clientid"]), ("p", "s"));
}

#[tokio::test]
async fn mqtt_4_3_3_10_qos_2_is_published_once_however_often_it_comes() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("t", 0)]).await;
    let mut publisher = server.connect(Hello::v5("p").kept()).await;
    publisher.publish(&message("t", "once").qos(2, 7)).await;
    publisher.acked(0x50, 7).await;
    publisher.publish(&message("t", "once").qos(2, 7).again()).await;
    publisher.acked(0x50, 7).await;
    // Also when the connection breaks in between.
    drop(publisher);
    let (mut publisher, ack) = server.try_connect(Hello::v5("p").kept()).await;
    assert!(ack.present);
    publisher.publish(&message("t", "once").qos(2, 7).again()).await;
    publisher.acked(0x50, 7).await;
    publisher.ack(0x62, 7).await;
    assert_eq!(publisher.acked(0x70, 7).await, 0);
    // The id is free now: the same packet is another message.
    publisher.publish(&message("t", "twice").qos(2, 7)).await;
    publisher.acked(0x50, 7).await;
    publisher.ack(0x62, 8).await;
    assert_eq!(publisher.acked(0x70, 8).await, 0x92);
    assert_eq!(subscriber.payload().await, "once");
    assert_eq!(subscriber.payload().await, "twice");
    subscriber.silence().await;
    assert_eq!(server.rules.payloads(), ["once", "twice"]);
}

#[tokio::test]
async fn mqtt_4_6_0_6_messages_keep_their_order() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("t/#", 1)]).await;
    let mut publisher = server.client("p").await;
    let mut bytes = Vec::new();
    for number in 1..=900 {
        bytes.extend(message(&format!("t/{}", number % 3), &number.to_string()).qos(1, number).bytes(5));
    }
    publisher.send(&bytes).await;
    for number in 1..=900u16 {
        assert_eq!(publisher.acked(0x40, number).await, 0);
    }
    for number in 1..=900u16 {
        let got = subscriber.message().await;
        assert_eq!(got.payload, number.to_string());
        subscriber.ack(0x40, got.id).await;
    }
    subscriber.ping().await;
}

#[tokio::test]
async fn mqtt_3_3_4_9_no_more_are_under_way_than_the_client_takes() {
    let server = Server::start().await;
    let mut subscriber = server.connect(Hello::v5("s").property(&[0x21, 0, 2])).await;
    subscriber.subscribe(&[("t", 2)]).await;
    let mut publisher = server.client("p").await;
    for number in 1..=5 {
        publisher.publish(&message("t", &number.to_string()).qos(1, number)).await;
        publisher.acked(0x40, number).await;
    }
    let (one, two) = (subscriber.message().await, subscriber.message().await);
    subscriber.silence().await;
    // Out of order, and in whatever way they are acknowledged.
    subscriber.ack(0x40, two.id).await;
    assert_eq!(subscriber.payload().await, "3");
    subscriber.silence().await;
    subscriber.ack(0x40, one.id).await;
    assert_eq!(subscriber.payload().await, "4");
    subscriber.silence().await;
}

#[tokio::test]
async fn mqtt_3_3_4_7_who_sends_more_than_we_take_breaks_the_protocol() {
    let server = Server::with(|config| config.limits.receive_max = 3).await;
    server.rules.hold();
    let mut publisher = server.client("p").await;
    for id in 1..=3 {
        publisher.publish(&message("t", "x").qos(1, id)).await;
    }
    publisher.ping().await;
    publisher.publish(&message("t", "x").qos(1, 4)).await;
    publisher.ended(0x93).await;
}

#[tokio::test]
async fn mqtt_3_3_1_5_to_8_retained_messages_wait_for_subscribers_until_they_are_cleared() {
    let server = Server::start().await;
    let mut publisher = server.client("p").await;
    for (topic, payload) in
        [("a/b", "1"), ("a/b", "2"), ("a", "3"), ("a/c/d", "4"), ("ab", "5"), ("$x/y", "6")]
    {
        publisher.publish(&message(topic, payload).retained()).await;
    }
    publisher.ping().await;
    assert_eq!(server.broker.metrics().retained, 5);
    for (filter, expected) in [
        ("a/b", &["2"][..]),
        ("a/+", &["2"]),
        ("a/#", &["3", "2", "4"]),
        ("+", &["3", "5"]),
        ("#", &["3", "2", "4", "5"]),
        ("+/+/d", &["4"]),
        ("$x/#", &["6"]),
        ("nothing", &[]),
    ] {
        let mut subscriber = server.client("s").await;
        subscriber.subscribe(&[(filter, 1)]).await;
        for payload in expected {
            let got = subscriber.message().await;
            assert!(got.retain && got.payload == *payload, "{filter}: {got:?}");
        }
        subscriber.silence().await;
    }
    publisher.publish(&message("a/b", "").retained()).await;
    publisher.ping().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("a/b", 1)]).await;
    subscriber.silence().await;
    assert_eq!(server.broker.metrics().retained, 4);
}

#[tokio::test]
async fn retained_messages_are_bounded() {
    let server = Server::with(|config| config.retained_messages_max = 2).await;
    let mut publisher = server.client("p").await;
    for topic in ["a", "b", "c", "a"] {
        publisher.publish(&message(topic, "x").retained()).await;
    }
    publisher.ping().await;
    let metrics = server.broker.metrics();
    assert_eq!((metrics.retained, metrics.dropped_retained_full), (2, 1));
}

#[tokio::test]
async fn mqtt_3_3_1_12_and_13_live_copies_say_retain_only_where_asked() {
    let server = Server::start().await;
    let mut plain = server.client("plain").await;
    plain.subscribe(&[("t", 0)]).await;
    let mut asked = server.client("asked").await;
    asked.subscribe(&[("t", 0x08)]).await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", "x").retained()).await;
    assert!(!plain.message().await.retain);
    assert!(asked.message().await.retain);
}

#[tokio::test]
async fn mqtt_3_3_2_6_an_expiry_is_counted_down_and_kept() {
    let server = Server::start().await;
    drop({
        let mut gone = server.connect(Hello::v5("s").kept()).await;
        gone.subscribe(&[("t", 1)]).await;
        gone
    });
    until(|| server.broker.metrics().connections == 0, "it has left").await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", "short").qos(1, 1).property(&[0x02, 0, 0, 0, 1])).await;
    publisher.publish(&message("t", "long").qos(1, 2).property(&[0x02, 0, 0, 0, 99])).await;
    publisher.publish(&message("kept", "short").retained().property(&[0x02, 0, 0, 0, 1])).await;
    publisher.ping_after_acks(2).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let mut back = server.connect(Hello::v5("s").kept()).await;
    let got = back.message().await;
    assert_eq!(got.payload, "long");
    assert!(matches!(got.properties[..], [0x02, 0, 0, 0, 97 | 98]), "{got:?}");
    back.subscribe(&[("kept", 0)]).await;
    back.silence().await;
    assert_eq!(server.broker.metrics().dropped_expired, 1);
}

#[tokio::test]
async fn mqtt_3_3_2_4_and_15_to_18_properties_travel_unchanged_and_in_order() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("t", 0)]).await;
    let mut old = server.connect(Hello::v311("old")).await;
    old.subscribe(&[("t", 0)]).await;
    let user = |key, value| [&[0x26][..], &string(key), &string(value)].concat();
    let sent = [
        &[0x01, 1][..],
        &[&[0x03][..], &string("text/plain")].concat(),
        &[&[0x08][..], &string("reply/to")].concat(),
        &[&[0x09][..], &string("id-7")].concat(),
        &user("b", "1"),
        &user("a", "2"),
        &user("b", "3"),
    ]
    .concat();
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", "x").property(&sent)).await;
    assert_eq!(subscriber.message().await.properties, sent);
    assert_eq!(old.message().await, message("t", "x"));
    let props = &server.rules.seen(EventKind::MessagePublish)[0].columns["pub_props"];
    assert!(
        props.contains("Response-Topic:reply/to") && props.contains("User-Property:{b:3,a:2}"),
        "{props}"
    );
}

#[tokio::test]
async fn mqtt_3_3_2_8_to_12_topic_aliases_stand_for_topics() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("#", 0)]).await;
    let mut publisher = server.client("p").await;
    for (topic, alias) in [("one", 1), ("two", 2), ("", 1), ("three", 1), ("", 1), ("", 2)] {
        publisher.publish(&message(topic, "x").property(&[0x23, 0, alias])).await;
    }
    for expected in ["one", "two", "one", "three", "three", "two"] {
        let got = subscriber.message().await;
        assert_eq!((&*got.topic, got.properties.is_empty()), (expected, true));
    }
    for (topic, alias, code) in [("", 9, 0x82), ("a", 0, 0x94), ("a", 200, 0x94)] {
        let mut client = server.client("q").await;
        client.publish(&message(topic, "x").property(&[0x23, 0, alias])).await;
        client.ended(code).await;
    }
}

#[tokio::test]
async fn mqtt_3_3_4_6_clients_send_no_subscription_identifier() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.publish(&message("t", "x").property(&[0x0B, 1])).await;
    client.ended(0x82).await;
}

#[tokio::test]
async fn what_the_acl_denies_reaches_neither_sessions_nor_rules() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("$SYS/#", 0)]).await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("$SYS/x", "x").qos(1, 1)).await;
    assert_eq!(publisher.acked(0x40, 1).await, 0x87);
    publisher.publish(&message("$SYS/x", "x").qos(2, 2)).await;
    assert_eq!(publisher.acked(0x50, 2).await, 0x87);
    let mut old = server.connect(Hello::v311("old")).await;
    old.publish(&message("$SYS/x", "x").qos(1, 1)).await;
    old.acked(0x40, 1).await;
    subscriber.silence().await;
    assert!(server.rules.payloads().is_empty());
    assert_eq!(server.broker.metrics().dropped_not_authorized, 3);
}

#[tokio::test]
async fn messages_without_subscribers_are_counted_and_told() {
    let server = Server::start().await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("nowhere", "x")).await;
    publisher.ping().await;
    assert_eq!(server.broker.metrics().dropped_no_subscribers, 1);
    let dropped = &server.rules.seen(EventKind::MessageDropped)[0];
    assert_eq!((&*dropped.columns["topic"], &*dropped.columns["reason"]), ("nowhere", "no_subscribers"));
    assert_eq!(dropped.columns["id"], server.rules.seen(EventKind::MessagePublish)[0].columns["id"]);
}

impl crate::raw::Client {
    async fn ping_after_acks(&mut self, count: usize) {
        for _ in 0..count {
            self.frame().await;
        }
        self.ping().await;
    }
}
