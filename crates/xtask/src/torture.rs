//! `cargo xtask torture`: rounds of random faults against the real server, for as long as one likes.

use crate::cargo::Cargo;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Torture {
    minutes: u64,
    /// The first round; the next ones count on from there.
    seed: u64,
}

impl Torture {
    /// Reads the arguments; `None` where they are none of ours.
    pub(crate) fn parse(mut args: &[&str]) -> Option<Self> {
        let mut torture = Self { minutes: 10, seed: 3 };
        while let [name, value, rest @ ..] = args {
            match *name {
                "--minutes" => torture.minutes = value.parse().ok()?,
                "--seed" => torture.seed = value.parse().ok()?,
                _ => return None,
            }
            args = rest;
        }
        args.is_empty().then_some(torture)
    }

    /// Runs rounds until the time is over or one fails. Whether all were good.
    pub(crate) fn run(&self) -> bool {
        let Self { minutes, seed } = self;
        println!("{minutes} minutes of random faults, from seed {seed} on");
        // Not by nextest, which ends tests that take long.
        let test =
            ["test", "--package", "cli", "--test", "e2e", "torture::soak", "--", "--exact", "--nocapture"];
        Cargo::new(&test)
            .env("SLUICEGATE_TORTURE_SECONDS", &(minutes * 60).to_string())
            .env("SLUICEGATE_TORTURE_SEED", &seed.to_string())
            .run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_arguments() {
        assert_eq!(Torture::parse(&[]), Some(Torture { minutes: 10, seed: 3 }));
        assert_eq!(
            Torture::parse(&["--minutes", "30", "--seed", "7"]),
            Some(Torture { minutes: 30, seed: 7 })
        );
        assert_eq!(Torture::parse(&["--minutes"]), None);
        assert_eq!(Torture::parse(&["--hours", "1"]), None);
    }
}
