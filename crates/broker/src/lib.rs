//! The embedded broker: MQTT 3.1, 3.1.1 and 5 clients in, events out.
//!
//! Who owns which state:
//!
//! - [`Broker`] has what all share: the registry of sessions by client id (a concurrent map), the index of
//!   subscriptions, the retained messages, the counters. Each is locked for one look-up or change, never two at a time
//!   but an inbox under the index, and never across an await.
//! - A *session* is one client id. Its inbox is open to whoever routes to it and is where a session's bound stands: a
//!   subscriber that never reads costs its bound and nobody else anything. Everything else of it (subscriptions,
//!   messages under way, packet ids of QoS 2) belongs to its connection alone, which holds the session's lock from
//!   CONNECT to its end; a connection that takes over waits for that lock.
//! - A *connection* is one task. It owns the socket and is the only one that reads and writes it. It turns: whatever
//!   can be written and read is, then all packets that came are handled, then what waits in the inbox is put into the
//!   output as far as there is room. Nothing in a turn waits.
//!
//! A publisher's task routes its own messages: it finds the sessions in a cached route, pushes one shared message into
//! each inbox, then lets the rules judge it, on the spot. Connections whose inbox was empty are woken once, when the
//! batch of packets is done, so that they write in batches too.
//!
//! Sessions that outlive their connection, and retained messages, are kept in a log on the disk if that is wanted: see
//! [`store`]. Nothing here waits for the disk: what must be stored before it is acknowledged hangs on a completion.
//!
//! PUBACK, and PUBREC for QoS 2, hang on the message's [`event::Completion`] and go out in receive order.
//!
//! *Invariant:* knows nothing of rules. It emits events, accepts publishes, and acknowledges when told; the ACL runs
//! before any rule sees a message.

mod access;
mod acks;
mod acl;
mod admission;
mod aliases;
mod broker;
mod config;
mod connect;
mod connection;
mod crowd;
mod end;
mod events;
mod gate;
mod groups;
mod held;
mod idle;
mod inbound;
mod inbox;
mod inflight;
mod janitor;
mod listener;
mod message;
mod metrics;
mod outbound;
mod patience;
mod publish;
mod restore;
mod retained;
mod route_cache;
mod session;
mod shared;
mod store;
mod subscribe;
mod subscriptions;
mod sys;
mod will;

pub use crate::config::{Bound, BrokerConfig, Listener};
pub use access::{Auth, Checked, Everybody, Identity, Login, PeerCertificate};
pub use acl::AccessList;
pub use broker::Broker;
pub use gate::{ListenerMetrics, Refused};
pub use listener::ListenError;
pub use metrics::Metrics;
pub use store::{Persistence, StoreError};

pub use ::config::acl::{Acl, AclRule, DenyAction, Permission};
pub use ::config::{Fsync, Limits};
pub use mqtt::{Origins, ReasonCode, WebSocketTerms};
pub use tls::PeerName;
