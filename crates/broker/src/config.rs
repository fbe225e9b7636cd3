use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use event::AckLevel;
use mqtt::WebSocketTerms;
use tls::PeerName;

use crate::access::Auth;
use crate::acl::AccessList;

/// How a broker is to behave. The associated constants are the defaults; whoever makes one decides.
#[derive(Clone)]
pub struct BrokerConfig {
    /// The name of this node, as events show it.
    pub node: String,
    /// The limits of a listener that has none of its own; the largest packet also bounds what the server publishes.
    pub limits: Limits,
    /// How long a session without a connection is kept at the most, whatever its client asks for.
    pub session_expiry_max: Duration,
    /// Retained messages. Past it no new topic is retained.
    pub retained_messages_max: usize,
    /// Bytes of the topics and payloads of retained messages. Past it no new topic is retained.
    pub retained_bytes_max: usize,
    /// How often what `$SYS` says is renewed; `None` for no `$SYS`.
    pub sys_interval: Option<Duration>,
    /// How far a message of QoS 1 or 2 must have come through the rules before its publisher hears that it is safe.
    pub ack: AckLevel,
    /// Who may connect.
    pub auth: Arc<dyn Auth>,
    /// Who may publish and subscribe to what.
    pub acl: Arc<AccessList>,
}

impl BrokerConfig {
    /// Default of `session_expiry_max`: a week.
    pub const SESSION_EXPIRY_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    /// Default of `retained_messages_max`.
    pub const RETAINED_MESSAGES_MAX: usize = 100_000;
    /// Default of `retained_bytes_max`: 64 MiB.
    pub const RETAINED_BYTES_MAX: usize = 64 << 20;

    /// Everything at its default but the node, who may connect, and what they may do.
    pub fn with_defaults(node: impl Into<String>, auth: Arc<dyn Auth>, acl: Arc<AccessList>) -> Self {
        Self {
            node: node.into(),
            limits: Limits::DEFAULT,
            session_expiry_max: Self::SESSION_EXPIRY_MAX,
            retained_messages_max: Self::RETAINED_MESSAGES_MAX,
            retained_bytes_max: Self::RETAINED_BYTES_MAX,
            sys_interval: None,
            ack: AckLevel::default(),
            auth,
            acl,
        }
    }
}

/// What the clients of one listener may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. Past it new ones are told so, or closed at once when there are very many.
    pub connections_max: usize,
    /// Connections that are taken in a second; what comes faster waits. `None` for any number.
    pub connection_rate_max: Option<u32>,
    /// How long a client may take from its first byte to the end of CONNECT.
    pub connect_timeout: Duration,
    /// The largest packet taken from a client (bytes, the whole packet). At least 1 KiB makes sense.
    pub packet_bytes_max: u32,
    /// Messages of QoS 1 and 2 that are under way to one client, unless its Receive Maximum is lower. At least 1.
    pub inflight_max: u16,
    /// Messages of QoS 1 and 2 that one client may have sent and not seen acknowledged: Receive Maximum in MQTT 5;
    /// before, a client at this bound is not read until acknowledgements have gone out. At least 1.
    pub receive_max: u16,
    /// Messages that one session queues, in flight not counted. Past it the oldest are dropped, QoS 0 before others.
    pub session_messages_max: usize,
    /// Bytes of topics and payloads that one session queues. Past it the oldest are dropped, QoS 0 before others.
    pub session_bytes_max: usize,
    /// Subscriptions of one session.
    pub subscriptions_max: usize,
    /// Levels of a topic or filter.
    pub topic_levels_max: usize,
    /// Bytes of a client id.
    pub clientid_bytes_max: usize,
    /// Seconds of the longest keep-alive: MQTT 5 clients are told to keep it. `None` for any.
    pub keepalive_max: Option<u16>,
    /// Messages that one client may send in a second; what comes faster is read later. `None` for any number.
    pub message_rate_max: Option<u32>,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Limits = Limits {
        connections_max: 100_000,
        connection_rate_max: None,
        connect_timeout: Duration::from_secs(15),
        packet_bytes_max: 1 << 20,
        inflight_max: 1_000,
        receive_max: 1_000,
        session_messages_max: 10_000,
        session_bytes_max: 16 << 20,
        subscriptions_max: 10_000,
        topic_levels_max: 128,
        clientid_bytes_max: 65_535,
        keepalive_max: None,
        message_rate_max: None,
    };
}

/// Where clients come in.
#[derive(Clone)]
pub struct Listener {
    /// A name for logs and status.
    pub name: String,
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// TLS, where it is wanted. What is stored here counts for the connections that come next.
    pub tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    /// Which name in a client's certificate says who it is; `None` where certificates say nothing of the kind.
    pub peer_name: Option<PeerName>,
    /// The upgrade to a WebSocket, where MQTT is spoken in one.
    pub websocket: Option<WebSocketTerms>,
    /// What its clients may cost.
    pub limits: Limits,
}

impl Listener {
    /// One for MQTT over plain TCP.
    pub fn tcp(name: impl Into<String>, address: SocketAddr, limits: Limits) -> Self {
        Self { name: name.into(), address, tls: None, peer_name: None, websocket: None, limits }
    }
}

/// A listener that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its name.
    pub name: String,
    /// The address, with the port that it really has.
    pub address: SocketAddr,
}
