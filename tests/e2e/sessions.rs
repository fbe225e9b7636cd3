//! Sessions and retained messages outlive the server, however it ends.

use testkit::{Client, Publish, wait_until};

use crate::{gate, number};

const COUNT: usize = 200;

fn numbered(n: usize) -> Publish {
    Publish { topic: "t/1".into(), payload: n.to_string().into(), qos: 1, ..Publish::default() }
}

#[tokio::test]
async fn what_was_acknowledged_for_a_kept_session_survives_kill_9() {
    let mut gate = gate().start().await;
    let reader = Client::builder("reader").keeps_session().connect(gate.mqtt()).await;
    reader.subscribe("t/#", 1).await;
    drop(reader);
    let device = Client::connect(gate.mqtt(), "device").await;
    let retained =
        Publish { topic: "state".into(), payload: b"on".to_vec(), qos: 1, retain: true, properties: None };
    device.send(retained).await.wait(&device).await;
    let mut receipts = Vec::new();
    for n in 0..COUNT {
        receipts.push(device.send(numbered(n)).await);
    }
    for receipt in receipts {
        receipt.wait(&device).await;
    }
    // The last acknowledgement has come: nothing more may be needed.
    gate.kill().await;
    drop(device);
    gate.resume().await;

    let reader = Client::builder("reader").keeps_session().connect(gate.mqtt()).await;
    let numbers: Vec<usize> = reader.take("t/1", COUNT).await.iter().map(number).collect();
    assert!(numbers.iter().copied().eq(0..COUNT), "{numbers:?}");
    reader.subscribe("state", 1).await;
    assert_eq!(reader.next("state").await.payload, b"on");
    reader.nothing("t/#").await;
}

#[tokio::test]
async fn a_log_of_another_version_refuses_the_start_with_a_way_out() {
    let mut gate = gate().start().await;
    assert!(gate.terminate().await.success());
    let log = gate.home().join("data/broker/00000001.log");
    let mut bytes = std::fs::read(&log).expect("the log can be read");
    bytes[8] = 77;
    std::fs::write(&log, bytes).expect("the log can be written");
    let output = std::process::Command::new(crate::PROGRAM)
        .current_dir(gate.home())
        .args(["run", "--mqtt-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
        .output()
        .expect("the binary runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("has format 77") && said.contains("move the file away"), "{said}");
}

#[tokio::test]
async fn without_persistence_nothing_is_written() {
    let mut gate = gate().config("[mqtt.persistence]\nenable = false\n").start().await;
    let reader = Client::builder("reader").keeps_session().connect(gate.mqtt()).await;
    reader.subscribe("t/#", 1).await;
    drop(reader);
    assert!(!gate.home().join("data/broker").exists());
    assert!(gate.terminate().await.success());
}

#[tokio::test]
async fn rules_see_sys_topics_only_when_they_name_them_and_are_let() {
    let gate = gate()
        .config("[mqtt]\nsys_msg_interval = \"100ms\"\n")
        .rule("all", "SELECT * FROM \"#\"")
        .rule("sys", "SELECT * FROM \"$SYS/brokers/+/uptime\"")
        .start()
        .await;
    let let_see = serde_json::json!({ "ignore_sys_message": false });
    gate.http().put("/api/v5/rule_engine", &let_see).await.expect(200);
    wait_until("the rule that names them has seen some", async || {
        let metrics = gate.http().get("/api/v5/rules/sys/metrics").await.json();
        metrics["metrics"]["matched"].as_u64() > Some(2)
    })
    .await;
    let client = Client::connect(gate.mqtt(), "c").await;
    client.publish("plain", "x", 1).await;
    gate.wait_metric("/rules/all", "matched", 1).await;
}
