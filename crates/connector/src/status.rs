//! How a connector, source or action is.

use std::fmt;

/// How a connector is, with the reason in words where it is not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// In one word.
    pub state: State,
    /// Why it is not connected: the stage that failed and what the far side said. Empty when connected.
    pub reason: String,
}

/// The words of the reference, from best to worst: the worst of several clients speaks for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Everything works.
    Connected,
    /// It is trying, or has doubts about a connection that is up.
    Connecting,
    /// The last attempt failed; the next one follows by itself.
    Disconnected,
    /// It is disabled or was stopped.
    Stopped,
}

impl State {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            State::Connected => "connected",
            State::Connecting => "connecting",
            State::Disconnected => "disconnected",
            State::Stopped => "stopped",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Status {
    /// Everything works.
    pub fn connected() -> Self {
        Self { state: State::Connected, reason: String::new() }
    }

    /// Trying, for this reason.
    pub fn connecting(reason: impl Into<String>) -> Self {
        Self { state: State::Connecting, reason: reason.into() }
    }

    /// Not connected, for this reason.
    pub fn disconnected(reason: impl Into<String>) -> Self {
        Self { state: State::Disconnected, reason: reason.into() }
    }

    /// Stopped.
    pub fn stopped() -> Self {
        Self { state: State::Stopped, reason: String::new() }
    }

    /// The worst of several, the first of equals; connected where there is none.
    pub fn worst(all: impl IntoIterator<Item = Status>) -> Status {
        all.into_iter().fold(
            Status::connected(),
            |worst, status| {
                if status.state > worst.state { status } else { worst }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_speaks_for_all() {
        let all = [
            Status::connected(),
            Status::disconnected("a"),
            Status::connecting("b"),
            Status::disconnected("c"),
        ];
        assert_eq!(Status::worst(all), Status::disconnected("a"));
        assert_eq!(Status::worst([]), Status::connected());
    }
}
