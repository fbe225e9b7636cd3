//! Benchmarks: instructions of one evaluation, which are the same on any day, and the server beside mosquitto.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::cargo::{self, Cargo};
use crate::tools;

/// What a count may grow by before the check fails.
const GROWTH_MAX: f64 = 0.15;

/// What is counted: its name, the crate whose example does it over and over, the example, and what it is told before
/// the number of times. The rules have their number in the benchmark, whether they let the payload through, and whether
/// payloads have the same shape, with other values each time, or each another one.
const CASES: &[(&str, &str, &str, &[&str])] = &[
    ("a", "eval", "evaluate", &["0", "accept", "same"]),
    ("b accept", "eval", "evaluate", &["1", "accept", "same"]),
    ("b reject", "eval", "evaluate", &["1", "reject", "same"]),
    ("b reject, new shapes", "eval", "evaluate", &["1", "reject", "new"]),
    ("c accept", "eval", "evaluate", &["2", "accept", "same"]),
    ("c reject", "eval", "evaluate", &["2", "reject", "same"]),
    ("c reject, new shapes", "eval", "evaluate", &["2", "reject", "new"]),
    ("d accept", "eval", "evaluate", &["3", "accept", "same"]),
    ("d reject", "eval", "evaluate", &["3", "reject", "same"]),
    ("d reject, new shapes", "eval", "evaluate", &["3", "reject", "new"]),
    ("template", "template", "render", &[]),
    ("topic, 1,000 filters", "topic", "lookup", &["1000"]),
    ("topic, 10,000 filters", "topic", "lookup", &["10000"]),
    ("topic, 100,000 filters", "topic", "lookup", &["100000"]),
];

type Counts = BTreeMap<String, u64>;

/// Runs what the arguments ask for. Whether it succeeded; why not, has been said.
pub(crate) fn run(args: &[&str]) -> bool {
    let outcome = match args {
        ["evaluate", rest @ ..] => {
            let bench = ["bench", "--package", "eval", "--benches", "--"];
            return Cargo::new(&bench).args(rest).run();
        }
        ["--check"] => check(),
        ["instructions"] => instructions().and_then(|counts| keep("instructions", &json!(counts))),
        ["compare", rest @ ..] => compare(rest),
        ["soak", rest @ ..] => soak(rest),
        options if options.iter().all(|option| ["--quick", "--peers"].contains(option)) => whole(options),
        _ => {
            Err("bench [--quick] [--peers] | --check | evaluate [FILTER] | instructions | compare [--quick] \
                  [--peers] [PART]… | soak [minutes=N]"
                .to_owned())
        }
    };
    outcome.inspect_err(|error| eprintln!("{error}")).is_ok()
}

/// Everything. One half that fails does not keep the other from being measured.
fn whole(options: &[&str]) -> Result<(), String> {
    let quick = options.contains(&"--quick");
    let counted =
        instructions().and_then(|counts| if quick { Ok(()) } else { keep("instructions", &json!(counts)) });
    compare(options).and(counted)
}

/// Counts anew, and holds the counts against those that are committed.
fn check() -> Result<(), String> {
    let kept = kept()?;
    let counts = instructions()?;
    let mut grown = Vec::new();
    for (case, count) in &counts {
        let Some(before) = kept["instructions"][case].as_u64() else { continue };
        let growth = *count as f64 / before as f64 - 1.0;
        println!("{case:<22} {before:>7} → {count:>7}  {:>+6.1} %", growth * 100.0);
        if growth > GROWTH_MAX {
            grown.push(case.as_str());
        }
    }
    if grown.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more than {:.0} % more instructions: {}. If that is worth it, run `cargo xtask bench instructions` and commit \
         what it writes",
        GROWTH_MAX * 100.0,
        grown.join(", ")
    ))
}

/// The instructions of doing each once: the difference of two runs, without start and end.
fn instructions() -> Result<Counts, String> {
    if !tools::on_path("valgrind") {
        return Err("counting instructions takes valgrind: `apt-get install valgrind`".to_owned());
    }
    let mut build = vec!["build", "--quiet", "--release"];
    for (_, package, example, _) in CASES {
        if !build.contains(package) {
            build.extend(["--package", package, "--example", example]);
        }
    }
    if !Cargo::new(&build).run() {
        return Err("what is to be counted does not build".to_owned());
    }
    let mut counts = Counts::new();
    for (case, _, example, args) in CASES {
        let few = collected(example, args, 1_000)?;
        let many = collected(example, args, 3_000)?;
        let count = many.saturating_sub(few) / 2_000;
        println!("{case:<22} {count:>7} instructions");
        counts.insert((*case).to_owned(), count);
    }
    Ok(counts)
}

fn collected(example: &str, args: &[&str], times: u64) -> Result<u64, String> {
    let program = cargo::root().join("target/release/examples").join(example);
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.args(args).arg(times.to_string()).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("cannot run valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    count.ok_or_else(|| format!("valgrind has counted nothing: {said}"))
}

/// The server beside its peers, on this machine, now.
fn compare(args: &[&str]) -> Result<(), String> {
    if !tools::ensure() {
        return Err("the comparison takes mosquitto".to_owned());
    }
    let mut command = program()?;
    let file = cargo::root().join("target/comparison.json");
    command.arg("compare").arg(format!("json={}", file.display()));
    if args.contains(&"--peers") {
        command.arg(format!("rumqttd={}", rumqttd()?.display()));
    }
    // What an earlier one has left is not this one's result.
    let _ = std::fs::remove_file(&file);
    let parts: Vec<&&str> = args.iter().filter(|arg| **arg != "--peers").collect();
    let status =
        command.args(&parts).status().map_err(|error| format!("cannot run the comparison: {error}"))?;
    // Parts of it, or a quick look, are not what is committed.
    if parts.is_empty() && file.exists() {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("no result: {error}"))?;
        let mut result: Value = serde_json::from_str(&text).map_err(|error| format!("no result: {error}"))?;
        result["commit"] = commit().into();
        keep("comparison", &result)?;
    }
    if status.success() { Ok(()) } else { Err("not everything could be measured".to_owned()) }
}

/// Load with churn, and whether memory grows.
fn soak(args: &[&str]) -> Result<(), String> {
    if !tools::ensure() {
        return Err("the soak takes mosquitto".to_owned());
    }
    let status = program()?.arg("soak").args(args).status();
    let status = status.map_err(|error| format!("cannot run the soak: {error}"))?;
    if status.success() { Ok(()) } else { Err("the soak did not come to its end".to_owned()) }
}

/// The load generator, built with the server beside it.
fn program() -> Result<Command, String> {
    let build = ["build", "--quiet", "--release", "--package", "cli", "--package", "bench"];
    if !Cargo::new(&build).run() {
        return Err("the server does not build".to_owned());
    }
    let mut command = Command::new(cargo::root().join("target/release/bench"));
    command.stdin(Stdio::null());
    Ok(command)
}

/// The broker of another house, built on its own: as a dependency it would bring a hundred packages into the lock file of
/// everybody who builds ours.
fn rumqttd() -> Result<PathBuf, String> {
    // Not `--locked`: its own lock file holds a crate that Rust 1.95 refuses.
    const INSTALL: &[&str] = &["install", "rumqttd", "--version", "=0.20.0", "--quiet", "--root"];
    let root = cargo::root().join("target/peers");
    let program = root.join("bin/rumqttd");
    if !program.exists() && !Cargo::new(INSTALL).args(&[&root.to_string_lossy()]).run() {
        return Err("rumqttd does not build".to_owned());
    }
    Ok(program)
}

/// What was measured: the commit, and whether it was exactly that.
fn commit() -> String {
    let output =
        Command::new("git").current_dir(cargo::root()).args(["describe", "--always", "--dirty"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn file() -> PathBuf {
    cargo::root().join("docs/performance.json")
}

fn kept() -> Result<Value, String> {
    let text = std::fs::read_to_string(file()).map_err(|error| format!("docs/performance.json: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("docs/performance.json: {error}"))
}

/// Writes one part of the results, and the page that shows them.
fn keep(part: &str, value: &Value) -> Result<(), String> {
    let mut all = if file().exists() { kept()? } else { json!({}) };
    all[part] = value.clone();
    let text = format!("{all:#}\n");
    std::fs::write(file(), text).map_err(|error| format!("docs/performance.json: {error}"))?;
    let status = program()?.arg("page").status();
    if status.is_ok_and(|status| status.success()) {
        Ok(())
    } else {
        Err("the page cannot be printed".to_owned())
    }
}
