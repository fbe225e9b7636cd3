//! A connector, source or action as JSON.

use engine::ResourceView;
use serde::Serialize;
use serde_json::Value;

use super::Management;
use super::diagnostic::{DiagnosticBody, Place, bodies, first_error};

/// What an answer has and a request may repeat without effect, so that a resource can be read, changed and sent back.
pub(crate) const READ_ONLY: &[&str] =
    &["status", "status_reason", "node_status", "managed_by", "file", "error", "diagnostics"];

/// The fields of the request with defaults filled in, and how it is.
#[derive(Debug, Serialize)]
pub(crate) struct ResourceInfo<'v> {
    id: String,
    #[serde(rename = "type")]
    kind: &'v str,
    name: &'v str,
    #[serde(flatten)]
    settings: &'v Value,
    status: &'static str,
    status_reason: &'v str,
    node_status: [NodeStatus<'v>; 1],
    #[serde(flatten)]
    management: Management,
    /// The first error of `diagnostics`.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<DiagnosticBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<DiagnosticBody>,
}

#[derive(Debug, Serialize)]
struct NodeStatus<'v> {
    node: &'v str,
    status: &'static str,
    status_reason: &'v str,
}

impl<'v> ResourceInfo<'v> {
    pub(crate) fn new(view: &'v ResourceView, node: &'v str) -> Self {
        let (status, status_reason) = (view.status.state.name(), view.status.reason.as_str());
        let diagnostics = bodies(&view.errors, Place::File);
        Self {
            id: view.id.to_string(),
            kind: &view.id.kind,
            name: &view.id.name,
            settings: &view.settings,
            status,
            status_reason,
            node_status: [NodeStatus { node, status, status_reason }],
            management: Management::new(&view.managed_by),
            error: first_error(&diagnostics),
            diagnostics,
        }
    }
}
