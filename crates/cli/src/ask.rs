//! One request to the API of a running server.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tls::Trust;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::args::ApiArgs;
use crate::{EXIT_FINDINGS, EXIT_USAGE};

/// How long the server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What an answer may have (bytes).
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// Why it did not work, and the exit code for that.
pub(crate) struct Failure(pub(crate) String, pub(crate) u8);

impl Failure {
    /// Nothing is wrong with how it was asked for.
    pub(crate) fn of(reason: impl std::fmt::Display) -> Self {
        Self(format!("{reason}"), EXIT_FINDINGS)
    }
}

/// `METHOD /api/v5PATH`, and the JSON of the answer.
pub(crate) fn call(args: &ApiArgs, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let url = args.url.trim_end_matches('/');
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let reason = format!("`{url}` is no URL of the form http://HOST:PORT or https://HOST:PORT");
        return Err(Failure(reason, EXIT_USAGE));
    }
    let mut config =
        ureq::Agent::config_builder().timeout_global(Some(ANSWER_WITHIN)).http_status_as_error(false);
    if url.starts_with("https://") {
        config = config.tls_config(trusted(args)?);
    }
    let agent: ureq::Agent = config.build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{url}/api/v5{path}"));
    if let Some(key) = &args.key {
        let secret = args.secret.as_deref().unwrap_or_default();
        request =
            request.header("authorization", format!("Basic {}", STANDARD.encode(format!("{key}:{secret}"))));
    }
    let text = body.map(ToString::to_string).unwrap_or_default();
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(text).map_err(Failure::of)?;
    let mut response = agent.run(request).map_err(|error| unreachable(url, &error))?;
    let status = response.status();
    let text =
        response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(Failure::of)?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    if status.is_success() {
        return Ok(answer);
    }
    let message = answer["message"].as_str().map_or_else(|| text.clone(), str::to_owned);
    Err(Failure::of(format!("{message} ({})", status.as_u16())))
}

/// Whom to trust over HTTPS: the authorities in `--cacert`, or those of the operating system.
fn trusted(args: &ApiArgs) -> Result<TlsConfig, Failure> {
    let trust =
        match &args.cacert {
            None => Trust::System,
            Some(file) => Trust::Pem(std::fs::read(file).map_err(|error| {
                Failure(format!("`{}` cannot be read: {error}", file.display()), EXIT_USAGE)
            })?),
        };
    let authorities = tls::authorities(&trust).map_err(|error| match &args.cacert {
        Some(file) => Failure(format!("`{}`: {error}", file.display()), EXIT_USAGE),
        None => Failure(format!("{error}; `--cacert` names a file to trust"), EXIT_USAGE),
    })?;
    let roots = authorities.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(tls::crypto_provider())
        .build())
}

fn unreachable(url: &str, error: &ureq::Error) -> Failure {
    let text = error.to_string();
    let way_out = match text.contains("certificate") || text.contains("UnknownIssuer") {
        true => "`--cacert FILE` says whom else to trust",
        false => "`--url` says where the API is",
    };
    Failure::of(format!("{url} cannot be asked: {text}; {way_out}"))
}
