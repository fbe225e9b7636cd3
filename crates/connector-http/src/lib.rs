//! HTTP servers as the far side: actions send requests there.
//!
//! A connector is a pool of workers over one client with kept-alive connections. Each worker serves its share of the
//! lanes of every action: lanes side by side, one request (or batch) of a lane at a time, so that what must stay in order
//! stays in order.
//!
//! *Invariant:* what the far side has not answered stays in its action's queue. No request goes to an address that the
//! guard refuses, whatever a name resolves to.

mod action;
mod auth;
mod base;
mod check;
mod connector;
mod fields;
mod request;
mod send;
mod settings;
mod sink;
mod transport;
mod worker;

use ::connector::{ConnectorKind, Reach};

/// The kind `http`.
pub static KIND: ConnectorKind = ConnectorKind {
    name: "http",
    summary: "An HTTP server: 1.1 or 2, over TCP or TLS.",
    fields: fields::CONNECTOR,
    source_fields: &[],
    action_fields: fields::ACTION,
    check: check::connector,
    source: |_, _| {},
    action: action::compile,
    open: connector::open,
    probe: connector::probe,
    reach: Reach::NOTHING,
};
