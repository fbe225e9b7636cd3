//! Rows to messages.

use config::Settings;
use connector::publish::{self, PublishTemplates};
use connector::{Render, RenderError, Row, options};
use diagnostic::Diagnostic;
use template::{Missing, Template};
use value::Arena;

use crate::request::{self, Request};

/// The compiled templates of one action.
#[derive(Debug)]
struct Publish {
    templates: PublishTemplates,
}

/// Compiles an action from its checked section. `None` if a diagnostic is an error.
pub(crate) fn compile(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Option<Box<dyn Render>> {
    let before = diagnostics.len();
    let resource_opts = settings.table("resource_opts");
    options::check_resource_opts(resource_opts, diagnostics);
    options::without_effect(resource_opts, options::BATCHES, diagnostics);
    let templates = PublishTemplates::compile(settings.table("parameters"), Missing::Empty, diagnostics)?;
    let good = diagnostics[before..].iter().all(|diagnostic| !diagnostic.is_error());
    good.then(|| Box::new(Publish { templates }) as Box<dyn Render>)
}

/// The largest packet that MQTT can say, less its head and longest topic: what a request may have (bytes).
pub(crate) const REQUEST_BYTES_MAX: usize = 268_435_455 - 70_000;

impl Render for Publish {
    fn render(&self, row: &Row<'_>, arena: &Arena, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let start = out.len();
        request::begin(out, self.templates.qos(row, arena), self.templates.retain(row, arena));
        self.templates.render_topic(row, arena, out)?;
        request::end_topic(out, start);
        request::put_hops(out, start, row.hops);
        if let Some(properties) = publish::properties(row, arena) {
            if properties.message_expiry_interval.is_some() {
                request::put_time(out, start, row.at_ms);
            }
            request::put_properties(out, start, &properties);
        }
        self.templates.render_payload(row, arena, out);
        let bytes = out.len() - start;
        if bytes > REQUEST_BYTES_MAX { Err(RenderError::TooLarge { bytes }) } else { Ok(()) }
    }

    fn describe(&self, request: &[u8]) -> serde_json::Value {
        let Some(request) = Request::read(request) else { return serde_json::Value::Null };
        let Request { topic, qos, retain, properties, payload, .. } = request;
        publish::describe(topic, qos, retain, payload, properties.as_ref())
    }

    fn templates(&self) -> Vec<(&'static str, &Template)> {
        self.templates.templates()
    }
}

#[cfg(test)]
mod tests {
    use connector::testing::{self, Fixed};
    use event::Properties;
    use serde_json::json;
    use value::{Entry, Value};

    use super::*;

    fn compiled(parameters: &str) -> Result<Box<dyn Render>, Vec<Diagnostic>> {
        let toml = format!("connector = \"c\"\nparameters = {{ {parameters} }}");
        testing::compiled(&crate::KIND, &toml).map(|(render, _)| render)
    }

    fn rendered(parameters: &str, properties: Option<&Properties>) -> Result<serde_json::Value, RenderError> {
        let row = [
            Entry { key: b"topic", value: Value::text("a/b") },
            Entry { key: b"qos", value: Value::Int(2) },
            Entry { key: b"payload", value: Value::Str(b"\xffraw") },
            Entry { key: b"empty", value: Value::text("") },
            Entry { key: b"bad", value: Value::text("a/#") },
        ];
        let render = compiled(parameters).unwrap();
        let (arena, mut out) = (Arena::new(), Vec::new());
        render.render(&Row { scope: &Fixed(&row), properties, hops: 0, at_ms: 0 }, &arena, &mut out)?;
        Ok(render.describe(&out))
    }

    #[test]
    fn templates_make_a_message() {
        assert_eq!(
            rendered(
                "topic = \"pub/${topic}\", qos = \"${qos}\", retain = \"${flags.retain}\", payload = \"<${nope}>\"",
                None
            ),
            Ok(json!({"topic": "pub/a/b", "qos": 2, "retain": false, "payload": "<>"}))
        );
        assert_eq!(
            rendered("topic = \"t\", qos = \"${topic}\", retain = true, payload = \"${payload}\"", None),
            Ok(json!({"topic": "t", "qos": 0, "retain": true, "payload_hex": "ff726177"}))
        );
    }

    #[test]
    fn no_payload_is_the_whole_row_and_an_empty_one_stays_empty() {
        let whole = rendered("topic = \"t\"", None).unwrap();
        assert!(whole["payload"].as_str().unwrap().starts_with(r#"{"topic":"a/b","qos":2"#), "{whole}");
        assert_eq!(rendered("topic = \"t\", payload = \"\"", None).unwrap(), whole);
        assert_eq!(rendered("topic = \"t\", payload = \"${empty}\"", None).unwrap()["payload"], "");
    }

    #[test]
    fn properties_travel_along() {
        let properties = Properties { user: vec![("k".into(), "v".into())], ..Properties::default() };
        let shown = rendered("topic = \"t\", payload = \"x\"", Some(&properties)).unwrap();
        assert_eq!(shown["pub_props"]["User-Property"], json!({"k": "v"}));
    }

    #[test]
    fn a_topic_that_is_none_is_refused() {
        assert!(matches!(rendered("topic = \"${bad}\"", None), Err(RenderError::Topic { .. })));
        assert!(matches!(rendered("topic = \"${nope}\"", None), Err(RenderError::Topic { .. })));
        assert!(compiled("topic = \"a/+\"").is_err());
        assert!(compiled("topic = \"a\", qos = 3").is_err());
        assert!(compiled("topic = \"${a\"").is_err());
    }
}
