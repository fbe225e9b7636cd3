//! Both servers on each job, in turns.

use serde_json::{Value, json};
use testkit::Sluicegate;

use crate::jobs::{JOBS, Job, Server, Way, program};
use crate::load::{self, Pace, Report};
use crate::process::{machine, rss_kib};
use crate::table;

/// How thoroughly.
struct Plan {
    rounds: usize,
    /// Of each job's messages.
    share: f64,
    /// Names of jobs; all if empty.
    only: Vec<String>,
}

/// Runs the jobs, prints the table, and writes everything as JSON on standard output's last line.
pub(crate) async fn run(args: &[&str]) {
    let mut plan = Plan { rounds: 3, share: 1.0, only: Vec::new() };
    for arg in args {
        match *arg {
            "--quick" => (plan.rounds, plan.share) = (1, 0.2),
            name => plan.only.push(name.to_owned()),
        }
    }
    let wanted = |name: &str| plan.only.is_empty() || plan.only.iter().any(|only| only == name);
    let mut rows = Vec::new();
    for job in JOBS.iter().filter(|job| wanted(job.name)) {
        eprintln!("{}: {}", job.name, job.summary);
        rows.push(compare(job, &plan).await);
    }
    let mut result = json!({ "machine": machine(), "jobs": rows });
    if wanted("rules") {
        result["rules"] = rules(&plan).await;
    }
    if wanted("memory") {
        result["memory"] = memory(&plan).await;
    }
    table::print(&result);
    println!("{result}");
}

/// Medians of rounds in which both servers take turns, each fresh; then latency at half of what the slower reaches.
async fn compare(job: &Job, plan: &Plan) -> Value {
    let program = program();
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        for (is_ours, reports) in [(true, &mut ours), (false, &mut peer)] {
            let server = start(is_ours, &program, job.way).await;
            let report = job.load(&server, plan.share).run(Some(server.pid)).await;
            eprintln!("  {}: {report}", if is_ours { "sluicegate" } else { "mosquitto " });
            reports.push(report);
        }
    }
    let mut row = json!({
        "name": job.name, "summary": job.summary, "target": job.target,
        "sluicegate": medians(&ours), "mosquitto": medians(&peer),
    });
    if matches!(job.pace, Pace::Full { .. }) && job.subscribers == 1 {
        let rate = |reports: &[Report]| median(reports.iter().map(Report::rate));
        let half = (rate(&ours).min(rate(&peer)) / 2.0) as u64;
        row["half_rate"] = half.into();
        for (is_ours, name) in [(true, "sluicegate"), (false, "mosquitto")] {
            let server = start(is_ours, &program, job.way).await;
            let mut load = job.load(&server, plan.share);
            load.pace = Pace::Rate(half);
            load.messages = (half as f64 * 4.0 * plan.share.max(0.5)) as u64;
            let report = load.run(Some(server.pid)).await;
            eprintln!("  {name} at {half}/s: {report}");
            row[name]["at_half_rate"] = latencies(&report);
        }
    }
    row
}

async fn start(is_ours: bool, program: &std::path::Path, way: Way) -> Server {
    if is_ours { Server::ours(program, way).await } else { Server::mosquitto(way).await }
}

fn medians(reports: &[Report]) -> Value {
    let of = |value: &dyn Fn(&Report) -> f64| median(reports.iter().map(value));
    let sum = |value: &dyn Fn(&Report) -> u64| reports.iter().map(value).sum::<u64>();
    json!({
        "cpu_seconds_per_million": of(&|report| report.cpu_per_million().unwrap_or_default()),
        "messages_per_second": of(&Report::rate),
        "lost": sum(&|report| report.lost),
        "doubled": sum(&|report| report.doubled),
        "disordered": sum(&|report| report.disordered),
    })
}

fn latencies(report: &Report) -> Value {
    let at = |quantile| report.latency.value_at_quantile(quantile) as f64 / 1e3;
    json!({ "p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999), "lost": report.lost })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// What rules cost that let nothing through, and rules on other topics: microseconds of CPU a message, medians.
async fn rules(plan: &Plan) -> Value {
    let none = || Sluicegate::builder(program());
    let filter =
        |at: usize| format!("SELECT payload.temp AS t FROM \"load/#\" WHERE payload.temp > {}", 100 + at);
    let elsewhere =
        |at: usize| format!("SELECT payload.temp AS t FROM \"plant/{at}/+\" WHERE payload.temp > 25");
    let many = |count, text: &dyn Fn(usize) -> String| {
        (0..count).fold(none(), |gate, at| gate.rule(&format!("r{at}"), &text(at)))
    };
    let cases = [
        ("no rule", none()),
        ("1 rule that filters everything out", many(1, &filter)),
        ("100 rules that filter everything out", many(100, &filter)),
        ("1 rule, and 10,000 on other topics", many(10_000, &elsewhere).rule("one", &filter(0))),
    ];
    let job = &JOBS[0];
    let mut all = vec![Vec::new(); cases.len()];
    let mut rss = vec![0; cases.len()];
    for _ in 0..plan.rounds {
        for (at, (name, builder)) in cases.iter().enumerate() {
            let server = Server::with_rules(builder.clone()).await;
            rss[at] = rss_kib(server.pid);
            let report = job.load(&server, plan.share).run(Some(server.pid)).await;
            eprintln!("  {name}: {report}");
            all[at].push(report.cpu_per_million().unwrap_or_default());
        }
    }
    let rows = cases.iter().zip(all).zip(rss).map(|(((name, _), cpu), rss)| {
        json!({ "rules": name, "cpu_seconds_per_million": median(cpu.into_iter()), "rss_kib": rss })
    });
    rows.collect()
}

/// Memory at the start, and of idle connections.
async fn memory(plan: &Plan) -> Value {
    let connections = if plan.share < 1.0 { 1_000 } else { 5_000 };
    let mut memory = json!({ "connections": connections });
    for (is_ours, name) in [(true, "sluicegate"), (false, "mosquitto")] {
        let server = start(is_ours, &program(), Way::Local).await;
        let start = rss_kib(server.pid);
        let each = load::idle(server.publish_at, connections, Some(server.pid)).await;
        memory[name] = json!({ "start_kib": start, "idle_connection_kib": each });
    }
    memory
}
