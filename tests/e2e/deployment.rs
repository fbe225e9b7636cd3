//! What stands beside the server: the files of `docker/` and `packaging/` name what there is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Certificates, Client, Mosquitto};

use crate::{PROGRAM, cloud, gate};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in a text that can only be metrics of ours.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c| !is_part(c));
    let ours = |word: &&str| word.starts_with("sluicegate_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

#[tokio::test]
async fn dashboards_and_alerts_ask_for_metrics_that_exist() {
    let remote = Mosquitto::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let made = Certificates::write(folder.path());
    let listener = format!(
        "[[mqtt.listeners]]\ntype = \"tls\"\nlisten = \"127.0.0.1:0\"\ncertfile = \"{}\"\nkeyfile = \"{}\"\n",
        made.certificate.display(),
        made.key.display()
    );
    let more = format!(
        "[actions.mqtt.up]\nconnector = \"cloud\"\nparameters = {{ topic = \"t\" }}\n\
         [sources.mqtt.down]\nconnector = \"cloud\"\nparameters = {{ topic = \"t\" }}\n\
         [connectors.mqtt.secure]\nserver = \"127.0.0.1:1\"\nssl = {{ enable = true, cacertfile = \"{}\" }}\n",
        made.ca.display()
    );
    let resources = &cloud(&remote, "pool_size = 1", &more);
    let rule = "--- actions = [\"mqtt:up\"]\nSELECT * FROM \"t\"";
    let gate = gate().config(&listener).file("cloud.toml", resources).rule("r", rule).start().await;
    Client::connect(gate.mqtt(), "c").await.publish("t", "x", 1).await;
    gate.wait_metric("/rules/r", "passed", 1).await;
    gate.wait_metric("/actions/mqtt:up", "success", 1).await;
    // One without a broker of its own has other numbers in that place.
    let beside = format!("[local]\nbroker = \"mqtt://{}\"\n", remote.address());
    let beside = crate::gate().without_broker().config(&beside).start().await;
    let mut page = gate.http().get("/metrics").await.expect(200).body;
    page += &beside.http().get("/metrics").await.expect(200).body;
    let series: BTreeSet<&str> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let mut asked = 0;
    for path in ["docker/grafana/dashboards/sluicegate.json", "docker/alerts.yml"] {
        for name in metrics_in(&read(path)) {
            assert!(series.contains(name.as_str()), "{path} asks for `{name}`, which is not in\n{page}");
            asked += 1;
        }
    }
    assert!(asked > 20, "only {asked} names were found");
}

#[tokio::test]
async fn the_dashboard_is_what_grafana_reads() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("docker/grafana/dashboards/sluicegate.json")).expect("it is JSON");
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("it has panels") {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        if panel["type"] == "row" {
            continue;
        }
        for target in panel["targets"].as_array().expect("a panel asks for something") {
            let expr = target["expr"].as_str().expect("a target has a query");
            assert_eq!(expr.matches('(').count(), expr.matches(')').count(), "{expr}");
            assert_eq!(expr.matches('{').count(), expr.matches('}').count(), "{expr}");
        }
    }
}

#[test]
fn the_demonstration_rules_are_right() {
    let output = Command::new(PROGRAM)
        .args(["check", "--deny-warnings", "--rules"])
        .arg(project().join("rules"))
        .arg("--rules")
        .arg(project().join("docker/rules"))
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_is_mounted_and_copied_is_there() {
    for line in read("docker-compose.yml").lines() {
        let Some(mount) = line.trim().strip_prefix("- ./") else { continue };
        let path = mount.split(':').next().unwrap_or_default();
        assert!(project().join(path).exists(), "docker-compose.yml mounts {path}");
    }
    let kept = read(".dockerignore");
    for path in kept.lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(project().join(path).exists(), ".dockerignore keeps {path}");
    }
    // What the packages are made of goes into the image's build.
    assert!(
        ["Cargo.toml", "Cargo.lock", "crates", "tests"].iter().all(|path| kept.contains(&format!("!{path}")))
    );
}

#[test]
fn the_unit_starts_the_server_as_it_can_be_started() {
    let unit = read("packaging/sluicegate.service");
    let start =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a unit starts something");
    let help = Command::new(PROGRAM).args(["run", "--help"]).output().expect("the binary runs").stdout;
    let help = String::from_utf8_lossy(&help);
    for flag in start.split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(help.contains(flag), "`{flag}` is no flag of `sluicegate run`");
    }
    assert!(unit.contains("Type=notify-reload"));
}
