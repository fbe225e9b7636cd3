//! `cargo xtask test`: what CI runs.
//!
//! All steps share one target folder and one profile, and none sets compiler flags, so nothing is compiled twice:
//! clippy and rustdoc share what they need of the dependencies, and so do the tests and the binary that the
//! end-to-end tests start.

use crate::cargo::{Cargo, root};
use crate::report::{Outcome, Report};
use crate::{api, licences, map, metadata, tools};

/// Runs every step. Whether all are green.
pub(crate) fn run() -> bool {
    let mut report = Report::default();
    report.step("tools", || Outcome::from(tools::ensure()));
    report.step("format", || passes(&["fmt", "--all", "--check"]));
    report.check("map", || {
        let mut findings = map::findings(&metadata::load()?);
        findings.extend(map::missing_invariants(&root())?);
        Ok(findings)
    });
    report.check("licences", || metadata::load().map(|packages| licences::findings(&packages)));
    report.step("advisories", advisories);
    report.step("lints", || {
        passes(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--keep-going",
            "--",
            "--deny",
            "warnings",
        ])
    });
    report.step("tests", || Outcome::from(tests().run()));
    report.step("tests with names of their own", names);
    report.step("examples in docs", || passes(&["test", "--workspace", "--locked", "--doc", "--quiet"]));
    report.step("api", api::check);
    report.step("docs", || {
        let docs = Cargo::new(&[
            "doc",
            "--workspace",
            "--locked",
            "--no-deps",
            "--keep-going",
            "--document-private-items",
        ]);
        // These docs are read in the house, private items included, so links to those are fine.
        let flags = "--deny warnings --allow rustdoc::private-intra-doc-links";
        Outcome::from(docs.env("RUSTDOCFLAGS", flags).run())
    });
    report.finish()
}

/// All tests of the workspace, the end-to-end ones included.
pub(crate) fn tests() -> Cargo {
    if tools::on_path("cargo-nextest") {
        Cargo::new(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])
    } else {
        println!("cargo-nextest is not installed: `cargo test` takes its place");
        Cargo::new(&["test", "--workspace", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests"])
    }
}

/// The end-to-end tests of a server with an `/etc/hosts` of its own.
fn names() -> Outcome {
    if !tools::has_namespaces() {
        println!(
            "`unshare` gives processes no files of their own here, so a remote whose name moves is not tried"
        );
        return Outcome::Skipped;
    }
    let (nextest, test) = (["nextest", "run"], ["test", "--no-fail-fast"]);
    // Of the whole workspace, so that what was built for the tests before is what these need.
    let which = ["--workspace", "--test", "e2e", "--locked"];
    Outcome::from(if tools::on_path("cargo-nextest") {
        Cargo::new(&nextest).args(&which).args(&["--run-ignored", "only"]).run()
    } else {
        Cargo::new(&test).args(&which).args(&["--", "--ignored"]).run()
    })
}

fn passes(args: &[&str]) -> Outcome {
    Outcome::from(Cargo::new(args).run())
}

/// Known holes in what we use. Worth reading, but never a red run: the database is somebody else's and changes while
/// our tree does not, and where it cannot be reached there is nothing to say.
fn advisories() -> Outcome {
    let command: &[&str] = if tools::on_path("cargo-deny") {
        &["deny", "check", "advisories"]
    } else if tools::on_path("cargo-audit") {
        &["audit"]
    } else {
        println!("neither cargo-deny nor cargo-audit is installed");
        return Outcome::Skipped;
    };
    if Cargo::new(command).run() { Outcome::Passed } else { Outcome::Skipped }
}
