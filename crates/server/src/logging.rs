//! Where log lines go: standard error, as text for people or as JSON for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line each, coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Installs the log of the process. `level` is a word such as `info`, or a directive such as `info,broker=debug`.
///
/// Fails where `level` is neither.
pub fn install(level: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(level).map_err(|error| format!("`[log] level` is `{level}`: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that nobody reads any more is no reason to stop. Lines that cannot be written would be complained of on
        // standard error, which nobody reads either, and that panics in whichever thread has something to say.
        .log_internal_errors(false)
        .with_target(false);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(true).try_init(),
    }
    .map_err(|error| error.to_string())
}
