//! What is to be reached, and what of it is.

use serde_json::{Value, json};

use crate::jobs::JOBS;

/// A number of the result, and the bound that it is held against.
struct Target {
    what: String,
    unit: &'static str,
    measured: Option<f64>,
    bound: Bound,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}
use Bound::{AtLeast, AtMost};

const OF_MOSQUITTO: &str = "× mosquitto";

/// What is not a ratio to mosquitto's: what it is, its unit, where it stands in the result, its bound, and what to multiply
/// with.
const OTHERS: &[(&str, &str, &str, Bound, f64)] = &[
    ("a rule that filters everything out", "ns a message", "/rules/filter_ns", AtMost(150.0), 1.0),
    ("a further one on the same messages", "ns a message", "/rules/further_filter_ns", AtMost(100.0), 1.0),
    ("CPU with 10,000 rules on other topics", "× one rule", "/rules/10000_elsewhere", AtMost(1.05), 1.0),
    ("CPU with 100,000 rules on other topics", "× one rule", "/rules/100000_elsewhere", AtMost(1.1), 1.0),
    ("memory with 100,000 rules", "MiB", "/rules/cases/4/rss_kib", AtMost(500.0), 1.0 / 1024.0),
    ("memory at the start", "MiB", "/memory/sluicegate/start_kib", AtMost(12.0), 1.0 / 1024.0),
    ("an idle connection, 10,000 of them", "KiB", "/memory/sluicegate/connection_kib", AtMost(3.0), 1.0),
    ("start without rules", "ms", "/start/without_rules_ms", AtMost(50.0), 1.0),
    ("start with 3,000 rules", "ms", "/start/with_rules_ms", AtMost(1000.0), 1.0),
    ("reload of 10,000 rules with one change", "ms", "/reload/reload_ms", AtMost(300.0), 1.0),
    ("slowest message during it, past the usual p99", "ms", "/reload/delay_ms", AtMost(2.0), 1.0),
    ("CPU with the buffer on disk", "× in memory", "/buffers/disk_to_memory", AtMost(2.0), 1.0),
    (
        "messages through a disk buffer with `fsync = \"always\"`",
        "k/s",
        "/buffers/disk_always/messages_per_second",
        AtLeast(20.0),
        1e-3,
    ),
    (
        "drain of a disk buffer into a sluicegate",
        "k/s",
        "/drain/sluicegate/messages_per_second",
        AtLeast(100.0),
        1e-3,
    ),
    (
        "drain of a disk buffer into a mosquitto",
        "k/s",
        "/drain/mosquitto/messages_per_second",
        AtLeast(100.0),
        1e-3,
    ),
];

/// Every target of what was measured, with the number reached and whether that is enough.
pub(crate) fn reached(result: &Value) -> Value {
    let found = all(result).into_iter().filter_map(|target| {
        let measured = target.measured?;
        let (name, bound, reached) = match target.bound {
            AtMost(bound) => ("at_most", bound, measured <= bound),
            AtLeast(bound) => ("at_least", bound, measured >= bound),
        };
        Some(json!({
            "what": target.what, "unit": target.unit, "measured": measured, name: bound, "reached": reached,
        }))
    });
    found.collect()
}

fn all(result: &Value) -> Vec<Target> {
    let mut targets = Vec::new();
    for job in JOBS {
        let ratio = |path: &str| {
            let of = |peer: &str| result.pointer(&format!("/jobs/{}/{peer}/{path}", job.name))?.as_f64();
            Some(of("sluicegate")? / of("mosquitto")?)
        };
        let mut add = |what: &str, path: &str, bound: Option<Bound>| {
            let Some(bound) = bound else { return };
            let what = format!("{what}: {}", job.summary);
            targets.push(Target { what, unit: OF_MOSQUITTO, measured: ratio(path), bound });
        };
        add("CPU", "cpu_seconds_per_million", job.cpu.map(AtMost));
        add("throughput", "messages_per_second", job.rate.map(AtLeast));
        add("p99 at half rate", "at_half_rate/p99_ms", job.p99.map(AtMost));
    }
    targets.extend(OTHERS.iter().map(|(what, unit, path, bound, times)| Target {
        what: (*what).to_owned(),
        unit,
        measured: result.pointer(path).and_then(Value::as_f64).map(|value| value * times),
        bound: *bound,
    }));
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_held_against_its_bound() {
        let result = json!({
            "jobs": { "out-ours-qos1": {
                "sluicegate": { "cpu_seconds_per_million": 2.0, "messages_per_second": 50.0 },
                "mosquitto": { "cpu_seconds_per_million": 10.0, "messages_per_second": 25.0 },
            } },
            "memory": { "sluicegate": { "start_kib": 12288 } },
        });
        let found = reached(&result);
        let found: Vec<_> = found
            .as_array()
            .expect("a list")
            .iter()
            .map(|target| {
                let what =
                    target["what"].as_str().expect("a text").split(':').next().unwrap_or_default().to_owned();
                (what, target["measured"].as_f64(), target["reached"] == true)
            })
            .collect();
        assert_eq!(
            found,
            [
                ("CPU".to_owned(), Some(0.2), true),
                ("throughput".to_owned(), Some(2.0), false),
                ("memory at the start".to_owned(), Some(12.0), true),
            ]
        );
    }
}
