//! `POST /api/v5/rule_test` and `/rules/:id/test`.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use config::Part;
use diagnostic::Code;
use serde_json::{Map, Value, json};

use crate::body::{Id, Object};
use crate::dto::event::EventInfo;
use crate::error::{ApiError, Subject};
use crate::evaluate::evaluate;
use crate::openapi::Api;
use crate::{Context, dto};

pub(super) fn routes(api: &mut Api) {
    api.route(&Method::GET, "/api/v5/rule_events", rule_events, move |operation| {
        operation
            .tag("Rules")
            .about("What may trigger a rule, and the columns it brings")
            .answers::<Vec<EventInfo>>(200, "Every event.");
    });
    let context =
        || json!({ "type": "object", "description": "The event, as `GET /rule_events` describes it." });
    api.route(&Method::POST, "/api/v5/rule_test", rule_test, move |operation| {
        operation
            .tag("Rules")
            .about("Try SQL on a made-up message")
            .takes(json!({
                "type": "object",
                "properties": { "sql": { "type": "string" }, "context": context() },
                "required": ["sql", "context"],
                "additionalProperties": false,
                "examples": [{
                    "sql": "SELECT payload.temp AS temp FROM \"temp_hum/#\" WHERE payload.temp > 30",
                    "context": { "event_type": "message_publish", "topic": "temp_hum/a", "payload": "{\"temp\": 31}" },
                }],
            }))
            .answers_schema(200, "The row, or the list of rows of FOREACH.", row())
            .refuses(&[412, 429]);
    });
    api.route(&Method::POST, "/api/v5/rules/{id}/test", test_rule, move |operation| {
        operation
            .tag("Rules")
            .about("Try a rule that exists on a made-up message; no action runs")
            .takes(json!({
                "type": "object",
                "properties": {
                    "context": context(),
                    "stop_action_after_template_rendering": { "type": "boolean", "const": true },
                },
                "required": ["context"],
                "additionalProperties": false,
            }))
            .answers_schema(200, "The row, or the list of rows of FOREACH.", row())
            .refuses(&[404, 412, 429]);
    });
}

fn row() -> Value {
    json!({ "type": ["object", "array"] })
}

/// `GET /rule_events`.
async fn rule_events(State(context): State<Context>) -> Json<Vec<EventInfo>> {
    Json(dto::event::events(context.engine.node()))
}

/// `POST /rule_test` `{sql, context}`: the row, or the list of rows, that the SQL gives for a message like that.
async fn rule_test(State(context): State<Context>, mut body: Object) -> Result<Response, ApiError> {
    let (sql, event) = (body.take_string("sql")?, take_context(&mut body)?);
    body.finish()?;
    evaluate(&context.engine, sql, event).await
}

/// `POST /rules/:id/test` `{context}`: the same with the SQL of a rule. No action runs.
async fn test_rule(
    State(context): State<Context>,
    Id(id): Id,
    mut body: Object,
) -> Result<Response, ApiError> {
    let event = take_context(&mut body)?;
    const STOP: &str = "stop_action_after_template_rendering";
    if body.map.remove(STOP).is_some_and(|stop| stop != Value::Bool(true)) {
        let message = format!("`{STOP}` can only be `true`: a test runs no action");
        return Err(body.fault(Code::InvalidValue, STOP, Part::Value, message));
    }
    body.finish()?;
    let Some(rule) = context.engine.rule(&id) else {
        return Err(ApiError::not_found(&Subject::Rule(Some(id))).for_a_test());
    };
    evaluate(&context.engine, rule.sql, event).await
}

fn take_context(body: &mut Object) -> Result<Map<String, Value>, ApiError> {
    match body.map.remove("context") {
        Some(Value::Object(event)) => Ok(event),
        Some(_) => {
            Err(body.fault(Code::WrongType, "context", Part::Value, "`context` must be an object".to_owned()))
        }
        None => Err(body.missing("context")),
    }
}
