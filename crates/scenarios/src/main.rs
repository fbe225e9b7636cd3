//! The bad days that the server promises to survive, at full size: `cargo xtask scenarios` runs them.
//!
//! ```text
//! scenarios PROGRAM [--quick] [--seed S] [NAME]…
//! ```
//!
//! PROGRAM is the server. Each scenario starts it beside real mosquittos, publishes numbers, does to it what its name says, and
//! counts what was sent, acknowledged, delivered, doubled, lost and out of order. `--quick` takes a tenth of the time. The
//! exit code is 1 where a promise was broken.
//!
//! *Invariant:* only talks to loopback, ends by itself, and knows of the server what any client of it can know.

#![allow(clippy::expect_used)] // a tool for developers: what goes wrong ends it, with its reason

mod capacity;
mod crashes;
mod house;
mod outages;
mod process;
mod tally;

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tally::Outcome;

/// One bad day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scenario {
    OutageDisk,
    OutageMemory,
    KilledInAnOutage,
    RelayMemory,
    RelayDisk,
    Silent,
    StopsReading,
    Flooded,
    OverloadMemory,
    OverloadDisk,
    Drain,
}

impl Scenario {
    const ALL: &[Self] = &[
        Self::OutageDisk,
        Self::OutageMemory,
        Self::KilledInAnOutage,
        Self::RelayMemory,
        Self::RelayDisk,
        Self::Silent,
        Self::StopsReading,
        Self::Flooded,
        Self::OverloadMemory,
        Self::OverloadDisk,
        Self::Drain,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::OutageDisk => "outage-disk",
            Self::OutageMemory => "outage-memory",
            Self::KilledInAnOutage => "killed-in-an-outage",
            Self::RelayMemory => "relay-memory",
            Self::RelayDisk => "relay-disk",
            Self::Silent => "silent",
            Self::StopsReading => "stops-reading",
            Self::Flooded => "flooded",
            Self::OverloadMemory => "overload-memory",
            Self::OverloadDisk => "overload-disk",
            Self::Drain => "drain",
        }
    }

    async fn run(self, day: &Day) -> Outcome {
        match self {
            Self::OutageDisk => outages::remote_down(day, outages::DISK).await,
            Self::OutageMemory => outages::remote_down(day, outages::MEMORY).await,
            Self::KilledInAnOutage => crashes::killed_in_an_outage(day).await,
            Self::RelayMemory => crashes::relay(day, outages::MEMORY).await,
            Self::RelayDisk => crashes::relay(day, outages::DISK).await,
            Self::Silent => outages::hangs(day, outages::Hang::FromTheStart).await,
            Self::StopsReading => outages::hangs(day, outages::Hang::InTheMiddle).await,
            Self::Flooded => capacity::flooded(day).await,
            Self::OverloadMemory => capacity::overload(day, capacity::Buffer::Memory).await,
            Self::OverloadDisk => capacity::overload(day, capacity::Buffer::Disk).await,
            Self::Drain => capacity::drain(day).await,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What all scenarios are told.
#[derive(Debug)]
struct Day {
    program: String,
    seed: u64,
    is_quick: bool,
}

impl Day {
    /// So many seconds, or a tenth of them.
    fn seconds(&self, full: u64) -> Duration {
        Duration::from_secs(full) / if self.is_quick { 10 } else { 1 }
    }

    /// So many things, or a tenth of them.
    fn count(&self, full: u64) -> u64 {
        if self.is_quick { full / 10 } else { full }
    }
}

/// Which scenarios, and how; what is wrong with the arguments otherwise.
fn parse(args: &[String]) -> Result<(Day, Vec<Scenario>), String> {
    let [program, rest @ ..] = args else {
        return Err("scenarios PROGRAM [--quick] [--seed S] [NAME]…".into());
    };
    let mut day = Day { program: program.clone(), seed: 1, is_quick: false };
    let mut chosen = Vec::new();
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--quick" => day.is_quick = true,
            "--seed" => {
                let seed = rest.next().and_then(|seed| seed.parse().ok());
                day.seed = seed.ok_or("`--seed` takes a number")?;
            }
            name => {
                let found = Scenario::ALL.iter().find(|scenario| scenario.name() == name);
                let names: Vec<_> = Scenario::ALL.iter().map(|scenario| scenario.name()).collect();
                let unknown = || format!("there is no scenario `{name}`, only {}", names.join(", "));
                chosen.push(*found.ok_or_else(unknown)?);
            }
        }
    }
    if chosen.is_empty() {
        chosen = Scenario::ALL.to_vec();
    }
    Ok((day, chosen))
}

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (day, chosen) = match parse(&args) {
        Ok(parsed) => parsed,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    println!("{}, seed {}\n\n{}", process::machine(), day.seed, tally::HEAD);
    let mut broken = Vec::new();
    for scenario in chosen {
        let begun = Instant::now();
        let outcome = scenario.run(&day).await;
        println!("{}", outcome.row(scenario.name(), begun.elapsed()));
        broken.extend(outcome.broken().into_iter().map(|promise| format!("{scenario}: {promise}")));
    }
    for promise in &broken {
        eprintln!("BROKEN: {promise}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_arguments() {
        let parsed = |line: &str| parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let (day, chosen) = parsed("gate").expect("these are right");
        assert_eq!((day.seed, day.is_quick, chosen.len()), (1, false, Scenario::ALL.len()));
        let (day, chosen) = parsed("gate --quick --seed 7 silent flooded").expect("these are right");
        assert_eq!((day.seed, day.count(100), day.seconds(30)), (7, 10, Duration::from_secs(3)));
        assert_eq!(chosen, [Scenario::Silent, Scenario::Flooded]);
        assert!(parsed("gate loud").expect_err("this is wrong").contains("outage-disk, outage-memory"));
        assert!(parsed("gate --seed x").is_err());
    }
}
