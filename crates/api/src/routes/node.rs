//! `/api/v5/nodes`: this process as the only node, for scripts that look at every one.

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::health::is_ready;
use crate::Context;
use crate::body::Id;
use crate::dto::status::{NodeInfo, VERSION};
use crate::error::ApiError;
use crate::openapi::Api;

pub(super) fn routes(api: &mut Api) {
    api.route(&Method::GET, "/api/v5/nodes", list, move |operation| {
        operation
            .tag("Server")
            .about("The nodes, which is this one")
            .answers::<Vec<NodeInfo<'_>>>(200, "The node.");
    });
    api.route(&Method::GET, "/api/v5/nodes/{node}", read, move |operation| {
        operation.tag("Server").about("One node").answers::<NodeInfo<'_>>(200, "The node.").refuses(&[404]);
    });
}

async fn list(State(context): State<Context>) -> Response {
    Json([info(&context)]).into_response()
}

async fn read(State(context): State<Context>, Id(node): Id) -> Result<Response, ApiError> {
    expect_here(&context, &node)?;
    Ok(Json(info(&context)).into_response())
}

/// An error unless `node` is this one.
pub(super) fn expect_here(context: &Context, node: &str) -> Result<(), ApiError> {
    let here = context.engine.node();
    if node == here {
        return Ok(());
    }
    let message = format!("there is no node `{node}`, only `{here}`");
    Err(ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", message))
}

fn info(context: &Context) -> NodeInfo<'_> {
    let connections = (context.broker)();
    let connections = connections.iter().filter(|sample| sample.name == "mqtt_connections");
    NodeInfo {
        node: context.engine.node(),
        node_status: if is_ready(context) { "running" } else { "starting" },
        role: "core",
        version: VERSION,
        uptime: u64::try_from(context.started_at.elapsed().as_millis()).unwrap_or(u64::MAX),
        connections: connections.map(|sample| sample.value as u64).sum(),
    }
}
