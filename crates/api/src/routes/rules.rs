//! `/api/v5/rules`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use engine::{RuleView, WriteMode};
use serde_json::{Map, Value, json};

use super::to_the_end;
use crate::Context;
use crate::auth::Caller;
use crate::body::{Id, Object, Params};
use crate::dto::metrics::{MetricsInfo, RuleMetrics};
use crate::dto::rule::{READ_ONLY, RuleInfo};
use crate::error::{ApiError, Subject};
use crate::listing::{Page, RuleFilter};

/// `GET /rules`: a page of those that the filters let through, by id.
pub(super) async fn list(State(context): State<Context>, params: Params) -> Result<Response, ApiError> {
    let (page, filter) = (Page::of(&params)?, RuleFilter::of(&params)?);
    let mut rules = context.engine.rules();
    rules.retain(|rule| filter.matches(rule));
    rules.sort_by(|one, other| one.id.cmp(&other.id));
    let (rules, meta) = page.cut(rules);
    let data: Vec<RuleInfo<'_>> = rules.iter().map(RuleInfo::new).collect();
    Ok(Json(json!({ "data": data, "meta": meta })).into_response())
}

/// `POST /rules`: 201. Without `id` the server makes one up.
pub(super) async fn create(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    mut body: Object,
) -> Result<Response, ApiError> {
    let id = body.take_optional_string("id")?;
    if id.as_deref() == Some("") {
        return Err(ApiError::bad_request("empty rule id is not allowed"));
    }
    let rule = write(&context, &caller, id, body.0, WriteMode::Create).await?;
    Ok((StatusCode::CREATED, Json(RuleInfo::new(&rule))).into_response())
}

/// `GET /rules/:id`.
pub(super) async fn read(State(context): State<Context>, Id(id): Id) -> Result<Response, ApiError> {
    let rule = find(&context, &id)?;
    Ok(Json(RuleInfo::new(&rule)).into_response())
}

/// `PUT /rules/:id`: the whole rule anew.
pub(super) async fn replace(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    mut body: Object,
) -> Result<Response, ApiError> {
    body.take_expected("id", &id)?;
    READ_ONLY.iter().for_each(|key| drop(body.0.remove(*key)));
    let rule = write(&context, &caller, Some(id), body.0, WriteMode::Replace).await?;
    Ok(Json(RuleInfo::new(&rule)).into_response())
}

/// `DELETE /rules/:id`.
pub(super) async fn delete(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    let (engine, rule) = (context.engine.clone(), id.clone());
    let deleted = to_the_end(async move { engine.delete_rule(&rule).await }).await?;
    deleted.map_err(|error| ApiError::write(&error, &Subject::Rule(Some(id.clone()))))?;
    tracing::info!(%caller, rule = id, "rule deleted over HTTP");
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /rules/:id/metrics`.
pub(super) async fn metrics(State(context): State<Context>, Id(id): Id) -> Result<Response, ApiError> {
    let metrics =
        context.engine.rule_metrics(&id).ok_or_else(|| ApiError::not_found(&Subject::Rule(Some(id))))?;
    let info = MetricsInfo::of_rule(&metrics.id, context.engine.node(), RuleMetrics::new(&metrics.reading));
    Ok(Json(info).into_response())
}

/// `PUT /rules/:id/metrics/reset`.
pub(super) async fn reset_metrics(
    State(context): State<Context>,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    if context.engine.reset_rule_metrics(&id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found(&Subject::Rule(Some(id))))
    }
}

fn find(context: &Context, id: &str) -> Result<RuleView, ApiError> {
    context.engine.rule(id).ok_or_else(|| ApiError::not_found(&Subject::Rule(Some(id.to_owned()))))
}

async fn write(
    context: &Context,
    caller: &Caller,
    id: Option<String>,
    body: Map<String, Value>,
    mode: WriteMode,
) -> Result<RuleView, ApiError> {
    let (engine, subject) = (context.engine.clone(), Subject::Rule(id.clone()));
    let written = to_the_end(async move { engine.write_rule(id.as_deref(), &body, mode).await }).await?;
    let rule = written.map_err(|error| ApiError::write(&error, &subject))?;
    tracing::info!(%caller, rule = %rule.id, ?mode, "rule written over HTTP");
    Ok(rule)
}
