//! `sluicegate run`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use config::FileProblem;
use config::server_file::{self, LogFormat, Overrides, ServerConfig};
use diagnostic::Style;

use crate::EXIT_USAGE;
use crate::args::{Files, RunArgs};
use crate::terminal::tell;

/// Runs the server until it is told to stop.
pub(crate) fn run(args: RunArgs) -> ExitCode {
    let signals = match server::Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tell(format_args!("error: the system does not let signals be heard: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let overrides = Overrides {
        rules: args.files.rules.clone(),
        data: args.data,
        mqtt_listen: args.mqtt_listen,
        http_listen: args.http_listen,
        allow_anonymous: args.allow_anonymous,
    };
    let Some(config) = load(&args.files, &overrides, server::check) else {
        return ExitCode::from(EXIT_USAGE);
    };
    let format = match config.log_format {
        LogFormat::Text => server::LogFormat::Text,
        LogFormat::Json => server::LogFormat::Json,
    };
    let outcome = server::Log::install(config.log_level, format)
        .and_then(|log| server::run(&config, &log, signals).map_err(|error| error.to_string()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            tell(format_args!("error: {reason}"));
            ExitCode::FAILURE
        }
    }
}

/// Reads the configuration; what is wrong with it, or what `check` finds wrong with it, is shown, and any error means there
/// is none.
pub(crate) fn load(
    files: &Files,
    overrides: &Overrides,
    check: impl FnOnce(&ServerConfig) -> Vec<FileProblem>,
) -> Option<ServerConfig> {
    let (config, mut problems) = server_file::load(files.config.as_deref(), std::env::vars_os(), overrides);
    problems.extend(check(&config));
    for problem in &problems {
        tell(problem.source().render(&problem.diagnostic, style(std::io::stderr().is_terminal())));
    }
    let sound = !problems.iter().any(|problem| problem.diagnostic.is_error());
    sound.then_some(config)
}

/// Colours on a terminal, unless `NO_COLOR` asks for none.
pub(crate) fn style(is_terminal: bool) -> Style {
    if is_terminal && std::env::var_os("NO_COLOR").is_none() { Style::Colour } else { Style::Plain }
}
