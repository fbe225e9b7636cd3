//! The republish action: a row becomes a message of the local broker.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use config::{Field, FieldDefault, FieldKind, OrTemplate, Section, Settings, field};
use connector::Row;
use connector::publish::{self, PublishTemplates};
use diagnostic::{Code, Diagnostic};
use event::{Completion, LocalMessage, LocalPublish, Properties, PublishError, Trail};
use template::{Missing, Template};
use value::{Arena, Value};

/// `args` of `{ function = "republish", args = { … } }`.
pub static REPUBLISH_FIELDS: &[Field] = &[
    field("topic", FieldKind::Template, FieldDefault::Required, "The topic to publish to."),
    field(
        "qos",
        FieldKind::IntTemplate { min: 0, max: 2 },
        FieldDefault::Text("${qos}"),
        "The QoS: 0, 1, 2 or a placeholder.",
    ),
    field(
        "retain",
        FieldKind::BoolTemplate,
        FieldDefault::Text("${retain}"),
        "Whether the broker keeps the message for later subscribers.",
    ),
    field(
        "payload",
        FieldKind::Template,
        FieldDefault::Text("${payload}"),
        "The payload; empty stands for the whole row as JSON.",
    ),
    field(
        "user_properties",
        FieldKind::Template,
        FieldDefault::Text("${user_properties}"),
        "A placeholder for a map, or a list of `{key, value}`: the MQTT 5 user properties in place of those that travel along; `${pub_props.'User-Property'}` keeps those.",
    ),
    field(
        "mqtt_properties",
        FieldKind::TemplateMap,
        FieldDefault::Absent,
        "MQTT 5 properties by name: Payload-Format-Indicator, Message-Expiry-Interval, Content-Type, Response-Topic, Correlation-Data.",
    ),
    field(
        "direct_dispatch",
        FieldKind::BoolTemplate,
        FieldDefault::Bool(false),
        "Whether the message goes to those who are subscribed and to nobody else: no rule sees it, and it is not kept.",
    ),
];

/// A compiled republish action.
#[derive(Debug)]
pub(crate) struct Republish {
    templates: PublishTemplates,
    /// Absent where the original ones are asked for, which travel along by themselves.
    user_properties: Option<Template>,
    direct: Flag,
    mqtt_properties: Vec<(Property, Template)>,
}

/// A boolean that is given outright, or found in the row.
#[derive(Debug)]
enum Flag {
    Value(bool),
    Template(Template),
}

/// A property that can be set by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Property {
    PayloadFormatIndicator,
    MessageExpiryInterval,
    ContentType,
    ResponseTopic,
    CorrelationData,
}

/// A row as the message that it is to become.
pub(crate) struct Rendered<'a> {
    topic: &'a str,
    qos: u8,
    retain: bool,
    payload: &'a [u8],
    properties: Option<Cow<'a, Properties>>,
    direct: bool,
}

impl Rendered<'_> {
    /// The message in words, as those of declared actions are described.
    pub(crate) fn describe(&self) -> serde_json::Value {
        publish::describe(self.topic, self.qos, self.retain, self.payload, self.properties.as_deref())
    }
}

/// Where a republish action publishes, and in whose name.
pub(crate) struct Target<'a> {
    pub(crate) local: &'a dyn LocalPublish,
    pub(crate) rule: &'a Arc<str>,
    pub(crate) trail: &'a Trail,
    pub(crate) completion: Option<&'a Completion>,
}

/// What became of a row that was to be republished.
#[derive(Debug)]
pub(crate) enum Republished {
    /// It is queued for every matching session.
    Published,
    /// The rule would have fed itself.
    Discarded,
    /// It can never be published.
    Failed(String),
    /// The broker is stopping: whoever sent the message has to send it again.
    Stopping,
}

impl Republish {
    /// Compiles the arguments. `None` if one is wrong.
    pub(crate) fn compile(
        args: &Section,
        base_dir: &Path,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let before = diagnostics.len();
        let settings = config::check(args, REPUBLISH_FIELDS, base_dir, diagnostics);
        if diagnostics[before..].iter().any(Diagnostic::is_error) {
            return None;
        }
        let templates = PublishTemplates::compile(&settings, Missing::Undefined, diagnostics);
        let user_properties =
            publish::compile(settings.template("user_properties").unwrap_or_default(), diagnostics);
        let republish = Self {
            templates: templates?,
            user_properties: Some(user_properties).filter(|template| !asks_for_original(template)),
            direct: match settings.bool_template("direct_dispatch") {
                Some(OrTemplate::Template(text)) => Flag::Template(publish::compile(text, diagnostics)),
                Some(OrTemplate::Value(direct)) => Flag::Value(direct),
                None => Flag::Value(false),
            },
            mqtt_properties: mqtt_properties(&settings, diagnostics),
        };
        diagnostics[before..].iter().all(|diagnostic| !diagnostic.is_error()).then_some(republish)
    }

    /// The templates with the setting each belongs to.
    pub(crate) fn templates(&self) -> Vec<(&'static str, &Template)> {
        let mut templates = self.templates.templates();
        // A row may have `user_properties`, and need not: that is the default.
        let user_properties =
            self.user_properties.iter().filter(|template| !is_alone(template, "user_properties"));
        templates.extend(user_properties.map(|template| ("user_properties", template)));
        if let Flag::Template(template) = &self.direct {
            templates.push(("direct_dispatch", template));
        }
        templates.extend(self.mqtt_properties.iter().map(|(property, template)| (property.name(), template)));
        templates
    }

    /// Whether no rule ever sees what it publishes.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.direct, Flag::Value(true))
    }

    /// Renders a row and publishes it. `text` is a buffer to work in.
    pub(crate) fn run(
        &self,
        row: &Row<'_>,
        arena: &Arena,
        text: &mut Vec<u8>,
        to: &Target<'_>,
    ) -> Republished {
        if to.trail.contains(to.rule) || to.trail.len() >= Trail::LENGTH_MAX {
            return Republished::Discarded;
        }
        let rendered = match self.render(row, arena, text) {
            Ok(rendered) => rendered,
            Err(reason) => return Republished::Failed(reason),
        };
        let message = LocalMessage {
            topic: rendered.topic,
            qos: rendered.qos,
            retain: rendered.retain,
            payload: rendered.payload,
            properties: rendered.properties.as_deref(),
            clientid: to.rule,
            username: None,
            trail: to.trail.with(to.rule),
            direct: rendered.direct,
        };
        match to.local.publish(&message, to.completion) {
            Ok(_) => Republished::Published,
            Err(PublishError::InvalidTopic) => {
                Republished::Failed(format!("`{}` is no topic", rendered.topic))
            }
            Err(PublishError::TooLarge) => {
                Republished::Failed("the message is larger than the broker allows".to_owned())
            }
            Err(PublishError::Closed) => Republished::Stopping,
        }
    }

    /// What a row becomes, or why it can never be published. `text` is a buffer to work in, which the result borrows.
    pub(crate) fn render<'a>(
        &self,
        row: &Row<'a>,
        arena: &Arena,
        text: &'a mut Vec<u8>,
    ) -> Result<Rendered<'a>, String> {
        text.clear();
        self.templates.render_topic(row, arena, text).map_err(|error| error.to_string())?;
        let topic_bytes = text.len();
        self.templates.render_payload(row, arena, text);
        let (topic, payload) = text.split_at(topic_bytes);
        Ok(Rendered {
            topic: std::str::from_utf8(topic).map_err(|_| "the topic is not UTF-8".to_owned())?,
            qos: self.templates.qos(row, arena),
            retain: self.templates.retain(row, arena),
            payload,
            properties: self.properties(row, arena),
            direct: self.direct.of(row, arena),
        })
    }

    /// What travels along, with what the action sets on top.
    fn properties<'a>(&self, row: &Row<'a>, arena: &Arena) -> Option<Cow<'a, Properties>> {
        let mut properties = publish::properties(row, arena);
        let user = self.user_properties.as_ref().and_then(|template| template.value(row.scope, arena));
        if let Some(user) = user.as_ref().and_then(user_properties) {
            properties.get_or_insert_default().to_mut().user = user;
        }
        for (property, template) in &self.mqtt_properties {
            let mut text = Vec::new();
            template.render(row.scope, Missing::Empty, arena, &mut text);
            if !text.is_empty() {
                property.set(properties.get_or_insert_default().to_mut(), &text);
            }
        }
        properties
    }
}

impl Flag {
    /// What is no boolean is false.
    fn of(&self, row: &Row<'_>, arena: &Arena) -> bool {
        match self {
            Flag::Value(value) => *value,
            Flag::Template(template) => {
                let value = template.value(row.scope, arena);
                matches!(value, Some(Value::Bool(true) | Value::Str(b"true")))
            }
        }
    }
}

/// Whether it is this one name.
fn is_alone(template: &Template, name: &str) -> bool {
    let mut placeholders = template.placeholders();
    placeholders.next().is_some_and(|first| first.root() == name && first.keys().next().is_none())
        && placeholders.next().is_none()
}

/// Whether it is `${pub_props.'User-Property'}`, the reference's word for "those it has".
fn asks_for_original(template: &Template) -> bool {
    let mut placeholders = template.placeholders();
    let first = placeholders.next().filter(|_| placeholders.next().is_none());
    first.is_some_and(|first| first.root() == "pub_props" && first.keys().eq(["User-Property"]))
}

/// The user properties that a value stands for: a map, or a list of `{key, value}`. `None` for anything else.
fn user_properties(value: &Value<'_>) -> Option<Vec<(String, String)>> {
    let text = |value: &Value<'_>| {
        let mut text = Vec::new();
        value::text::write(value, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    match value {
        Value::Map(map) => {
            let entry = |entry: &value::Entry<'_>| {
                (String::from_utf8_lossy(entry.key).into_owned(), text(&entry.value))
            };
            Some(map.entries().iter().map(entry).collect())
        }
        Value::Array(pairs) => {
            let pair = |pair: &Value<'_>| match pair {
                Value::Map(pair) => Some((text(&pair.get(b"key")?), text(&pair.get(b"value")?))),
                _ => None,
            };
            Some(pairs.iter().filter_map(pair).collect())
        }
        _ => None,
    }
}

fn mqtt_properties(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Vec<(Property, Template)> {
    let mut properties = Vec::new();
    for entry in settings.template_map("mqtt_properties") {
        match Property::ALL.into_iter().find(|property| property.name() == entry.key) {
            Some(property) => properties.push((property, publish::compile(entry.text(), diagnostics))),
            None => {
                let message = format!("there is no property `{}`", entry.key);
                let names = Property::ALL.map(Property::name);
                let help = diagnostic::did_you_mean(&entry.key, names)
                    .unwrap_or_else(|| format!("there are {}", names.join(", ")));
                diagnostics.push(Diagnostic::new(Code::UnknownKey, entry.key_span, message).help(help));
            }
        }
    }
    properties
}

impl Property {
    const ALL: [Property; 5] = [
        Property::PayloadFormatIndicator,
        Property::MessageExpiryInterval,
        Property::ContentType,
        Property::ResponseTopic,
        Property::CorrelationData,
    ];

    fn name(self) -> &'static str {
        match self {
            Property::PayloadFormatIndicator => "Payload-Format-Indicator",
            Property::MessageExpiryInterval => "Message-Expiry-Interval",
            Property::ContentType => "Content-Type",
            Property::ResponseTopic => "Response-Topic",
            Property::CorrelationData => "Correlation-Data",
        }
    }

    /// Sets it from rendered text; what is no number where one is needed leaves the property as it is.
    fn set(self, properties: &mut Properties, text: &[u8]) {
        let string = || String::from_utf8_lossy(text).into_owned();
        let number = || std::str::from_utf8(text).ok()?.parse::<u32>().ok();
        match self {
            Property::PayloadFormatIndicator => {
                properties.payload_format_indicator =
                    number().filter(|indicator| *indicator <= 1).map(|indicator| indicator as u8);
            }
            Property::MessageExpiryInterval => {
                properties.message_expiry_interval = number().or(properties.message_expiry_interval);
            }
            Property::ContentType => properties.content_type = Some(string()),
            Property::ResponseTopic => properties.response_topic = Some(string()),
            Property::CorrelationData => properties.correlation_data = Some(text.to_vec()),
        }
    }
}
