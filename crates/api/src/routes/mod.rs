//! Paths and methods.

mod buffers;
mod dead_letters;
mod front;
mod health;
mod node;
mod operate;
mod reload;
mod resources;
mod rule_engine;
mod rules;
mod test;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use engine::Category;

use crate::error::ApiError;
use crate::openapi::Api;
use crate::{Context, auth};

/// Every path of the API.
pub fn router(context: Context) -> Router {
    let mut api = Api::new(context.engine.connector_kinds());
    front::routes(&mut api);
    health::routes(&mut api);
    node::routes(&mut api);
    reload::routes(&mut api);
    test::routes(&mut api);
    rules::routes(&mut api);
    rule_engine::routes(&mut api);
    buffers::routes(&mut api);
    dead_letters::routes(&mut api);
    for category in Category::ALL {
        resources::routes(&mut api, category);
        operate::routes(&mut api, category);
    }
    api.finish(!context.api_keys.is_empty())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(context.clone(), auth::guard))
        .layer(middleware::from_fn(log))
        .with_state(context)
}

async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("there is nothing at `{}`", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("`{}` does not take `{method}`", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
}

/// One line per request, without headers and query, where secrets could be. A panic is answered like any other failure.
async fn log(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = std::time::Instant::now();
    let answered = supervise::caught_in(format!("{method} {path}"), next.run(request)).await;
    let response = answered.unwrap_or_else(|_| ApiError::broke_off().into_response());
    tracing::debug!(%method, path, status = response.status().as_u16(), elapsed = ?begun.elapsed(), "answered");
    response
}

/// Runs a change to its end even if the client goes away in the middle of it.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    let change = tokio::spawn(supervise::caught_in("a change over HTTP", change));
    // Either a panic was caught, or the process ends and takes its tasks away.
    change.await.ok().and_then(Result::ok).ok_or_else(ApiError::broke_off)
}

/// Does what waits for the disk, or takes long, on a thread that nobody else waits for.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(move || supervise::caught(what, work)).await;
    done.ok().and_then(Result::ok).ok_or_else(ApiError::broke_off)
}
