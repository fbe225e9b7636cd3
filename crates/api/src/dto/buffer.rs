//! What waits on disk for an action that is declared nowhere, as JSON.

use engine::OrphanView;
use schemars::JsonSchema;
use serde::Serialize;

/// One buffer without an action.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OrphanedBuffer")]
pub(crate) struct OrphanInfo {
    id: String,
    orphan: bool,
    messages: Option<u64>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl OrphanInfo {
    pub(crate) fn new(view: &OrphanView) -> Self {
        Self {
            id: view.id.to_string(),
            orphan: true,
            messages: view.messages,
            bytes: view.bytes,
            error: view.error.clone(),
        }
    }
}
