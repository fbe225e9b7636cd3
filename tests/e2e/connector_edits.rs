//! A connector is edited while messages flow: only what must change does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::{Client, Mosquitto, Sluicegate, wait_for};

use crate::{cloud, gate, number};

const ACTION: &str = "[actions.mqtt.uplink]\nconnector = \"cloud\"\n\
    parameters = { topic = \"pub/${topic}\", qos = 1, payload = \"${payload}\" }\n";
const TOPICS: usize = 5;

async fn generation(gate: &Sluicegate) -> u64 {
    let answer = gate.http().get("/api/v5/status?format=json").await.expect(200);
    answer.at("/generation").as_u64().unwrap_or_else(|| panic!("no generation in {answer}"))
}

/// Edits the file of the connector and waits until that is live and every client is connected.
async fn edit(gate: &Sluicegate, remote: &Mosquitto, settings: &str) {
    let before = generation(gate).await;
    gate.write("cloud.toml", &cloud(remote, &format!("proto_ver = \"v5\"\n{settings}"), ACTION));
    wait_for("the edit is live", async || {
        let now = generation(gate).await;
        if now > before { Ok(()) } else { Err(format!("generation {now}")) }
    })
    .await;
}

fn count(remote: &Mosquitto, part: &str) -> usize {
    remote.process().lines().iter().filter(|line| line.contains(part) && line.contains("cloud")).count()
}

async fn connections(remote: &Mosquitto, came: usize, went: usize) {
    wait_for(&format!("{came} clients have come and {went} have gone"), async || {
        let now = (count(remote, "New client connected"), count(remote, " disconnected"));
        if now == (came, went) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_come_and_go_one_by_one_and_no_message_notices() {
    let remote = Mosquitto::start().await;
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "proto_ver = \"v5\"\npool_size = 2", ACTION))
        .rule("load", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"load/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let far = Client::connect(remote.address(), "far").await;
    far.subscribe("pub/#", 1).await;
    let enough = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(load(gate.mqtt(), Arc::clone(&enough)));

    edit(&gate, &remote, "pool_size = 2\ndescription = \"said\"\nmax_inflight = 8").await;
    edit(
        &gate,
        &remote,
        "pool_size = 2\nretry_interval = \"9s\"\nping_timeout = \"7s\"\nconnect_timeout = \"3s\"",
    )
    .await;
    connections(&remote, 2, 0).await;
    edit(&gate, &remote, "pool_size = 5").await;
    connections(&remote, 5, 0).await;
    edit(&gate, &remote, "pool_size = 1").await;
    connections(&remote, 5, 4).await;
    edit(&gate, &remote, "pool_size = 3").await;
    connections(&remote, 7, 4).await;

    enough.store(true, Ordering::Relaxed);
    let sent = load.await.expect("the load ends well");
    let messages = far.take("pub/#", sent).await;
    far.nothing("pub/#").await;
    let mut last: HashMap<String, usize> = HashMap::new();
    for message in &messages {
        let now = number(message);
        if let Some(before) = last.insert(message.topic.clone(), now) {
            assert_eq!(now, before + TOPICS, "on {}: doubled, lost or out of order", message.topic);
        }
    }
    gate.wait_metric("/actions/mqtt:uplink", "success", sent as u64).await;
    gate.wait_metric("/actions/mqtt:uplink", "retried", 0).await;

    // What CONNECT says cannot change on a connection.
    edit(&gate, &remote, "pool_size = 3\nkeepalive = \"33s\"").await;
    connections(&remote, 10, 7).await;
}

/// Publishes until it is enough, a few at a time, and returns how many.
async fn load(address: std::net::SocketAddr, enough: Arc<AtomicBool>) -> usize {
    let publisher = Client::connect(address, "publisher").await;
    let mut sent = 0;
    while !enough.load(Ordering::Relaxed) {
        let mut receipts = Vec::new();
        for _ in 0..20 {
            let topic = format!("load/{}", sent % TOPICS);
            let publish =
                testkit::Publish { topic, payload: sent.to_string().into(), qos: 1, ..Default::default() };
            receipts.push(publisher.send(publish).await);
            sent += 1;
        }
        for receipt in receipts {
            receipt.wait(&publisher).await;
        }
    }
    sent
}

#[tokio::test]
async fn what_is_deleted_in_one_go_is_gone_with_its_subscription() {
    let remote = Mosquitto::start().await;
    let source = "[sources.mqtt.far]\nconnector = \"cloud\"\nparameters = { topic = \"far/#\" }\n";
    let gate = gate()
        .file(
            "cloud.toml",
            &cloud(&remote, "clean_start = false\npool_size = 1", &format!("{ACTION}\n{source}")),
        )
        .rule("load", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"load/#\"")
        .start()
        .await;
    gate.wait_status("/sources/mqtt:far", "connected").await;
    gate.remove("load.sql");
    gate.remove("cloud.toml");
    // A session that lasts would go on collecting for nobody.
    remote.process().wait_line("far/#").await;
    wait_for("the subscription is gone", async || {
        let lines = remote.process().lines();
        let gone = lines.iter().any(|line| {
            line.contains("unsubscrib")
                || line.contains("UNSUBSCRIBE")
                || line.contains("cloud") && line.ends_with(" far/#") && !line.contains(" 1 far/#")
        });
        if gone { Ok(()) } else { Err(lines.join("\n")) }
    })
    .await;
    for path in ["/connectors/mqtt:cloud", "/sources/mqtt:far", "/actions/mqtt:uplink", "/rules/load"] {
        gate.http().get(&format!("/api/v5{path}")).await.expect(404);
    }
}
