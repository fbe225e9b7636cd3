//! Local topics on a broker that runs already, here a mosquitto.

use serde_json::Value;
use testkit::{Client, Mosquitto, Sluicegate, SluicegateBuilder, wait_for};

use crate::{UPLINK, cloud, gate};

const ECHO: &str = "--- actions = [{ function = \"republish\", args = { topic = \"out/${topic}\", payload = \"${payload}\" } }]\n\
     SELECT * FROM \"t/#\"";

/// A server whose local topics are on `broker`, with `more` lines in `[local]`.
fn beside(broker: &Mosquitto, more: &str) -> SluicegateBuilder {
    gate().without_broker().config(&format!("[local]\nbroker = \"mqtt://{}\"\n{more}\n", broker.address()))
}

async fn matched(gate: &Sluicegate, rule: &str) -> u64 {
    let answer = gate.http().get(&format!("/api/v5/rules/{rule}/metrics")).await.expect(200);
    answer.at("/metrics/matched").as_u64().expect("a number")
}

#[tokio::test]
async fn rules_hear_and_publish_there_and_nothing_comes_back() {
    let broker = Mosquitto::start().await;
    let gate = beside(&broker, "")
        .rule("echo", ECHO)
        .rule("further", "SELECT * FROM \"out/#\", \"out/t/+\"")
        .start()
        .await;
    broker.wait_subscribed("t/#").await;
    broker.wait_subscribed("out/t/+").await;
    let client = Client::connect_v5(broker.address(), "c1").await;
    client.subscribe("out/#", 2).await;
    for qos in 0..=2 {
        client.publish("t/1", format!("{qos}"), qos).await;
        let message = client.next("out/t/1").await;
        assert_eq!((message.payload, message.qos), (format!("{qos}").into_bytes(), qos));
    }
    client.nothing("out/#").await;
    // What a rule publishes is heard by the others once, though the broker sends it to us too.
    gate.wait_metric("/rules/further", "matched", 3).await;
    client.publish("out/t/2", "from outside", 1).await;
    gate.wait_metric("/rules/further", "matched", 4).await;
    gate.wait_metric("/rules/echo", "matched", 3).await;
    let metrics = gate.http().get("/metrics").await.expect(200);
    assert!(metrics.body.contains("\nsluicegate_local_connected 1\n"), "{metrics}");
    let status = gate.http().get("/api/v5/status?format=json").await.expect(200);
    assert_eq!(status.at("/local/broker"), &*format!("mqtt://{}", broker.address()));
    assert_eq!(
        (status.at("/local/status"), status.at("/warnings")),
        ("connected".into(), Value::Array(Vec::new()))
    );
}

#[tokio::test]
async fn a_broker_that_is_gone_is_warned_of_in_the_status() {
    let nobody = format!("127.0.0.1:{}", testkit::free_port());
    let config = format!("[local]\nbroker = \"mqtt://{nobody}\"\n");
    let gate = gate().without_broker().config(&config).start().await;
    wait_for("the status says so", async || {
        let status = gate.http().get("/api/v5/status?format=json").await.expect(200);
        let warning = status.json()["warnings"][0].as_str().unwrap_or_default().to_owned();
        let is_told = warning.contains(&nobody) && warning.contains("connection refused");
        if is_told { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn retained_messages_are_no_events_and_subscriptions_follow_the_rules() {
    let broker = Mosquitto::start().await;
    let client = Client::connect_v5(broker.address(), "c1").await;
    let kept = testkit::Publish {
        topic: "t/kept".into(),
        payload: b"old".into(),
        qos: 1,
        retain: true,
        properties: None,
    };
    client.send(kept).await.wait(&client).await;
    let gate = beside(&broker, "").rule("count", "SELECT * FROM \"t/#\"").start().await;
    broker.wait_subscribed("t/#").await;
    client.publish("t/1", "new", 1).await;
    gate.wait_metric("/rules/count", "matched", 1).await;

    gate.write("count.sql", "SELECT * FROM \"u/#\"");
    broker.wait_subscribed("u/#").await;
    client.publish("t/1", "nobody listens", 1).await;
    client.publish("u/1", "new", 1).await;
    gate.wait_metric("/rules/count", "matched", 2).await;
}

#[tokio::test]
async fn nodes_of_one_share_group_take_turns() {
    const MESSAGES: u64 = 40;
    let broker = Mosquitto::start().await;
    let node = |name: &str| {
        beside(&broker, &format!("share_group = \"gates\"\n[node]\nname = \"{name}\""))
            .rule("echo", ECHO)
            .rule("further", "SELECT * FROM \"out/#\"")
            .start()
    };
    let (one, two) = tokio::join!(node("one@host"), node("two@host"));
    let subscribed = |line: &String| line.ends_with("$share/gates/t/#");
    wait_for("both have subscribed", async || {
        let count = broker.process().lines().into_iter().filter(subscribed).count();
        if count == 2 { Ok(()) } else { Err(format!("{count} have")) }
    })
    .await;
    let client = Client::connect_v5(broker.address(), "c1").await;
    client.subscribe("out/#", 1).await;
    for n in 0..MESSAGES {
        client.publish(&format!("t/{n}"), "x", 1).await;
    }
    client.take("out/#", MESSAGES as usize).await;
    client.nothing("out/#").await;
    let (first, second) = (matched(&one, "echo").await, matched(&two, "echo").await);
    assert_eq!(first + second, MESSAGES);
    assert!(first > 0 && second > 0, "{first} and {second}");
    assert_eq!(matched(&one, "further").await + matched(&two, "further").await, MESSAGES);
}

#[tokio::test]
async fn what_is_published_while_we_are_away_is_heard_later() {
    let broker = Mosquitto::builder().keeps().start().await;
    let remote = Mosquitto::start().await;
    let mut gate = beside(&broker, "")
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", UPLINK))
        .rule("up", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    broker.wait_subscribed("t/#").await;
    let reader = Client::connect(remote.address(), "reader").await;
    reader.subscribe("pub/#", 1).await;
    let client = Client::connect_v5(broker.address(), "c1").await;
    client.publish("t/1", "0", 1).await;
    assert_eq!(reader.next("pub/t/1").await.payload, b"0");

    assert!(gate.terminate().await.success());
    client.publish("t/1", "1", 1).await;
    gate.resume().await;
    assert_eq!(reader.next("pub/t/1").await.payload, b"1");
}

#[tokio::test]
async fn a_mistake_in_the_settings_is_shown_where_it_stands() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("sluicegate.toml");
    for (text, said) in [
        ("[local]\nbroker = \"mqtt://h\"\nconnector = { pool_sise = 2 }", "`pool_size`"),
        ("[local]\nbroker = \"mqtt://h\"\nconnector = { proto_ver = \"v4\" }", "must speak MQTT 5"),
        ("[local]\nbroker = \"mqtt://h\"\nconnector = { server = \"x\" }", "is said by `local.broker`"),
        ("[local]\nbroker = \"mqtt://h\"\nshare_group = \"a/b\"", "neither `/`"),
    ] {
        std::fs::write(&file, text).unwrap();
        for verb in ["run", "check"] {
            let output = std::process::Command::new(crate::PROGRAM)
                .current_dir(home.path())
                .args([verb, "--config", "sluicegate.toml"])
                .output()
                .unwrap();
            let shown = [output.stdout, output.stderr].concat();
            let shown = String::from_utf8_lossy(&shown);
            assert!(
                !output.status.success() && shown.contains(said) && shown.contains("sluicegate.toml:3:"),
                "{shown}"
            );
        }
    }
}
