//! The settings that all kinds of connectors, sources and actions have in common.

use config::FieldDefault::{Absent, Bool, Empty, Int, Required, Text};
use config::{Field, FieldKind, Settings, field};
use diagnostic::{Code, Diagnostic};

use std::time::Duration;

use crate::bounds::QueueOptions;
use crate::disk::{DiskOptions, Fsync};
use crate::overflow::{Expiry, Overflow};

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

/// `fallback_actions`, of actions.
pub const FALLBACK_ACTIONS: Field = field(
    "fallback_actions",
    FieldKind::TableList(FALLBACK),
    Empty,
    "What to do with what cannot be delivered, beside keeping it as a dead letter: their templates see the row, `failure.action`, `failure.stage`, `failure.reason`, `failure.sendings` and `failure.at`, and the columns of the event.",
);

const FALLBACK: &[Field] = &[
    field("kind", FieldKind::OneOf(&["reference", "republish"]), Required, "Another action, or republish."),
    field("type", FieldKind::Str, Absent, "The type of the other action."),
    field("name", FieldKind::Str, Absent, "The name of the other action."),
    field("args", FieldKind::Any, Absent, "The arguments of republish."),
];

/// `resource_opts` of a connector.
pub const CONNECTOR_RESOURCE_OPTS: Field = field(
    "resource_opts",
    FieldKind::Table(&[
        HEALTH_CHECK_INTERVAL,
        HEALTH_CHECK_INTERVAL_JITTER,
        HEALTH_CHECK_TIMEOUT,
        START_AFTER_CREATED,
        START_TIMEOUT,
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
            "Where requests wait: in `memory`; in memory and, what does not fit there, on disk, until the process ends (`hybrid`); or on `disk`, over restarts and crashes. `memory_only` is an alias of `memory`, `volatile_offload` of `hybrid`.",
        ),
        Field {
            aliases: &["max_queue_bytes"],
            ..field(
                "max_buffer_bytes",
                FieldKind::Bytes,
                Text("256MB"),
                "What may wait for the whole action; past it `overflow` says who gives way.",
            )
        },
        field(
            "overflow",
            FieldKind::OneOf(&["drop_oldest", "block", "drop_newest", "dead_letter"]),
            Absent,
            "Who gives way when the buffer is full: the oldest request (`drop_oldest`, the default of memory and hybrid buffers), the sender, who is not acknowledged until there is room (`block`, the default of disk buffers), the newest request (`drop_newest`), or the oldest, which is kept as a dead letter (`dead_letter`). A request whose acknowledgement waits is never dropped.",
        ),
        field(
            "fsync",
            FieldKind::OneOf(&["always", "interval", "never"]),
            Text("interval"),
            "When a disk buffer makes what it wrote survive a power cut: before it counts as stored (`always`), within `fsync_interval`, or when the system pleases (`never`). A crash or kill of the process loses nothing with any of them.",
        ),
        field(
            "fsync_interval",
            FieldKind::Duration,
            Text("10ms"),
            "How much of the last requests a power cut may take with `fsync = \"interval\"`.",
        ),
        field(
            "max_retries",
            FieldKind::Int { min: 0, max: u32::MAX as i64 - 1 },
            Absent,
            "How often a request is sent again that the far side refuses for now; past it, it is a dead letter. Left out, for as long as it takes. A lost connection is no refusal.",
        ),
        Field {
            aliases: &["request_timeout"],
            ..field(
                "request_ttl",
                FieldKind::DurationOrInfinity,
                Absent,
                "How long a request may wait before it expires; one whose acknowledgement waits never does. Left out, 45s in memory and hybrid buffers, and `infinity` in disk buffers.",
            )
        },
        field(
            "expiry",
            FieldKind::OneOf(&["drop", "dead_letter"]),
            Text("drop"),
            "What becomes of a request that waited longer than `request_ttl`.",
        ),
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
        START_AFTER_CREATED,
        START_TIMEOUT,
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
            "The size of one file of a buffer on disk; left out, a sixteenth of `max_buffer_bytes`, between 1MB and 16MB.",
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

/// [`ACTION_RESOURCE_OPTS`] for kinds whose far side takes several requests at once.
pub const BATCHING_ACTION_RESOURCE_OPTS: Field =
    Field { kind: FieldKind::Table(&WITH_BATCHES), ..ACTION_RESOURCE_OPTS };

const QUEUE: &[Field] = match ACTION_RESOURCE_OPTS.kind {
    FieldKind::Table(fields) => fields,
    _ => &[],
};
const fn and_batches(batch_size: Field, batch_time: Field) -> [Field; QUEUE.len() + 2] {
    let mut fields = [batch_size; QUEUE.len() + 2];
    let mut place = 0;
    while place < QUEUE.len() {
        fields[place] = QUEUE[place];
        place += 1;
    }
    fields[QUEUE.len() + 1] = batch_time;
    fields
}
const WITH_BATCHES: [Field; QUEUE.len() + 2] = and_batches(BATCH_SIZE, BATCH_TIME);
const BATCH_SIZE: Field = field(
    "batch_size",
    FieldKind::Int { min: 1, max: 10_000 },
    Int(1),
    "How many requests may travel as one.",
);
const BATCH_TIME: Field = field(
    "batch_time",
    FieldKind::Duration,
    Text("0ms"),
    "How long a request may wait for others to travel with.",
);

/// [`ACTION_RESOURCE_OPTS`] for kinds whose requests travel one by one, and whose files have these settings all the same. The
/// kind says that they are [without effect](BATCHES).
pub const UNBATCHED_ACTION_RESOURCE_OPTS: Field =
    Field { kind: FieldKind::Table(&WITHOUT_BATCHES), ..ACTION_RESOURCE_OPTS };

/// The settings of batches.
pub const BATCHES: &[&str] = &[BATCH_SIZE.name, BATCH_TIME.name];

const WITHOUT_BATCHES: [Field; QUEUE.len() + 2] = and_batches(
    Field { summary: "Kept for the reference's files: requests travel one by one.", ..BATCH_SIZE },
    Field { summary: "Kept for the reference's files; see `batch_size`.", ..BATCH_TIME },
);

const START_AFTER_CREATED: Field = field(
    "start_after_created",
    FieldKind::Bool,
    Bool(true),
    "Whether it starts by itself. With `false` it waits, also after a restart of the server, until somebody starts it: `POST /api/v5/connectors/TYPE:NAME/start`, or `actions` for an action. What rules hand to it waits in its buffer.",
);
const START_TIMEOUT: Field = field(
    "start_timeout",
    FieldKind::Duration,
    Text("5s"),
    "Kept for the reference's files: nothing here waits for a start.",
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
    "start_timeout",
    "query_mode",
    "worker_pool_size",
    "dispatch_strategy",
    "metrics_flush_interval",
];

/// Where the requests of an action wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BufferMode {
    /// In memory.
    Memory,
    /// In memory, with an overflow on disk that ends with the process.
    Hybrid(DiskOptions),
    /// On disk.
    Disk(DiskOptions),
}

/// How long a request may wait where nothing else is said, unless it is on disk for good.
const REQUEST_TTL: Duration = Duration::from_secs(45);

/// Reads the bounds in the `resource_opts` of an action.
pub fn queue_options(resource_opts: &Settings) -> QueueOptions {
    let is_disk = resource_opts.one_of("buffer_mode") == "disk";
    let small = |name| resource_opts.opt_int(name).and_then(|number| u32::try_from(number).ok());
    QueueOptions {
        buffer_bytes_max: resource_opts.bytes("max_buffer_bytes"),
        request_ttl: match (resource_opts.is_set("request_ttl"), is_disk) {
            (true, _) => resource_opts.duration_or_infinity("request_ttl"),
            (false, true) => None,
            (false, false) => Some(REQUEST_TTL),
        },
        inflight_window: small("inflight_window"),
        max_retries: small("max_retries"),
        overflow: match resource_opts.opt_one_of("overflow") {
            Some("block") => Overflow::Block,
            Some("drop_newest") => Overflow::DropNewest,
            Some("dead_letter") => Overflow::DeadLetter,
            Some(_) => Overflow::DropOldest,
            None if is_disk => Overflow::Block,
            None => Overflow::DropOldest,
        },
        expiry: if resource_opts.one_of("expiry") == "dead_letter" {
            Expiry::DeadLetter
        } else {
            Expiry::Drop
        },
    }
}

/// Reads where requests wait from the `resource_opts` of an action.
pub fn buffer_mode(resource_opts: &Settings) -> BufferMode {
    let bytes_max = resource_opts.bytes("max_buffer_bytes");
    let segment_bytes = resource_opts.opt_bytes("buffer_seg_bytes");
    let options = |is_volatile, memory_bytes| DiskOptions {
        fsync: match resource_opts.one_of("fsync") {
            "always" => Fsync::Always,
            "never" => Fsync::Never,
            _ => Fsync::Interval(resource_opts.duration("fsync_interval")),
        },
        segment_bytes: segment_bytes.map_or_else(
            || DiskOptions::segment_bytes_for(bytes_max),
            |bytes| bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
        ),
        memory_bytes,
        is_volatile,
    };
    match resource_opts.one_of("buffer_mode") {
        "disk" => BufferMode::Disk(options(false, DiskOptions::MEMORY_BYTES.min(bytes_max))),
        "hybrid" | "volatile_offload" => {
            BufferMode::Hybrid(options(true, DiskOptions::HYBRID_MEMORY_BYTES.min(bytes_max)))
        }
        _ => BufferMode::Memory,
    }
}

/// Smaller segments would make more files than is good for a folder; larger ones more memory than is good for a start.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Whether a connector or action with these settings starts by itself, as `resource_opts.start_after_created` says.
pub fn starts_by_itself(settings: &Settings) -> bool {
    let has = |settings: &Settings, name| settings.fields().iter().any(|field| field.name == name);
    if !has(settings, "resource_opts") {
        return true;
    }
    let resource_opts = settings.table("resource_opts");
    !has(resource_opts, START_AFTER_CREATED.name) || resource_opts.bool(START_AFTER_CREATED.name)
}

/// Says what of any `resource_opts` was written though it changes nothing.
pub fn check_resource_opts(resource_opts: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    without_effect(resource_opts, WITHOUT_EFFECT, diagnostics);
    let is_queue = resource_opts.fields().iter().any(|field| field.name == "buffer_mode");
    if is_queue && resource_opts.one_of("buffer_mode") != "disk" {
        for name in ["fsync", "fsync_interval"].into_iter().filter(|name| resource_opts.is_given(name)) {
            let message = format!("`{name}` has no effect here");
            let diagnostic = Diagnostic::new(Code::IneffectiveSetting, resource_opts.key_span(name), message);
            diagnostics.push(diagnostic.help("it is for `buffer_mode = \"disk\"`"));
        }
    }
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
    use std::time::Duration;

    use super::*;
    use crate::testing::checked;

    static FIELDS: &[Field] = &[ACTION_RESOURCE_OPTS];

    fn read(toml: &str) -> (QueueOptions, Vec<Code>) {
        let toml = format!("resource_opts = {{ {toml} }}");
        let (settings, diagnostics) = checked(&toml, FIELDS, |settings, diagnostics| {
            check_resource_opts(settings.table("resource_opts"), diagnostics);
        });
        let codes = diagnostics.into_iter().map(|diagnostic| diagnostic.code).collect();
        (queue_options(settings.table("resource_opts")), codes)
    }

    #[test]
    fn defaults_are_the_references_and_silent() {
        let (options, codes) = read("");
        assert_eq!(options.buffer_bytes_max, 256 << 20);
        assert_eq!(options.request_ttl, Some(Duration::from_secs(45)));
        assert_eq!((options.inflight_window, options.max_retries), (None, None));
        assert_eq!((options.overflow, options.expiry), (Overflow::DropOldest, Expiry::Drop));
        assert!(codes.is_empty());
        assert!(
            read("query_mode = \"async\", worker_pool_size = 16, buffer_mode = \"memory_only\"").1.is_empty()
        );
    }

    #[test]
    fn what_is_on_disk_waits_for_ever_and_holds_back_its_sender() {
        let (options, codes) = read("buffer_mode = \"disk\", fsync = \"always\"");
        assert_eq!((options.request_ttl, options.overflow), (None, Overflow::Block));
        assert!(codes.is_empty());
        let (options, _) = read("buffer_mode = \"disk\", request_ttl = \"5s\", overflow = \"dead_letter\"");
        assert_eq!(
            (options.request_ttl, options.overflow),
            (Some(Duration::from_secs(5)), Overflow::DeadLetter)
        );
        assert_eq!(read("buffer_mode = \"hybrid\"").0.request_ttl, Some(REQUEST_TTL));
    }

    #[test]
    fn old_spellings_work_and_what_is_missing_is_said() {
        let (options, _) = read("request_timeout = \"infinity\", max_queue_bytes = \"1MB\"");
        assert_eq!((options.request_ttl, options.buffer_bytes_max), (None, 1 << 20));
        assert_eq!(read("fsync = \"always\"").1, [Code::IneffectiveSetting]);
        assert_eq!(read("query_mode = \"sync\"").1, [Code::IneffectiveSetting]);
    }
}
