//! Who is let in, over what, and what they may do: TLS, WebSocket, users, tokens, certificates, access lists.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use testkit::{Certificates, Client, Sluicegate, wait_for, wait_until};

use crate::{PROGRAM, gate};

/// Runs `mosquitto_pub` against an address, with further arguments.
fn publish(address: SocketAddr, topic: &str, args: &[&str]) -> Output {
    Command::new("mosquitto_pub")
        .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-t", topic, "-m", "x"])
        .args(["-q", "1", "-V", "mqttv5"])
        .args(args)
        .output()
        .expect("mosquitto_pub runs")
}

fn passwd(file: &Path, name: &str, password: &str) {
    let mut child = Command::new(PROGRAM)
        .arg("passwd")
        .args([file.as_os_str(), name.as_ref()])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    std::io::Write::write_all(&mut stdin, format!("{password}\n").as_bytes()).expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}

/// Waits until publishing like this succeeds, or fails.
async fn wait_published(to: SocketAddr, topic: &str, args: &[&str], success: bool) {
    wait_for(&format!("publishing {}", if success { "succeeds" } else { "fails" }), async || {
        let output = publish(to, topic, args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() == success { Ok(()) } else { Err(said) }
    })
    .await;
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

fn tls_listener(kind: &str, certificates: &Certificates, more: &str) -> String {
    format!(
        "[[mqtt.listeners]]\ntype = \"{kind}\"\nlisten = \"127.0.0.1:0\"\ncertfile = \"{}\"\nkeyfile = \"{}\"\n{more}\n",
        path(&certificates.certificate),
        path(&certificates.key)
    )
}

async fn reader(gate: &Sluicegate) -> Client {
    let reader = Client::connect(gate.mqtt(), "reader").await;
    reader.subscribe("#", 1).await;
    reader
}

#[tokio::test]
async fn tls_is_spoken_and_a_new_certificate_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let old = Certificates::write(folder.path());
    let gate = gate().config(&tls_listener("tls", &old, "")).start().await;
    let tls = gate.listener("tls").await;
    let reader = reader(&gate).await;
    let output = publish(tls, "t", &["--cafile", path(&old.ca)]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(reader.next("t").await.payload, b"x");
    let metrics = gate.http().get("/metrics").await.body;
    for line in [
        "mqtt_certificate_expiry_timestamp_seconds{listener=\"tls\"}",
        "mqtt_listener_accepted_total{listener=\"tls\"} 1",
    ] {
        assert!(metrics.contains(line), "no `{line}` in\n{metrics}");
    }

    let mark = gate.process().mark();
    fs::write(&old.certificate, "no certificate").unwrap();
    gate.process().wait_line_after(mark, "what it was before stays in force").await;
    assert!(publish(tls, "t", &["--cafile", path(&old.ca)]).status.success());

    let elsewhere = tempfile::tempdir().unwrap();
    let new = Certificates::write(elsewhere.path());
    fs::copy(&new.key, &old.key).unwrap();
    fs::copy(&new.certificate, &old.certificate).unwrap();
    wait_published(tls, "t", &["--cafile", path(&new.ca)], true).await;
    assert!(!publish(tls, "t", &["--cafile", path(&old.ca)]).status.success());
}

#[tokio::test]
async fn a_clients_certificate_is_its_user() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::write(folder.path());
    let (ca, client, key) =
        (path(&certificates.ca), path(&certificates.client), path(&certificates.client_key));
    let listener = tls_listener(
        "tls",
        &certificates,
        &format!(
            "name = \"devices\"\ncacertfile = \"{ca}\"\nverify = \"verify_peer\"\nfail_if_no_peer_cert = true\n\
             peer_cert_as_username = \"cn\""
        ),
    );
    let acl = "[[mqtt.acl.rules]]\npermission = \"allow\"\naction = \"publish\"\nusername = \"plant-7\"\ntopics = [\"own/${username}\"]\n\
               [[mqtt.acl.rules]]\npermission = \"allow\"\nclientid = \"reader\"\n";
    let gate = gate().config(&format!("{acl}{listener}")).start().await;
    let devices = gate.listener("devices").await;
    let reader = reader(&gate).await;
    let with = ["--cafile", ca, "--cert", client, "--key", key];
    assert!(publish(devices, "own/plant-7", &with).status.success());
    assert_eq!(reader.next("own/plant-7").await.payload, b"x");
    let denied = publish(devices, "own/plant-8", &with);
    assert!(String::from_utf8_lossy(&denied.stderr).contains("uthori"), "{denied:?}");
    assert!(!publish(devices, "own/plant-7", &["--cafile", ca]).status.success(), "no certificate, no entry");
}

#[tokio::test]
async fn users_come_with_their_passwords_and_change_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.txt");
    passwd(&users, "ann", "open sesame");
    let gate = gate().config(&format!("[mqtt]\nusers = \"{}\"\n", path(&users))).start().await;
    let mqtt = gate.mqtt();
    assert!(publish(mqtt, "t", &["-u", "ann", "-P", "open sesame"]).status.success());
    for wrong in [&["-u", "ann", "-P", "open barley"][..], &["-u", "bob", "-P", "open sesame"], &[]] {
        assert!(!publish(mqtt, "t", wrong).status.success(), "{wrong:?}");
    }
    passwd(&users, "bob", "also me");
    wait_published(mqtt, "t", &["-u", "bob", "-P", "also me"], true).await;
    passwd(&users, "ann", "changed");
    wait_published(mqtt, "t", &["-u", "ann", "-P", "open sesame"], false).await;
    assert!(publish(mqtt, "t", &["-u", "ann", "-P", "changed"]).status.success());
    let lines = gate.process().lines();
    assert!(
        !lines.iter().any(|line| line.contains("sesame") || line.contains("argon2")),
        "the log has a secret"
    );
    wait_until("refusals are counted", async || {
        let metrics = gate.http().get("/metrics").await.body;
        metrics.contains("mqtt_listener_refused_total{listener=\"mqtt\",reason=\"not_authorized\"} 1")
    })
    .await;
}

/// Signed with the secret `hush` by HS256: `{"sub":"plant-7"}`, and the same with an `exp` in 2001.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJwbGFudC03In0.Qb0D5IQVM-EqsVGm3I8UcqwIcqwH9FOQ0_VSuCy-NDI";
const EXPIRED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJwbGFudC03IiwiZXhwIjoxMDAwMDAwMDAwfQ.sDMoYzjX76BOHtcHLQpd009xDX4XCaEQ6XGMVk_ZEOM";

#[tokio::test]
async fn tokens_are_checked() {
    let config = "[mqtt.jwt]\nsecret = \"hush\"\nusername_claim = \"sub\"\n\
                  [[mqtt.acl.rules]]\npermission = \"allow\"\ntopics = [\"own/${username}\"]\n";
    let gate = gate().config(config).start().await;
    let mqtt = gate.mqtt();
    let accepted = publish(mqtt, "own/plant-7", &["-u", "whoever", "-P", TOKEN]);
    assert!(accepted.status.success() && accepted.stderr.is_empty(), "{accepted:?}");
    assert!(!publish(mqtt, "own/plant-7", &["-u", "plant-7", "-P", EXPIRED]).status.success());
    assert!(!publish(mqtt, "own/plant-7", &["-u", "plant-7", "-P", "hush"]).status.success());
    assert!(!publish(mqtt, "own/plant-7", &[]).status.success());
}

#[tokio::test]
async fn an_access_list_is_taken_up_when_it_changes_and_kept_when_it_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acl.toml");
    fs::write(
        &file,
        "[[rules]]\npermission = \"deny\"\ntopics = [\"no/#\"]\n[[rules]]\npermission = \"allow\"\n",
    )
    .unwrap();
    let gate = gate()
        .config(&format!("[mqtt]\nacl = {{ file = \"{}\" }}\n", path(&file)))
        .rule("seen", "SELECT * FROM \"#\"")
        .start()
        .await;
    let client = Client::connect(gate.mqtt(), "c").await;
    client.subscribe("yes/#", 1).await;
    client.publish("no/x", "denied", 1).await;
    client.publish("yes/x", "allowed", 1).await;
    assert_eq!(client.next("yes/x").await.payload, b"allowed");
    gate.wait_metric("/rules/seen", "matched", 1).await;

    let mark = gate.process().mark();
    fs::write(&file, "[[rules]]\npermission = \"allow\"\ntopics = [\"a/#/b\"]\n").unwrap();
    gate.process().wait_line_after(mark, "what it was before stays in force").await;
    fs::write(&file, "no_match = \"allow\"\n").unwrap();
    gate.process().wait_line_after(mark, "access list: read anew").await;
    client.publish("no/x", "allowed now", 1).await;
    gate.wait_metric("/rules/seen", "matched", 2).await;
}

#[tokio::test]
async fn a_websocket_carries_mqtt() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::write(folder.path());
    let config = format!(
        "[[mqtt.listeners]]\ntype = \"ws\"\nlisten = \"127.0.0.1:0\"\n{}",
        tls_listener("wss", &certificates, "path = \"/socket\"")
    );
    let gate = gate().config(&config).start().await;
    let (ws, wss) = (gate.listener("ws").await, gate.listener("wss").await);
    let reader = reader(&gate).await;
    Client::builder("over-ws").websocket("/mqtt").connect(ws).await.publish("t/ws", "a", 1).await;
    assert_eq!(reader.next("t/ws").await.payload, b"a");

    let plain = testkit::tls_tunnel(wss, &certificates.ca).await;
    let client = Client::builder("over-wss").websocket("/socket").connect(plain).await;
    client.subscribe("big", 1).await;
    let big = "x".repeat(300_000);
    client.publish("big", big.clone(), 1).await;
    assert_eq!(client.next("big").await.payload, big.as_bytes());

    let status = gate.http().get("/api/v5/status?format=json").await.expect(200);
    for listener in [("ws", ws), ("wss", wss)] {
        let expected = serde_json::json!({ "name": listener.0, "address": listener.1.to_string() });
        let listeners = status.json()["listeners"].clone();
        assert!(listeners.as_array().unwrap().contains(&expected), "{listeners}");
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_and_counted() {
    let gate = gate().config("[mqtt]\nmax_connections = 1\n").start().await;
    let _one = Client::connect(gate.mqtt(), "one").await;
    let refused = publish(gate.mqtt(), "t", &[]);
    assert!(String::from_utf8_lossy(&refused.stderr).to_lowercase().contains("quota"), "{refused:?}");
    let metrics = gate.http().get("/metrics").await.body;
    assert!(metrics.contains("mqtt_listener_refused_total{listener=\"mqtt\",reason=\"max_connections\"} 1"));
    gate.process().wait_line("there are 1 connections already").await;
}

#[test]
fn mistakes_at_the_door_are_found_by_check_and_refuse_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("acl.toml", "[[rules]]\npermission = \"maybe\"\n");
    write("users.txt", "ann:plain\n");
    write("server.pem", "nothing\n");
    write("server.key", "nothing\n");
    write(
        "sluicegate.toml",
        "[mqtt]\nusers = \"users.txt\"\nacl = { file = \"acl.toml\" }\n\
         [[mqtt.listeners]]\ntype = \"tls\"\ncertfile = \"server.pem\"\nkeyfile = \"server.key\"\n",
    );
    let run = |args: &[&str]| Command::new(PROGRAM).args(args).current_dir(folder.path()).output().unwrap();
    let check = run(&["check"]);
    assert_eq!(check.status.code(), Some(1));
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    for part in ["acl.toml:2:14", "users.txt:1:1", "server.pem", "no Argon2 hash"] {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    assert!(!said.contains("plain"), "{said}");

    write("acl.toml", "");
    let run = run(&["run", "--mqtt-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("users.txt:1:1") && said.contains("server.pem"), "{said}");
}

#[tokio::test]
async fn a_reload_over_http_reads_who_may_come_in_and_says_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let made = Certificates::write(folder.path());
    let (users, acl) = (folder.path().join("users.txt"), folder.path().join("acl.toml"));
    passwd(&users, "ann", "one");
    fs::write(&acl, "").unwrap();
    let config = format!(
        "[mqtt]\nusers = \"{}\"\n[mqtt.acl]\nfile = \"{}\"\n{}",
        path(&users),
        path(&acl),
        tls_listener("tls", &made, "")
    );
    let gate = gate().config(&config).start().await;
    let reload = async || {
        let answer = gate.http().post("/api/v5/reload", &serde_json::json!({})).await.json();
        let parts = answer["access"].as_array().expect("a list").clone();
        let outcome = |what: &str| {
            let part = parts.iter().find(|part| part["what"].as_str().is_some_and(|it| it.contains(what)));
            part.unwrap_or_else(|| panic!("nothing of {what} in {answer}"))["outcome"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        ([outcome("users"), outcome("access list"), outcome("certificate")], parts)
    };
    // What is watched may be read before the request is; then there is nothing left to do.
    let read = |outcome: &str| matches!(outcome, "reloaded" | "unchanged");
    let (first, _) = reload().await;
    assert_eq!(first, ["unchanged"; 3]);
    passwd(&users, "bob", "two");
    Certificates::write(folder.path());
    fs::write(&acl, "nonsense = 1").unwrap();
    for _ in 0..2 {
        let (outcomes, parts) = reload().await;
        assert!(read(&outcomes[0]) && read(&outcomes[2]), "{outcomes:?}");
        assert_eq!(outcomes[1], "failed", "and it is told again until it is mended");
        let told = parts.iter().find(|part| part["outcome"] == "failed").unwrap();
        assert_eq!(told["diagnostics"][0]["file"], path(&acl));
    }
    assert!(publish(gate.mqtt(), "t", &["-u", "bob", "-P", "two"]).status.success());
    fs::write(&acl, "").unwrap();
    assert!(read(&reload().await.0[1]));

    let status = gate.http().get("/api/v5/status?format=json").await.json();
    assert_eq!(status["local"]["broker"], "embedded");
    assert_eq!(status["certificates"][0]["listener"], "tls");
    assert_eq!(status["certificates"][0]["file"], path(&made.certificate));
    assert!(status["certificates"][0]["days_left"].as_i64().unwrap() > 30, "{status}");
    assert_eq!(status["warnings"], serde_json::json!([]));
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .args(["run", "--mqtt-listen", &address, "--http-listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("cannot listen on {address} for `mqtt`")), "{said}");
}
