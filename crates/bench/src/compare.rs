//! The whole measurement: every server on each job, in turns, then what the parts measure.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::jobs::{JOBS, Job};
use crate::load::{Pace, Report};
use crate::plan::{PARTS, Plan};
use crate::process::{machine, raise_file_limit};
use crate::server::{Peer, Server};
use crate::statistics::median;
use crate::{buffers, drain, memory, page, reload, rules, start, targets};

/// What one job or part may take, in all its rounds, before it is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs what the plan asks for, prints the tables, and writes the result. Whether everything could be measured: what could
/// not is named in the result, and stops nothing else.
pub(crate) async fn run(plan: &Plan) -> bool {
    raise_file_limit();
    let began = Instant::now();
    let mut result = json!({
        "date": jiff::Timestamp::now().to_string().split('T').next(),
        "machine": machine(),
        "rounds": plan.rounds,
        "share": plan.share,
        "jobs": {},
    });
    let mut failed = Vec::new();
    for job in JOBS.iter().filter(|job| plan.wants(job.name)) {
        match attempt(job.name, job.summary, compare(job, plan)).await {
            Ok(row) => result["jobs"][job.name] = row,
            Err(reason) => failed.push(reason),
        }
    }
    for (name, summary) in PARTS.iter().filter(|(name, _)| plan.wants(name)) {
        match attempt(name, summary, part(name, plan)).await {
            Ok(found) => result[*name] = found,
            Err(reason) => failed.push(reason),
        }
    }
    result["targets"] = targets::reached(&result);
    result["seconds"] = began.elapsed().as_secs().into();
    if !failed.is_empty() {
        result["failed"] = json!(failed);
    }
    println!("{}", page::figures(&result));
    if let Some(file) = &plan.json
        && let Err(error) = std::fs::write(file, format!("{result:#}\n"))
    {
        failed.push(format!("{}: {error}", file.display()));
    }
    failed.iter().for_each(|reason| eprintln!("not measured: {reason}"));
    failed.is_empty()
}

/// Measures one thing. A panic, or going on for too long, is its own failure alone.
async fn attempt(name: &str, summary: &str, of: impl Future<Output = Value>) -> Result<Value, String> {
    eprintln!("{name}: {summary}");
    let began = Instant::now();
    let outcome = tokio::time::timeout(PATIENCE, AssertUnwindSafe(of).catch_unwind()).await;
    eprintln!("  {:.1} s", began.elapsed().as_secs_f64());
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(panic)) => {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("{name}: {}", said.unwrap_or_default()))
        }
        Err(_) => Err(format!("{name}: not done after {PATIENCE:?}")),
    }
}

async fn part(name: &str, plan: &Plan) -> Value {
    match name {
        "rules" => rules::measure(plan).await,
        "memory" => memory::measure(plan).await,
        "start" => start::measure(plan).await,
        "reload" => reload::measure(plan).await,
        "buffers" => buffers::measure(plan).await,
        "drain" => drain::measure(plan).await,
        other => unreachable!("`{other}` is in no list"),
    }
}

/// Medians of rounds in which the servers take turns, each fresh; then latency at half of what the slower of ours and
/// mosquitto reaches.
async fn compare(job: &Job, plan: &Plan) -> Value {
    let mut reports: Vec<(Peer, Vec<Report>)> =
        [Peer::Sluicegate, Peer::Mosquitto, Peer::Rumqttd].map(|peer| (peer, Vec::new())).into();
    for round in 0..plan.rounds {
        // Whoever comes first may find a quieter machine.
        let places = if round % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
        for at in places {
            let (peer, reports) = &mut reports[at];
            let Some(server) = Server::start(*peer, job.way, &plan.programs).await else { continue };
            let report = job.load(&server, plan.share).run(Some(server.pid)).await;
            eprintln!("  {:<10} {report}", peer.name());
            reports.push(report);
        }
    }
    reports.retain(|(_, reports)| !reports.is_empty());
    let mut row = json!({ "summary": job.summary });
    for (peer, reports) in &reports {
        row[peer.name()] = medians(reports);
    }
    if job.at_half_rate() {
        let rate = |at: usize| median(reports[at].1.iter().map(Report::rate));
        let half = (rate(0).min(rate(1)) / 2.0) as u64;
        row["half_rate"] = half.into();
        for peer in [Peer::Sluicegate, Peer::Mosquitto] {
            let Some(server) = Server::start(peer, job.way, &plan.programs).await else { continue };
            let mut load = job.load(&server, plan.share);
            load.pace = Pace::Rate(half);
            load.messages = (half as f64 * 4.0 * plan.share.max(0.5)) as u64;
            let report = load.run(Some(server.pid)).await;
            eprintln!("  {} at {half}/s: {report}", peer.name());
            row[peer.name()]["at_half_rate"] = latencies(&report);
        }
    }
    row
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
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| report.latency_ms(quantile));
    json!({ "p50_ms": p50, "p99_ms": p99, "p999_ms": p999, "lost": report.lost })
}
