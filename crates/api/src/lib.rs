//! The server over HTTP: routes, status codes, and the JSON of requests and answers.
//!
//! Paths, bodies, codes and metric names under `/api/v5` are those of the reference. A handler reads a request, asks
//! the [`engine::Engine`], and says what it got: `dto` has the JSON, `error` the one table from errors to statuses,
//! `routes` the paths. What a request may cost is bounded here, before anything looks into it.
//!
//! *Invariant:* keeps no state of its own and knows neither the broker's nor any connector's insides; what it shows,
//! the engine or the [`Context`] gave it. No secret enters an answer or a log line.

mod auth;
mod body;
mod context;
mod dto;
mod error;
mod evaluate;
mod listing;
mod openapi;
mod prometheus;
mod routes;
mod serve;

pub use auth::{ApiKey, ApiKeys, Role};
pub use context::{
    Certificate, CertificateOwner, Context, FilesOutcome, FilesReload, Listener, LocalLink, MetricKind,
    Sample,
};
pub use dto::dead_letter::show_letter;
pub use dto::diagnostic::DiagnosticBody;
pub use routes::router;
pub use serve::serve;
