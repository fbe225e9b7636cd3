//! What the server hands to the API.

use std::sync::{Arc, OnceLock};

use engine::Engine;

use crate::ApiKeys;

/// Everything that a request may look at. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The rules and what they use.
    pub engine: Engine,
    /// The addresses that are listened on; set once all of them are bound, and until then the server is not ready.
    pub listeners: Arc<OnceLock<Vec<Listener>>>,
    /// Reads what the broker counts. Called at every scrape, so it must answer at once.
    pub broker: Arc<dyn Fn() -> Vec<Sample> + Send + Sync>,
    /// Who may call; without any key everybody may.
    pub api_keys: Arc<ApiKeys>,
}

/// One address that the server listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What speaks there: `mqtt`, `http`.
    pub name: String,
    /// Address and port as they were bound.
    pub address: String,
}

/// One number for `GET /metrics` from a part of the server that the API does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The name after `sluicegate_`, with its unit and without `_total`: `mqtt_received_bytes`.
    pub name: &'static str,
    /// A sentence that says what is counted.
    pub help: &'static str,
    /// Whether it only rises.
    pub kind: MetricKind,
    /// The number.
    pub value: u64,
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only rises, until a restart or a reset.
    Counter,
    /// It goes up and down.
    Gauge,
}
