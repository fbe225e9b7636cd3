//! The arrows between our crates: which may lean on which. The map itself is drawn in `docs/architecture.md`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::metadata::Package;

/// What each crate leans on; what lies under that is allowed too.
const MAP: &[(&str, &[&str])] = &[
    ("diagnostic", &[]),
    ("topic", &[]),
    ("journal", &[]),
    ("supervise", &[]),
    ("wake", &[]),
    ("executor", &[]),
    ("dead-letters", &["journal", "supervise"]),
    ("value", &[]),
    ("event", &["value", "topic"]),
    ("template", &["value", "diagnostic"]),
    ("functions", &["value", "topic", "diagnostic"]),
    ("sql", &["value", "topic", "diagnostic"]),
    ("eval", &["sql", "functions", "event"]),
    ("config", &["diagnostic", "supervise", "topic"]),
    ("tls", &["config"]),
    ("mqtt", &["event", "tls"]),
    ("connector", &["config", "template", "event", "journal", "supervise", "wake"]),
    ("connector-mqtt", &["connector", "mqtt", "tls"]),
    ("connector-http", &["connector", "tls"]),
    ("broker", &["mqtt", "event", "topic", "config", "executor", "supervise", "tls", "wake"]),
    ("auth", &["broker", "config"]),
    ("engine", &["eval", "connector", "config", "executor", "topic", "dead-letters"]),
    ("api", &["engine", "eval", "functions"]),
    ("server", &["api", "auth", "broker", "engine", "connector-mqtt", "connector-http", "config", "tls"]),
    ("cli", &["server"]),
    ("testkit", &[]),
    ("bench", &["mqtt", "testkit"]),
    ("scenarios", &["testkit"]),
    ("xtask", &[]),
];

/// The crate that everybody's tests may use, and nothing else may.
const FOR_TESTS: &str = "testkit";

/// One line for each arrow that the map does not have, and for each crate that is missing from it.
pub(crate) fn findings(packages: &[Package]) -> Vec<String> {
    let ours: Vec<&Package> = packages.iter().filter(|package| package.ours).collect();
    let mut findings = Vec::new();
    for package in &ours {
        let Some(below) = below(&package.name) else {
            findings.push(format!(
                "`{}` is not on the map: give it a line in crates/xtask/src/map.rs",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let is_ours = ours.iter().any(|package| package.name == name);
            let for_tests = dependency.dev && name == FOR_TESTS;
            if is_ours && !for_tests && !below.contains(name) {
                findings.push(format!(
                    "`{}` → `{name}`{} points up or across the map: crates only lean on what is below them, see \
                     docs/architecture.md",
                    package.name,
                    if dependency.dev { " (in tests)" } else { "" }
                ));
            }
        }
    }
    findings
}

/// One line for each crate that does not say what it will never do, or that the map in the docs leaves out.
pub(crate) fn missing_invariants(root: &Path) -> Result<Vec<String>, String> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let drawn = read(&root.join("docs/architecture.md"))?;
    let mut findings = Vec::new();
    for (name, _) in MAP {
        let sources = root.join("crates").join(name).join("src");
        let library = sources.join("lib.rs");
        let top = if library.exists() { library } else { sources.join("main.rs") };
        if !read(&top)?.contains("//! *Invariant:*") {
            findings.push(format!("`{name}` has no line `//! *Invariant:*` on top of {}", top.display()));
        }
        if !drawn.contains(&format!("| `{name}` |")) {
            findings.push(format!("`{name}` has no row in docs/architecture.md"));
        }
    }
    Ok(findings)
}

/// Everything that lies under a crate of the map.
fn below(name: &str) -> Option<BTreeSet<&'static str>> {
    let (_, direct) = MAP.iter().find(|(own, _)| *own == name)?;
    let mut all = BTreeSet::new();
    for name in *direct {
        all.insert(*name);
        all.extend(below(name)?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn package(name: &str, dependencies: &[(&str, bool)]) -> Package {
        Package {
            name: name.into(),
            version: "0.0.0".into(),
            licence: None,
            ours: true,
            dependencies: dependencies
                .iter()
                .map(|(name, dev)| Dependency { name: (*name).into(), dev: *dev })
                .collect(),
        }
    }

    #[test]
    fn lists_each_crate_after_what_it_leans_on() {
        for (at, (name, direct)) in MAP.iter().enumerate() {
            for leaned_on in *direct {
                assert!(MAP[..at].iter().any(|(below, _)| below == leaned_on), "{name} → {leaned_on}");
            }
        }
    }

    #[test]
    fn finds_what_points_up() {
        let packages = [
            package("value", &[("bumpalo", false)]),
            package("sql", &[("value", false), ("eval", false), ("testkit", true)]),
            package("eval", &[("sql", false), ("value", false), ("testkit", false)]),
            package("testkit", &[]),
            package("attic", &[]),
        ];
        let findings = findings(&packages);
        let starts: Vec<&str> =
            findings.iter().map(|line| line.split(" p").next().unwrap_or_default()).collect();
        assert_eq!(
            starts,
            [
                "`sql` → `eval`",
                "`eval` → `testkit`",
                "`attic` is not on the map: give it a line in crates/xtask/src/map.rs"
            ]
        );
    }
}
