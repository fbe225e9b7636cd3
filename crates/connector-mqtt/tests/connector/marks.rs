//! What messages carry beside themselves: age, bridges crossed, where they come from, aliases of topics.

use std::time::{SystemTime, UNIX_EPOCH};

use connector::State;
use event::{Properties, Trail};
use mqtt::{ConnectAck, SubscribeAckReason};

use crate::broker::{Broker, Got, Peer};
use crate::house::{Action, From, House, open, source, source_status};

const HOPS: &str = Trail::HOPS_PROPERTY;

async fn one(broker: &Broker, more: &str) -> std::sync::Arc<dyn connector::Connector> {
    let toml = format!("server = \"{}\"\npool_size = 1\nproto_ver = \"v5\"\n{more}", broker.address());
    open(&toml, &House::new())
}

fn user(key: &str, value: &str) -> Properties {
    Properties { user: vec![(key.to_owned(), value.to_owned())], ..Properties::default() }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

#[tokio::test]
async fn an_expiry_interval_counts_the_time_in_the_queue() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = one(&broker, "").await;
    connector.attach(&action.queue, &action.settings);
    let properties = Properties { message_expiry_interval: Some(100), ..Properties::default() };
    for (payload, waited_ms) in [("old", 100_000), ("young", 40_500)] {
        let from = From { properties: Some(&properties), hops: 0, at_ms: now_ms() - waited_ms };
        action.send_from("t", payload, None, &from);
    }
    let mut peer = broker.welcome(false).await;
    assert_eq!(peer.take(1).await, ["young"]);
    let left = peer.properties.message_expiry_interval.unwrap();
    assert!((40..=60).contains(&left), "{left}");
    let counters = action.drained().await.counters;
    assert_eq!((counters.success, counters.dropped_expired), (1, 1));
}

#[tokio::test]
async fn bridges_are_counted_and_what_goes_round_ends() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = one(&broker, "max_hops = 3").await;
    connector.attach(&action.queue, &action.settings);
    let mut peer = broker.welcome(false).await;
    assert_eq!(&*peer.connect.request.user_properties[0].0, HOPS, "a bridge says that it is one");
    let from = |hops| From { properties: None, hops, at_ms: 0 };
    for (hops, said) in [(0, None), (1, Some("2")), (2, Some("3"))] {
        action.send_from("t", "x", None, &from(hops));
        peer.take(1).await;
        let told = peer.properties.user.first().map(|(_, value)| value.as_str());
        assert_eq!(told, said, "after {hops} bridges");
    }
    // What came with a count goes with another one, and with everything else that it had.
    let mut properties = user(HOPS, "1");
    properties.user.push(("k".into(), "v".into()));
    action.send_from("t", "x", None, &From { properties: Some(&properties), hops: 1, at_ms: 0 });
    peer.take(1).await;
    assert_eq!(peer.properties.user, [("k".into(), "v".into()), (HOPS.into(), "2".into())]);
    action.send_from("t", "x", None, &from(3));
    let counters = action.drained().await.counters;
    assert_eq!((counters.success, counters.failed), (4, 1));
}

async fn receiving(
    broker: &Broker,
    house: &std::sync::Arc<House>,
    parameters: &str,
) -> (std::sync::Arc<dyn connector::Connector>, Peer, Peer) {
    let toml = format!("server = \"{}\"\npool_size = 1\nproto_ver = \"v5\"", broker.address());
    let connector = open(&toml, house);
    let sink = broker.welcome(false).await;
    connector.add_source(source("down", &format!("parameters = {{ {parameters} }}")));
    let mut peer = broker.welcome(false).await;
    peer.grant().await;
    (connector, sink, peer)
}

#[tokio::test]
async fn a_source_knows_over_how_many_bridges_a_message_came() {
    let (broker, house) = (Broker::start().await, House::new());
    let (_connector, _sink, mut peer) = receiving(&broker, &house, "topic = \"t\"").await;
    peer.publish("t", "x", 0, &[]).await;
    peer.publish_with("t", "x", 1, &user(HOPS, "4")).await;
    let hops: Vec<u8> = house.wait_seen(2).await.iter().map(|seen| seen.hops).collect();
    assert_eq!(hops, [1, 4]);
}

#[tokio::test]
async fn no_local_leaves_out_what_the_sinks_have_published() {
    let (broker, house, action) = (Broker::start().await, House::new(), Action::new(1));
    let (connector, mut sink, mut peer) =
        receiving(&broker, &house, "topic = \"$share/g/t\", no_local = true").await;
    connector.attach(&action.queue, &action.settings);
    action.send("t", "ours");
    sink.take(1).await;
    let ours = sink.properties.clone();
    peer.publish_with("t", "ours", 1, &ours).await;
    assert_eq!(peer.next().await, Got::PublishAck(1), "it is acknowledged all the same");
    let mut theirs = ours;
    theirs.user[0].1.push('x');
    peer.publish_with("t", "theirs", 2, &theirs).await;
    house.wait_seen(1).await;
    assert_eq!(house.payloads(), ["theirs"]);

    connector.remove_source("down");
    action.send("t", "nobody asks");
    sink.take(1).await;
    assert_eq!(sink.properties.user, [], "then it is not said either");
}

#[tokio::test]
async fn topics_that_come_again_get_an_alias_where_the_remote_takes_them() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = one(&broker, "").await;
    connector.attach(&action.queue, &action.settings);
    let mut peer = broker.accept().await;
    peer.answer(ConnectAck { topic_alias_max: 1, ..ConnectAck::default() }).await;
    for topic in ["plant/7/temperature", "plant/7/temperature", "plant/8/temperature", "plant/8/temperature"]
    {
        action.send(topic, "x");
    }
    let mut topics = Vec::new();
    for _ in 0..4 {
        let Got::Publish { topic, id, .. } = peer.next().await else { panic!("no PUBLISH") };
        peer.puback(id, mqtt::ReasonCode::Success).await;
        topics.push(topic);
    }
    topics.sort();
    assert_eq!(topics, ["", "plant/7/temperature", "plant/8/temperature", "plant/8/temperature"]);
    drop(peer);
    let mut peer = broker.welcome(false).await;
    action.send("plant/7/temperature", "y");
    let Got::Publish { topic, .. } = peer.next().await else { panic!("no PUBLISH") };
    assert_eq!(topic, "plant/7/temperature", "another connection knows of no alias");
}

#[tokio::test]
async fn what_the_remote_cannot_subscribe_to_is_said_and_not_tried() {
    let broker = Broker::start().await;
    let connector = one(&broker, "").await;
    let _sink = broker.welcome(false).await;
    connector.add_source(source("wild", "parameters = { topic = \"t/#\" }"));
    connector.add_source(source("group", "parameters = { topic = \"$share/g/t\" }"));
    connector.add_source(source("plain", "parameters = { topic = \"t\" }"));
    let mut peer = broker.accept().await;
    peer.answer(ConnectAck {
        wildcard_subscription_available: false,
        shared_subscription_available: false,
        ..ConnectAck::default()
    })
    .await;
    assert_eq!(&*peer.grant().await.topic_filters[0].0, "t");
    source_status(&connector, "plain", State::Connected, "").await;
    source_status(&connector, "wild", State::Disconnected, "has no wildcards").await;
    source_status(&connector, "group", State::Disconnected, "has no shared subscriptions").await;
}

#[tokio::test]
async fn a_remote_that_refuses_identifiers_is_asked_without() {
    let broker = Broker::start().await;
    let connector = one(&broker, "").await;
    let _sink = broker.welcome(false).await;
    connector.add_source(source("down", "parameters = { topic = \"t\" }"));
    let mut peer = broker.welcome(false).await;
    let refused = SubscribeAckReason::SubscriptionIdentifiersNotSupported;
    assert!(peer.answer_subscribe(refused).await.id.is_some());
    assert!(peer.grant().await.id.is_none());
    source_status(&connector, "down", State::Connected, "").await;
}
