//! Evaluating SQL on a made-up message, bounded in time and in number.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use config::SettingPath;
use diagnostic::{Diagnostic, Source};
use engine::{Engine, Finding};
use eval::test::{Context, NoMatch, Outcome, Setting};
use eval::{EvalError, Program, Reason, Surroundings, Worker};
use event::Column;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::error::ApiError;

/// Names the columns that were filled with examples, so that nobody takes them for data.
const FILLED: HeaderName = HeaderName::from_static("x-sluicegate-filled");

/// How long a caller waits for an answer. An evaluation that goes on keeps its slot until it ends.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Evaluations at once. One bound for the process, as the threads they run on are the process's.
static SLOTS: Semaphore = Semaphore::const_new(16);

/// What `sql` gives for the event that `context` describes: 200, 412 or 400. No input gives anything else but a 429.
pub(crate) async fn evaluate(
    engine: &Engine,
    sql: String,
    context: Map<String, Value>,
) -> Result<Response, ApiError> {
    let deadline = tokio::time::Instant::now() + TIME_MAX;
    let Ok(Ok(slot)) = tokio::time::timeout_at(deadline, SLOTS.acquire()).await else {
        let message = "too many evaluations at once; try again later";
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS", message));
    };
    let (node, surroundings) = (engine.node().to_owned(), Arc::clone(engine.surroundings()));
    let evaluation = tokio::task::spawn_blocking(move || {
        let answer = test(sql, &Value::Object(context), &node, &surroundings);
        drop(slot);
        answer
    });
    match tokio::time::timeout_at(deadline, evaluation).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            // A bug of ours, and yet what the caller can change is the input.
            tracing::error!(%error, "an evaluation broke off");
            Err(ApiError::bad_request("evaluating broke off; the log has more"))
        }
        Err(_) => Err(ApiError::bad_request(format!("evaluating took more than {} s", TIME_MAX.as_secs()))),
    }
}

fn test(
    sql: String,
    context: &Value,
    node: &str,
    surroundings: &Arc<Surroundings>,
) -> Result<Response, ApiError> {
    let seed = RandomState::new().hash_one(&sql);
    let source = Arc::new(Source::new("sql", sql));
    let program = prepare(&source, &format!("sql_tester:{seed:016x}"))?;
    let setting = Setting { now_ms: now_ms(), node, seed };
    let (arena, context) = (value::Arena::new(), context.to_string());
    let context = Context::parse(context.as_bytes(), &setting, &arena)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let mut worker = Worker::new(Arc::clone(surroundings), seed);
    let filled = context.filled;
    match eval::test::run(&program, &context, &setting, &mut worker) {
        Outcome::Output(json) => {
            let json = ([(CONTENT_TYPE, "application/json")], json).into_response();
            Ok(with_filled(json, filled))
        }
        Outcome::NoMatch(no_match) => {
            let reason = match no_match {
                NoMatch::Topic => "nothing in FROM lets this message in".to_owned(),
                NoMatch::Condition => {
                    let reasons =
                        eval::test::why_filtered(source.text(), 0, &context, &setting, surroundings);
                    Reason::describe_all(&reasons, source.text())
                }
            };
            Ok(with_filled(ApiError::not_match(reason).into_response(), filled))
        }
        Outcome::Error(error) => Err(failed(&source, &error)),
    }
}

fn prepare(source: &Arc<Source>, rule_id: &str) -> Result<Program, ApiError> {
    let (program, found) = eval::prepare(source.text(), 0, rule_id);
    program.ok_or_else(|| {
        let found = found.into_iter().map(|diagnostic| in_sql(source, diagnostic));
        ApiError::invalid(&found.collect::<Vec<_>>(), "")
    })
}

/// Says what could not be evaluated, and which part of the SQL that is.
fn failed(source: &Arc<Source>, error: &EvalError) -> ApiError {
    ApiError::invalid(&[in_sql(source, error.to_diagnostic())], "")
}

fn in_sql(source: &Arc<Source>, diagnostic: Diagnostic) -> Finding {
    Finding { setting: Some(SettingPath::key("sql")), ..Finding::new(Arc::clone(source), diagnostic) }
}

fn with_filled(mut response: Response, filled: &[Column]) -> Response {
    let names = filled.iter().map(|column| column.name()).collect::<Vec<_>>().join(", ");
    if !names.is_empty()
        && let Ok(names) = HeaderValue::from_str(&names)
    {
        response.headers_mut().insert(FILLED, names);
    }
    response
}

fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
