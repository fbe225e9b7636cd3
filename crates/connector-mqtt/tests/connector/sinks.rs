//! From the queue to the remote.

use std::time::Duration;

use connector::{QueueOptions, State};
use mqtt::{ConnectAck, QoS, ReasonCode};
use testkit::wait_until;

use crate::broker::{Broker, Got, Peer};
use crate::house::{Action, House, open, status};

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// A connector with one client, in this version and with these settings more.
async fn one(broker: &Broker, version: &str, more: &str) -> std::sync::Arc<dyn connector::Connector> {
    let toml = format!("server = \"{}\"\npool_size = 1\nproto_ver = \"{version}\"\n{more}", broker.address());
    open(&toml, &House::new())
}

async fn window(peer: &mut Peer, size: usize) -> Vec<u16> {
    let mut ids = Vec::new();
    for _ in 0..size {
        ids.push(peer.message().await.1);
    }
    assert!(peer.is_quiet().await, "the window is full");
    ids
}

#[tokio::test]
async fn messages_go_out_in_order_within_the_window() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = one(&broker, "v4", "max_inflight = 4").await;
    connector.attach(&action.queue, &action.settings);
    action.send_numbers(0..10);
    let mut peer = broker.welcome(false).await;
    let ids = window(&mut peer, 4).await;
    let reading = action.reading();
    assert_eq!((reading.fill.inflight, reading.fill.queuing), (4, 6));
    // Out of order on purpose: each acknowledgement frees one place.
    peer.puback(ids[2], ReasonCode::Success).await;
    assert_eq!(peer.message().await.0, "4");
    for id in [ids[0], ids[1], ids[3], ids[3] + 1] {
        peer.puback(id, ReasonCode::Success).await;
    }
    assert_eq!(peer.take(5).await, numbers(5..10));
    assert_eq!(action.drained().await.counters.success, 10);
}

#[tokio::test]
async fn what_comes_later_wakes_the_client() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = one(&broker, "v4", "").await;
    connector.attach(&action.queue, &action.settings);
    connector.attach(&action.queue, &action.settings);
    let mut peer = broker.welcome(false).await;
    for number in 0..50 {
        action.send("t", &number.to_string());
        assert_eq!(peer.take(1).await, [number.to_string()]);
    }
    action.drained().await;
    connector.detach("mqtt:test");
    wait_until("nobody reads the queue", async || std::sync::Arc::strong_count(&action.queue) == 1).await;
    action.send("t", "no more");
    assert!(peer.is_quiet().await);
    assert_eq!(action.reading().fill.queuing, 1);
}

#[tokio::test]
async fn qos_0_is_done_when_it_is_written() {
    let (broker, action) = (Broker::start().await, Action::new(0));
    let connector = one(&broker, "v4", "").await;
    connector.attach(&action.queue, &action.settings);
    action.send_numbers(0..2000);
    let mut peer = broker.welcome(false).await;
    assert_eq!(peer.take(2000).await, numbers(0..2000));
    assert_eq!(action.drained().await.counters.success, 2000);
}

#[tokio::test]
async fn qos_2_is_done_when_it_is_complete() {
    let (broker, action) = (Broker::start().await, Action::new(2));
    let connector = one(&broker, "v5", "").await;
    connector.attach(&action.queue, &action.settings);
    action.send("t", "x");
    let mut peer = broker.welcome(false).await;
    let (_, id) = peer.message().await;
    peer.pubrec(id).await;
    assert_eq!(peer.next().await, Got::PublishRelease(id));
    assert_eq!(action.reading().fill.inflight, 1);
    peer.pubcomp(id).await;
    assert_eq!(action.drained().await.counters.success, 1);
}

#[tokio::test]
async fn reason_codes_decide_what_becomes_of_a_message() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = one(&broker, "v5", "").await;
    connector.attach(&action.queue, &action.settings);
    let mut peer = broker.welcome(false).await;
    for reason in [ReasonCode::Success, ReasonCode::NoMatchingSubscribers] {
        action.send("t", "fine");
        let (_, id) = peer.message().await;
        peer.puback(id, reason).await;
    }
    for reason in [
        ReasonCode::UnspecifiedError,
        ReasonCode::ImplementationSpecificError,
        ReasonCode::PacketIdentifierInUse,
        ReasonCode::QuotaExceeded,
    ] {
        action.send("t", "again");
        let (_, id) = peer.message().await;
        peer.puback(id, reason).await;
        assert_eq!(peer.take(1).await, ["again"]);
    }
    for reason in [ReasonCode::NotAuthorized, ReasonCode::TopicNameInvalid, ReasonCode::PayloadFormatInvalid]
    {
        action.send("t", "never");
        let (_, id) = peer.message().await;
        peer.puback(id, reason).await;
    }
    let counters = action.drained().await.counters;
    assert_eq!((counters.success, counters.failed, counters.retried), (6, 3, 4));
    assert_eq!((counters.retried_success, counters.retried_failed), (4, 0));
}

#[tokio::test]
async fn what_the_remote_allows_is_kept_to() {
    let (broker, action) = (Broker::start().await, Action::new(2));
    let connector = one(&broker, "v5", "").await;
    connector.attach(&action.queue, &action.settings);
    action.send("t", &"x".repeat(2000));
    action.send_numbers(0..5);
    let mut peer = broker.accept().await;
    peer.answer(ConnectAck {
        receive_max: std::num::NonZeroU16::new(2).unwrap(),
        max_qos: QoS::AtLeastOnce,
        max_packet_size: Some(1000),
        ..ConnectAck::default()
    })
    .await;
    let first = peer.next().await;
    let Got::Publish { payload, qos: 1, id, .. } = first else { panic!("{first:?}") };
    assert_eq!(payload, "0");
    peer.message().await;
    assert!(peer.is_quiet().await, "Receive Maximum is 2");
    peer.puback(id, ReasonCode::Success).await;
    peer.puback(id + 1, ReasonCode::Success).await;
    assert_eq!(peer.take(3).await, numbers(2..5));
    let counters = action.drained().await.counters;
    assert_eq!((counters.success, counters.failed), (5, 1));
}

#[tokio::test]
async fn a_lost_session_gets_everything_again_as_new_and_in_order() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = one(&broker, "v4", "max_inflight = 8").await;
    connector.attach(&action.queue, &action.settings);
    action.send_numbers(0..20);
    let mut peer = broker.welcome(false).await;
    let ids = window(&mut peer, 8).await;
    peer.puback(ids[1], ReasonCode::Success).await;
    assert_eq!(peer.message().await.0, "8");
    drop(peer);
    let mut peer = broker.welcome(false).await;
    let first = peer.next().await;
    let Got::Publish { payload, dup: false, id, .. } = first else { panic!("{first:?}") };
    assert_eq!(payload, "0");
    peer.puback(id, ReasonCode::Success).await;
    let expected: Vec<String> = numbers(2..20);
    assert_eq!(peer.take(18).await, expected);
    assert_eq!(action.drained().await.counters.success, 20);
}

#[tokio::test]
async fn a_kept_session_gets_duplicates_with_their_old_ids() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = one(&broker, "v4", "clean_start = false").await;
    connector.attach(&action.queue, &action.settings);
    action.send_numbers(0..3);
    let mut peer = broker.welcome(false).await;
    assert!(!peer.connect.request.clean_start);
    let ids = window(&mut peer, 3).await;
    peer.puback(ids[0], ReasonCode::Success).await;
    wait_until("the acknowledgement has come", async || action.reading().counters.success == 1).await;
    drop(peer);
    status(&connector, State::Disconnected, "").await;
    action.send("t", "3");
    let mut peer = broker.welcome(true).await;
    for (payload, dup, id) in [("1", true, ids[1]), ("2", true, ids[2]), ("3", false, ids[2] + 1)] {
        let topic = "t".to_owned();
        let expected = Got::Publish { topic, payload: payload.to_owned(), qos: 1, retain: false, dup, id };
        assert_eq!(peer.next().await, expected);
        peer.puback(id, ReasonCode::Success).await;
    }
    assert_eq!(action.drained().await.counters.retried, 2);
}

#[tokio::test]
async fn qos_2_goes_on_where_it_was() {
    let (broker, action) = (Broker::start().await, Action::new(2));
    let connector = one(&broker, "v4", "clean_start = false").await;
    connector.attach(&action.queue, &action.settings);
    action.send("t", "once");
    let mut peer = broker.welcome(false).await;
    let (_, id) = peer.message().await;
    peer.pubrec(id).await;
    assert_eq!(peer.next().await, Got::PublishRelease(id));
    drop(peer);
    let mut peer = broker.welcome(true).await;
    assert_eq!(peer.next().await, Got::PublishRelease(id));
    drop(peer);
    let mut peer = broker.welcome(false).await;
    let Got::Publish { dup: false, id, .. } = peer.next().await else { panic!("the session is lost") };
    peer.pubrec(id).await;
    assert_eq!(peer.next().await, Got::PublishRelease(id));
    peer.pubcomp(id).await;
    assert_eq!(action.drained().await.counters.success, 1);
}

#[tokio::test]
async fn an_impatient_sender_sends_again_before_mqtt_5_only() {
    for (version, again) in [("v4", true), ("v5", false)] {
        let (broker, action) = (Broker::start().await, Action::new(1));
        let interval = if again { "retry_interval = \"50ms\"" } else { "" };
        let connector = one(&broker, version, interval).await;
        connector.attach(&action.queue, &action.settings);
        action.send("t", "x");
        let mut peer = broker.welcome(false).await;
        let (_, id) = peer.message().await;
        if again {
            let Got::Publish { dup: true, id: same, .. } = peer.next().await else { panic!() };
            assert_eq!(id, same);
        } else {
            assert!(peer.is_quiet().await);
        }
    }
}

#[tokio::test]
async fn a_remote_that_goes_silent_is_noticed_within_seconds() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = one(&broker, "v5", "ping_timeout = \"300ms\"").await;
    connector.attach(&action.queue, &action.settings);
    action.send("t", "x");
    let mut peer = broker.welcome(false).await;
    peer.message().await;
    status(&connector, State::Connecting, "publishes stay unacknowledged").await;
    assert_eq!(peer.next().await, Got::Ping);
    status(&connector, State::Disconnected, "left a ping unanswered").await;
    let mut peer = broker.welcome(false).await;
    assert_eq!(peer.take(1).await, ["x"]);
    status(&connector, State::Connected, "").await;
}

#[tokio::test]
async fn a_remote_that_is_only_slow_stays_connected() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = one(&broker, "v5", "ping_timeout = \"200ms\"").await;
    connector.attach(&action.queue, &action.settings);
    action.send("t", "x");
    let mut peer = broker.welcome(false).await;
    let (_, id) = peer.message().await;
    for _ in 0..3 {
        assert_eq!(peer.next().await, Got::Ping);
        peer.put(&mqtt::Packet::PingResponse).await;
    }
    peer.puback(id, ReasonCode::Success).await;
    status(&connector, State::Connected, "").await;
    assert_eq!(action.drained().await.counters.success, 1);
}

#[tokio::test]
async fn a_message_for_which_the_remote_always_closes_is_given_up_alone() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = one(&broker, "v4", "").await;
    connector.attach(&action.queue, &action.settings);
    for payload in ["poison", "good 1", "good 2"] {
        action.send("t", payload);
    }
    for round in 0..6 {
        let mut peer = broker.welcome(false).await;
        assert_eq!(peer.message().await.0, "poison");
        if round == 5 {
            assert!(peer.is_quiet().await, "the suspect is sent alone");
        }
    }
    let mut peer = broker.welcome(false).await;
    assert_eq!(peer.take(2).await, ["good 1", "good 2"]);
    let counters = action.drained().await.counters;
    assert_eq!((counters.success, counters.failed), (2, 1));
}

#[tokio::test]
async fn what_waits_too_long_is_dropped_and_what_overflows_too() {
    let port = testkit::free_port();
    let toml = format!("server = \"127.0.0.1:{port}\"\npool_size = 1");
    let connector = open(&toml, &House::new());
    let ttl = Some(Duration::from_millis(50));
    let action = Action::with(1, QueueOptions { request_ttl: ttl, ..QueueOptions::bounded(1000) });
    connector.attach(&action.queue, &action.settings);
    action.send_numbers(0..100);
    let counters = action.drained().await.counters;
    assert!(counters.dropped_queue_full > 50 && counters.dropped_expired > 5, "{counters:?}");
    assert_eq!(counters.dropped(), 100);
}

#[tokio::test]
async fn one_key_keeps_its_order_over_a_pool() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = open(&format!("server = \"{}\"\npool_size = 4", broker.address()), &House::new());
    connector.attach(&action.queue, &action.settings);
    for number in 0..50 {
        for topic in 0..20 {
            action.send(&format!("t/{topic}"), &number.to_string());
        }
    }
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let mut peer = broker.welcome(false).await;
        tasks.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Got::Publish { topic, payload, id, .. } = peer.next().await {
                peer.puback(id, ReasonCode::Success).await;
                seen.push((topic, payload));
            }
            seen
        }));
    }
    action.drained().await;
    connector.stop(crate::house::later()).await;
    for task in tasks {
        let seen = task.await.unwrap();
        for (topic, _) in &seen {
            let of_topic: Vec<String> =
                seen.iter().filter(|(other, _)| other == topic).map(|(_, payload)| payload.clone()).collect();
            assert_eq!(of_topic, numbers(0..50), "{topic} stays on one client and in order");
        }
    }
}
