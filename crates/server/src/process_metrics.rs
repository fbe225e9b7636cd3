//! What the system says of this process, under the names that every Prometheus client uses.

use std::fs;

use api::{MetricKind, Sample};

/// One sample for each number that this system tells.
pub(crate) fn samples() -> Vec<Sample> {
    let mut all = Vec::new();
    let mut add = |name, help, kind, value: Option<f64>| {
        if let Some(value) = value {
            all.push(Sample { name, help, kind, labels: Vec::new(), value });
        }
    };
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let fields: Vec<&str> = stat.as_deref().map(fields).unwrap_or_default();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let field = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let pages = rustix::param::page_size() as f64;
    add(
        "process_cpu_seconds",
        "CPU time, of the system and our own.",
        MetricKind::Counter,
        field(UTIME).zip(field(STIME)).map(|(own, system)| (own + system) / ticks),
    );
    add(
        "process_resident_memory_bytes",
        "Memory that is in RAM.",
        MetricKind::Gauge,
        field(RSS).map(|count| count * pages),
    );
    add("process_virtual_memory_bytes", "Memory that is mapped.", MetricKind::Gauge, field(VSIZE));
    add("process_threads", "Threads.", MetricKind::Gauge, field(THREADS));
    add(
        "process_start_time_seconds",
        "When the process started, since 1970.",
        MetricKind::Gauge,
        field(STARTED).zip(booted_at()).map(|(since_boot, booted)| booted + since_boot / ticks),
    );
    add(
        "process_open_fds",
        "File handles that are open.",
        MetricKind::Gauge,
        // Reading the folder opens one.
        fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1) as f64),
    );
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    add(
        "process_max_fds",
        "File handles that may be open.",
        MetricKind::Gauge,
        limit.map(|limit| limit as f64),
    );
    add(
        "sluicegate_panics",
        "Panics that were caught: each is a bug, and the log tells of it.",
        MetricKind::Counter,
        Some(supervise::panics() as f64),
    );
    all
}

// Places in `/proc/self/stat` after the name of the program (proc(5) counts from 1, with the two before it).
const UTIME: usize = 11;
const STIME: usize = 12;
const THREADS: usize = 17;
const STARTED: usize = 19;
const VSIZE: usize = 20;
const RSS: usize = 21;

/// The fields after the program's name, which stands in parentheses and may have anything in it.
fn fields(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default()
}

/// When the machine started (seconds since 1970).
fn booted_at() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_may_be_called_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 12 34 0 0 20 0 5 0 999 1048576 256 0";
        let fields = fields(stat);
        assert_eq!((fields[UTIME], fields[STIME], fields[THREADS]), ("12", "34", "5"));
        assert_eq!((fields[STARTED], fields[VSIZE], fields[RSS]), ("999", "1048576", "256"));
    }

    #[test]
    fn this_process_has_plausible_numbers() {
        let samples = samples();
        let value = |name| samples.iter().find(|sample| sample.name == name).map(|sample| sample.value);
        assert!(value("process_resident_memory_bytes").is_some_and(|bytes| bytes > 100_000.0));
        assert!(value("process_open_fds").is_some_and(|count| count >= 3.0));
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map(|now| now.as_secs_f64());
        let started = value("process_start_time_seconds").unwrap_or_default();
        assert!(now.is_ok_and(|now| (now - started).abs() < 3600.0 && started > 1.7e9), "{started}");
    }
}
