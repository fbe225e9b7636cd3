//! Why a connection ends, and what is said of it.

use std::{fmt, io};

use mqtt::{DecodeError, ReasonCode};

use crate::events;
use crate::idle::Gone;

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client said goodbye.
    Disconnected { with_will: bool, farewell: Box<events::Farewell> },
    /// The client closed without a word.
    Closed,
    /// The network failed.
    Lost(io::Error),
    /// Nothing came for one and a half times the keep-alive [MQTT-3.1.2-22].
    KeepAlive,
    /// Another connection has the session now.
    TakenOver,
    /// Another connection has the client id now, and wants nothing of the session.
    Discarded,
    /// The broker shuts down.
    Stopped,
    /// The client broke the protocol, or a rule of this broker.
    Fault(ReasonCode),
    /// What came is no packet.
    Unreadable(DecodeError),
    /// A message could not be dealt with, and must come again.
    Abandoned,
    /// What the client showed when it connected is no longer valid.
    Expired,
}

impl End {
    /// What DISCONNECT says in MQTT 5, if anything.
    pub(crate) fn code(&self) -> Option<ReasonCode> {
        match self {
            End::Disconnected { .. } | End::Closed | End::Lost(_) => None,
            End::KeepAlive => Some(ReasonCode::KeepAliveTimeout),
            End::TakenOver | End::Discarded => Some(ReasonCode::SessionTakenOver),
            End::Stopped => Some(ReasonCode::ServerShuttingDown),
            End::Fault(code) => Some(*code),
            End::Unreadable(error) => Some(error.reason()),
            End::Abandoned => Some(ReasonCode::ImplementationSpecificError),
            End::Expired => Some(ReasonCode::MaximumConnectTime),
        }
    }

    /// What the event `client.disconnected` says.
    pub(crate) fn reason(&self) -> String {
        match self {
            End::Disconnected { .. } => "normal".to_owned(),
            End::Closed => "tcp_closed".to_owned(),
            End::Lost(_) => "tcp_error".to_owned(),
            End::KeepAlive => "keepalive_timeout".to_owned(),
            End::TakenOver => "takenover".to_owned(),
            End::Discarded => "discarded".to_owned(),
            End::Stopped => "shutdown".to_owned(),
            End::Fault(code) => code.text().replace(' ', "_").to_lowercase(),
            End::Unreadable(error) => error.reason().text().replace(' ', "_").to_lowercase(),
            End::Abandoned => "internal_error".to_owned(),
            End::Expired => "auth_expired".to_owned(),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Lost(error) => write!(out, "tcp_error: {error}"),
            End::Unreadable(error) => write!(out, "{error}"),
            _ => out.write_str(&self.reason()),
        }
    }
}

impl From<Gone> for End {
    fn from(Gone: Gone) -> Self {
        End::KeepAlive
    }
}
