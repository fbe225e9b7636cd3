//! What is done with connectors, actions and sources rather than to their settings: start, probe, list in short.

use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use engine::{Category, ProbeError};

use super::node::expect_here;
use super::resources::{Named, parse, request_schema, tag};
use crate::Context;
use crate::auth::Caller;
use crate::body::{IdAndWord, NodeIdAndWord, Object};
use crate::dto::resource::ResourceSummary;
use crate::error::{ApiError, Subject};
use crate::openapi::{Api, Operation};

/// How long a probe may look for the far side before it counts as failed.
const PROBE_TIME_MAX: Duration = Duration::from_secs(30);

/// The paths of one category.
pub(super) fn routes(api: &mut Api, category: Category) {
    let (plural, singular) = (category.plural(), category.singular());
    let tag = tag(category);
    let kinds = api.kinds();
    api.set_category(Some(category));
    for (path, node) in [("", false), ("/nodes/{node}", true)] {
        let path = format!("/api/v5{path}/{plural}/{{id}}/{{operation}}");
        let describe = move |operation: &mut Operation<'_>| {
            operation
                .tag(tag)
                .about(format!(
                    "Start what waits for that, and let a lost connection of the {singular} be tried at once"
                ))
                .answers_nothing("It is; nobody waits for the far side.")
                .refuses(&[404]);
        };
        match node {
            false => api.route(&Method::POST, &path, operate, describe),
            true => api.route(&Method::POST, &path, operate_on_node, describe),
        }
    }
    api.route(&Method::POST, &format!("/api/v5/{plural}_probe"), probe, move |operation| {
        operation
            .tag(tag)
            .about(format!("Try the settings of a {singular} without keeping them"))
            .takes(request_schema(kinds, category, Named::Perhaps))
            .answers_nothing("The far side answers, and lets us in.");
    });
    if category != Category::Connector {
        api.route(&Method::GET, &format!("/api/v5/{plural}_summary"), summary, move |operation| {
            operation
                .tag(tag)
                .about(format!("The {plural} in short, each with the rules that use it"))
                .answers::<Vec<ResourceSummary<'_>>>(200, "All of them, by id.");
        });
        api.route(&Method::GET, &format!("/api/v5/{singular}_types"), types, move |operation| {
            operation
                .tag(tag)
                .about(format!("The types that {plural} may have"))
                .answers::<Vec<String>>(200, "Their names.");
        });
    }
    api.set_category(None);
}

/// `POST /…/:id/:operation`.
async fn operate(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
    Extension(caller): Extension<Caller>,
    IdAndWord(id, operation): IdAndWord,
) -> Result<StatusCode, ApiError> {
    let id = parse(&id)?;
    if operation != "start" {
        return Err(ApiError::bad_request(format!("there is no operation `{operation}`, only `start`")));
    }
    let started = context.engine.start_resource(category, &id).await;
    started.map_err(|error| ApiError::start(&error, &Subject::Resource(category, id.clone())))?;
    tracing::info!(%caller, category = category.singular(), %id, "started over HTTP");
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /nodes/:node/…/:id/:operation`.
async fn operate_on_node(
    State(context): State<Context>,
    category: Extension<Category>,
    caller: Extension<Caller>,
    NodeIdAndWord(node, id, operation): NodeIdAndWord,
) -> Result<StatusCode, ApiError> {
    expect_here(&context, &node)?;
    operate(State(context), category, caller, IdAndWord(id, operation)).await
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
    let probe = context.engine.probe(category, &kind, &body.map);
    let outcome = tokio::time::timeout(PROBE_TIME_MAX, probe).await.unwrap_or_else(|_| {
        Err(ProbeError::Failed(format!(
            "the far side has not answered within {} s",
            PROBE_TIME_MAX.as_secs()
        )))
    });
    outcome.map(|()| StatusCode::NO_CONTENT).map_err(|error| ApiError::probe(&error, &body.text))
}

/// `GET /actions_summary`, `/sources_summary`.
async fn summary(State(context): State<Context>, Extension(category): Extension<Category>) -> Response {
    let engine = &context.engine;
    let all = engine.resources(category);
    let short = all
        .iter()
        .map(|view| ResourceSummary::new(view, &engine.rules_using(category, &view.id), engine.node()));
    Json(short.collect::<Vec<_>>()).into_response()
}

/// `GET /action_types`, `/source_types`.
async fn types(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
) -> Json<Vec<&'static str>> {
    Json(context.engine.kinds(category))
}
