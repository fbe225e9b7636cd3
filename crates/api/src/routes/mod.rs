//! Paths and methods.

mod buffers;
mod health;
mod reload;
mod resources;
mod rules;
mod test;

use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use engine::Category;

use crate::error::ApiError;
use crate::{Context, auth, dto};

/// Every path of the API.
pub fn router(context: Context) -> Router {
    let api = Router::new()
        .route("/status", get(health::status))
        .route("/rule_test", post(test::rule_test))
        .route("/rule_events", get(rule_events))
        .route("/reload", post(reload::reload))
        .route("/buffers", get(buffers::list))
        .route("/buffers/{id}", delete(buffers::discard))
        .route("/rules", get(rules::list).post(rules::create))
        .route("/rules/{id}", get(rules::read).put(rules::replace).delete(rules::delete))
        .route("/rules/{id}/metrics", get(rules::metrics))
        .route("/rules/{id}/metrics/reset", put(rules::reset_metrics))
        .route("/rules/{id}/test", post(test::test_rule));
    let api = Category::ALL.into_iter().fold(api, |api, category| api.merge(resources::routes(category)));
    Router::new()
        .route("/", get(front_page))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .nest("/api/v5", api)
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(context.clone(), auth::guard))
        .layer(middleware::from_fn(log))
        .with_state(context)
}

/// `GET /`: what this is, for whoever follows the address in the log.
async fn front_page() -> String {
    format!(
        "sluicegate {}: a rule engine for MQTT\n\n\
         API      /api/v5/rules, connectors, actions, sources, rule_test, rule_events, reload, status\n\
         metrics  /metrics\n\
         health   /livez, /readyz?verbose\n",
        dto::status::VERSION
    )
}

async fn rule_events(
    axum::extract::State(context): axum::extract::State<Context>,
) -> Json<Vec<dto::event::EventInfo>> {
    Json(dto::event::events(context.engine.node()))
}

async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("there is nothing at `{}`", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("`{}` does not take `{method}`", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
}

/// One line per request, without headers and query, where secrets could be.
async fn log(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = std::time::Instant::now();
    let response = next.run(request).await;
    tracing::debug!(%method, path, status = response.status().as_u16(), elapsed = ?begun.elapsed(), "answered");
    response
}

/// Runs a change to its end even if the client goes away in the middle of it.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(change).await.map_err(|error| {
        tracing::error!(%error, "a change over HTTP broke off");
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL_ERROR",
            "the change broke off; the log has more",
        )
    })
}
