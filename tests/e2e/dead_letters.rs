//! What cannot be delivered is kept with its reason, looked at, sent again, or thrown away.

use std::process::{Command, Output};

use serde_json::json;
use testkit::{Certificates, Client, Mosquitto, Publish, Sluicegate, Web, tls_front, wait_until};

use crate::{PROGRAM, cloud, gate, number};

/// `sluicegate dlq …` against a running server.
fn dlq(gate: &Sluicegate, args: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("dlq").args(args).arg("--url").arg(format!("http://{}", gate.http().address()));
    command.output().expect("the command runs")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn letters(gate: &Sluicegate, query: &str) -> serde_json::Value {
    gate.http().get(&format!("/api/v5/dead_letters{query}")).await.json()
}

#[tokio::test]
async fn a_message_that_cannot_be_rendered_becomes_a_letter_and_goes_to_the_fallback() {
    let remote = Mosquitto::builder().start().await;
    let action = "[actions.mqtt.uplink]\nconnector = \"cloud\"\n\
         parameters = { topic = \"pub/${payload.where}\", qos = 1 }\n\
         fallback_actions = [\n\
           { kind = \"republish\", args = { topic = \"failed/${topic}\", payload = \"${failure.stage} ${failure.reason}: ${place}\" } },\n\
           { kind = \"reference\", type = \"mqtt\", name = \"other\" },\n\
           { kind = \"reference\", type = \"mqtt\", name = \"uplink\" },\n\
         ]\n\
         [actions.mqtt.other]\nconnector = \"cloud\"\nparameters = { topic = \"other\", payload = \"${payload}\" }\n";
    let mut gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1\nproto_ver = \"v5\"", action))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT payload.where AS place FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::connect(remote.address(), "reader").await;
    reader.subscribe("other", 1).await;
    let device = Client::connect(gate.mqtt(), "device").await;
    device.subscribe("failed/#", 1).await;
    device.publish("t/1", r#"{"where": "a/+"}"#, 1).await;

    let failed = device.next("failed/t/1").await;
    let payload = String::from_utf8_lossy(&failed.payload).into_owned();
    assert!(payload.starts_with("render the topic `pub/a/+` cannot be published to"), "{payload}");
    assert!(payload.ends_with(": a/+"), "{payload}");
    assert_eq!(reader.next("other").await.payload, br#"{"where": "a/+"}"#.as_slice());

    wait_until("there is one letter", async || letters(&gate, "").await["meta"]["count"] == 1).await;
    let letter = letters(&gate, "?action=mqtt:uplink&rule=to_cloud&stage=render").await["data"][0].clone();
    assert_eq!((&letter["rule"], &letter["generation"]), (&json!("to_cloud"), &json!(1)));
    let message = &letter["message"];
    assert_eq!(
        (&message["clientid"], &message["topic"], &message["qos"]),
        (&json!("device"), &json!("t/1"), &json!(1))
    );
    assert_eq!(message["payload"], r#"{"where": "a/+"}"#);
    assert_eq!(letters(&gate, "?action=mqtt:other").await["meta"]["count"], 0);
    gate.wait_metric("/actions/mqtt:uplink", "failed", 1).await;

    let id = letter["id"].to_string();
    let listed = text(&dlq(&gate, &["list"]));
    assert!(
        listed.contains("render") && listed.contains("mqtt:uplink") && listed.contains("t/1"),
        "{listed}"
    );
    let shown = text(&dlq(&gate, &["show", &id]));
    assert!(shown.contains("\"rule\": \"to_cloud\""), "{shown}");
    // The action is as it was, so it fails once more, and that is said.
    let replay = dlq(&gate, &["replay", &id]);
    assert_eq!(replay.status.code(), Some(1));
    assert!(text(&replay).contains("still cannot be rendered: the topic `pub/a/+`"), "{}", text(&replay));
    assert_eq!(dlq(&gate, &["show", "999"]).status.code(), Some(1));
    assert_eq!(dlq(&gate, &["discard"]).status.code(), Some(2));

    // It is there after a restart, and can be read without a server.
    assert!(gate.terminate().await.success());
    let offline = Command::new(PROGRAM)
        .args(["dlq", "list", "--format", "json", "--data"])
        .arg(gate.home().join("data"))
        .output();
    let offline = offline.expect("the command runs");
    assert!(text(&offline).contains("\"rule\":\"to_cloud\""), "{}", text(&offline));
    gate.resume().await;
    assert_eq!(letters(&gate, "").await["meta"]["count"], 1);

    // With the rule mended, the message goes out as the rule says now.
    let replayed = async |sql: &str| {
        gate.write("to_cloud.sql", &format!("--- actions = [\"mqtt:uplink\"]\n{sql}"));
        testkit::wait_for("the rule is the new one", async || {
            let rule = gate.http().get("/api/v5/rules/to_cloud").await.json();
            if rule["sql"] == sql { Ok(()) } else { Err(rule.to_string()) }
        })
        .await;
        text(&dlq(&gate, &["replay", &id]))
    };
    let filtered = replayed("SELECT payload.where AS place FROM \"t/#\" WHERE payload.where = 'b'").await;
    assert!(filtered.contains("`to_cloud` does not let its message through any more"), "{filtered}");
    gate.write(
        "cloud.toml",
        &cloud(&remote, "pool_size = 1\nproto_ver = \"v5\"", &action.replace("payload.where", "place")),
    );
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    reader.subscribe("pub/#", 1).await;
    let said =
        replayed("SELECT replace(payload.where, '+', 'b') AS place, clientid, peerhost FROM \"t/#\"").await;
    assert_eq!(said, "1 queued again\n");
    let message = reader.next("pub/a/b").await;
    let row: serde_json::Value = serde_json::from_slice(&message.payload).expect("a row");
    assert_eq!(row, json!({ "place": "a/b", "clientid": "device", "peerhost": "127.0.0.1" }));
    wait_until("the letter has gone", async || letters(&gate, "").await["meta"]["count"] == 0).await;
    for format in ["text", "json"] {
        let none = dlq(&gate, &["list", "--format", format]);
        assert_eq!((&*none.stdout, &*none.stderr), (&b""[..], &b"no dead letters\n"[..]));
    }
}

/// Publishes a message that the server acknowledges.
async fn publish(gate: &Sluicegate, topic: &str, payload: &str) {
    Client::connect(gate.mqtt(), "device").await.publish(topic, payload, 1).await;
}

/// The only letter, once it is there.
async fn only_letter(gate: &Sluicegate) -> serde_json::Value {
    wait_until("there is one letter", async || letters(gate, "").await["meta"]["count"] == 1).await;
    letters(gate, "").await["data"][0].clone()
}

#[tokio::test]
async fn what_a_remote_refuses_for_good_becomes_a_letter_of_the_stage_send() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let rights = folder.path().join("rights");
    std::fs::write(&rights, "topic read #\ntopic write pub/open/#\n").expect("a file can be written");
    let remote = Mosquitto::builder().line(&format!("acl_file {}", rights.display())).start().await;
    let action = "[actions.mqtt.uplink]\nconnector = \"cloud\"\n\
         parameters = { topic = \"pub/${topic}\", qos = 1, payload = \"${payload}\" }\n\
         resource_opts = { buffer_mode = \"disk\" }\n";
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1\nproto_ver = \"v5\"", action))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    publish(&gate, "open/1", "goes").await;
    publish(&gate, "closed/1", "stays").await;
    let letter = only_letter(&gate).await;
    assert_eq!((&letter["stage"], &letter["sendings"]), (&json!("send"), &json!(1)), "{letter}");
    assert!(letter["reason"].as_str().is_some_and(|reason| reason.contains("0x87")), "{letter}");
    assert_eq!(letter["rendered"]["topic"], "pub/closed/1");
    assert_eq!(letter["message"]["payload"], "stays");
    gate.wait_metric("/actions/mqtt:uplink", "success", 1).await;
    gate.wait_metric("/actions/mqtt:uplink", "failed", 1).await;
}

#[tokio::test]
async fn what_is_refused_too_often_becomes_a_letter_and_can_be_sent_again() {
    let web = Web::start().await;
    web.answer([503; 3]);
    let resources = format!(
        "[connectors.http.backend]\nurl = \"http://{}/in\"\n\
         [actions.http.readings]\nconnector = \"backend\"\nparameters = {{ body = \"${{payload}}\" }}\n\
         resource_opts = {{ max_retries = 2 }}\n",
        web.address()
    );
    let gate = gate()
        .file("backend.toml", &resources)
        .rule("readings", "--- actions = [\"http:readings\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/http:backend", "connected").await;
    publish(&gate, "t/1", "21").await;
    let letter = only_letter(&gate).await;
    assert_eq!((&letter["stage"], &letter["sendings"]), (&json!("send"), &json!(3)), "{letter}");
    assert!(letter["reason"].as_str().is_some_and(|reason| reason.starts_with("given up after 2 retries")));
    web.answer_well();
    assert_eq!(text(&dlq(&gate, &["replay", "--all"])), "1 queued again\n");
    assert_eq!(web.wait_sent(4).await[3].body, "21");
    wait_until("the letter has gone", async || letters(&gate, "").await["meta"]["count"] == 0).await;
}

#[tokio::test]
async fn what_waited_too_long_becomes_a_letter_where_that_is_asked_for() {
    let mut remote = Mosquitto::builder().keeps().start().await;
    let action = "[actions.mqtt.uplink]\nconnector = \"cloud\"\n\
         parameters = { topic = \"pub/${topic}\", qos = 1, payload = \"${payload}\" }\n\
         resource_opts = { request_ttl = \"300ms\", expiry = \"dead_letter\" }\n";
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", action))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::builder("reader").keeps_session().connect(remote.address()).await;
    reader.subscribe("pub/#", 1).await;
    remote.stop().await;
    publish(&gate, "t/1", "late").await;
    let letter = only_letter(&gate).await;
    assert_eq!((&letter["stage"], &letter["rule"]), (&json!("expired"), &json!("to_cloud")), "{letter}");
    assert_eq!(letter["rendered"]["topic"], "pub/t/1");
    gate.wait_metric("/actions/mqtt:uplink", "dropped.expired", 1).await;
    remote.resume().await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    assert_eq!(text(&dlq(&gate, &["replay", "--action", "mqtt:uplink"])), "1 queued again\n");
    assert_eq!(reader.next("pub/t/1").await.payload, b"late");
    wait_until("the letter has gone", async || letters(&gate, "").await["meta"]["count"] == 0).await;
}

// The command is waited for on this thread, what ends its TLS runs on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn letters_are_asked_for_over_https() {
    let gate = gate().start().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let certificates = Certificates::write(folder.path());
    let front = tls_front(gate.http().address(), &certificates).await;
    let ask = |more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        // The machine's own certificates are none of the test's business.
        command.env("SSL_CERT_FILE", folder.path().join("client.pem"));
        command.args(["dlq", "list", "--url", &format!("https://localhost:{}", front.port())]).args(more);
        command.output().expect("the command runs")
    };
    let ca = certificates.ca.display().to_string();
    let trusting = ask(&["--cacert", &ca]);
    assert_eq!(text(&trusting), "no dead letters\n");
    let careful = text(&ask(&[]));
    assert!(careful.contains("certificate") && careful.contains("`--cacert FILE`"), "{careful}");
    let wrong = ask(&["--cacert", &certificates.key.display().to_string()]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong).contains("no certificate in PEM format"), "{}", text(&wrong));
}

#[tokio::test]
async fn what_overflows_can_be_kept_and_sent_again() {
    const COUNT: usize = 200;
    let mut remote = Mosquitto::builder().keeps().start().await;
    let action = "[actions.mqtt.uplink]\nconnector = \"cloud\"\n\
         parameters = { topic = \"pub/${topic}\", qos = 1, payload = \"${payload}\" }\n\
         resource_opts = { overflow = \"dead_letter\", max_buffer_bytes = \"10KB\", request_ttl = \"infinity\" }\n";
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", action))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::builder("reader").keeps_session().connect(remote.address()).await;
    reader.subscribe("pub/#", 1).await;
    remote.stop().await;
    let device = Client::connect(gate.mqtt(), "device").await;
    let mut receipts = Vec::new();
    for n in 0..COUNT {
        let publish =
            Publish { topic: "t/1".into(), payload: n.to_string().into(), qos: 1, ..Publish::default() };
        receipts.push(device.send(publish).await);
    }
    for receipt in receipts {
        receipt.wait(&device).await;
    }
    gate.wait_metric("/actions/mqtt:uplink", "matched", COUNT as u64).await;
    let metrics = gate.http().get("/api/v5/actions/mqtt:uplink/metrics").await.json()["metrics"].clone();
    let dropped = metrics["dropped.queue_full"].as_u64().unwrap_or_default() as usize;
    assert!(dropped > 50, "{metrics}");
    wait_until("all of it is kept", async || {
        letters(&gate, "?stage=overflow&limit=1").await["meta"]["count"] == dropped
    })
    .await;
    // The oldest are the ones that gave way, and the newest of those comes first.
    assert_eq!(letters(&gate, "?limit=1").await["data"][0]["message"]["payload"], (dropped - 1).to_string());
    assert_eq!(letters(&gate, "?limit=1").await["data"][0]["rendered"]["topic"], "pub/t/1");

    remote.resume().await;
    for n in dropped..COUNT {
        assert_eq!(number(&reader.next("pub/t/1").await), n);
    }
    // As many as the queue has room for, in their old order.
    let first = letters(&gate, &format!("?limit=10&page={}", dropped.div_ceil(10))).await["data"].clone();
    let ids: Vec<u64> =
        first.as_array().expect("a list").iter().filter_map(|letter| letter["id"].as_u64()).collect();
    let answer = gate.http().post("/api/v5/dead_letters/replay", &json!({ "ids": ids })).await.json();
    assert_eq!(answer["replayed"].as_array().map(Vec::len), Some(ids.len()));
    for _ in &ids {
        assert!(number(&reader.next("pub/t/1").await) < dropped);
    }
    wait_until("they are no letters any more", async || {
        letters(&gate, "").await["meta"]["count"] == dropped - ids.len()
    })
    .await;
    let refused = gate.http().post("/api/v5/dead_letters/replay", &json!({})).await;
    assert_eq!(refused.status, 400);
}
