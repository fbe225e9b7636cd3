use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::config::Limits;
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
    /// Sessions. Past it no client gets a new one that would be kept when it leaves.
    pub sessions_max: usize,
    /// Bytes of the topic filters of all sessions, roughly. Past it no session gets a new one.
    pub subscription_bytes_max: usize,
    /// Bytes of the wills of all sessions. Past it no client with a will is let in.
    pub will_bytes_max: usize,
    /// Bytes of messages that wait for clients or are under way to them, of all sessions. Past it those sessions lose messages
    /// that have the most.
    pub queued_bytes_max: usize,
    /// Retained messages. Past it no new topic is retained.
    pub retained_messages_max: usize,
    /// Bytes of retained messages. Past it no new topic is retained.
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
    /// Default of `sessions_max`.
    pub const SESSIONS_MAX: usize = 1_000_000;
    /// Default of `subscription_bytes_max`: 1 GiB.
    pub const SUBSCRIPTION_BYTES_MAX: usize = 1 << 30;
    /// Default of `will_bytes_max`: 256 MiB.
    pub const WILL_BYTES_MAX: usize = 256 << 20;
    /// Default of `queued_bytes_max`: 1 GiB.
    pub const QUEUED_BYTES_MAX: usize = 1 << 30;
    /// Default of `retained_messages_max`.
    pub const RETAINED_MESSAGES_MAX: usize = 100_000;
    /// Default of `retained_bytes_max`: 64 MiB.
    pub const RETAINED_BYTES_MAX: usize = 64 << 20;

    /// Everything at its default but the node, who may connect, and what they may do.
    pub fn with_defaults(node: impl Into<String>, auth: Arc<dyn Auth>, acl: Arc<AccessList>) -> Self {
        Self {
            node: node.into(),
            limits: Limits::declared(),
            session_expiry_max: Self::SESSION_EXPIRY_MAX,
            sessions_max: Self::SESSIONS_MAX,
            subscription_bytes_max: Self::SUBSCRIPTION_BYTES_MAX,
            will_bytes_max: Self::WILL_BYTES_MAX,
            queued_bytes_max: Self::QUEUED_BYTES_MAX,
            retained_messages_max: Self::RETAINED_MESSAGES_MAX,
            retained_bytes_max: Self::RETAINED_BYTES_MAX,
            sys_interval: None,
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
