//! `/api/v5/buffers`: what waits on disk, also for actions that are declared nowhere.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use engine::{Category, ResourceId};

use super::{blocking, to_the_end};
use crate::Context;
use crate::auth::Caller;
use crate::body::Id;
use crate::dto::buffer::OrphanInfo;
use crate::error::{ApiError, Subject};
use crate::openapi::Api;

pub(super) fn routes(api: &mut Api) {
    api.route(&Method::GET, "/api/v5/buffers", list, move |operation| {
        operation
            .tag("Actions")
            .about("What waits on disk for actions that are declared nowhere")
            .answers::<Vec<OrphanInfo>>(200, "Those buffers.");
    });
    api.route(&Method::DELETE, "/api/v5/buffers/{id}", discard, move |operation| {
        operation
            .tag("Actions")
            .about("Discard what waits for an action that is declared nowhere")
            .answers_nothing("It is gone.")
            .refuses(&[404])
            .changes();
    });
}

/// `GET /buffers`: those that belong to no action. The others are shown by the metrics of their actions.
async fn list(State(context): State<Context>) -> Result<Json<Vec<OrphanInfo>>, ApiError> {
    let engine = context.engine.clone();
    let orphans = blocking("looking for buffers", move || engine.orphans()).await?;
    Ok(Json(orphans.iter().map(OrphanInfo::new).collect()))
}

/// `DELETE /buffers/:id`: discards what waits for an action that is declared nowhere.
async fn discard(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    let id = ResourceId::parse(&id)
        .ok_or_else(|| ApiError::bad_request(format!("an id is written `type:name`, found `{id}`")))?;
    let (engine, orphan) = (context.engine.clone(), id.clone());
    let outcome = to_the_end(async move { engine.discard_orphan(&orphan).await }).await?;
    outcome.map_err(|error| ApiError::change(&error, &Subject::Resource(Category::Action, id.clone())))?;
    tracing::info!(%caller, action = %id, "the buffer of an action that is declared nowhere was discarded over HTTP");
    Ok(StatusCode::NO_CONTENT)
}
