//! Diagnostics as JSON.

use config::SettingPath;
use diagnostic::{Diagnostic, Severity, Source, Span};
use engine::Finding;
use schemars::JsonSchema;
use serde::Serialize;

use crate::body::place;

/// One diagnostic as the API answers it and as `check --format json` prints it.
///
/// Lines and columns count from 1, columns in characters, the end exclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Diagnostic")]
pub struct DiagnosticBody {
    /// The file; only where the text is not the request's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The stable code, `E204`.
    pub code: &'static str,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// The line of the first character.
    pub line: u32,
    /// The column of the first character.
    pub column: u32,
    /// The line of the character after the last.
    pub end_line: u32,
    /// The column of the character after the last.
    pub end_column: u32,
    /// What is wrong.
    pub message: String,
    /// A way out.
    pub help: Option<String>,
    /// Of what a request's body says wrongly, the setting: `resource_opts.inflight_window`. Line and column count in the
    /// body then; where it is `sql`, in the SQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The most problems of a body that an answer tells: past them it is meant for something else.
const DIAGNOSTICS_MAX: usize = 100;

impl DiagnosticBody {
    /// A diagnostic in the text of the request that is being answered.
    pub fn new(source: &Source, diagnostic: &Diagnostic) -> Self {
        let place = source.locate(diagnostic.span);
        Self {
            file: None,
            code: diagnostic.code.as_str(),
            severity: diagnostic.severity.name(),
            line: place.line,
            column: place.column,
            end_line: place.end_line,
            end_column: place.end_column,
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            path: None,
        }
    }

    /// A diagnostic about a setting of the body of the request that is being answered.
    pub(crate) fn of_body(diagnostic: &Diagnostic, setting: &SettingPath, body: &Source) -> Self {
        let mut diagnostic = diagnostic.clone();
        diagnostic.span = place::find(body.text(), setting).map_or(diagnostic.span, Span::from);
        Self { path: Some(setting.to_string()), ..Self::new(body, &diagnostic) }
    }

    /// The same with the name of the file it is in.
    pub fn with_file(source: &Source, diagnostic: &Diagnostic) -> Self {
        Self { file: Some(source.name().to_owned()), ..Self::new(source, diagnostic) }
    }
}

/// Findings in files as JSON.
pub(crate) fn in_files(findings: &[Finding]) -> Vec<DiagnosticBody> {
    findings.iter().map(|finding| DiagnosticBody::with_file(&finding.source, &finding.diagnostic)).collect()
}

/// Findings in the request that is being answered, whose body is `body`, as JSON. Bounded.
pub(crate) fn in_request(findings: &[Finding], body: &str) -> Vec<DiagnosticBody> {
    let body = Source::new("body", body);
    let one = |finding: &Finding| match &finding.setting {
        Some(setting) if finding.source.text().is_empty() => {
            DiagnosticBody::of_body(&finding.diagnostic, setting, &body)
        }
        setting => {
            let path = setting.as_ref().map(SettingPath::to_string);
            DiagnosticBody { path, ..DiagnosticBody::new(&finding.source, &finding.diagnostic) }
        }
    };
    findings.iter().take(DIAGNOSTICS_MAX).map(one).collect()
}

/// The first error, without which all is well.
pub(crate) fn first_error(diagnostics: &[DiagnosticBody]) -> Option<DiagnosticBody> {
    diagnostics.iter().find(|body| body.severity == Severity::Error.name()).cloned()
}

/// Several findings in one line: the first error, where it is, and how many more there are.
pub(crate) fn headline(findings: &[Finding]) -> String {
    let errors = || findings.iter().filter(|finding| finding.diagnostic.is_error());
    let Some(first) = errors().next().or(findings.first()) else { return "something is wrong".to_owned() };
    let Diagnostic { code, message, span, .. } = &first.diagnostic;
    // A setting of a JSON body has no line; its message names it.
    let place = match first.source.text() {
        "" => String::new(),
        _ => {
            let place = first.source.locate(*span);
            format!(" at line {}, column {}", place.line, place.column)
        }
    };
    let more = match errors().count().saturating_sub(1) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{code}{place}: {message}{more}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use diagnostic::Code;

    use super::*;

    fn finding(code: Code, span: Span, message: &str) -> Finding {
        let source = Arc::new(Source::new("heat.sql", "SELECT\n  fou(1)"));
        Finding::new(source, Diagnostic::new(code, span, message).help("write `four`"))
    }

    #[test]
    fn a_diagnostic_says_where_it_is() {
        let found = finding(Code::UnknownFunction, Span::new(9, 12), "there is no function `fou`");
        let body = serde_json::to_string(&in_files(&[found])).unwrap();
        assert_eq!(
            body,
            r#"[{"file":"heat.sql","code":"E201","severity":"error","line":2,"column":3,"end_line":2,"end_column":6,"message":"there is no function `fou`","help":"write `four`"}]"#
        );
    }

    #[test]
    fn the_headline_is_the_first_error() {
        let all = [
            finding(Code::UnknownColumn, Span::new(0, 1), "a"),
            finding(Code::UnknownFunction, Span::new(9, 12), "b"),
            finding(Code::Arity, Span::new(9, 12), "c"),
        ];
        assert_eq!(headline(&all), "E201 at line 2, column 3: b, and 1 more");
        assert_eq!(headline(&all[..1]), "W501 at line 1, column 1: a");
    }
}
