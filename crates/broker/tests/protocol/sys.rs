//! What the broker says about itself.

use std::time::Duration;

use event::EventKind;

use crate::raw::message;
use crate::server::Server;

#[tokio::test]
async fn sys_topics_say_what_the_broker_is_and_does() {
    let server = Server::with(|config| config.sys_interval = Some(Duration::from_millis(50))).await;
    let mut client = server.client("c").await;
    client
        .subscribe(&[("$SYS/brokers/node@test/stats/connections/count", 0), ("$SYS/broker/version", 0)])
        .await;
    let mut seen = [false; 2];
    while seen != [true; 2] {
        let got = client.message().await;
        match &*got.topic {
            "$SYS/broker/version" => seen[0] = got.payload.starts_with("sluicegate version "),
            // At first it was not connected.
            _ => seen[1] |= got.payload == "1",
        }
    }
    // Whoever comes later gets the last word at once, as a retained message.
    let mut late = server.client("late").await;
    late.subscribe(&[("$SYS/brokers/+/version", 0)]).await;
    assert!(late.message().await.retain);
    // They are none of what clients retain, drop or see without asking for them.
    assert_eq!(server.broker.metrics().retained, 0);
    assert_eq!(server.broker.metrics().dropped_no_subscribers, 0);
    assert!(server.rules.seen(EventKind::MessageDropped).is_empty());
    let mut all = server.client("all").await;
    all.subscribe(&[("#", 0)]).await;
    all.silence().await;
}

#[tokio::test]
async fn mqtt_4_7_2_1_clients_do_not_publish_below_sys() {
    let server = Server::start().await;
    let mut client = server.client("c").await;
    client.subscribe(&[("$SYS/#", 1), ("$other/#", 1)]).await;
    client.publish(&message("$SYS/mine", "x").qos(1, 1)).await;
    assert_eq!(client.acked(0x40, 1).await, 0x87);
    client.publish(&message("$other/mine", "x")).await;
    assert_eq!(client.message().await.topic, "$other/mine");
    assert_eq!(server.rules.payloads(), ["x"]);
}
