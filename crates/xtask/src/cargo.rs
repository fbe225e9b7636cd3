//! Running cargo from within cargo.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A cargo command in the root of the workspace.
pub(crate) struct Cargo {
    command: Command,
}

impl Cargo {
    /// `cargo ARGS`.
    pub(crate) fn new(args: &[&str]) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(root()).args(args).stdin(Stdio::null());
        // `cargo run` describes this package in the environment. Build scripts that watch such variables would run
        // again whenever one calls cargo by hand and by xtask in turn, and half of the tree would be built anew.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        Self { command }
    }

    /// Adds arguments.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it with its output on the terminal. Whether it succeeded; why not, it has said itself.
    pub(crate) fn run(mut self) -> bool {
        match self.command.status() {
            Ok(status) => status.success(),
            Err(error) => {
                eprintln!("cannot run {:?}: {error}", self.command);
                false
            }
        }
    }

    /// Runs it and returns what it prints; an error if it fails.
    pub(crate) fn output(mut self) -> Result<Vec<u8>, String> {
        let output = self.command.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(output.stdout) } else { Err(format!("{:?} failed", self.command)) }
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    // Where it was built is where it works: `cargo xtask` builds it first.
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
