//! Messages that would go round for ever, and do not.

use testkit::{Client, Mosquitto, Sluicegate};

use crate::{cloud, gate};

fn republish(from: &str, to: &str) -> String {
    format!(
        "--- actions = [{{ function = \"republish\", args = {{ topic = \"{to}\" }} }}]\nSELECT * FROM \"{from}\""
    )
}

#[tokio::test]
async fn a_ring_of_rules_ends_where_it_began() {
    let gate = gate()
        .rule("a", &republish("one", "two"))
        .rule("b", &republish("two", "three"))
        .rule("c", &republish("three", "one"))
        .start()
        .await;
    let client = Client::connect(gate.mqtt(), "c1").await;
    client.subscribe("+", 1).await;
    client.publish("one", "x", 1).await;
    let mut topics: Vec<String> =
        client.take("+", 4).await.into_iter().map(|message| message.topic).collect();
    topics.sort();
    assert_eq!(topics, ["one", "one", "three", "two"]);
    client.nothing("one").await;
    gate.wait_metric("/rules/a", "actions.discarded", 1).await;
    gate.process().wait_line("would have fed itself").await;
}

/// A server that sends everything below `x/` on to `server`.
async fn forwarder(server: Option<&Sluicegate>) -> Sluicegate {
    let address = server.map_or_else(|| "127.0.0.1:1".to_owned(), |gate| gate.mqtt().to_string());
    gate()
        .file("peer.toml", &peer(&address))
        .rule("on", "--- actions = [\"mqtt:peer\"]\nSELECT * FROM \"x/#\"")
        .start()
        .await
}

fn peer(address: &str) -> String {
    format!(
        "[connectors.mqtt.peer]\nserver = \"{address}\"\nproto_ver = \"v5\"\npool_size = 1\nmax_hops = 3\n\
         [actions.mqtt.peer]\nconnector = \"peer\"\nparameters = {{ topic = \"${{topic}}\", payload = \"${{payload}}\", qos = 1 }}\n"
    )
}

#[tokio::test]
async fn two_servers_that_send_to_each_other_stop() {
    let first = forwarder(None).await;
    let second = forwarder(Some(&first)).await;
    first.write("peer.toml", &peer(&second.mqtt().to_string()));
    first.wait_status("/connectors/mqtt:peer", "connected").await;
    second.wait_status("/connectors/mqtt:peer", "connected").await;
    Client::connect(first.mqtt(), "c1").await.publish("x/1", "round", 1).await;
    // There, back, there: that was the third bridge.
    second.wait_metric("/actions/mqtt:peer", "failed", 1).await;
    first.wait_metric("/rules/on", "matched", 2).await;
    second.wait_metric("/rules/on", "matched", 2).await;
    second.process().wait_line("`max_hops`").await;
}

#[tokio::test]
async fn what_a_source_brings_may_not_be_sent_back_for_ever() {
    let remote = Mosquitto::start().await;
    let more = "[sources.mqtt.in]\nconnector = \"cloud\"\nparameters = { topic = \"x/#\" }\n\
                [actions.mqtt.out]\nconnector = \"cloud\"\nparameters = { topic = \"${topic}\", payload = \"${payload}\", qos = 1 }\n";
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "proto_ver = \"v5\"\npool_size = 1\nmax_hops = 4", more))
        .rule("echo", "--- actions = [\"mqtt:out\"]\nSELECT payload, topic FROM \"$bridges/mqtt:in\"")
        .start()
        .await;
    gate.wait_status("/sources/mqtt:in", "connected").await;
    let there = Client::connect_v5(remote.address(), "there").await;
    there.subscribe("x/#", 1).await;
    there.publish("x/1", "round", 1).await;
    gate.wait_metric("/actions/mqtt:out", "failed", 1).await;
    let counts: Vec<Option<String>> = there
        .take("x/1", 4)
        .await
        .into_iter()
        .map(|message| {
            let properties = message.properties.unwrap_or_default();
            properties
                .user_properties
                .into_iter()
                .find(|(key, _)| key == "sluicegate-hops")
                .map(|(_, count)| count)
        })
        .collect();
    assert_eq!(counts, [None, Some("2".to_owned()), Some("3".to_owned()), Some("4".to_owned())]);
    there.nothing("x/1").await;
}

#[test]
fn check_shows_the_way_round() {
    let home = tempfile::tempdir().unwrap();
    let check = |files: &[(&str, &str)]| {
        for (name, text) in files {
            std::fs::write(home.path().join(name), text).unwrap();
        }
        let output = std::process::Command::new(crate::PROGRAM)
            .args(["check", "--format", "json", "--rules"])
            .arg(home.path())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let cloud = "[connectors.mqtt.cloud]\nserver = \"h\"\nproto_ver = \"v5\"\n\
                 [actions.mqtt.up]\nconnector = \"cloud\"\nparameters = { topic = \"all/${topic}\" }\n\
                 [sources.mqtt.down]\nconnector = \"cloud\"\nparameters = { topic = \"all/#\" }\n";
    let said = check(&[
        ("a.sql", &republish("one/#", "two")),
        ("b.sql", &republish("two", "one/${clientid}")),
        ("c.sql", &republish("#", "elsewhere/${topic}")),
        ("cloud.toml", cloud),
        ("d.sql", "--- actions = [\"mqtt:up\"]\nSELECT * FROM \"$bridges/mqtt:down\""),
    ]);
    assert!(said.contains("`a` → topic `two` → `b` → topic `one/${clientid}` → `a`"), "{said}");
    assert!(said.contains("`c` → topic `elsewhere/${topic}` → `c`"), "{said}");
    assert!(
        said.contains("`d` → action `mqtt:up` → `all/${topic}` at `h:1883` → source `mqtt:down` → `d`"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 3, "{said}");
    let quiet = cloud.replace("\"all/#\"", "\"all/#\", no_local = true");
    let said = check(&[
        ("cloud.toml", &quiet),
        ("c.sql", &republish("t/#", "sub/${topic}")),
        ("b.sql", "SELECT * FROM \"x\""),
    ]);
    assert_eq!(said, "");
}
