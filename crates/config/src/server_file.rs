//! The server's own settings: flags over environment over `sluicegate.toml` over defaults.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnostic::{Code, Diagnostic, Span};

use crate::content::{ReadError, read_file};
use crate::folder::{FILE_BYTES_MAX, FileProblem};
use crate::fsync::Fsync;
use crate::layer::{Layer, env_layer, flag_layer};
use crate::mqtt_config::ack_level;
use crate::section::{Node, Section, Text};
use crate::server_fields::SERVER_FIELDS;
use crate::settings::Settings;
use crate::ssrf::{self, SsrfConfig};
use crate::text_file::{decode, without_bom};

pub use crate::server_config::{
    ApiKey, ApiRole, HttpConfig, LocalConfig, LogFormat, PersistenceConfig, RulesConfig, ServerConfig,
    SessionsConfig,
};

/// The file that is read when none is named, if it is there.
pub const DEFAULT_FILE: &str = "sluicegate.toml";

/// What the command line says. It wins over everything.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--rules`, in place of all of `[rules] dirs` if there is any.
    pub rules: Vec<PathBuf>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--mqtt-listen`.
    pub mqtt_listen: Option<String>,
    /// `--http-listen`.
    pub http_listen: Option<String>,
    /// `--allow-anonymous`, which covers both listeners.
    pub allow_anonymous: bool,
}

/// Puts the server's settings together from the command line, the environment and a file.
///
/// Without `file` it reads [`DEFAULT_FILE`] if it is there. Relative paths in the file start from its folder, others from the
/// working folder. The settings are whole also when there are errors among the problems, but then they are not what was
/// asked for. Problems of the environment and of the command line name them as if they were files.
pub fn load(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &Overrides,
) -> (ServerConfig, Vec<FileProblem>) {
    let layers = [flag_layer(flags), env_layer(env, SERVER_FIELDS), file_layer(file)];
    let mut layers = Layers { layers, problems: Vec::new() };
    let config = layers.config();
    layers.refuse_exposed(&config);
    let of_others = layers.problems;
    let problems = layers.layers.into_iter().rev().flat_map(Layer::into_problems).chain(of_others).collect();
    (config, problems)
}

fn file_layer(file: Option<&Path>) -> Layer {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let dir = path.parent().unwrap_or(Path::new(""));
    let (bytes, unreadable) = match read_file(path, FILE_BYTES_MAX) {
        Ok(bytes) => (bytes, None),
        Err(ReadError::Io(error)) if error.kind() == ErrorKind::NotFound && file.is_none() => {
            (Vec::new(), None)
        }
        Err(error) => {
            let diagnostic =
                Diagnostic::new(Code::Unreadable, Span::default(), "the configuration cannot be read");
            (Vec::new(), Some(diagnostic.note(error.to_string())))
        }
    };
    let (text, not_text) = decode(bytes);
    let mut diagnostics: Vec<Diagnostic> = unreadable.into_iter().chain(not_text).collect();
    let mut section = Section::parse_toml(&without_bom(&text), &mut diagnostics);
    if !diagnostics.is_empty() {
        // What half a file says would only add problems that are none.
        section = Section::default();
    }
    Layer::new(path, text, &section, SERVER_FIELDS, dir, diagnostics)
}

/// The layers, the one that wins first. The last is the file, which also holds the defaults.
pub(crate) struct Layers {
    layers: [Layer; 3],
    /// Problems of the files that these name.
    pub(crate) problems: Vec<FileProblem>,
}

impl Layers {
    /// The layer that says what `table.key` is, and its table.
    pub(crate) fn pick(&mut self, table: &str, key: &str) -> (Settings, &mut Layer) {
        self.pick_in(&[table], key)
    }

    /// As [`Layers::pick`], for a table within tables.
    pub(crate) fn pick_in(&mut self, path: &[&str], key: &str) -> (Settings, &mut Layer) {
        let table =
            |layer: &Layer| path.iter().fold(layer.settings.clone(), |outer, name| outer.table(name).clone());
        let file = self.layers.len() - 1;
        let at = self.layers.iter().position(|layer| table(layer).is_given(key)).unwrap_or(file);
        let layer = &mut self.layers[at];
        (table(layer), layer)
    }

    fn config(&mut self) -> ServerConfig {
        let (log, _) = self.pick("log", "format");
        ServerConfig {
            node_name: self.node_name(),
            worker_threads: self.worker_threads(),
            local: self.local(),
            mqtt: self.mqtt(),
            http: HttpConfig {
                listen: self.listen("http", 18083),
                api_keys: self.api_keys(),
                allow_anonymous: self.pick("http", "allow_anonymous").0.bool("allow_anonymous"),
            },
            rules: RulesConfig {
                dirs: self.rules_dirs(),
                watch: self.pick("rules", "watch").0.bool("watch"),
                strict: self.pick("rules", "strict").0.bool("strict"),
            },
            data_dir: self.pick("data", "dir").0.path("dir").unwrap_or(Path::new("data")).to_owned(),
            dead_letter_bytes_max: self
                .pick("data", "max_dead_letter_bytes")
                .0
                .bytes("max_dead_letter_bytes"),
            ssrf: self.ssrf(),
            log_level: self.pick("log", "level").0.one_of("level"),
            log_format: if log.one_of("format") == "json" { LogFormat::Json } else { LogFormat::Text },
            shutdown_timeout: self.shutdown_timeout(),
        }
    }

    pub(crate) fn sessions(&mut self) -> SessionsConfig {
        let mut mqtt = |key| self.pick("mqtt", key).0;
        let count = |settings: Settings, key| usize::try_from(settings.int(key)).unwrap_or(usize::MAX);
        let bytes = |settings: Settings, key| usize::try_from(settings.bytes(key)).unwrap_or(usize::MAX);
        SessionsConfig {
            expiry_max: mqtt("session_expiry_interval").duration("session_expiry_interval"),
            sessions_max: count(mqtt("max_sessions"), "max_sessions"),
            subscription_bytes_max: bytes(
                mqtt("max_total_subscription_bytes"),
                "max_total_subscription_bytes",
            ),
            will_bytes_max: bytes(mqtt("max_total_will_bytes"), "max_total_will_bytes"),
            queued_bytes_max: bytes(mqtt("max_total_mqueue_bytes"), "max_total_mqueue_bytes"),
            retained_messages_max: count(mqtt("max_retained_messages"), "max_retained_messages"),
            retained_bytes_max: bytes(mqtt("max_retained_bytes"), "max_retained_bytes"),
            sys_interval: Some(mqtt("sys_msg_interval").duration("sys_msg_interval"))
                .filter(|interval| !interval.is_zero()),
            persistence: self.persistence(),
        }
    }

    fn persistence(&mut self) -> Option<PersistenceConfig> {
        let pick = |key: &str| {
            let mut tables =
                self.layers.iter().map(|layer| layer.settings.table("mqtt").table("persistence"));
            let given = tables.clone().find(|table| table.is_given(key));
            given.or(tables.next_back()).cloned().unwrap_or_else(Settings::empty)
        };
        let persistence = PersistenceConfig {
            fsync: match pick("fsync").one_of("fsync") {
                "always" => Fsync::Always,
                "never" => Fsync::Never,
                _ => Fsync::Interval(pick("fsync_interval").duration("fsync_interval")),
            },
            bytes_max: usize::try_from(pick("max_bytes").bytes("max_bytes")).unwrap_or(usize::MAX),
        };
        pick("enable").bool("enable").then_some(persistence)
    }

    fn node_name(&mut self) -> String {
        let (node, layer) = self.pick("node", "name");
        let name = node.str("name");
        if name.is_empty() || name.len() > 255 || name.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            let message = "`node.name` has 1 to 255 characters and no blanks";
            layer.report(Diagnostic::new(Code::InvalidValue, node.span("name"), message));
        }
        name.to_owned()
    }

    fn worker_threads(&mut self) -> Option<usize> {
        let (node, _) = self.pick("node", "worker_threads");
        // Within its bounds, or reported.
        node.is_set("worker_threads").then(|| usize::try_from(node.int("worker_threads")).unwrap_or(1))
    }

    pub(crate) fn listen(&mut self, table: &str, port: u16) -> SocketAddr {
        let (settings, layer) = self.pick(table, "listen");
        let text = settings.text("listen").unwrap_or_default();
        parse_listen(text).unwrap_or_else(|| {
            let message = format!("`{table}.listen` is not an address: `{}`", text.text);
            let help = format!(
                "write an IP address and a port: `127.0.0.1:{port}`, `[::1]:{port}` or `0.0.0.0:{port}`"
            );
            layer.report(Diagnostic::new(Code::InvalidValue, text.span, message).help(help));
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
        })
    }

    fn api_keys(&mut self) -> Vec<ApiKey> {
        let (http, layer) = self.pick("http", "api_keys");
        let mut keys: Vec<ApiKey> = Vec::new();
        for table in http.tables("api_keys") {
            let key = table.str("key").to_owned();
            let role =
                if table.one_of("role") == "viewer" { ApiRole::Viewer } else { ApiRole::Administrator };
            let problem = if keys.iter().any(|known| known.key == key) {
                Some(format!("the API key `{key}` is given twice"))
            } else if key.contains(':') {
                Some(format!("the API key `{key}` has a colon, which HTTP Basic does not allow"))
            } else if table.secret("secret").is_some_and(|secret| secret.reveal().is_empty()) {
                Some(format!("the API key `{key}` has an empty secret"))
            } else {
                None
            };
            if let Some(message) = problem {
                layer.report(Diagnostic::new(Code::InvalidValue, table.section_span(), message));
            }
            // Without a secret there is a diagnostic already, and a key that nobody can use keeps the API closed.
            let secret = table.secret("secret").cloned();
            if let Some(secret) = secret.filter(|secret| !secret.reveal().is_empty()) {
                keys.push(ApiKey { key, secret, role });
            }
        }
        keys
    }

    fn rules_dirs(&mut self) -> Vec<PathBuf> {
        let (rules, layer) = self.pick("rules", "dirs");
        if !rules.is_set("dirs") {
            return vec![PathBuf::from("rules")];
        }
        rules.str_list("dirs").iter().map(|dir| layer.dir.join(dir.text)).collect()
    }

    fn ssrf(&mut self) -> SsrfConfig {
        let mut networks = |name: &str| {
            let (settings, layer) = self.pick("ssrf", name);
            let mut diagnostics = Vec::new();
            let networks = ssrf::networks(&settings, name, &mut diagnostics);
            diagnostics.into_iter().for_each(|diagnostic| layer.report(diagnostic));
            settings.is_set(name).then_some(networks)
        };
        let (allow_cidrs, deny_cidrs) = (networks("allow_cidrs").unwrap_or_default(), networks("deny_cidrs"));
        let hosts = self.pick("ssrf", "deny_hosts").0;
        SsrfConfig {
            enable: self.pick("ssrf", "enable").0.bool("enable"),
            allow_cidrs,
            deny_cidrs,
            deny_hosts: hosts.str_list("deny_hosts").iter().map(|host| host.text.to_owned()).collect(),
        }
    }

    fn shutdown_timeout(&self) -> Duration {
        let given = self.layers.iter().find(|layer| layer.settings.is_given("shutdown_timeout"));
        given.unwrap_or(&self.layers[self.layers.len() - 1]).settings.duration("shutdown_timeout")
    }

    /// The broker where local topics live, unless it is the embedded one.
    fn local(&mut self) -> Option<LocalConfig> {
        let share_group = self.share_group();
        let ack = self.pick("local", "ack").0.opt_one_of("ack").and_then(ack_level);
        let (table, layer) = self.pick("local", "connector");
        let given = table.node("connector").cloned();
        let connector = match given.as_ref().map(|node| (node, node.as_section())) {
            None => Section::default(),
            Some((_, Some(section))) => section.clone(),
            Some((node, None)) => {
                let message = format!("`local.connector` needs a table, found {}", node.kind_text());
                layer.report(Diagnostic::new(Code::WrongType, node.span, message));
                Section::default()
            }
        };
        for name in ["server", "enable"] {
            if let Some(entry) = connector.entry(name) {
                let message = format!("`local.connector.{name}` is said by `local.broker`");
                layer.report(Diagnostic::new(Code::Conflict, entry.key_span, message));
            }
        }
        let connector_place = (layer.name.clone(), layer.text.clone(), layer.dir.clone());
        let (local, layer) = self.pick("local", "broker");
        let broker = local.str("broker");
        if broker == "embedded" {
            return None;
        }
        if !broker.starts_with("mqtt://") && !broker.starts_with("mqtts://") {
            let message = format!("`local.broker` is `embedded` or an address, not `{broker}`");
            let help = "write `mqtt://host:1883` or `mqtts://host:8883`, or leave it out";
            layer.report(Diagnostic::new(Code::InvalidValue, local.span("broker"), message).help(help));
            return None;
        }
        let place = (layer.name.clone(), layer.text.clone(), layer.dir.clone());
        let (file, text, dir) = if given.is_some() { connector_place } else { place };
        // An address from elsewhere has no place in the text that is shown.
        let span = if layer.name == file { local.span("broker") } else { Span::default() };
        let server = Node { span, ..Node::str(broker) };
        Some(LocalConfig { server, share_group, ack, connector, dir, file, text })
    }

    fn share_group(&mut self) -> Option<String> {
        let (local, layer) = self.pick("local", "share_group");
        let group = local.opt_str("share_group")?;
        if group.is_empty() || group.contains(['/', '+', '#', '\0']) {
            let message = "`local.share_group` has at least one character, and neither `/` nor `+` nor `#`";
            layer.report(Diagnostic::new(Code::InvalidValue, local.span("share_group"), message));
        }
        Some(group.to_owned())
    }

    /// Refuses addresses that others can reach without authentication.
    fn refuse_exposed(&mut self, config: &ServerConfig) {
        let reachable = |address: SocketAddr| !address.ip().to_canonical().is_loopback();
        // Beside a broker that runs already there is no other.
        let listeners = if config.local.is_none() { &config.mqtt.listeners[..] } else { &[] };
        for listener in listeners {
            let shows_certificate = listener.tls.as_ref().is_some_and(|tls| tls.fail_if_no_peer_cert);
            if !reachable(listener.listen)
                || !listener.anonymous
                || listener.allow_anonymous
                || shows_certificate
            {
                continue;
            }
            let is_main = listener.name == "mqtt";
            let (mqtt, layer) = self.pick("mqtt", if is_main { "listen" } else { "listeners" });
            let mut others = mqtt.tables("listeners").iter();
            let other = others.find(|it| it.opt_str("name").unwrap_or(it.one_of("type")) == listener.name);
            let (what, span) = match other.filter(|_| !is_main) {
                None => ("mqtt.listen".to_owned(), mqtt.span("listen")),
                Some(other) => (format!("listen` of the listener `{}", listener.name), other.span("listen")),
            };
            layer.report(exposed(&what, listener.listen, span).help(
                "add `users = \"users.txt\"` to `[mqtt]` and a user with `sluicegate passwd users.txt NAME`, or `[mqtt.jwt]`, or \
                 ask for client certificates; start with `--allow-anonymous` if everybody may connect; or listen on `127.0.0.1`",
            ));
        }
        let http = &config.http;
        if reachable(http.listen) && http.api_keys.is_empty() && !http.allow_anonymous {
            let (settings, layer) = self.pick("http", "listen");
            layer.report(exposed("http.listen", http.listen, settings.span("listen")).help(
                "add `api_keys = [{ key = \"admin\", secret = { file = \"…\" } }]` to `[http]`, start with \
                 `--allow-anonymous` if everybody may change the rules, or listen on `127.0.0.1`",
            ));
        }
    }
}

fn exposed(what: &str, address: SocketAddr, span: Span) -> Diagnostic {
    let message =
        format!("`{what}` is `{address}`, which others can reach, and nobody needs to say who they are");
    Diagnostic::new(Code::Exposed, span, message)
}

/// An IP address with a port, or `localhost` with one.
pub(crate) fn parse_listen(text: Text<'_>) -> Option<SocketAddr> {
    match text.text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?)),
        None => text.text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str, env: &[(&str, &str)], flags: &Overrides) -> (ServerConfig, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sluicegate.toml");
        std::fs::write(&path, text).unwrap();
        let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let (config, problems) = load(Some(&path), env, flags);
        let shown = problems.iter().map(|problem| {
            let name = problem.path.file_name().unwrap().to_str().unwrap();
            let (at, diagnostic) = (problem.source().locate(problem.diagnostic.span), &problem.diagnostic);
            format!("{name}:{}:{}: {} {}", at.line, at.column, diagnostic.code, diagnostic.message)
        });
        (config, shown.collect())
    }

    fn good(text: &str, env: &[(&str, &str)], flags: &Overrides) -> ServerConfig {
        let (config, problems) = load_text(text, env, flags);
        assert_eq!(problems, [""; 0]);
        config
    }

    #[test]
    fn an_empty_file_is_valid() {
        let config = good("", &[], &Overrides::default());
        let expected = ServerConfig {
            local: None,
            node_name: "sluicegate@127.0.0.1".to_owned(),
            worker_threads: None,
            mqtt: config.mqtt.clone(),
            http: HttpConfig {
                listen: "127.0.0.1:18083".parse().unwrap(),
                api_keys: Vec::new(),
                allow_anonymous: false,
            },
            rules: RulesConfig { dirs: vec!["rules".into()], watch: true, strict: false },
            data_dir: "data".into(),
            dead_letter_bytes_max: 256 << 20,
            ssrf: SsrfConfig::default(),
            log_level: "info",
            log_format: LogFormat::Text,
            shutdown_timeout: Duration::from_secs(10),
        };
        assert_eq!(config, expected);
        let [mqtt] = &config.mqtt.listeners[..] else { panic!("{config:?}") };
        assert_eq!((&*mqtt.name, mqtt.listen), ("mqtt", "127.0.0.1:1883".parse().unwrap()));
        assert!(mqtt.anonymous && !mqtt.allow_anonymous && mqtt.tls.is_none() && mqtt.websocket.is_none());
        assert_eq!(mqtt.limits, config.mqtt.limits);
        assert_eq!((mqtt.limits.packet_bytes_max, mqtt.limits.connections_max), (1 << 20, 100_000));
    }

    #[test]
    fn flags_win_over_environment_over_file() {
        let file = "shutdown_timeout = '1s'\n[http]\nlisten = '127.0.0.1:1'\n[rules]\ndirs = ['a']\nstrict = true\n[log]\nformat = 'json'";
        let env = [
            ("SLUICEGATE__HTTP__LISTEN", "127.0.0.1:2"),
            ("SLUICEGATE__MQTT__LISTEN", "localhost:2"),
            ("SLUICEGATE__RULES__DIRS", "b, /c"),
            ("SLUICEGATE__RULES__WATCH", "false"),
            ("SLUICEGATE__SHUTDOWN_TIMEOUT", "2s"),
            ("SLUICEGATE__HTTP__API_KEYS", "[{ key = 'k', secret = 's', role = 'viewer' }]"),
            ("SLUICEGATE__DATA__DIR", ""),
            ("SLUICEGATE_OTHER", "x"),
        ];
        let flags = Overrides { http_listen: Some("127.0.0.1:3".to_owned()), ..Overrides::default() };
        let config = good(file, &env, &flags);
        assert_eq!(config.http.listen, "127.0.0.1:3".parse().unwrap());
        assert_eq!(config.mqtt.listeners[0].listen, "127.0.0.1:2".parse().unwrap());
        assert_eq!(
            config.rules,
            RulesConfig { dirs: vec!["b".into(), "/c".into()], watch: false, strict: true }
        );
        assert_eq!((config.log_format, config.shutdown_timeout), (LogFormat::Json, Duration::from_secs(2)));
        let key = &config.http.api_keys[0];
        assert_eq!((key.key.as_str(), key.secret.reveal(), key.role), ("k", "s", ApiRole::Viewer));

        let flags =
            Overrides { rules: vec!["x".into(), "y".into()], data: Some("d".into()), ..Overrides::default() };
        let config = good(file, &env, &flags);
        assert_eq!((config.rules.dirs, config.data_dir), (vec!["x".into(), "y".into()], PathBuf::from("d")));
    }

    #[test]
    fn persistence_is_put_together_from_all_layers() {
        let file = "[mqtt]\nmax_mqueue_len = 5\nsys_msg_interval = '0s'\n[mqtt.persistence]\nmax_bytes = '1MB'\nfsync = 'never'";
        let env = [("SLUICEGATE__MQTT__PERSISTENCE__FSYNC", "always")];
        let mqtt = good(file, &env, &Overrides::default()).mqtt;
        let sessions = &mqtt.sessions;
        let expected = PersistenceConfig { fsync: Fsync::Always, bytes_max: 1 << 20 };
        assert_eq!(sessions.persistence, Some(expected));
        assert_eq!((mqtt.limits.session_messages_max, sessions.sys_interval), (5, None));
        let off = good("mqtt.persistence.enable = false", &[], &Overrides::default());
        assert_eq!(off.mqtt.sessions.persistence, None);
    }

    #[test]
    fn paths_in_the_file_start_from_its_folder() {
        let config = good("rules.dirs = ['r']\ndata.dir = 'd'", &[], &Overrides::default());
        assert!(config.rules.dirs[0].is_absolute() && config.rules.dirs[0].ends_with("r"));
        assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("d"));
    }

    #[test]
    fn mistakes_name_their_place() {
        let file = "[htpp]\n[mqtt]\nlisten = 'here'\nmax_packet_size = '1GB'\n[local]\nbroker = 'ws://h:1883'\n[node]\nname = 'a b'\n\
                    [http]\napi_keys = [{ key = 'k', secret = 'x' }, { key = 'k', secret = 'y' }, { key = 'l' }]\n";
        let env = [
            ("SLUICEGATE__HTTP__LISTN", "127.0.0.1:2"),
            ("SLUICEGATE__LOG__LEVEL", "loud"),
            ("SLUICEGATE__HTTP__API_KEYS__KEY", "x"),
            ("SLUICEGATE__LOG", "{"),
        ];
        let flags = Overrides { mqtt_listen: Some("0.0.0.0".to_owned()), ..Overrides::default() };
        assert_eq!(
            load_text(file, &env, &flags).1,
            [
                "sluicegate.toml:1:2: E401 there is no setting `htpp`",
                "sluicegate.toml:4:19: E404 `mqtt.max_packet_size` is from 1KB to 256MB, not `1073741824` bytes",
                "sluicegate.toml:6:10: E413 `local.broker` is `embedded` or an address, not `ws://h:1883`",
                "sluicegate.toml:8:8: E413 `node.name` has 1 to 255 characters and no blanks",
                "sluicegate.toml:10:42: E413 the API key `k` is given twice",
                "sluicegate.toml:10:71: E403 `http.api_keys[2].secret` is missing",
                "environment:1:1: E401 there is no setting `http.api_keys.key` for `SLUICEGATE__HTTP__API_KEYS__KEY`",
                "environment:2:1: E401 there is no setting `http.listn` for `SLUICEGATE__HTTP__LISTN`",
                "environment:3:17: E409 the value of `SLUICEGATE__LOG` is not TOML: unclosed inline table, expected `}`",
                "environment:4:24: E413 `log.level` is one of `error`, `warn`, `info`, `debug`, `trace`, not `loud`",
                "command line:1:15: E413 `mqtt.listen` is not an address: `0.0.0.0`",
            ]
        );
    }

    #[test]
    fn open_listeners_need_authentication_or_a_word() {
        let told = |file: &str, flags: &Overrides| load_text(file, &[], flags).1;
        let open = "mqtt.listen = '0.0.0.0:1883'\nhttp.listen = '[::]:18083'\n";
        let none = Overrides::default();
        assert_eq!(
            told(open, &none),
            [
                "sluicegate.toml:1:15: E419 `mqtt.listen` is `0.0.0.0:1883`, which others can reach, and nobody needs to say who they are",
                "sluicegate.toml:2:15: E419 `http.listen` is `[::]:18083`, which others can reach, and nobody needs to say who they are",
            ]
        );
        assert_eq!(told(open, &Overrides { allow_anonymous: true, ..Overrides::default() }), [""; 0]);
        assert_eq!(
            told(&format!("{open}mqtt.allow_anonymous = true"), &none).len(),
            1,
            "HTTP is another matter"
        );
        let keys =
            format!("{open}mqtt.allow_anonymous = true\nhttp.api_keys = [{{ key = 'k', secret = 's' }}]");
        assert_eq!(told(&keys, &none), [""; 0]);
        assert_eq!(told("mqtt.listen = '[::ffff:127.0.0.1]:1'\nhttp.listen = '127.0.0.9:1'", &none), [""; 0]);
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let (_, problems) = load(Some(Path::new("/none/such.toml")), [], &Overrides::default());
        assert_eq!((problems.len(), problems[0].diagnostic.code), (1, Code::Unreadable));
    }

    #[test]
    fn excerpts_show_no_secret() {
        let env = [("SLUICEGATE__HTTP__API_KEYS", "[{ key = 'k', secret = 'hunter2', rle = 1 }]")];
        let env = env.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let (_, problems) = load(None, env, &Overrides::default());
        let shown = problems[0].source().render(&problems[0].diagnostic, diagnostic::Style::Plain);
        assert!(shown.contains("http.api_keys[0].rle") && !shown.contains("hunter2"), "{shown}");
    }
}
