//! The settings that all kinds of connectors, sources and actions have in common.

use config::FieldDefault::{Absent, Bool, Empty, Int, Required, Text};
use config::{Field, FieldKind, Settings, field};
use diagnostic::{Code, Diagnostic};

use crate::queue::QueueOptions;

/// `enable`.
pub const ENABLE: Field = field(
    "enable",
    FieldKind::Bool,
    Bool(true),
    "Whether it runs; one that does not is kept and shows as stopped.",
);
/// `tags`.
pub const TAGS: Field = field("tags", FieldKind::StrList, Empty, "Words to find it by.");
/// `description`.
pub const DESCRIPTION: Field = field("description", FieldKind::Str, Text(""), "What it is for.");
/// `connector`, of sources and actions.
pub const CONNECTOR: Field = field(
    "connector",
    FieldKind::Str,
    Required,
    "The name of the connector, of the same type, that it uses.",
);

/// `resource_opts` of a connector.
pub const CONNECTOR_RESOURCE_OPTS: Field = field(
    "resource_opts",
    FieldKind::Table(&[
        HEALTH_CHECK_INTERVAL,
        HEALTH_CHECK_TIMEOUT,
        field(
            "start_after_created",
            FieldKind::Bool,
            Bool(true),
            "Kept for the reference's files: a connector always connects when it is enabled.",
        ),
        field(
            "start_timeout",
            FieldKind::Duration,
            Text("5s"),
            "Kept for the reference's files: nothing here waits for a connector to start.",
        ),
    ]),
    Empty,
    "How the connector is looked after.",
);

/// `resource_opts` of a source.
pub const SOURCE_RESOURCE_OPTS: Field = field(
    "resource_opts",
    FieldKind::Table(&[
        HEALTH_CHECK_INTERVAL,
        HEALTH_CHECK_INTERVAL_JITTER,
        HEALTH_CHECK_TIMEOUT,
        RESUME_INTERVAL,
    ]),
    Empty,
    "How the source is looked after.",
);

/// `resource_opts` of an action: its queue. Read it with [`queue_options`].
pub const ACTION_RESOURCE_OPTS: Field = field(
    "resource_opts",
    FieldKind::Table(&[
        field(
            "buffer_mode",
            FieldKind::OneOf(&["memory", "memory_only", "hybrid", "volatile_offload", "disk"]),
            Text("memory"),
            "Where requests wait. `memory_only` is an alias of `memory`, `volatile_offload` of `hybrid`.",
        ),
        Field {
            aliases: &["max_queue_bytes"],
            ..field(
                "max_buffer_bytes",
                FieldKind::Bytes,
                Text("256MB"),
                "What may wait for the whole action; past it the oldest requests are dropped, but none whose acknowledgement waits.",
            )
        },
        Field {
            aliases: &["request_timeout"],
            ..field(
                "request_ttl",
                FieldKind::DurationOrInfinity,
                Text("45s"),
                "How long a request may wait before it is dropped; one whose acknowledgement waits never is.",
            )
        },
        Field {
            aliases: &["async_inflight_window"],
            ..field(
                "inflight_window",
                FieldKind::Int { min: 1, max: u32::MAX as i64 },
                Absent,
                "How many requests of the whole action may be unacknowledged at once; without it each connection has its own bound.",
            )
        },
        HEALTH_CHECK_INTERVAL,
        HEALTH_CHECK_INTERVAL_JITTER,
        HEALTH_CHECK_TIMEOUT,
        RESUME_INTERVAL,
        field(
            "query_mode",
            FieldKind::OneOf(&["async", "sync"]),
            Text("async"),
            "Kept for the reference's files: requests are always pipelined.",
        ),
        field(
            "worker_pool_size",
            FieldKind::Int { min: 1, max: 1024 },
            Int(16),
            "Kept for the reference's files: the connections of the connector are the workers.",
        ),
        field(
            "dispatch_strategy",
            FieldKind::OneOf(&["per_clientid", "random"]),
            Text("per_clientid"),
            "Kept for the reference's files: what one publisher sends to one topic stays in order.",
        ),
        field(
            "buffer_seg_bytes",
            FieldKind::Bytes,
            Absent,
            "Kept for the reference's files: segments have a size of their own.",
        ),
        field(
            "metrics_flush_interval",
            FieldKind::Duration,
            Text("5s"),
            "Kept for the reference's files: metrics are always current.",
        ),
    ]),
    Empty,
    "The queue of the action and how it is looked after.",
);

const HEALTH_CHECK_INTERVAL: Field = field(
    "health_check_interval",
    FieldKind::Duration,
    Text("15s"),
    "Kept for the reference's files: a connection notices by itself within seconds that it is lost.",
);
const HEALTH_CHECK_INTERVAL_JITTER: Field = field(
    "health_check_interval_jitter",
    FieldKind::Duration,
    Text("0ms"),
    "Kept for the reference's files; see `health_check_interval`.",
);
const HEALTH_CHECK_TIMEOUT: Field = field(
    "health_check_timeout",
    FieldKind::Duration,
    Text("60s"),
    "Kept for the reference's files; see `health_check_interval`.",
);
const RESUME_INTERVAL: Field = field(
    "resume_interval",
    FieldKind::Duration,
    Absent,
    "Kept for the reference's files: what failed is sent again as soon as the connection is back.",
);

/// The settings that are accepted because files of the reference have them, and that change nothing here.
const WITHOUT_EFFECT: &[&str] = &[
    "health_check_interval",
    "health_check_interval_jitter",
    "health_check_timeout",
    "resume_interval",
    "start_after_created",
    "start_timeout",
    "query_mode",
    "worker_pool_size",
    "dispatch_strategy",
    "buffer_seg_bytes",
    "metrics_flush_interval",
];

/// Reads the `resource_opts` of an action.
pub fn queue_options(resource_opts: &Settings) -> QueueOptions {
    QueueOptions {
        buffer_bytes_max: resource_opts.bytes("max_buffer_bytes"),
        request_ttl: resource_opts.duration_or_infinity("request_ttl"),
        inflight_window: resource_opts
            .opt_int("inflight_window")
            .and_then(|window| u32::try_from(window).ok()),
    }
}

/// Says what of any `resource_opts` is not there yet, and what was written though it changes nothing.
pub fn check_resource_opts(resource_opts: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    let has_queue = resource_opts.fields().iter().any(|field| field.name == "buffer_mode");
    if has_queue && !matches!(resource_opts.one_of("buffer_mode"), "memory" | "memory_only") {
        let message = format!("`buffer_mode = \"{}\"` is not there yet", resource_opts.one_of("buffer_mode"));
        let diagnostic = Diagnostic::new(Code::SettingNotYet, resource_opts.span("buffer_mode"), message);
        diagnostics.push(
            diagnostic.help("leave it out, or write `memory`: what waits is then lost with the process"),
        );
    }
    without_effect(resource_opts, WITHOUT_EFFECT, diagnostics);
}

/// Warns of each of these settings that was written though it changes nothing; its summary says why. One that says what
/// holds anyway is no mistake.
pub fn without_effect(settings: &Settings, names: &[&str], diagnostics: &mut Vec<Diagnostic>) {
    for field in departures(settings, names) {
        let message = format!("`{}` has no effect here", field.name);
        let why = field.summary.trim_start_matches(KEPT).trim_start_matches([':', ';', ' ']);
        let span = settings.key_span(field.name);
        diagnostics.push(Diagnostic::new(Code::IneffectiveSetting, span, message).help(why));
    }
}

/// Refuses each of these settings that was written with another value than its default: it is not there yet.
pub fn not_yet(settings: &Settings, names: &[&str], diagnostics: &mut Vec<Diagnostic>) {
    for field in departures(settings, names) {
        let message = format!("`{}` is not there yet", field.name);
        diagnostics.push(Diagnostic::new(Code::SettingNotYet, settings.key_span(field.name), message));
    }
}

const KEPT: &str = "Kept for the reference's files";

/// Those of these settings that were written and say something else than their default.
fn departures<'s>(
    settings: &'s Settings,
    names: &'s [&str],
) -> impl Iterator<Item = &'static Field> + use<'s> {
    settings.fields().iter().filter(|field| {
        names.contains(&field.name) && settings.is_given(field.name) && !is_default(settings, field)
    })
}

fn is_default(settings: &Settings, field: &Field) -> bool {
    let shown = &settings.to_json()[field.name];
    match field.default {
        Text(text) => shown.as_str() == Some(text),
        Bool(default) => shown.as_bool() == Some(default),
        Int(default) => shown.as_i64() == Some(default),
        Empty => shown.as_array().is_some_and(Vec::is_empty),
        Required | Absent => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use config::{Section, check};

    use super::*;

    static FIELDS: &[Field] = &[ACTION_RESOURCE_OPTS];

    fn read(toml: &str) -> (QueueOptions, Vec<Code>) {
        let mut diagnostics = Vec::new();
        let section = Section::parse_toml(&format!("resource_opts = {{ {toml} }}"), &mut diagnostics);
        let settings = check(&section, FIELDS, Path::new("."), &mut diagnostics);
        let resource_opts = settings.table("resource_opts");
        check_resource_opts(resource_opts, &mut diagnostics);
        (queue_options(resource_opts), diagnostics.into_iter().map(|diagnostic| diagnostic.code).collect())
    }

    #[test]
    fn defaults_are_the_references_and_silent() {
        let (options, codes) = read("");
        assert_eq!(options.buffer_bytes_max, 256 << 20);
        assert_eq!(options.request_ttl, Some(Duration::from_secs(45)));
        assert_eq!(options.inflight_window, None);
        assert!(codes.is_empty());
        assert!(
            read("query_mode = \"async\", worker_pool_size = 16, buffer_mode = \"memory_only\"").1.is_empty()
        );
    }

    #[test]
    fn old_spellings_work_and_what_is_missing_is_said() {
        let (options, _) = read("request_timeout = \"infinity\", max_queue_bytes = \"1MB\"");
        assert_eq!((options.request_ttl, options.buffer_bytes_max), (None, 1 << 20));
        assert_eq!(read("buffer_mode = \"disk\"").1, [Code::SettingNotYet]);
        assert_eq!(read("query_mode = \"sync\"").1, [Code::IneffectiveSetting]);
    }
}
