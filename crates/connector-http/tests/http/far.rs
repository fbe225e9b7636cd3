//! The far side: a server that writes down what comes and answers as it was told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What to answer to the next requests; `200` once there is nothing left.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Status(u16),
    /// A status with `Retry-After` (seconds).
    After(u16, u64),
    /// Nothing for so long.
    Silence(Duration),
    Body(u16, String),
    /// `200` with this, after so long.
    Slowly(Duration, String),
}

#[derive(Default)]
pub(crate) struct Script {
    seen: Mutex<Vec<Seen>>,
    answers: Mutex<VecDeque<Say>>,
    /// Answers of requests whose body holds the text.
    poison: Mutex<Option<(String, u16)>>,
}

/// The server; it ends when it is dropped.
pub(crate) struct Far {
    pub(crate) address: SocketAddr,
    script: Arc<Script>,
    task: JoinHandle<()>,
}

impl Far {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn at(address: SocketAddr) -> Self {
        let script = Arc::new(Script::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, script, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn say(&self, answers: impl IntoIterator<Item = Say>) {
        self.script.answers.lock().unwrap().extend(answers);
    }

    /// Refuses every request whose body holds `text`.
    pub(crate) fn refuse(&self, text: &str, status: u16) {
        *self.script.poison.lock().unwrap() = Some((text.to_owned(), status));
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().unwrap().clone()
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.body).collect()
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(script): State<Arc<Script>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let poisoned = script.poison.lock().unwrap().clone().filter(|(text, _)| body.contains(text));
    script.seen.lock().unwrap().push(Seen { method, target: uri.to_string(), headers, body });
    if let Some((_, status)) = poisoned {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let say = script.answers.lock().unwrap().pop_front();
    match say {
        None => "thanks".into_response(),
        Some(Say::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Say::Body(status, body)) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Some(Say::After(status, seconds)) => {
            (StatusCode::from_u16(status).unwrap(), [("retry-after", seconds.to_string())]).into_response()
        }
        Some(Say::Slowly(pause, body)) => {
            tokio::time::sleep(pause).await;
            body.into_response()
        }
        Some(Say::Silence(pause)) => {
            tokio::time::sleep(pause).await;
            "late".into_response()
        }
    }
}
