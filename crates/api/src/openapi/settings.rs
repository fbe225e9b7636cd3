//! The schema of settings, from the fields that their owner declares: what is checked is what is documented.

use config::{Field, FieldDefault, FieldKind};
use serde_json::{Map, Value, json};

/// Whether the settings are those that a request brings or those that an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Unknown keys are refused; what has a default may be left out.
    Request,
    /// Secrets are hidden; there may be further keys around.
    Answer,
}

/// The object that `fields` describe. `more` are properties that stand beside them.
pub(crate) fn settings_schema(fields: &[Field], shape: Shape, more: &[(&str, Value, bool)]) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<Value> = Vec::new();
    for (name, schema, needed) in more {
        properties.insert((*name).to_owned(), schema.clone());
        if *needed {
            required.push((*name).into());
        }
    }
    for field in fields {
        let mut schema = value_schema(field.kind, shape);
        if shape == Shape::Request && field.default != FieldDefault::Required {
            schema = or_null(schema);
        }
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), field.summary.into());
            if let Some(default) = default_of(field.default) {
                object.insert("default".to_owned(), default);
            }
        }
        properties.insert(field.name.to_owned(), schema);
        if field.default == FieldDefault::Required {
            required.push(field.name.into());
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    if shape == Shape::Request {
        schema["additionalProperties"] = false.into();
    }
    schema
}

/// `null` is as good as a setting that is left out.
fn or_null(mut schema: Value) -> Value {
    let null = json!({ "type": "null" });
    if let Some(any) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        any.push(null);
        return schema;
    }
    // What takes anything takes that, too.
    if schema.as_object().is_none_or(Map::is_empty) { schema } else { json!({ "anyOf": [schema, null] }) }
}

fn default_of(default: FieldDefault) -> Option<Value> {
    match default {
        FieldDefault::Required | FieldDefault::Absent | FieldDefault::Empty => None,
        FieldDefault::Bool(value) => Some(value.into()),
        FieldDefault::Int(value) => Some(value.into()),
        FieldDefault::Text(value) => Some(value.into()),
    }
}

fn value_schema(kind: FieldKind, shape: Shape) -> Value {
    let int = |min, max| json!({ "type": "integer", "minimum": min, "maximum": max });
    let text = || json!({ "type": "string" });
    match kind {
        FieldKind::Bool => json!({ "type": "boolean" }),
        FieldKind::Int { min, max } => int(min, max),
        FieldKind::Str | FieldKind::Path | FieldKind::Template => text(),
        FieldKind::Duration | FieldKind::Seconds | FieldKind::DurationOrInfinity => {
            let examples = if matches!(kind, FieldKind::DurationOrInfinity) {
                json!(["15s", "infinity"])
            } else {
                json!(["15s"])
            };
            json!({ "type": ["string", "integer"], "minimum": 0, "examples": examples })
        }
        FieldKind::Bytes => json!({ "type": ["string", "integer"], "minimum": 0, "examples": ["256MB"] }),
        FieldKind::OneOf(words) => json!({ "type": "string", "enum": words }),
        FieldKind::Secret if shape == Shape::Answer => json!({ "type": "string", "examples": ["******"] }),
        FieldKind::Secret => json!({ "anyOf": [
            text(),
            { "type": "object", "properties": { "file": text() }, "required": ["file"], "additionalProperties": false },
            { "type": "object", "properties": { "env": text() }, "required": ["env"], "additionalProperties": false },
        ] }),
        FieldKind::IntTemplate { min, max } => json!({ "anyOf": [int(min, max), text()] }),
        FieldKind::BoolTemplate => json!({ "type": ["boolean", "string"] }),
        FieldKind::StrList => json!({ "type": "array", "items": text() }),
        FieldKind::Table(fields) => settings_schema(fields, shape, &[]),
        FieldKind::TableList(fields) => {
            json!({ "type": "array", "items": { "anyOf": [settings_schema(fields, shape, &[]), text()] } })
        }
        FieldKind::TemplateMap => json!({ "type": ["object", "string"] }),
        FieldKind::Any => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use config::field;

    use super::*;

    const INNER: &[Field] = &[
        field("topic", FieldKind::Template, FieldDefault::Required, "Where to."),
        field("qos", FieldKind::IntTemplate { min: 0, max: 2 }, FieldDefault::Int(1), "How surely."),
    ];
    const FIELDS: &[Field] = &[
        field("parameters", FieldKind::Table(INNER), FieldDefault::Required, "What."),
        field("password", FieldKind::Secret, FieldDefault::Absent, "Who."),
    ];

    #[test]
    fn a_request_is_strict_and_an_answer_is_not() {
        let request = settings_schema(FIELDS, Shape::Request, &[("type", json!({ "const": "far" }), true)]);
        assert_eq!(request["required"], json!(["type", "parameters"]));
        assert_eq!(request["additionalProperties"], false);
        assert_eq!(request["properties"]["parameters"]["required"], json!(["topic"]));
        let qos = &request["properties"]["parameters"]["properties"]["qos"];
        assert_eq!((&qos["default"], &qos["anyOf"][2]["type"]), (&json!(1), &json!("null")));
        let answer = settings_schema(FIELDS, Shape::Answer, &[]);
        assert_eq!(answer.get("additionalProperties"), None);
        assert_eq!(answer["properties"]["password"]["type"], "string");
    }
}
