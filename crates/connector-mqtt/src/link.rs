//! One attempt to connect: name, TCP, TLS, CONNECT, CONNACK.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use mqtt::{
    ByteString, Conn, Connect, ConnectAck, ConnectAckReason, ConnectRequest, Packet, QoS, Reading,
    ReasonCode, Stream, Version,
};
use tokio::net::TcpStream;

use crate::settings::{Login, Options};

/// A connection on which the remote has let us in.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) conn: Conn,
    /// Whether the remote still has the session of this client id.
    pub(crate) session_present: bool,
    pub(crate) limits: Limits,
}

/// What the remote allows, from its CONNACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Unacknowledged publishes at once.
    pub(crate) receive_max: usize,
    pub(crate) qos_max: QoS,
    pub(crate) retain: bool,
    pub(crate) subscription_ids: bool,
    /// Zero for none.
    pub(crate) keepalive: Duration,
}

impl Limits {
    /// Before the first CONNACK.
    pub(crate) fn unknown(keepalive: Duration) -> Self {
        Self {
            receive_max: usize::from(u16::MAX),
            qos_max: QoS::ExactlyOnce,
            retain: true,
            subscription_ids: false,
            keepalive,
        }
    }

    /// Says what of our messages the remote will not see as they were meant.
    pub(crate) fn log(&self, clientid: &str) {
        if self.qos_max != QoS::ExactlyOnce {
            tracing::warn!(
                clientid,
                "the remote takes QoS {} at most; messages of more are sent with that",
                u8::from(self.qos_max)
            );
        }
        if !self.retain {
            tracing::warn!(clientid, "the remote keeps no retained messages; they are sent without the flag");
        }
    }
}

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Settings,
    Name,
    Tcp,
    Tls,
    Login,
}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Settings => "settings",
            Stage::Name => "name resolution",
            Stage::Tcp => "TCP",
            Stage::Tls => "TLS",
            Stage::Login => "MQTT login",
        }
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {reason}")]
pub(crate) struct LinkError {
    pub(crate) stage: Stage,
    pub(crate) reason: String,
}

/// What we let the remote send in one packet (bytes).
const PACKET_BYTES_MAX: u32 = 268_435_460;

/// How a session is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) clean_start: bool,
    /// Unacknowledged messages that the remote may have on their way to us (MQTT 5).
    pub(crate) receive_max: u16,
}

/// Connects within `connect_timeout`, and says at which stage it failed.
pub(crate) async fn open(options: &Options, login: &Login, session: Session) -> Result<Link, LinkError> {
    let mut stage = Stage::Name;
    let attempt = attempt(options, login, session, &mut stage);
    let outcome = tokio::time::timeout(options.connect_timeout, attempt).await;
    match outcome {
        Ok(Ok(link)) => Ok(link),
        Ok(Err(reason)) => Err(LinkError { stage, reason }),
        Err(_) => {
            let reason = format!("no answer from {} within {:?}", options.server, options.connect_timeout);
            Err(LinkError { stage, reason })
        }
    }
}

async fn attempt(
    options: &Options,
    login: &Login,
    session: Session,
    stage: &mut Stage,
) -> Result<Link, String> {
    let server = &options.server;
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((server.host.as_str(), server.port))
        .await
        .map_err(|error| format!("`{}` cannot be resolved: {error}", server.host))?
        .collect();
    *stage = Stage::Tcp;
    let tcp = connect(&addresses).await.map_err(|error| format!("{server}: {}", in_words(&error)))?;
    // What cannot be set is no reason not to connect.
    let _ = tcp.set_nodelay(options.nodelay);
    let stream = match &options.tls {
        None => Stream::from(tcp),
        Some(tls) => {
            *stage = Stage::Settings;
            let tls = Arc::new(tls.clone());
            let reading = Arc::clone(&tls);
            let config = tokio::task::spawn_blocking(move || reading.config());
            let config =
                config.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
            let name = mqtt::tls::server_name(&tls.name).map_err(|error| error.to_string())?;
            *stage = Stage::Tls;
            Stream::tls_client(tcp, config, name).await.map_err(|error| in_words(&error))?
        }
    };
    *stage = Stage::Login;
    let mut conn = Conn::client(stream, options.version, PACKET_BYTES_MAX);
    conn.output.put(&connect_packet(options, login, session)).map_err(|error| error.to_string())?;
    let ack = answer(&mut conn).await?;
    accepted(conn, &ack, options)
}

async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connect_packet(options: &Options, login: &Login, session: Session) -> Packet<'static> {
    let v5 = options.version == Version::V5;
    Packet::Connect(Box::new(Connect {
        version: options.version,
        bridge: options.bridge,
        request: ConnectRequest {
            clean_start: session.clean_start,
            keep_alive: options.keepalive_seconds(),
            session_expiry_interval_secs: if v5 { options.session_expiry_seconds() } else { 0 },
            receive_max: NonZeroU16::new(session.receive_max).filter(|_| v5),
            client_id: ByteString::from(login.clientid.as_str()),
            username: login.username.as_deref().map(ByteString::from),
            password: login
                .password
                .as_ref()
                .map(|secret| bytes::Bytes::copy_from_slice(secret.reveal().as_bytes())),
            ..ConnectRequest::default()
        },
    }))
}

/// Waits for CONNACK.
async fn answer(conn: &mut Conn) -> Result<ConnectAck, String> {
    loop {
        let turn = conn.turn(Reading::Wanted).await.map_err(|error| in_words(&error))?;
        match conn.input.next().map_err(|error| format!("the remote sent no MQTT: {error}"))? {
            Some(Packet::ConnectAck(ack)) => return Ok(*ack),
            Some(other) => return Err(format!("the remote answered CONNECT with {}", other.name())),
            None if turn.closed => {
                return Err("the remote closed the connection instead of answering CONNECT".to_owned());
            }
            None => {}
        }
    }
}

fn accepted(mut conn: Conn, ack: &ConnectAck, options: &Options) -> Result<Link, String> {
    if ack.reason_code != ConnectAckReason::Success {
        let reason = ReasonCode::from(ack.reason_code);
        let words = ack.reason_string.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
        return Err(format!("the remote refused: {reason}{words}"));
    }
    if let Some(bytes) = ack.max_packet_size {
        conn.output.set_packet_bytes_max(bytes);
    }
    let keepalive = match ack.server_keepalive_sec {
        Some(seconds) => Duration::from_secs(u64::from(seconds)),
        None => options.keepalive,
    };
    let limits = Limits {
        receive_max: usize::from(ack.receive_max.get()),
        qos_max: ack.max_qos,
        retain: ack.retain_available,
        subscription_ids: options.version == Version::V5 && ack.subscription_identifiers_available,
        keepalive,
    };
    Ok(Link { conn, session_present: ack.session_present, limits })
}

/// The commonest errors of sockets in words that help, others as the system says them.
pub(crate) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: nobody listens there".to_owned(),
        io::ErrorKind::ConnectionReset => "the remote reset the connection".to_owned(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            "the remote closed the connection".to_owned()
        }
        io::ErrorKind::TimedOut => "the network gave no answer".to_owned(),
        _ => error.to_string(),
    }
}
