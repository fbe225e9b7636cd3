//! What `sluicegate.toml` may hold, declared once.

use crate::field::{Field, FieldDefault, FieldKind, field};
use crate::mqtt_fields::MQTT_FIELDS;

const NODE_FIELDS: &[Field] = &[
    field(
        "name",
        FieldKind::Str,
        FieldDefault::Text("sluicegate@127.0.0.1"),
        "The name of this node, as events and answers show it; client ids of connectors carry its hash.",
    ),
    field(
        "worker_threads",
        FieldKind::Int { min: 1, max: 1_024 },
        FieldDefault::Absent,
        "Threads that move messages and evaluate rules; left out, one for each processor.",
    ),
];

const LOCAL_FIELDS: &[Field] = &[
    field(
        "broker",
        FieldKind::Str,
        FieldDefault::Text("embedded"),
        "Where local topics live: `embedded`, or a broker that runs already, as `mqtt://host:1883` or `mqtts://host:8883`; it \
         must speak MQTT 5, and there is no embedded one then.",
    ),
    field(
        "share_group",
        FieldKind::Str,
        FieldDefault::Absent,
        "The share group of the subscriptions at that broker: nodes with the same one take turns. Without it each hears \
         everything.",
    ),
    field(
        "ack",
        FieldKind::OneOf(&["received", "stored", "delivered"]),
        FieldDefault::Absent,
        "When that broker hears that a message is safe; left out, when every action has delivered it.",
    ),
    field(
        "connector",
        FieldKind::Any,
        FieldDefault::Absent,
        "How to connect to that broker: a table with the settings of an MQTT connector but `server`. `clean_start` is `false` \
         and `pool_size` 1 unless it says otherwise.",
    ),
];

const API_KEY_FIELDS: &[Field] = &[
    field("key", FieldKind::Str, FieldDefault::Required, "The name of the key: the user of HTTP Basic."),
    field(
        "secret",
        FieldKind::Secret,
        FieldDefault::Required,
        "The secret of the key: the password of HTTP Basic.",
    ),
    field(
        "role",
        FieldKind::OneOf(&["administrator", "viewer"]),
        FieldDefault::Text("administrator"),
        "What the key may do.",
    ),
];

const HTTP_FIELDS: &[Field] = &[
    field(
        "listen",
        FieldKind::Str,
        FieldDefault::Text("127.0.0.1:18083"),
        "The address of the API, metrics and health.",
    ),
    field(
        "api_keys",
        FieldKind::TableList(API_KEY_FIELDS),
        FieldDefault::Empty,
        "Who may use the API; nobody else once there is one.",
    ),
    field(
        "allow_anonymous",
        FieldKind::Bool,
        FieldDefault::Bool(false),
        "Whether an address that others can reach may be bound although there are no API keys.",
    ),
];

const RULES_FIELDS: &[Field] = &[
    field(
        "dirs",
        FieldKind::StrList,
        FieldDefault::Absent,
        "The folders of rule and resource files: `rules` if left out.",
    ),
    field(
        "watch",
        FieldKind::Bool,
        FieldDefault::Bool(true),
        "Whether changes in them take effect by themselves.",
    ),
    field(
        "strict",
        FieldKind::Bool,
        FieldDefault::Bool(false),
        "Whether any error keeps everything as it was, and refuses the start.",
    ),
];

const DATA_FIELDS: &[Field] = &[
    field(
        "dir",
        FieldKind::Path,
        FieldDefault::Absent,
        "The folder of buffers, dead letters and what the API created: `data` if left out.",
    ),
    field(
        "max_dead_letter_bytes",
        FieldKind::Bytes,
        FieldDefault::Text("256MB"),
        "What dead letters may take on disk; past it the oldest go.",
    ),
];

const SSRF_FIELDS: &[Field] = &[
    field(
        "enable",
        FieldKind::Bool,
        FieldDefault::Bool(false),
        "Whether HTTP connectors may only reach what the lists below leave them.",
    ),
    field(
        "allow_cidrs",
        FieldKind::StrList,
        FieldDefault::Empty,
        "Networks that may be reached whatever the other lists say, such as `10.20.0.0/16`.",
    ),
    field(
        "deny_cidrs",
        FieldKind::StrList,
        FieldDefault::Absent,
        "Networks that may not be reached; left out, all that are not of the public Internet: loopback, private, link-local with the metadata services of clouds, and their like.",
    ),
    field("deny_hosts", FieldKind::StrList, FieldDefault::Empty, "Host names that may not be reached."),
];

const LOG_FIELDS: &[Field] = &[
    field(
        "level",
        FieldKind::OneOf(&["error", "warn", "info", "debug", "trace"]),
        FieldDefault::Text("info"),
        "What is logged: this and what is worse.",
    ),
    field("format", FieldKind::OneOf(&["text", "json"]), FieldDefault::Text("text"), "How it is logged."),
];

/// What `sluicegate.toml` may hold.
pub const SERVER_FIELDS: &[Field] = &[
    field("node", FieldKind::Table(NODE_FIELDS), FieldDefault::Empty, "This node."),
    field("mqtt", FieldKind::Table(MQTT_FIELDS), FieldDefault::Empty, "The embedded broker."),
    field("local", FieldKind::Table(LOCAL_FIELDS), FieldDefault::Empty, "Where local topics live."),
    field("http", FieldKind::Table(HTTP_FIELDS), FieldDefault::Empty, "The HTTP listener."),
    field("rules", FieldKind::Table(RULES_FIELDS), FieldDefault::Empty, "The rules folders."),
    field("data", FieldKind::Table(DATA_FIELDS), FieldDefault::Empty, "The data folder."),
    field(
        "ssrf",
        FieldKind::Table(SSRF_FIELDS),
        FieldDefault::Empty,
        "Where HTTP connectors may connect to, so that rules and API keys open no way into the network of this machine.",
    ),
    field("log", FieldKind::Table(LOG_FIELDS), FieldDefault::Empty, "The log."),
    field(
        "shutdown_timeout",
        FieldKind::Duration,
        FieldDefault::Text("10s"),
        "How long the server takes at most to drain when it is told to stop.",
    ),
];
