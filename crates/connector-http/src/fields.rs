//! What can be set on HTTP connectors and actions. Names and defaults are those of the reference, where it has them.

use config::FieldDefault::{Absent, Empty, Int, Required, Text};
use config::{Field, FieldKind, field};
use connector::options;

/// `connectors.http.NAME`.
pub(crate) static CONNECTOR: &[Field] = &[
    options::ENABLE,
    options::TAGS,
    options::DESCRIPTION,
    field(
        "url",
        FieldKind::Str,
        Required,
        "Where the server is, `http://host:port/path` or `https://…`; the `path` of each action is appended.",
    ),
    field(
        "headers",
        FieldKind::TemplateMap,
        Absent,
        "Headers of every request, as they stand; those of an action win over them.",
    ),
    field(
        "pool_size",
        FieldKind::Int { min: 1, max: 64 },
        Int(8),
        "How many workers share the requests. What one publisher sends to one topic always goes through the same one.",
    ),
    field(
        "enable_pipelining",
        FieldKind::Int { min: 1, max: 1000 },
        Int(100),
        "How many requests of one worker may be unanswered at once. Over HTTP/2 they share a connection, over HTTP/1.1 each \
         has one to itself while it waits; those that must stay in order wait for each other.",
    ),
    field(
        "pool_type",
        FieldKind::OneOf(&["random", "hash"]),
        Text("random"),
        "Kept for the reference's files: what must stay in order always does.",
    ),
    field(
        "connect_timeout",
        FieldKind::Duration,
        Text("15s"),
        "How long connecting may take, from the name to the end of the TLS handshake.",
    ),
    field("username", FieldKind::Str, Absent, "The user name of HTTP Basic authentication."),
    field("password", FieldKind::Secret, Absent, "The password of HTTP Basic authentication."),
    field(
        "oauth2",
        FieldKind::Table(OAUTH2),
        Absent,
        "Bearer tokens by OAuth 2.0 client credentials (RFC 6749 §4.4), fetched when needed and renewed before they expire.",
    ),
    field("ssl", FieldKind::Table(tls::FIELDS), Empty, "TLS; `https://` in `url` turns it on."),
    options::CONNECTOR_RESOURCE_OPTS,
];

const OAUTH2: &[Field] = &[
    field("token_url", FieldKind::Str, Required, "Where tokens are to be had, `https://…`."),
    field("client_id", FieldKind::Str, Required, "Who we are."),
    field("client_secret", FieldKind::Secret, Required, "And the secret that proves it."),
    field(
        "scope",
        FieldKind::Str,
        Absent,
        "What the token is to be good for; several words with blanks between.",
    ),
    field("audience", FieldKind::Str, Absent, "For whom the token is, where the issuer asks for it."),
];

/// The settings of a connector that change nothing.
pub(crate) const WITHOUT_EFFECT: &[&str] = &["pool_type"];

/// `actions.http.NAME`.
pub(crate) static ACTION: &[Field] = &[
    options::CONNECTOR,
    options::ENABLE,
    options::TAGS,
    options::DESCRIPTION,
    field("parameters", FieldKind::Table(PARAMETERS), Empty, "What to send."),
    options::FALLBACK_ACTIONS,
    options::BATCHING_ACTION_RESOURCE_OPTS,
];

const PARAMETERS: &[Field] = &[
    field(
        "path",
        FieldKind::Template,
        Absent,
        "Appended to the connector's `url`: path and query. What cannot stand in a URL is percent-encoded.",
    ),
    field(
        "method",
        FieldKind::OneOf(&["post", "put", "patch", "get", "delete"]),
        Text("post"),
        "The method.",
    ),
    field(
        "headers",
        FieldKind::TemplateMap,
        Absent,
        "Headers; `content-type` is `application/json` where nothing else is said.",
    ),
    field(
        "body",
        FieldKind::Template,
        Absent,
        "The body; without it, or empty, the whole row as JSON. `get` and `delete` send one only if it is given.",
    ),
    field(
        "request_timeout",
        FieldKind::Duration,
        Text("15s"),
        "How long the answer to one request may take; after that it is sent again.",
    ),
    field(
        "retry_statuses",
        FieldKind::StrList,
        Absent,
        "The statuses after which a request is sent again: `408`, `425`, `429`, `500`, `502`, `503` and `504` if left out. \
         Others that are no success are final.",
    ),
    field(
        "batch_format",
        FieldKind::OneOf(&["json_array", "lines"]),
        Text("json_array"),
        "How the bodies of a batch are joined: as the elements of a JSON array, or one a line. Only requests with the same \
         method, path and headers share a batch.",
    ),
];
