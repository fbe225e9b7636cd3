//! The events that may trigger a rule, as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use event::{EVENTS, EventKind, EventSpec, Example};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// An id as messages have them; every message gets its own.
const EXAMPLE_ID: &str = "0006638D4EE86CF2B26B0000084C0000";

/// One entry of `GET /api/v5/rule_events`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Event")]
pub(crate) struct EventInfo {
    /// What FROM says, or for publishes and sources, where it says something else, how the reference lists them.
    event: &'static str,
    /// What `context.event_type` of a rule test says.
    event_type: &'static str,
    /// Every spelling that FROM takes.
    from: &'static [&'static str],
    title: &'static str,
    description: &'static str,
    columns: Vec<&'static str>,
    /// What a rule test fills in for what its context leaves out.
    test_columns: Map<String, Value>,
    sql_example: &'static str,
}

/// Every event.
pub(crate) fn events(node: &str) -> Vec<EventInfo> {
    EVENTS.iter().map(|spec| EventInfo::new(spec, node)).collect()
}

impl EventInfo {
    fn new(spec: &'static EventSpec, node: &str) -> Self {
        let filled = spec.columns.iter().map(|(column, _)| column.name());
        let unfilled = spec.unfilled.iter().map(|column| column.name());
        Self {
            event: listed_as(spec),
            event_type: spec.event_type,
            from: spec.from,
            title: spec.title,
            description: spec.description,
            columns: filled.chain(unfilled).collect(),
            test_columns: spec
                .columns
                .iter()
                .map(|(column, example)| (column.name().to_owned(), shown(*example, spec, node)))
                .collect(),
            sql_example: spec.sql_example,
        }
    }
}

fn listed_as(spec: &'static EventSpec) -> &'static str {
    match spec.kind {
        EventKind::MessagePublish => "$events/message_publish",
        EventKind::Source => spec.event_type,
        EventKind::AlarmActivated
        | EventKind::AlarmDeactivated
        | EventKind::ClientConnected
        | EventKind::ClientDisconnected
        | EventKind::ClientConnack
        | EventKind::ClientCheckAuthnComplete
        | EventKind::ClientCheckAuthzComplete
        | EventKind::ClientPing
        | EventKind::SessionSubscribed
        | EventKind::SessionUnsubscribed
        | EventKind::MessageDelivered
        | EventKind::MessageAcked
        | EventKind::MessageDropped
        | EventKind::MessageTransformationFailed
        | EventKind::SchemaValidationFailed
        | EventKind::DeliveryDropped => spec.from.first().copied().unwrap_or(spec.event_type),
    }
}

fn shown(example: Example, spec: &EventSpec, node: &str) -> Value {
    match example {
        Example::Text(text) => text.into(),
        Example::Int(int) => int.into(),
        Example::Bool(bool) => bool.into(),
        Example::Json(json) => serde_json::from_str(json).unwrap_or(Value::Null),
        Example::Event => spec.name.into(),
        Example::Now => now_ms().into(),
        Example::Id => EXAMPLE_ID.into(),
        Example::Node => node.into(),
        Example::Undefined => "undefined".into(),
    }
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_listed_with_its_examples() {
        let all = serde_json::to_value(events("n1")).unwrap();
        assert_eq!(all.as_array().map(Vec::len), Some(EventKind::COUNT));
        for event in all.as_array().unwrap() {
            assert!(event["event"].as_str().unwrap().starts_with('$'), "{event}");
            assert!(event["test_columns"]["event"].is_string(), "{event}");
            assert!(event["sql_example"].as_str().unwrap().contains("FROM"), "{event}");
        }
    }
}
