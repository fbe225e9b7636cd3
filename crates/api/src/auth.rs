//! Who may call: HTTP Basic with API keys (RFC 7617).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::Secret;
use sha2::{Digest as _, Sha256};

use crate::Context;
use crate::error::ApiError;

/// What the holder of a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Administrator,
    /// Look: `GET` and `HEAD`.
    Viewer,
}

/// A key as the configuration declares it.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The user name of HTTP Basic.
    pub key: String,
    /// The password of HTTP Basic.
    pub secret: Secret,
    /// What it may do.
    pub role: Role,
}

/// The keys that are accepted. Holds digests, so that no dump or log of it shows a secret.
#[derive(Debug, Default)]
pub struct ApiKeys(Vec<Known>);

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    digest: [u8; 32],
    role: Role,
}

/// Who makes the request; in its extensions for whoever logs a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// No keys are configured.
    Anybody,
    /// The holder of this key.
    Key(Arc<str>),
}

impl std::fmt::Display for Caller {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Caller::Anybody => out.write_str("anybody"),
            Caller::Key(name) => out.write_str(name),
        }
    }
}

impl ApiKeys {
    /// Accepts these.
    pub fn new(keys: impl IntoIterator<Item = ApiKey>) -> Self {
        let known = |key: ApiKey| Known {
            digest: digest(format!("{}:{}", key.key, key.secret.reveal()).as_bytes()),
            name: key.key.into(),
            role: key.role,
        };
        Self(keys.into_iter().map(known).collect())
    }

    /// Whether there is none, so that everybody may call.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that `key:secret` is, if it is one.
    fn find(&self, credentials: &[u8]) -> Option<&Known> {
        let offered = digest(credentials);
        // Every key is compared, and each over its whole length, so the time taken tells nothing.
        self.0
            .iter()
            .fold(None, |found, known| if same(&known.digest, &offered) { Some(known) } else { found })
    }
}

/// Lets a request through, or says why not.
pub(crate) async fn guard(State(context): State<Context>, mut request: Request, next: Next) -> Response {
    let admitted = rebound(&context, request.headers())
        .and_then(|()| admit(&context.api_keys, request.method(), request.uri().path(), request.headers()));
    match admitted {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

/// Refuses a page that got here under a name of its own. Any web site can let its name lead to 127.0.0.1, and the browser
/// then takes our answers for that site's; but it still says the name in `Host`. A server that asks for keys, or that
/// others reach under whatever name they gave it, is no victim of that.
fn rebound(context: &Context, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(host) = headers.get(HOST) else { return Ok(()) };
    if !context.is_keyless_loopback() || host.to_str().is_ok_and(is_local_name) {
        return Ok(());
    }
    let message = "without API keys this server answers only when it is called `localhost` or by its address; \
                   `[http] api_keys` lifts that";
    Err(ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN", message))
}

/// Whether a `Host`, with or without a port, is an address or `localhost`: names that nobody can point elsewhere.
fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

fn admit(keys: &ApiKeys, method: &Method, path: &str, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let reads = method == Method::GET || method == Method::HEAD;
    if !reads && !same_origin(headers) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "FORBIDDEN",
            "a page of another origin may not make changes here",
        ));
    }
    let open = matches!(path, "/livez" | "/readyz");
    if open || keys.is_empty() {
        return Ok(Caller::Anybody);
    }
    let known =
        credentials(headers).and_then(|offered| keys.find(&offered)).ok_or_else(ApiError::unauthorized)?;
    match known.role {
        Role::Viewer if !reads => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "UNAUTHORIZED_ROLE",
            "a key with the role `viewer` may only read",
        )),
        Role::Viewer | Role::Administrator => Ok(Caller::Key(known.name.clone())),
    }
}

/// Whether a browser's page may change things here: only one that came from here. Without this any page could reach
/// a server on loopback that asks for no key. What is no browser sends no `Origin`.
fn same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let authority =
        origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_some() && authority == headers.get(HOST).and_then(|host| host.to_str().ok())
}

/// `key:secret` of an `Authorization: Basic …` header.
fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    STANDARD.decode(encoded.trim()).ok()
}

fn digest(credentials: &[u8]) -> [u8; 32] {
    Sha256::digest(credentials).into()
}

fn same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    std::hint::black_box(left.iter().zip(right).fold(0, |differs, (left, right)| differs | (left ^ right)))
        == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> ApiKeys {
        let key =
            |key: &str, secret: &str, role| ApiKey { key: key.into(), secret: Secret::new(secret), role };
        ApiKeys::new([key("ops", "s3cret", Role::Administrator), key("eye", "look:here", Role::Viewer)])
    }

    fn basic(credentials: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Basic {}", STANDARD.encode(credentials)).parse().unwrap());
        headers
    }

    fn status(method: &Method, path: &str, headers: &HeaderMap) -> u16 {
        match admit(&keys(), method, path, headers) {
            Ok(_) => 200,
            Err(error) => error.into_response().status().as_u16(),
        }
    }

    #[test]
    fn a_key_and_its_secret_let_in() {
        let who = admit(&keys(), &Method::POST, "/api/v5/rules", &basic("ops:s3cret")).unwrap();
        assert_eq!(who, Caller::Key("ops".into()));
        assert_eq!(status(&Method::GET, "/metrics", &basic("eye:look:here")), 200);
    }

    #[test]
    fn anything_else_does_not() {
        for credentials in ["ops:s3cre", "ops:", "ops", "", "eye:s3cret", ":"] {
            assert_eq!(status(&Method::GET, "/metrics", &basic(credentials)), 401, "{credentials}");
        }
        let mut bearer = HeaderMap::new();
        bearer.insert(AUTHORIZATION, "Bearer b3BzOnMzY3JldA==".parse().unwrap());
        assert_eq!(status(&Method::GET, "/metrics", &bearer), 401);
        assert_eq!(status(&Method::GET, "/metrics", &HeaderMap::new()), 401);
    }

    #[test]
    fn viewers_only_look_and_probes_need_no_key() {
        assert_eq!(status(&Method::DELETE, "/api/v5/rules/a", &basic("eye:look:here")), 403);
        assert_eq!(status(&Method::GET, "/readyz", &HeaderMap::new()), 200);
        assert_eq!(status(&Method::GET, "/livez", &HeaderMap::new()), 200);
    }

    #[test]
    fn pages_of_other_origins_change_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "127.0.0.1:18083".parse().unwrap());
        let verdict =
            |headers: &HeaderMap| admit(&ApiKeys::default(), &Method::POST, "/api/v5/rules", headers).is_ok();
        assert!(verdict(&headers));
        for (origin, allowed) in [
            ("http://127.0.0.1:18083", true),
            ("http://evil.example", false),
            ("null", false),
            ("http://127.0.0.1:1", false),
        ] {
            headers.insert(ORIGIN, origin.parse().unwrap());
            assert_eq!(verdict(&headers), allowed, "{origin}");
        }
    }

    #[test]
    fn only_names_that_nobody_can_point_elsewhere_are_local() {
        for (host, local) in [
            ("127.0.0.1:18083", true),
            ("[::1]:18083", true),
            ("LOCALHOST", true),
            ("gate.localhost:1", true),
            ("192.168.0.7", true),
            ("evil.example:18083", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_local_name(host), local, "{host}");
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        assert!(!format!("{:?}", keys()).contains("s3cret"));
    }
}
