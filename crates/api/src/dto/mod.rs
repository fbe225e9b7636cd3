//! The JSON of answers, and the keys of requests.

pub(crate) mod buffer;
pub(crate) mod dead_letter;
pub(crate) mod diagnostic;
pub(crate) mod event;
pub(crate) mod metrics;
pub(crate) mod resource;
pub(crate) mod rule;
pub(crate) mod status;

use engine::ManagedBy;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// Who may change an object: `managed_by`, and `file` where it is one.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Management {
    /// `file` or `rest`.
    managed_by: &'static str,
    /// The file, where it is one.
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

/// A time as RFC 3339 in UTC with milliseconds; times that the format cannot hold are taken to its ends.
pub(crate) fn rfc3339(time: std::time::SystemTime) -> String {
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
