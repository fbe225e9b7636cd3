//! Every setting of MQTT connectors, sources and actions does what it says, with a real mosquitto at the far side.

use std::collections::BTreeSet;

use testkit::{Client, Mosquitto, Publish, Sluicegate, wait_for, wait_until};

use crate::{UPLINK, cloud, gate};

const UP: &str = "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"";

/// A rule that republishes what comes from a source of this name: below its name, with this payload.
fn down(source: &str, payload: &str) -> String {
    format!(
        "--- actions = [{{ function = \"republish\", args = {{ topic = \"{source}/${{topic}}\", payload = \"{payload}\" }} }}]\n\
         SELECT * FROM \"$bridges/mqtt:{source}\""
    )
}

fn source(name: &str, parameters: &str) -> String {
    format!("[sources.mqtt.{name}]\nconnector = \"cloud\"\nparameters = {{ {parameters} }}\n")
}

/// The lines by which mosquitto tells who has connected, and how: `… as ID (p2, c1, k160)`.
fn connected(remote: &Mosquitto) -> Vec<String> {
    let lines = remote.process().lines().into_iter();
    lines
        .filter_map(|line| {
            Some(line.split_once("New client connected from ")?.1.split_once(" as ")?.1.to_owned())
        })
        .collect()
}

/// The words of a connector's or source's status.
async fn reason(gate: &Sluicegate, path: &str, part: &str) -> String {
    wait_for(&format!("{path} says `{part}`"), async || {
        let answer = gate.http().get(&format!("/api/v5{path}")).await.expect(200);
        let reason = answer.at("/status_reason").as_str().unwrap_or_default().to_owned();
        if answer.at("/status") != "connected" && reason.contains(part) {
            Ok(reason)
        } else {
            Err(answer.to_string())
        }
    })
    .await
}

async fn both_ways(version: &str, number: &str) {
    let remote = Mosquitto::start().await;
    let more = format!("{UPLINK}\n{}", source("far", "topic = \"far/#\", qos = 1"));
    let gate = gate()
        .file(
            "cloud.toml",
            &cloud(&remote, &format!("proto_ver = \"{version}\"\npool_size = 2\nkeepalive = \"77s\""), &more),
        )
        .rule("up", UP)
        .rule("down", &down("far", "${payload}"))
        .start()
        .await;
    remote.wait_subscribed("far/#").await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let (here, there) =
        (Client::connect(gate.mqtt(), "here").await, Client::connect(remote.address(), "there").await);
    here.subscribe("far/#", 1).await;
    there.subscribe("pub/#", 2).await;
    for qos in 0..=2 {
        here.publish("t/1", format!("up {qos}"), qos).await;
        let message = there.next("pub/t/1").await;
        assert_eq!((message.payload, message.qos), (format!("up {qos}").into_bytes(), qos));
        there.publish("far/1", format!("down {qos}"), qos).await;
        assert_eq!(here.next("far/far/1").await.payload, format!("down {qos}").into_bytes());
    }
    let ours: Vec<String> = connected(&remote).into_iter().filter(|line| line.starts_with("cloud")).collect();
    assert_eq!(ours.len(), 3, "two that publish and one that receives: {ours:?}");
    assert!(ours.iter().all(|line| line.contains(&format!("(p{number}, c1, k77)"))), "{ours:?}");
}

#[tokio::test]
async fn mqtt_3_1_both_ways() {
    both_ways("v3", "1").await;
}

#[tokio::test]
async fn mqtt_3_1_1_both_ways() {
    both_ways("v4", "2").await;
}

#[tokio::test]
async fn mqtt_5_both_ways() {
    both_ways("v5", "5").await;
}

#[tokio::test]
async fn the_command_line_clients_of_mosquitto_see_both_ways() {
    let remote = Mosquitto::start().await;
    let more = format!("{UPLINK}\n{}", source("far", "topic = \"far/#\""));
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", &more))
        .rule("up", UP)
        .rule("down", &down("far", "${payload}"))
        .start()
        .await;
    remote.wait_subscribed("far/#").await;
    let here = remote_program(
        gate.mqtt(),
        "mosquitto_sub",
        &["-t", "far/#", "-v", "-q", "1", "-C", "1", "-W", "20", "-i", "sub-here"],
    );
    let there = remote_program(
        remote.address(),
        "mosquitto_sub",
        &["-t", "pub/#", "-v", "-q", "1", "-C", "1", "-W", "20", "-i", "sub-there"],
    );
    remote.process().wait_line("sub-there 1 pub/#").await;
    wait_until("mosquitto_sub listens here", async || {
        gate.http().get("/metrics").await.expect(200).body.contains("\nsluicegate_mqtt_subscriptions 1\n")
    })
    .await;
    let payload = r#"{ "temp": "27.5", "hum": "41.8" }"#;
    for (address, topic) in [(gate.mqtt(), "t/1"), (remote.address(), "far/1")] {
        let sent = remote_program(address, "mosquitto_pub", &["-t", topic, "-q", "1", "-m", payload]);
        assert!(sent.wait_with_output().unwrap().status.success());
    }
    for (listener, topic) in [(there, "pub/t/1"), (here, "far/far/1")] {
        let output = listener.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{topic} {payload}\n"));
    }
}

fn remote_program(address: std::net::SocketAddr, program: &str, args: &[&str]) -> std::process::Child {
    std::process::Command::new(program)
        .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()])
        .args(args)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the clients of mosquitto are installed")
}

#[tokio::test]
async fn client_ids_have_their_form() {
    let remote = Mosquitto::start().await;
    let gate = gate()
        .config("[node]\nname = \"abc\"\n")
        .file(
            "cloud.toml",
            &cloud(&remote, "pool_size = 2\nclientid_prefix = \"myprefix\"", &source("far", "topic = \"x\"")),
        )
        .start()
        .await;
    remote.wait_subscribed("x").await;
    gate.wait_status("/sources/mqtt:far", "connected").await;
    let ids: BTreeSet<String> =
        connected(&remote).iter().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect();
    let ours = |id: &&String| id.starts_with("myprefix");
    // The first eight digits of the SHA-1 of `abc`.
    let expected = ["1", "2", "s1"].map(|n| format!("myprefix:clouda9993e36:{n}"));
    assert_eq!(ids.iter().filter(ours).cloned().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn static_client_ids_have_logins_of_their_own() {
    let remote = Mosquitto::builder()
        .user("device1", "secret1")
        .user("device2", "secret2")
        .user("all", "s")
        .start()
        .await;
    let settings = r#"
username = "all"
password = "s"
static_clientids = [
  { node = "here@host", ids = [
    { clientid = "dev1", username = "device1", password = "secret1" },
    { clientid = "dev2", username = "device2", password = "secret2" },
    "dev3",
  ] },
  { node = "elsewhere@host", ids = ["dev4"] },
]"#;
    let more = format!("{UPLINK}\n{}", source("far", "topic = \"$share/g/far/#\""));
    let start = |node: &str| {
        gate()
            .config(&format!("[node]\nname = \"{node}\"\n"))
            .file("cloud.toml", &cloud(&remote, settings, &more))
            .rule("up", UP)
            .rule("down", &down("far", "${payload}"))
            .start()
    };
    let gate = start("here@host").await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    gate.wait_status("/sources/mqtt:far", "connected").await;
    let mut logins: Vec<String> =
        connected(&remote).into_iter().filter(|line| line.starts_with("dev")).collect();
    logins.sort();
    let told = |id: &str, user: &str| format!("{id} (p2, c1, k160, u'{user}').");
    assert_eq!(logins, [told("dev1", "device1"), told("dev2", "device2"), told("dev3", "all")]);

    let there = Client::builder("there").user("all", "s").connect(remote.address()).await;
    there.subscribe("pub/#", 1).await;
    let here = Client::connect(gate.mqtt(), "here").await;
    here.subscribe("far/#", 1).await;
    here.publish("t/1", "up", 1).await;
    assert_eq!(there.next("pub/t/1").await.payload, b"up");
    there.publish("far/1", "down", 1).await;
    assert_eq!(here.next("far/far/1").await.payload, b"down");

    let third = start("third@host").await;
    reason(&third, "/connectors/mqtt:cloud", "no client ids are assigned to the node `third@host`").await;
}

#[tokio::test]
async fn two_connectors_may_not_use_one_static_client_id() {
    let ids = "static_clientids = [{ node = \"n\", ids = [\"dev1\"] }]\n";
    let text = |server: &str| format!("server = \"{server}\"\n{ids}");
    let file = format!("[connectors.mqtt.a]\n{}\n[connectors.mqtt.b]\n{}", text("h:1883"), text("h"));
    let other = file.replace("server = \"h\"", "server = \"elsewhere\"");
    let home = tempfile::tempdir().unwrap();
    for (text, success) in [(&file, false), (&other, true)] {
        std::fs::write(home.path().join("two.toml"), text).unwrap();
        let output = std::process::Command::new(crate::PROGRAM)
            .args(["check", "--rules"])
            .arg(home.path())
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.success(), success, "{shown}");
        assert!(success || shown.contains("client id `dev1`"), "{shown}");
    }
}

#[tokio::test]
async fn the_bridge_bit_is_understood() {
    for (bridge, echoes) in [(false, 1), (true, 0)] {
        let remote = Mosquitto::start().await;
        let settings = format!(
            "bridge_mode = {bridge}\nstatic_clientids = [{{ node = \"sluicegate@127.0.0.1\", ids = [\"one\"] }}]"
        );
        let more = format!("{UPLINK}\n{}", source("far", "topic = \"pub/#\""));
        let gate = gate()
            .file("cloud.toml", &cloud(&remote, &settings, &more))
            .rule("up", UP)
            .rule("down", "SELECT * FROM \"$bridges/mqtt:far\"")
            .start()
            .await;
        gate.wait_status("/sources/mqtt:far", "connected").await;
        Client::connect(gate.mqtt(), "here").await.publish("t/1", "x", 1).await;
        gate.wait_metric("/actions/mqtt:uplink", "success", 1).await;
        // A bridge is not sent what it has sent itself; somebody else's message shows that nothing is still to come.
        Client::connect(remote.address(), "there").await.publish("pub/last", "x", 1).await;
        gate.wait_metric("/sources/mqtt:far", "received", 1 + echoes).await;
    }
}

#[tokio::test]
async fn no_local_leaves_out_what_the_connector_has_published() {
    let remote = Mosquitto::start().await;
    let more = format!(
        "{UPLINK}\n{}\n{}",
        source("others", "topic = \"pub/#\", no_local = true"),
        source("all", "topic = \"pub/t/#\"")
    );
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "proto_ver = \"v5\"\npool_size = 2", &more))
        .rule("up", UP)
        .start()
        .await;
    gate.wait_status("/sources/mqtt:others", "connected").await;
    gate.wait_status("/sources/mqtt:all", "connected").await;
    Client::connect(gate.mqtt(), "here").await.publish("t/1", "ours", 1).await;
    gate.wait_metric("/sources/mqtt:all", "received", 1).await;
    Client::connect(remote.address(), "there").await.publish("pub/t/1", "theirs", 1).await;
    gate.wait_metric("/sources/mqtt:all", "received", 2).await;
    gate.wait_metric("/sources/mqtt:others", "received", 1).await;
}

#[tokio::test]
async fn several_sources_on_one_connector_are_told_apart() {
    for version in ["v4", "v5"] {
        let remote = Mosquitto::start().await;
        let more = [
            source("wide", "topic = \"far/#\""),
            source("narrow", "topic = \"far/1\", qos = 0"),
            source("other", "topic = \"else/+\""),
        ];
        let gate = gate()
            .file(
                "cloud.toml",
                &cloud(&remote, &format!("proto_ver = \"{version}\"\npool_size = 1"), &more.concat()),
            )
            .start()
            .await;
        for name in ["wide", "narrow", "other"] {
            gate.wait_status(&format!("/sources/mqtt:{name}"), "connected").await;
        }
        let there = Client::connect(remote.address(), "there").await;
        there.publish("far/2", "x", 1).await;
        there.publish("else/1", "x", 1).await;
        there.publish("far/2", "x", 1).await;
        gate.wait_metric("/sources/mqtt:wide", "received", 2).await;
        gate.wait_metric("/sources/mqtt:other", "received", 1).await;
        gate.wait_metric("/sources/mqtt:narrow", "received", 0).await;
    }
}

#[tokio::test]
async fn retain_as_published_is_asked_for() {
    let remote = Mosquitto::start().await;
    let more = [
        source("as_is", "topic = \"far/#\""),
        source("cleared", "topic = \"far/+\", retain_as_published = false"),
    ];
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "proto_ver = \"v5\"", &more.concat()))
        .rule("one", &down("as_is", "${retain}"))
        .rule("two", &down("cleared", "${retain}"))
        .start()
        .await;
    gate.wait_status("/sources/mqtt:as_is", "connected").await;
    gate.wait_status("/sources/mqtt:cleared", "connected").await;
    let here = Client::connect(gate.mqtt(), "here").await;
    here.subscribe("as_is/#", 1).await;
    here.subscribe("cleared/#", 1).await;
    let kept =
        Publish { topic: "far/1".into(), payload: b"x".into(), qos: 1, retain: true, properties: None };
    let there = Client::connect(remote.address(), "there").await;
    there.send(kept).await.wait(&there).await;
    assert_eq!(here.next("as_is/far/1").await.payload, b"true");
    assert_eq!(here.next("cleared/far/1").await.payload, b"false");
}

#[tokio::test]
async fn a_shared_source_is_shared_by_the_pool() {
    const MESSAGES: usize = 60;
    for (version, filter) in [("v4", "$share/g/far/#"), ("v5", "$share/g/far/#")] {
        let remote = Mosquitto::start().await;
        let gate = gate()
            .file(
                "cloud.toml",
                &cloud(
                    &remote,
                    &format!("proto_ver = \"{version}\"\npool_size = 3"),
                    &source("far", &format!("topic = \"{filter}\"")),
                ),
            )
            .rule("down", &down("far", "${payload}"))
            .start()
            .await;
        gate.wait_status("/sources/mqtt:far", "connected").await;
        let here = Client::connect(gate.mqtt(), "here").await;
        here.subscribe("far/#", 1).await;
        let there = Client::connect(remote.address(), "there").await;
        for n in 0..MESSAGES {
            there.publish("far/1", n.to_string(), 1).await;
        }
        let seen: BTreeSet<usize> =
            here.take("far/far/1", MESSAGES).await.iter().map(crate::number).collect();
        assert_eq!(seen.len(), MESSAGES, "each once");
        here.nothing("far/#").await;
        let asked = remote.process().lines().iter().filter(|line| line.ends_with(filter)).count();
        assert_eq!(asked, 3, "every client of the pool has subscribed");
    }
}

#[tokio::test]
async fn a_queue_is_shared_by_the_pool() {
    const MESSAGES: usize = 20;
    let remote = gate().start().await;
    let far = source("far", "topic = \"$queue/far/#\"")
        + "resource_opts = { health_check_interval = \"15s\", health_check_timeout = \"60s\", resume_interval = \"15s\" }\n";
    let text = format!(
        "[connectors.mqtt.cloud]\nserver = \"{}\"\nproto_ver = \"v5\"\npool_size = 2\n{far}",
        remote.mqtt()
    );
    let gate = gate().file("cloud.toml", &text).rule("down", &down("far", "${payload}")).start().await;
    gate.wait_status("/sources/mqtt:far", "connected").await;
    let here = Client::connect(gate.mqtt(), "here").await;
    here.subscribe("far/#", 1).await;
    let there = Client::connect(remote.mqtt(), "there").await;
    for n in 0..MESSAGES {
        there.publish("far/1", n.to_string(), 1).await;
    }
    let seen: BTreeSet<usize> = here.take("far/far/1", MESSAGES).await.iter().map(crate::number).collect();
    assert_eq!(seen.len(), MESSAGES, "each once");
    here.nothing("far/#").await;
}

#[tokio::test]
async fn a_lasting_session_keeps_what_comes_while_we_are_away() {
    for version in ["v4", "v5"] {
        let remote = Mosquitto::start().await;
        let settings = format!(
            "proto_ver = \"{version}\"\nclean_start = false\nsession_expiry_interval = \"1h\"\npool_size = 1"
        );
        let settings = if version == "v4" {
            settings.replace("session_expiry_interval = \"1h\"\n", "")
        } else {
            settings
        };
        let mut gate = gate()
            .file("cloud.toml", &cloud(&remote, &settings, &source("far", "topic = \"far/#\"")))
            .start()
            .await;
        gate.wait_status("/sources/mqtt:far", "connected").await;
        assert!(gate.terminate().await.success());
        assert!(
            !remote.process().lines().iter().any(|line| line.contains("UNSUBSCRIBE")),
            "it leaves its subscription"
        );
        let there = Client::connect(remote.address(), "there").await;
        for n in 0..5 {
            there.publish("far/1", n.to_string(), 1).await;
        }
        gate.resume().await;
        gate.wait_metric("/sources/mqtt:far", "received", 5).await;
    }
}

#[tokio::test]
async fn sockets_are_as_they_are_asked_for_and_a_silent_remote_is_given_up() {
    let remote = Mosquitto::start().await;
    let options = "pool_size = 1\ntcp_opts = { nodelay = false, sndbuf = \"64KB\", recbuf = \"64KB\", keepalive = \"60,5,3\", active_n = 10 }\n\
                   resource_opts = { health_check_interval = \"15s\", start_after_created = true }";
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = format!(
        "[connectors.mqtt.mute]\nserver = \"{}\"\npool_size = 1\nconnect_timeout = \"300ms\"\n",
        silent.local_addr().unwrap()
    );
    let gate = gate().file("cloud.toml", &cloud(&remote, options, "")).file("mute.toml", &mute).start().await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    reason(&gate, "/connectors/mqtt:mute", "MQTT login: no answer").await;
}

#[tokio::test]
async fn messages_that_can_never_be_sent_fail_with_a_reason() {
    let remote = Mosquitto::start().await;
    let action = "[actions.mqtt.any]\nconnector = \"cloud\"\nparameters = { topic = \"${payload}\", payload = \"x\", qos = 1 }\n";
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", action))
        .rule("up", "--- actions = [\"mqtt:any\"]\nSELECT payload FROM \"t\"")
        .start()
        .await;
    let here = Client::connect(gate.mqtt(), "here").await;
    for topic in ["a/#", "a/+/b", "", "a\0b", &"x".repeat(65_536)] {
        here.publish("t", topic, 1).await;
    }
    here.publish("t", "fine", 1).await;
    gate.wait_metric("/actions/mqtt:any", "failed", 5).await;
    gate.wait_metric("/actions/mqtt:any", "success", 1).await;
    gate.process().wait_line("cannot be published to").await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
}

#[tokio::test]
async fn what_does_not_start_by_itself_waits_with_what_it_is_given() {
    let remote = Mosquitto::start().await;
    let held = "resource_opts = { start_after_created = false }";
    let actions = format!(
        "{UPLINK}\n[actions.mqtt.second]\nconnector = \"cloud\"\nparameters = {{ topic = \"second\" }}\n{held}\n"
    );
    let settings = format!("pool_size = 1\n{held}");
    let rule = "--- actions = [\"mqtt:uplink\", \"mqtt:second\"]\nSELECT topic FROM \"t/#\"";
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, &settings, &(actions + &source("far", "topic = \"far/#\""))))
        .rule("up", rule)
        .start()
        .await;
    let start = async |path: &str| {
        gate.http().post(&format!("/api/v5{path}/start"), &serde_json::Value::Null).await.expect(204)
    };
    for path in ["/connectors/mqtt:cloud", "/actions/mqtt:uplink", "/sources/mqtt:far"] {
        gate.wait_status(path, "stopped").await;
        reason(&gate, path, "it waits for `POST /api/v5/connectors/mqtt:cloud/start`").await;
    }
    reason(&gate, "/actions/mqtt:second", "`POST /api/v5/actions/mqtt:second/start`").await;
    let there = Client::connect(remote.address(), "there").await;
    there.subscribe("#", 1).await;
    Client::connect(gate.mqtt(), "here").await.publish("t/1", "x", 1).await;
    for action in ["/actions/mqtt:uplink", "/actions/mqtt:second"] {
        gate.wait_metric(action, "queuing", 1).await;
    }
    // What the remote says is read a little later than it is said.
    remote.process().wait_line(" as there ").await;
    assert_eq!(connected(&remote).len(), 1, "nobody but the test has connected");

    start("/connectors/mqtt:cloud").await;
    gate.wait_status("/sources/mqtt:far", "connected").await;
    there.next("pub/t/1").await;
    // An edit is no new start.
    let edited = cloud(&remote, &format!("description = \"edited\"\n{settings}"), UPLINK);
    gate.write("cloud.toml", &edited.replace("[actions", &format!("[actions.mqtt.second]\nconnector = \"cloud\"\nparameters = {{ topic = \"second\" }}\n{held}\n\n[actions")));
    wait_until("the edit is live", async || {
        let answer = gate.http().get("/api/v5/connectors/mqtt:cloud").await;
        answer.at("/description") == "edited" && answer.at("/status") == "connected"
    })
    .await;
    there.nothing("second").await;
    gate.wait_metric("/actions/mqtt:second", "queuing", 1).await;
    start("/actions/mqtt:second").await;
    there.next("second").await;
    gate.wait_status("/actions/mqtt:second", "connected").await;
}
