//! A rule as JSON.

use engine::RuleView;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Management;
use super::diagnostic::{DiagnosticBody, Place, bodies, first_error};

/// What an answer has and a request may repeat without effect, so that a rule can be read, changed and sent back.
pub(crate) const READ_ONLY: &[&str] = &[
    "from",
    "action_details",
    "created_at",
    "last_modified_at",
    "managed_by",
    "file",
    "error",
    "diagnostics",
];

/// The reference's `rule_info`, with `tags`, `managed_by` and what is wrong added.
#[derive(Debug, Serialize)]
pub(crate) struct RuleInfo<'v> {
    id: &'v str,
    name: &'v str,
    sql: &'v str,
    from: &'v [String],
    actions: &'v [Value],
    action_details: Vec<ActionDetail<'v>>,
    enable: bool,
    description: &'v str,
    tags: &'v [String],
    created_at: String,
    last_modified_at: String,
    #[serde(flatten)]
    management: Management,
    /// The first error of `diagnostics`.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<DiagnosticBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<DiagnosticBody>,
}

#[derive(Debug, Serialize)]
struct ActionDetail<'v> {
    #[serde(rename = "type")]
    kind: &'v str,
    name: &'v str,
    status: &'static str,
}

impl<'v> RuleInfo<'v> {
    pub(crate) fn new(view: &'v RuleView) -> Self {
        let details = view.action_details.iter().map(|(id, status)| ActionDetail {
            kind: &id.kind,
            name: &id.name,
            status: status.as_ref().map_or("not_found", |status| status.state.name()),
        });
        let diagnostics = bodies(&view.errors, Place::File);
        Self {
            id: &view.id,
            name: &view.name,
            sql: &view.sql,
            from: &view.from,
            actions: &view.actions,
            action_details: details.collect(),
            enable: view.enable,
            description: &view.description,
            tags: &view.tags,
            created_at: rfc3339(view.created_at),
            last_modified_at: rfc3339(view.last_modified_at),
            management: Management::new(&view.managed_by),
            error: first_error(&diagnostics),
            diagnostics,
        }
    }
}

/// A time as RFC 3339 in UTC with milliseconds; times that the format cannot hold are taken to its ends.
fn rfc3339(time: std::time::SystemTime) -> String {
    let timestamp = Timestamp::try_from(time).unwrap_or(if time < std::time::UNIX_EPOCH {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    format!("{timestamp:.3}")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(
            rfc3339(UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456)),
            "2023-11-14T22:13:20.123Z"
        );
        assert_eq!(rfc3339(UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }
}
