//! `/api/v5/connectors`, `/actions` and `/sources`: one set of handlers for the three categories.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use engine::{Category, ProbeError, ResourceId, ResourceView, WriteMode};
use serde_json::{Map, Value};

use super::to_the_end;
use crate::Context;
use crate::auth::Caller;
use crate::body::{Id, IdAndFlag, Object, Params};
use crate::dto::metrics::{MetricsInfo, ResourceMetrics};
use crate::dto::resource::{READ_ONLY, ResourceInfo};
use crate::error::{ApiError, Subject};
use crate::listing::boolean;

/// How long a probe may look for the far side before it counts as failed.
const PROBE_TIME_MAX: Duration = Duration::from_secs(30);

/// The paths of one category.
pub(super) fn routes(category: Category) -> Router<Context> {
    let (plural, singular) = (category.plural(), category.singular());
    let routes = Router::new()
        .route(&format!("/{plural}"), get(list).post(create))
        .route(&format!("/{plural}/{{id}}"), get(read).put(replace).delete(delete))
        .route(&format!("/{plural}/{{id}}/enable/{{enable}}"), put(enable))
        .route(&format!("/{plural}_probe"), post(probe));
    let routes = match category {
        // A connector moves no messages by itself; what it carries is counted by its sources and actions.
        Category::Connector => routes,
        Category::Source | Category::Action => routes
            .route(&format!("/{plural}/{{id}}/metrics"), get(metrics))
            .route(&format!("/{plural}/{{id}}/metrics/reset"), put(reset_metrics))
            .route(&format!("/{singular}_types"), get(types)),
    };
    routes.layer(Extension(category))
}

/// `GET /…`: all of them, by id.
async fn list(State(context): State<Context>, Extension(category): Extension<Category>) -> Response {
    let mut all = context.engine.resources(category);
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let node = context.engine.node();
    Json(all.iter().map(|view| ResourceInfo::new(view, node)).collect::<Vec<_>>()).into_response()
}

/// `POST /…`: 201.
async fn create(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
    Extension(caller): Extension<Caller>,
    mut body: Object,
) -> Result<Response, ApiError> {
    let id = ResourceId::new(&body.take_string("type")?, &body.take_string("name")?);
    let view = write(&context, &caller, category, id, body.0, WriteMode::Create).await?;
    Ok((StatusCode::CREATED, Json(ResourceInfo::new(&view, context.engine.node()))).into_response())
}

/// `GET /…/:id`.
async fn read(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
    Id(id): Id,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    let view = context.engine.resource(category, &id).ok_or_else(|| not_found(category, id))?;
    Ok(Json(ResourceInfo::new(&view, context.engine.node())).into_response())
}

/// `PUT /…/:id`: all settings anew.
async fn replace(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    mut body: Object,
) -> Result<Response, ApiError> {
    body.take_expected("id", &id)?;
    let id = parse(&id)?;
    body.take_expected("type", &id.kind)?;
    body.take_expected("name", &id.name)?;
    READ_ONLY.iter().for_each(|key| drop(body.0.remove(*key)));
    let view = write(&context, &caller, category, id, body.0, WriteMode::Replace).await?;
    Ok(Json(ResourceInfo::new(&view, context.engine.node())).into_response())
}

/// `PUT /…/:id/enable/:bool`: lets it run, or stops it.
async fn enable(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
    Extension(caller): Extension<Caller>,
    IdAndFlag(id, enable): IdAndFlag,
) -> Result<StatusCode, ApiError> {
    let (id, enable) = (parse(&id)?, boolean("enable", &enable)?);
    let (engine, changed) = (context.engine.clone(), id.clone());
    let outcome = to_the_end(async move { engine.enable_resource(category, &changed, enable).await }).await?;
    outcome.map_err(|error| ApiError::write(&error, &Subject::Resource(category, id.clone())))?;
    tracing::info!(%caller, category = category.singular(), %id, enable, "enabled or disabled over HTTP");
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /…/:id`. What waits in the buffer of an action goes with it only if `discard_buffered` says so.
async fn delete(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    params: Params,
) -> Result<StatusCode, ApiError> {
    let id = parse(&id)?;
    let discard = params.get("discard_buffered").map(|flag| boolean("discard_buffered", flag)).transpose()?;
    let (engine, deleted) = (context.engine.clone(), id.clone());
    let discard = discard.unwrap_or(false);
    let outcome =
        to_the_end(async move { engine.delete_resource(category, &deleted, discard).await }).await?;
    outcome.map_err(|error| ApiError::write(&error, &Subject::Resource(category, id.clone())))?;
    tracing::info!(%caller, category = category.singular(), %id, "deleted over HTTP");
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /…/:id/metrics`.
async fn metrics(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
    Id(id): Id,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    let reading = context.engine.resource_reading(category, &id).ok_or_else(|| not_found(category, id))?;
    Ok(Json(MetricsInfo::new(context.engine.node(), ResourceMetrics::new(&reading))).into_response())
}

/// `PUT /…/:id/metrics/reset`.
async fn reset_metrics(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    let id = parse(&id)?;
    if context.engine.reset_resource_metrics(category, &id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(not_found(category, id))
    }
}

/// `POST /…_probe`: 204 when the far side answers to these settings.
async fn probe(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
    mut body: Object,
) -> Result<StatusCode, ApiError> {
    let kind = body.take_string("type")?;
    // A name is no part of the settings; what is not there yet need not have one.
    body.take_optional_string("name")?;
    let probe = context.engine.probe(category, &kind, &body.0);
    let outcome = tokio::time::timeout(PROBE_TIME_MAX, probe).await.unwrap_or_else(|_| {
        Err(ProbeError::Failed(format!(
            "the far side has not answered within {} s",
            PROBE_TIME_MAX.as_secs()
        )))
    });
    outcome.map(|()| StatusCode::NO_CONTENT).map_err(|error| ApiError::probe(&error))
}

/// `GET /action_types`, `/source_types`.
async fn types(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
) -> Json<Vec<&'static str>> {
    Json(context.engine.kinds(category))
}

fn parse(id: &str) -> Result<ResourceId, ApiError> {
    ResourceId::parse(id)
        .ok_or_else(|| ApiError::bad_request(format!("an id is written `type:name`, found `{id}`")))
}

fn not_found(category: Category, id: ResourceId) -> ApiError {
    ApiError::not_found(&Subject::Resource(category, id))
}

async fn write(
    context: &Context,
    caller: &Caller,
    category: Category,
    id: ResourceId,
    body: Map<String, Value>,
    mode: WriteMode,
) -> Result<ResourceView, ApiError> {
    let (engine, written) = (context.engine.clone(), id.clone());
    let outcome = to_the_end(async move {
        engine.write_resource(category, &written.kind, &written.name, &body, mode).await
    });
    let view =
        outcome.await?.map_err(|error| ApiError::write(&error, &Subject::Resource(category, id.clone())))?;
    tracing::info!(%caller, category = category.singular(), %id, ?mode, "written over HTTP");
    Ok(view)
}
