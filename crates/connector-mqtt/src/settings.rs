//! Checked sections to what the clients work with.

use std::sync::Arc;
use std::time::Duration;

use config::{Secret, Settings};
use connector::Context;
use event::AckLevel;
use mqtt::{QoS, Version};
use tls::Tls;
use topic::Subscription;

use crate::client_id;
use crate::server::Server;

/// How the clients of one connector connect and behave.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) server: Server,
    pub(crate) version: Version,
    pub(crate) bridge: bool,
    pub(crate) clean_start: bool,
    pub(crate) session_expiry: Duration,
    pub(crate) keepalive: Duration,
    pub(crate) ping_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) retry_interval: Duration,
    pub(crate) max_inflight: usize,
    pub(crate) max_hops: u8,
    pub(crate) tcp: TcpOptions,
    pub(crate) tls: Option<Tls>,
    pub(crate) logins: Logins,
}

/// Options of the socket.
#[derive(Debug, Clone)]
pub(crate) struct TcpOptions {
    pub(crate) nodelay: bool,
    /// Bytes.
    pub(crate) send_buffer: Option<u32>,
    /// Bytes.
    pub(crate) receive_buffer: Option<u32>,
    pub(crate) keepalive: Option<TcpKeepalive>,
}

/// Keep-alive of TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpKeepalive {
    pub(crate) idle: Duration,
    pub(crate) interval: Duration,
    pub(crate) probes: u32,
}

impl TcpOptions {
    fn read(tcp: &Settings) -> Self {
        let bytes = |name| tcp.opt_bytes(name).map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
        Self {
            nodelay: tcp.bool("nodelay"),
            send_buffer: bytes("sndbuf"),
            receive_buffer: bytes("recbuf"),
            keepalive: TcpKeepalive::parse(tcp.str("keepalive")).unwrap_or_default(),
        }
    }
}

impl TcpKeepalive {
    /// Reads `none`, or `IDLE,INTERVAL,PROBES` in seconds, seconds and a number. `Err` for anything else.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, ()> {
        if text.trim() == "none" {
            return Ok(None);
        }
        let numbers = text.split(',').map(|number| number.trim().parse().ok().filter(|number| *number > 0));
        let numbers: Option<Vec<u32>> = numbers.collect();
        let Some([idle, interval, probes]) = numbers.as_deref() else { return Err(()) };
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Ok(Some(Self { idle: seconds(*idle), interval: seconds(*interval), probes: *probes }))
    }
}

/// Who connects.
#[derive(Debug, Clone)]
pub(crate) enum Logins {
    /// Ids made from a common base: so many for each direction.
    Generated { base: String, pool_size: usize, username: Option<String>, password: Option<Secret> },
    /// Exactly these, each for both directions. None where this node was given none.
    Static(Vec<Login>),
}

/// Who one client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) clientid: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
}

impl Options {
    /// Reads a section that was checked without an error; `None` where it has one after all.
    pub(crate) fn read(settings: &Settings, context: &Context) -> Option<Self> {
        let server = server(settings)?;
        let version = version(settings);
        Some(Self {
            version,
            bridge: settings.bool("bridge_mode") && version != Version::V5,
            clean_start: settings.bool("clean_start"),
            session_expiry: settings.duration("session_expiry_interval"),
            keepalive: settings.duration("keepalive"),
            ping_timeout: settings.duration("ping_timeout"),
            connect_timeout: settings.duration("connect_timeout"),
            retry_interval: settings.duration("retry_interval"),
            max_inflight: usize::try_from(settings.int("max_inflight")).unwrap_or(1).max(1),
            max_hops: u8::try_from(settings.int("max_hops")).unwrap_or(1),
            tcp: TcpOptions::read(settings.table("tcp_opts")),
            tls: uses_tls(settings, &server).then(|| Tls::read(settings.table("ssl"), &server.host)),
            logins: logins(settings, context),
            server,
        })
    }

    /// The logins of the clients that publish, which connect whether they are used or not.
    pub(crate) fn sinks(&self) -> Vec<Login> {
        match &self.logins {
            Logins::Static(logins) => logins.clone(),
            Logins::Generated { pool_size, .. } => {
                (1..=*pool_size).filter_map(|n| self.login(|base| client_id::sink(base, n))).collect()
            }
        }
    }

    /// The logins of clients that only receive; none with static ids, whose clients do both.
    pub(crate) fn sources(&self, count: usize) -> Vec<Login> {
        (1..=count).filter_map(|n| self.login(|base| client_id::source(base, n))).collect()
    }

    /// Whether the client ids were given one by one.
    pub(crate) fn is_static(&self) -> bool {
        matches!(self.logins, Logins::Static(_))
    }

    /// What tells messages of this connector from those of others ([`crate::sending::ORIGIN_PROPERTY`]).
    pub(crate) fn origin(&self) -> Arc<str> {
        match &self.logins {
            Logins::Generated { base, .. } => base.as_str().into(),
            Logins::Static(logins) => logins.first().map_or("", |login| &login.clientid).into(),
        }
    }

    /// The login of a trial that disturbs nobody, if there can be one.
    pub(crate) fn probe(&self) -> Option<Login> {
        self.login(|base| format!("{base}:probe"))
    }

    fn login(&self, clientid: impl Fn(&str) -> String) -> Option<Login> {
        match &self.logins {
            Logins::Static(_) => None,
            Logins::Generated { base, username, password, .. } => Some(Login {
                clientid: clientid(base),
                username: username.clone(),
                password: password.clone(),
            }),
        }
    }

    /// What the keep-alive field of CONNECT says (seconds).
    pub(crate) fn keepalive_seconds(&self) -> u16 {
        u16::try_from(self.keepalive.as_millis().div_ceil(1000)).unwrap_or(u16::MAX)
    }

    /// The Session Expiry Interval of CONNECT (seconds).
    pub(crate) fn session_expiry_seconds(&self) -> u32 {
        if self.clean_start { 0 } else { u32::try_from(self.session_expiry.as_secs()).unwrap_or(u32::MAX) }
    }
}

/// The address, `None` where the text is none; the check has said so.
pub(crate) fn server(settings: &Settings) -> Option<Server> {
    Server::parse(settings.str("server"), settings.table("ssl").bool("enable")).ok()
}

pub(crate) fn version(settings: &Settings) -> Version {
    match settings.one_of("proto_ver") {
        "v3" => Version::V31,
        "v5" => Version::V5,
        _ => Version::V311,
    }
}

/// A scheme says it; without one `ssl.enable` does. The check has seen that they agree.
pub(crate) fn uses_tls(settings: &Settings, server: &Server) -> bool {
    server.tls.unwrap_or(false) || settings.table("ssl").bool("enable")
}

fn logins(settings: &Settings, context: &Context) -> Logins {
    let username = settings.opt_str("username").map(str::to_owned);
    let password = settings.secret("password").cloned();
    let nodes = settings.tables("static_clientids");
    if nodes.is_empty() {
        let base = client_id::base(settings.opt_str("clientid_prefix"), &context.name, &context.node);
        let pool_size = usize::try_from(settings.int("pool_size")).unwrap_or(1).max(1);
        return Logins::Generated { base, pool_size, username, password };
    }
    let own = nodes.iter().filter(|node| node.str("node") == &*context.node);
    Logins::Static(
        own.flat_map(|node| node.tables("ids"))
            .map(|id| Login {
                clientid: id.str("clientid").to_owned(),
                username: id.opt_str("username").map(str::to_owned).or_else(|| username.clone()),
                password: id.secret("password").cloned().or_else(|| password.clone()),
            })
            .collect(),
    )
}

/// What a source receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceOptions {
    pub(crate) subscription: Subscription,
    /// As written, which is how the remote must see it.
    pub(crate) filter: Arc<str>,
    pub(crate) qos: QoS,
    /// Whether to leave out what the connector itself has published. The remote is asked for it where it may be.
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// Whether retained messages are wanted.
    pub(crate) retained: bool,
    pub(crate) ack: AckLevel,
}

impl SourceOptions {
    /// Reads a section that was checked without an error; `None` where it has one after all.
    pub(crate) fn read(settings: &Settings) -> Option<Self> {
        let parameters = settings.table("parameters");
        let filter = parameters.str("topic");
        let subscription = Subscription::parse(filter).ok()?;
        Some(Self {
            filter: filter.into(),
            qos: if parameters.int("qos") == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce },
            no_local: parameters.bool("no_local"),
            retain_as_published: parameters.bool("retain_as_published"),
            retained: true,
            ack: match settings.one_of("ack") {
                "received" => AckLevel::Received,
                "stored" => AckLevel::Stored,
                _ => AckLevel::Delivered,
            },
            subscription,
        })
    }
}
