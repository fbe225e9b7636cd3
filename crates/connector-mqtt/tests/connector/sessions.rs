//! Who connects how, and what stopping and replacing leave behind.

use std::time::{Duration, Instant};

use mqtt::ReasonCode;

use crate::broker::{Broker, Got};
use crate::house::{Action, House, later, open, source};

#[tokio::test]
async fn a_session_is_asked_for_as_it_was_configured() {
    let broker = Broker::start().await;
    let toml = format!(
        "server = \"mqtt://{}\"\npool_size = 1\nproto_ver = \"v5\"\nclean_start = false\nsession_expiry_interval = \"1h\"
         clientid_prefix = \"p\"\nusername = \"u\"\npassword = \"s\"\nkeepalive = \"90s\"",
        broker.address()
    );
    let _connector = open(&toml, &House::new());
    let peer = broker.welcome(false).await;
    let request = &peer.connect.request;
    assert_eq!(peer.clientid(), "p:clouda9993e36:1");
    assert_eq!(
        (request.clean_start, request.session_expiry_interval_secs, request.keep_alive),
        (false, 3600, 90)
    );
    assert_eq!(request.username.as_deref(), Some("u"));
    assert_eq!(request.password.as_deref(), Some(&b"s"[..]));
    assert_eq!(peer.connect.version, mqtt::Version::V5);
}

#[tokio::test]
async fn mqtt_3_1_and_the_bridge_bit_are_spoken() {
    let broker = Broker::start().await;
    let toml =
        format!("server = \"{}\"\npool_size = 1\nproto_ver = \"v3\"\nbridge_mode = true", broker.address());
    let _connector = open(&toml, &House::new());
    let peer = broker.welcome(false).await;
    assert_eq!((peer.connect.version, peer.connect.bridge), (mqtt::Version::V31, true));
}

#[tokio::test]
async fn stopping_sends_the_rest_and_leaves_politely() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let toml = format!("server = \"{}\"\npool_size = 1\nmax_inflight = 2", broker.address());
    let connector = open(&toml, &House::new());
    connector.attach(&action.queue, &action.settings);
    let mut peer = broker.welcome(false).await;
    action.send_numbers(0..20);
    let stop = connector.stop(later());
    let remote = async {
        assert_eq!(peer.take(20).await.len(), 20);
        assert_eq!(peer.next().await, Got::Disconnect);
        assert_eq!(peer.next().await, Got::Closed);
    };
    tokio::join!(stop, remote);
    assert_eq!(action.reading().counters.success, 20);
}

#[tokio::test]
async fn stopping_waits_no_longer_than_it_may_and_loses_nothing() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let toml = format!("server = \"{}\"\npool_size = 1\nmax_inflight = 2", broker.address());
    let connector = open(&toml, &House::new());
    connector.attach(&action.queue, &action.settings);
    let mut peer = broker.welcome(false).await;
    action.send_numbers(0..5);
    peer.message().await;
    let begun = Instant::now();
    connector.stop(Instant::now() + Duration::from_millis(100)).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(peer.message().await.0, "1");
    assert_eq!(peer.next().await, Got::Disconnect);
    assert_eq!(action.reading().fill.queuing, 5);
    // Its successor sends what is left, in order.
    let successor = open(&toml, &House::new());
    successor.attach(&action.queue, &action.settings);
    let mut peer = broker.welcome(false).await;
    assert_eq!(peer.take(5).await, ["0", "1", "2", "3", "4"]);
    let counters = action.drained().await.counters;
    assert_eq!((counters.retried, counters.retried_success), (2, 2));
}

#[tokio::test]
async fn another_pool_size_keeps_the_order() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let server = broker.address();
    let connector = open(&format!("server = \"{server}\"\npool_size = 1\nmax_inflight = 3"), &House::new());
    connector.attach(&action.queue, &action.settings);
    let mut peer = broker.welcome(false).await;
    action.send_numbers(0..6);
    for _ in 0..3 {
        peer.message().await;
    }
    connector.stop(Instant::now()).await;
    let successor = open(&format!("server = \"{server}\"\npool_size = 2"), &House::new());
    successor.attach(&action.queue, &action.settings);
    let (one, two) = (broker.welcome(false).await, broker.welcome(false).await);
    let tasks = [one, two].map(|mut peer| {
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Got::Publish { payload, id, .. } = peer.next().await {
                peer.puback(id, ReasonCode::Success).await;
                seen.push(payload);
            }
            seen
        })
    });
    action.drained().await;
    successor.stop(later()).await;
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await.unwrap());
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn static_ids_carry_both_directions() {
    let (broker, action, house) = (Broker::start().await, Action::new(1), House::new());
    let toml = format!(
        "server = \"{}\"\nusername = \"shared\"
         static_clientids = [{{ node = \"abc\", ids = [\"dev1\", {{ clientid = \"dev2\", username = \"own\" }}] }}]",
        broker.address()
    );
    let connector = open(&toml, &house);
    connector.attach(&action.queue, &action.settings);
    connector.add_source(source("down", "parameters = { topic = \"t/#\" }"));
    let (one, two) = (broker.welcome(false).await, broker.welcome(false).await);
    let (mut one, two) = if one.clientid() == "dev1" { (one, two) } else { (two, one) };
    assert_eq!((two.clientid(), two.connect.request.username.as_deref()), ("dev2", Some("own")));
    assert_eq!(one.connect.request.username.as_deref(), Some("shared"));
    one.grant().await;
    one.publish("t/1", "in", 9, &[]).await;
    assert_eq!(one.next().await, Got::PublishAck(9));
    assert_eq!(house.payloads(), ["in"]);
}
