//! Rules change while messages flow: nothing is lost, doubled or out of order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::{Client, Message, Mosquitto, Sluicegate, wait_until};

use crate::{cloud, gate};

const EDITS: usize = 20;
const TOPICS: usize = 3;
/// Messages under way at any time.
const WINDOW: usize = 100;

const ACTION: &str = r#"
[actions.mqtt.uplink]
connector = "cloud"
parameters = { topic = "pub/${topic}", qos = 1, payload = "${n},${generation}" }
"#;

/// The rule as it stands after some edits: it marks what passes with their number.
fn rule(generation: usize) -> String {
    format!(
        "--- actions = [\n\
         ---   \"mqtt:uplink\",\n\
         ---   {{ function = \"republish\", args = {{ topic = \"sub/${{topic}}\", qos = 1, payload = \"${{n}},${{generation}}\" }} }},\n\
         --- ]\n\
         SELECT payload AS n, {generation} AS generation FROM \"load/#\""
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_once_in_order_and_judged_by_one_generation() {
    let remote = Mosquitto::start().await;
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "proto_ver = \"v5\"\npool_size = 4", ACTION))
        .rule("load", &rule(0))
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let far = Client::connect(remote.address(), "far").await;
    far.subscribe("pub/#", 1).await;

    let enough = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(load(gate.mqtt(), Arc::clone(&enough)));
    for generation in 1..=EDITS {
        edit(&gate, generation).await;
    }
    enough.store(true, Ordering::Relaxed);
    let (sent, near) = load.await.expect("the load ends well");

    let far_messages = far.take("pub/#", sent).await;
    far.nothing("pub/#").await;
    check(sent, &near);
    check(sent, &far_messages);
    gate.wait_metric("/rules/load", "matched", sent as u64).await;
    gate.wait_metric("/rules/load", "passed", sent as u64).await;
    gate.wait_metric("/actions/mqtt:uplink", "success", sent as u64).await;

    // Nothing that was not concerned has noticed: the pool connected once.
    let connects = |line: &String| line.contains("New client connected") && line.contains("cloud");
    assert_eq!(remote.process().lines().into_iter().filter(connects).count(), 4);
}

/// Changes the rule, and what is beside it, and waits until that is live.
async fn edit(gate: &Sluicegate, generation: usize) {
    gate.write("load.sql", &rule(generation));
    if generation.is_multiple_of(2) {
        gate.write("beside.sql", "SELECT * FROM \"elsewhere/#\"");
    } else if generation > 1 {
        gate.remove("beside.sql");
    }
    wait_until("the edit is live", async || {
        let rule = gate.http().get("/api/v5/rules/load").await.expect(200);
        rule.at("/sql").as_str().is_some_and(|sql| sql.contains(&format!(" {generation} AS generation")))
    })
    .await;
}

/// Publishes until it is enough, with a bounded number under way, and returns how many and what came back locally.
async fn load(address: std::net::SocketAddr, enough: Arc<AtomicBool>) -> (usize, Vec<Message>) {
    let publisher = Client::connect(address, "publisher").await;
    let reader = Client::connect(address, "near").await;
    reader.subscribe("sub/#", 1).await;
    let (mut sent, mut back, mut receipts) = (0, Vec::new(), Vec::new());
    while !enough.load(Ordering::Relaxed) {
        let topic = format!("load/{}", sent % TOPICS);
        let publish =
            testkit::Publish { topic, payload: sent.to_string().into(), qos: 1, ..Default::default() };
        receipts.push(publisher.send(publish).await);
        sent += 1;
        if sent - back.len() >= WINDOW {
            back.push(reader.next("sub/#").await);
        }
    }
    for receipt in receipts {
        receipt.wait(&publisher).await;
    }
    back.extend(reader.take("sub/#", sent - back.len()).await);
    reader.nothing("sub/#").await;
    (sent, back)
}

fn check(sent: usize, messages: &[Message]) {
    assert_eq!(messages.len(), sent);
    let mut last: HashMap<&str, (usize, usize)> = HashMap::new();
    for message in messages {
        let text = String::from_utf8_lossy(&message.payload);
        let (n, generation) = text.split_once(',').expect("two numbers");
        let now: (usize, usize) = (n.parse().expect("a number"), generation.parse().expect("a number"));
        assert!(!message.dup, "{text} was sent twice");
        if let Some(before) = last.insert(&message.topic, now) {
            assert_eq!(now.0, before.0 + TOPICS, "after {before:?} on {}", message.topic);
            assert!(now.1 >= before.1, "{now:?} was judged by older rules than {before:?} before it");
        }
    }
    assert_eq!(last.len(), TOPICS);
}
