//! What is acknowledged to publishers is on disk, and stays there over whatever happens to the process or the remote.

use std::time::{Duration, Instant};

use testkit::{Client, Mosquitto, Publish};

use crate::{cloud, gate, number};

const COUNT: usize = 500;

/// The action of [`crate::UPLINK`], with its requests on disk.
const DISK: &str = "[actions.mqtt.uplink]\nconnector = \"cloud\"\n\
     parameters = { topic = \"pub/${topic}\", qos = 1, payload = \"${payload}\" }\n\
     resource_opts = { buffer_mode = \"disk\" }\n";

/// Publishes numbers and waits until all of them are acknowledged.
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

#[tokio::test]
async fn what_publishers_were_acknowledged_outlives_kill_9_with_the_remote_down() {
    let mut remote = Mosquitto::builder().keeps().start().await;
    let mut gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 2\nproto_ver = \"v5\"", DISK))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::builder("reader").keeps_session().connect(remote.address()).await;
    reader.subscribe("pub/#", 1).await;
    let device = Client::connect(gate.mqtt(), "device").await;
    publish(&device, 0..COUNT).await;
    gate.wait_metric("/actions/mqtt:uplink", "success", COUNT as u64).await;

    remote.stop().await;
    publish(&device, COUNT..2 * COUNT).await;
    gate.kill().await;
    // Twice, since starting must not lose anything either.
    gate.resume().await;
    gate.wait_metric("/actions/mqtt:uplink", "queuing", COUNT as u64).await;
    gate.kill().await;
    gate.resume().await;
    let device = Client::connect(gate.mqtt(), "device").await;
    publish(&device, 2 * COUNT..3 * COUNT).await;
    gate.wait_metric("/actions/mqtt:uplink", "matched", 2 * COUNT as u64).await;

    // With a remote that is down there is nothing to wait for: what waits is on disk.
    let begun = Instant::now();
    assert!(gate.terminate().await.success());
    assert!(begun.elapsed() < Duration::from_secs(5), "the end took {:?}", begun.elapsed());

    remote.resume().await;
    gate.resume().await;
    // Nothing was in flight when it was killed, so nothing comes twice.
    for n in 0..3 * COUNT {
        assert_eq!(number(&reader.next("pub/t/1").await), n);
    }
    gate.wait_metric("/actions/mqtt:uplink", "success", 2 * COUNT as u64).await;
    gate.wait_metric("/actions/mqtt:uplink", "queuing", 0).await;
    reader.nothing("pub/#").await;
}

#[tokio::test]
async fn an_edit_moves_what_waits_and_a_deletion_says_what_it_would_discard() {
    let mut remote = Mosquitto::builder().keeps().start().await;
    let action = |mode: &str| DISK.replace("\"disk\"", &format!("\"{mode}\""));
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", ""))
        .file("uplink.toml", &action("memory"))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::builder("reader").keeps_session().connect(remote.address()).await;
    reader.subscribe("pub/#", 1).await;
    remote.stop().await;
    let device = Client::connect(gate.mqtt(), "device").await;
    for (round, mode) in ["disk", "hybrid", "disk", "memory", "disk"].into_iter().enumerate() {
        publish(&device, round * 20..(round + 1) * 20).await;
        gate.write("uplink.toml", &action(mode));
        let path = "/api/v5/actions/mqtt:uplink";
        testkit::wait_until(&format!("it is {mode}"), async || {
            gate.http().get(path).await.json()["resource_opts"]["buffer_mode"] == mode
        })
        .await;
        gate.wait_metric("/actions/mqtt:uplink", "queuing", (round as u64 + 1) * 20).await;
    }

    // Without a declaration what waits stays on disk, and is found again.
    gate.remove("to_cloud.sql");
    gate.remove("uplink.toml");
    testkit::wait_until("the buffer has no action", async || {
        let buffers = gate.http().get("/api/v5/buffers").await.json();
        buffers[0]["id"] == "mqtt:uplink" && buffers[0]["messages"] == 100
    })
    .await;
    let body = serde_json::json!({
        "type": "mqtt", "name": "uplink", "connector": "cloud",
        "parameters": { "topic": "pub/${topic}", "qos": 1, "payload": "${payload}" },
        "resource_opts": { "buffer_mode": "disk" },
    });
    assert_eq!(gate.http().post("/api/v5/actions", &body).await.status, 201);
    gate.wait_metric("/actions/mqtt:uplink", "queuing", 100).await;
    assert_eq!(gate.http().get("/api/v5/buffers").await.json(), serde_json::json!([]));

    let refused = gate.http().delete("/api/v5/actions/mqtt:uplink").await;
    assert_eq!(refused.status, 400);
    let message = refused.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("100 messages") && message.contains("discard_buffered=true"), "{message}");

    remote.resume().await;
    for n in 0..100 {
        assert_eq!(number(&reader.next("pub/t/1").await), n);
    }
    gate.wait_metric("/actions/mqtt:uplink", "queuing", 0).await;
    remote.stop().await;
    let rule =
        serde_json::json!({ "id": "again", "sql": "SELECT * FROM \"t/#\"", "actions": ["mqtt:uplink"] });
    assert_eq!(gate.http().post("/api/v5/rules", &rule).await.status, 201);
    publish(&device, 0..3).await;
    assert_eq!(gate.http().delete("/api/v5/rules/again").await.status, 204);
    let discarded = gate.http().delete("/api/v5/actions/mqtt:uplink?discard_buffered=true").await;
    assert_eq!(discarded.status, 204, "{discarded}");
    assert_eq!(gate.http().get("/api/v5/buffers").await.json(), serde_json::json!([]));
    assert!(!gate.home().join("data/buffers/mqtt/uplink").exists());
}
