//! Acknowledged means safe: who sent a message hears so when its last action is done with it, and not before.

use std::collections::BTreeSet;

use testkit::{Client, Mosquitto, Publish};

use crate::{UPLINK, cloud, gate, number};

const COUNT: usize = 20;

fn numbered(n: usize) -> Publish {
    Publish { topic: "t/1".into(), payload: n.to_string().into(), qos: 1, ..Publish::default() }
}

#[tokio::test]
async fn a_source_acknowledges_when_the_far_sink_has_it_even_over_a_crash() {
    let near = Mosquitto::builder().keeps().start().await;
    let mut far = Mosquitto::builder().keeps().start().await;
    let source = format!(
        "[connectors.mqtt.near]\nserver = \"{}\"\nclean_start = false\nproto_ver = \"v5\"\npool_size = 1\n\
         [sources.mqtt.s1]\nconnector = \"near\"\nparameters = {{ topic = \"t/#\", qos = 1 }}\n",
        near.address()
    );
    let mut gate = gate()
        .file("near.toml", &source)
        .file("cloud.toml", &cloud(&far, "pool_size = 1", UPLINK))
        .rule("through", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"$bridges/mqtt:s1\"")
        .start()
        .await;
    near.wait_subscribed("t/#").await;
    let reader = Client::builder("reader").keeps_session().connect(far.address()).await;
    reader.subscribe("pub/#", 1).await;
    far.stop().await;

    let device = Client::connect(near.address(), "device").await;
    for n in 0..COUNT {
        device.send(numbered(n)).await.wait(&device).await;
    }
    gate.wait_metric("/rules/through", "passed", COUNT as u64).await;
    // All of it is in memory only, and none of it is acknowledged to where it came from.
    gate.kill().await;
    far.resume().await;
    gate.resume().await;

    let mut seen = BTreeSet::new();
    while seen.len() < COUNT {
        seen.insert(number(&reader.next("pub/t/1").await));
    }
    gate.wait_metric("/actions/mqtt:uplink", "success", COUNT as u64).await;

    // Now it is acknowledged: nothing comes a second time.
    assert!(gate.terminate().await.success());
    gate.resume().await;
    gate.wait_status("/sources/mqtt:s1", "connected").await;
    device.send(numbered(COUNT)).await.wait(&device).await;
    assert_eq!(number(&reader.next("pub/t/1").await), COUNT);
    reader.nothing("pub/#").await;
}

#[tokio::test]
async fn a_publisher_waits_for_delivery_where_that_is_asked_for() {
    let mut remote = Mosquitto::builder().keeps().start().await;
    let gate = gate()
        .config("[mqtt]\nack = \"delivered\"\n")
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", UPLINK))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let device = Client::connect(gate.mqtt(), "device").await;
    // What no rule wants waits for nobody, and neither does what is delivered at once.
    device.publish("elsewhere", "", 1).await;
    device.send(numbered(0)).await.wait(&device).await;

    remote.stop().await;
    let mut receipts = Vec::new();
    for n in 1..=3 {
        receipts.push(device.send(numbered(n)).await);
    }
    gate.wait_metric("/rules/to_cloud", "passed", 4).await;
    assert!(receipts.iter_mut().all(|receipt| !receipt.came()));

    remote.resume().await;
    for receipt in receipts {
        receipt.wait(&device).await;
    }
    gate.wait_metric("/actions/mqtt:uplink", "success", 4).await;
}
