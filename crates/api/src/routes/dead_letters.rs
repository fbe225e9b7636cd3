//! `/api/v5/dead_letters`: what could not be delivered.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use engine::dead_letters::Filter;
use serde_json::json;

use super::blocking;
use crate::Context;
use crate::auth::Caller;
use crate::body::{Id, Object, Params};
use crate::dto::dead_letter::{Discarded, LetterInfo, LetterPage, Replayed};
use crate::error::ApiError;
use crate::listing::{LIMIT_DEFAULT, LIMIT_MAX, Page};
use crate::openapi::Api;

pub(super) fn routes(api: &mut Api) {
    let text = || json!({ "type": "string" });
    api.route(&Method::GET, "/api/v5/dead_letters", list, move |operation| {
        operation
            .tag("Dead letters")
            .about("What could not be delivered, newest first; payloads longer than 1 KB are only in the letter itself")
            .query("action", text(), "Only those of this action, `type:name`.")
            .query("rule", text(), "Only those of this rule.")
            .query("stage", text(), "Only those that ended there: render, overflow, expired or send.")
            .query("page", json!({ "type": "integer", "minimum": 1, "default": 1 }), "Which page.")
            .query(
                "limit",
                json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT }),
                "How many a page has at most.",
            )
            .answers::<LetterPage>(200, "One page.");
    });
    api.route(&Method::GET, "/api/v5/dead_letters/{letter}", read, move |operation| {
        operation
            .tag("Dead letters")
            .about("Everything that is known of one dead letter")
            .answers::<LetterInfo>(200, "The letter.")
            .refuses(&[404]);
    });
    api.route(&Method::DELETE, "/api/v5/dead_letters/{letter}", delete, move |operation| {
        operation
            .tag("Dead letters")
            .about("Throw one dead letter away")
            .answers_nothing("It is gone.")
            .refuses(&[404])
            .changes();
    });
    api.route(&Method::POST, "/api/v5/dead_letters/replay", replay, move |operation| {
        operation
            .tag("Dead letters")
            .about("Queue dead letters for their actions again, as they were rendered, or anew where they never were")
            .takes(selection())
            .answers::<Replayed>(200, "Which are queued again, and which are not.");
    });
    api.route(&Method::POST, "/api/v5/dead_letters/discard", discard, move |operation| {
        operation
            .tag("Dead letters")
            .about("Throw dead letters away")
            .takes(selection())
            .answers::<Discarded>(200, "How many are gone.")
            .changes();
    });
}

/// The body that says which letters are meant.
fn selection() -> serde_json::Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "ids": { "type": "array", "items": { "type": "integer", "minimum": 0 } },
            "action": { "type": "string" },
            "rule": { "type": "string" },
            "stage": { "type": "string" },
            "all": { "type": "boolean" },
        },
    })
}

/// `GET /dead_letters?action=&rule=&stage=&page=&limit=`: newest first.
async fn list(State(context): State<Context>, params: Params) -> Result<Json<LetterPage>, ApiError> {
    let page = Page::of(&params)?;
    let text = |name: &str| params.get(name).map(str::to_owned);
    let filter = Filter { ids: None, action: text("action"), rule: text("rule"), stage: text("stage") };
    let store = context.engine.dead_letters().clone();
    let (data, count) = blocking("reading dead letters", move || {
        store.list(&filter, page.start(), page.limit(), LetterInfo::short)
    })
    .await?;
    Ok(Json(LetterPage { data, meta: page.meta(count) }))
}

/// `GET /dead_letters/:id`.
async fn read(State(context): State<Context>, Id(id): Id) -> Result<Json<LetterInfo>, ApiError> {
    let id = parse(&id)?;
    let store = context.engine.dead_letters().clone();
    let letter = blocking("reading dead letters", move || store.get(id)).await?.ok_or_else(|| missing(id))?;
    Ok(Json(LetterInfo::new(letter)))
}

/// `DELETE /dead_letters/:id`.
async fn delete(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    let id = parse(&id)?;
    let store = context.engine.dead_letters().clone();
    let discarded = blocking("discarding dead letters", move || store.discard(&[id]))
        .await?
        .map_err(|error| unwritable(&error))?;
    if discarded == 0 {
        return Err(missing(id));
    }
    tracing::info!(%caller, id, "a dead letter was discarded over HTTP");
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /dead_letters/replay`: queues letters again.
async fn replay(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    body: Object,
) -> Result<Json<Replayed>, ApiError> {
    let filter = filter(body)?;
    let engine = context.engine.clone();
    let outcome = blocking("replaying dead letters", move || engine.replay_dead_letters(&filter)).await?;
    tracing::info!(%caller, replayed = outcome.replayed.len(), "dead letters were replayed over HTTP");
    Ok(Json(Replayed::new(outcome)))
}

/// `POST /dead_letters/discard`: throws letters away.
async fn discard(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    body: Object,
) -> Result<Json<Discarded>, ApiError> {
    let filter = filter(body)?;
    let store = context.engine.dead_letters().clone();
    let discarded = blocking("discarding dead letters", move || store.discard(&store.ids(&filter))).await?;
    let discarded = discarded.map_err(|error| unwritable(&error))?;
    tracing::info!(%caller, discarded, "dead letters were discarded over HTTP");
    Ok(Json(Discarded { discarded }))
}

/// Which letters a body means: `{"ids": [1, 2]}`, `{"action": "mqtt:uplink"}` with `rule` and `stage`, or `{"all": true}`.
/// One that names nothing would mean everything by mistake.
fn filter(mut body: Object) -> Result<Filter, ApiError> {
    let ids = match body.map.remove("ids") {
        None => None,
        Some(ids) => Some(
            serde_json::from_value::<Vec<u64>>(ids)
                .map_err(|_| ApiError::bad_request("`ids` must be a list of the numbers of letters"))?,
        ),
    };
    let all = match body.map.remove("all") {
        None => false,
        Some(serde_json::Value::Bool(all)) => all,
        Some(_) => return Err(ApiError::bad_request("`all` must be true or false")),
    };
    let filter = Filter {
        ids,
        action: body.take_optional_string("action")?,
        rule: body.take_optional_string("rule")?,
        stage: body.take_optional_string("stage")?,
    };
    body.finish()?;
    if filter == Filter::default() && !all {
        let message = "say which letters: `ids`, `action`, `rule`, `stage`, or `\"all\": true`";
        return Err(ApiError::bad_request(message));
    }
    Ok(filter)
}

fn parse(id: &str) -> Result<u64, ApiError> {
    id.parse()
        .map_err(|_| ApiError::bad_request(format!("the id of a dead letter is a number, found `{id}`")))
}

fn missing(id: u64) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("there is no dead letter {id}"))
}

fn unwritable(error: &std::io::Error) -> ApiError {
    tracing::error!(%error, "the dead letters cannot be written");
    let message = "the dead letters cannot be written; the log has the reason";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message)
}
