//! One attempt to connect: name, TCP, TLS, CONNECT, CONNACK.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use event::Trail;
use mqtt::{
    ByteString, Conn, Connect, ConnectAck, ConnectAckReason, ConnectRequest, Packet, QoS, Reading,
    ReasonCode, Stream, Version,
};
use tokio::net::{TcpSocket, TcpStream};

use crate::settings::{Login, Options, TcpOptions};

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
    pub(crate) wildcards: bool,
    pub(crate) shared: bool,
    /// The highest topic alias that we may use; 0 for none.
    pub(crate) topic_alias_max: u16,
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
            wildcards: true,
            shared: true,
            topic_alias_max: 0,
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
        Ok(Err(Failure::At(stage, reason))) => Err(LinkError { stage, reason }),
        Ok(Err(Failure::Here(reason))) => Err(LinkError { stage, reason }),
        Err(_) => {
            let reason = format!("no answer from {} within {:?}", options.server, options.connect_timeout);
            Err(LinkError { stage, reason })
        }
    }
}

/// Why an attempt failed: at the stage it had come to, or at an earlier one that only now turns out to have failed.
enum Failure {
    Here(String),
    At(Stage, String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Failure::Here(reason)
    }
}

async fn attempt(
    options: &Options,
    login: &Login,
    session: Session,
    stage: &mut Stage,
) -> Result<Link, Failure> {
    let server = &options.server;
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((server.host.as_str(), server.port))
        .await
        .map_err(|error| format!("`{}` cannot be resolved: {error}", server.host))?
        .collect();
    *stage = Stage::Tcp;
    let tcp = connect(&addresses, &options.tcp).await;
    let tcp = tcp.map_err(|error| format!("{server}: {}", tls::in_words(&error)))?;
    let stream = match &options.tls {
        None => Stream::from(tcp),
        Some(tls) => {
            *stage = Stage::Settings;
            let tls = Arc::new(tls.clone());
            let reading = Arc::clone(&tls);
            let config = tokio::task::spawn_blocking(move || reading.config());
            let config = config.await.map_err(|error| error.to_string())?;
            let config = config.map_err(|error| format!("`ssl.{}`: {error}", error.setting))?;
            let name = tls::server_name(&tls.name).map_err(|error| error.to_string())?;
            *stage = Stage::Tls;
            Stream::tls_client(tcp, config, name).await.map_err(|error| tls::in_words(&error))?
        }
    };
    *stage = Stage::Login;
    let mut conn = Conn::client(stream, options.version, PACKET_BYTES_MAX);
    conn.output.put(&connect_packet(options, login, session)).map_err(|error| error.to_string())?;
    let ack = answer(&mut conn, options.tls.is_some()).await?;
    Ok(accepted(conn, &ack, options)?)
}

/// Connects to the first address that answers.
async fn connect(addresses: &[SocketAddr], options: &TcpOptions) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match socket(*address, options)?.connect(*address).await {
            Ok(tcp) => {
                // What cannot be set is no reason not to connect.
                let _ = tcp.set_nodelay(options.nodelay);
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A socket as `tcp_opts` wants it. Buffers are set before connecting, since the window of TCP is agreed on then; what
/// the system does not grant is left as it is.
fn socket(address: SocketAddr, options: &TcpOptions) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(bytes) = options.send_buffer {
        let _ = socket.set_send_buffer_size(bytes);
    }
    if let Some(bytes) = options.receive_buffer {
        let _ = socket.set_recv_buffer_size(bytes);
    }
    if let Some(keepalive) = options.keepalive {
        let keepalive = socket2::TcpKeepalive::new()
            .with_time(keepalive.idle)
            .with_interval(keepalive.interval)
            .with_retries(keepalive.probes);
        let _ = socket2::SockRef::from(&socket).set_tcp_keepalive(&keepalive);
    }
    Ok(socket)
}

fn connect_packet(options: &Options, login: &Login, session: Session) -> Packet<'static> {
    let v5 = options.version == Version::V5;
    Packet::Connect(Box::new(Connect {
        version: options.version,
        bridge: options.bridge,
        will_expires_at_once: false,
        request: ConnectRequest {
            clean_start: session.clean_start,
            keep_alive: options.keepalive_seconds(),
            session_expiry_interval_secs: if v5 { options.session_expiry_seconds() } else { 0 },
            receive_max: NonZeroU16::new(session.receive_max).filter(|_| v5),
            user_properties: if v5 { vec![(Trail::HOPS_PROPERTY.into(), "1".into())] } else { Vec::new() },
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
async fn answer(conn: &mut Conn, tls: bool) -> Result<ConnectAck, Failure> {
    let closed = || {
        let hint = if tls { "" } else { "; does it want TLS?" };
        Failure::Here(format!("the remote closed the connection instead of answering CONNECT{hint}"))
    };
    loop {
        let turn = conn.turn(Reading::Wanted).await.map_err(|error| match error.kind() {
            // In TLS 1.3 the remote looks at our certificate when we think that the handshake is over.
            _ if tls::is_tls(&error) => Failure::At(Stage::Tls, tls::in_words(&error)),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => closed(),
            _ => Failure::Here(tls::in_words(&error)),
        })?;
        match conn.input.next().map_err(|error| format!("the remote sent no MQTT: {error}"))? {
            Some(Packet::ConnectAck(ack)) => return Ok(*ack),
            Some(other) => {
                return Err(Failure::Here(format!("the remote answered CONNECT with {}", other.name())));
            }
            None if turn.closed => return Err(closed()),
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
        wildcards: ack.wildcard_subscription_available,
        shared: ack.shared_subscription_available,
        topic_alias_max: if options.version == Version::V5 { ack.topic_alias_max } else { 0 },
        keepalive,
    };
    Ok(Link { conn, session_present: ack.session_present, limits })
}
