//! What can be set on MQTT connectors, sources and actions. Names and defaults are those of the reference.

use config::FieldDefault::{Absent, Bool, Empty, Int, Required, Text};
use config::{Field, FieldKind, field};
use connector::options;

/// `connectors.mqtt.NAME`.
pub(crate) static CONNECTOR: &[Field] = &[
    options::ENABLE,
    options::TAGS,
    options::DESCRIPTION,
    field(
        "server",
        FieldKind::Str,
        Required,
        "The remote: `host`, `host:port`, `[v6]:port`, alone or after `mqtt://` or `mqtts://`. Without a port 1883, with TLS 8883.",
    ),
    field(
        "pool_size",
        FieldKind::Int { min: 1, max: 1024 },
        Int(8),
        "How many clients connect. What one publisher sends to one topic always goes through the same one.",
    ),
    field("clientid_prefix", FieldKind::Str, Absent, "Stands before every client id, followed by a colon."),
    field(
        "static_clientids",
        FieldKind::TableList(STATIC_CLIENTIDS),
        Empty,
        "The client ids that each node uses, in place of generated ones; each is one session for both directions.",
    ),
    field(
        "proto_ver",
        FieldKind::OneOf(&["v3", "v4", "v5"]),
        Text("v4"),
        "The version of the protocol: `v3` is MQTT 3.1, `v4` is MQTT 3.1.1, `v5` is MQTT 5.",
    ),
    field(
        "bridge_mode",
        FieldKind::Bool,
        Bool(false),
        "Tells the remote that this is a bridge, by the unofficial bit that some brokers know; not in MQTT 5.",
    ),
    field("username", FieldKind::Str, Absent, "The user name."),
    field("password", FieldKind::Secret, Absent, "The password."),
    field(
        "clean_start",
        FieldKind::Bool,
        Bool(true),
        "Whether every connection begins a new session. With `false` the remote keeps what comes while we are away.",
    ),
    field(
        "session_expiry_interval",
        FieldKind::Duration,
        Text("7d"),
        "How long the remote keeps the session while we are away; MQTT 5 with `clean_start = false` only.",
    ),
    field("keepalive", FieldKind::Duration, Text("160s"), "The longest silence before a ping; 0 for none."),
    field(
        "ping_timeout",
        FieldKind::Duration,
        Text("5s"),
        "How long a ping, or a publish before a ping is sent, may stay unanswered.",
    ),
    field(
        "connect_timeout",
        FieldKind::Seconds,
        Text("10s"),
        "How long connecting may take, from the name to the accepted login.",
    ),
    field(
        "retry_interval",
        FieldKind::Duration,
        Text("15s"),
        "After how long an unacknowledged publish is sent again on a live connection; MQTT 3.1 and 3.1.1 only, MQTT 5 forbids it.",
    ),
    field(
        "max_inflight",
        FieldKind::Int { min: 1, max: 65_535 },
        Int(32),
        "How many publishes of one client may be unacknowledged; the remote's Receive Maximum may lower it.",
    ),
    field(
        "max_hops",
        FieldKind::Int { min: 1, max: 254 },
        Int(8),
        "Over how many bridges between brokers a message may go, this one included; what has gone over more is going round, and fails. Known of messages of MQTT 5 only.",
    ),
    field("tcp_opts", FieldKind::Table(TCP_OPTS), Empty, "Options of the socket."),
    field("ssl", FieldKind::Table(tls::FIELDS), Empty, "TLS."),
    field(
        "mode",
        FieldKind::OneOf(&["cluster_shareload"]),
        Absent,
        "Kept for the reference's old files: there is one mode.",
    ),
    field(
        "reconnect_interval",
        FieldKind::Duration,
        Absent,
        "Kept for the reference's old files: pauses between attempts grow by themselves, and `POST …/start` ends one.",
    ),
    options::CONNECTOR_RESOURCE_OPTS,
];

/// The settings of a connector that change nothing.
pub(crate) const WITHOUT_EFFECT: &[&str] = &["reconnect_interval"];

const STATIC_CLIENTIDS: &[Field] = &[
    field("node", FieldKind::Str, Required, "The name of the node."),
    field(
        "ids",
        FieldKind::TableList(STATIC_IDS),
        Required,
        "Its client ids, each alone or with a login of its own.",
    ),
];

const STATIC_IDS: &[Field] = &[
    field("clientid", FieldKind::Str, Required, "The client id, used as it stands."),
    field("username", FieldKind::Str, Absent, "Its user name; without one that of the connector."),
    field("password", FieldKind::Secret, Absent, "Its password; without one that of the connector."),
];

const TCP_OPTS: &[Field] = &[
    field("nodelay", FieldKind::Bool, Bool(true), "Whether packets go out at once (TCP_NODELAY)."),
    field(
        "active_n",
        FieldKind::Int { min: 1, max: i64::MAX },
        Int(10),
        "Kept for the reference's files: there is no such thing here.",
    ),
    field(
        "delay_send",
        FieldKind::Bool,
        Bool(false),
        "Kept for the reference's files: packets always go out in batches.",
    ),
    field(
        "buffer",
        FieldKind::Bytes,
        Absent,
        "Kept for the reference's files: buffers grow as they need to.",
    ),
    field("sndbuf", FieldKind::Bytes, Absent, "The size of the system's send buffer."),
    field("recbuf", FieldKind::Bytes, Absent, "The size of the system's receive buffer."),
    field(
        "keepalive",
        FieldKind::Str,
        Text("none"),
        "Keep-alive of TCP: `none`, or `IDLE,INTERVAL,PROBES`: after so many seconds of silence a probe, then one every so many seconds, and the end after so many without an answer.",
    ),
];

/// The settings of `tcp_opts` that change nothing.
pub(crate) const TCP_WITHOUT_EFFECT: &[&str] = &["active_n", "delay_send", "buffer"];

/// What of a connector can change while its connections stay.
pub(crate) const CHANGE_LIVE: &[&str] = &[
    "enable",
    "tags",
    "description",
    "mode",
    "reconnect_interval",
    "pool_size",
    "static_clientids",
    "ping_timeout",
    "connect_timeout",
    "retry_interval",
    "max_inflight",
    "max_hops",
    "resource_opts",
];

/// `sources.mqtt.NAME`.
pub(crate) static SOURCE: &[Field] = &[
    options::CONNECTOR,
    options::ENABLE,
    options::TAGS,
    options::DESCRIPTION,
    field("parameters", FieldKind::Table(SOURCE_PARAMETERS), Required, "What to receive."),
    field(
        "ack",
        FieldKind::OneOf(&["received", "stored", "delivered"]),
        Text("delivered"),
        "When the remote hears that a message of QoS 1 is safe: when it was judged, when every action has stored it, or when every action has delivered it.",
    ),
    options::SOURCE_RESOURCE_OPTS,
];

const SOURCE_PARAMETERS: &[Field] = &[
    field(
        "topic",
        FieldKind::Str,
        Required,
        "The topic filter. With `$share/GROUP/…` or `$queue/…` every client of the pool subscribes, otherwise one.",
    ),
    field("qos", FieldKind::Int { min: 0, max: 2 }, Int(1), "The QoS: 0 or 1; 2 is taken as 1."),
    field(
        "no_local",
        FieldKind::Bool,
        Bool(false),
        "Whether to leave out what this same connector has published; MQTT 5 only.",
    ),
    field(
        "retain_as_published",
        FieldKind::Bool,
        Bool(true),
        "Whether RETAIN tells how a message was published, rather than whether it was kept; MQTT 5 only.",
    ),
];

/// `actions.mqtt.NAME`.
pub(crate) static ACTION: &[Field] = &[
    options::CONNECTOR,
    options::ENABLE,
    options::TAGS,
    options::DESCRIPTION,
    field("parameters", FieldKind::Table(ACTION_PARAMETERS), Required, "What to publish."),
    options::FALLBACK_ACTIONS,
    options::UNBATCHED_ACTION_RESOURCE_OPTS,
];

const ACTION_PARAMETERS: &[Field] = &[
    field("topic", FieldKind::Template, Required, "The topic to publish to."),
    field(
        "qos",
        FieldKind::IntTemplate { min: 0, max: 2 },
        Int(1),
        "The QoS; 0 where a template gives none.",
    ),
    field(
        "retain",
        FieldKind::BoolTemplate,
        Bool(false),
        "The RETAIN flag; false where a template gives none.",
    ),
    field(
        "payload",
        FieldKind::Template,
        Absent,
        "The payload; without it, or empty, the whole row as JSON.",
    ),
];
