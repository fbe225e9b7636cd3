//! `GET /`: a page for people.

use std::sync::LazyLock;

use axum::http::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, Method};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::dto::status::VERSION;
use crate::openapi::{self, Api};

/// The page: self-contained, it reads the API like any other client.
const PAGE: &str = include_str!("front.html");

/// The page may run its own script, look as it says, and talk to where it came from, and that is all.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        digest("script"),
        digest("style")
    )
});

/// What stands between the tags of the one element of this name, as a policy names it.
fn digest(element: &str) -> String {
    let begin = PAGE.split_once(&format!("<{element}>")).map_or("", |(_, rest)| rest);
    let inside = begin.split_once(&format!("</{element}>")).map_or("", |(inside, _)| inside);
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inside.as_bytes())))
}

pub(super) fn routes(api: &mut Api) {
    api.route(&Method::GET, "/", front, move |operation| {
        operation
            .tag("Server")
            .about("What runs here: a page for browsers, some lines for others")
            .answers_text(200, "The page.")
            .answer(200, "The page.", "text/html", json!({ "type": "string" }));
    });
}

async fn front(headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/html") {
        return ([(VARY, "accept")], lines()).into_response();
    }
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, &POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (VARY, "accept"),
    ];
    (headers, PAGE).into_response()
}

/// What this is, for whoever follows the address in the log with curl.
fn lines() -> String {
    format!(
        "sluicegate {VERSION}: a rule engine for MQTT\n\n\
         API      /api/v5/rules, connectors, actions, sources, rule_test, rule_events, reload, status\n\
         metrics  /metrics\n\
         health   /livez, /readyz?verbose\n\
         schema   {}\n\
         page     / in a browser\n",
        openapi::PATH
    )
}
