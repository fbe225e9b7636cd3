//! Settings that change while connections stay.

use std::sync::Arc;

use connector::{Connector, State};
use mqtt::ReasonCode;

use crate::broker::{Broker, Got, Peer};
use crate::house::{Action, House, open, settings, source, source_status, status};

fn toml(broker: &Broker, more: &str) -> String {
    format!("server = \"{}\"\n{more}", broker.address())
}

async fn update(connector: &Arc<dyn Connector>, broker: &Broker, more: &str) -> bool {
    connector.update(&settings(&toml(broker, more))).await
}

/// Tells `connector` its new settings, and meanwhile lets `meanwhile` happen.
async fn updated<T>(
    connector: &Arc<dyn Connector>,
    broker: &Broker,
    more: &str,
    meanwhile: impl Future<Output = T>,
) -> T {
    let (taken_over, value) = tokio::join!(update(connector, broker, more), meanwhile);
    assert!(taken_over);
    value
}

#[tokio::test]
async fn what_concerns_no_connection_changes_on_it() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = open(&toml(&broker, "pool_size = 1\nmax_inflight = 1"), &House::new());
    connector.attach(&action.queue, &action.settings);
    let mut peer = broker.welcome(false).await;
    action.send_numbers(0..4);
    peer.message().await;
    assert!(peer.is_quiet().await);
    let more = "pool_size = 1\nmax_inflight = 3\ndescription = \"d\"\nping_timeout = \"9s\"";
    assert!(update(&connector, &broker, more).await);
    assert_eq!((peer.message().await.0, peer.message().await.0), ("1".into(), "2".into()));
    assert!(peer.is_quiet().await, "the window is three");
}

#[tokio::test]
async fn what_connect_says_needs_new_connections() {
    let broker = Broker::start().await;
    let connector = open(&toml(&broker, "pool_size = 1"), &House::new());
    let _peer = broker.welcome(false).await;
    for more in ["keepalive = \"9s\"", "proto_ver = \"v5\"", "username = \"u\"", "clean_start = false"] {
        assert!(!update(&connector, &broker, &format!("pool_size = 1\n{more}")).await, "{more}");
    }
    assert!(!connector.update(&settings("server = \"elsewhere.invalid\"\npool_size = 1")).await);
}

#[tokio::test]
async fn a_larger_pool_gets_its_lanes_when_nothing_is_in_flight() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = open(&toml(&broker, "pool_size = 1\nmax_inflight = 2"), &House::new());
    connector.attach(&action.queue, &action.settings);
    let mut one = broker.welcome(false).await;
    for number in 0..20 {
        action.send(&format!("t/{number}"), &number.to_string());
    }
    let first = [one.message().await, one.message().await];
    let more = "pool_size = 2\nmax_inflight = 2";
    updated(&connector, &broker, more, async {
        assert!(one.is_quiet().await);
        for (_, id) in &first {
            one.puback(*id, ReasonCode::Success).await;
        }
    })
    .await;
    let mut two = broker.welcome(false).await;
    let (one, two) = tokio::join!(drain(&mut one), drain(&mut two));
    assert!(!one.is_empty() && !two.is_empty(), "{one:?} {two:?}");
    let mut all: Vec<u32> = one
        .into_iter()
        .chain(two)
        .chain(first.map(|(payload, _)| payload))
        .map(|n| n.parse().unwrap())
        .collect();
    all.sort_unstable();
    assert_eq!(all, (0..20).collect::<Vec<u32>>(), "each once");
    assert_eq!(action.drained().await.counters.retried, 0);
}

/// Acknowledges what comes until nothing does.
async fn drain(peer: &mut Peer) -> Vec<String> {
    let mut payloads = Vec::new();
    while !peer.is_quiet_but(&mut payloads).await {}
    payloads
}

#[tokio::test]
async fn a_smaller_pool_says_goodbye_and_loses_nothing() {
    let (broker, action) = (Broker::start().await, Action::new(1));
    let connector = open(&toml(&broker, "pool_size = 2"), &House::new());
    connector.attach(&action.queue, &action.settings);
    let (one, two) = (broker.welcome(false).await, broker.welcome(false).await);
    let (mut one, mut two) = if one.clientid().ends_with(":1") { (one, two) } else { (two, one) };
    status(&connector, State::Connected, "").await;
    let goodbye = async { assert_eq!(two.next().await, Got::Disconnect) };
    updated(&connector, &broker, "pool_size = 1", goodbye).await;
    for number in 0..20 {
        action.send(&format!("t/{number}"), &number.to_string());
    }
    assert_eq!(one.take(20).await.len(), 20);
    assert_eq!(action.drained().await.counters.success, 20);
}

#[tokio::test]
async fn a_shared_source_follows_the_pool_and_a_plain_one_stays() {
    let (broker, house) = (Broker::start().await, House::new());
    let connector = open(&toml(&broker, "pool_size = 1"), &house);
    let _sink = broker.welcome(false).await;
    connector.add_source(source("shared", "parameters = { topic = \"$share/g/t\" }"));
    let mut first = broker.welcome(false).await;
    first.grant().await;
    connector.add_source(source("plain", "parameters = { topic = \"u\" }"));
    first.grant().await;

    updated(&connector, &broker, "pool_size = 2", async {}).await;
    let peers = [broker.welcome(false).await, broker.welcome(false).await];
    let [mut second] = peers
        .into_iter()
        .filter(|peer| peer.clientid().ends_with("s2"))
        .collect::<Vec<_>>()
        .try_into()
        .ok()
        .unwrap();
    assert_eq!(&*second.grant().await.topic_filters[0].0, "$share/g/t");
    assert!(first.is_quiet().await, "nothing has changed for the first");
    source_status(&connector, "shared", State::Connected, "").await;

    let goodbye = async {
        assert!(
            matches!(second.next().await, Got::Unsubscribe(_)),
            "otherwise it would get its share for ever"
        );
        assert_eq!(second.next().await, Got::Disconnect);
    };
    updated(&connector, &broker, "pool_size = 1", goodbye).await;
    assert!(first.is_quiet().await);
}

#[tokio::test]
async fn a_source_is_subscribed_again_only_if_the_remote_must_know() {
    let (broker, house) = (Broker::start().await, House::new());
    let connector = open(&toml(&broker, "pool_size = 1\nproto_ver = \"v5\""), &house);
    let _sink = broker.welcome(false).await;
    let parameters = |more: &str| format!("parameters = {{ topic = \"t\", {more} }}");
    let metrics = source("down", &parameters("qos = 1")).metrics;
    let with = |toml: &str| connector::Source { metrics: Arc::clone(&metrics), ..source("down", toml) };
    connector.add_source(with(&parameters("qos = 1")));
    let mut peer = broker.welcome(false).await;
    peer.grant().await;
    connector
        .add_source(with(&format!("description = \"d\"\nack = \"received\"\n{}", parameters("qos = 1"))));
    assert!(peer.is_quiet().await);
    connector.add_source(with(&parameters("qos = 0")));
    assert_eq!(u8::from(peer.grant().await.topic_filters[0].1.qos), 0);
    connector.add_source(with("parameters = { topic = \"u\" }"));
    assert!(matches!(peer.next().await, Got::Unsubscribe(_)));
    assert_eq!(&*peer.grant().await.topic_filters[0].0, "u");
}
