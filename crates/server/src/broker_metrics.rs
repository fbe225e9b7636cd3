//! What the broker counts, as the API shows it.

use api::{Certificate, MetricKind, Sample};
use broker::{ListenerMetrics, Metrics, Refused};
use connector::State;
use connector_mqtt::LocalLink;

/// One sample for each of the broker's numbers.
pub(crate) fn samples(metrics: &Metrics) -> Vec<Sample> {
    let gauge = |name, help, value: usize| sample(name, help, MetricKind::Gauge, value as u64);
    let counter = |name, help, value| sample(name, help, MetricKind::Counter, value);
    vec![
        gauge("mqtt_connections", "Clients that are connected.", metrics.connections),
        gauge("mqtt_sessions", "Sessions, connected or kept.", metrics.sessions),
        gauge("mqtt_subscriptions", "Subscriptions of all sessions.", metrics.subscriptions),
        gauge(
            "mqtt_subscription_bytes",
            "Bytes that the topic filters of all sessions take, roughly.",
            metrics.subscription_bytes,
        ),
        gauge("mqtt_will_bytes", "Bytes that the wills of all sessions take.", metrics.will_bytes),
        gauge(
            "mqtt_mqueue_bytes",
            "Bytes of messages that wait for clients or are under way to them.",
            metrics.queued_bytes,
        ),
        gauge(
            "mqtt_mqueue_full",
            "Whether that is more than `max_total_mqueue_bytes`, so that messages are dropped: 1 or 0.",
            metrics.is_crowded.into(),
        ),
        gauge("mqtt_retained_messages", "Retained messages.", metrics.retained),
        sample(
            "mqtt_store_bytes",
            "Bytes of the log of sessions and retained messages on the disk.",
            MetricKind::Gauge,
            metrics.store_bytes,
        ),
        gauge(
            "mqtt_store_healthy",
            "Whether sessions and retained messages reach the disk: 1 or 0.",
            metrics.store_healthy.into(),
        ),
        counter("mqtt_received_bytes", "Bytes that came from clients.", metrics.bytes_received),
        counter("mqtt_sent_bytes", "Bytes that went to clients.", metrics.bytes_sent),
        counter("mqtt_clients_connected", "Clients that were accepted.", metrics.clients_connected),
        counter("mqtt_clients_disconnected", "Connections that ended.", metrics.clients_disconnected),
        counter("mqtt_clients_refused", "Connections that were refused.", metrics.clients_refused),
        counter("mqtt_messages_received", "Messages that came from clients.", metrics.messages_received),
        counter("mqtt_messages_republished", "Messages that rules published.", metrics.messages_republished),
        counter("mqtt_messages_sent", "Messages that went to clients.", metrics.messages_sent),
        counter(
            "mqtt_subscriptions_refused",
            "Subscriptions past what their client, or all clients, may have.",
            metrics.subscriptions_refused,
        ),
        counter(
            "mqtt_dropped_no_subscribers",
            "Messages that nobody wanted.",
            metrics.dropped_no_subscribers,
        ),
        counter(
            "mqtt_dropped_not_authorized",
            "Messages that their sender may not send.",
            metrics.dropped_not_authorized,
        ),
        counter(
            "mqtt_dropped_topic_too_deep",
            "Messages whose topic has too many levels.",
            metrics.dropped_topic_too_deep,
        ),
        counter("mqtt_dropped_queue_full", "Deliveries that found a full queue.", metrics.dropped_queue_full),
        counter("mqtt_dropped_expired", "Deliveries that came too late.", metrics.dropped_expired),
        counter(
            "mqtt_dropped_too_large",
            "Deliveries that were too large for their client.",
            metrics.dropped_too_large,
        ),
        counter(
            "mqtt_dropped_retained_full",
            "Retained messages that found no room.",
            metrics.dropped_retained_full,
        ),
    ]
}

fn sample(name: &'static str, help: &'static str, kind: MetricKind, value: u64) -> Sample {
    Sample { name, help, kind, labels: Vec::new(), value: value as f64 }
}

/// One sample for each number of the link to a broker that runs already.
pub(crate) fn link_samples(link: &LocalLink) -> Vec<Sample> {
    let published = link.published();
    let is_connected = u64::from(link.status().state == State::Connected);
    let (gauge, counter) = (MetricKind::Gauge, MetricKind::Counter);
    vec![
        sample("local_connected", "Whether the broker of local topics is connected.", gauge, is_connected),
        sample("local_messages_received", "Messages that came from it.", counter, link.received()),
        sample(
            "local_messages_published",
            "Messages of rules that it took.",
            counter,
            published.counters.success,
        ),
        sample(
            "local_messages_failed",
            "Messages of rules that it refused.",
            counter,
            published.counters.failed,
        ),
        sample(
            "local_messages_dropped",
            "Messages of rules that were dropped.",
            counter,
            published.counters.dropped(),
        ),
        sample(
            "local_messages_waiting",
            "Messages of rules that wait for it.",
            gauge,
            published.fill.queuing + published.fill.inflight,
        ),
    ]
}

/// Name, kind, sentence and reading of what a listener shows.
type ListenerNumber = (&'static str, MetricKind, &'static str, fn(&ListenerMetrics) -> u64);

const LISTENER_NUMBERS: &[ListenerNumber] = &[
    ("mqtt_listener_connections", MetricKind::Gauge, "Connections that are open.", |it| {
        it.connections as u64
    }),
    ("mqtt_listener_accepted", MetricKind::Counter, "Connections taken from the network.", |it| it.accepted),
    ("mqtt_listener_received_bytes", MetricKind::Counter, "Bytes that came from clients.", |it| {
        it.bytes_received
    }),
    ("mqtt_listener_sent_bytes", MetricKind::Counter, "Bytes that went to clients.", |it| it.bytes_sent),
    ("mqtt_listener_messages_received", MetricKind::Counter, "Messages that came from clients.", |it| {
        it.messages_received
    }),
    ("mqtt_listener_messages_sent", MetricKind::Counter, "Messages that went to clients.", |it| {
        it.messages_sent
    }),
];

/// The samples of each listener, under its name.
pub(crate) fn listener_samples(listeners: &[ListenerMetrics]) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (name, kind, help, read) in LISTENER_NUMBERS {
        for listener in listeners {
            let labels = vec![("listener", listener.name.clone())];
            samples.push(Sample { labels, ..sample(name, help, *kind, read(listener)) });
        }
    }
    for listener in listeners {
        for (why, count) in Refused::ALL.iter().zip(listener.refused) {
            let labels = vec![("listener", listener.name.clone()), ("reason", why.name().to_owned())];
            let help = "Connections that came to nothing, by reason.";
            let refused = sample("mqtt_listener_refused", help, MetricKind::Counter, count);
            samples.push(Sample { labels, ..refused });
        }
    }
    samples
}

/// When certificates expire.
pub(crate) fn certificate_samples(certificates: &[Certificate]) -> Vec<Sample> {
    certificates
        .iter()
        .map(|certificate| Sample {
            name: "mqtt_certificate_expiry_timestamp_seconds",
            help: "When the certificate of the listener expires, in seconds since 1970.",
            kind: MetricKind::Gauge,
            labels: vec![("listener", certificate.owner.name().to_string())],
            value: certificate.expires_at as f64,
        })
        .collect()
}
