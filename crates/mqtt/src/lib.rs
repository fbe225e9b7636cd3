//! MQTT packets on a connection: 3.1, 3.1.1 and 5 as one set of types, read and written in batches, over TCP,
//! TLS and WebSocket.
//!
//! A [`Conn`] has an [`Input`] that packets are taken from and an [`Output`] that packets are put into; neither waits.
//! Bytes move in [`Conn::turn`], which reads and writes whatever is possible in one go and may be cancelled at any
//! point, so that its owner can `select!` over it and never awaits a write alone:
//!
//! ```no_run
//! # async fn serve(stream: mqtt::Stream) -> std::io::Result<()> {
//! let mut conn = mqtt::Conn::server(stream, 1 << 20);
//! loop {
//!     let turn = conn.turn(mqtt::Reading::Wanted).await?;
//!     while let Ok(Some(packet)) = conn.input.next() {
//!         if let mqtt::Packet::PingRequest = packet {
//!             conn.output.put(&mqtt::Packet::PingResponse).ok();
//!         }
//!     }
//!     if turn.closed {
//!         return Ok(());
//!     }
//! }
//! # }
//! ```
//!
//! Packets borrow from the read buffer: nothing is copied or allocated for a PUBLISH without properties, and whoever
//! keeps a payload copies it, so that no queue ever pins a read buffer.
//!
//! PUBLISH and its four acknowledgements are decoded and encoded here, straight from and into the connection's
//! buffers: `rmqtt-codec` takes several reference counts and an allocation for each. Everything rare goes through
//! `rmqtt-codec`, whose MQTT 5 types serve all versions. Its faults are mended in one place, `rare.rs`.
//!
//! *Invariant:* moves packets. Knows nothing of sessions, routing, retries or rules, starts no task and has no clock.

mod conn;
mod gather;
mod input;
mod output;
mod packet;
mod properties;
mod rare;
mod reason;
mod received;
mod stranger;
mod stream;
mod websocket;
mod wire;

pub use conn::{Conn, Reading, Turn};
pub use gather::{Gather, Overdue};
pub use input::{DecodeError, Input};
pub use output::{EncodeError, Output};
pub use packet::{Ack, Connect, Packet, PacketId, Publish, Version};
pub use reason::ReasonCode;
pub use stream::Stream;
pub use websocket::{Origins, WebSocketError, WebSocketTerms};

pub use bytestring::ByteString;
pub use rmqtt_codec::types::QoS;
pub use rmqtt_codec::v5::{
    Auth, AuthReasonCode, Connect as ConnectRequest, ConnectAck, ConnectAckReason, Disconnect,
    DisconnectReasonCode, LastWill, RetainHandling, Subscribe, SubscribeAck, SubscribeAckReason,
    SubscriptionOptions, Unsubscribe, UnsubscribeAck, UnsubscribeAckReason, UserProperties,
};
