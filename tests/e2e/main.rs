//! The real server and a real mosquitto, as a user has them: one module for each journey.

mod accounting;
mod acknowledgement;
mod bridge_in;
mod bridge_out;
mod bridge_secure;
mod broken_rule;
mod cli;
mod connector_edits;
mod connector_fields;
mod connector_tls;
mod dead_letters;
mod deployment;
mod door;
mod durable;
mod events;
mod hostile;
mod http_sink;
mod local_broker;
mod loops;
mod paho;
mod readme;
mod reload_under_load;
mod remote_moves;
mod remote_restart;
mod republishing;
mod rest;
mod rule_test;
mod rules_folder;
mod samples;
mod sessions;
mod signals;
mod starting;
mod supervised;
mod torture;
mod uninvited;
mod unread;
mod verbs;

use testkit::{Message, Mosquitto, Sluicegate, SluicegateBuilder};

/// The binary under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_sluicegate");

/// A server that is yet to be started.
fn gate() -> SluicegateBuilder {
    Sluicegate::builder(PROGRAM)
}

/// A resource file with the connector `cloud` to `remote`, and `more` below it.
fn cloud(remote: &Mosquitto, settings: &str, more: &str) -> String {
    format!("[connectors.mqtt.cloud]\nserver = \"{}\"\n{settings}\n\n{more}", remote.address())
}

/// The action `uplink` of the connector `cloud`: everything as it came, below `pub/`.
const UPLINK: &str = r#"
[actions.mqtt.uplink]
connector = "cloud"
parameters = { topic = "pub/${topic}", qos = "${qos}", retain = "${flags.retain}", payload = "${payload}" }
"#;

/// What the sequence number in a payload was.
fn number(message: &Message) -> usize {
    let text = String::from_utf8_lossy(&message.payload);
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no sequence number"))
}
