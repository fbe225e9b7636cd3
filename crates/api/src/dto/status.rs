//! The server as a whole as JSON, and what a reload did.

use config::FileProblem;
use engine::{ReloadOutcome, State};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::diagnostic::{DiagnosticBody, in_files};
use crate::{Certificate, CertificateOwner, FilesOutcome, FilesReload, Listener, LocalLink};

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
    /// Rules that run.
    pub(crate) rules: usize,
    pub(crate) listeners: Vec<ListenerInfo<'v>>,
    pub(crate) local: LocalInfo,
    pub(crate) certificates: Vec<CertificateInfo>,
    /// What needs somebody soon, in words: a lost broker of local topics, certificates that end.
    pub(crate) warnings: Vec<String>,
}

/// Where local topics live.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Local")]
pub(crate) struct LocalInfo {
    /// `embedded`, or the address of the broker.
    broker: String,
    /// `connected`, `connecting`, `disconnected` or `stopped`.
    status: &'static str,
    status_reason: String,
}

impl LocalInfo {
    pub(crate) fn new(link: Option<LocalLink>) -> Self {
        let status = |link: &LocalLink| link.status.state.name();
        Self {
            status: link.as_ref().map_or(State::Connected.name(), status),
            broker: link.as_ref().map_or_else(|| "embedded".to_owned(), |link| link.server.clone()),
            status_reason: link.map(|link| link.status.reason).unwrap_or_default(),
        }
    }

    /// A sentence if rules hear nothing.
    pub(crate) fn warning(&self) -> Option<String> {
        let Self { broker, status, status_reason } = self;
        (*status != State::Connected.name())
            .then(|| format!("the broker of local topics, `{broker}`, is {status}: {status_reason}"))
    }
}

/// A file with certificates.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Certificate")]
pub(crate) struct CertificateInfo {
    /// The listener that uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
    /// The connector that uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    connector: Option<String>,
    file: String,
    /// When the first certificate in the file ends.
    expires_at: String,
    /// Whole days until then; negative once it has ended.
    days_left: i64,
}

impl CertificateInfo {
    pub(crate) fn new(certificate: &Certificate, now: i64) -> Self {
        let (listener, connector) = match &certificate.owner {
            CertificateOwner::Listener(name) => (Some(name.clone()), None),
            CertificateOwner::Connector(id) => (None, Some(id.to_string())),
        };
        Self {
            listener,
            connector,
            file: certificate.file.display().to_string(),
            expires_at: Timestamp::from_second(certificate.expires_at).unwrap_or(Timestamp::MAX).to_string(),
            days_left: certificate.days_left(now),
        }
    }
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
    /// Who may come in and with what: users, tokens, access list, certificates of listeners.
    access: Vec<AccessReload>,
}

/// Files that are read together.
#[derive(Debug, Serialize, JsonSchema)]
struct AccessReload {
    /// What they say.
    what: String,
    files: Vec<String>,
    /// `unchanged`, `reloaded`, or `failed`: then what they said before stays in force.
    outcome: &'static str,
    diagnostics: Vec<DiagnosticBody>,
}

impl AccessReload {
    fn new(files: &FilesReload) -> Self {
        let body = |it: &FileProblem| DiagnosticBody::with_file(&it.source(), &it.diagnostic);
        Self {
            what: files.what.clone(),
            files: files.files.iter().map(|file| file.display().to_string()).collect(),
            outcome: match files.outcome {
                FilesOutcome::Unchanged => "unchanged",
                FilesOutcome::Reloaded => "reloaded",
                FilesOutcome::Failed => "failed",
            },
            diagnostics: files.problems.iter().map(body).collect(),
        }
    }
}

impl ReloadInfo {
    pub(crate) fn new(outcome: &ReloadOutcome, access: &[FilesReload]) -> Self {
        Self {
            generation: outcome.generation,
            changed: outcome.changed,
            refused: outcome.refused,
            rules: outcome.rules,
            diagnostics: in_files(&outcome.findings),
            access: access.iter().map(AccessReload::new).collect(),
        }
    }
}
