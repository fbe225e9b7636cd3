//! A kind of connector without a far side: always connected, unless the server's name begins with `unreachable`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use config::FieldDefault::{Absent, Required};
use config::{Field, FieldKind, Settings, field};
use connector::{
    ActionQueue, BoxFuture, Connector, ConnectorKind, Context, ProbeError, Render, RenderError, Row, Source,
    Status, options,
};
use template::Template;
use value::Arena;

pub(crate) static KIND: ConnectorKind = ConnectorKind {
    name: "far",
    summary: "Nothing at all.",
    fields: &[
        options::ENABLE,
        options::DESCRIPTION,
        field("server", FieldKind::Str, Required, "Where it would be."),
        field("password", FieldKind::Secret, Absent, "What it would ask for."),
    ],
    source_fields: &[options::ENABLE, options::DESCRIPTION, options::CONNECTOR, PARAMETERS],
    action_fields: &[
        options::ENABLE,
        options::DESCRIPTION,
        options::CONNECTOR,
        PARAMETERS,
        options::ACTION_RESOURCE_OPTS,
    ],
    check: |settings, _| assert_ne!(settings.str("server"), "breaks", "as bugs do"),
    source: |_, _| {},
    action: |_, _| Some(Box::new(Nothing)),
    open: |_, _| Arc::new(Far),
    probe,
    reach: connector::Reach::NOTHING,
};

const PARAMETERS: Field = field(
    "parameters",
    FieldKind::Table(&[field("topic", FieldKind::Str, Required, "The topic.")]),
    Required,
    "What goes where.",
);

fn probe(settings: Settings, _: Context, _: Duration) -> BoxFuture<'static, Result<(), ProbeError>> {
    Box::pin(async move {
        match settings.str("server").starts_with("unreachable") {
            true => Err(ProbeError { stage: "tcp", reason: "connection refused".to_owned() }),
            false => Ok(()),
        }
    })
}

struct Far;

impl Connector for Far {
    fn status(&self) -> Status {
        Status::connected()
    }

    fn attach(&self, _: &Arc<ActionQueue>, _: &Settings) {}

    fn detach(&self, _: &str) {}

    fn add_source(&self, _: Source) {}

    fn remove_source(&self, _: &str) {}

    fn source_status(&self, _: &str) -> Option<Status> {
        Some(Status::connected())
    }

    fn stop(&self, _: Instant) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

struct Nothing;

impl Render for Nothing {
    fn render(&self, _: &Row<'_>, _: &Arena, _: &mut Vec<u8>) -> Result<(), RenderError> {
        Ok(())
    }

    fn describe(&self, _: &[u8]) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn templates(&self) -> Vec<(&'static str, &Template)> {
        Vec::new()
    }
}
