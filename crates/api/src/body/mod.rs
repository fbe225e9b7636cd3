//! Reading what a request brings: bounded in size, depth and time, and strict.

pub(crate) mod place;

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use config::{Part, SettingPath, Step};
use diagnostic::{Code, Diagnostic, Source, Span};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};

use crate::dto::diagnostic::DiagnosticBody;
use crate::error::ApiError;

/// The most bytes of a body that are looked at.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// The most bytes of a body that are taken off the wire, so that whoever sends too much can still read the refusal.
const BODY_BYTES_DRAINED_MAX: usize = 16 << 20;

/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// The JSON object that is the body of a request, whatever content type it claims.
///
/// UTF-8 is checked; of doubled keys the last counts; numbers keep every digit; nesting is bounded by serde_json (128).
pub(crate) struct Object {
    /// What nobody took yet.
    pub(crate) map: Map<String, Value>,
    /// As it came, to say where in it something is wrong.
    pub(crate) text: String,
}

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let read = tokio::time::timeout(BODY_TIME_MAX, read(request.into_body())).await;
        let bytes = read.unwrap_or_else(|_| {
            Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "REQUEST_TIMEOUT",
                "the body took too long to arrive",
            ))
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            ApiError::bad_request(format!("the body is not UTF-8: {}", error.utf8_error()))
        })?;
        match serde_json::from_str(&text) {
            Ok(Value::Object(map)) => Ok(Self { map, text }),
            Ok(_) => Err(ApiError::bad_request("the body must be a JSON object")),
            Err(error) => Err(ApiError::bad_request(format!("the body is not JSON: {error}"))),
        }
    }
}

async fn read(mut body: Body) -> Result<Vec<u8>, ApiError> {
    let (mut bytes, mut seen) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("the body did not arrive whole"))?;
        let Some(data) = frame.data_ref() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= BODY_BYTES_MAX {
            bytes.extend_from_slice(data);
        } else if seen > BODY_BYTES_DRAINED_MAX {
            break;
        }
    }
    if seen > BODY_BYTES_MAX { Err(ApiError::too_large(BODY_BYTES_MAX)) } else { Ok(bytes) }
}

impl Object {
    /// Takes the string `key`; an error if it is missing or something else.
    pub(crate) fn take_string(&mut self, key: &str) -> Result<String, ApiError> {
        match self.take_optional_string(key)? {
            Some(text) => Ok(text),
            None => Err(self.missing(key)),
        }
    }

    /// Takes the string `key` if it is there; an error if it is something else.
    pub(crate) fn take_optional_string(&mut self, key: &str) -> Result<Option<String>, ApiError> {
        match self.map.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => {
                Err(self.fault(Code::WrongType, key, Part::Value, format!("`{key}` must be a string")))
            }
        }
    }

    /// An error if `key` is there and is not `expected`, as when a body names another object than the path; takes it.
    pub(crate) fn take_expected(&mut self, key: &str, expected: &str) -> Result<(), ApiError> {
        match self.take_optional_string(key)? {
            Some(found) if found != expected => {
                let message = format!("the path says `{expected}` and the body's `{key}` says `{found}`");
                Err(self.fault(Code::Conflict, key, Part::Value, message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// An error if anything is left that nobody took.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.map.keys().next() {
            Some(key) => {
                Err(self.fault(Code::UnknownKey, key, Part::Key, format!("there is no key `{key}`")))
            }
            None => Ok(()),
        }
    }

    /// The error that `key` is missing.
    pub(crate) fn missing(&self, key: &str) -> ApiError {
        self.fault(Code::MissingKey, key, Part::Missing, format!("`{key}` is missing"))
    }

    /// The error that something is wrong with `key`, which the message says; its place comes with it.
    pub(crate) fn fault(&self, code: Code, key: &str, part: Part, message: String) -> ApiError {
        let setting = SettingPath { steps: vec![Step::Key(key.to_owned())], part };
        let diagnostic = Diagnostic::new(code, Span::at(0), &*message);
        let body = DiagnosticBody::of_body(&diagnostic, &setting, &Source::new("body", &*self.text));
        ApiError::bad_request(message).with(body)
    }
}

/// What the path has in place of `{id}`, decoded.
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(ApiError::bad_request("the path is not UTF-8")),
        }
    }
}

/// What the path has in place of `{id}` and of a second part, decoded.
pub(crate) struct IdAndWord(pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for IdAndWord {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(Path((id, word))) => Ok(Self(id, word)),
            Err(_) => Err(ApiError::bad_request("the path is not UTF-8")),
        }
    }
}

/// What the path has in place of `{node}`, `{id}` and of a third part, decoded.
pub(crate) struct NodeIdAndWord(pub(crate) String, pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for NodeIdAndWord {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<(String, String, String)>::from_request_parts(parts, state).await {
            Ok(Path((node, id, word))) => Ok(Self(node, id, word)),
            Err(_) => Err(ApiError::bad_request("the path is not UTF-8")),
        }
    }
}

/// The parameters after `?`, in their order.
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<Vec<(String, String)>>::from_request_parts(parts, state).await {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(_) => Err(ApiError::bad_request("the query is not readable")),
        }
    }
}

impl Params {
    /// The last value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that may be repeated.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }
}
