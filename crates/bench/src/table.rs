//! The comparison as a table in Markdown.

use serde_json::Value;

/// Prints what there is.
pub(crate) fn print(result: &Value) {
    println!("{}\n", result["machine"].as_str().unwrap_or_default());
    println!(
        "| job | CPU s per million: sluicegate / mosquitto | ratio (target) | messages/s | p50 / p99 / p99.9 ms at half rate | lost, doubled, disordered |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for job in result["jobs"].as_array().into_iter().flatten() {
        println!("{}", row(job));
    }
    if let Some(rows) = result["rules"].as_array() {
        println!("\n| rules | CPU s per million | RSS at start, MiB |\n| --- | --- | --- |");
        for row in rows {
            let name = row["rules"].as_str().unwrap_or_default();
            println!(
                "| {name} | {:.2} | {:.1} |",
                number(&row["cpu_seconds_per_million"]),
                number(&row["rss_kib"]) / 1024.0
            );
        }
    }
    let memory = &result["memory"];
    if memory.is_object() {
        println!("\n| memory | at the start, MiB | KiB per idle connection |\n| --- | --- | --- |");
        for name in ["sluicegate", "mosquitto"] {
            let own = &memory[name];
            println!(
                "| {name} | {:.1} | {:.2} |",
                number(&own["start_kib"]) / 1024.0,
                number(&own["idle_connection_kib"])
            );
        }
    }
    println!();
}

fn row(job: &Value) -> String {
    let (ours, peer) = (&job["sluicegate"], &job["mosquitto"]);
    let cpu = |of: &Value| number(&of["cpu_seconds_per_million"]);
    let rate = |of: &Value| number(&of["messages_per_second"]) / 1e3;
    let latency = |of: &Value| {
        let at = &of["at_half_rate"];
        let ms = |name: &str| number(&at[name]);
        if at.is_object() {
            format!("{:.1} / {:.1} / {:.1}", ms("p50_ms"), ms("p99_ms"), ms("p999_ms"))
        } else {
            "–".into()
        }
    };
    let amiss = |of: &Value| format!("{}, {}, {}", of["lost"], of["doubled"], of["disordered"]);
    format!(
        "| {} | {:.2} / {:.2} | {:.2} ({:.2}) | {:.0} k / {:.0} k | {} against {} | {} against {} |",
        job["name"].as_str().unwrap_or_default(),
        cpu(ours),
        cpu(peer),
        cpu(ours) / cpu(peer),
        number(&job["target"]),
        rate(ours),
        rate(peer),
        latency(ours),
        latency(peer),
        amiss(ours),
        amiss(peer)
    )
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}
