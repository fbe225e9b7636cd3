//! The `ssl` table, and the files that it names.

use std::path::PathBuf;
use std::sync::Arc;

use config::{Secret, Settings};
use diagnostic::{Code, Diagnostic};
use rustls::version::{TLS12, TLS13};

use crate::ciphers::{cipher_names, cipher_suite};
use crate::client::{ClientTls, Identity, TlsError, Trust, client_config, server_name};

/// How to encrypt, as it was configured; the files are read when they are needed.
#[derive(Debug, Clone)]
pub struct Tls {
    trust: TrustFrom,
    certificate: Option<Pem>,
    key: Option<Pem>,
    password: Option<Secret>,
    sni: bool,
    depth: usize,
    versions: Vec<&'static rustls::SupportedProtocolVersion>,
    ciphers: Vec<rustls::SupportedCipherSuite>,
    /// What the certificate must be for.
    pub name: String,
}

#[derive(Debug, Clone)]
enum TrustFrom {
    System,
    Pem(Pem),
    SystemAndPem(Pem),
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
pub struct TlsSettingError {
    /// Its name in the table.
    pub setting: &'static str,
    /// What is wrong with it.
    pub reason: String,
    /// Whether a file could not be read, rather than what is in it be used.
    pub unreadable: bool,
}

impl Tls {
    /// Reads an `ssl` table. `host` is what the certificate must be for unless the table says otherwise.
    pub fn read(ssl: &Settings, host: &str) -> Self {
        let asked = ssl.opt_str("server_name_indication").filter(|name| !name.is_empty());
        let (sni, name) = match asked {
            Some("disable") => (false, host),
            Some(name) => (true, name),
            None => (true, host),
        };
        let trust = match (ssl.one_of("verify"), pem(ssl, "cacertfile")) {
            ("verify_none", _) => TrustFrom::Anyone,
            (_, Some(pem)) if ssl.bool("cacerts") => TrustFrom::SystemAndPem(pem),
            (_, Some(pem)) => TrustFrom::Pem(pem),
            (_, None) => TrustFrom::System,
        };
        let texts = |name| ssl.str_list(name).into_iter().map(|text| text.text);
        Self {
            trust,
            certificate: pem(ssl, "certfile"),
            key: pem(ssl, "keyfile"),
            password: ssl.secret("password").cloned(),
            sni,
            name: name.to_owned(),
            depth: usize::try_from(ssl.int("depth")).unwrap_or(0),
            versions: texts("versions").filter_map(version).collect(),
            ciphers: texts("ciphers").filter_map(cipher_suite).collect(),
        }
    }

    /// The same settings for another host.
    #[must_use]
    pub fn for_host(&self, host: &str) -> Self {
        Self { name: host.to_owned(), ..self.clone() }
    }

    /// Reads the files and makes a configuration of them. Blocks on the file system.
    ///
    /// # Errors
    /// Which setting is the cause, and why.
    pub fn config(&self) -> Result<Arc<rustls::ClientConfig>, TlsSettingError> {
        let trust = match &self.trust {
            TrustFrom::System => Trust::System,
            TrustFrom::Anyone => Trust::Anyone,
            TrustFrom::Pem(pem) => Trust::Pem(pem.bytes("cacertfile")?),
            TrustFrom::SystemAndPem(pem) => Trust::SystemAndPem(pem.bytes("cacertfile")?),
        };
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let password = self.password.as_ref().map(|password| password.reveal().to_owned());
                let certificates = certificate.bytes("certfile")?;
                Some(Identity { certificates, key: key.bytes("keyfile")?, password })
            }
            _ => None,
        };
        let (depth, sni) = (self.depth, self.sni);
        let (versions, ciphers) = (self.versions.clone(), self.ciphers.clone());
        client_config(&ClientTls { trust, identity, sni, depth, versions, ciphers }).map_err(|error| {
            let setting = match &error {
                TlsError::Authorities => "cacertfile",
                TlsError::Certificate => "certfile",
                TlsError::Key | TlsError::KeyFormat => "keyfile",
                TlsError::KeyLocked | TlsError::KeyPassword => "password",
                TlsError::System(_) | TlsError::Rustls(_) => "enable",
            };
            TlsSettingError { setting, reason: error.to_string(), unreadable: false }
        })
    }
}

/// The version of this name; `None` for one that is not offered here.
fn version(name: &str) -> Option<&'static rustls::SupportedProtocolVersion> {
    match name.trim() {
        "tlsv1.3" => Some(&TLS13),
        "tlsv1.2" => Some(&TLS12),
        _ => None,
    }
}

/// Checks a table that is in use, its files included. `host` is that of the address.
pub fn check(ssl: &Settings, host: &str, diagnostics: &mut Vec<Diagnostic>) {
    check_choice(ssl, diagnostics);
    if ssl.path("certfile").is_some() != ssl.path("keyfile").is_some() {
        let message = "`ssl.certfile` and `ssl.keyfile` go together";
        let name = if ssl.path("certfile").is_some() { "certfile" } else { "keyfile" };
        diagnostics.push(Diagnostic::new(Code::Conflict, ssl.span(name), message));
        return;
    }
    if ssl.secret("password").is_some() && ssl.path("keyfile").is_none() {
        let message = "`ssl.password` opens `ssl.keyfile`, and there is none";
        diagnostics.push(Diagnostic::new(Code::IneffectiveSetting, ssl.key_span("password"), message));
    }
    let tls = Tls::read(ssl, host);
    if let Err(error) = server_name(&tls.name) {
        let name = if ssl.is_set("server_name_indication") { "server_name_indication" } else { "enable" };
        let message = format!("no certificate can be for `{}`: {error}", tls.name);
        diagnostics.push(Diagnostic::new(Code::InvalidValue, ssl.span(name), message));
    }
    let is_bad = |diagnostic: &Diagnostic| diagnostic.is_error();
    if !diagnostics.iter().any(is_bad)
        && let Err(error) = tls.config()
    {
        let code = if error.unreadable { Code::Unreadable } else { Code::InvalidValue };
        let message = format!("`ssl.{}`: {error}", error.setting);
        diagnostics.push(Diagnostic::new(code, ssl.span(error.setting), message));
    }
}

/// Says what is wrong with the choice of versions and cipher suites.
fn check_choice(ssl: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    const OLD: [&str; 4] = ["tlsv1.1", "tlsv1", "tlsv1.0", "sslv3"];
    let versions = ssl.str_list("versions");
    for text in versions.iter().filter(|text| version(text.text).is_none()) {
        let (code, message) = if OLD.contains(&text.text) {
            (Code::IneffectiveSetting, format!("`{}` is not offered: it is not safe any more", text.text))
        } else {
            (Code::InvalidValue, format!("there is no version `{}` of TLS", text.text))
        };
        diagnostics.push(Diagnostic::new(code, text.span, message).help("there are `tlsv1.3` and `tlsv1.2`"));
    }
    if !versions.is_empty() && versions.iter().all(|text| OLD.contains(&text.text)) {
        let message = "`ssl.versions` leaves no version that is offered here";
        diagnostics.push(Diagnostic::new(Code::InvalidValue, ssl.span("versions"), message));
    }
    for text in ssl.str_list("ciphers").iter().filter(|text| cipher_suite(text.text).is_none()) {
        let message = format!("the cipher suite `{}` is not offered here", text.text);
        let names: Vec<&str> = cipher_names().collect();
        let help = format!("there are {}", names.join(", "));
        diagnostics.push(Diagnostic::new(Code::InvalidValue, text.span, message).help(help));
    }
    if ssl.is_given("managed_certs") {
        let message =
            "there are no `managed_certs` here: name the files in `cacertfile`, `certfile`, `keyfile`";
        diagnostics.push(Diagnostic::new(Code::InvalidValue, ssl.key_span("managed_certs"), message));
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
