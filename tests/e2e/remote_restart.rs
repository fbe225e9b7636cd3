//! The remote goes away in the middle and comes back.

use std::collections::BTreeSet;

use testkit::{Client, Mosquitto, Publish, wait_until};

use crate::{UPLINK, cloud, gate, number};

/// Messages before, during and after.
const PHASE: usize = 300;

async fn publish(device: &Client, numbers: std::ops::Range<usize>) {
    let mut receipts = Vec::new();
    for n in numbers {
        let publish =
            Publish { topic: "t/1".into(), payload: n.to_string().into(), qos: 1, ..Publish::default() };
        receipts.push(device.send(publish).await);
    }
    for receipt in receipts {
        receipt.wait(device).await;
    }
}

async fn survives(settings: &str) {
    let mut remote = Mosquitto::builder().keeps().start().await;
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, settings, UPLINK))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::builder("reader").keeps_session().connect(remote.address()).await;
    reader.subscribe("pub/#", 1).await;
    let device = Client::connect(gate.mqtt(), "device").await;

    // Stopped while messages are on their way, not between two of them.
    publish(&device, 0..PHASE).await;
    let more = publish(&device, PHASE..2 * PHASE);
    tokio::join!(more, remote.stop());
    publish(&device, 2 * PHASE..3 * PHASE).await;
    remote.resume().await;
    publish(&device, 3 * PHASE..4 * PHASE).await;

    let mut seen = BTreeSet::new();
    let mut arrived = 0;
    while seen.len() < 4 * PHASE {
        let n = number(&reader.next("pub/t/1").await);
        arrived += 1;
        if seen.insert(n) {
            assert_eq!(n + 1, seen.len(), "{n} came before its turn");
        }
    }
    assert!(arrived < 5 * PHASE, "{arrived} messages for {}", 4 * PHASE);
    gate.wait_metric("/actions/mqtt:uplink", "success", 4 * PHASE as u64).await;
    gate.wait_metric("/actions/mqtt:uplink", "dropped", 0).await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
}

#[tokio::test]
async fn nothing_is_lost_by_mqtt_3_1_1() {
    survives("proto_ver = \"v4\"\npool_size = 2").await;
}

#[tokio::test]
async fn nothing_is_lost_by_mqtt_5() {
    survives("proto_ver = \"v5\"\npool_size = 2").await;
}

#[tokio::test]
async fn a_source_subscribes_again() {
    let source = "[sources.mqtt.s1]\nconnector = \"cloud\"\nparameters = { topic = \"far/#\", qos = 1 }\n";
    let rule = "--- actions = [{ function = \"republish\", args = { topic = \"near/${topic}\" } }]\n\
                SELECT * FROM \"$bridges/mqtt:s1\"";
    // It forgets everything, so nobody but us can bring the subscription back.
    let mut remote = Mosquitto::start().await;
    let gate = gate().file("cloud.toml", &cloud(&remote, "", source)).rule("r1", rule).start().await;
    remote.wait_subscribed("far/#").await;
    remote.stop().await;
    wait_until("the connector notices", async || {
        let answer = gate.http().get("/api/v5/connectors/mqtt:cloud").await.expect(200);
        answer.at("/status") != "connected"
    })
    .await;
    remote.resume().await;
    remote.wait_subscribed("far/#").await;

    let reader = Client::connect(gate.mqtt(), "reader").await;
    reader.subscribe("near/#", 1).await;
    Client::connect(remote.address(), "device").await.publish("far/1", "x", 1).await;
    reader.next("near/far/1").await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
}

#[tokio::test]
async fn a_remote_that_is_away_at_the_start_is_found_later() {
    let mut remote = Mosquitto::start().await;
    remote.stop().await;
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", UPLINK))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    let device = Client::connect(gate.mqtt(), "device").await;
    device.publish("t/1", "0", 1).await;
    gate.wait_metric("/actions/mqtt:uplink", "queuing", 1).await;

    remote.resume().await;
    gate.wait_metric("/actions/mqtt:uplink", "success", 1).await;
    gate.wait_metric("/actions/mqtt:uplink", "queuing", 0).await;
}
