//! How thoroughly to measure, and what.

use std::path::PathBuf;

use crate::jobs::JOBS;
use crate::server::Programs;

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// Of each job's messages.
    pub(crate) share: f64,
    pub(crate) programs: Programs,
    /// Where the result goes, as JSON.
    pub(crate) json: Option<PathBuf>,
    /// Names of parts; all if empty.
    only: Vec<String>,
}

/// What is measured beside the jobs: the name, and what it is.
pub(crate) const PARTS: &[(&str, &str)] = &[
    ("rules", "rules that let nothing through, and rules on other topics"),
    ("memory", "at the start, and idle connections"),
    ("start", "until systemd is told that it is ready"),
    ("reload", "10,000 rules with one change, and messages meanwhile"),
    ("buffers", "publish → rule → remote with each kind of buffer"),
    ("drain", "a backlog on disk, into a remote that is back"),
];

impl Plan {
    /// Reads the arguments. Errors are sentences.
    pub(crate) fn parse(args: &[&str]) -> Result<Self, String> {
        let programs = Programs { sluicegate: own_program()?, rumqttd: None };
        let mut plan = Self { rounds: 3, share: 1.0, programs, json: None, only: Vec::new() };
        for arg in args {
            match arg.split_once('=').unwrap_or((arg, "")) {
                ("--quick", "") => (plan.rounds, plan.share) = (1, 0.25),
                ("json", file) if !file.is_empty() => plan.json = Some(file.into()),
                ("rumqttd", program) if !program.is_empty() => plan.programs.rumqttd = Some(program.into()),
                (name, "") if names().any(|known| known == name) => plan.only.push(name.to_owned()),
                _ => {
                    let known: Vec<&str> = names().collect();
                    return Err(format!("there is no part `{arg}`; there are: {}", known.join(", ")));
                }
            }
        }
        Ok(plan)
    }

    /// Whether this job or part is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// So many, or fewer where it is to be quick.
    pub(crate) fn scaled(&self, count: u64) -> u64 {
        (count as f64 * self.share) as u64
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    JOBS.iter().map(|job| job.name).chain(PARTS.iter().map(|(name, _)| *name))
}

/// Where the server's release binary lies: beside this one.
fn own_program() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("this program lies nowhere: {error}"))?;
    Ok(own.with_file_name("sluicegate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_there_is_and_names_it_otherwise() {
        let plan = Plan::parse(&["--quick", "local-qos0", "rules", "json=a.json"]).expect("a plan");
        assert_eq!((plan.rounds, plan.json), (1, Some("a.json".into())));
        let plan = Plan::parse(&["local-qos0", "rules"]).expect("a plan");
        assert!(plan.wants("rules") && !plan.wants("memory"));
        assert!(Plan::parse(&[]).expect("a plan").wants("memory"));
        let error = Plan::parse(&["loca"]).expect_err("no such part");
        assert!(
            error.contains("`loca`") && error.contains("local-qos0") && error.contains("drain"),
            "{error}"
        );
    }
}
