//! One request and what became of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Response, StatusCode};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;

use crate::auth::Tokens;
use crate::request::{Content, Head};
use crate::settings::{BatchFormat, Options, SinkOptions};
use crate::transport::{ConnectError, Transport};

/// The client that all workers of a connector share, with its kept-alive connections.
pub(crate) type Client = legacy::Client<Transport, Full<Bytes>>;

/// What sends.
pub(crate) struct Sender {
    options: Arc<Options>,
    client: Client,
    tokens: Option<Arc<Tokens>>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server has it.
    Done,
    /// The server will never take it.
    Refused(String),
    /// The server asks to try again, perhaps not before so long.
    Later(String, Option<Duration>),
    /// It did not get there, or the answer did not come back.
    Lost(String),
}

/// How many idle connections are kept for each server, and for how long.
const IDLE_MAX: usize = 64;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// What is read of an answer so that its connection can be used again (bytes).
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// What is shown of an answer (characters).
const SHOWN_CHARS_MAX: usize = 200;
/// The longest wait that a server can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

impl Sender {
    pub(crate) fn new(options: &Arc<Options>) -> Arc<Self> {
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            // Our own retries know the order; a silent one would not.
            .retry_canceled_requests(false)
            .build(Transport { options: Arc::clone(options) });
        let tokens = options.oauth2.clone().map(Tokens::new);
        Arc::new(Self { options: Arc::clone(options), client, tokens })
    }

    /// Whether the server can be reached, and a token is to be had where one is needed.
    pub(crate) async fn try_out(&self) -> Result<(), ConnectError> {
        let failed = |stage, reason| ConnectError { stage, reason };
        let uri = self.options.base.join("").map_err(|error| failed("settings", error.to_string()))?;
        Transport { options: Arc::clone(&self.options) }.connect(&uri).await?;
        if let Some(tokens) = &self.tokens {
            tokens.header(&self.client).await.map_err(|reason| failed("OAuth 2.0", reason))?;
        }
        Ok(())
    }

    /// Sends one request that stands for all of these bodies.
    pub(crate) async fn send(&self, content: &Content, sink: &SinkOptions) -> Outcome {
        let outcome = tokio::time::timeout(sink.request_timeout, self.exchange(content, sink)).await;
        outcome.unwrap_or_else(|_| Outcome::Lost(format!("no answer within {:?}", sink.request_timeout)))
    }

    async fn exchange(&self, content: &Content, sink: &SinkOptions) -> Outcome {
        let mut login = None;
        if let Some(tokens) = &self.tokens {
            match tokens.header(&self.client).await {
                Ok(header) => login = Some(header),
                Err(reason) => return Outcome::Lost(reason),
            }
        }
        let request = match self.assemble(content, sink.batch_format, login.as_ref()) {
            Ok(request) => request,
            Err(reason) => return Outcome::Refused(reason),
        };
        let answer = match self.client.request(request).await {
            Ok(answer) => answer,
            Err(error) => return Outcome::Lost(in_words(&error)),
        };
        if let (StatusCode::UNAUTHORIZED, Some(tokens), Some(login)) = (answer.status(), &self.tokens, &login)
        {
            tokens.forget(login);
            return Outcome::Later("the server did not take the token (401)".to_owned(), None);
        }
        outcome_of(answer, &sink.retry_statuses).await
    }

    fn assemble(
        &self,
        content: &Content,
        format: BatchFormat,
        login: Option<&HeaderValue>,
    ) -> Result<hyper::Request<Full<Bytes>>, String> {
        let head = content.head.as_ref().ok_or("what was stored is no request")?;
        let target = head.target();
        let uri = self.options.base.join(target).map_err(|error| format!("`{target}`: {error}"))?;
        let mut request = hyper::Request::new(Full::new(body(&content.bodies, format)));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers(head, login)?;
        Ok(request)
    }

    fn headers(&self, own: &Head, login: Option<&HeaderValue>) -> Result<HeaderMap, String> {
        let mut headers = self.options.headers.clone();
        for (name, value) in own.headers() {
            let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no header"))?;
            let value =
                HeaderValue::from_bytes(value).map_err(|_| format!("`{name}` holds control characters"))?;
            headers.insert(name, value);
        }
        if let Some(login) = login {
            headers.insert(AUTHORIZATION, login.clone());
        }
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("sluicegate/", env!("CARGO_PKG_VERSION"))));
        Ok(headers)
    }
}

/// The body of one request as it is, those of several joined.
fn body(bodies: &[Bytes], format: BatchFormat) -> Bytes {
    if let [body] = bodies {
        return body.clone();
    }
    let (open, between, close): (&[u8], &[u8], &[u8]) = match format {
        BatchFormat::JsonArray => (b"[", b",", b"]"),
        BatchFormat::Lines => (b"", b"\n", b"\n"),
    };
    let mut joined = open.to_vec();
    for (number, body) in bodies.iter().enumerate() {
        if number > 0 {
            joined.extend_from_slice(between);
        }
        joined.extend_from_slice(body);
    }
    joined.extend_from_slice(close);
    Bytes::from(joined)
}

async fn outcome_of(answer: Response<hyper::body::Incoming>, retry_statuses: &[StatusCode]) -> Outcome {
    let status = answer.status();
    let after = retry_after(answer.headers());
    // Read to its end, or the connection could not be used again. If it breaks here, the status stands all the same.
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    if status.is_success() {
        return Outcome::Done;
    }
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let shown: String =
        String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect();
    let words = if shown.is_empty() { String::new() } else { format!(": {shown}") };
    let reason = format!("the server answered {status}{words}");
    if retry_statuses.contains(&status) { Outcome::Later(reason, after) } else { Outcome::Refused(reason) }
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3); the form with a date is left to the back-off.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// What went wrong on the way, without the layers that say nothing.
pub(crate) fn in_words(error: &legacy::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
        if let Some(error) = cause.downcast_ref::<ConnectError>() {
            return error.to_string();
        }
        if let Some(error) = cause.downcast_ref::<std::io::Error>() {
            return tls::in_words(error);
        }
    }
    if error.is_connect() {
        format!("connecting: {cause}")
    } else {
        format!("the exchange broke off: {cause}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_joined_as_asked() {
        let several = ["{\"a\":1}", "{\"a\":2}"].map(|body| Bytes::from_static(body.as_bytes()));
        assert_eq!(&body(&several[..1], BatchFormat::JsonArray)[..], b"{\"a\":1}");
        assert_eq!(&body(&several, BatchFormat::JsonArray)[..], b"[{\"a\":1},{\"a\":2}]");
        assert_eq!(&body(&several, BatchFormat::Lines)[..], b"{\"a\":1}\n{\"a\":2}\n");
    }

    #[test]
    fn a_server_may_ask_for_time_but_not_for_ever() {
        let asked = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers)
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(asked("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
