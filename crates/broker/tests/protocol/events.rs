//! Every event of a broker, with every column that the reference gives it.

use std::collections::BTreeSet;

use event::EventKind;

use crate::raw::{Client, Hello, frame, message, string};
use crate::rules::Seen;
use crate::server::{Server, until};

/// The one event of this kind.
fn only(server: &Server, kind: EventKind) -> Seen {
    let seen = server.rules.seen(kind);
    assert_eq!(seen.len(), 1, "{seen:#?}");
    seen[0].clone()
}

/// It has every column of its declaration but those `without`.
fn whole(seen: &Seen, without: &[&str]) {
    let spec = seen.kind.spec();
    let declared =
        spec.columns.iter().map(|(column, _)| column).chain(spec.unfilled).map(|column| column.name());
    let missing: BTreeSet<&str> = declared.filter(|name| !seen.columns.contains_key(name)).collect();
    assert_eq!(missing, without.iter().copied().collect(), "{seen:#?}");
    assert!(spec.from.contains(&&*seen.from), "{seen:#?}");
}

fn is(seen: &Seen, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(seen.columns.get(name).map(String::as_str), Some(*value), "{name} of {seen:#?}");
    }
}

const USER: [u8; 7] = [0x26, 0, 1, b'k', 0, 1, b'v'];
const USER_SHOWN: &str = "User-Property:{k:v},User-Property-Pairs:[{key:k,value:v}]";

fn named(id: &str) -> Hello {
    Hello::v5(id).login("user", "secret").keep_alive(60)
}

async fn publish(client: &mut Client, topic: &str, id: u16) {
    client.publish(&message(topic, "hello").property(&USER).qos(1, id)).await;
    client.acked(0x40, id).await;
}

#[tokio::test]
async fn client_connected_and_disconnected() {
    let server = Server::start().await;
    let properties = [&[0x11, 0, 0, 0, 9, 0x21, 0, 5, 0x27, 0, 1, 0, 0, 0x22, 0, 3][..], &USER].concat();
    let mut client = server.connect(named("c").property(&properties)).await;
    client.ping().await;
    let connected = only(&server, EventKind::ClientConnected);
    whole(&connected, &["mountpoint"]);
    is(
        &connected,
        &[
            ("event", "client.connected"),
            ("clientid", "c"),
            ("username", "user"),
            ("proto_name", "MQTT"),
            ("proto_ver", "5"),
            ("keepalive", "60"),
            ("clean_start", "true"),
            ("receive_maximum", "5"),
            ("expiry_interval", "9"),
            ("is_bridge", "false"),
            ("node", "node@test"),
        ],
    );
    let shown = &connected.columns["conn_props"];
    for one in [
        "Receive-Maximum:5",
        "Maximum-Packet-Size:65536",
        "Topic-Alias-Maximum:3",
        "Session-Expiry-Interval:9",
        USER_SHOWN,
    ] {
        assert!(shown.contains(one), "{shown}");
    }
    let goodbye =
        [&[0, 24, 0x1F, 0, 3, b'b', b'y', b'e', 0x11, 0, 0, 0, 2][..], &USER, &[0x26, 0, 0, 0, 0]].concat();
    let goodbye = [&goodbye[..1], &[(goodbye.len() - 2) as u8], &goodbye[2..]].concat();
    client.send(&frame(0xE0, &goodbye)).await;
    assert_eq!(client.next().await, None);
    until(|| !server.rules.seen(EventKind::ClientDisconnected).is_empty(), "it has left").await;
    let disconnected = only(&server, EventKind::ClientDisconnected);
    whole(&disconnected, &[]);
    is(&disconnected, &[("reason", "normal"), ("clientid", "c"), ("username", "user"), ("proto_ver", "5")]);
    let shown = &disconnected.columns["disconn_props"];
    assert!(shown.starts_with("{Reason-String:bye,Session-Expiry-Interval:2,User-Property:"), "{shown}");
}

#[tokio::test]
async fn client_disconnected_says_why() {
    let server = Server::start().await;
    // Said goodbye, closed, broke the protocol, was silent, was taken over, was discarded.
    server.connect(Hello::v311("normal")).await.disconnect().await;
    drop(server.connect(Hello::v311("tcp_closed")).await);
    let mut broken = server.client("malformed_packet").await;
    broken.send(&[0x00, 0]).await;
    broken.ended(0x81).await;
    let silent = server.connect(Hello::v5("keepalive_timeout").keep_alive(1)).await;
    let taken = server.connect(Hello::v5("takenover").kept()).await;
    let taker = server.connect(Hello::v5("takenover").kept()).await;
    let discarded = server.client("discarded").await;
    let discarder = server.client("discarded").await;
    until(|| server.rules.seen(EventKind::ClientDisconnected).len() == 6, "all have left").await;
    for seen in server.rules.seen(EventKind::ClientDisconnected) {
        assert_eq!(seen.columns["reason"], seen.columns["clientid"]);
    }
    drop((silent, taken, taker, discarded, discarder));
}

#[tokio::test]
async fn session_subscribed_and_unsubscribed() {
    let server = Server::start().await;
    let mut client = server.connect(named("c")).await;
    let properties = [&[0x0B, 7][..], &USER].concat();
    client.subscribe_with(&[("t/#", 1)], &properties).await;
    let subscribed = only(&server, EventKind::SessionSubscribed);
    whole(&subscribed, &[]);
    is(
        &subscribed,
        &[("clientid", "c"), ("username", "user"), ("topic", "t/#"), ("qos", "1"), ("peerhost", "127.0.0.1")],
    );
    assert_eq!(subscribed.columns["sub_props"], format!("{{Subscription-Identifier:7,{USER_SHOWN}}}"));
    let body = [&[0, 9, USER.len() as u8][..], &USER, &string("t/#")].concat();
    client.send(&frame(0xA2, &body)).await;
    client.frame().await;
    let unsubscribed = only(&server, EventKind::SessionUnsubscribed);
    whole(&unsubscribed, &[]);
    is(&unsubscribed, &[("topic", "t/#"), ("qos", "1")]);
    assert_eq!(unsubscribed.columns["unsub_props"], format!("{{{USER_SHOWN}}}"));
    // What was not there is not told.
    client.unsubscribe(&["never"]).await;
    only(&server, EventKind::SessionUnsubscribed);
}

#[tokio::test]
async fn message_publish_delivered_and_acked() {
    let server = Server::start().await;
    let mut subscriber = server.connect(named("s")).await;
    subscriber.subscribe(&[("t", 1)]).await;
    let mut publisher = server.connect(Hello::v5("p").login("from", "secret")).await;
    publish(&mut publisher, "t", 1).await;
    let id = subscriber.message().await.id;
    let delivered = only(&server, EventKind::MessageDelivered);
    assert!(server.rules.seen(EventKind::MessageAcked).is_empty());
    subscriber.ack(0x40, id).await;
    subscriber.ping().await;
    let acked = only(&server, EventKind::MessageAcked);
    let published = only(&server, EventKind::MessagePublish);
    for seen in [&delivered, &acked] {
        whole(seen, &[]);
        is(
            seen,
            &[
                ("from_clientid", "p"),
                ("from_username", "from"),
                ("clientid", "s"),
                ("username", "user"),
                ("payload", "hello"),
                ("topic", "t"),
                ("qos", "1"),
                ("flags", "{retain:false,dup:false}"),
                ("pub_props", &format!("{{{USER_SHOWN}}}")),
                ("id", &published.columns["id"]),
                ("publish_received_at", &published.columns["publish_received_at"]),
            ],
        );
    }
    is(&published, &[("clientid", "p"), ("username", "from"), ("topic", "t"), ("payload", "hello")]);
}

#[tokio::test]
async fn message_acked_of_qos_2_comes_with_pubrec() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("t", 2)]).await;
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", "x").qos(2, 1)).await;
    let id = subscriber.message().await.id;
    subscriber.ack(0x50, id).await;
    subscriber.acked(0x62, id).await;
    subscriber.ack(0x70, id).await;
    subscriber.ping().await;
    only(&server, EventKind::MessageAcked);
}

#[tokio::test]
async fn message_dropped_without_subscribers() {
    let server = Server::start().await;
    let mut publisher = server.connect(named("p")).await;
    publish(&mut publisher, "nowhere", 1).await;
    let dropped = only(&server, EventKind::MessageDropped);
    whole(&dropped, &[]);
    is(
        &dropped,
        &[("reason", "no_subscribers"), ("clientid", "p"), ("username", "user"), ("topic", "nowhere")],
    );
    assert_eq!(dropped.columns["pub_props"], format!("{{{USER_SHOWN}}}"));
}

#[tokio::test]
async fn delivery_dropped_says_why() {
    let server = Server::with(|config| config.limits.session_messages_max = 1).await;
    let mut subscriber = server.connect(named("s").kept().property(&[0x27, 0, 0, 0, 100])).await;
    subscriber.subscribe(&[("t", 1), ("own", 4)]).await;
    subscriber.publish(&message("own", "x")).await;
    let mut publisher = server.connect(Hello::v5("p").login("from", "secret")).await;
    publisher.publish(&message("t", &"x".repeat(200))).await;
    until(|| server.rules.seen(EventKind::DeliveryDropped).len() == 2, "no_local, too_large").await;
    drop(subscriber);
    until(|| server.broker.metrics().connections == 1, "it has left").await;
    publisher.publish(&message("t", "x").property(&[0x02, 0, 0, 0, 1]).qos(1, 1)).await;
    publisher.acked(0x40, 1).await;
    publish(&mut publisher, "t", 2).await;
    publisher.publish(&message("t", "x").property(&[0x02, 0, 0, 0, 1]).qos(1, 3)).await;
    publisher.acked(0x40, 3).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let mut subscriber = server.connect(named("s").kept()).await;
    subscriber.ping().await;
    let seen = server.rules.seen(EventKind::DeliveryDropped);
    let reasons: Vec<&str> = seen.iter().map(|seen| &*seen.columns["reason"]).collect();
    assert_eq!(reasons, ["no_local", "too_large", "queue_full", "queue_full", "expired"]);
    for (seen, from) in seen.iter().zip(["s", "p", "p", "p", "p"]) {
        whole(seen, &[]);
        is(
            seen,
            &[("from_clientid", from), ("clientid", "s"), ("username", "user"), ("peerhost", "127.0.0.1")],
        );
    }
}
