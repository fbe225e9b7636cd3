//! `POST /api/v5/reload`.

use axum::extract::State;
use axum::http::Method;
use axum::{Extension, Json};

use super::{blocking, to_the_end};
use crate::Context;
use crate::auth::Caller;
use crate::dto::status::ReloadInfo;
use crate::error::{ApiError, Subject};
use crate::openapi::Api;

pub(super) fn routes(api: &mut Api) {
    api.route(&Method::POST, "/api/v5/reload", reload, move |operation| {
        operation
            .tag("Server")
            .about("Read every file again, now")
            .answers::<ReloadInfo>(200, "What was found is live.")
            .refuses(&[500, 503]);
    });
}

/// Reads every file again, of rules and of who may come in, and answers when what was found is live, with every problem of
/// every file.
async fn reload(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ReloadInfo>, ApiError> {
    tracing::info!(%caller, "reload over HTTP");
    let (engine, access) = (context.engine.clone(), context.access.clone());
    // As at SIGHUP: who may come in first, then the rules.
    let read = to_the_end(async move {
        let access = blocking("reading who may come in", move || access()).await?;
        let outcome = engine.reload().await;
        Ok((outcome.map_err(|error| ApiError::change(&error, &Subject::Everything))?, access))
    });
    let (outcome, access) = read.await??;
    Ok(Json(ReloadInfo::new(&outcome, &access)))
}
