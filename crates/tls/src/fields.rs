//! The `ssl` table of whatever connects to somebody else.

use config::FieldDefault::{Absent, Bool, Empty, Int, Text};
use config::{Field, FieldKind, field};

/// What an `ssl` table may hold. Names and defaults are those of the reference.
pub const FIELDS: &[Field] = &[
    field(
        "enable",
        FieldKind::Bool,
        Bool(false),
        "Whether to use TLS; `mqtts://` or `https://` in the address says so too.",
    ),
    field(
        "cacertfile",
        FieldKind::Path,
        Absent,
        "Whom to trust (PEM); without it those whom the operating system trusts.",
    ),
    field("certfile", FieldKind::Path, Absent, "Our certificate, where the remote asks for one (PEM)."),
    field("keyfile", FieldKind::Path, Absent, "The key of our certificate (PEM)."),
    field(
        "verify",
        FieldKind::OneOf(&["verify_peer", "verify_none"]),
        Text("verify_peer"),
        "Whether the remote must prove who it is. `verify_none` is open to whoever stands in between.",
    ),
    field(
        "server_name_indication",
        FieldKind::Str,
        Absent,
        "The name to ask for and to check the certificate against; without it the host of the address. `disable` asks for none.",
    ),
    field(
        "cacerts",
        FieldKind::Bool,
        Bool(false),
        "Whether to trust those whom the operating system trusts beside those in `cacertfile`; without `cacertfile` they are trusted anyway.",
    ),
    field(
        "password",
        FieldKind::Secret,
        Absent,
        "The password of an encrypted `keyfile` (PKCS#8: `BEGIN ENCRYPTED PRIVATE KEY`).",
    ),
    field(
        "depth",
        FieldKind::Int { min: 0, max: 255 },
        Int(10),
        "How many certificates may stand between that of the remote and one that is trusted.",
    ),
    field(
        "versions",
        FieldKind::StrList,
        Absent,
        "The versions of TLS to offer: `tlsv1.3` and `tlsv1.2`, both where this is left out. There are no older ones.",
    ),
    field(
        "ciphers",
        FieldKind::StrList,
        Empty,
        "The cipher suites to offer, the best first, by their names of IANA or OpenSSL; all that are safe where this is left out.",
    ),
    field(
        "partial_chain",
        FieldKind::Any,
        Absent,
        "Kept for the reference's files: every certificate in `cacertfile` is trusted by itself, intermediate ones too.",
    ),
    field(
        "managed_certs",
        FieldKind::Any,
        Absent,
        "There are no bundles of certificates here: name their files in `cacertfile`, `certfile` and `keyfile`.",
    ),
    field(
        "reuse_sessions",
        FieldKind::Bool,
        Bool(true),
        "Kept for the reference's files: sessions of TLS are always reused.",
    ),
    field(
        "secure_renegotiate",
        FieldKind::Bool,
        Bool(true),
        "Kept for the reference's files: there is no renegotiation.",
    ),
    field(
        "log_level",
        FieldKind::Str,
        Text("notice"),
        "Kept for the reference's files: the log has a level of its own.",
    ),
    field(
        "hibernate_after",
        FieldKind::Duration,
        Text("5s"),
        "Kept for the reference's files: there is no such thing here.",
    ),
    field("middlebox_comp_mode", FieldKind::Bool, Bool(true), "Kept for the reference's files: always on."),
];

/// The settings of `ssl` that change nothing.
pub const WITHOUT_EFFECT: &[&str] = &[
    "partial_chain",
    "reuse_sessions",
    "secure_renegotiate",
    "log_level",
    "hibernate_after",
    "middlebox_comp_mode",
];
