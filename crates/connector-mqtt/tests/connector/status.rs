//! What the status says when the remote cannot be used, and that it heals by itself.

use std::time::Duration;

use connector::State;
use mqtt::{ConnectAck, ConnectAckReason};
use testkit::free_port;

use crate::broker::Broker;
use crate::house::{House, later, open, settings, status};

#[tokio::test]
async fn nobody_listens_and_then_somebody_does() {
    let port = free_port();
    let connector = open(&format!("server = \"127.0.0.1:{port}\"\npool_size = 1"), &House::new());
    status(&connector, State::Disconnected, "TCP: 127.0.0.1").await;
    status(&connector, State::Disconnected, "connection refused").await;
    let broker = Broker::at(([127, 0, 0, 1], port).into()).await;
    let _peer = broker.welcome(false).await;
    status(&connector, State::Connected, "").await;
}

#[tokio::test]
async fn a_name_that_is_none_is_said() {
    let connector = open("server = \"nowhere.invalid\"\npool_size = 1", &House::new());
    status(&connector, State::Disconnected, "name resolution: `nowhere.invalid`").await;
}

#[tokio::test]
async fn a_remote_that_says_nothing_is_given_up() {
    let broker = Broker::start().await;
    let toml = format!("server = \"{}\"\npool_size = 1\nconnect_timeout = \"100ms\"", broker.address());
    let connector = open(&toml, &House::new());
    status(&connector, State::Disconnected, "MQTT login: no answer from").await;
}

#[tokio::test]
async fn a_refusal_is_said_in_words() {
    for (version, code, words) in [
        ("v4", ConnectAckReason::BadUserNameOrPassword, "bad user name or password"),
        ("v5", ConnectAckReason::NotAuthorized, "not authorized (0x87)"),
        ("v5", ConnectAckReason::Banned, "banned (0x8A)"),
    ] {
        let broker = Broker::start().await;
        let toml = format!("server = \"{}\"\npool_size = 1\nproto_ver = \"{version}\"", broker.address());
        let connector = open(&toml, &House::new());
        let mut peer = broker.accept().await;
        peer.answer(ConnectAck { reason_code: code, ..ConnectAck::default() }).await;
        status(&connector, State::Disconnected, words).await;
    }
}

#[tokio::test]
async fn the_worst_client_of_a_pool_speaks_for_all() {
    let broker = Broker::start().await;
    let connector = open(&format!("server = \"{}\"\npool_size = 2", broker.address()), &House::new());
    let one = broker.welcome(false).await;
    status(&connector, State::Connecting, "connecting to").await;
    let two = broker.welcome(false).await;
    status(&connector, State::Connected, "").await;
    let mut ids = [one.clientid().to_owned(), two.clientid().to_owned()];
    ids.sort();
    assert_eq!(ids, ["clouda9993e36:1", "clouda9993e36:2"]);
    drop(two);
    status(&connector, State::Disconnected, "the remote").await;
    connector.stop(later()).await;
    status(&connector, State::Stopped, "").await;
}

#[tokio::test]
async fn a_disconnect_is_said_with_its_reason() {
    let broker = Broker::start().await;
    let toml = format!("server = \"{}\"\npool_size = 1\nproto_ver = \"v5\"", broker.address());
    let connector = open(&toml, &House::new());
    broker.welcome(false).await.disconnect(mqtt::DisconnectReasonCode::SessionTakenOver).await;
    status(&connector, State::Disconnected, "session taken over (0x8E)").await;
}

#[tokio::test]
async fn a_node_without_static_ids_says_so() {
    let toml = "server = \"127.0.0.1\"\nstatic_clientids = [{ node = \"other\", ids = [\"x\"] }]";
    let connector = open(toml, &House::new());
    status(&connector, State::Disconnected, "no client ids are assigned to the node `abc`").await;
}

#[tokio::test]
async fn a_probe_tells_how_far_it_came() {
    let probe = |toml: String| {
        (connector_mqtt::KIND.probe)(settings(&toml), House::new().context(), Duration::from_secs(5))
    };
    let port = free_port();
    let error = probe(format!("server = \"127.0.0.1:{port}\"")).await.unwrap_err();
    assert_eq!(error.stage, "TCP");
    let broker = Broker::start().await;
    let (outcome, mut peer) =
        tokio::join!(probe(format!("server = \"{}\"", broker.address())), broker.welcome(false));
    assert_eq!(outcome, Ok(()));
    assert_eq!(peer.clientid(), "clouda9993e36:probe");
    assert_eq!(peer.next().await, crate::broker::Got::Disconnect);
}
