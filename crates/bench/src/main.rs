//! Load for MQTT servers, and the table of ours beside mosquitto: `cargo xtask bench` runs it.
//!
//! ```text
//! bench compare [--quick] [JOB]…     both servers, job by job, in turns; prints a table, writes JSON
//! bench flow ADDRESS [KEY=VALUE]…    as fast as receivers follow
//! bench paced ADDRESS [KEY=VALUE]…   at a rate, latency from when each message was due
//! bench idle ADDRESS [KEY=VALUE]…    connections that do nothing
//! ```
//!
//! Keys: `at` (where to subscribe, if not at ADDRESS), `pid` (whose CPU and memory to read), `qos`, `messages`, `publishers`,
//! `subscribers` (each gets every message: fan-out), `ahead` (unreceived messages at most), `rate` (messages a second in
//! all), `bytes`, `connections`.
//!
//! *Invariant:* only talks to loopback, ends by itself, and says what was lost, doubled or out of order with every figure.

#![allow(clippy::expect_used)] // a tool for developers: what goes wrong ends it, with its reason

mod compare;
mod jobs;
mod load;
mod process;
mod settings;
mod table;
mod tally;

use std::process::ExitCode;

use load::Pace;
use settings::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["compare", rest @ ..] => compare::run(rest).await,
        [verb @ ("flow" | "paced" | "idle"), address, rest @ ..] => match Settings::parse(address, rest) {
            Ok(settings) => alone(verb, &settings).await,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(2);
            }
        },
        _ => {
            eprintln!(
                "bench compare [--quick] [JOB]… | flow ADDRESS | paced ADDRESS | idle ADDRESS  [KEY=VALUE]…"
            );
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// One load, on a server that runs already.
async fn alone(verb: &str, settings: &Settings) {
    if verb == "idle" {
        let idle = load::idle(settings.load.publish_at, settings.connections, settings.pid).await;
        println!("{} connections: {:.2} KiB each", settings.connections, idle);
        return;
    }
    let mut load = settings.load.clone();
    if verb == "paced" {
        load.pace = Pace::Rate(settings.rate);
    }
    let report = load.run(settings.pid).await;
    println!("{report}");
}
