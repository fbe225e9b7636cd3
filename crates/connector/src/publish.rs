//! The templates of whatever publishes MQTT messages: topic, QoS, RETAIN flag and payload.
//!
//! Republish and the MQTT sink differ in their defaults and in what a missing variable prints, and in nothing else.

use config::{OrTemplate, Settings, Text};
use diagnostic::{Code, Diagnostic};
use event::Properties;
use template::{Missing, Template};
use topic::TopicName;
use value::{Arena, Value, json};

use crate::render::{RenderError, Row};

/// The compiled `topic`, `qos`, `retain` and `payload` of an action.
#[derive(Debug)]
pub struct PublishTemplates {
    topic: Template,
    qos: Setting<u8>,
    retain: Setting<bool>,
    /// Empty: the whole row.
    payload: Template,
    missing: Missing,
}

/// A setting that is given outright or comes from the row.
#[derive(Debug)]
enum Setting<T> {
    Value(T),
    Template(Template),
}

impl PublishTemplates {
    /// Compiles the settings `topic`, `qos`, `retain` and `payload`, which the caller has declared as a `Template`, an
    /// `IntTemplate`, a `BoolTemplate` and a `Template`. `None` if a diagnostic is an error.
    pub fn compile(settings: &Settings, missing: Missing, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let before = diagnostics.len();
        let topic = compile(settings.template("topic").unwrap_or_default(), diagnostics);
        check_literal_topic(&topic, settings, diagnostics);
        let templates = Self {
            topic,
            qos: match settings.int_template("qos") {
                Some(OrTemplate::Template(text)) => Setting::Template(compile(text, diagnostics)),
                Some(OrTemplate::Value(qos)) => Setting::Value(u8::try_from(qos).unwrap_or(0)),
                None => Setting::Value(0),
            },
            retain: match settings.bool_template("retain") {
                Some(OrTemplate::Template(text)) => Setting::Template(compile(text, diagnostics)),
                Some(OrTemplate::Value(retain)) => Setting::Value(retain),
                None => Setting::Value(false),
            },
            payload: compile(settings.template("payload").unwrap_or_default(), diagnostics),
            missing,
        };
        diagnostics[before..].iter().all(|diagnostic| !diagnostic.is_error()).then_some(templates)
    }

    /// Appends the topic.
    ///
    /// # Errors
    /// Where the rendered text is no topic name: empty, with a wildcard or a NUL, too long, not UTF-8.
    pub fn render_topic(&self, row: &Row<'_>, arena: &Arena, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let start = out.len();
        self.topic.render(row.scope, self.missing, arena, out);
        match TopicName::from_bytes(&out[start..]) {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(RenderError::Topic { topic: shortened(&out[start..]), reason: error.to_string() })
            }
        }
    }

    /// Appends the payload. A template that is empty stands for the whole row; one that renders to nothing gives an
    /// empty payload, which clears a retained message.
    pub fn render_payload(&self, row: &Row<'_>, arena: &Arena, out: &mut Vec<u8>) {
        if self.payload.is_empty() {
            row.scope.write_row(arena, out);
        } else {
            self.payload.render(row.scope, self.missing, arena, out);
        }
    }

    /// The QoS; 0 where the template gives none.
    pub fn qos(&self, row: &Row<'_>, arena: &Arena) -> u8 {
        match &self.qos {
            Setting::Value(qos) => *qos,
            Setting::Template(template) => evaluate(template, row, arena, |value| match value {
                Value::Int(qos @ 0..=2) => Some(qos as u8),
                Value::Str(b"0") => Some(0),
                Value::Str(b"1") => Some(1),
                Value::Str(b"2") => Some(2),
                _ => None,
            })
            .unwrap_or(0),
        }
    }

    /// The RETAIN flag; false where the template gives none.
    pub fn retain(&self, row: &Row<'_>, arena: &Arena) -> bool {
        match &self.retain {
            Setting::Value(retain) => *retain,
            Setting::Template(template) => evaluate(template, row, arena, |value| match value {
                Value::Bool(retain) => Some(retain),
                Value::Int(retain @ 0..=1) => Some(retain == 1),
                Value::Str(b"true" | b"1") => Some(true),
                Value::Str(b"false" | b"0") => Some(false),
                _ => None,
            })
            .unwrap_or(false),
        }
    }

    /// The templates with the setting each belongs to.
    pub fn templates(&self) -> Vec<(&'static str, &Template)> {
        let mut templates = vec![("topic", &self.topic), ("payload", &self.payload)];
        if let Setting::Template(template) = &self.qos {
            templates.push(("qos", template));
        }
        if let Setting::Template(template) = &self.retain {
            templates.push(("retain", template));
        }
        templates
    }
}

/// The MQTT 5 properties that a message made of this row carries: the row's own `pub_props` where it selects them,
/// otherwise those of the event.
pub fn properties<'a>(row: &Row<'a>, arena: &Arena) -> Option<std::borrow::Cow<'a, Properties>> {
    match (row.scope.selected("pub_props", arena), row.properties) {
        // Selected as it came, which is the common case of `SELECT *`: no need to read it back.
        (Some(value), properties) => {
            let own = Properties::from_value(&value);
            match properties {
                Some(properties) if *properties == own => Some(std::borrow::Cow::Borrowed(properties)),
                _ => (!own.is_empty()).then_some(std::borrow::Cow::Owned(own)),
            }
        }
        (None, properties) => properties.map(std::borrow::Cow::Borrowed),
    }
}

/// A rendered message in words, as [`Render::describe`](crate::Render::describe) gives it: `topic`, `qos`, `retain`, then
/// `payload`, or `payload_hex` where it is not UTF-8, and `pub_props` if it carries properties.
pub fn describe(
    topic: &str,
    qos: u8,
    retain: bool,
    payload: &[u8],
    properties: Option<&Properties>,
) -> serde_json::Value {
    let mut shown = serde_json::json!({ "topic": topic, "qos": qos, "retain": retain });
    match std::str::from_utf8(payload) {
        Ok(text) => shown["payload"] = text.into(),
        Err(_) => shown["payload_hex"] = hex(payload).into(),
    }
    if let Some(properties) = properties.filter(|properties| !properties.is_empty()) {
        let (arena, mut text) = (Arena::new(), Vec::new());
        json::write(&properties.to_value(&arena), &mut text);
        shown["pub_props"] = serde_json::from_slice(&text).unwrap_or_default();
    }
    shown
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn evaluate<T>(
    template: &Template,
    row: &Row<'_>,
    arena: &Arena,
    read: impl Fn(Value<'_>) -> Option<T>,
) -> Option<T> {
    if let Some(value) = template.value(row.scope, arena) {
        return read(value);
    }
    let mut text = Vec::new();
    template.render(row.scope, Missing::Empty, arena, &mut text);
    read(Value::Str(&text))
}

/// Compiles one template; its placeholders, and what is reported, are placed where the text stands in its file.
pub fn compile(text: Text<'_>, diagnostics: &mut Vec<Diagnostic>) -> Template {
    let (template, found) = Template::parse(text.text);
    diagnostics.extend(found.into_iter().map(|diagnostic| {
        let span = text.part(diagnostic.span.range());
        Diagnostic { span, ..diagnostic }
    }));
    template.located(|span| text.part(span.range()))
}

/// A topic without placeholders is known to be wrong before the first message comes.
fn check_literal_topic(topic: &Template, settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    if let Some(Err(error)) = topic.as_literal().map(TopicName::parse) {
        let message = format!("nothing can be published to this topic: {error}");
        diagnostics.push(Diagnostic::new(Code::BadTopicName, settings.span("topic"), message));
    }
}

fn shortened(topic: &[u8]) -> String {
    const CHARS_MAX: usize = 100;
    String::from_utf8_lossy(topic).chars().take(CHARS_MAX).collect()
}
