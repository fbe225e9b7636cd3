//! What the document says of one route.

use axum::http::Method;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::error::ErrorBody;

/// The description of a route, as it is written.
pub(crate) struct Operation<'a> {
    schemas: &'a mut SchemaGenerator,
    object: Map<String, Value>,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
    /// Whether it can be called without a key even where there are keys.
    open: bool,
    method: Method,
}

/// What refusals mean that many routes share, by status.
const REFUSALS: &[(u16, &str)] = &[
    (400, "The request makes no sense: `message` says why."),
    (401, "Keys are configured, and the request has none or a wrong one."),
    (403, "The key may only read, or a browser asks from a page of another origin or under another name."),
    (404, "There is no such thing."),
    (408, "The body took too long to arrive."),
    (409, "A file declares it: change the file, which the message names."),
    (412, "The SQL is right and the message is none for it."),
    (413, "The body is too large."),
    (429, "Too many evaluations at once."),
    (500, "The data folder cannot be written; the log has the reason."),
    (503, "The server is stopping, or not ready yet."),
];

impl<'a> Operation<'a> {
    pub(crate) fn new(schemas: &'a mut SchemaGenerator, method: &Method, path: &str) -> Self {
        let mut operation = Self {
            schemas,
            object: Map::new(),
            parameters: Vec::new(),
            responses: Map::new(),
            open: false,
            method: method.clone(),
        };
        operation.object.insert("operationId".to_owned(), operation_id(method, path).into());
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            operation.path_parameter(name);
        }
        operation
    }

    /// The group it is shown in.
    pub(crate) fn tag(&mut self, tag: &str) -> &mut Self {
        self.object.insert("tags".to_owned(), json!([tag]));
        self
    }

    /// What it does, in a few words.
    pub(crate) fn about(&mut self, summary: impl Into<String>) -> &mut Self {
        self.object.insert("summary".to_owned(), Value::String(summary.into()));
        self
    }

    /// Needs no key even where there are keys.
    pub(crate) fn open(&mut self) -> &mut Self {
        self.open = true;
        self.object.insert("security".to_owned(), json!([{}]));
        self
    }

    /// A parameter after `?`, which may be left out.
    pub(crate) fn query(&mut self, name: &str, schema: Value, about: &str) -> &mut Self {
        self.parameter(name, "query", schema, about);
        self
    }

    fn path_parameter(&mut self, name: &str) {
        let (schema, about) = match name {
            "id" if self.object["operationId"].as_str().is_some_and(|id| id.contains("rules")) => {
                (json!({ "type": "string", "minLength": 1 }), "The id of the rule.")
            }
            "id" => (json!({ "type": "string", "pattern": "^[^:]+:.+$" }), "The id, written `type:name`."),
            "letter" => (json!({ "type": "integer", "minimum": 1 }), "The number of the dead letter."),
            "enable" => (json!({ "type": "string", "enum": ["true", "false"] }), "Whether it is to run."),
            "operation" => (json!({ "type": "string", "enum": ["start"] }), "What is to be done."),
            _ => (json!({ "type": "string", "minLength": 1 }), "The name of the node."),
        };
        self.parameter(name, "path", schema, about);
    }

    fn parameter(&mut self, name: &str, place: &str, schema: Value, about: &str) {
        let required = place == "path";
        let mut parameter = json!({ "name": name, "in": place, "required": required, "description": about });
        parameter["schema"] = schema;
        self.parameters.push(parameter);
    }

    /// The JSON object that it takes.
    pub(crate) fn takes(&mut self, schema: Value) -> &mut Self {
        let mut body = json!({ "required": true });
        body["content"]["application/json"]["schema"] = schema;
        self.object.insert("requestBody".to_owned(), body);
        self.refuses(&[400, 408, 413])
    }

    /// An answer of this type as JSON.
    pub(crate) fn answers<T: JsonSchema>(&mut self, status: u16, about: &str) -> &mut Self {
        let schema = self.schemas.subschema_for::<T>().to_value();
        self.answers_schema(status, about, schema)
    }

    /// The reference to the schema of a type.
    pub(crate) fn schema_of<T: JsonSchema>(&mut self) -> Value {
        self.schemas.subschema_for::<T>().to_value()
    }

    /// An answer of this schema as JSON.
    pub(crate) fn answers_schema(&mut self, status: u16, about: &str, schema: Value) -> &mut Self {
        self.answer(status, about, "application/json", schema)
    }

    /// An answer of plain text.
    pub(crate) fn answers_text(&mut self, status: u16, about: &str) -> &mut Self {
        self.answer(status, about, "text/plain", json!({ "type": "string" }))
    }

    /// One kind of content of an answer; a status may have several.
    pub(crate) fn answer(&mut self, status: u16, about: &str, media: &str, schema: Value) -> &mut Self {
        let entry = self.responses.entry(status.to_string()).or_insert_with(|| json!({ "content": {} }));
        entry["description"] = about.into();
        entry["content"][media]["schema"] = schema;
        self
    }

    /// 204, without a body.
    pub(crate) fn answers_nothing(&mut self, about: &str) -> &mut Self {
        self.responses.insert("204".to_owned(), json!({ "description": about }));
        self
    }

    /// The ways in which it refuses, each with an [`ErrorBody`].
    pub(crate) fn refuses(&mut self, statuses: &[u16]) -> &mut Self {
        for status in statuses {
            let about =
                REFUSALS.iter().find(|(known, _)| known == status).map_or("Refused.", |(_, about)| about);
            self.answers::<ErrorBody>(*status, about);
        }
        self
    }

    /// A change: it may find the server stopping, or the disk full.
    pub(crate) fn changes(&mut self) -> &mut Self {
        self.refuses(&[500, 503])
    }

    /// The whole, as the document has it.
    pub(crate) fn finish(mut self) -> Value {
        // The name under which the server is called is looked at in any case.
        self.refuses(&[403]);
        if !self.open {
            self.refuses(&[401]);
        }
        if !self.parameters.is_empty() {
            self.refuses(&[400]);
        }
        debug_assert!(self.object.contains_key("summary"), "{} is described", self.method);
        self.object.insert("parameters".to_owned(), self.parameters.into());
        self.object.insert("responses".to_owned(), self.responses.into());
        self.object.into()
    }
}

/// `get_rules_id_metrics`: unique, since method and path are.
fn operation_id(method: &Method, path: &str) -> String {
    let parts = path.trim_start_matches("/api/v5").split(['/', '.']).filter(|part| !part.is_empty());
    let parts = parts.map(|part| part.trim_matches(['{', '}']).replace('-', "_"));
    std::iter::once(method.as_str().to_ascii_lowercase()).chain(parts).collect::<Vec<_>>().join("_")
}
