//! What the server hands to the API.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use config::FileProblem;
use engine::{Engine, ResourceId, Status};

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
    /// Reads how the link to a broker of the user's own is; `None` where the embedded broker has the local topics.
    pub local: Arc<dyn Fn() -> Option<LocalLink> + Send + Sync>,
    /// Reads when certificates end. Reads files, so it is not called where others wait.
    pub certificates: Arc<dyn Fn() -> Vec<Certificate> + Send + Sync>,
    /// Reads what the system says of this process; names as they are. Called at every scrape, too.
    pub process: Arc<dyn Fn() -> Vec<Sample> + Send + Sync>,
    /// Reads anew who may come in and with what: users, tokens, access list, certificates. Reads files, so it is not called
    /// where others wait.
    pub access: Arc<dyn Fn() -> Vec<FilesReload> + Send + Sync>,
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

/// The link to a broker of the user's own, on which local topics live.
#[derive(Debug, Clone)]
pub struct LocalLink {
    /// Its address.
    pub server: String,
    /// How it is.
    pub status: Status,
}

/// A file with certificates.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Who uses it.
    pub owner: CertificateOwner,
    /// The file.
    pub file: PathBuf,
    /// When the first of its certificates ends (seconds since 1970 UTC).
    pub expires_at: i64,
}

/// Who uses a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateOwner {
    /// A listener of the embedded broker.
    Listener(String),
    /// A connector.
    Connector(ResourceId),
}

impl CertificateOwner {
    /// The name of the listener, or the id of the connector.
    pub fn name(&self) -> &dyn fmt::Display {
        match self {
            CertificateOwner::Listener(name) => name,
            CertificateOwner::Connector(id) => id,
        }
    }
}

impl Certificate {
    /// Below this much time left, it is worth a warning (seconds).
    const SOON: i64 = 30 * Self::DAY;
    const DAY: i64 = 24 * 60 * 60;

    /// Whole days until it ends; negative once it has.
    pub fn days_left(&self, now: i64) -> i64 {
        (self.expires_at - now).div_euclid(Self::DAY)
    }

    /// A sentence if it ends soon, or has.
    pub fn warning(&self, now: i64) -> Option<String> {
        let owner = match &self.owner {
            CertificateOwner::Listener(name) => format!("the listener `{name}`"),
            CertificateOwner::Connector(id) => format!("the connector `{id}`"),
        };
        match self.expires_at - now {
            ..=0 => Some(format!("a certificate of {owner} has expired")),
            left if left < Self::SOON => {
                let days = self.days_left(now);
                Some(format!(
                    "a certificate of {owner} expires in {days} {}",
                    if days == 1 { "day" } else { "days" }
                ))
            }
            _ => None,
        }
    }
}

/// What came of reading files anew that belong together.
#[derive(Debug, Clone)]
pub struct FilesReload {
    /// What they say: `users and tokens`.
    pub what: String,
    /// The files.
    pub files: Vec<PathBuf>,
    /// What came of it.
    pub outcome: FilesOutcome,
    /// What is wrong in them; then what they said before stays in force.
    pub problems: Vec<FileProblem>,
}

/// What came of reading files anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesOutcome {
    /// They say what they said before.
    Unchanged,
    /// What they say now is in force.
    Reloaded,
    /// They have a mistake, and what they said before stays in force.
    Failed,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ends_soon_is_told() {
        let listener = CertificateOwner::Listener("tls".to_owned());
        let certificate =
            Certificate { owner: listener, file: "c.pem".into(), expires_at: 100 * Certificate::DAY };
        let at = |day: i64| certificate.warning(day * Certificate::DAY);
        assert_eq!(at(70), None);
        assert_eq!(at(71).as_deref(), Some("a certificate of the listener `tls` expires in 29 days"));
        assert_eq!(at(99).as_deref(), Some("a certificate of the listener `tls` expires in 1 day"));
        assert_eq!(at(100).as_deref(), Some("a certificate of the listener `tls` has expired"));
        assert_eq!(certificate.days_left(101 * Certificate::DAY), -1);
    }
}
