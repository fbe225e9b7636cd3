//! `POST /api/v5/rule_test` and `/rules/:id/test`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::Context;
use crate::body::{Id, Object};
use crate::error::ApiError;
use crate::evaluate::evaluate;

/// `POST /rule_test` `{sql, context}`: the row, or the list of rows, that the SQL gives for a message like that.
pub(super) async fn rule_test(
    State(context): State<Context>,
    mut body: Object,
) -> Result<Response, ApiError> {
    let (sql, event) = (body.take_string("sql")?, take_context(&mut body)?);
    body.finish()?;
    evaluate(&context.engine, sql, event).await
}

/// `POST /rules/:id/test` `{context}`: the same with the SQL of a rule. No action runs.
pub(super) async fn test_rule(
    State(context): State<Context>,
    Id(id): Id,
    mut body: Object,
) -> Result<Response, ApiError> {
    let event = take_context(&mut body)?;
    if body.0.remove("stop_action_after_template_rendering").is_some_and(|stop| stop != Value::Bool(true)) {
        let message = "`stop_action_after_template_rendering` can only be `true`: a test runs no action";
        return Err(ApiError::bad_request(message));
    }
    body.finish()?;
    let Some(rule) = context.engine.rule(&id) else {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "RULE_NOT_FOUND", "Rule Id Not Found"));
    };
    evaluate(&context.engine, rule.sql, event).await
}

fn take_context(body: &mut Object) -> Result<Map<String, Value>, ApiError> {
    match body.0.remove("context") {
        Some(Value::Object(event)) => Ok(event),
        Some(_) => Err(ApiError::bad_request("`context` must be an object")),
        None => Err(ApiError::bad_request("`context` is missing")),
    }
}
