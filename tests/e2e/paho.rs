//! The Paho client for Python, which nobody here wrote: `paho_journeys.py` has the journeys.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use testkit::Certificates;

use crate::gate;

/// A Python that has the client: Debian's, which `cargo xtask test` sees to, or whichever comes first.
static PYTHON: LazyLock<&str> = LazyLock::new(|| {
    let has_paho = |python: &&str| {
        let output = Command::new(python).args(["-c", "import paho.mqtt.client"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    ["/usr/bin/python3", "python3"].into_iter().find(has_paho).expect(
        "a Python 3 with the Paho MQTT client: `apt-get install python3-paho-mqtt` or `pip install paho-mqtt`; \
         `cargo xtask test` installs it on Debian",
    )
});

/// Every version of MQTT, as Paho numbers them.
const VERSIONS: [u8; 3] = [3, 4, 5];

/// Lets the client go on a journey, and panics with what it says if that goes wrong. Blocks.
fn go(journey: &str, broker: SocketAddr, version: u8, more: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/paho_journeys.py");
    let output = Command::new(*PYTHON)
        .arg(&script)
        .arg(journey)
        .args(["--port", &broker.port().to_string(), "--version", &version.to_string()])
        .args(more)
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{journey}` over MQTT version {version} {more:?}: {said}");
}

/// The journeys over plain TCP, one after the other, each with these versions.
async fn journeys(names: &'static [&'static str], versions: &'static [u8]) {
    let gate = gate().start().await;
    let broker = gate.mqtt();
    let run = move || {
        for name in names {
            versions.iter().for_each(|version| go(name, broker, *version, &[]));
        }
    };
    tokio::task::spawn_blocking(run).await.expect("every journey ends well");
}

#[tokio::test]
async fn messages_arrive_at_every_level_in_every_version() {
    journeys(&["qos"], &VERSIONS).await;
}

#[tokio::test]
async fn wills_and_retained_messages_are_kept_in_every_version() {
    journeys(&["will", "retained"], &VERSIONS).await;
}

#[tokio::test]
async fn a_session_is_taken_up_again_in_every_version() {
    journeys(&["session"], &VERSIONS).await;
}

#[tokio::test]
async fn properties_identifiers_and_options_are_those_of_mqtt_5() {
    journeys(&["properties", "options"], &[5]).await;
}

#[tokio::test]
async fn a_hundred_come_at_once() {
    journeys(&["crowd"], &[4, 5]).await;
}

#[tokio::test]
async fn tls_and_websockets_carry_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let made = Certificates::write(folder.path());
    let listener = |kind: &str, more: &str| {
        format!("[[mqtt.listeners]]\ntype = \"{kind}\"\nlisten = \"127.0.0.1:0\"\n{more}")
    };
    let (certificate, key) = (made.certificate.display(), made.key.display());
    let files = format!("certfile = \"{certificate}\"\nkeyfile = \"{key}\"\n");
    let config = [listener("tls", &files), listener("ws", ""), listener("wss", &files)].concat();
    let gate = gate().config(&config).start().await;
    let (tls, ws, wss) = (gate.listener("tls").await, gate.listener("ws").await, gate.listener("wss").await);
    let authority = made.ca.display().to_string();
    let run = move || {
        for version in VERSIONS {
            go("qos", tls, version, &["--ca", &authority]);
            go("qos", ws, version, &["--transport", "websockets"]);
            go("qos", wss, version, &["--transport", "websockets", "--ca", &authority]);
        }
        go("session", wss, 5, &["--transport", "websockets", "--ca", &authority]);
    };
    tokio::task::spawn_blocking(run).await.expect("every journey ends well");
}
