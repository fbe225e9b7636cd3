//! The jobs on which servers are compared.

use mqtt::QoS;

use crate::load::{Load, Pace};
use crate::server::{Far, Server, Way};

/// One row of the comparison, and what is to be reached in it.
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
    pub(crate) cpu: Option<f64>,
    /// The least that our throughput may be of mosquitto's.
    pub(crate) rate: Option<f64>,
    /// The most that our p99 at half of what the slower reaches may be of mosquitto's.
    pub(crate) p99: Option<f64>,
}

const FULL: Pace = Pace::Full { ahead: 1_000 };

/// What most jobs have in common: 200 bytes from four publishers to one subscriber, as fast as it follows.
const USUAL: Job = Job {
    name: "",
    summary: "",
    way: Way::Local,
    qos: QoS::AtLeastOnce,
    messages: 100_000,
    publishers: 4,
    subscribers: 1,
    pace: FULL,
    cpu: Some(0.25),
    rate: None,
    p99: None,
};

/// Every job.
pub(crate) const JOBS: &[Job] = &[
    Job {
        name: "local-qos0",
        summary: "publish → subscriber, QoS 0",
        qos: QoS::AtMostOnce,
        messages: 400_000,
        ..USUAL
    },
    Job {
        name: "local-qos1",
        summary: "publish → subscriber, QoS 1",
        messages: 200_000,
        cpu: Some(1.0 / 6.0),
        ..USUAL
    },
    Job {
        name: "paced-qos1",
        summary: "100 publishers that take turns, one message per wake-up, QoS 1",
        messages: 20_000,
        publishers: 100,
        pace: Pace::Rate(4_000),
        cpu: Some(1.0),
        ..USUAL
    },
    Job {
        name: "fan-out-qos0",
        summary: "one publisher → 50 subscribers, QoS 0, per message delivered",
        qos: QoS::AtMostOnce,
        messages: 10_000,
        publishers: 1,
        subscribers: 50,
        pace: Pace::Full { ahead: 2_000 },
        ..USUAL
    },
    Job {
        name: "out-qos1",
        summary: "publish → rule → remote mosquitto, QoS 1",
        way: Way::Out(Far::Mosquitto),
        rate: Some(1.0),
        p99: Some(1.0),
        ..USUAL
    },
    Job {
        name: "out-ours-qos1",
        summary: "publish → rule → remote sluicegate, QoS 1",
        way: Way::Out(Far::Sluicegate),
        rate: Some(3.0),
        p99: Some(1.0),
        ..USUAL
    },
    Job {
        name: "in-qos1",
        summary: "remote mosquitto → rule → republish → subscriber, QoS 1",
        way: Way::In(Far::Mosquitto),
        rate: Some(1.0),
        p99: Some(1.0),
        ..USUAL
    },
    Job {
        name: "in-ours-qos1",
        summary: "remote sluicegate → rule → republish → subscriber, QoS 1",
        way: Way::In(Far::Sluicegate),
        rate: Some(3.0),
        p99: Some(1.0),
        ..USUAL
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

    /// Whether it is also run at half of what the slower server reaches, for the latency.
    pub(crate) fn at_half_rate(&self) -> bool {
        matches!(self.pace, Pace::Full { .. }) && self.subscribers == 1
    }
}
