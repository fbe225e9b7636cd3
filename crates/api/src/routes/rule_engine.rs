//! `/api/v5/rule_engine`: what holds for all rules.

use axum::extract::State;
use axum::http::Method;
use axum::{Extension, Json};
use engine::RULE_ENGINE_FIELDS;
use serde_json::Value;

use super::to_the_end;
use crate::Context;
use crate::auth::Caller;
use crate::body::Object;
use crate::error::{ApiError, Subject};
use crate::openapi::{Api, Shape, settings_schema};

const PATH: &str = "/api/v5/rule_engine";

pub(super) fn routes(api: &mut Api) {
    api.route(&Method::GET, PATH, read, move |operation| {
        operation.tag("Rules").about("The settings that hold for all rules").answers_schema(
            200,
            "The settings.",
            settings_schema(RULE_ENGINE_FIELDS, Shape::Answer, &[]),
        );
    });
    api.route(&Method::PUT, PATH, replace, move |operation| {
        operation
            .tag("Rules")
            .about("Replace the settings that hold for all rules; what is left out goes back to its default")
            .takes(settings_schema(RULE_ENGINE_FIELDS, Shape::Request, &[]))
            .answers_schema(200, "They hold.", settings_schema(RULE_ENGINE_FIELDS, Shape::Answer, &[]))
            .changes();
    });
}

async fn read(State(context): State<Context>) -> Json<Value> {
    Json(context.engine.rule_engine_settings())
}

async fn replace(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    body: Object,
) -> Result<Json<Value>, ApiError> {
    let engine = context.engine.clone();
    let Object { map, text } = body;
    let stored = to_the_end(async move { engine.set_rule_engine_settings(&map).await }).await?;
    stored.map_err(|error| ApiError::write(&error, &Subject::Everything, &text))?;
    tracing::info!(%caller, "the settings of the rule engine were written over HTTP");
    Ok(Json(context.engine.rule_engine_settings()))
}
