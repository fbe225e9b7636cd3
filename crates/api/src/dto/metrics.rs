//! Metrics as JSON, under the reference's flat names.

use engine::{ActionReading, RateReading, ResourceReading, RuleReading};
use schemars::JsonSchema;
use serde::Serialize;

/// `{metrics, node_metrics: [{node, metrics}]}`; with one node both say the same.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MetricsInfo<'v, M> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'v str>,
    metrics: M,
    node_metrics: [NodeMetrics<'v, M>; 1],
}

#[derive(Debug, Serialize, JsonSchema)]
struct NodeMetrics<'v, M> {
    node: &'v str,
    metrics: M,
}

impl<'v, M: Copy> MetricsInfo<'v, M> {
    /// With the `id` that the metrics of a rule have.
    pub(crate) fn of_rule(id: &'v str, node: &'v str, metrics: M) -> Self {
        Self { id: Some(id), ..Self::new(node, metrics) }
    }

    pub(crate) fn new(node: &'v str, metrics: M) -> Self {
        Self { id: None, metrics, node_metrics: [NodeMetrics { node, metrics }] }
    }
}

/// What is counted per rule.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct RuleMetrics {
    matched: u64,
    passed: u64,
    failed: u64,
    #[serde(rename = "failed.exception")]
    failed_exception: u64,
    #[serde(rename = "failed.no_result")]
    failed_no_result: u64,
    /// `failed.no_result` under its right name.
    filtered: u64,
    #[serde(rename = "actions.total")]
    actions_total: u64,
    #[serde(rename = "actions.success")]
    actions_success: u64,
    #[serde(rename = "actions.failed")]
    actions_failed: u64,
    #[serde(rename = "actions.failed.out_of_service")]
    actions_failed_out_of_service: u64,
    #[serde(rename = "actions.failed.unknown")]
    actions_failed_unknown: u64,
    #[serde(rename = "actions.discarded")]
    actions_discarded: u64,
    #[serde(rename = "matched.rate")]
    rate: f64,
    #[serde(rename = "matched.rate.max")]
    rate_max: f64,
    #[serde(rename = "matched.rate.last5m")]
    rate_last5m: f64,
}

impl RuleMetrics {
    pub(crate) fn new(reading: &RuleReading) -> Self {
        Self {
            matched: reading.matched,
            passed: reading.passed,
            failed: reading.failed(),
            failed_exception: reading.failed_exception,
            failed_no_result: reading.failed_no_result,
            filtered: reading.failed_no_result,
            actions_total: reading.actions_total(),
            actions_success: reading.actions_success,
            actions_failed: reading.actions_failed(),
            actions_failed_out_of_service: reading.actions_failed_out_of_service,
            actions_failed_unknown: reading.actions_failed_unknown,
            actions_discarded: reading.actions_discarded,
            rate: rounded(reading.rate.now),
            rate_max: rounded(reading.rate.max),
            rate_last5m: rounded(reading.rate.last5m),
        }
    }
}

/// What is counted per connector, source or action.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(crate) enum ResourceMetrics {
    Connector(ConnectorMetrics),
    Action(ActionMetrics),
    Source(SourceMetrics),
}

/// What the actions and sources of a connector have counted together.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct ConnectorMetrics {
    received: u64,
    matched: u64,
    success: u64,
    failed: u64,
    dropped: u64,
    retried: u64,
    inflight: u64,
    queuing: u64,
    queuing_bytes: u64,
}

/// What is counted per source.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct SourceMetrics {
    received: u64,
    rate: f64,
    rate_max: f64,
    rate_last5m: f64,
}

/// What is counted per action.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct ActionMetrics {
    matched: u64,
    success: u64,
    failed: u64,
    dropped: u64,
    #[serde(rename = "dropped.expired")]
    dropped_expired: u64,
    #[serde(rename = "dropped.queue_full")]
    dropped_queue_full: u64,
    #[serde(rename = "dropped.resource_not_found")]
    dropped_resource_not_found: u64,
    #[serde(rename = "dropped.resource_stopped")]
    dropped_resource_stopped: u64,
    #[serde(rename = "dropped.other")]
    dropped_other: u64,
    late_reply: u64,
    retried: u64,
    #[serde(rename = "retried.success")]
    retried_success: u64,
    #[serde(rename = "retried.failed")]
    retried_failed: u64,
    inflight: u64,
    queuing: u64,
    queuing_bytes: u64,
    rate: f64,
    rate_max: f64,
    rate_last5m: f64,
}

impl ResourceMetrics {
    pub(crate) fn new(reading: &ResourceReading) -> Self {
        match reading {
            ResourceReading::Connector { actions: ActionReading { counters, fill }, received } => {
                Self::Connector(ConnectorMetrics {
                    received: *received,
                    matched: counters.matched,
                    success: counters.success,
                    failed: counters.failed,
                    dropped: counters.dropped(),
                    retried: counters.retried,
                    inflight: fill.inflight,
                    queuing: fill.queuing,
                    queuing_bytes: fill.queuing_bytes,
                })
            }
            ResourceReading::Action { reading, rate, .. } => Self::Action(ActionMetrics::new(reading, rate)),
            ResourceReading::Source { received, rate } => Self::Source(SourceMetrics {
                received: *received,
                rate: rounded(rate.now),
                rate_max: rounded(rate.max),
                rate_last5m: rounded(rate.last5m),
            }),
        }
    }
}

impl ActionMetrics {
    fn new(ActionReading { counters, fill }: &ActionReading, rate: &RateReading) -> Self {
        Self {
            matched: counters.matched,
            success: counters.success,
            failed: counters.failed,
            dropped: counters.dropped(),
            dropped_expired: counters.dropped_expired,
            dropped_queue_full: counters.dropped_queue_full,
            dropped_resource_not_found: counters.dropped_resource_not_found,
            dropped_resource_stopped: counters.dropped_resource_stopped,
            dropped_other: counters.dropped_other,
            late_reply: counters.late_reply,
            retried: counters.retried,
            retried_success: counters.retried_success,
            retried_failed: counters.retried_failed,
            inflight: fill.inflight,
            queuing: fill.queuing,
            queuing_bytes: fill.queuing_bytes,
            rate: rounded(rate.now),
            rate_max: rounded(rate.max),
            rate_last5m: rounded(rate.last5m),
        }
    }
}

/// Two decimals are as much as a rate means. What is no number becomes 0, which JSON can hold.
fn rounded(rate: f64) -> f64 {
    if rate.is_finite() { (rate * 100.0).round() / 100.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use engine::HistogramReading;

    use super::*;

    #[test]
    fn a_rule_accounts_for_every_message() {
        let reading = RuleReading {
            matched: 10,
            passed: 6,
            failed_exception: 1,
            failed_no_result: 3,
            actions_success: 5,
            actions_failed_out_of_service: 2,
            actions_failed_unknown: 4,
            actions_discarded: 1,
            rate: RateReading { now: 1.0 / 3.0, ..RateReading::default() },
        };
        let info = MetricsInfo::of_rule("heat", "n1", RuleMetrics::new(&reading));
        let json = serde_json::to_value(&info).unwrap();
        assert_eq!(json["id"], "heat");
        assert_eq!(json["metrics"], json["node_metrics"][0]["metrics"]);
        let metrics = &json["metrics"];
        assert_eq!((&metrics["failed"], &metrics["filtered"]), (&4.into(), &3.into()));
        assert_eq!((&metrics["actions.failed"], &metrics["actions.total"]), (&6.into(), &12.into()));
        assert_eq!(metrics["matched.rate"].to_string(), "0.33");
    }

    #[test]
    fn an_action_sums_what_it_dropped() {
        let mut reading = ActionReading::default();
        reading.counters.dropped_expired = 2;
        reading.counters.dropped_queue_full = 3;
        reading.fill.queuing = 4;
        let metrics = ResourceMetrics::new(&ResourceReading::Action {
            reading,
            rate: RateReading::default(),
            delivery: HistogramReading::default(),
        });
        let json = serde_json::to_value(MetricsInfo::new("n1", metrics)).unwrap();
        assert_eq!(json["id"], serde_json::Value::Null);
        assert_eq!((&json["metrics"]["dropped"], &json["metrics"]["queuing"]), (&5.into(), &4.into()));
        assert_eq!(json["metrics"]["dropped.queue_full"], 3);
    }
}
