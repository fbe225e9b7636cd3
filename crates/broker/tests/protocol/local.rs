//! What the server itself publishes, and how it stops.

use std::time::Duration;

use event::{EventKind, LocalMessage, LocalPublish, Properties, PublishError, Trail};
use tokio::net::TcpStream;

use crate::raw::{Client, Hello, message};
use crate::server::Server;

fn local<'a>(topic: &'a str, payload: &'a [u8]) -> LocalMessage<'a> {
    LocalMessage {
        topic,
        qos: 1,
        retain: false,
        payload,
        properties: None,
        clientid: "rule-1",
        username: None,
        trail: Trail::empty().with(&"rule-1".into()),
        direct: false,
    }
}

#[tokio::test]
async fn a_republished_message_goes_to_sessions_and_to_the_rules() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("out/#", 1)]).await;
    let properties = Properties { content_type: Some("c".into()), ..Default::default() };
    let published = LocalMessage { retain: true, properties: Some(&properties), ..local("out/x", b"hello") };
    assert_eq!(server.broker.publish(&published, None), Ok(1));
    let got = subscriber.message().await;
    assert_eq!((&*got.payload, got.qos, &got.properties[..]), ("hello", 1, &[0x03, 0, 1, b'c'][..]));
    assert_eq!(server.broker.publish(&local("nowhere", b""), None), Ok(0));
    let seen = &server.rules.seen(EventKind::MessagePublish)[0];
    assert_eq!((&*seen.from, &*seen.columns["clientid"]), ("out/x", "rule-1"));
    assert!(!seen.columns.contains_key("peername"));
    assert_eq!(server.broker.metrics().retained, 1);
}

#[tokio::test]
async fn a_direct_message_goes_to_sessions_alone() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("out/#", 1)]).await;
    let direct = LocalMessage { retain: true, direct: true, ..local("out/x", b"hello") };
    assert_eq!(server.broker.publish(&direct, None), Ok(1));
    let got = subscriber.message().await;
    assert_eq!((&*got.payload, got.retain), ("hello", false));
    assert!(server.rules.seen(EventKind::MessagePublish).is_empty());
    assert_eq!(server.broker.metrics().retained, 0);
}

#[tokio::test]
async fn what_cannot_be_published_is_refused() {
    let server = Server::with(|config| config.limits.packet_bytes_max = 100).await;
    assert_eq!(server.broker.publish(&local("a/+", b""), None), Err(PublishError::InvalidTopic));
    assert_eq!(server.broker.publish(&local("", b""), None), Err(PublishError::InvalidTopic));
    assert_eq!(server.broker.publish(&local("a", &[0; 200]), None), Err(PublishError::TooLarge));
    assert!(server.broker.shutdown(Duration::from_secs(5)).await);
    assert_eq!(server.broker.publish(&local("a", b""), None), Err(PublishError::Closed));
}

#[tokio::test]
async fn many_messages_of_the_server_reach_a_subscriber_in_order() {
    let server = Server::start().await;
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("t", 0)]).await;
    for number in 0..3_000 {
        server.broker.publish(&local("t", number.to_string().as_bytes()), None).unwrap();
    }
    for number in 0..3_000 {
        assert_eq!(subscriber.payload().await, number.to_string());
    }
}

#[tokio::test]
async fn stopping_takes_no_new_clients_and_shutting_down_ends_all() {
    let server = Server::start().await;
    let mut watcher = server.connect(Hello::v5("w").kept()).await;
    watcher.subscribe(&[("will", 0)]).await;
    let mut v5 = server.connect(Hello::v5("a").will("will", "unsaid", 0, &[])).await;
    let mut v311 = server.connect(Hello::v311("b")).await;
    let mut silent = Client::open(server.address, 5).await;
    server.broker.stop_listening();
    for _ in 0..100 {
        // What waits in the backlog is closed when the listener is.
        let Ok(stream) = TcpStream::connect(server.address).await else { break };
        drop(stream);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(TcpStream::connect(server.address).await.is_err());
    v5.ping().await;
    let broker = std::sync::Arc::clone(&server.broker);
    let down = tokio::spawn(async move { broker.shutdown(Duration::from_secs(5)).await });
    v5.ended(0x8B).await;
    v311.ended(0).await;
    watcher.ended(0x8B).await;
    assert_eq!(silent.next().await, None);
    drop((v5, v311, watcher));
    assert!(down.await.unwrap());
    assert_eq!(server.broker.metrics().connections, 0);
}

#[tokio::test]
async fn addresses_that_cannot_be_bound_are_an_error() {
    let server = Server::start().await;
    let other = broker::Broker::new(broker::BrokerConfig::with_defaults(
        "other",
        std::sync::Arc::new(broker::Everybody),
        broker::AccessList::new(broker::Acl::open()),
    ));
    let taken = broker::Listener::tcp("taken", server.address, broker::Limits::declared());
    let error = other.open(std::sync::Arc::clone(&server.rules) as _, &[taken]).await.unwrap_err();
    assert_eq!(error.cause.kind(), std::io::ErrorKind::AddrInUse);
    let place = format!("cannot listen on {} for `taken`", server.address);
    assert!(error.to_string().starts_with(&place), "{error}");
}

#[tokio::test]
async fn counters_count() {
    let server = Server::start().await;
    let mut client = server.client("a").await;
    client.subscribe(&[("t", 0)]).await;
    client.publish(&message("t", "x")).await;
    client.message().await;
    client.ping().await;
    let metrics = server.broker.metrics();
    assert_eq!((metrics.messages_received, metrics.messages_sent, metrics.clients_connected), (1, 1, 1));
    assert_eq!((metrics.connections, metrics.sessions, metrics.subscriptions), (1, 1, 1));
    assert!(metrics.bytes_received > 20 && metrics.bytes_sent > 10, "{metrics:?}");
}
