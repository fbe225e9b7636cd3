//! The reference's metrics for Prometheus, so that dashboards and alerts made for it go on working.
//!
//! Its counters have no `_total`, and its gauges of status are 1 where all is well. What we do not count is not here.

use engine::{Category, RuleReading, State};

use super::exposition::Exposition;
use super::{ActionView, actions_of, rules_of, sources_of};
use crate::{Context, MetricKind};

/// The name after `emqx_rule_`, and its reading.
type RuleCounter = (&'static str, fn(&RuleReading) -> u64);

const RULE_COUNTERS: &[RuleCounter] = &[
    ("matched", |reading| reading.matched),
    ("passed", |reading| reading.passed),
    ("failed", RuleReading::failed),
    ("failed_exception", |reading| reading.failed_exception),
    ("failed_no_result", |reading| reading.failed_no_result),
    ("actions_total", RuleReading::actions_total),
    ("actions_success", |reading| reading.actions_success),
    ("actions_failed", RuleReading::actions_failed),
    ("actions_failed_out_of_service", |reading| reading.actions_failed_out_of_service),
    ("actions_failed_unknown", |reading| reading.actions_failed_unknown),
    ("actions_discarded", |reading| reading.actions_discarded),
];

/// The name after `emqx_action_`, its kind, and its reading.
type ActionNumber = (&'static str, MetricKind, fn(&ActionView) -> u64);

const ACTION_NUMBERS: &[ActionNumber] = &[
    ("enable", MetricKind::Gauge, |action| u64::from(action.enable)),
    ("status", MetricKind::Gauge, |action| u64::from(action.connected)),
    ("matched", MetricKind::Counter, |action| action.reading.counters.matched),
    ("success", MetricKind::Counter, |action| action.reading.counters.success),
    ("failed", MetricKind::Counter, |action| action.reading.counters.failed),
    ("dropped", MetricKind::Counter, |action| action.reading.counters.dropped()),
    ("dropped_expired", MetricKind::Counter, |action| action.reading.counters.dropped_expired),
    ("dropped_queue_full", MetricKind::Counter, |action| action.reading.counters.dropped_queue_full),
    ("dropped_resource_not_found", MetricKind::Counter, |action| {
        action.reading.counters.dropped_resource_not_found
    }),
    ("dropped_resource_stopped", MetricKind::Counter, |action| {
        action.reading.counters.dropped_resource_stopped
    }),
    ("dropped_other", MetricKind::Counter, |action| action.reading.counters.dropped_other),
    ("retried", MetricKind::Counter, |action| action.reading.counters.retried),
    ("retried_success", MetricKind::Counter, |action| action.reading.counters.retried_success),
    ("retried_failed", MetricKind::Counter, |action| action.reading.counters.retried_failed),
    ("late_reply", MetricKind::Counter, |action| action.reading.counters.late_reply),
    ("inflight", MetricKind::Gauge, |action| action.reading.fill.inflight),
    ("queuing", MetricKind::Gauge, |action| action.reading.fill.queuing),
];

/// The reference's name, kind, and the name under which the broker shows the same number.
const STATS: &[(&str, MetricKind, &str)] = &[
    ("connections_count", MetricKind::Gauge, "mqtt_sessions"),
    ("live_connections_count", MetricKind::Gauge, "mqtt_connections"),
    ("sessions_count", MetricKind::Gauge, "mqtt_sessions"),
    ("subscriptions_count", MetricKind::Gauge, "mqtt_subscriptions"),
    ("retained_count", MetricKind::Gauge, "mqtt_retained_messages"),
    ("bytes_received", MetricKind::Counter, "mqtt_received_bytes"),
    ("bytes_sent", MetricKind::Counter, "mqtt_sent_bytes"),
    ("messages_received", MetricKind::Counter, "mqtt_messages_received"),
    ("messages_sent", MetricKind::Counter, "mqtt_messages_sent"),
    ("client_connected", MetricKind::Counter, "mqtt_clients_connected"),
    ("client_disconnected", MetricKind::Counter, "mqtt_clients_disconnected"),
];

/// `GET /api/v5/prometheus/data_integration`.
pub(crate) fn data_integration(context: &Context) -> String {
    let engine = &context.engine;
    let mut page = Exposition::new("emqx_", "");
    let rules = rules_of(engine);
    let connectors = engine.resources(Category::Connector);
    let actions = actions_of(engine);
    for (name, count) in [
        ("rules_count", rules.len()),
        ("actions_count", actions.len()),
        ("connectors_count", connectors.len()),
    ] {
        page.metric(name, MetricKind::Gauge, "How many there are.").value(&[], count);
    }
    let mut metric = page.metric("rule_enable", MetricKind::Gauge, "1 where the rule is enabled.");
    for (rule, _) in &rules {
        metric.value(&[("id", &rule.id)], u64::from(rule.enable));
    }
    for (name, read) in RULE_COUNTERS {
        let help = format!("The rule's `{}`.", name.replacen('_', ".", 1));
        let mut metric = page.metric(&format!("rule_{name}"), MetricKind::Counter, &help);
        for (rule, metrics) in &rules {
            metric.value(&[("id", &rule.id)], read(&metrics.reading));
        }
    }
    for (name, kind, read) in ACTION_NUMBERS {
        let help = format!("The action's `{}`.", name.replacen('_', ".", 1));
        let mut metric = page.metric(&format!("action_{name}"), *kind, &help);
        for action in &actions {
            metric.value(&[("id", &action.id)], read(action));
        }
    }
    let help = "Messages that a source received; the reference calls it an action, too.";
    let mut metric = page.metric("action_received", MetricKind::Counter, help);
    for (source, received) in sources_of(engine) {
        metric.value(&[("id", &source)], received);
    }
    let mut metric = page.metric("connector_enable", MetricKind::Gauge, "1 where the connector is enabled.");
    for connector in &connectors {
        metric.value(&[("id", &connector.id.to_string())], u64::from(connector.enable));
    }
    let mut metric = page.metric("connector_status", MetricKind::Gauge, "1 where it is connected.");
    for connector in &connectors {
        let connected = connector.status.state == State::Connected;
        metric.value(&[("id", &connector.id.to_string())], u64::from(connected));
    }
    page.finish()
}

/// `GET /api/v5/prometheus/stats`: the broker's numbers, as far as it counts the same.
pub(crate) fn stats(context: &Context) -> String {
    let mut page = Exposition::new("emqx_", "");
    let samples = (context.broker)();
    for (name, kind, ours) in STATS {
        // Several of one name, as of several listeners, are one number in the reference.
        let same = samples.iter().filter(|sample| sample.name == *ours);
        let Some(help) = same.clone().map(|sample| sample.help).next() else { continue };
        let sum: f64 = same.map(|sample| sample.value).sum();
        page.metric(name, *kind, help).value(&[], sum);
    }
    page.finish()
}
