//! The `sluicegate` command: arguments, exit codes, and what a terminal shows.
//!
//! *Invariant:* the product's one `main`. Exit codes are 0 for success, 1 for findings, 2 for wrong usage.

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "they panic when nobody reads; see `terminal`")]

mod args;
mod ask;
mod check;
mod coverage;
mod dlq;
#[cfg(test)]
mod docs;
mod eval;
mod functions;
mod passwd;
mod run;
mod terminal;
mod test;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Verb};

/// Findings, or nothing to show.
const EXIT_FINDINGS: u8 = 1;
/// Wrong usage, configuration included.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.verb {
        None => run::run(cli.run),
        Some(Verb::Run(args)) => run::run(args),
        Some(Verb::Check(args)) => check::run(&args),
        Some(Verb::Test(args)) => test::run(&args),
        Some(Verb::Eval(args)) => eval::run(&args),
        Some(Verb::Functions(args)) => functions::run(&args),
        Some(Verb::Dlq(args)) => dlq::run(&args),
        Some(Verb::Passwd(args)) => passwd::run(&args),
    }
}
