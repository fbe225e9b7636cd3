//! A rule as JSON.

use engine::RuleView;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::diagnostic::{DiagnosticBody, first_error, in_files};
use super::{Management, rfc3339};
use crate::listing::Meta;

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
    "warnings",
];

/// One page of `GET /api/v5/rules`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RuleList<'v> {
    pub(crate) data: Vec<RuleInfo<'v>>,
    pub(crate) meta: Meta,
}

/// The reference's `rule_info`, with `tags`, `managed_by` and what is wrong added.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Rule")]
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
    /// Only in the answer to a write: what is probably not meant so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<DiagnosticBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
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
        let diagnostics = in_files(&view.errors);
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
            // The clock of files may lag a little behind that of the process.
            last_modified_at: rfc3339(view.last_modified_at.max(view.created_at)),
            management: Management::new(&view.managed_by),
            error: first_error(&diagnostics),
            diagnostics,
            warnings: Vec::new(),
        }
    }

    /// The answer to a write.
    pub(crate) fn written(view: &'v RuleView, warnings: Vec<DiagnosticBody>) -> Self {
        Self { warnings, ..Self::new(view) }
    }
}
