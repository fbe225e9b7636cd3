//! PUBACK and PUBREC hang on the completion of the event.

use std::time::Duration;

use crate::raw::{Hello, message};
use crate::server::{Server, until};

#[tokio::test]
async fn acknowledgements_wait_until_the_rules_are_done() {
    let server = Server::start().await;
    server.rules.hold();
    let mut subscriber = server.client("s").await;
    subscriber.subscribe(&[("t", 0)]).await;
    for hello in [Hello::v311("p"), Hello::v5("p")] {
        let mut publisher = server.connect(hello).await;
        publisher.publish(&message("t", "x").qos(1, 5)).await;
        publisher.publish(&message("t", "y").qos(2, 6)).await;
        // Subscribers do not wait for rules.
        assert_eq!(subscriber.payload().await, "x");
        assert_eq!(subscriber.payload().await, "y");
        publisher.silence().await;
        server.rules.settle(0);
        publisher.acked(0x40, 5).await;
        publisher.silence().await;
        server.rules.settle(0);
        publisher.acked(0x50, 6).await;
        publisher.ack(0x62, 6).await;
        publisher.acked(0x70, 6).await;
        publisher.disconnect().await;
    }
}

#[tokio::test]
async fn mqtt_4_6_0_2_acknowledgements_go_out_in_receive_order() {
    let server = Server::start().await;
    server.rules.hold();
    let mut publisher = server.client("p").await;
    for (id, qos) in [(1, 1), (2, 2), (3, 1)] {
        publisher.publish(&message("t", "x").qos(qos, id)).await;
    }
    publisher.ping().await;
    server.rules.settle(2);
    server.rules.settle(1);
    publisher.silence().await;
    server.rules.settle(0);
    publisher.acked(0x40, 1).await;
    publisher.acked(0x50, 2).await;
    publisher.acked(0x40, 3).await;
}

#[tokio::test]
async fn what_was_abandoned_is_never_acknowledged_and_the_client_must_send_it_again() {
    let server = Server::start().await;
    server.rules.hold();
    let mut publisher = server.connect(Hello::v5("p").kept()).await;
    publisher.publish(&message("t", "one").qos(1, 1)).await;
    publisher.publish(&message("t", "two").qos(2, 2)).await;
    publisher.ping().await;
    server.rules.abandon(1);
    publisher.silence().await;
    server.rules.settle(0);
    publisher.acked(0x40, 1).await;
    publisher.ended(0x83).await;
    let mut publisher = server.connect(Hello::v5("p").kept()).await;
    publisher.publish(&message("t", "two").qos(2, 2).again()).await;
    until(|| server.rules.held() == 1, "it was judged again").await;
    server.rules.settle(0);
    publisher.acked(0x50, 2).await;
    assert_eq!(server.rules.payloads(), ["one", "two", "two"]);
}

#[tokio::test]
async fn a_repeated_packet_id_of_qos_2_waits_for_the_first_and_runs_no_rule() {
    let server = Server::start().await;
    server.rules.hold();
    let mut publisher = server.connect(Hello::v5("p").kept()).await;
    publisher.publish(&message("t", "x").qos(2, 2)).await;
    publisher.publish(&message("t", "x").qos(2, 2).again()).await;
    publisher.ping().await;
    drop(publisher);
    let mut publisher = server.connect(Hello::v5("p").kept()).await;
    publisher.publish(&message("t", "x").qos(2, 2).again()).await;
    publisher.silence().await;
    assert_eq!(server.rules.held(), 1);
    server.rules.settle(0);
    publisher.acked(0x50, 2).await;
    // Settled while nobody is there: the next repetition is answered at once.
    publisher.publish(&message("t", "y").qos(2, 3)).await;
    publisher.ping().await;
    drop(publisher);
    until(|| server.broker.metrics().connections == 0, "it has left").await;
    server.rules.settle(0);
    let mut publisher = server.connect(Hello::v5("p").kept()).await;
    publisher.publish(&message("t", "y").qos(2, 3).again()).await;
    publisher.acked(0x50, 3).await;
    assert_eq!(server.rules.payloads(), ["x", "y"]);
}

#[tokio::test]
async fn before_mqtt_5_a_client_at_the_bound_is_not_read_and_not_given_up() {
    let server = Server::with(|config| config.limits.receive_max = 2).await;
    server.rules.hold();
    let mut publisher = server.connect(Hello::v311("p").keep_alive(1)).await;
    for id in 1..=5 {
        publisher.publish(&message("t", &id.to_string()).qos(1, id)).await;
    }
    until(|| server.rules.held() == 2, "two are under way").await;
    // Longer than the keep-alive: its clock stands still while the client is not read.
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    publisher.silence().await;
    assert_eq!(server.rules.held(), 2);
    server.rules.settle(0);
    publisher.acked(0x40, 1).await;
    until(|| server.rules.held() == 2, "one more").await;
    for id in 2..=5 {
        until(|| server.rules.held() > 0, "the next").await;
        server.rules.settle(0);
        publisher.acked(0x40, id).await;
    }
    publisher.ping().await;
    assert_eq!(server.rules.payloads(), ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn what_settles_after_its_connection_has_ended_hurts_nobody() {
    let server = Server::start().await;
    server.rules.hold();
    let mut publisher = server.client("p").await;
    publisher.publish(&message("t", "x").qos(1, 1)).await;
    publisher.ping().await;
    drop(publisher);
    until(|| server.broker.metrics().sessions == 0, "it has left").await;
    server.rules.settle(0);
    server.client("p").await.ping().await;
}

#[tokio::test]
async fn a_stream_that_is_looked_at_later_is_read_to_its_end_and_pings_in_it_are_answered() {
    let server = Server::start().await;
    server.rules.rest();
    let mut publisher = server.connect(Hello::v311("p")).await;
    let payload = "x".repeat(100);
    let batch = |first: u16| -> Vec<u8> {
        (first..first + 20).flat_map(|id| message("t", &payload).qos(1, id).bytes(4)).collect()
    };
    // As many as are on their way at most, time and again: more than enough to be let gather, and never all that is waited for.
    for round in 0..200 {
        publisher.send(&batch(1 + round * 20)).await;
        for id in 0..20 {
            publisher.acked(0x40, 1 + round * 20 + id).await;
        }
        if round % 50 == 0 {
            publisher.ping().await;
        }
    }
    assert_eq!(server.rules.payloads().len(), 4000);
    // One alone, behind a stream, comes through as well.
    publisher.publish(&message("t", "last").qos(1, 5000)).await;
    publisher.acked(0x40, 5000).await;
}
