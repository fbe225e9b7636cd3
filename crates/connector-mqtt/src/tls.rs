//! The `ssl` table, and the files that it names.

use std::path::PathBuf;
use std::sync::Arc;

use config::Settings;
use mqtt::tls::{ClientTls, Identity, Trust, client_config};

/// How to encrypt, as it was configured; the files are read when they are needed.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    trust: TrustFrom,
    certificate: Option<Pem>,
    key: Option<Pem>,
    sni: bool,
    /// What the certificate must be for.
    pub(crate) name: String,
}

#[derive(Debug, Clone)]
enum TrustFrom {
    System,
    Pem(Pem),
    Anyone,
}

/// A file, or what would stand in it: the reference takes either. `Debug` shows no content.
#[derive(Clone)]
enum Pem {
    File(PathBuf),
    Text(String),
}

/// Why there can be no TLS with these settings: which of them, and the reason.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct TlsSettingError {
    pub(crate) setting: &'static str,
    pub(crate) reason: String,
    /// Whether a file could not be read, rather than what is in it be used.
    pub(crate) unreadable: bool,
}

impl Tls {
    /// Reads an `ssl` table. `host` is what the certificate must be for unless the table says otherwise.
    pub(crate) fn read(ssl: &Settings, host: &str) -> Self {
        let asked = ssl.opt_str("server_name_indication").filter(|name| !name.is_empty());
        let (sni, name) = match asked {
            Some("disable") => (false, host),
            Some(name) => (true, name),
            None => (true, host),
        };
        let trust = match (ssl.one_of("verify"), pem(ssl, "cacertfile")) {
            ("verify_none", _) => TrustFrom::Anyone,
            (_, Some(pem)) => TrustFrom::Pem(pem),
            (_, None) => TrustFrom::System,
        };
        Self {
            trust,
            certificate: pem(ssl, "certfile"),
            key: pem(ssl, "keyfile"),
            sni,
            name: name.to_owned(),
        }
    }

    /// Reads the files and makes a configuration of them. Blocks on the file system.
    pub(crate) fn config(&self) -> Result<Arc<rustls::ClientConfig>, TlsSettingError> {
        let trust = match &self.trust {
            TrustFrom::System => Trust::System,
            TrustFrom::Anyone => Trust::Anyone,
            TrustFrom::Pem(pem) => Trust::Pem(pem.bytes("cacertfile")?),
        };
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                Some(Identity { certificates: certificate.bytes("certfile")?, key: key.bytes("keyfile")? })
            }
            _ => None,
        };
        client_config(&ClientTls { trust, identity, sni: self.sni }).map_err(|error| {
            let setting = match &error {
                mqtt::tls::TlsError::Authorities => "cacertfile",
                mqtt::tls::TlsError::Certificate => "certfile",
                mqtt::tls::TlsError::Key => "keyfile",
                mqtt::tls::TlsError::System(_) | mqtt::tls::TlsError::Rustls(_) => "enable",
            };
            TlsSettingError { setting, reason: error.to_string(), unreadable: false }
        })
    }
}

fn pem(ssl: &Settings, name: &'static str) -> Option<Pem> {
    let path = ssl.path(name)?;
    match ssl.opt_str(name) {
        Some(text) if text.contains("-----BEGIN ") => Some(Pem::Text(text.to_owned())),
        _ => Some(Pem::File(path.to_owned())),
    }
}

impl Pem {
    fn bytes(&self, setting: &'static str) -> Result<Vec<u8>, TlsSettingError> {
        match self {
            Pem::Text(text) => Ok(text.clone().into_bytes()),
            Pem::File(path) => std::fs::read(path).map_err(|error| TlsSettingError {
                setting,
                reason: format!("cannot read `{}`: {error}", path.display()),
                unreadable: true,
            }),
        }
    }
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pem::File(path) => write!(out, "{}", path.display()),
            Pem::Text(_) => out.write_str("inline"),
        }
    }
}
