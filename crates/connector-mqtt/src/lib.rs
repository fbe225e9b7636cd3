//! MQTT brokers as the far side: sources subscribe there, actions publish there.
//!
//! A connector is a pool of clients, each a task with one connection ([`mqtt::Conn`]) that it connects again whenever
//! it is lost. Clients that publish serve lanes of action queues; clients that receive have sessions of their own, so
//! that neither disturbs the other, unless `static_clientids` says otherwise.
//!
//! *Invariant:* what the remote has not acknowledged stays in its action's queue, and what our actions have not settled
//! is not acknowledged to the remote. No client ever waits for a write alone.

mod acks;
mod action;
mod check;
mod client;
mod client_id;
mod connector;
mod fields;
mod inflow;
mod link;
mod local;
mod outflow;
mod pulse;
mod request;
mod ring;
mod sending;
mod serve;
mod server;
mod settings;
mod subscriptions;

pub use local::{LocalLink, LocalOptions, check_local, local_section};

use ::connector::{ConnectorKind, Reach};

/// The kind `mqtt`.
pub static KIND: ConnectorKind = ConnectorKind {
    name: "mqtt",
    summary: "An MQTT broker: 3.1, 3.1.1 or 5, over TCP or TLS.",
    fields: fields::CONNECTOR,
    source_fields: fields::SOURCE,
    action_fields: fields::ACTION,
    check: check::connector,
    source: check::source,
    action: action::compile,
    open: connector::open,
    probe: connector::probe,
    reach: Reach {
        place: |connector| settings::server(connector).map(|server| server.to_string()),
        source_filter: |source| Some(source.table("parameters").str("topic").to_owned()),
        leaves_out_own: |source, connector| {
            source.table("parameters").bool("no_local") && settings::version(connector) == mqtt::Version::V5
        },
        claims: check::claims,
    },
};
