//! Steps, how long each took, and what came of it.

use std::time::{Duration, Instant};

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// What it needs is not on this machine; never a reason for red.
    Skipped,
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<(&'static str, Outcome, Duration)>,
}

impl Report {
    /// Runs one step under its name. The next one runs in any case: one red run shows all that is red.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce() -> Outcome) {
        println!("\n── {name}");
        let start = Instant::now();
        let outcome = run();
        let took = start.elapsed();
        println!("── {name}: {} in {}", word(outcome), seconds(took));
        self.steps.push((name, outcome, took));
    }

    /// Runs a step that gives a line for each thing that is wrong.
    pub(crate) fn check(&mut self, name: &'static str, run: impl FnOnce() -> Result<Vec<String>, String>) {
        self.step(name, || {
            let findings = run().unwrap_or_else(|error| vec![error]);
            findings.iter().for_each(|finding| println!("{finding}"));
            Outcome::from(findings.is_empty())
        });
    }

    /// Prints all steps. Whether none has failed.
    pub(crate) fn finish(self) -> bool {
        println!();
        for (name, outcome, took) in &self.steps {
            println!("{:>8}  {:>8}  {name}", word(*outcome), seconds(*took));
        }
        let total: Duration = self.steps.iter().map(|(_, _, took)| *took).sum();
        println!("{:>8}  {:>8}", "", seconds(total));
        self.steps.iter().all(|(_, outcome, _)| *outcome != Outcome::Failed)
    }
}

impl From<bool> for Outcome {
    fn from(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
