//! `$SYS`: what the broker says about itself, as retained messages that are renewed at an interval.

use std::time::Duration;

use event::Trail;
use mqtt::QoS;

use crate::Broker;
use crate::broker::Phase;
use crate::message::Now;
use crate::publish::{From, Publication};

/// What topics of the server start with. Clients do not publish to them, and they are not stored.
pub(crate) const PREFIX: &str = "$SYS/";

/// Publishes until the broker closes.
pub(crate) async fn publish(broker: &Broker, interval: Duration) {
    let closing = broker.reached(Phase::Closing);
    tokio::pin!(closing);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = &mut closing => return,
            _ = ticks.tick() => broker.publish_sys(),
        }
    }
}

impl Broker {
    fn publish_sys(&self) {
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        let (node, now) = (&self.config.node, Now::read());
        let uptime = self.started.elapsed().as_secs();
        let mut facts = vec![
            ("$SYS/brokers".to_owned(), node.clone()),
            (format!("$SYS/brokers/{node}/version"), VERSION.to_owned()),
            (format!("$SYS/brokers/{node}/sysdescr"), "Sluicegate".to_owned()),
            (format!("$SYS/brokers/{node}/uptime"), uptime.to_string()),
            ("$SYS/broker/version".to_owned(), format!("sluicegate version {VERSION}")),
            ("$SYS/broker/uptime".to_owned(), format!("{uptime} seconds")),
        ];
        for (reference, mosquitto, number) in self.counted() {
            facts.push((format!("$SYS/brokers/{node}/{reference}"), number.to_string()));
            facts.extend(mosquitto.map(|name| (format!("$SYS/broker/{name}"), number.to_string())));
        }
        for (topic, value) in facts {
            self.publish_fact(&topic, &value, now);
        }
    }

    /// What is counted: its name below `$SYS/brokers/NODE/`, as the reference has it, its name below `$SYS/broker/`, if
    /// mosquitto has it, and the number.
    fn counted(&self) -> [(&'static str, Option<&'static str>, u64); 11] {
        let metrics = self.metrics();
        let dropped = metrics.dropped_no_subscribers
            + metrics.dropped_not_authorized
            + metrics.dropped_queue_full
            + metrics.dropped_expired
            + metrics.dropped_too_large;
        [
            ("stats/connections/count", Some("clients/connected"), metrics.connections as u64),
            ("stats/sessions/count", Some("clients/total"), metrics.sessions as u64),
            ("stats/subscriptions/count", Some("subscriptions/count"), metrics.subscriptions as u64),
            ("stats/retained/count", Some("retained messages/count"), metrics.retained as u64),
            ("metrics/bytes/received", Some("bytes/received"), metrics.bytes_received),
            ("metrics/bytes/sent", Some("bytes/sent"), metrics.bytes_sent),
            ("metrics/messages/received", Some("messages/received"), metrics.messages_received),
            ("metrics/messages/sent", Some("messages/sent"), metrics.messages_sent),
            ("metrics/messages/dropped", Some("publish/messages/dropped"), dropped),
            ("metrics/client/connected", None, metrics.clients_connected),
            ("metrics/client/disconnected", None, metrics.clients_disconnected),
        ]
    }

    fn publish_fact(&self, topic: &str, value: &str, now: Now) {
        let publication = Publication {
            id: self.next_id(now),
            topic,
            payload: value.as_bytes(),
            qos: QoS::AtMostOnce,
            retain: true,
            dup: false,
            properties: None,
            from: From::Server { clientid: &self.config.node, username: None },
            now,
            trail: &Trail::empty(),
        };
        self.publish_own(&publication, self.rules(), None);
    }
}
