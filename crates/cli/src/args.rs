//! The command line, as `--help` shows it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A rule-engine server for MQTT: SQL rules in files, messages in motion.
#[derive(Debug, Parser)]
#[command(name = "sluicegate", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the server. This is what happens without a verb, too.
    Run(RunArgs),
    /// Check the configuration and every file of the rules folder, without running anything.
    ///
    /// Exit code 0 when there is no error, otherwise 1; warnings are no errors unless `--deny-warnings` says so.
    Check(CheckArgs),
    /// Try the rules on the cases that stand beside them in `NAME.test.toml`.
    ///
    /// A case gives a message and says what comes of it: the output, no match or an error, and what the actions
    /// publish. Nothing is sent. Exit code 0 when every case passes, otherwise 1; 2 when the configuration is wrong
    /// or no case has FILTER in its name.
    Test(TestArgs),
    /// Say what a rule would make of one message: what `POST /api/v5/rule_test` would answer.
    ///
    /// Prints the row (or the rows of FOREACH) as JSON and exits with 0. Where nothing comes out, it says why and exits
    /// with 1.
    Eval(EvalArgs),
    /// List the builtin functions, or explain one of them.
    Functions(FunctionsArgs),
    /// Look at what could not be delivered, send it again, or throw it away.
    ///
    /// Talks to the API of the running server. With `--data`, `list` and `show` read the data folder of one that does not
    /// run. Exit code 1 when a letter is missing or could not be sent again.
    Dlq(DlqArgs),
    /// Give an MQTT user a password, in the file that `[mqtt] users` names.
    ///
    /// The password is asked for on the terminal, or is the first line of standard input. The file is made if it is not
    /// there, and a running server reads it anew by itself.
    Passwd(PasswdArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    pub(crate) verb: DlqVerb,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    /// Read this data folder instead of asking a server.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// How a running server is asked.
#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    /// Where the API of the server is: http://HOST:PORT or https://HOST:PORT.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "SLUICEGATE_URL",
        default_value = "http://127.0.0.1:18083"
    )]
    pub(crate) url: String,
    /// Over HTTPS, trust the authorities in this file (PEM) rather than those of the operating system.
    #[arg(long, global = true, value_name = "FILE", env = "SLUICEGATE_CACERT")]
    pub(crate) cacert: Option<PathBuf>,
    /// The API key, where the server has any.
    #[arg(long, global = true, value_name = "KEY", env = "SLUICEGATE_API_KEY")]
    pub(crate) key: Option<String>,
    /// Its secret; better in the environment, where no list of processes shows it.
    #[arg(long, global = true, value_name = "SECRET", env = "SLUICEGATE_API_SECRET", hide_env_values = true)]
    pub(crate) secret: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DlqVerb {
    /// List dead letters, newest first.
    List {
        /// Only those of this action, as in `mqtt:uplink`.
        #[arg(long)]
        action: Option<String>,
        /// Only those of this rule.
        #[arg(long)]
        rule: Option<String>,
        /// Only those that ended there: render, overflow, expired or send.
        #[arg(long)]
        stage: Option<String>,
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// How they are printed.
        #[arg(long, value_enum, default_value_t = LetterFormat::Text)]
        format: LetterFormat,
    },
    /// Show everything that is known of one letter.
    Show {
        /// Its number.
        #[arg(value_name = "ID")]
        id: u64,
    },
    /// Queue letters for their actions again.
    ///
    /// As they were rendered; those that never were go through their rule and action once more, as both are now.
    Replay(Letters),
    /// Throw letters away.
    Discard(Letters),
}

/// Which letters are meant.
#[derive(Debug, Args)]
pub(crate) struct Letters {
    /// Their numbers.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<u64>,
    /// All of this action, as in `mqtt:uplink`.
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// All there are.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LetterFormat {
    /// A line for each.
    Text,
    /// One JSON object a line.
    Json,
}

/// What `run`, `check` and `test` read.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// The configuration file [default: ./sluicegate.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A folder of rule and resource files; may be repeated [default: ./rules].
    #[arg(long, value_name = "DIR")]
    pub(crate) rules: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Where to keep what must outlive the process [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where the embedded broker listens; port 0 takes a free one [default: 127.0.0.1:1883].
    #[arg(long, value_name = "ADDR")]
    pub(crate) mqtt_listen: Option<String>,
    /// Where the HTTP API listens; port 0 takes a free one [default: 127.0.0.1:18083].
    #[arg(long, value_name = "ADDR")]
    pub(crate) http_listen: Option<String>,
    /// Serve clients without authentication on addresses that are not loopback.
    #[arg(long)]
    pub(crate) allow_anonymous: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    /// How findings are printed.
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,
    /// Exit with 1 when there are warnings, too.
    #[arg(long)]
    pub(crate) deny_warnings: bool,
    /// Warn of SQL that EMQX would refuse.
    #[arg(long)]
    pub(crate) portable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people, with the place underlined.
    Text,
    /// One JSON object a line.
    Json,
    /// Commands that GitHub shows as annotations.
    Github,
    /// A SARIF 2.1.0 document.
    Sarif,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Try only the cases that have this in `RULE: NAME`.
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// How the results are printed.
    #[arg(long, value_enum, default_value_t = TestFormat::Text)]
    pub(crate) format: TestFormat,
    /// Say which sides of WHERE, INCASE, AND and OR, which arms of CASE and which entries of FROM no case has reached.
    #[arg(long)]
    pub(crate) coverage: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestFormat {
    /// For people, with every difference.
    Text,
    /// One JSON object a case.
    Json,
    /// A JUnit XML report.
    Junit,
}

#[derive(Debug, Args)]
pub(crate) struct PasswdArgs {
    /// The file of users.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The name of the user.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Take the user out instead.
    #[arg(long)]
    pub(crate) delete: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FunctionsArgs {
    /// The function to explain.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The rule.
    #[arg(value_name = "SQL")]
    pub(crate) sql: String,
    /// The topic of the message.
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// The payload of the message.
    #[arg(long)]
    pub(crate) payload: Option<String>,
    /// A JSON file with the context, as `rule_test` takes it; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) context: Option<PathBuf>,
}
