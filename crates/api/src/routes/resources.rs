//! `/api/v5/connectors`, `/actions` and `/sources`: one set of handlers for the three categories.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use config::Field;
use connector::ConnectorKind;
use engine::{Category, Deletion, Dependants, Kinds, ResourceId, ResourceView, WriteMode, Written};
use serde_json::{Value, json};

use super::to_the_end;
use crate::Context;
use crate::auth::Caller;
use crate::body::{Id, IdAndWord, Object, Params};
use crate::dto::diagnostic::{DiagnosticBody, in_request};
use crate::dto::metrics::{ActionMetrics, ConnectorMetrics, MetricsInfo, ResourceMetrics, SourceMetrics};
use crate::dto::resource::{READ_ONLY, ResourceExtra, ResourceInfo};
use crate::error::{ApiError, Subject};
use crate::listing::boolean;
use crate::openapi::{Api, Operation, Shape, settings_schema};

/// The paths of one category.
pub(super) fn routes(api: &mut Api, category: Category) {
    let (plural, singular) = (category.plural(), category.singular());
    let kinds = api.kinds();
    let tag = tag(category);
    let (all, one) = (format!("/api/v5/{plural}"), format!("/api/v5/{plural}/{{id}}"));
    api.set_category(Some(category));
    api.route(&Method::GET, &all, list, move |operation| {
        let item = answer_schema(kinds, category, operation);
        operation.tag(tag).about(format!("The {plural}, ordered by id")).answers_schema(
            200,
            "All of them.",
            json!({ "type": "array", "items": item }),
        );
    });
    api.route(&Method::POST, &all, create, move |operation| {
        let item = answer_schema(kinds, category, operation);
        operation
            .tag(tag)
            .about(format!("Create a {singular}"))
            .takes(request_schema(kinds, category, Named::Surely))
            .answers_schema(201, "It is live.", item)
            .refuses(&[409])
            .changes();
    });
    api.route(&Method::GET, &one, read, move |operation| {
        let item = answer_schema(kinds, category, operation);
        operation.tag(tag).about(format!("One {singular}")).answers_schema(200, "It.", item).refuses(&[404]);
    });
    api.route(&Method::PUT, &one, replace, move |operation| {
        let item = answer_schema(kinds, category, operation);
        operation
            .tag(tag)
            .about(format!("Replace the settings of a {singular}; its counters and its queue go on"))
            .takes(request_schema(kinds, category, Named::InThePath))
            .answers_schema(200, "The new settings are live.", item)
            .refuses(&[404, 409])
            .changes();
    });
    api.route(&Method::DELETE, &one, delete, move |operation| {
        operation.tag(tag).about(format!("Delete a {singular} that nobody uses"));
        if category != Category::Connector {
            let flag = json!({ "type": "string", "enum": ["true", "false"], "default": "false" });
            operation.query("also_delete_dep_actions", flag.clone(), "Rules that use it let go of it.");
            if category == Category::Action {
                operation.query("discard_buffered", flag, "What waits in its buffer is discarded.");
            }
        }
        operation.answers_nothing("It is gone.").refuses(&[404, 409]).changes();
    });
    api.route(&Method::PUT, &format!("{one}/enable/{{enable}}"), enable, move |operation| {
        operation
            .tag(tag)
            .about(format!("Let a {singular} run, or stop it"))
            .answers_nothing("It is as it was asked to be.")
            .refuses(&[404, 409])
            .changes();
    });
    api.route(&Method::GET, &format!("{one}/metrics"), metrics, move |operation| {
        operation.tag(tag).refuses(&[404]);
        match category {
            Category::Connector => operation
                .about("What the actions and sources of a connector have counted together")
                .answers::<MetricsInfo<'_, ConnectorMetrics>>(200, "A reading."),
            Category::Source => operation
                .about("What a source has counted")
                .answers::<MetricsInfo<'_, SourceMetrics>>(200, "A reading."),
            Category::Action => operation
                .about("What an action has counted")
                .answers::<MetricsInfo<'_, ActionMetrics>>(200, "A reading."),
        };
    });
    // What a connector shows is counted by those that are on it, and reset there.
    if category != Category::Connector {
        api.route(&Method::PUT, &format!("{one}/metrics/reset"), reset_metrics, move |operation| {
            operation
                .tag(tag)
                .about(format!("Set the counters of a {singular} to zero"))
                .answers_nothing("They are.")
                .refuses(&[404]);
        });
    }
    api.set_category(None);
}

/// The group in which the document shows a category.
pub(super) fn tag(category: Category) -> &'static str {
    match category {
        Category::Connector => "Connectors",
        Category::Source => "Sources",
        Category::Action => "Actions",
    }
}

/// Where a request says what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// In its body: `type` and `name`.
    Surely,
    /// In its body, where a name is not needed.
    Perhaps,
    /// In the path; the body may repeat it, and what an answer has.
    InThePath,
}

/// What a request may be, of one of the kinds.
pub(super) fn request_schema(kinds: Kinds, category: Category, named: Named) -> Value {
    one_of(kinds, category, |kind, fields| {
        let (kind, name) =
            (json!({ "type": "string", "const": kind }), json!({ "type": "string", "minLength": 1 }));
        let more = match named {
            Named::Surely => vec![("type", kind, true), ("name", name, true)],
            Named::Perhaps => vec![("type", kind, true), ("name", name, false)],
            Named::InThePath => {
                let mut more =
                    vec![("id", name.clone(), false), ("type", kind, false), ("name", name, false)];
                more.extend(READ_ONLY.iter().map(|key| (*key, json!({}), false)));
                more
            }
        };
        settings_schema(fields, Shape::Request, &more)
    })
}

/// What an answer is, of one of the kinds.
fn answer_schema(kinds: Kinds, category: Category, operation: &mut Operation<'_>) -> Value {
    let extra = operation.schema_of::<ResourceExtra<'_>>();
    one_of(kinds, category, |kind, fields| {
        let text = || json!({ "type": "string" });
        let more = [
            ("id", text(), true),
            ("type", json!({ "type": "string", "const": kind }), true),
            ("name", text(), true),
        ];
        json!({ "allOf": [settings_schema(fields, Shape::Answer, &more), extra.clone()] })
    })
}

fn one_of(
    kinds: Kinds,
    category: Category,
    mut schema: impl FnMut(&'static str, &'static [Field]) -> Value,
) -> Value {
    let fields = |kind: &ConnectorKind| match category {
        Category::Connector => kind.fields,
        Category::Source => kind.source_fields,
        Category::Action => kind.action_fields,
    };
    let of_category = kinds.iter().filter(|kind| !fields(kind).is_empty());
    let mut schemas: Vec<Value> = of_category.map(|kind| schema(kind.name, fields(kind))).collect();
    if schemas.len() == 1 { schemas.remove(0) } else { json!({ "oneOf": schemas }) }
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
    let (view, warnings) = write(&context, &caller, category, id, body, WriteMode::Create).await?;
    let info = ResourceInfo::written(&view, context.engine.node(), warnings);
    Ok((StatusCode::CREATED, Json(info)).into_response())
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
    READ_ONLY.iter().for_each(|key| drop(body.map.remove(*key)));
    let (view, warnings) = write(&context, &caller, category, id, body, WriteMode::Replace).await?;
    Ok(Json(ResourceInfo::written(&view, context.engine.node(), warnings)).into_response())
}

/// `PUT /…/:id/enable/:bool`: lets it run, or stops it.
async fn enable(
    State(context): State<Context>,
    Extension(category): Extension<Category>,
    Extension(caller): Extension<Caller>,
    IdAndWord(id, enable): IdAndWord,
) -> Result<StatusCode, ApiError> {
    let (id, enable) = (parse(&id)?, boolean("enable", &enable)?);
    let (engine, changed) = (context.engine.clone(), id.clone());
    let outcome = to_the_end(async move { engine.enable_resource(category, &changed, enable).await }).await?;
    outcome.map_err(|error| ApiError::change(&error, &Subject::Resource(category, id.clone())))?;
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
    let flag = |name: &str| params.get(name).map(|flag| boolean(name, flag)).transpose();
    let let_go = flag("also_delete_dep_actions")?.unwrap_or(false);
    let deletion = Deletion {
        dependants: if let_go { Dependants::LetGo } else { Dependants::Refuse },
        discard: flag("discard_buffered")?.unwrap_or(false),
    };
    let (engine, deleted) = (context.engine.clone(), id.clone());
    let outcome =
        to_the_end(async move { engine.delete_resource(category, &deleted, deletion).await }).await?;
    outcome.map_err(|error| ApiError::change(&error, &Subject::Resource(category, id.clone())))?;
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

pub(super) fn parse(id: &str) -> Result<ResourceId, ApiError> {
    ResourceId::parse(id)
        .ok_or_else(|| ApiError::bad_request(format!("an id is written `type:name`, found `{id}`")))
}

fn not_found(category: Category, id: ResourceId) -> ApiError {
    ApiError::not_found(&Subject::Resource(category, id))
}

/// Writes one; with what is probably not meant so in it.
async fn write(
    context: &Context,
    caller: &Caller,
    category: Category,
    id: ResourceId,
    body: Object,
    mode: WriteMode,
) -> Result<(ResourceView, Vec<DiagnosticBody>), ApiError> {
    let (engine, written) = (context.engine.clone(), id.clone());
    let Object { map, text } = body;
    let outcome =
        to_the_end(
            async move { engine.write_resource(category, &written.kind, &written.name, &map, mode).await },
        );
    let subject = || Subject::Resource(category, id.clone());
    let Written { view, warnings } =
        outcome.await?.map_err(|error| ApiError::write(&error, &subject(), &text))?;
    tracing::info!(%caller, category = category.singular(), %id, ?mode, "written over HTTP");
    Ok((view, in_request(&warnings, &text)))
}
