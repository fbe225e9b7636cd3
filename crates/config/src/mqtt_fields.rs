//! What `[mqtt]` may hold, declared once. The tables of listeners repeat its limits, so the lists are put together here.

use crate::acl::ACL_FIELDS;
use crate::field::{Field, FieldDefault, FieldKind, field};

const fn count(name: &'static str, min: i64, max: i64, default: i64, summary: &'static str) -> Field {
    field(name, FieldKind::Int { min, max }, FieldDefault::Int(default), summary)
}

/// What the clients of a listener may cost.
pub(crate) const LIMITS: [Field; 15] = [
    count(
        "max_connections",
        1,
        10_000_000,
        100_000,
        "Connections at a time; who comes after that is refused.",
    ),
    count(
        "max_conn_rate",
        0,
        1_000_000,
        0,
        "Connections taken in a second, `0` for any number; what comes faster waits.",
    ),
    field(
        "connect_timeout",
        FieldKind::Duration,
        FieldDefault::Text("15s"),
        "How long a client may take until it is connected, TLS and WebSocket included.",
    ),
    field(
        "max_packet_size",
        FieldKind::Bytes,
        FieldDefault::Text("1MB"),
        "The largest packet a client may send.",
    ),
    count(
        "max_inflight",
        1,
        65_535,
        1_000,
        "Messages of QoS 1 and 2 on their way to one client and not acknowledged; its Receive Maximum may be lower.",
    ),
    count(
        "receive_maximum",
        1,
        65_535,
        1_000,
        "Messages of QoS 1 and 2 that one client may have sent and not seen acknowledged.",
    ),
    count(
        "max_mqueue_len",
        1,
        100_000_000,
        10_000,
        "Messages that wait for one client; past it the oldest go, those of QoS 0 first.",
    ),
    field(
        "max_mqueue_bytes",
        FieldKind::Bytes,
        FieldDefault::Text("16MB"),
        "Bytes of the messages that wait for one client; past it the oldest go, those of QoS 0 first.",
    ),
    count("max_subscriptions", 1, 10_000_000, 10_000, "Subscriptions of one client."),
    field(
        "max_subscription_bytes",
        FieldKind::Bytes,
        FieldDefault::Text("16MB"),
        "Bytes of the topic filters of one client, each counted with 64 for every level; past it SUBACK says 0x97.",
    ),
    count("max_topic_levels", 1, 65_535, 128, "Levels of a topic or topic filter."),
    count("max_clientid_len", 1, 65_535, 65_535, "Bytes of a client id."),
    count(
        "max_keepalive",
        0,
        65_535,
        0,
        "Seconds of the longest keep-alive, `0` for any; MQTT 5 clients that want none or a longer one are told to keep this.",
    ),
    count(
        "max_message_rate",
        0,
        100_000_000,
        0,
        "Messages that one client may send in a second, `0` for any number; what comes faster is read later.",
    ),
    field(
        "allow_anonymous",
        FieldKind::Bool,
        FieldDefault::Bool(false),
        "Whether clients may come without credentials although others need them, and whether an address that others can reach \
         may be bound although nobody needs any.",
    ),
];

/// What any listener may have.
const LISTENER_OWN: [Field; 3] = [
    field(
        "type",
        FieldKind::OneOf(&["tcp", "tls", "ws", "wss"]),
        FieldDefault::Required,
        "What is spoken below MQTT.",
    ),
    field(
        "name",
        FieldKind::Str,
        FieldDefault::Absent,
        "The name in logs, status and metrics; the type if left out.",
    ),
    field(
        "listen",
        FieldKind::Str,
        FieldDefault::Absent,
        "The address, with or without port; `127.0.0.1` if left out, with port 1883 for `tcp`, 8883 for `tls`, 8083 for `ws`, \
         8084 for `wss`.",
    ),
];

/// What listeners of type `tls` and `wss` have.
pub(crate) const LISTENER_TLS: [Field; 8] = [
    field(
        "certfile",
        FieldKind::Path,
        FieldDefault::Absent,
        "The server's certificate and those between it and the root (PEM).",
    ),
    field("keyfile", FieldKind::Path, FieldDefault::Absent, "The private key of the certificate (PEM)."),
    field(
        "password",
        FieldKind::Secret,
        FieldDefault::Absent,
        "What opens the private key if it is encrypted.",
    ),
    field(
        "cacertfile",
        FieldKind::Path,
        FieldDefault::Absent,
        "Who vouches for the certificates of clients (PEM).",
    ),
    field(
        "verify",
        FieldKind::OneOf(&["verify_none", "verify_peer"]),
        FieldDefault::Text("verify_none"),
        "Whether clients are asked for a certificate.",
    ),
    field(
        "fail_if_no_peer_cert",
        FieldKind::Bool,
        FieldDefault::Bool(false),
        "Whether clients without a certificate are refused.",
    ),
    field(
        "peer_cert_as_username",
        FieldKind::OneOf(&["cn", "dn", "san"]),
        FieldDefault::Absent,
        "What of a client's certificate is its user name: the common name, the whole subject, or the first alternative name. \
         The certificate then takes the place of a password.",
    ),
    field(
        "versions",
        FieldKind::StrList,
        FieldDefault::Absent,
        "The versions of TLS: `tlsv1.3` and `tlsv1.2`; both if left out.",
    ),
];

/// What listeners of type `ws` and `wss` have.
pub(crate) const LISTENER_WEBSOCKET: [Field; 2] = [
    field("path", FieldKind::Str, FieldDefault::Text("/mqtt"), "The path of the WebSocket."),
    field(
        "allowed_origins",
        FieldKind::StrList,
        FieldDefault::Absent,
        "Web pages that may open a WebSocket, as in `https://app.example.com`, or `*`. Left out: any where clients need \
         credentials, otherwise those of this machine, by its address or as `localhost`.",
    ),
];

const LISTENER_ITS: [Field; 13] = joined(LISTENER_OWN, joined::<8, 2, 10>(LISTENER_TLS, LISTENER_WEBSOCKET));
const LISTENER_ALL: [Field; 28] = joined(LISTENER_ITS, inherited(LIMITS));
const LISTENER_FIELDS: &[Field] = &LISTENER_ALL;

const JWT_FIELDS: &[Field] = &[
    field("secret", FieldKind::Secret, FieldDefault::Absent, "The secret of HS256, HS384 and HS512."),
    field(
        "public_key",
        FieldKind::Path,
        FieldDefault::Absent,
        "The public key of RS…, PS…, ES… or EdDSA (PEM); read anew when it changes.",
    ),
    field(
        "jwks",
        FieldKind::Path,
        FieldDefault::Absent,
        "A file with a JSON Web Key Set; read anew when it changes.",
    ),
    field(
        "algorithms",
        FieldKind::StrList,
        FieldDefault::Absent,
        "The algorithms that are taken, as in `RS256`; those that go with the key if left out.",
    ),
    field(
        "from",
        FieldKind::OneOf(&["password", "username"]),
        FieldDefault::Text("password"),
        "Where clients put the token.",
    ),
    field(
        "username_claim",
        FieldKind::Str,
        FieldDefault::Absent,
        "The claim that is the user name from then on, whatever CONNECT says: `sub`, for example.",
    ),
    field(
        "verify_claims",
        FieldKind::TemplateMap,
        FieldDefault::Empty,
        "Claims and what they must be; `${clientid}` and `${username}` stand for what CONNECT says.",
    ),
    field(
        "leeway",
        FieldKind::Duration,
        FieldDefault::Text("0s"),
        "How far clocks may differ when `exp`, `nbf` and `iat` are looked at.",
    ),
];

const PERSISTENCE_FIELDS: &[Field] = &[
    field(
        "enable",
        FieldKind::Bool,
        FieldDefault::Bool(true),
        "Whether persistent sessions and retained messages are kept on the disk, in `broker` below the data folder.",
    ),
    field(
        "fsync",
        FieldKind::OneOf(&["always", "interval", "never"]),
        FieldDefault::Text("interval"),
        "When what was written is forced onto the disk. The acknowledgement follows the write in any case, so a crash of \
         the server loses nothing. `always`: before each acknowledgement, so a power cut loses nothing either; \
         `interval`: within `fsync_interval`; `never`: when the system wants.",
    ),
    field(
        "fsync_interval",
        FieldKind::Duration,
        FieldDefault::Text("10ms"),
        "What a power cut can take with `fsync = \"interval\"`.",
    ),
    field(
        "max_bytes",
        FieldKind::Bytes,
        FieldDefault::Text("1GB"),
        "What messages queued for all persistent sessions may take; past it further ones are dropped and counted.",
    ),
];

const OWN: [Field; 15] = [
    field(
        "listen",
        FieldKind::Str,
        FieldDefault::Text("127.0.0.1:1883"),
        "The address of the embedded broker for MQTT over TCP; `none` where only `[[mqtt.listeners]]` listen.",
    ),
    field(
        "listeners",
        FieldKind::TableList(LISTENER_FIELDS),
        FieldDefault::Empty,
        "More listeners. What one of them leaves out is as `[mqtt]` says.",
    ),
    field(
        "users",
        FieldKind::Path,
        FieldDefault::Absent,
        "A file of users and hashed passwords, as `sluicegate passwd` writes it; read anew when it changes.",
    ),
    field(
        "jwt",
        FieldKind::Table(JWT_FIELDS),
        FieldDefault::Empty,
        "Clients that come with a JSON Web Token.",
    ),
    field("acl", FieldKind::Table(ACL_FIELDS), FieldDefault::Empty, "Who may publish and subscribe to what."),
    field(
        "session_expiry_interval",
        FieldKind::Duration,
        FieldDefault::Text("7d"),
        "How long a session without a connection is kept: the most that an MQTT 5 client may ask for, and what clients of \
         3.1 and 3.1.1 get.",
    ),
    field(
        "max_sessions",
        FieldKind::Int { min: 1, max: 100_000_000 },
        FieldDefault::Int(1_000_000),
        "Sessions, with and without a connection; past it no client gets a new one that would be kept when it leaves.",
    ),
    field(
        "max_total_subscription_bytes",
        FieldKind::Bytes,
        FieldDefault::Text("1GB"),
        "Bytes of the topic filters of all clients, in the same way.",
    ),
    field(
        "max_total_will_bytes",
        FieldKind::Bytes,
        FieldDefault::Text("256MB"),
        "Bytes of the wills of all clients, connected or not; past it a client with a will is refused with 0x97.",
    ),
    field(
        "max_total_mqueue_bytes",
        FieldKind::Bytes,
        FieldDefault::Text("1GB"),
        "Bytes of messages that wait for clients or are under way to them, of all clients; past it those that have the most lose \
         messages, those of QoS 0 first.",
    ),
    field(
        "max_retained_messages",
        FieldKind::Int { min: 0, max: 100_000_000 },
        FieldDefault::Int(100_000),
        "Retained messages; past it no further topic is retained, which is counted.",
    ),
    field(
        "max_retained_bytes",
        FieldKind::Bytes,
        FieldDefault::Text("64MB"),
        "Bytes of retained messages, in the same way.",
    ),
    field(
        "sys_msg_interval",
        FieldKind::Duration,
        FieldDefault::Text("1m"),
        "How often the topics below `$SYS` are renewed; 0 for none of them.",
    ),
    field(
        "persistence",
        FieldKind::Table(PERSISTENCE_FIELDS),
        FieldDefault::Empty,
        "What of sessions and retained messages outlives the server.",
    ),
    field(
        "ack",
        FieldKind::OneOf(&["received", "stored", "delivered"]),
        FieldDefault::Absent,
        "When a publisher is acknowledged; left out, as soon as its message is safe where an action is durable, and at once \
         elsewhere.",
    ),
];

const ALL: [Field; 30] = joined(OWN, LIMITS);
/// What `[mqtt]` may hold.
pub(crate) const MQTT_FIELDS: &[Field] = &ALL;

/// The same settings without defaults: what is left out is inherited.
const fn inherited<const N: usize>(mut fields: [Field; N]) -> [Field; N] {
    let mut at = 0;
    while at < N {
        fields[at].default = FieldDefault::Absent;
        at += 1;
    }
    fields
}

const fn joined<const A: usize, const B: usize, const N: usize>(
    first: [Field; A],
    then: [Field; B],
) -> [Field; N] {
    assert!(A + B == N);
    let mut all = [first[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < A { first[at] } else { then[at - A] };
        at += 1;
    }
    all
}
