//! Every event of the broker, from a client that causes it to a rule that selects its columns.

use std::io::Write as _;
use std::net::TcpStream;

use testkit::{Client, Publish};

use crate::gate;

/// Name of the rule, both spellings of the event, and what one event fulfils.
const EVENTS: &[(&str, [&str; 2], &str)] = &[
    (
        "connected",
        ["$events/client/connected", "$events/client_connected"],
        "clientid = 'reader' and proto_name = 'MQTT' and proto_ver = 5 and clean_start = false and is_bridge = false \
         and expiry_interval > 0 and conn_props.'Session-Expiry-Interval' > 0 and is_not_null(peername) and \
         is_not_null(sockname) and is_not_null(keepalive) and connected_at > 0",
    ),
    (
        "disconnected",
        ["$events/client/disconnected", "$events/client_disconnected"],
        "clientid = 'reader' and reason = 'normal' and disconnected_at >= connected_at and proto_ver = 5",
    ),
    (
        "subscribed",
        ["$events/session/subscribed", "$events/session_subscribed"],
        "clientid = 'reader' and username = 'me' and topic = 't/#' and qos = 1 and peerhost = '127.0.0.1'",
    ),
    (
        "unsubscribed",
        ["$events/session/unsubscribed", "$events/session_unsubscribed"],
        "clientid = 'leaver' and topic = 'l/#'",
    ),
    (
        "delivered",
        ["$events/message/delivered", "$events/message_delivered"],
        "from_clientid = 'device' and from_username = 'dev' and clientid = 'reader' and username = 'me' and topic = 't/1' \
         and payload.n = 1 and qos = 1 and is_not_null(publish_received_at) and strlen(id) = 32",
    ),
    (
        "acked",
        ["$events/message/acked", "$events/message_acked"],
        "from_clientid = 'device' and clientid = 'reader' and topic = 't/1' and is_map(puback_props)",
    ),
    (
        "dropped",
        ["$events/message/dropped", "$events/message_dropped"],
        "reason = 'no_subscribers' and clientid = 'device' and username = 'dev' and topic = 'nowhere'",
    ),
    (
        "delivery_dropped",
        ["$events/message/delivery_dropped", "$events/delivery_dropped"],
        "reason = 'queue_full' and from_clientid = 'device' and clientid = 'reader' and username = 'me' and payload.n = 2",
    ),
];

/// CONNECT as `leaver`, SUBSCRIBE to `l/#` and UNSUBSCRIBE from it.
const LEAVER: &[u8] =
    b"\x10\x12\0\x04MQTT\x04\x02\0\0\0\x06leaver\x82\x08\0\x01\0\x03l/#\0\xa2\x07\0\x02\0\x03l/#";

fn numbered(topic: &str, n: usize) -> Publish {
    let payload = format!("{{\"n\": {n}}}").into();
    Publish { topic: topic.into(), payload, qos: 1, ..Publish::default() }
}

#[tokio::test]
async fn every_event_reaches_the_rules_that_name_it() {
    let mut builder = gate().config("[mqtt]\nmax_mqueue_len = 1\n");
    for (name, spellings, condition) in EVENTS {
        for (which, spelling) in spellings.iter().enumerate() {
            let sql = format!("SELECT * FROM \"{spelling}\" WHERE {condition}");
            builder = builder.rule(&format!("{name}{which}"), &sql);
        }
    }
    let gate = builder.start().await;
    let reader =
        || Client::builder("reader").version(testkit::Version::V5).keeps_session().user("me", "secret");
    let device = Client::builder("device").user("dev", "secret").connect(gate.mqtt()).await;

    let client = reader().connect(gate.mqtt()).await;
    client.subscribe("t/#", 1).await;
    device.send(numbered("t/1", 1)).await.wait(&device).await;
    client.next("t/1").await;
    gate.wait_metric("/rules/acked0", "passed", 1).await;
    client.disconnect().await;
    gate.wait_metric("/rules/disconnected0", "passed", 1).await;
    // The queue of who is away holds one: the second pushes the first out.
    for n in [2, 3] {
        device.send(numbered("t/1", n)).await.wait(&device).await;
    }
    device.send(numbered("nowhere", 4)).await.wait(&device).await;
    let mut leaver = TcpStream::connect(gate.mqtt()).expect("the server listens");
    leaver.write_all(LEAVER).expect("the server reads");

    for (name, ..) in EVENTS {
        for which in [0, 1] {
            gate.wait_metric(&format!("/rules/{name}{which}"), "passed", 1).await;
        }
    }
}
