//! SUBSCRIBE, UNSUBSCRIBE, and what their options do.

use event::EventKind;

use crate::raw::{Hello, frame, message};
use crate::server::Server;

#[tokio::test]
async fn mqtt_3_8_4_6_every_filter_has_its_answer() {
    let server = Server::with(|config| config.limits.subscriptions_max = 4).await;
    let mut client = server.client("a").await;
    let filters =
        [("a/#", 0), ("a/#/b", 1), ("+/b", 2), ("$share/g/t", 1), ("$share/g", 0), ("x+", 0), ("", 0)];
    assert_eq!(client.subscribe(&filters).await, [0, 0x8F, 2, 1, 0x8F, 0x8F, 0x8F]);
    assert_eq!(client.subscribe(&[("c", 0), ("d", 0)]).await, [0, 0x97]);
    assert_eq!(server.broker.metrics().subscriptions, 4);
    let mut old = server.connect(Hello::v311("b")).await;
    assert_eq!(old.subscribe(&[("a", 1), ("#/", 1)]).await, [1, 0x80]);
    let seen = server.rules.seen(EventKind::SessionSubscribed);
    assert_eq!(seen[2].columns["topic"], "$share/g/t");
}

#[tokio::test]
async fn mqtt_3_8_3_2_and_5_malformed_subscribes_end_the_connection() {
    let server = Server::start().await;
    for body in
        [&[0, 1, 0][..], &[0, 1, 0, 0, 1, b'a', 0xC0], &[0, 1, 0, 0, 1, b'a', 3], &[0, 0, 0, 0, 1, b'a', 0]]
    {
        let mut client = server.client("a").await;
        client.send(&frame(0x82, body)).await;
        assert_eq!(client.frame().await.0, 0xE0, "{body:?}");
    }
    let mut client = server.client("a").await;
    client.send(&frame(0x80, &[0, 1, 0, 0, 1, b'a', 0])).await;
    client.ended(0x81).await;
}

#[tokio::test]
async fn mqtt_3_8_4_3_the_same_filter_again_changes_the_options() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.subscribe(&[("t", 0)]).await;
    client.subscribe(&[("t", 1)]).await;
    client.publish(&message("t", "x")).await;
    client.publish(&message("t", "y").qos(1, 1)).await;
    assert_eq!(client.payload().await, "x");
    let mut frames = [client.frame().await.0, client.frame().await.0];
    frames.sort_unstable();
    assert_eq!(frames, [0x32, 0x40]);
    assert_eq!(server.broker.metrics().subscriptions, 1);
}

#[tokio::test]
async fn mqtt_3_10_4_1_and_3_11_3_nothing_comes_after_unsuback() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.subscribe(&[("t", 0), ("u", 0)]).await;
    assert_eq!(client.unsubscribe(&["t", "other"]).await, [0, 0x11]);
    client.publish(&message("t", "x")).await;
    client.publish(&message("u", "y")).await;
    assert_eq!(client.payload().await, "y");
    assert_eq!(server.broker.metrics().subscriptions, 1);
    assert_eq!(server.rules.seen(EventKind::SessionUnsubscribed)[0].columns["topic"], "t");
    client.disconnect().await;
    crate::server::until(|| server.broker.metrics().subscriptions == 0, "the rest is gone too").await;
}

#[tokio::test]
async fn mqtt_3_8_3_3_no_local_keeps_ones_own_messages_away() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.subscribe(&[("t", 0x04), ("+", 0x04)]).await;
    let mut other = server.client("b").await;
    client.publish(&message("t", "own")).await;
    client.ping().await;
    other.publish(&message("t", "other")).await;
    assert_eq!(client.payload().await, "other");
}

#[tokio::test]
async fn mqtt_3_8_3_4_no_local_and_shared_do_not_go_together() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.send(&frame(0x82, &[&[0, 1, 0, 0, 10][..], b"$share/g/t", &[4]].concat())).await;
    client.ended(0x82).await;
}

#[tokio::test]
async fn mqtt_3_3_1_9_to_11_retain_handling_says_when_retained_messages_come() {
    let server = Server::start().await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", "kept").retained()).await;
    publisher.ping().await;
    let mut client = server.client("a").await;
    client.subscribe(&[("t", 0x20)]).await;
    client.silence().await;
    client.subscribe(&[("t", 0x10)]).await;
    client.silence().await;
    client.subscribe(&[("t", 0x00)]).await;
    assert_eq!(client.payload().await, "kept");
    client.unsubscribe(&["t"]).await;
    client.subscribe(&[("t", 0x10)]).await;
    assert_eq!(client.payload().await, "kept");
    client.subscribe(&[("$share/g/t", 0x00)]).await;
    client.silence().await;
}

#[tokio::test]
async fn mqtt_3_3_4_2_to_4_overlapping_filters_give_one_copy_with_all_identifiers() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.subscribe_with(&[("t/#", 0)], &[0x0B, 1]).await;
    client.subscribe_with(&[("t/+", 1)], &[0x0B, 0x80, 2]).await;
    client.subscribe(&[("t/x", 0)]).await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t/x", "x").qos(2, 1)).await;
    let got = client.message().await;
    assert_eq!(got.qos, 1);
    assert!(
        [&[0x0B, 1, 0x0B, 0x80, 2][..], &[0x0B, 0x80, 2, 0x0B, 1]].contains(&&*got.properties),
        "{got:?}"
    );
    client.silence().await;
}

#[tokio::test]
async fn mqtt_4_7_2_1_wildcards_do_not_match_topics_of_the_server() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.subscribe(&[("#", 0), ("+/x", 0), ("$own/#", 0)]).await;
    client.publish(&message("$own/x", "by name")).await;
    client.publish(&message("$other/x", "not at all")).await;
    client.publish(&message("a/x", "end")).await;
    assert_eq!(client.payload().await, "by name");
    assert_eq!(client.payload().await, "end");
}

#[tokio::test]
async fn mqtt_4_8_2_shared_subscriptions_take_turns() {
    let server = Server::start().await;
    let mut members = [server.client("a").await, server.client("b").await];
    for member in &mut members {
        member.subscribe(&[("$share/g/t/#", 1)]).await;
    }
    let mut queue = server.client("q").await;
    queue.subscribe(&[("$queue/t/+", 0)]).await;
    let mut plain = server.client("plain").await;
    plain.subscribe(&[("t/x", 0)]).await;
    let mut publisher = server.client("p").await;
    for number in 0..6 {
        publisher.publish(&message("t/x", &number.to_string())).await;
    }
    let mut got = Vec::new();
    for member in &mut members {
        for _ in 0..3 {
            got.push(member.payload().await);
        }
    }
    got.sort();
    assert_eq!(got, ["0", "1", "2", "3", "4", "5"]);
    for number in 0..6 {
        assert_eq!(plain.payload().await, number.to_string());
        assert_eq!(queue.payload().await, number.to_string());
    }
    // Who leaves is left out.
    let [first, mut second] = members;
    first.disconnect().await;
    crate::server::until(|| server.broker.metrics().connections == 4, "one has left").await;
    publisher.publish(&message("t/x", "6")).await;
    publisher.publish(&message("t/x", "7")).await;
    assert_eq!((second.payload().await, second.payload().await), ("6".into(), "7".into()));
}

#[tokio::test]
async fn who_subscribes_a_hundred_times_at_once_gets_what_is_retained_once() {
    let server = Server::start().await;
    let mut client = server.client("c").await;
    for topic in ["r/1", "r/2"] {
        client.publish(&message(topic, topic).retained()).await;
    }
    client.ping().await;
    assert_eq!(client.subscribe(&[("r/#", 0); 100]).await, [0; 100]);
    assert_eq!((client.payload().await, client.payload().await), ("r/1".to_owned(), "r/2".to_owned()));
    client.silence().await;
    assert_eq!(client.subscribe(&[("r/#", 0)]).await, [0]);
    assert_eq!(client.payload().await, "r/1", "and again when it subscribes again");
}

#[tokio::test]
async fn of_one_packet_no_more_filters_are_looked_at_than_a_client_may_have() {
    let server = Server::with(|config| config.limits.subscriptions_max = 3).await;
    let mut client = server.client("c").await;
    let status = client.subscribe(&[("a", 0), ("a", 1), ("a", 0), ("a", 0), ("b", 0)]).await;
    assert_eq!(status, [0, 1, 0, 0x97, 0x97]);
    assert_eq!(client.subscribe(&[("b", 0), ("c", 0), ("d", 0)]).await, [0, 0, 0x97]);
    assert_eq!(server.rules.seen(event::EventKind::ClientCheckAuthzComplete).len(), 5);
}

#[tokio::test]
async fn filters_are_bounded_in_bytes_for_a_client_and_for_all() {
    // Room for two filters of one level and about a hundred bytes each, and for three in all.
    let server = Server::with(|config| {
        config.limits.subscription_bytes_max = 400;
        config.subscription_bytes_max = 600;
    })
    .await;
    let filter = |letter: &str| letter.repeat(100);
    let (a, b, c) = (filter("a"), filter("b"), filter("c"));
    let mut one = server.connect(Hello::v5("one").kept()).await;
    assert_eq!(one.subscribe(&[(&a, 0), (&b, 1), (&c, 0), (&a, 1)]).await, [0, 1, 0x97, 1]);
    let levels = "/".repeat(50);
    let mut two = server.client("two").await;
    assert_eq!(two.subscribe(&[(&levels, 0), ("x", 0)]).await, [0x97, 0], "what has many levels costs more");
    assert_eq!(two.subscribe(&[(&a, 0), (&b, 0)]).await, [0, 0x97], "that is all there is, for all of them");
    assert_eq!(one.unsubscribe(&[&b]).await, [0]);
    assert_eq!(two.subscribe(&[(&b, 0)]).await, [0]);
    let metrics = server.broker.metrics();
    assert_eq!((metrics.subscription_bytes, metrics.subscriptions_refused), (65 + 3 * 164, 3));
    // A session gives back what it had.
    two.disconnect().await;
    crate::server::until(|| server.broker.metrics().subscription_bytes == 164, "given back").await;
    let mut old = server.connect(Hello::v311("old")).await;
    assert_eq!(old.subscribe(&[(&levels, 0)]).await, [0x80], "3.1.1 has no reason");
}
