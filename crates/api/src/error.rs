//! From errors to statuses: the one table.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use config::SettingPath;
use config::text_file::is_name;
use diagnostic::{Code, Diagnostic, Source, Span};
use engine::{Category, Finding, ProbeError, ResourceId, StartError, WriteError};
use schemars::JsonSchema;
use serde::Serialize;

use crate::body::place;
use crate::dto::diagnostic::{DiagnosticBody, headline, in_files, in_request};

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

/// `{code, message}`, and where a text is at fault, where in it; where a message is none for a rule, why.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct ErrorBody {
    /// A word for programs.
    code: &'static str,
    /// A sentence for people.
    message: String,
    /// What is wrong with SQL or settings, each with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<DiagnosticBody>,
    /// Why a message is none for the SQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What a request is about, for its messages.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    /// The rule of this id, or one that is to get its id from the server.
    Rule(Option<String>),
    /// A connector, source or action.
    Resource(Category, ResourceId),
    /// The whole set.
    Everything,
}

impl ApiError {
    /// Any status with any code of the reference.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            body: ErrorBody { code, message: message.into(), diagnostics: Vec::new(), reason: None },
        }
    }

    /// The request makes no sense, and this is why.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// The SQL or the settings of the request are at fault, whose text is `body`.
    pub(crate) fn invalid(findings: &[Finding], body: &str) -> Self {
        let error = ErrorBody {
            code: "BAD_REQUEST",
            message: headline(findings),
            diagnostics: in_request(findings, body),
            reason: None,
        };
        Self { status: StatusCode::BAD_REQUEST, body: error }
    }

    /// Nothing changes while these files have errors.
    fn held_back(findings: &[Finding]) -> Self {
        let message = format!(
            "`[rules] strict` is set, so nothing changes until this is mended: {}",
            headline(findings)
        );
        let mut error = Self::new(StatusCode::CONFLICT, "CONFLICT", message);
        error.body.diagnostics = in_files(findings);
        error
    }

    /// With one thing that is wrong, and its place.
    #[must_use]
    pub(crate) fn with(mut self, diagnostic: DiagnosticBody) -> Self {
        self.body.diagnostics.push(diagnostic);
        self
    }

    /// With the place of the key that is at fault, if the body has it: it may stand in the path instead.
    fn at(self, code: Code, key: &str, body: &str) -> Self {
        let setting = SettingPath::key(key);
        if place::find(body, &setting).is_none() {
            return self;
        }
        let diagnostic = Diagnostic::new(code, Span::at(0), &*self.body.message);
        self.with(DiagnosticBody::of_body(&diagnostic, &setting, &Source::new("body", body)))
    }

    fn unknown_kind(kind: &str, body: &str) -> Self {
        Self::bad_request(format!("there is no type `{kind}`")).at(Code::UnknownType, "type", body)
    }

    fn bad_name(why: &str) -> Self {
        Self::bad_request(format!(
            "{why}; a name begins with a letter or digit and goes on with letters, digits, `_`, `.` and `-`, at most 255 in all"
        ))
    }

    /// There is no such thing; where there can be none of that name, the request is wrong.
    pub(crate) fn not_found(subject: &Subject) -> Self {
        let names = match subject {
            Subject::Rule(Some(id)) => vec![&**id],
            Subject::Resource(_, id) => vec![&*id.kind, &*id.name],
            Subject::Rule(None) | Subject::Everything => Vec::new(),
        };
        if let Some(bad) = names.into_iter().find(|name| !is_name(name)) {
            let shown: String = bad.chars().take(40).collect();
            return Self::bad_name(&format!("`{shown}` is no name"));
        }
        let message = match subject {
            // The reference's words, which scripts compare.
            Subject::Rule(_) => "Rule Id Not Found".to_owned(),
            Subject::Resource(..) | Subject::Everything => format!("there is no {subject}"),
        };
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// The same in the reference's word for a test of a rule that there is not.
    pub(crate) fn for_a_test(mut self) -> Self {
        if self.status == StatusCode::NOT_FOUND {
            self.body.code = "RULE_NOT_FOUND";
        }
        self
    }

    /// The SQL is right and the message is none for it, for this reason.
    pub(crate) fn not_match(reason: String) -> Self {
        let mut error = Self::new(StatusCode::PRECONDITION_FAILED, "NOT_MATCH", "SQL Not Match");
        error.body.reason = Some(reason);
        error
    }

    /// No valid key came with the request.
    pub(crate) fn unauthorized() -> Self {
        let message = "this needs an API key and its secret by HTTP Basic";
        Self::new(StatusCode::UNAUTHORIZED, "BAD_API_KEY_OR_SECRET", message)
    }

    /// The body is longer than is read.
    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let message = format!("the body has more than {bytes_max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
    }

    /// A change was not made that came without a body.
    pub(crate) fn change(error: &WriteError, subject: &Subject) -> Self {
        Self::write(error, subject, "")
    }

    /// A change was not made that came with this body.
    pub(crate) fn write(error: &WriteError, subject: &Subject, body: &str) -> Self {
        match error {
            WriteError::AlreadyExists => match subject {
                // The reference's words for rules, which scripts compare.
                Subject::Rule(_) => Self::bad_request("rule id already exists"),
                Subject::Resource(..) | Subject::Everything => {
                    Self::new(StatusCode::BAD_REQUEST, "ALREADY_EXISTS", format!("{subject} already exists"))
                }
            },
            WriteError::NotFound => Self::not_found(subject),
            WriteError::ManagedByFile(file) => Self::new(
                StatusCode::CONFLICT,
                "CONFLICT",
                format!(
                    "{subject} is declared in the file `{}` and can only be changed there",
                    file.display()
                ),
            ),
            WriteError::BadName(why) => {
                let key = if matches!(subject, Subject::Rule(_)) { "id" } else { "name" };
                Self::bad_name(why).at(Code::BadName, key, body)
            }
            WriteError::UnknownKind(kind) => Self::unknown_kind(kind, body),
            WriteError::InUse(users) => {
                Self::bad_request(format!("{subject} is still used by {}", users.join(", ")))
            }
            WriteError::Buffered(count) => Self::bad_request(format!(
                "{count} messages wait in the buffer of {subject} and would be discarded with it; \
                 say so with `?discard_buffered=true`, or wait until they are delivered"
            )),
            WriteError::Invalid(findings) => Self::invalid(findings, body),
            WriteError::Strict(findings) => Self::held_back(findings),
            WriteError::Storage(cause) => {
                tracing::error!(%subject, cause, "a change could not be stored");
                let message = "the change could not be stored in the data folder; the log has the reason";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message)
            }
            WriteError::BrokeOff => Self::broke_off(),
            WriteError::Closed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", "the server is stopping")
            }
        }
    }

    /// A mistake of ours, which is told where it was caught.
    pub(crate) fn broke_off() -> Self {
        let message = "this broke off because of a mistake in the server; what was in force stays so, and the log has more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message)
    }

    /// Something was not started.
    pub(crate) fn start(error: &StartError, subject: &Subject) -> Self {
        match error {
            StartError::NotFound => Self::not_found(subject),
            StartError::Disabled(id) => {
                Self::bad_request(format!("`{id}` is disabled, so there is nothing to start"))
            }
        }
    }

    /// A probe did not reach the far side.
    pub(crate) fn probe(error: &ProbeError, body: &str) -> Self {
        match error {
            ProbeError::UnknownKind(kind) => Self::unknown_kind(kind, body),
            ProbeError::Invalid(findings) => Self::invalid(findings, body),
            ProbeError::Failed(why) => Self::new(StatusCode::BAD_REQUEST, "TEST_FAILED", why.as_str()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"sluicegate\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::Rule(Some(id)) => write!(out, "rule `{id}`"),
            Subject::Rule(None) => out.write_str("rule"),
            Subject::Resource(category, id) => write!(out, "{} `{id}`", category.singular()),
            Subject::Everything => out.write_str("set of rules"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_a_change_has_its_status() {
        let uplink = Subject::Resource(Category::Action, ResourceId::new("mqtt", "uplink"));
        for (error, status, code) in [
            (WriteError::AlreadyExists, 400, "ALREADY_EXISTS"),
            (WriteError::NotFound, 404, "NOT_FOUND"),
            (WriteError::ManagedByFile("rules/up.toml".into()), 409, "CONFLICT"),
            (WriteError::BadName("`a b` is no name".into()), 400, "BAD_REQUEST"),
            (WriteError::UnknownKind("mtqq".into()), 400, "BAD_REQUEST"),
            (WriteError::InUse(vec!["rule `heat`".into()]), 400, "BAD_REQUEST"),
            (WriteError::Buffered(3), 400, "BAD_REQUEST"),
            (WriteError::Invalid(Vec::new()), 400, "BAD_REQUEST"),
            (WriteError::Storage("/data: no space left".into()), 500, "INTERNAL_ERROR"),
            (WriteError::BrokeOff, 500, "INTERNAL_ERROR"),
            (WriteError::Closed, 503, "SERVICE_UNAVAILABLE"),
        ] {
            let answer = ApiError::change(&error, &uplink);
            assert_eq!((answer.status.as_u16(), answer.body.code), (status, code), "{error:?}");
            // The client is not told what the disk looks like; the log is.
            assert!(!answer.body.message.contains("no space left"));
        }
    }

    #[test]
    fn a_failed_probe_says_what_the_far_side_said() {
        let answer = ApiError::probe(&ProbeError::Failed("TCP: connection refused".into()), "");
        assert_eq!((answer.status.as_u16(), answer.body.code), (400, "TEST_FAILED"));
        assert_eq!(answer.body.message, "TCP: connection refused");
    }
}
