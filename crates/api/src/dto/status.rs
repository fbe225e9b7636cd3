//! The server as a whole as JSON, and what a reload did.

use engine::ReloadOutcome;
use schemars::JsonSchema;
use serde::Serialize;

use super::diagnostic::{DiagnosticBody, Place, bodies};
use crate::Listener;

/// The version of this build.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /api/v5/status?format=json`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Status")]
pub(crate) struct StatusInfo<'v> {
    pub(crate) node_name: &'v str,
    pub(crate) broker_status: &'static str,
    pub(crate) app_status: &'static str,
    pub(crate) rel_vsn: &'static str,
    pub(crate) version: &'static str,
    pub(crate) generation: u64,
    pub(crate) rules: usize,
    pub(crate) listeners: Vec<ListenerInfo<'v>>,
}

/// One address.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Listener")]
pub(crate) struct ListenerInfo<'v> {
    name: &'v str,
    address: &'v str,
}

impl<'v> ListenerInfo<'v> {
    pub(crate) fn new(listener: &'v Listener) -> Self {
        Self { name: &listener.name, address: &listener.address }
    }
}

/// One entry of `GET /api/v5/nodes`: this process, for scripts that look at every node.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Node")]
pub(crate) struct NodeInfo<'v> {
    pub(crate) node: &'v str,
    /// `running`, or `starting` until ready.
    pub(crate) node_status: &'static str,
    /// `core`: there are no others.
    pub(crate) role: &'static str,
    pub(crate) version: &'static str,
    /// Since the process started (milliseconds).
    pub(crate) uptime: u64,
    /// MQTT clients that are connected.
    pub(crate) connections: u64,
}

/// `POST /api/v5/reload`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Reload")]
pub(crate) struct ReloadInfo {
    generation: u64,
    changed: bool,
    /// Whether nothing changed because `strict` forbids errors.
    refused: bool,
    rules: usize,
    diagnostics: Vec<DiagnosticBody>,
}

impl ReloadInfo {
    pub(crate) fn new(outcome: &ReloadOutcome) -> Self {
        Self {
            generation: outcome.generation,
            changed: outcome.changed,
            refused: outcome.refused,
            rules: outcome.rules,
            diagnostics: bodies(&outcome.findings, Place::File),
        }
    }
}
