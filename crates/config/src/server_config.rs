//! What `sluicegate.toml` comes to, typed and complete.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::fsync::Fsync;
use crate::mqtt_config::{AckLevel, MqttConfig};
use crate::secret::Secret;
use crate::section::{Node, Section};
use crate::ssrf::SsrfConfig;

/// The server's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// The name of this node.
    pub node_name: String,
    /// Threads that move messages and evaluate rules; `None` for what the machine suggests.
    pub worker_threads: Option<usize>,
    /// A broker that runs already, where local topics live in place of the embedded one.
    pub local: Option<LocalConfig>,
    /// The embedded broker.
    pub mqtt: MqttConfig,
    /// The HTTP listener.
    pub http: HttpConfig,
    /// The rules folders.
    pub rules: RulesConfig,
    /// The data folder.
    pub data_dir: PathBuf,
    /// What dead letters may take on disk (bytes).
    pub dead_letter_bytes_max: u64,
    /// Where HTTP connectors may connect to.
    pub ssrf: SsrfConfig,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: &'static str,
    /// How the log looks.
    pub log_format: LogFormat,
    /// How long a stop may take.
    pub shutdown_timeout: Duration,
}

/// What the embedded broker keeps for its clients, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionsConfig {
    /// How long a session without a connection is kept at the most.
    pub expiry_max: Duration,
    /// Sessions.
    pub sessions_max: usize,
    /// Bytes of the topic filters of all sessions.
    pub subscription_bytes_max: usize,
    /// Bytes of the wills of all sessions.
    pub will_bytes_max: usize,
    /// Bytes of messages that wait for clients, or are under way to them, of all sessions.
    pub queued_bytes_max: usize,
    /// Retained messages.
    pub retained_messages_max: usize,
    /// Bytes of retained messages.
    pub retained_bytes_max: usize,
    /// How often `$SYS` is renewed; `None` for no `$SYS`.
    pub sys_interval: Option<Duration>,
    /// How it is kept on the disk; `None` if it is not.
    pub persistence: Option<PersistenceConfig>,
}

/// How sessions and retained messages are kept on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistenceConfig {
    /// When what was written is forced onto the disk.
    pub fsync: Fsync,
    /// Bytes that the queues of all persistent sessions may take.
    pub bytes_max: usize,
}

/// A broker that runs already, and how to connect to it.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalConfig {
    /// Its address, `mqtt://…` or `mqtts://…`.
    pub server: Node,
    /// The group in which subscriptions are shared.
    pub share_group: Option<String>,
    /// When it hears that a message is safe.
    pub ack: Option<AckLevel>,
    /// Settings of a connector, which whoever knows them checks.
    pub connector: Section,
    /// Where relative paths among them start.
    pub dir: PathBuf,
    /// The file that says all this.
    pub file: PathBuf,
    /// Its text, for excerpts.
    pub text: String,
}

/// The HTTP listener's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// The address to bind; port 0 for any.
    pub listen: SocketAddr,
    /// Who may use the API; everybody if empty.
    pub api_keys: Vec<ApiKey>,
    /// Whether everybody may, from anywhere.
    pub allow_anonymous: bool,
}

/// One user of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name.
    pub key: String,
    /// Its secret.
    pub secret: Secret,
    /// What it may do.
    pub role: ApiRole,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiRole {
    /// Everything.
    Administrator,
    /// Reading.
    Viewer,
}

/// The settings of the rules folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesConfig {
    /// The folders.
    pub dirs: Vec<PathBuf>,
    /// Whether changes take effect by themselves.
    pub watch: bool,
    /// Whether any error keeps everything as it was.
    pub strict: bool,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
