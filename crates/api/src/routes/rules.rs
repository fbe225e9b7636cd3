//! `/api/v5/rules`.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use config::rule_file::RULE_FIELDS;
use engine::{REPUBLISH_FIELDS, RuleView, WriteMode, Written};
use serde_json::{Value, json};

use super::to_the_end;
use crate::Context;
use crate::auth::Caller;
use crate::body::{Id, Object, Params};
use crate::dto::diagnostic::{DiagnosticBody, in_request};
use crate::dto::metrics::{MetricsInfo, RuleMetrics};
use crate::dto::rule::{READ_ONLY, RuleInfo, RuleList};
use crate::error::{ApiError, Subject};
use crate::listing::{LIMIT_DEFAULT, LIMIT_MAX, Page, RuleFilter};
use crate::openapi::{Api, Operation, Shape, settings_schema};

pub(super) fn routes(api: &mut Api) {
    api.route(&Method::GET, "/api/v5/rules", list, describe_list);
    api.route(&Method::POST, "/api/v5/rules", create, move |operation| {
        operation
            .tag("Rules")
            .about("Create a rule")
            .takes(rule_schema(WriteMode::Create))
            .answers::<RuleInfo<'_>>(201, "It is live.")
            .refuses(&[409])
            .changes();
    });
    api.route(&Method::GET, "/api/v5/rules/{id}", read, move |operation| {
        operation.tag("Rules").about("One rule").answers::<RuleInfo<'_>>(200, "The rule.").refuses(&[404]);
    });
    api.route(&Method::PUT, "/api/v5/rules/{id}", replace, move |operation| {
        operation
            .tag("Rules")
            .about("Replace a rule; its counters go on")
            .takes(rule_schema(WriteMode::Replace))
            .answers::<RuleInfo<'_>>(200, "The new version is live.")
            .refuses(&[404, 409])
            .changes();
    });
    api.route(&Method::DELETE, "/api/v5/rules/{id}", delete, move |operation| {
        operation
            .tag("Rules")
            .about("Delete a rule")
            .answers_nothing("It is gone.")
            .refuses(&[404, 409])
            .changes();
    });
    api.route(&Method::GET, "/api/v5/rules/{id}/metrics", metrics, move |operation| {
        operation
            .tag("Rules")
            .about("What a rule has counted")
            .answers::<MetricsInfo<'_, RuleMetrics>>(200, "A reading.")
            .refuses(&[404]);
    });
    api.route(&Method::PUT, "/api/v5/rules/{id}/metrics/reset", reset_metrics, move |operation| {
        operation
            .tag("Rules")
            .about("Set a rule's counters to zero")
            .answers_nothing("They are.")
            .refuses(&[404]);
    });
}

fn describe_list(operation: &mut Operation<'_>) {
    let text = || json!({ "type": "string" });
    let boolean = || json!({ "type": "string", "enum": ["true", "false"] });
    let list = || json!({ "type": "array", "items": { "type": "string", "pattern": "^[^:]+:.+$" } });
    operation
        .tag("Rules")
        .about("The rules, ordered by id, in pages")
        .query("page", json!({ "type": "integer", "minimum": 1, "default": 1 }), "Counts from 1.")
        .query(
            "limit",
            json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT }),
            "How many a page has.",
        )
        .query("enable", boolean(), "Only those that are enabled, or that are not.")
        .query("like_id", text(), "Only those whose id has this in it.")
        .query("like_description", text(), "Only those whose description has this in it.")
        .query("from", text(), "Only those with exactly this in FROM.")
        .query("like_from", text(), "Only those with this in a filter of FROM.")
        .query(
            "match_from",
            text(),
            "Only those with a FROM that, taken for a topic, falls under this filter.",
        )
        .query(
            "action",
            list(),
            "Only those that use one of these actions, `type:name`; `action[]` means the same.",
        )
        .query(
            "source",
            list(),
            "Only those that read one of these sources, `type:name`; `source[]` means the same.",
        )
        .query("only_global", boolean(), "Without effect: every rule is global.")
        .query("ns", text(), "Only those of this namespace, of which there are none.")
        .answers::<RuleList<'_>>(200, "A page.")
        .refuses(&[400]);
}

/// What a rule may be written as.
fn rule_schema(mode: WriteMode) -> Value {
    let action = json!({ "anyOf": [
        { "type": "string", "description": "An action, `type:name`." },
        { "type": "null", "description": "As good as nothing." },
        {
            "type": "object",
            "properties": {
                "function": { "const": "republish" },
                "args": settings_schema(REPUBLISH_FIELDS, Shape::Request, &[]),
            },
            "required": ["function", "args"],
            "additionalProperties": false,
        },
        {
            "type": "object",
            "properties": { "function": { "const": "console" }, "args": { "type": ["object", "null"], "maxProperties": 0 } },
            "required": ["function"],
            "additionalProperties": false,
        },
    ] });
    let mut more = vec![("sql", json!({ "type": "string" }), true)];
    match mode {
        WriteMode::Create => more.push(("id", json!({ "type": "string" }), false)),
        WriteMode::Replace => more.extend(READ_ONLY.iter().map(|key| (*key, json!({}), false))),
    }
    let mut schema = settings_schema(RULE_FIELDS, Shape::Request, &more);
    schema["properties"]["actions"] = json!({ "type": ["array", "null"], "items": action });
    schema["examples"] = json!([{
        "sql": "SELECT payload.temp AS temp FROM \"temp_hum/#\" WHERE payload.temp > 30",
        "actions": [{ "function": "republish", "args": { "topic": "alarm/${clientid}" } }],
    }]);
    schema
}

/// `GET /rules`: a page of those that the filters let through, by id.
async fn list(State(context): State<Context>, params: Params) -> Result<Response, ApiError> {
    let (page, filter) = (Page::of(&params)?, RuleFilter::of(&params)?);
    let mut rules = context.engine.rules();
    rules.retain(|rule| filter.matches(rule));
    rules.sort_by(|one, other| one.id.cmp(&other.id));
    let (rules, meta) = page.cut(rules);
    Ok(Json(RuleList { data: rules.iter().map(RuleInfo::new).collect(), meta }).into_response())
}

/// `POST /rules`: 201. Without `id` the server makes one up.
async fn create(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    mut body: Object,
) -> Result<Response, ApiError> {
    let id = body.take_optional_string("id")?;
    if id.as_deref() == Some("") {
        return Err(ApiError::bad_request("empty rule id is not allowed"));
    }
    let (rule, warnings) = write(&context, &caller, id, body, WriteMode::Create).await?;
    Ok((StatusCode::CREATED, Json(RuleInfo::written(&rule, warnings))).into_response())
}

/// `GET /rules/:id`.
async fn read(State(context): State<Context>, Id(id): Id) -> Result<Response, ApiError> {
    let rule = find(&context, &id)?;
    Ok(Json(RuleInfo::new(&rule)).into_response())
}

/// `PUT /rules/:id`: the whole rule anew.
async fn replace(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    mut body: Object,
) -> Result<Response, ApiError> {
    body.take_expected("id", &id)?;
    READ_ONLY.iter().for_each(|key| drop(body.map.remove(*key)));
    let (rule, warnings) = write(&context, &caller, Some(id), body, WriteMode::Replace).await?;
    Ok(Json(RuleInfo::written(&rule, warnings)).into_response())
}

/// `DELETE /rules/:id`.
async fn delete(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    let (engine, rule) = (context.engine.clone(), id.clone());
    let deleted = to_the_end(async move { engine.delete_rule(&rule).await }).await?;
    deleted.map_err(|error| ApiError::change(&error, &Subject::Rule(Some(id.clone()))))?;
    tracing::info!(%caller, rule = id, "rule deleted over HTTP");
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /rules/:id/metrics`.
async fn metrics(State(context): State<Context>, Id(id): Id) -> Result<Response, ApiError> {
    let metrics =
        context.engine.rule_metrics(&id).ok_or_else(|| ApiError::not_found(&Subject::Rule(Some(id))))?;
    let info = MetricsInfo::of_rule(&metrics.id, context.engine.node(), RuleMetrics::new(&metrics.reading));
    Ok(Json(info).into_response())
}

/// `PUT /rules/:id/metrics/reset`.
async fn reset_metrics(State(context): State<Context>, Id(id): Id) -> Result<StatusCode, ApiError> {
    if context.engine.reset_rule_metrics(&id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found(&Subject::Rule(Some(id))))
    }
}

fn find(context: &Context, id: &str) -> Result<RuleView, ApiError> {
    context.engine.rule(id).ok_or_else(|| ApiError::not_found(&Subject::Rule(Some(id.to_owned()))))
}

/// Writes a rule; with what is probably not meant so in it.
async fn write(
    context: &Context,
    caller: &Caller,
    id: Option<String>,
    body: Object,
    mode: WriteMode,
) -> Result<(RuleView, Vec<DiagnosticBody>), ApiError> {
    let (engine, subject) = (context.engine.clone(), Subject::Rule(id.clone()));
    let Object { map, text } = body;
    let written = to_the_end(async move { engine.write_rule(id.as_deref(), &map, mode).await }).await?;
    let Written { view, warnings } = written.map_err(|error| ApiError::write(&error, &subject, &text))?;
    tracing::info!(%caller, rule = %view.id, ?mode, "rule written over HTTP");
    Ok((view, in_request(&warnings, &text)))
}
