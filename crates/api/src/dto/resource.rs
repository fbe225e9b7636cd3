//! A connector, source or action as JSON.

use engine::ResourceView;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::diagnostic::{DiagnosticBody, first_error, in_files};
use super::{Management, rfc3339};

/// What an answer has and a request may repeat without effect, so that a resource can be read, changed and sent back.
pub(crate) const READ_ONLY: &[&str] = &[
    "last_modified_at",
    "status",
    "status_reason",
    "node_status",
    "managed_by",
    "file",
    "error",
    "diagnostics",
    "warnings",
];

/// The fields of the request with defaults filled in, and how it is.
#[derive(Debug, Serialize)]
pub(crate) struct ResourceInfo<'v> {
    id: String,
    #[serde(rename = "type")]
    kind: &'v str,
    name: &'v str,
    #[serde(flatten)]
    settings: &'v Value,
    #[serde(flatten)]
    extra: ResourceExtra<'v>,
}

/// What an answer has beside the settings.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ResourceExtra<'v> {
    last_modified_at: String,
    #[serde(flatten)]
    health: Health<'v>,
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

/// One entry of `GET /actions_summary` and `GET /sources_summary`: how it is and who uses it, without its settings.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ResourceSummary<'v> {
    id: String,
    #[serde(rename = "type")]
    kind: &'v str,
    name: &'v str,
    enable: bool,
    description: &'v str,
    tags: Vec<&'v str>,
    /// The rules that hand rows to it, or read it.
    rules: Vec<String>,
    last_modified_at: String,
    #[serde(flatten)]
    health: Health<'v>,
    #[serde(flatten)]
    management: Management,
}

#[derive(Debug, Serialize, JsonSchema)]
struct NodeStatus<'v> {
    node: &'v str,
    status: &'static str,
    status_reason: &'v str,
}

/// How a resource is, here and, since here is everywhere, on every node.
#[derive(Debug, Serialize, JsonSchema)]
struct Health<'v> {
    /// `connected`, `connecting`, `disconnected` or `stopped`.
    status: &'static str,
    /// Why it is not connected, in words.
    status_reason: &'v str,
    node_status: [NodeStatus<'v>; 1],
}

impl<'v> Health<'v> {
    fn new(view: &'v ResourceView, node: &'v str) -> Self {
        let (status, status_reason) = (view.status.state.name(), view.status.reason.as_str());
        Self { status, status_reason, node_status: [NodeStatus { node, status, status_reason }] }
    }
}

impl<'v> ResourceInfo<'v> {
    pub(crate) fn new(view: &'v ResourceView, node: &'v str) -> Self {
        let diagnostics = in_files(&view.errors);
        Self {
            id: view.id.to_string(),
            kind: &view.id.kind,
            name: &view.id.name,
            settings: &view.settings,
            extra: ResourceExtra {
                last_modified_at: rfc3339(view.last_modified_at),
                health: Health::new(view, node),
                management: Management::new(&view.managed_by),
                error: first_error(&diagnostics),
                diagnostics,
                warnings: Vec::new(),
            },
        }
    }

    /// The answer to a write.
    pub(crate) fn written(view: &'v ResourceView, node: &'v str, warnings: Vec<DiagnosticBody>) -> Self {
        let mut info = Self::new(view, node);
        info.extra.warnings = warnings;
        info
    }
}

impl<'v> ResourceSummary<'v> {
    pub(crate) fn new(view: &'v ResourceView, rules: &[std::sync::Arc<str>], node: &'v str) -> Self {
        let tags = view.settings["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            id: view.id.to_string(),
            kind: &view.id.kind,
            name: &view.id.name,
            enable: view.enable,
            description: view.settings["description"].as_str().unwrap_or_default(),
            tags: tags.iter().filter_map(Value::as_str).collect(),
            rules: rules.iter().map(ToString::to_string).collect(),
            last_modified_at: rfc3339(view.last_modified_at),
            health: Health::new(view, node),
            management: Management::new(&view.managed_by),
        }
    }
}
