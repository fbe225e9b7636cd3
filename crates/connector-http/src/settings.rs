//! Checked sections to what the workers work with.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use config::{Secret, Settings};
use connector::{Context, Guard};
use diagnostic::{Code, Diagnostic};
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use tls::Tls;

use crate::action::{header_name, is_moot};
use crate::base::Base;

/// How the workers of one connector reach the server and behave.
pub(crate) struct Options {
    pub(crate) base: Base,
    /// The headers of every request, those of the login included.
    pub(crate) headers: HeaderMap,
    pub(crate) pool_size: usize,
    pub(crate) pipelining: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) health_check_interval: Duration,
    pub(crate) oauth2: Option<OAuth2>,
    pub(crate) tls: Tls,
    pub(crate) guard: Arc<Guard>,
}

/// Where tokens come from.
#[derive(Debug, Clone)]
pub(crate) struct OAuth2 {
    pub(crate) token_url: Base,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    pub(crate) scope: Option<String>,
    pub(crate) audience: Option<String>,
}

impl Options {
    /// Reads a section that was checked without an error; `None` where it has one after all.
    pub(crate) fn read(settings: &Settings, context: &Context) -> Option<Self> {
        let base = Base::parse(settings.str("url")).ok()?;
        let oauth2 = match settings.opt_table("oauth2") {
            Some(table) => Some(OAuth2::read(table)?),
            None => None,
        };
        Some(Self {
            headers: headers(settings)?,
            pool_size: usize::try_from(settings.int("pool_size")).unwrap_or(1).max(1),
            pipelining: usize::try_from(settings.int("enable_pipelining")).unwrap_or(1).max(1),
            connect_timeout: settings.duration("connect_timeout"),
            health_check_interval: settings.table("resource_opts").duration("health_check_interval"),
            oauth2,
            tls: Tls::read(settings.table("ssl"), base.host()),
            guard: Arc::clone(&context.guard),
            base,
        })
    }
}

impl OAuth2 {
    fn read(table: &Settings) -> Option<Self> {
        Some(Self {
            token_url: Base::parse(table.str("token_url")).ok()?,
            client_id: table.str("client_id").to_owned(),
            client_secret: table.secret("client_secret")?.clone(),
            scope: table.opt_str("scope").map(str::to_owned),
            audience: table.opt_str("audience").map(str::to_owned),
        })
    }
}

fn headers(settings: &Settings) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for entry in settings.template_map("headers") {
        let name = header_name(&entry.key)?;
        if !is_moot(&name) {
            headers.insert(name, HeaderValue::from_str(entry.text().text).ok()?);
        }
    }
    if let Some(username) = settings.opt_str("username") {
        let password = settings.secret("password").map_or("", Secret::reveal);
        headers.insert(hyper::header::AUTHORIZATION, basic(username, password)?);
    }
    Some(headers)
}

/// `Authorization: Basic …` (RFC 7617), kept out of whatever is printed.
pub(crate) fn basic(username: &str, password: &str) -> Option<HeaderValue> {
    let encoded = BASE64_STANDARD.encode(format!("{username}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What an action asks of the workers beyond its templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SinkOptions {
    pub(crate) request_timeout: Duration,
    pub(crate) retry_statuses: Vec<StatusCode>,
    pub(crate) batch_size: usize,
    pub(crate) batch_time: Duration,
    pub(crate) batch_format: BatchFormat,
}

/// How the bodies of a batch are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchFormat {
    JsonArray,
    Lines,
}

impl SinkOptions {
    /// Reads a section that was checked.
    pub(crate) fn read(settings: &Settings) -> Self {
        let (parameters, resource_opts) = (settings.table("parameters"), settings.table("resource_opts"));
        Self {
            request_timeout: parameters.duration("request_timeout"),
            retry_statuses: retry_statuses(parameters, &mut Vec::new()),
            batch_size: usize::try_from(resource_opts.int("batch_size")).unwrap_or(1).max(1),
            batch_time: resource_opts.duration("batch_time"),
            batch_format: match parameters.one_of("batch_format") {
                "lines" => BatchFormat::Lines,
                _ => BatchFormat::JsonArray,
            },
        }
    }
}

/// Statuses that may pass by themselves.
const RETRY_STATUSES: [StatusCode; 7] = [
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::TOO_EARLY,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// The setting `retry_statuses`.
pub(crate) fn retry_statuses(parameters: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Vec<StatusCode> {
    if !parameters.is_given("retry_statuses") {
        return RETRY_STATUSES.to_vec();
    }
    let mut statuses = Vec::new();
    for text in parameters.str_list("retry_statuses") {
        match text.text.parse::<StatusCode>() {
            Ok(status) if !status.is_success() && !status.is_informational() => statuses.push(status),
            _ => {
                let message = format!("`{}` is no status of a request that failed", text.text);
                diagnostics.push(
                    Diagnostic::new(Code::InvalidValue, text.span, message)
                        .help("write three digits, `\"503\"`"),
                );
            }
        }
    }
    statuses
}
