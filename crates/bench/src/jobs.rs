//! The jobs on which servers are compared, and how each server is set up for them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use mqtt::QoS;
use testkit::{Mosquitto, Sluicegate, SluicegateBuilder};

use crate::load::{Load, Pace};

/// What messages go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Publisher to subscriber on one server.
    Local,
    /// Published here, subscribed at a remote mosquitto.
    Out,
    /// Published at a remote mosquitto, subscribed here.
    In,
}

/// One row of the comparison.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) way: Way,
    pub(crate) qos: QoS,
    pub(crate) messages: u64,
    pub(crate) publishers: u64,
    pub(crate) subscribers: u64,
    pub(crate) pace: Pace,
    /// The most that our CPU per message may be of mosquitto's.
    pub(crate) target: f64,
}

const FULL: Pace = Pace::Full { ahead: 1_000 };

/// Every job.
pub(crate) const JOBS: &[Job] = &[
    Job {
        name: "local-qos0",
        summary: "publish → subscriber, no rule, QoS 0",
        way: Way::Local,
        qos: QoS::AtMostOnce,
        messages: 300_000,
        publishers: 4,
        subscribers: 1,
        pace: FULL,
        target: 0.25,
    },
    Job {
        name: "local-qos1",
        summary: "publish → subscriber, no rule, QoS 1",
        way: Way::Local,
        qos: QoS::AtLeastOnce,
        messages: 200_000,
        publishers: 4,
        subscribers: 1,
        pace: FULL,
        target: 1.0 / 6.0,
    },
    Job {
        name: "paced-qos1",
        summary: "100 publishers that take turns, 4,000/s in all, one message per wake-up, QoS 1",
        way: Way::Local,
        qos: QoS::AtLeastOnce,
        messages: 20_000,
        publishers: 100,
        subscribers: 1,
        pace: Pace::Rate(4_000),
        target: 1.0,
    },
    Job {
        name: "fan-out-qos0",
        summary: "one publisher → 50 subscribers, QoS 0 (per message delivered)",
        way: Way::Local,
        qos: QoS::AtMostOnce,
        messages: 10_000,
        publishers: 1,
        subscribers: 50,
        pace: Pace::Full { ahead: 2_000 },
        target: 0.25,
    },
    Job {
        name: "out-qos1",
        summary: "publish → rule with SELECT and WHERE → remote mosquitto, QoS 1 (mosquitto: its bridge, no rule)",
        way: Way::Out,
        qos: QoS::AtLeastOnce,
        messages: 100_000,
        publishers: 4,
        subscribers: 1,
        pace: FULL,
        target: 0.25,
    },
    Job {
        name: "in-qos1",
        summary: "remote mosquitto → rule → republish → subscriber, QoS 1 (mosquitto: its bridge, no rule)",
        way: Way::In,
        qos: QoS::AtLeastOnce,
        messages: 100_000,
        publishers: 4,
        subscribers: 1,
        pace: FULL,
        target: 0.25,
    },
];

impl Job {
    /// Its load on a server that is set up for it; `share` of the messages.
    pub(crate) fn load(&self, server: &Server, share: f64) -> Load {
        let mut load = Load::new(server.publish_at, server.subscribe_at);
        load.qos = self.qos;
        load.messages = (self.messages as f64 * share) as u64;
        load.publishers = self.publishers;
        load.subscribers = self.subscribers;
        load.pace = self.pace;
        load
    }
}

/// A server that is ready for a job, and whom it needs beside it.
pub(crate) struct Server {
    pub(crate) publish_at: SocketAddr,
    pub(crate) subscribe_at: SocketAddr,
    /// Whose CPU counts: the server under test, not the remote.
    pub(crate) pid: u32,
    // They live as long as this.
    _gate: Option<Sluicegate>,
    _mosquittos: Vec<Mosquitto>,
}

const RULE: &str =
    "SELECT payload.temp AS t, clientid, topic, qos, payload FROM \"load/#\" WHERE payload.temp > 25";

impl Server {
    /// Ours.
    pub(crate) async fn ours(program: &Path, way: Way) -> Self {
        let gate = Sluicegate::builder(program);
        if way == Way::Local {
            let gate = gate.start().await;
            let at = gate.mqtt();
            return Self::of_gate(gate, at, at, Vec::new());
        }
        let remote = Mosquitto::builder().line("max_inflight_messages 1000").start().await;
        let there = remote.address();
        let connector = format!("[connectors.mqtt.remote]\nserver = \"{there}\"\nproto_ver = \"v4\"\n");
        if way == Way::Out {
            let action = "[actions.mqtt.out]\nconnector = \"remote\"\n\
                          parameters = { topic = \"${topic}\", qos = \"${qos}\", payload = \"${payload}\" }\n";
            let rule = format!("--- actions = [\"mqtt:out\"]\n{RULE}\n");
            let gate =
                gate.file("out.toml", &format!("{connector}{action}")).rule("out", &rule).start().await;
            gate.wait_status("/connectors/mqtt:remote", "connected").await;
            let at = gate.mqtt();
            return Self::of_gate(gate, at, there, vec![remote]);
        }
        let source =
            "[sources.mqtt.in]\nconnector = \"remote\"\nparameters = { topic = \"load/#\", qos = 1 }\n";
        let rule = format!(
            "--- actions = [{{ function = \"republish\", args = {{ topic = \"in/${{topic}}\", qos = 1, payload = \
             \"${{payload}}\" }} }}]\n{}\n",
            RULE.replace("load/#", "$bridges/mqtt:in").replace("clientid, ", "")
        );
        let gate = gate.file("in.toml", &format!("{connector}{source}")).rule("in", &rule).start().await;
        remote.wait_subscribed("load/#").await;
        let at = gate.mqtt();
        Self::of_gate(gate, there, at, vec![remote])
    }

    /// Ours with these rules, for messages that go from publisher to subscriber.
    pub(crate) async fn with_rules(builder: SluicegateBuilder) -> Self {
        let gate = builder.start().await;
        let at = gate.mqtt();
        Self::of_gate(gate, at, at, Vec::new())
    }

    fn of_gate(
        gate: Sluicegate,
        publish_at: SocketAddr,
        subscribe_at: SocketAddr,
        mosquittos: Vec<Mosquitto>,
    ) -> Self {
        let pid = gate.process().id();
        Self { publish_at, subscribe_at, pid, _gate: Some(gate), _mosquittos: mosquittos }
    }

    /// mosquitto, with its own bridge where there is a remote.
    pub(crate) async fn mosquitto(way: Way) -> Self {
        let builder = Mosquitto::builder().line("max_inflight_messages 1000");
        if way == Way::Local {
            let server = builder.start().await;
            let at = server.address();
            let pid = server.process().id();
            return Self { publish_at: at, subscribe_at: at, pid, _gate: None, _mosquittos: vec![server] };
        }
        let remote = builder.clone().start().await;
        let there = remote.address();
        let direction = if way == Way::Out { "out" } else { "in" };
        let server = builder
            .line("connection bridge")
            .line(&format!("address {there}"))
            .line("bridge_protocol_version mqttv311")
            .line("notifications false")
            .line("try_private false")
            .line(&format!("topic load/# {direction} 1"))
            .start()
            .await;
        match way {
            Way::In => remote.wait_subscribed("load/#").await,
            _ => _ = remote.process().wait_line("New client connected").await,
        }
        let (here, pid) = (server.address(), server.process().id());
        let (publish_at, subscribe_at) = if way == Way::Out { (here, there) } else { (there, here) };
        Self { publish_at, subscribe_at, pid, _gate: None, _mosquittos: vec![server, remote] }
    }
}

/// Where the server's release binary lies.
pub(crate) fn program() -> PathBuf {
    let own = std::env::current_exe().expect("this program lies somewhere");
    own.with_file_name("sluicegate")
}
