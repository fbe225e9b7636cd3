//! `cargo xtask scenarios`: what the server promises for bad days, shown with the release binary.

use std::process::{Command, Stdio};

use crate::cargo::{self, Cargo};
use crate::tools;

/// Builds the server and runs the scenarios that the arguments name, or all. Whether every promise was kept.
pub(crate) fn run(args: &[&str]) -> bool {
    if !tools::ensure() {
        eprintln!("the scenarios take mosquitto");
        return false;
    }
    if !Cargo::new(&["build", "--quiet", "--release", "--package", "cli", "--package", "scenarios"]).run() {
        eprintln!("the server does not build");
        return false;
    }
    let release = cargo::root().join("target/release");
    let mut command = Command::new(release.join("scenarios"));
    command.arg(release.join("sluicegate")).args(args).stdin(Stdio::null());
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("cannot run the scenarios: {error}");
            false
        }
    }
}
