use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use event::AckLevel;

use crate::access::{Acl, Auth};

/// How a broker is to behave. The associated constants are the defaults; whoever makes one decides.
#[derive(Clone)]
pub struct BrokerConfig {
    /// The name of this node, as events show it.
    pub node: String,
    /// The largest packet taken from a client (bytes, the whole packet). At least 1 KiB makes sense.
    pub packet_bytes_max: u32,
    /// Messages that one session queues, in flight not counted. Past it the oldest are dropped, QoS 0 before others.
    pub session_messages_max: usize,
    /// Bytes of topics and payloads that one session queues. Past it the oldest are dropped, QoS 0 before others.
    pub session_bytes_max: usize,
    /// Messages of QoS 1 and 2 that are under way to one client, unless its Receive Maximum is lower. At least 1.
    pub inflight_max: u16,
    /// Messages of QoS 1 and 2 that one client may have sent and not seen acknowledged: Receive Maximum in MQTT 5;
    /// before, a client at this bound is not read until acknowledgements have gone out. At least 1.
    pub receive_max: u16,
    /// How long a session without a connection is kept at the most, whatever its client asks for.
    pub session_expiry_max: Duration,
    /// Connections at a time. Past it new ones are closed at once.
    pub connections_max: usize,
    /// Subscriptions of one session.
    pub subscriptions_max: usize,
    /// Retained messages. Past it no new topic is retained.
    pub retained_messages_max: usize,
    /// Bytes of the topics and payloads of retained messages. Past it no new topic is retained.
    pub retained_bytes_max: usize,
    /// How often what `$SYS` says is renewed; `None` for no `$SYS`.
    pub sys_interval: Option<Duration>,
    /// How long a client may take from its first byte to the end of CONNECT.
    pub connect_timeout: Duration,
    /// How far a message of QoS 1 or 2 must have come through the rules before its publisher hears that it is safe.
    pub ack: AckLevel,
    /// Who may connect.
    pub auth: Arc<dyn Auth>,
    /// Who may publish and subscribe to what.
    pub acl: Arc<dyn Acl>,
}

impl BrokerConfig {
    /// Default of `packet_bytes_max`: 1 MiB.
    pub const PACKET_BYTES_MAX: u32 = 1 << 20;
    /// Default of `session_messages_max`.
    pub const SESSION_MESSAGES_MAX: usize = 10_000;
    /// Default of `session_bytes_max`: 16 MiB.
    pub const SESSION_BYTES_MAX: usize = 16 << 20;
    /// Default of `inflight_max`.
    pub const INFLIGHT_MAX: u16 = 1_000;
    /// Default of `receive_max`.
    pub const RECEIVE_MAX: u16 = 1_000;
    /// Default of `session_expiry_max`: a week.
    pub const SESSION_EXPIRY_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    /// Default of `connections_max`.
    pub const CONNECTIONS_MAX: usize = 100_000;
    /// Default of `subscriptions_max`.
    pub const SUBSCRIPTIONS_MAX: usize = 10_000;
    /// Default of `retained_messages_max`.
    pub const RETAINED_MESSAGES_MAX: usize = 100_000;
    /// Default of `retained_bytes_max`: 64 MiB.
    pub const RETAINED_BYTES_MAX: usize = 64 << 20;
    /// Default of `connect_timeout`.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

    /// Everything at its default but the node, who may connect, and what they may do.
    pub fn with_defaults(node: impl Into<String>, auth: Arc<dyn Auth>, acl: Arc<dyn Acl>) -> Self {
        Self {
            node: node.into(),
            packet_bytes_max: Self::PACKET_BYTES_MAX,
            session_messages_max: Self::SESSION_MESSAGES_MAX,
            session_bytes_max: Self::SESSION_BYTES_MAX,
            inflight_max: Self::INFLIGHT_MAX,
            receive_max: Self::RECEIVE_MAX,
            session_expiry_max: Self::SESSION_EXPIRY_MAX,
            connections_max: Self::CONNECTIONS_MAX,
            subscriptions_max: Self::SUBSCRIPTIONS_MAX,
            retained_messages_max: Self::RETAINED_MESSAGES_MAX,
            retained_bytes_max: Self::RETAINED_BYTES_MAX,
            sys_interval: None,
            connect_timeout: Self::CONNECT_TIMEOUT,
            ack: AckLevel::default(),
            auth,
            acl,
        }
    }
}

/// Where clients come in.
#[derive(Clone)]
pub struct Listener {
    /// A name for logs and status.
    pub name: String,
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// TLS, where it is wanted.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// A listener that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its name.
    pub name: String,
    /// The address, with the port that it really has.
    pub address: SocketAddr,
}
