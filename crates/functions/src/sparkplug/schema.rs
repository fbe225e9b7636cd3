//! The messages of Sparkplug B by name and number, from the specification: what is decoded and encoded derives from here.

/// One type of message.
#[derive(Debug)]
pub(super) struct Message {
    /// The name, with those of the messages around it.
    pub(super) name: &'static str,
    /// The fields, in the order in which they are written.
    pub(super) fields: &'static [Field],
}

/// One field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) label: Label,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Uint32,
    Uint64,
    Float,
    Double,
    Bool,
    Text,
    Bytes,
    Message(&'static Message),
}

/// How often a field occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Optional,
    /// At most one of these fields has a value.
    OneOf,
    Repeated,
}

use Kind::{Bool, Bytes, Double, Float, Text, Uint32, Uint64};

const fn field(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, label: Label::Optional }
}

const fn one_of(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, label: Label::OneOf }
}

const fn repeated(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, label: Label::Repeated }
}

/// The message of this name.
pub(super) fn message(name: &[u8]) -> Option<&'static Message> {
    MESSAGES.iter().find(|message| message.name.as_bytes() == name).copied()
}

static MESSAGES: &[&Message] = &[
    &PAYLOAD,
    &METRIC,
    &METRIC_EXTENSION,
    &META_DATA,
    &PROPERTY_SET,
    &PROPERTY_VALUE,
    &PROPERTY_EXTENSION,
    &PROPERTY_SET_LIST,
    &DATA_SET,
    &DATA_SET_VALUE,
    &DATA_SET_EXTENSION,
    &ROW,
    &TEMPLATE,
    &PARAMETER,
    &PARAMETER_EXTENSION,
];

static PAYLOAD: Message = Message {
    name: "Payload",
    fields: &[
        field("timestamp", 1, Uint64),
        repeated("metrics", 2, Kind::Message(&METRIC)),
        field("seq", 3, Uint64),
        field("uuid", 4, Text),
        field("body", 5, Bytes),
    ],
};

static METRIC: Message = Message {
    name: "Payload.Metric",
    fields: &[
        field("name", 1, Text),
        field("alias", 2, Uint64),
        field("timestamp", 3, Uint64),
        field("datatype", 4, Uint32),
        field("is_historical", 5, Bool),
        field("is_transient", 6, Bool),
        field("is_null", 7, Bool),
        field("metadata", 8, Kind::Message(&META_DATA)),
        field("properties", 9, Kind::Message(&PROPERTY_SET)),
        one_of("int_value", 10, Uint32),
        one_of("long_value", 11, Uint64),
        one_of("float_value", 12, Float),
        one_of("double_value", 13, Double),
        one_of("boolean_value", 14, Bool),
        one_of("string_value", 15, Text),
        one_of("bytes_value", 16, Bytes),
        one_of("dataset_value", 17, Kind::Message(&DATA_SET)),
        one_of("template_value", 18, Kind::Message(&TEMPLATE)),
        one_of("extension_value", 19, Kind::Message(&METRIC_EXTENSION)),
    ],
};

static METRIC_EXTENSION: Message = Message { name: "Payload.Metric.MetricValueExtension", fields: &[] };

static META_DATA: Message = Message {
    name: "Payload.MetaData",
    fields: &[
        field("is_multi_part", 1, Bool),
        field("content_type", 2, Text),
        field("size", 3, Uint64),
        field("seq", 4, Uint64),
        field("file_name", 5, Text),
        field("file_type", 6, Text),
        field("md5", 7, Text),
        field("description", 8, Text),
    ],
};

static PROPERTY_SET: Message = Message {
    name: "Payload.PropertySet",
    fields: &[repeated("keys", 1, Text), repeated("values", 2, Kind::Message(&PROPERTY_VALUE))],
};

static PROPERTY_VALUE: Message = Message {
    name: "Payload.PropertyValue",
    fields: &[
        field("type", 1, Uint32),
        field("is_null", 2, Bool),
        one_of("int_value", 3, Uint32),
        one_of("long_value", 4, Uint64),
        one_of("float_value", 5, Float),
        one_of("double_value", 6, Double),
        one_of("boolean_value", 7, Bool),
        one_of("string_value", 8, Text),
        one_of("propertyset_value", 9, Kind::Message(&PROPERTY_SET)),
        one_of("propertysets_value", 10, Kind::Message(&PROPERTY_SET_LIST)),
        one_of("extension_value", 11, Kind::Message(&PROPERTY_EXTENSION)),
    ],
};

static PROPERTY_EXTENSION: Message =
    Message { name: "Payload.PropertyValue.PropertyValueExtension", fields: &[] };

static PROPERTY_SET_LIST: Message = Message {
    name: "Payload.PropertySetList",
    fields: &[repeated("propertyset", 1, Kind::Message(&PROPERTY_SET))],
};

static DATA_SET: Message = Message {
    name: "Payload.DataSet",
    fields: &[
        field("num_of_columns", 1, Uint64),
        repeated("columns", 2, Text),
        repeated("types", 3, Uint32),
        repeated("rows", 4, Kind::Message(&ROW)),
    ],
};

static ROW: Message = Message {
    name: "Payload.DataSet.Row",
    fields: &[repeated("elements", 1, Kind::Message(&DATA_SET_VALUE))],
};

static DATA_SET_VALUE: Message = Message {
    name: "Payload.DataSet.DataSetValue",
    fields: &[
        one_of("int_value", 1, Uint32),
        one_of("long_value", 2, Uint64),
        one_of("float_value", 3, Float),
        one_of("double_value", 4, Double),
        one_of("boolean_value", 5, Bool),
        one_of("string_value", 6, Text),
        one_of("extension_value", 7, Kind::Message(&DATA_SET_EXTENSION)),
    ],
};

static DATA_SET_EXTENSION: Message =
    Message { name: "Payload.DataSet.DataSetValue.DataSetValueExtension", fields: &[] };

static TEMPLATE: Message = Message {
    name: "Payload.Template",
    fields: &[
        field("version", 1, Text),
        repeated("metrics", 2, Kind::Message(&METRIC)),
        repeated("parameters", 3, Kind::Message(&PARAMETER)),
        field("template_ref", 4, Text),
        field("is_definition", 5, Bool),
    ],
};

static PARAMETER: Message = Message {
    name: "Payload.Template.Parameter",
    fields: &[
        field("name", 1, Text),
        field("type", 2, Uint32),
        one_of("int_value", 3, Uint32),
        one_of("long_value", 4, Uint64),
        one_of("float_value", 5, Float),
        one_of("double_value", 6, Double),
        one_of("boolean_value", 7, Bool),
        one_of("string_value", 8, Text),
        one_of("extension_value", 9, Kind::Message(&PARAMETER_EXTENSION)),
    ],
};

static PARAMETER_EXTENSION: Message =
    Message { name: "Payload.Template.Parameter.ParameterValueExtension", fields: &[] };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_numbered_in_order_and_lead_to_known_messages() {
        for message in MESSAGES {
            assert!(
                message.fields.windows(2).all(|pair| pair[0].number < pair[1].number),
                "{}",
                message.name
            );
            for field in message.fields {
                if let Kind::Message(inner) = field.kind {
                    assert!(MESSAGES.iter().any(|known| std::ptr::eq(*known, inner)), "{}", inner.name);
                }
            }
        }
    }
}
