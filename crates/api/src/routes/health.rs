//! Whether the server lives, is ready, and what it counts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;

use super::blocking;
use crate::body::Params;
use crate::dto::status::{CertificateInfo, ListenerInfo, LocalInfo, StatusInfo, VERSION};
use crate::error::ApiError;
use crate::openapi::Api;
use crate::{Context, prometheus};

pub(super) fn routes(api: &mut Api) {
    api.route(&Method::GET, "/livez", livez, move |operation| {
        operation.tag("Health").about("Whether the process lives").open().answers_text(200, "It does.");
    });
    api.route(&Method::GET, "/readyz", readyz, move |operation| {
        operation
            .tag("Health")
            .about("Whether rules are loaded and every address is bound")
            .open()
            .query("verbose", json!({ "type": "string" }), "Lists what was looked at.")
            .answers_text(200, "It is ready.")
            .answers_text(503, "Not yet: a sentence says what is missing.");
    });
    api.route(&Method::GET, "/api/v5/status", status, move |operation| {
        operation
            .tag("Health")
            .about("What runs where")
            .query("format", json!({ "type": "string", "enum": ["text", "json"] }), "`text` unless given.")
            .answers_text(200, "It is ready.")
            .answers::<StatusInfo<'_>>(200, "It is ready.")
            .answers_text(503, "Not yet.")
            .answers::<StatusInfo<'_>>(503, "Not yet.");
    });
    api.route(&Method::GET, "/metrics", metrics, move |operation| {
        operation
            .tag("Metrics")
            .about("Everything that is counted, for Prometheus")
            .answers_text(200, "The page.");
    });
    let mode = || json!({ "type": "string" });
    api.route(&Method::GET, "/api/v5/prometheus/data_integration", data_integration, move |operation| {
        operation
            .tag("Metrics")
            .about("Rules, actions and connectors in the reference's names, for Prometheus")
            .query("mode", mode(), "Ignored: there is one node.")
            .answers_text(200, "The page.");
    });
    api.route(&Method::GET, "/api/v5/prometheus/stats", stats, move |operation| {
        operation
            .tag("Metrics")
            .about("The broker's numbers in the reference's names, for Prometheus")
            .query("mode", mode(), "Ignored: there is one node.")
            .answers_text(200, "The page.");
    });
}

/// `GET /livez`: answering is all it takes.
async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 once rules are loaded and every listener is bound. `?verbose` lists what was looked at.
async fn readyz(State(context): State<Context>, params: Params) -> Response {
    let checks = checks(&context);
    let ready = checks.iter().all(|check| check.met);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = if params.get("verbose").is_some() {
        let line = |check: &Check| format!("[{}] {}\n", if check.met { '+' } else { '-' }, check.words);
        let verdict = if ready { "ready\n" } else { "not ready\n" };
        checks.iter().map(line).chain([verdict.to_owned()]).collect()
    } else if ready {
        "ok\n".to_owned()
    } else {
        let words = checks.iter().filter(|check| !check.met).map(|check| check.words.as_str());
        format!("not ready: {}\n", words.collect::<Vec<_>>().join(", "))
    };
    (status, body).into_response()
}

struct Check {
    met: bool,
    words: String,
}

/// Whether rules are loaded and every address is bound.
pub(super) fn is_ready(context: &Context) -> bool {
    checks(context).iter().all(|check| check.met)
}

fn checks(context: &Context) -> [Check; 2] {
    let generation = context.engine.generation();
    let rules = generation > 0;
    let listeners = context.listeners.get();
    [
        Check {
            met: rules,
            words: if rules {
                format!("rules are loaded, generation {generation}")
            } else {
                "rules are not loaded".to_owned()
            },
        },
        Check {
            met: listeners.is_some(),
            words: match listeners {
                Some(all) => format!("listeners are bound, {} in all", all.len()),
                None => "listeners are not bound yet".to_owned(),
            },
        },
    ]
}

/// `GET /metrics`.
async fn metrics(State(context): State<Context>) -> Result<Response, ApiError> {
    // Certificates are read for it.
    let page = blocking("the page of metrics", move || prometheus::page(&context)).await?;
    Ok(([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], page).into_response())
}

/// `GET /api/v5/prometheus/data_integration`.
async fn data_integration(State(context): State<Context>) -> Response {
    ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], prometheus::data_integration(&context)).into_response()
}

/// `GET /api/v5/prometheus/stats`.
async fn stats(State(context): State<Context>) -> Response {
    ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], prometheus::stats(&context)).into_response()
}

/// `GET /api/v5/status`: two lines, or with `?format=json` the addresses too; 503 until ready.
async fn status(State(context): State<Context>, params: Params) -> Result<Response, ApiError> {
    let ready = is_ready(&context);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let (broker_status, app_status) =
        if ready { ("started", "running") } else { ("starting", "not_running") };
    let node = context.engine.node();
    match params.get("format") {
        None | Some("text") => {
            let app = if ready { "running" } else { "not running" };
            Ok((status, format!("Node {node} is {broker_status}\nsluicegate is {app}")).into_response())
        }
        Some("json") => {
            let listeners = context.listeners.get().map_or(&[][..], Vec::as_slice);
            let certificates = Arc::clone(&context.certificates);
            let certificates = blocking("reading certificates", move || certificates()).await?;
            let now = Timestamp::now().as_second();
            let local = LocalInfo::new((context.local)());
            let endings = certificates.iter().filter_map(|certificate| certificate.warning(now));
            let info = StatusInfo {
                warnings: local.warning().into_iter().chain(endings).collect(),
                local,
                certificates: certificates.iter().map(|it| CertificateInfo::new(it, now)).collect(),
                node_name: node,
                broker_status,
                app_status,
                rel_vsn: VERSION,
                version: VERSION,
                generation: context.engine.generation(),
                rules: context.engine.running_rules(),
                listeners: listeners.iter().map(ListenerInfo::new).collect(),
            };
            Ok((status, Json(info)).into_response())
        }
        Some(other) => {
            Err(ApiError::bad_request(format!("`format` must be `text` or `json`, found `{other}`")))
        }
    }
}
