//! The result as Markdown, and the page that shows the one that is committed.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::jobs::JOBS;

/// Between these lines the page is printed from the result.
const BEGIN: &str = "<!-- figures: printed from performance.json by `cargo xtask bench` -->\n";
const END: &str = "<!-- end of the figures -->\n";

/// Prints the figures of the committed result into the page. Errors are sentences.
pub(crate) fn renew() -> Result<(), String> {
    let (file, page) = (docs("performance.md"), read("performance.md")?);
    std::fs::write(&file, renewed(&page, &committed()?)?)
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn committed() -> Result<Value, String> {
    serde_json::from_str(&read("performance.json")?).map_err(|error| format!("performance.json: {error}"))
}

fn renewed(page: &str, result: &Value) -> Result<String, String> {
    let missing = || format!("performance.md has no line `{}` and `{}`", BEGIN.trim(), END.trim());
    let (above, rest) = page.split_once(BEGIN).ok_or_else(missing)?;
    let (_, below) = rest.split_once(END).ok_or_else(missing)?;
    let mut figures = result.get("comparison").map(figures).unwrap_or_default();
    instructions(&result["instructions"], &mut figures);
    Ok(format!("{above}{BEGIN}\n{figures}\n{END}{below}"))
}

fn docs(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn read(name: &str) -> Result<String, String> {
    std::fs::read_to_string(docs(name)).map_err(|error| format!("docs/{name}: {error}"))
}

/// The tables of one comparison.
pub(crate) fn figures(result: &Value) -> String {
    let mut out = String::new();
    let text = |key: &str| result[key].as_str().unwrap_or_default();
    line(
        &mut out,
        &format!(
            "{}, {}. Medians of {} interleaved rounds{}; {} s in all.",
            text("date"),
            text("machine"),
            result["rounds"],
            if result["share"].as_f64() == Some(1.0) { "" } else { ", each a part of its messages only" },
            result["seconds"],
        ),
    );
    targets(&result["targets"], &mut out);
    jobs(&result["jobs"], &mut out);
    rules(&result["rules"], &mut out);
    memory(&result["memory"], &mut out);
    buffers(result, &mut out);
    rest(result, &mut out);
    for reason in result["failed"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        line(&mut out, &format!("\nNot measured: {}", reason.lines().next().unwrap_or_default()));
    }
    out
}

fn targets(targets: &Value, out: &mut String) {
    let Some(targets) = targets.as_array().filter(|targets| !targets.is_empty()) else { return };
    table(out, &["target", "measured", "bound", "reached"]);
    for target in targets {
        let (word, bound) = match &target["at_most"] {
            Value::Null => ("at least", &target["at_least"]),
            bound => ("at most", bound),
        };
        let unit = target["unit"].as_str().unwrap_or_default();
        row(
            out,
            &[
                target["what"].as_str().unwrap_or_default(),
                &format!("{} {unit}", short(number(&target["measured"]))),
                &format!("{word} {}", short(number(bound))),
                if target["reached"] == true { "yes" } else { "**no**" },
            ],
        );
    }
}

/// One row a job and server.
fn jobs(jobs: &Value, out: &mut String) {
    if jobs.as_object().is_none_or(serde_json::Map::is_empty) {
        return;
    }
    table(
        out,
        &[
            "job",
            "server",
            "CPU s a million",
            "messages/s",
            "p50 / p99 / p99.9 ms",
            "lost, doubled, disordered",
        ],
    );
    for job in JOBS {
        let Some(found) = jobs.get(job.name) else { continue };
        for (at, server) in ["sluicegate", "mosquitto", "rumqttd"].iter().enumerate() {
            let Some(own) = found.get(*server) else { continue };
            let latency = match own.get("at_half_rate") {
                Some(latency) => {
                    let ms = |name: &str| short(number(&latency[name]));
                    let rate = number(&found["half_rate"]) / 1e3;
                    format!("{} / {} / {} at {rate:.0} k/s", ms("p50_ms"), ms("p99_ms"), ms("p999_ms"))
                }
                None => String::new(),
            };
            row(
                out,
                &[
                    if at == 0 { job.summary } else { "" },
                    server,
                    &short(number(&own["cpu_seconds_per_million"])),
                    &format!("{:.0} k", number(&own["messages_per_second"]) / 1e3),
                    &latency,
                    &format!("{}, {}, {}", own["lost"], own["doubled"], own["disordered"]),
                ],
            );
        }
    }
}

fn rules(rules: &Value, out: &mut String) {
    let Some(cases) = rules["cases"].as_array() else { return };
    table(out, &["rules, publish → subscriber, QoS 0", "CPU s a million", "memory at the start, MiB"]);
    for case in cases {
        row(
            out,
            &[
                case["rules"].as_str().unwrap_or_default(),
                &format!("{:.3}", number(&case["cpu_seconds_per_million"])),
                &short(number(&case["rss_kib"]) / 1024.0),
            ],
        );
    }
}

fn memory(memory: &Value, out: &mut String) {
    if !memory.is_object() {
        return;
    }
    let ours = &memory["sluicegate"];
    let half = ours["connections"].as_u64().unwrap_or_default() / 2;
    table(
        out,
        &[
            "memory",
            "at the start, MiB",
            "of it not of its files",
            "with a TLS listener",
            &format!("KiB an idle connection: {half}"),
            &format!("{}", ours["connections"]),
            &format!("TLS, {}", ours["tls_connections"]),
        ],
    );
    for server in ["sluicegate", "mosquitto"] {
        let own = &memory[server];
        row(
            out,
            &[
                server,
                &short(number(&own["start_kib"]) / 1024.0),
                &short(number(&own["start_anonymous_kib"]) / 1024.0),
                &short(number(&own["start_with_tls_kib"]) / 1024.0),
                &short(number(&own["connection_kib_at_half"])),
                &short(number(&own["connection_kib"])),
                &short(number(&own["tls_connection_kib"])),
            ],
        );
    }
}

fn buffers(result: &Value, out: &mut String) {
    let buffers = &result["buffers"];
    if buffers.is_object() {
        table(out, &["buffer, publish → rule → remote sluicegate", "CPU s a million", "messages/s"]);
        for (name, shown) in
            [("memory", "memory"), ("disk", "disk"), ("disk_always", "disk, `fsync = \"always\"`")]
        {
            let own = &buffers[name];
            row(
                out,
                &[
                    shown,
                    &short(number(&own["cpu_seconds_per_million"])),
                    &format!("{:.0} k", number(&own["messages_per_second"]) / 1e3),
                ],
            );
        }
    }
    let drain = &result["drain"];
    if drain.is_object() {
        let messages = format!("a backlog of {} messages on disk, into", drain["messages"]);
        table(out, &[&messages, "CPU s a million", "messages/s"]);
        for far in ["sluicegate", "mosquitto"] {
            let own = &drain[far];
            row(
                out,
                &[
                    far,
                    &short(number(&own["cpu_seconds_per_million"])),
                    &format!("{:.0} k", number(&own["messages_per_second"]) / 1e3),
                ],
            );
        }
    }
}

fn rest(result: &Value, out: &mut String) {
    let (start, reload) = (&result["start"], &result["reload"]);
    if start.is_object() {
        line(
            out,
            &format!(
                "\nA start takes {} ms without rules and {} ms with {}, until systemd is told that it is ready.",
                short(number(&start["without_rules_ms"])),
                short(number(&start["with_rules_ms"])),
                start["rules"],
            ),
        );
    }
    if reload.is_object() {
        line(
            out,
            &format!(
                "\nA reload of {} rules of which one has changed takes {} ms, {} ms of it CPU. The slowest message meanwhile takes {} ms \
             there and back in the median of the reloads and {} ms in the worst; without a reload p99 is {} ms and the slowest {} ms.",
                reload["rules"],
                short(number(&reload["reload_ms"])),
                short(number(&reload["reload_cpu_ms"])),
                short(number(&reload["slowest_during_ms"])),
                short(number(&reload["slowest_of_all_ms"])),
                short(number(&reload["p99_ms"])),
                short(number(&reload["slowest_without_ms"])),
            ),
        );
    }
}

fn instructions(counts: &Value, out: &mut String) {
    let Some(counts) = counts.as_object() else { return };
    table(out, &["one evaluation", "instructions", "target"]);
    for (case, count) in counts {
        let target = match case.as_bytes().first() {
            // What is met for the first time is walked over; the targets are for what devices send over and over.
            _ if case.ends_with("new shapes") => "",
            Some(b'b') => "1.2 k",
            Some(b'c') => "6 k",
            Some(b'd') => "7 k",
            _ => "",
        };
        row(out, &[case, &format!("{:.1} k", number(count) / 1e3), target]);
    }
}

fn table(out: &mut String, heads: &[&str]) {
    out.push('\n');
    row(out, heads);
    row(out, &vec!["---"; heads.len()]);
}

fn row(out: &mut String, cells: &[&str]) {
    line(out, &format!("| {} |", cells.join(" | ")));
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a string takes everything");
}

/// Three digits, or all before the point.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_committed_result() {
        let page = read("performance.md").expect("the page");
        let renewed = renewed(&page, &committed().expect("the result")).expect("the page");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            return renew().expect("the page can be written");
        }
        assert!(page == renewed, "docs/performance.md is stale: `cargo xtask golden` prints it anew");
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0.00"), (0.0533, "0.053"), (0.309, "0.31"), (14.52, "14.5"), (1494.2, "1494")]
        {
            assert_eq!(short(value), text);
        }
    }
}
