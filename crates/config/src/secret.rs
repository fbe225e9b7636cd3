//! A secret: where it comes from, and a value that no message can show.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::{ReadError, read_file};

/// What stands for a secret wherever it would be shown.
pub const REDACTED: &str = "******";

/// The most bytes a secret read from a file may have.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A secret with its value. `Debug` and `Display` show [`REDACTED`]; two secrets are equal when their values are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The secret whose value is `text`.
    pub fn new(text: impl Into<Arc<str>>) -> Secret {
        Secret(text.into())
    }

    /// The value itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Where a secret is to be found.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretOrigin {
    /// The value itself stands in the configuration.
    Plain(String),
    /// In a file, whose trailing whitespace does not count.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
}

/// Why a secret could not be read. Never carries the value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("cannot read the secret in `{path}`: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: ReadError,
    },
    /// The value is not UTF-8.
    #[error("the secret in `{0}` is not UTF-8 text")]
    NotText(String),
    /// The environment variable is not set.
    #[error("the environment variable `{0}` is not set")]
    Env(String),
}

impl SecretOrigin {
    /// The origin that a text in a configuration names: `file:///path` (absolute), `file://path` (relative to `base_dir`),
    /// anything else is the secret itself.
    pub fn of_text(text: &str, base_dir: &Path) -> SecretOrigin {
        match text.strip_prefix("file://") {
            Some(path) => SecretOrigin::File(base_dir.join(path)),
            None => SecretOrigin::Plain(text.to_owned()),
        }
    }

    /// Fetches the value.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            SecretOrigin::Plain(text) => Ok(Secret::new(text.as_str())),
            SecretOrigin::File(path) => read_secret_file(path),
            SecretOrigin::Env(name) => match std::env::var(name) {
                Ok(text) => Ok(Secret::new(text)),
                Err(std::env::VarError::NotPresent) => Err(SecretError::Env(name.clone())),
                Err(std::env::VarError::NotUnicode(_)) => Err(SecretError::NotText(name.clone())),
            },
        }
    }
}

impl fmt::Debug for SecretOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretOrigin::Plain(_) => f.write_str(REDACTED),
            SecretOrigin::File(path) => write!(f, "file {}", path.display()),
            SecretOrigin::Env(name) => write!(f, "env {name}"),
        }
    }
}

fn read_secret_file(path: &Path) -> Result<Secret, SecretError> {
    let bytes = read_file(path, SECRET_BYTES_MAX)
        .map_err(|cause| SecretError::File { path: path.to_owned(), cause })?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Secret::new(text.trim_end())),
        Err(_) => Err(SecretError::NotText(path.display().to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing() {
        let secret = Secret::new("hunter2");
        let origin = SecretOrigin::Plain("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?} {origin:?}"), "****** ****** ******");
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn a_file_loses_its_trailing_whitespace() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pw"), " se cret \r\n\n").unwrap();
        let absolute = format!("file://{}", dir.path().join("pw").display());
        for text in ["file://pw", &absolute] {
            assert_eq!(SecretOrigin::of_text(text, dir.path()).read().unwrap().reveal(), " se cret");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("big"), vec![b'x'; SECRET_BYTES_MAX as usize + 1]).unwrap();
        std::fs::write(dir.path().join("binary"), [0xff, 0xfe]).unwrap();
        let read = |text: &str| SecretOrigin::of_text(text, dir.path()).read().unwrap_err().to_string();
        assert!(read("file://none").starts_with("cannot read the secret in"));
        assert!(read("file://big").ends_with("it has more than 65536 bytes"));
        assert!(read("file://binary").ends_with("is not UTF-8 text"));
        let missing = SecretOrigin::Env("SLUICEGATE_TEST_NO_SUCH_VARIABLE".to_owned()).read().unwrap_err();
        assert_eq!(
            missing.to_string(),
            "the environment variable `SLUICEGATE_TEST_NO_SUCH_VARIABLE` is not set"
        );
    }
}
