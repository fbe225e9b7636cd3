//! `cargo xtask fuzz`: the targets of `fuzz/`, one after the other, with cargo-fuzz on a nightly toolchain, and otherwise as the
//! tests run them, only longer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cargo::{Cargo, root};

/// A target with what its corpus begins with.
struct Target {
    name: &'static str,
    /// Whether it runs unsafe code of ours, so that memory is watched.
    has_unsafe: bool,
    seeds: fn() -> Vec<Vec<u8>>,
    /// The package, test target and name of the test that runs the same on stable.
    twin: [&'static str; 3],
}

/// Every target; the files in `fuzz/targets` have these names.
const TARGETS: &[Target] = &[
    Target {
        name: "parser",
        has_unsafe: false,
        seeds: statements,
        twin: ["sql", "it", "any_text_is_parsed"],
    },
    Target {
        name: "evaluator",
        has_unsafe: false,
        seeds: statements_with_payloads,
        twin: ["eval", "fuzz", "any_statement_on_any_payload_ends"],
    },
    Target {
        name: "scan",
        has_unsafe: true,
        seeds: payloads,
        twin: ["eval", "fuzz", "the_scan_finds_what_a_full_read_finds"],
    },
    Target {
        name: "shape",
        has_unsafe: true,
        seeds: payloads_twice,
        twin: ["eval", "fuzz", "what_is_remembered_changes_nothing"],
    },
    Target {
        name: "templates",
        has_unsafe: false,
        seeds: templates,
        twin: ["template", "fuzz", "any_text_is_a_template"],
    },
    Target {
        name: "rule_file",
        has_unsafe: false,
        seeds: rule_files,
        twin: ["config", "fuzz", "any_text_is_read_as_a_rule"],
    },
    Target {
        name: "mqtt",
        has_unsafe: false,
        seeds: packets,
        twin: ["mqtt", "fuzz", "any_bytes_are_packets_or_an_error"],
    },
];

/// Runs one target, or each. `Err` says what is wrong with the arguments.
pub(crate) fn run(args: &[&str]) -> Result<bool, String> {
    let (mut minutes, mut wanted) = (1_u64, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--minutes" => {
                let number = args.next().and_then(|text| text.parse().ok()).filter(|minutes| *minutes > 0);
                minutes = number.ok_or("--minutes needs a whole number")?;
            }
            name if wanted.is_none() && TARGETS.iter().any(|target| target.name == name) => {
                wanted = Some(name)
            }
            other => {
                let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                return Err(format!("there is no target `{other}`; there are {}", names.join(", ")));
            }
        }
    }
    let guided = has_nightly();
    if guided && !has_cargo_fuzz() && !Cargo::new(&["install", "cargo-fuzz", "--locked"]).run() {
        return Ok(false);
    }
    if !guided {
        eprintln!(
            "no nightly toolchain (`rustup toolchain install nightly`): fuzzing on stable, not guided by coverage"
        );
    }
    let targets = TARGETS.iter().filter(|target| wanted.is_none_or(|wanted| wanted == target.name));
    let mut green = true;
    for target in targets {
        println!("fuzzing {} for {minutes} min", target.name);
        // The others too, after one has found something.
        green &= if guided { target.run(minutes) } else { target.run_twin(minutes) };
    }
    Ok(green)
}

fn answers(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn has_nightly() -> bool {
    answers(Command::new("cargo").args(["+nightly", "--version"]).env_remove("RUSTUP_TOOLCHAIN"))
}

fn has_cargo_fuzz() -> bool {
    answers(Command::new("cargo").args(["fuzz", "--version"]))
}

impl Target {
    fn run(&self, minutes: u64) -> bool {
        let corpus = root().join("fuzz/corpus").join(self.name);
        if let Err(error) = self.seed(&corpus) {
            eprintln!("cannot write seeds to {}: {error}", corpus.display());
            return false;
        }
        let seconds = format!("-max_total_time={}", minutes * 60);
        let mut command = Command::new("cargo");
        // Which cargo runs is rustup's business here, not that of the one that runs this.
        for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(name);
        }
        // Where all is safe Rust the address sanitizer finds nothing, and takes half of the speed.
        let sanitizer = if self.has_unsafe { "address" } else { "none" };
        command.current_dir(root()).args([
            "+nightly",
            "fuzz",
            "run",
            "--sanitizer",
            sanitizer,
            self.name,
            "--",
        ]);
        command.args([
            &*seconds,
            "-max_len=4096",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ]);
        command.status().is_ok_and(|status| status.success())
    }

    /// What the tests do for a moment, for longer.
    fn run_twin(&self, minutes: u64) -> bool {
        let [package, test, name] = self.twin;
        Cargo::new(&["test", "--quiet", "--package", package, "--test", test, "--", "--nocapture", name])
            .env("FUZZ_SECONDS", &(minutes * 60).to_string())
            .run()
    }

    fn seed(&self, corpus: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(corpus)?;
        for (at, seed) in (self.seeds)().iter().enumerate() {
            std::fs::write(corpus.join(format!("seed-{at:04}")), seed)?;
        }
        Ok(())
    }
}

/// Every conformance case.
fn cases() -> Vec<Value> {
    let lines = files(&root().join("tests/conformance"), "jsonl");
    let lines = lines.iter().flat_map(|file| file.lines());
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn statements() -> Vec<Vec<u8>> {
    cases().iter().filter_map(|case| Some(case["sql"].as_str()?.into())).collect()
}

fn statements_with_payloads() -> Vec<Vec<u8>> {
    let seed = |case: &Value| {
        let payload = case["context"]["payload"].as_str().unwrap_or("{}");
        Some(format!("{}\0{payload}", case["sql"].as_str()?).into_bytes())
    };
    cases().iter().filter_map(seed).collect()
}

fn payloads() -> Vec<Vec<u8>> {
    let mut payloads: Vec<Vec<u8>> =
        cases().iter().filter_map(|case| Some(case["context"]["payload"].as_str()?.into())).collect();
    payloads.sort_unstable();
    payloads.dedup();
    payloads
}

fn payloads_twice() -> Vec<Vec<u8>> {
    payloads().iter().map(|payload| [payload, &b"\0"[..], payload].concat()).collect()
}

fn templates() -> Vec<Vec<u8>> {
    [
        "${a.b[1]} ${topic} ${.}",
        "${a.'odd key'}${f}${$}{x}",
        "pub/${topic}",
        "${big} ${s.k} ${a.b[-1].c}",
        "$ { ${",
    ]
    .map(Vec::from)
    .into()
}

fn rule_files() -> Vec<Vec<u8>> {
    let folders = ["rules", "tests/golden"].map(|folder| files(&root().join(folder), "sql"));
    folders.into_iter().flatten().map(String::into_bytes).collect()
}

/// A byte that chooses the version, and packets behind it.
fn packets() -> Vec<Vec<u8>> {
    [
        &b"\x00\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"[..],
        b"\x00\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a\xe0\x00",
        b"\x00\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a\xc0\x00",
        b"\x02\x32\x09\x00\x03a/b\x00\x01hi\x40\x02\x00\x01",
        b"\x03\x32\x10\x00\x03a/b\x00\x01\x07\x26\x00\x01k\x00\x01vhi\x82\x08\x00\x01\x00\x00\x02a/\x00",
        b"\x03\x10\x00\xd0\x00\xe0\x02\x81\x00\x62\x02\x00\x01",
    ]
    .map(Vec::from)
    .into()
}

/// The texts of all files with this ending below a folder.
fn files(folder: &Path, ending: &str) -> Vec<String> {
    let (mut left, mut texts) = (vec![folder.to_owned()], Vec::new());
    while let Some(path) = left.pop() {
        if let Ok(entries) = path.read_dir() {
            let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            paths.sort_unstable();
            left.extend(paths);
        } else if path.extension().is_some_and(|found| found == ending) {
            texts.extend(std::fs::read_to_string(&path));
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_its_file_and_its_seeds() {
        let folder = root().join("fuzz/targets");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the targets are there")
            .map(|entry| {
                entry.expect("an entry").path().file_stem().unwrap_or_default().to_string_lossy().into()
            })
            .collect();
        let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        files.sort_unstable();
        names.sort_unstable();
        assert_eq!(files, names);
        for target in TARGETS {
            assert!((target.seeds)().len() >= 5, "{}", target.name);
            let [package, test, name] = target.twin;
            let file = if test == "it" { "it/fuzz.rs" } else { "fuzz.rs" };
            let text = std::fs::read_to_string(root().join(format!("crates/{package}/tests/{file}")));
            assert!(text.is_ok_and(|text| text.contains(&format!("fn {name}()"))), "{}", target.name);
        }
    }
}
