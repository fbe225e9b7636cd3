//! The project's own tasks: `cargo xtask TASK`.
//!
//! *Invariant:* works from a clean clone with nothing but Rust and, for the end-to-end tests, a Debian to take
//! mosquitto and Python from; never asks a question.

mod api;
mod bench;
mod cargo;
mod fuzz;
mod licences;
mod map;
mod metadata;
mod report;
mod scenarios;
mod test;
mod tools;
mod torture;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask TASK

  test            everything that CI runs: style, lints, the map of crates, licences, all tests, docs
  api             the OpenAPI document against the answers of the real server, by schemathesis
  golden          run the tests and let them rewrite their expectations; review the difference like code
  docs            print the pages of docs/generated anew
  fuzz [TARGET] [--minutes N]
                  each fuzz target, or one, for N minutes (1); guided by coverage on nightly
  torture [--minutes N] [--seed S]
                  rounds of random faults (kills, cut and stalled connections, restarts, edits), none of which may lose or
                  reorder a message; 10 minutes from seed 3 if not told otherwise
  scenarios [--quick] [--seed S] [NAME]…
                  the bad days of docs/guarantees.md at full size, counted: outages, kills, remotes that hang, floods; about
                  ten minutes, or a tenth with --quick; fails where a promise is broken
  bench [--quick] [--peers]
                  instructions of one evaluation, and the server beside mosquitto, and with --peers beside rumqttd, which is
                  built first; writes docs/performance.json and the tables of docs/performance.md, which --quick does not
  bench --check   counts the instructions anew, and fails if they are 15 % above those committed
  bench PART [ARG]…
                  only `evaluate` (times), `instructions`, `compare [--quick] [--peers] [PART]…`, or `soak [minutes=N]`:
                  load with churn, and whether memory grows
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let green = match args.as_slice() {
        ["test"] => test::run(),
        ["api"] => api::check() != report::Outcome::Failed,
        ["golden"] => test::tests().env("UPDATE_GOLDEN", "1").run(),
        ["docs"] => cargo::Cargo::new(&[
            "test",
            "--package",
            "cli",
            "--bin",
            "sluicegate",
            "--quiet",
            "generated_pages",
        ])
        .env("UPDATE_GOLDEN", "1")
        .run(),
        ["fuzz", rest @ ..] => match fuzz::run(rest) {
            Ok(green) => green,
            Err(message) => {
                eprintln!("{message}");
                return ExitCode::from(2);
            }
        },
        ["torture", rest @ ..] => match torture::Torture::parse(rest) {
            Some(torture) => torture.run(),
            None => {
                eprint!("{USAGE}");
                return ExitCode::from(2);
            }
        },
        ["scenarios", rest @ ..] => scenarios::run(rest),
        ["bench", rest @ ..] => bench::run(rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            true
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if green { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
