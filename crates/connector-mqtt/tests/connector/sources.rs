//! From the remote to the rules.

use connector::State;
use event::AckLevel;
use mqtt::{RetainHandling, SubscribeAckReason, SubscriptionOptions};

use crate::broker::{Broker, Got, Peer};
use crate::house::{House, later, open, source, source_status};

/// A connector whose remote has let in its one sink and its one source, which has subscribed.
async fn receiving(
    broker: &Broker,
    house: &std::sync::Arc<House>,
    more: &str,
    parameters: &str,
) -> (std::sync::Arc<dyn connector::Connector>, Peer, Peer, SubscriptionOptions) {
    let connector = open(&format!("server = \"{}\"\npool_size = 1\n{more}", broker.address()), house);
    let sink = broker.welcome(false).await;
    connector.add_source(source("down", &format!("parameters = {{ {parameters} }}")));
    let mut peer = broker.welcome(false).await;
    assert_eq!(peer.clientid(), "clouda9993e36:s1");
    let subscribe = peer.grant().await;
    source_status(&connector, "down", State::Connected, "").await;
    (connector, sink, peer, subscribe.topic_filters[0].1)
}

#[tokio::test]
async fn a_message_becomes_an_event_with_both_names() {
    let (broker, house) = (Broker::start().await, House::new());
    let (_connector, _sink, mut peer, _) = receiving(&broker, &house, "", "topic = \"t/#\"").await;
    peer.publish("t/1", "one", 7, &[]).await;
    assert_eq!(peer.next().await, Got::PublishAck(7));
    peer.publish("t/2", "two", 0, &[]).await;
    let seen = house.wait_seen(2).await;
    assert_eq!(seen[0].from, "$bridges/mqtt:down $sources/mqtt:down");
    assert_eq!((seen[0].topic.as_str(), seen[0].server.clone()), ("t/1", broker.address().to_string()));
    assert_eq!((seen[0].level, seen[1].level), (Some(AckLevel::Delivered), None));
}

#[tokio::test]
async fn acknowledgements_wait_for_delivery_and_keep_the_order_of_receipt() {
    let (broker, house) = (Broker::start().await, House::holding());
    let (_connector, _sink, mut peer, _) = receiving(&broker, &house, "", "topic = \"t\"").await;
    for id in 1..=3 {
        peer.publish("t", &id.to_string(), id, &[]).await;
    }
    house.wait_seen(3).await;
    let mut parts = house.take_parts();
    parts.remove(1).settle();
    assert!(peer.is_quiet().await, "the first is not settled");
    parts.remove(0).settle();
    assert_eq!((peer.next().await, peer.next().await), (Got::PublishAck(1), Got::PublishAck(2)));
    parts.remove(0).settle();
    assert_eq!(peer.next().await, Got::PublishAck(3));
}

#[tokio::test]
async fn an_acknowledgement_of_an_earlier_connection_is_dropped() {
    let (broker, house) = (Broker::start().await, House::holding());
    let (_connector, _sink, mut peer, _) =
        receiving(&broker, &house, "clean_start = false", "topic = \"t\"").await;
    peer.publish("t", "a", 1, &[]).await;
    house.wait_seen(1).await;
    let stale = house.take_parts();
    drop(peer);
    let mut peer = broker.welcome(true).await;
    peer.publish("t", "b", 1, &[]).await;
    house.wait_seen(2).await;
    stale.into_iter().for_each(event::Part::settle);
    assert!(peer.is_quiet().await, "id 1 means another message now");
    house.take_parts().into_iter().for_each(event::Part::settle);
    assert_eq!(peer.next().await, Got::PublishAck(1));
}

#[tokio::test]
async fn what_is_given_up_is_asked_for_again() {
    let (broker, house) = (Broker::start().await, House::holding());
    let (_connector, _sink, mut peer, _) =
        receiving(&broker, &house, "clean_start = false", "topic = \"t\"").await;
    peer.publish("t", "a", 1, &[]).await;
    house.wait_seen(1).await;
    drop(house.take_parts());
    assert_eq!(peer.next().await, Got::Disconnect);
    let mut peer = broker.welcome(true).await;
    peer.publish("t", "a", 1, &[]).await;
    house.wait_seen(2).await;
    house.take_parts().into_iter().for_each(event::Part::settle);
    assert_eq!(peer.next().await, Got::PublishAck(1));
}

#[tokio::test]
async fn a_receiver_that_is_full_stops_reading_and_goes_on_later() {
    full_and_on("").await;
}

/// As brokers do that resume a session with a long queue.
#[tokio::test]
async fn a_remote_that_exceeds_the_receive_maximum_is_slowed_down_and_not_left() {
    full_and_on("proto_ver = \"v5\"").await;
}

async fn full_and_on(settings: &str) {
    let (broker, house) = (Broker::start().await, House::holding());
    let (_connector, _sink, mut peer, _) = receiving(&broker, &house, settings, "topic = \"t\"").await;
    // So large that they do not all fit into the buffers of the two sockets.
    let payload = "x".repeat(10_000);
    let sent = 4000u16;
    let sender = tokio::spawn(async move {
        for id in 1..=sent {
            peer.publish("t", &payload, id, &[]).await;
        }
        peer
    });
    house.wait_seen(1000).await;
    assert!(house.seen().len() < 1100, "it went on reading");
    let mut settled = 0;
    while settled < usize::from(sent) {
        let parts = house.take_parts();
        settled += parts.len();
        parts.into_iter().for_each(event::Part::settle);
        tokio::task::yield_now().await;
    }
    let mut peer = sender.await.unwrap();
    for id in 1..=sent {
        assert_eq!(peer.next().await, Got::PublishAck(id));
    }
}

#[tokio::test]
async fn with_mqtt_5_the_identifier_tells_sources_apart() {
    let (broker, house) = (Broker::start().await, House::new());
    let (connector, _sink, mut peer, options) =
        receiving(&broker, &house, "proto_ver = \"v5\"", "topic = \"t/#\", no_local = true").await;
    assert_eq!((options.no_local, options.retain_as_published), (true, true));
    assert_eq!(options.retain_handling, RetainHandling::AtSubscribeNew);
    connector.add_source(source("other", "parameters = { topic = \"t/1\", qos = 0 }"));
    let subscribe = peer.grant().await;
    let identifier = subscribe.id.unwrap().get();
    peer.publish("t/1", "x", 1, &[identifier]).await;
    peer.publish("t/1", "y", 2, &[]).await;
    let seen = house.wait_seen(3).await;
    let names: Vec<&str> = seen.iter().map(|seen| seen.from.split_once(' ').unwrap().0).collect();
    assert_eq!(names, ["$bridges/mqtt:other", "$bridges/mqtt:down", "$bridges/mqtt:other"]);
}

#[tokio::test]
async fn resubscribes_when_the_session_is_gone_and_only_then() {
    let (broker, house) = (Broker::start().await, House::new());
    let more = "proto_ver = \"v5\"\nclean_start = false";
    let (_connector, _sink, peer, _) = receiving(&broker, &house, more, "topic = \"t\"").await;
    drop(peer);
    let mut peer = broker.welcome(true).await;
    assert!(peer.is_quiet().await, "the session has its subscription");
    drop(peer);
    let mut peer = broker.welcome(false).await;
    peer.grant().await;
}

#[tokio::test]
async fn a_clean_session_does_not_replay_retained_messages() {
    let (broker, house) = (Broker::start().await, House::new());
    let (_connector, _sink, peer, _) =
        receiving(&broker, &house, "proto_ver = \"v5\"", "topic = \"t\"").await;
    drop(peer);
    let mut peer = broker.welcome(false).await;
    assert_eq!(peer.grant().await.topic_filters[0].1.retain_handling, RetainHandling::NoAtSubscribe);
}

#[tokio::test]
async fn a_refused_subscription_shows() {
    let (broker, house) = (Broker::start().await, House::new());
    let connector = open(&format!("server = \"{}\"\npool_size = 1", broker.address()), &house);
    connector.add_source(source("down", "parameters = { topic = \"t\" }"));
    let (one, two) = (broker.welcome(false).await, broker.welcome(false).await);
    let (_sink, mut peer) = if two.clientid().ends_with(":s1") { (one, two) } else { (two, one) };
    peer.answer_subscribe(SubscribeAckReason::UnspecifiedError).await;
    source_status(&connector, "down", State::Disconnected, "the remote refused to subscribe to `t`").await;
    peer.grant().await;
    source_status(&connector, "down", State::Connected, "").await;
    assert_eq!(connector.source_status("nobody"), None);
}

#[tokio::test]
async fn a_shared_subscription_is_on_every_client_and_a_removed_one_on_none() {
    let (broker, house) = (Broker::start().await, House::new());
    let connector = open(&format!("server = \"{}\"\npool_size = 2", broker.address()), &house);
    connector.add_source(source("down", "parameters = { topic = \"$share/g/t\" }"));
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(broker.welcome(false).await);
    }
    peers.retain(|peer| peer.clientid().contains(":s"));
    assert_eq!(peers.len(), 2);
    for peer in &mut peers {
        assert_eq!(&*peer.grant().await.topic_filters[0].0, "$share/g/t");
    }
    peers[0].publish("t", "x", 1, &[]).await;
    assert_eq!(peers[0].next().await, Got::PublishAck(1));
    assert_eq!(house.payloads(), ["x"]);
    connector.remove_source("down");
    for peer in &mut peers {
        let Got::Unsubscribe(unsubscribe) = peer.next().await else { panic!("no UNSUBSCRIBE") };
        assert_eq!(&*unsubscribe.topic_filters[0], "$share/g/t");
    }
}

#[tokio::test]
async fn stopping_acknowledges_what_is_delivered_and_never_unsubscribes() {
    let (broker, house) = (Broker::start().await, House::holding());
    let (connector, _sink, mut peer, _) = receiving(&broker, &house, "", "topic = \"t\"").await;
    peer.publish("t", "a", 1, &[]).await;
    house.wait_seen(1).await;
    let stop = connector.stop(later());
    let rest = async {
        tokio::task::yield_now().await;
        house.take_parts().into_iter().for_each(event::Part::settle);
        assert_eq!(peer.next().await, Got::PublishAck(1));
        assert_eq!(peer.next().await, Got::Disconnect);
        assert_eq!(peer.next().await, Got::Closed);
    };
    tokio::join!(stop, rest);
}

#[tokio::test]
async fn a_client_for_both_directions_that_is_full_comes_back_for_the_rest_when_it_is_not() {
    let (broker, house) = (Broker::start().await, House::holding());
    let toml = format!(
        "server = \"{}\"\nclean_start = false\nstatic_clientids = [{{ node = \"abc\", ids = [\"dev\"] }}]",
        broker.address()
    );
    let connector = open(&toml, &house);
    connector.add_source(source("down", "parameters = { topic = \"t\" }"));
    let mut peer = broker.welcome(false).await;
    peer.grant().await;
    for id in 1..=1001 {
        peer.publish("t", "x", id, &[]).await;
    }
    house.wait_seen(1000).await;
    house.take_parts().into_iter().for_each(event::Part::settle);
    for id in 1..=1000 {
        assert_eq!(peer.next().await, Got::PublishAck(id));
    }
    assert_eq!(peer.next().await, Got::Disconnect);
    crate::house::status(&connector, State::Connecting, "passed over").await;
    let mut peer = broker.welcome(true).await;
    peer.publish("t", "y", 1001, &[]).await;
    house.wait_seen(1001).await;
    house.take_parts().into_iter().for_each(event::Part::settle);
    assert_eq!(peer.next().await, Got::PublishAck(1001));
}

#[tokio::test]
async fn a_message_of_qos_2_runs_the_rules_once() {
    let (broker, house) = (Broker::start().await, House::holding());
    let (_connector, _sink, mut peer, _) = receiving(&broker, &house, "", "topic = \"t\"").await;
    peer.publish_twice("t", "x", 5).await;
    house.wait_seen(1).await;
    assert!(peer.is_quiet().await, "nothing is settled");
    house.take_parts().into_iter().for_each(event::Part::settle);
    assert_eq!(peer.next().await, Got::PublishReceived(5));
    peer.publish_twice("t", "x", 5).await;
    assert_eq!((peer.next().await, peer.next().await), (Got::PublishReceived(5), Got::PublishReceived(5)));
    peer.pubrel(5).await;
    assert_eq!(peer.next().await, Got::PublishComplete(5));
    assert_eq!(house.seen().len(), 1);
}

#[tokio::test]
async fn a_source_that_wants_no_more_than_receipt_says_so() {
    let (broker, house) = (Broker::start().await, House::new());
    let connector = open(&format!("server = \"{}\"\npool_size = 1", broker.address()), &house);
    connector.add_source(source("down", "ack = \"received\"\nparameters = { topic = \"t\" }"));
    let (one, two) = (broker.welcome(false).await, broker.welcome(false).await);
    let mut peer = if one.clientid().ends_with(":s1") { one } else { two };
    peer.grant().await;
    peer.publish("t", "x", 1, &[]).await;
    assert_eq!(house.wait_seen(1).await[0].level, Some(AckLevel::Received));
    assert_eq!(peer.next().await, Got::PublishAck(1));
}

#[tokio::test]
async fn a_flood_lets_others_run_in_between_and_is_taken_whole() {
    const COUNT: usize = 50;
    let (broker, house) = (Broker::start().await, House::busy());
    let (_connector, _sink, peer, _) = receiving(&broker, &house, "", "topic = \"t\"").await;
    tokio::spawn(peer.publish_and_close("t", 0..COUNT));
    // On one thread with the connector: what is new since the last look was done in one go.
    let (mut seen, mut longest) = (0, 0);
    while seen < COUNT {
        tokio::task::yield_now().await;
        let now = house.seen().len();
        longest = longest.max(now - seen);
        seen = now;
    }
    assert_eq!(longest, 1, "each is as much as may be done in one go");
    assert!(house.payloads().iter().enumerate().all(|(n, payload)| *payload == n.to_string()));
}
