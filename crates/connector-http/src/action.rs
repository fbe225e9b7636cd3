//! Rows to requests.

use std::borrow::Cow;

use bytes::Bytes;
use config::{Settings, Text};
use connector::publish::compile as compile_template;
use connector::{Render, RenderError, Row, options};
use diagnostic::{Code, Diagnostic};
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use template::{Missing, Template};
use value::Arena;

use crate::request::{self, Content, HEADER_BYTES_MAX};
use crate::settings::retry_statuses;

/// The compiled templates of one action.
#[derive(Debug)]
struct Call {
    method: Method,
    path: Template,
    headers: Vec<(HeaderName, Template)>,
    /// Empty: the whole row, if the method has a body.
    body: Template,
}

/// Compiles an action from its checked section. `None` if a diagnostic is an error.
pub(crate) fn compile(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Option<Box<dyn Render>> {
    let before = diagnostics.len();
    options::check_resource_opts(settings.table("resource_opts"), diagnostics);
    let parameters = settings.table("parameters");
    if parameters.duration("request_timeout").is_zero() {
        let message = "`request_timeout` must be longer than nothing";
        diagnostics.push(Diagnostic::new(Code::OutOfRange, parameters.span("request_timeout"), message));
    }
    retry_statuses(parameters, diagnostics);
    let call = Call {
        method: method(parameters.one_of("method")),
        path: compile_template(parameters.template("path").unwrap_or_default(), diagnostics),
        headers: headers(parameters, diagnostics),
        body: compile_template(parameters.template("body").unwrap_or_default(), diagnostics),
    };
    let good = diagnostics[before..].iter().all(|diagnostic| !diagnostic.is_error());
    good.then(|| Box::new(call) as Box<dyn Render>)
}

fn method(name: &str) -> Method {
    match name {
        "put" => Method::PUT,
        "patch" => Method::PATCH,
        "get" => Method::GET,
        "delete" => Method::DELETE,
        _ => Method::POST,
    }
}

/// The headers of a table `headers`, with the placeholders of their values.
fn headers(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Vec<(HeaderName, Template)> {
    let mut headers = Vec::new();
    for entry in settings.template_map("headers") {
        let Some(name) = header_name(&entry.key) else {
            let message = format!("`{}` can be no header of a request", entry.key);
            let help = "the client itself takes care of `host`, `content-length` and its like";
            diagnostics.push(Diagnostic::new(Code::InvalidValue, entry.key_span, message).help(help));
            continue;
        };
        let text: Text<'_> = entry.text();
        let template = compile_template(text, diagnostics);
        if let Some(literal) = template.as_literal()
            && HeaderValue::from_bytes(literal.as_bytes()).is_err()
        {
            let message = format!("the value of `{name}` holds characters that no header may have");
            diagnostics.push(Diagnostic::new(Code::InvalidValue, text.span, message));
        }
        if !is_moot(&name) {
            headers.push((name, template));
        }
    }
    headers
}

/// A name that a request may set itself.
pub(crate) fn header_name(text: &str) -> Option<HeaderName> {
    const OF_THE_CLIENT: [&str; 6] =
        ["host", "content-length", "transfer-encoding", "upgrade", "te", "trailer"];
    text.parse().ok().filter(|name: &HeaderName| !OF_THE_CLIENT.contains(&name.as_str()))
}

/// Whether a header says what holds anyway: files of the reference have these, since it sets them by default.
pub(crate) fn is_moot(name: &HeaderName) -> bool {
    ["connection", "keep-alive"].contains(&name.as_str())
}

/// What cannot stand in path and query (RFC 3986 §3.3); `%` stays, for who encodes by himself.
const NOT_IN_TARGET: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The longest path and query (bytes): no server takes more.
const TARGET_BYTES_MAX: usize = 65_535;
/// The largest body (bytes).
const BODY_BYTES_MAX: usize = 256 << 20;

impl Call {
    fn render_target(&self, row: &Row<'_>, arena: &Arena, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let start = out.len();
        self.path.render(row.scope, Missing::Undefined, arena, out);
        let encoded = Cow::from(percent_encode(&out[start..], NOT_IN_TARGET));
        if *encoded.as_bytes() != out[start..] {
            let encoded = encoded.into_owned();
            out.truncate(start);
            out.extend_from_slice(encoded.as_bytes());
        }
        let bytes = out.len() - start;
        if bytes > TARGET_BYTES_MAX { Err(RenderError::TooLarge { bytes }) } else { Ok(()) }
    }

    fn render_header(
        name: &HeaderName,
        value: &Template,
        row: &Row<'_>,
        arena: &Arena,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        let start = request::begin_header(out, name.as_str());
        value.render(row.scope, Missing::Undefined, arena, out);
        let bytes = out.len() - start;
        if bytes > HEADER_BYTES_MAX {
            return Err(RenderError::TooLarge { bytes });
        }
        if HeaderValue::from_bytes(&out[start..]).is_err() {
            return Err(RenderError::Header { name: name.to_string() });
        }
        request::end_header(out, start);
        Ok(())
    }

    fn has_body(&self) -> bool {
        !self.body.is_empty() || !matches!(self.method, Method::GET | Method::DELETE)
    }
}

impl Render for Call {
    fn render(&self, row: &Row<'_>, arena: &Arena, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let start = out.len();
        request::begin(out, &self.method);
        self.render_target(row, arena, out)?;
        request::end_target(out, start, self.headers.len());
        for (name, value) in &self.headers {
            Self::render_header(name, value, row, arena, out)?;
        }
        let head = out.len();
        if self.body.is_empty() && self.has_body() {
            row.scope.write_row(arena, out);
        } else {
            self.body.render(row.scope, Missing::Undefined, arena, out);
        }
        let bytes = out.len() - head;
        if bytes > BODY_BYTES_MAX { Err(RenderError::TooLarge { bytes }) } else { Ok(()) }
    }

    fn describe(&self, request: &[u8]) -> serde_json::Value {
        let mut content = Content::default();
        content.add(&Bytes::copy_from_slice(request));
        let Content { head: Some(head), bodies } = content else { return serde_json::Value::Null };
        let headers: serde_json::Map<String, serde_json::Value> = head
            .headers()
            .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into()))
            .collect();
        serde_json::json!({
            "method": head.method.as_str().to_ascii_lowercase(),
            "path": head.target(),
            "headers": headers,
            "body": String::from_utf8_lossy(&bodies.concat()),
        })
    }

    fn templates(&self) -> Vec<(&'static str, &Template)> {
        let mut templates = vec![("path", &self.path), ("body", &self.body)];
        templates.extend(self.headers.iter().map(|(_, template)| ("headers", template)));
        templates
    }
}

#[cfg(test)]
mod tests {
    use connector::testing::{self, Fixed};
    use serde_json::json;
    use value::{Entry, Value};

    use super::*;

    fn compiled(parameters: &str) -> Result<Box<dyn Render>, Vec<Diagnostic>> {
        let toml = format!("connector = \"c\"\nparameters = {{ {parameters} }}");
        testing::compiled(&crate::KIND, &toml).map(|(render, _)| render)
    }

    fn rendered(parameters: &str) -> Result<serde_json::Value, RenderError> {
        let row = [
            Entry { key: b"id", value: Value::text("a b/ä") },
            Entry { key: b"t", value: Value::Float(21.5) },
            Entry { key: b"evil", value: Value::text("x\r\nset-cookie: y") },
        ];
        let render = compiled(parameters).unwrap();
        let (arena, mut out) = (Arena::new(), Vec::new());
        render.render(&Row { scope: &Fixed(&row), properties: None, hops: 0, at_ms: 0 }, &arena, &mut out)?;
        Ok(render.describe(&out))
    }

    #[test]
    fn nothing_said_posts_the_row() {
        assert_eq!(
            rendered("").unwrap(),
            json!({ "method": "post", "path": "", "headers": {},
                    "body": "{\"id\":\"a b/ä\",\"t\":21.5,\"evil\":\"x\\r\\nset-cookie: y\"}" })
        );
    }

    #[test]
    fn everything_said_is_rendered() {
        let parameters =
            r#"path = "/d/${id}?t=${t}", method = "put", headers = { X-Temp = "${t}" }, body = "t=${t}""#;
        assert_eq!(
            rendered(parameters).unwrap(),
            json!({ "method": "put", "path": "/d/a%20b/%C3%A4?t=21.5", "headers": { "x-temp": "21.5" }, "body": "t=21.5" })
        );
        assert_eq!(rendered("method = \"get\"").unwrap()["body"], "");
    }

    #[test]
    fn a_header_cannot_be_smuggled_in() {
        let error = rendered(r#"headers = { x = "${evil}" }"#).unwrap_err();
        assert_eq!(error, RenderError::Header { name: "x".to_owned() });
    }

    #[test]
    fn what_is_wrong_is_found_before_it_runs() {
        let codes = |parameters: &str| {
            let Err(diagnostics) = compiled(parameters) else { return Vec::new() };
            diagnostics.into_iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(r#"headers = { "a b" = "x" }"#), [Code::InvalidValue]);
        assert_eq!(codes(r#"headers = { host = "x" }"#), [Code::InvalidValue]);
        assert_eq!(codes("headers = { a = \"x\\ny\" }"), [Code::InvalidValue]);
        assert_eq!(codes(r#"retry_statuses = ["503", "abc"]"#), [Code::InvalidValue]);
        assert_eq!(codes(r#"request_timeout = "0s""#), [Code::OutOfRange]);
        assert!(codes(r#"headers = { connection = "keep-alive", keep-alive = "timeout=5" }"#).is_empty());
    }

    #[test]
    fn what_no_target_may_have_is_encoded_and_nothing_else() {
        let path = |text: &str| rendered(&format!("path = \"{text}\"")).unwrap()["path"].clone();
        assert_eq!(path(" "), "%20");
        assert_eq!(path("/a%20b?c=d&e=[f]"), "/a%20b?c=d&e=[f]");
        assert_eq!(path("/<ä>"), "/%3C%C3%A4%3E");
    }
}
