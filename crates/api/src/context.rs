//! What the server hands to the API.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use engine::Engine;

use crate::ApiKeys;

/// Everything that a request may look at. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The rules and what they use.
    pub engine: Engine,
    /// The addresses that are listened on; set once all of them are bound, and until then the server is not ready.
    pub listeners: Arc<OnceLock<Vec<Listener>>>,
    /// Reads what the broker counts; names without `sluicegate_`. Called at every scrape, so it must answer at once.
    pub broker: Arc<dyn Fn() -> Vec<Sample> + Send + Sync>,
    /// Reads what the system says of this process; names as they are. Called at every scrape, too.
    pub process: Arc<dyn Fn() -> Vec<Sample> + Send + Sync>,
    /// When the process started.
    pub started_at: Instant,
    /// Who may call; without any key everybody may.
    pub api_keys: Arc<ApiKeys>,
}

impl Context {
    /// Whether anybody on this machine may call, and nobody else: no keys, and an address that only loopback reaches.
    pub(crate) fn is_keyless_loopback(&self) -> bool {
        let listeners = self.listeners.get().map_or(&[][..], Vec::as_slice);
        let http = listeners.iter().find(|listener| listener.name == "http");
        let address = http.and_then(|http| http.address.parse::<SocketAddr>().ok());
        self.api_keys.is_empty() && address.is_some_and(|address| address.ip().to_canonical().is_loopback())
    }
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
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name with its unit and without `_total`: `mqtt_received_bytes`.
    pub name: &'static str,
    /// A sentence that says what is counted.
    pub help: &'static str,
    /// Whether it only rises.
    pub kind: MetricKind,
    /// What tells this one from others of its name. Samples of one name stand together.
    pub labels: Vec<(&'static str, String)>,
    /// The number, in the unit that the name says.
    pub value: f64,
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only rises, until a restart or a reset.
    Counter,
    /// It goes up and down.
    Gauge,
}
