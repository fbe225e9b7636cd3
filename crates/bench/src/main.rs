//! Load for MQTT servers, and the table of ours beside mosquitto: `cargo xtask bench` runs it.
//!
//! ```text
//! bench compare [--quick] [json=FILE] [rumqttd=PROGRAM] [PART]…
//!                                    the servers on each job, in turns, and what else is measured; prints tables
//! bench soak [minutes=N]             load with churn, and whether memory grows
//! bench page                         prints the committed result into docs/performance.md
//! bench flow ADDRESS [KEY=VALUE]…    as fast as receivers follow
//! bench paced ADDRESS [KEY=VALUE]…   at a rate, latency from when each message was due
//! bench idle ADDRESS [KEY=VALUE]…    connections that do nothing
//! ```
//!
//! Keys: `at` (where to subscribe, if not at ADDRESS), `pid` (whose CPU and memory to read), `qos`, `messages`, `publishers`,
//! `topics` (of each publisher), `subscribers` (each gets every message: fan-out), `ahead` (unreceived messages at most),
//! `rate` (messages a second in all), `bytes`, `connections`.
//!
//! *Invariant:* only talks to loopback, ends by itself, and says what was lost, doubled or out of order with every figure.

#![allow(clippy::expect_used)] // a tool for developers: what goes wrong ends it, with its reason

mod buffers;
mod compare;
mod drain;
mod jobs;
mod load;
mod memory;
mod page;
mod plan;
mod process;
mod reload;
mod rules;
mod server;
mod settings;
mod soak;
mod start;
mod statistics;
mod tally;
mod targets;

use std::process::ExitCode;

use load::Pace;
use plan::Plan;
use settings::Settings;

const USAGE: &str = "bench compare [--quick] [json=FILE] [rumqttd=PROGRAM] [PART]… | soak [minutes=N] | page | \
                     flow ADDRESS | paced ADDRESS | idle ADDRESS  [KEY=VALUE]…";

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args.iter().map(String::as_str).collect::<Vec<_>>()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all went well; an error is one of usage.
async fn run(args: &[&str]) -> Result<bool, String> {
    match args {
        ["compare", rest @ ..] => return Ok(compare::run(&Plan::parse(rest)?).await),
        ["soak", rest @ ..] => {
            let minutes = match rest {
                [] => Some(10.0),
                [minutes] => minutes.strip_prefix("minutes=").and_then(|minutes| minutes.parse().ok()),
                _ => None,
            };
            soak::run(minutes.ok_or(USAGE)?, &Plan::parse(&[])?).await;
        }
        ["page"] => page::renew()?,
        [verb @ ("flow" | "paced" | "idle"), address, rest @ ..] => {
            alone(verb, &Settings::parse(address, rest)?).await;
        }
        _ => return Err(USAGE.to_owned()),
    }
    Ok(true)
}

/// One load, on a server that runs already.
async fn alone(verb: &str, settings: &Settings) {
    if verb == "idle" {
        process::raise_file_limit();
        let idle = memory::idle(settings.load.publish_at, settings.connections, settings.pid).await;
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
