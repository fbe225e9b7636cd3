//! The JSON of answers, and the keys of requests.

pub(crate) mod buffer;
pub(crate) mod diagnostic;
pub(crate) mod event;
pub(crate) mod metrics;
pub(crate) mod resource;
pub(crate) mod rule;
pub(crate) mod status;

use engine::ManagedBy;
use serde::Serialize;

/// Who may change an object: `managed_by`, and `file` where it is one.
#[derive(Debug, Serialize)]
pub(crate) struct Management {
    managed_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

impl Management {
    pub(crate) fn new(managed_by: &ManagedBy) -> Self {
        match managed_by {
            ManagedBy::File(file) => Self { managed_by: "file", file: Some(file.display().to_string()) },
            ManagedBy::Rest => Self { managed_by: "rest", file: None },
        }
    }
}
