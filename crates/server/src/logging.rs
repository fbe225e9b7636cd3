//! Where log lines go: standard error, as text for people or as JSON for machines.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::log_queue::LogQueue;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line each, coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// The log of the process. When it is dropped, what was said is written, as far as somebody reads it.
#[must_use]
pub struct Log(LogQueue);

/// How long the end of the process waits for a reader of the log that takes nothing.
const END_WITHIN: Duration = Duration::from_secs(1);

impl Log {
    /// Installs it. `level` is a word such as `info`, or a directive such as `info,broker=debug`.
    ///
    /// Fails where `level` is neither.
    pub fn install(level: &str, format: LogFormat) -> Result<Self, String> {
        let filter =
            EnvFilter::try_new(level).map_err(|error| format!("`[log] level` is `{level}`: {error}"))?;
        let queue =
            LogQueue::start(io::stderr()).map_err(|error| format!("the log cannot be written: {error}"))?;
        let lines = queue.clone();
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(move || lines.clone())
            // It would be told on standard error, and panic where nobody reads that.
            .log_internal_errors(false)
            .with_target(false);
        match format {
            LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
            LogFormat::Json => builder.json().flatten_event(true).with_target(true).try_init(),
        }
        .map_err(|error| error.to_string())?;
        Ok(Self(queue))
    }

    /// Prints text among the lines, as it is.
    pub(crate) fn print(&self, text: &str) {
        // The queue takes everything, or counts it.
        let _ = self.0.clone().write_all(text.as_bytes());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.end(END_WITHIN);
    }
}
