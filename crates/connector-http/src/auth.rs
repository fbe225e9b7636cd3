//! Bearer tokens by OAuth 2.0 client credentials (RFC 6749 §4.4).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::send::{Client, in_words};
use crate::settings::{OAuth2, basic};

/// The token of a connector, shared by its workers.
///
/// One request for a token is under way at a time, in a task of its own, so that no asker who loses patience takes it back from
/// the others. Whoever asks meanwhile waits for its outcome; a failure is also told to those who ask soon after.
pub(crate) struct Tokens {
    source: Arc<OAuth2>,
    state: watch::Sender<State>,
    /// The request under way; it ends with the tokens. A lock since every worker may begin it, held to do so.
    asking: Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
enum State {
    /// Nobody has asked, or the token is no good any more.
    #[default]
    Unknown,
    /// A request is under way.
    Asked,
    Has(Token),
    /// There is none, for this reason, and nobody asks again before this.
    Failed(String, Instant),
}

#[derive(Debug, Clone)]
struct Token {
    header: HeaderValue,
    /// Fetched anew from here on.
    stale_at: Instant,
}

/// A token without a word on it is taken for an hour.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(3600);
/// One that is said to be good for longer is renewed all the same.
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// What is renewed before it expires, so that it does not do so on the way.
const MARGIN: Duration = Duration::from_secs(30);
/// The largest answer that is read (bytes).
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long the answer may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a failure stands, so that requests that wait for a token do not all ask for it.
const FAILURE_STANDS: Duration = Duration::from_secs(2);

impl Tokens {
    pub(crate) fn new(source: OAuth2) -> Arc<Self> {
        Arc::new(Self { source: Arc::new(source), state: watch::Sender::default(), asking: Mutex::default() })
    }

    /// A token that is good now, as an `Authorization` header.
    ///
    /// # Errors
    /// In words, without any secret: why there is none.
    pub(crate) async fn header(&self, client: &Client) -> Result<HeaderValue, String> {
        let mut outcome = self.state.subscribe();
        loop {
            self.ask_if_needed(client);
            // The sender lives as long as this: there is no other way to fail.
            let known = outcome.wait_for(|state| !matches!(state, State::Asked)).await;
            match known.as_deref() {
                Ok(State::Has(token)) => return Ok(token.header.clone()),
                Ok(State::Failed(reason, _)) => return Err(reason.clone()),
                Ok(State::Unknown | State::Asked) => {}
                Err(_) => return Err("the connector has ended".to_owned()),
            }
        }
    }

    /// The server did not take this token: the next request fetches another.
    pub(crate) fn forget(&self, refused: &HeaderValue) {
        self.state.send_if_modified(|state| {
            let is_it = matches!(state, State::Has(token) if token.header == *refused);
            if is_it {
                *state = State::Unknown;
            }
            is_it
        });
    }

    fn ask_if_needed(&self, client: &Client) {
        let now = Instant::now();
        let is_needed = self.state.send_if_modified(|state| {
            let is_needed = match state {
                State::Unknown => true,
                State::Asked => false,
                State::Has(Token { stale_at: until, .. }) | State::Failed(_, until) => *until <= now,
            };
            if is_needed {
                *state = State::Asked;
            }
            is_needed
        });
        if is_needed {
            let mut asking = self.asking.lock();
            // Those before have told their outcome.
            while asking.try_join_next().is_some() {}
            asking.spawn(ask(Arc::clone(&self.source), client.clone(), Told(self.state.clone())));
        }
    }
}

/// Whom the outcome of a request is told. If there is none, as after a panic, the next one who wants a token asks anew.
struct Told(watch::Sender<State>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.send_if_modified(|state| {
            let is_open = matches!(state, State::Asked);
            if is_open {
                *state = State::Unknown;
            }
            is_open
        });
    }
}

async fn ask(source: Arc<OAuth2>, client: Client, told: Told) {
    let fetched = tokio::time::timeout(TIMEOUT, source.fetch(&client)).await;
    let fetched = fetched.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}")));
    told.0.send_replace(match fetched {
        Ok(token) => State::Has(token),
        Err(reason) => {
            let reason = format!("no token from {}: {reason}", source.token_url);
            State::Failed(reason, Instant::now() + FAILURE_STANDS)
        }
    });
}

impl OAuth2 {
    async fn fetch(&self, client: &Client) -> Result<Token, String> {
        let mut form = "grant_type=client_credentials".to_owned();
        for (name, value) in [("scope", &self.scope), ("audience", &self.audience)] {
            if let Some(value) = value {
                form.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        // RFC 6749 §2.3.1: both are form-encoded before they become user and password.
        let login = basic(&encoded(&self.client_id), &encoded(self.client_secret.reveal()));
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.token_url.join("").map_err(|error| error.to_string())?)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, login.ok_or("the login cannot be written as a header")?)
            .body(Full::new(Bytes::from(form)))
            .map_err(|error| error.to_string())?;
        let asked = Instant::now();
        let answer = client.request(request).await.map_err(|error| in_words(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() {
            // RFC 6749 §5.2: `error` is a word from a list, and nothing secret.
            let error = answer["error"].as_str().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(format!("it answered {status}{error}"));
        }
        Token::read(&answer, asked).ok_or_else(|| "its answer holds no bearer token".to_owned())
    }
}

impl Token {
    fn read(answer: &serde_json::Value, asked: Instant) -> Option<Self> {
        if !answer["token_type"].as_str().unwrap_or("bearer").eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut header =
            HeaderValue::try_from(format!("Bearer {}", answer["access_token"].as_str()?)).ok()?;
        header.set_sensitive(true);
        let lifetime = answer["expires_in"].as_u64().map_or(LIFETIME_DEFAULT, Duration::from_secs);
        let lifetime = lifetime.min(LIFETIME_MAX);
        // One that lives shorter than the margin is used for half its life.
        let usable =
            lifetime.checked_sub(MARGIN).filter(|usable| *usable >= lifetime / 2).unwrap_or(lifetime / 2);
        Some(Self { header, stale_at: asked.checked_add(usable)? })
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_renewed_before_it_expires() {
        let now = Instant::now();
        let usable = |answer: serde_json::Value| Some(Token::read(&answer, now)?.stale_at - now);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(usable(json!({ "access_token": "x", "expires_in": 600 })), seconds(570));
        assert_eq!(usable(json!({ "access_token": "x", "expires_in": 20 })), seconds(10));
        assert_eq!(usable(json!({ "access_token": "x", "token_type": "Bearer" })), seconds(3570));
        assert_eq!(
            usable(json!({ "access_token": "x", "expires_in": u64::MAX })),
            seconds(30 * 24 * 3600 - 30)
        );
        assert_eq!(usable(json!({ "access_token": "x", "token_type": "mac" })), None);
        assert_eq!(usable(json!({ "access_token": "x\ny" })), None);
        assert_eq!(usable(json!({})), None);
    }
}
