//! The server as a whole as JSON, and what a reload did.

use engine::ReloadOutcome;
use serde::Serialize;

use super::diagnostic::{DiagnosticBody, Place, bodies};
use crate::Listener;

/// The version of this build.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /api/v5/status?format=json`.
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
pub(crate) struct ListenerInfo<'v> {
    name: &'v str,
    address: &'v str,
}

impl<'v> ListenerInfo<'v> {
    pub(crate) fn new(listener: &'v Listener) -> Self {
        Self { name: &listener.name, address: &listener.address }
    }
}

/// `POST /api/v5/reload`.
#[derive(Debug, Serialize)]
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
