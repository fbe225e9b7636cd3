//! What a listener keeps about itself: its limits, how many came in and were turned away, and what they moved.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use ::config::Limits;

use crate::config::Listener;
use crate::metrics::Tally;

/// Why a connection came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Refused {
    /// There were too many already.
    Full,
    /// The TLS handshake failed.
    Tls,
    /// The upgrade to a WebSocket failed.
    WebSocket,
    /// CONNECT did not come in time, or something before it did not.
    Timeout,
    /// What came first was no CONNECT, or a broken one.
    Malformed,
    /// A version of the protocol, a client id or a method of authentication that is not taken.
    Unacceptable,
    /// Wrong user name, password, token or certificate.
    Credentials,
    /// Nothing to say who it is, or a will that it may not publish.
    NotAuthorized,
}

impl Refused {
    /// Each of them.
    pub const ALL: [Refused; 8] = [
        Refused::Full,
        Refused::Tls,
        Refused::WebSocket,
        Refused::Timeout,
        Refused::Malformed,
        Refused::Unacceptable,
        Refused::Credentials,
        Refused::NotAuthorized,
    ];

    /// A word for labels and logs.
    pub fn name(self) -> &'static str {
        match self {
            Refused::Full => "max_connections",
            Refused::Tls => "tls",
            Refused::WebSocket => "websocket",
            Refused::Timeout => "timeout",
            Refused::Malformed => "malformed",
            Refused::Unacceptable => "unacceptable",
            Refused::Credentials => "credentials",
            Refused::NotAuthorized => "not_authorized",
        }
    }
}

/// What one listener has counted since its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerMetrics {
    /// Its name.
    pub name: String,
    /// Connections that are open, with and without CONNECT.
    pub connections: usize,
    /// Connections that were taken from the network.
    pub accepted: u64,
    /// Connections that came to nothing, in the order of [`Refused::ALL`].
    pub refused: [u64; Refused::ALL.len()],
    /// Bytes that came from clients, as they stood in MQTT packets.
    pub bytes_received: u64,
    /// Bytes that went to clients.
    pub bytes_sent: u64,
    /// PUBLISH packets that came.
    pub messages_received: u64,
    /// PUBLISH packets that went out.
    pub messages_sent: u64,
}

/// A listener at work.
pub(crate) struct Gate {
    pub(crate) listener: Listener,
    connections: AtomicUsize,
    accepted: AtomicU64,
    refused: [Refusals; Refused::ALL.len()],
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    messages_received: AtomicU64,
    messages_sent: AtomicU64,
    started: Instant,
}

/// How often it happened, and when it was last logged.
#[derive(Default)]
struct Refusals {
    count: AtomicU64,
    /// Milliseconds after the start of the next line that may be logged.
    log_after: AtomicU64,
    unlogged: AtomicU64,
}

/// One line of a kind in this time: a flood of connections must not become a flood of lines.
const LOG_EVERY: Duration = Duration::from_secs(5);

impl Gate {
    pub(crate) fn new(listener: Listener) -> Self {
        Self {
            listener,
            connections: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            refused: Default::default(),
            bytes_received: AtomicU64::new(0),
            bytes_sent: AtomicU64::new(0),
            messages_received: AtomicU64::new(0),
            messages_sent: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.listener.limits
    }

    /// One more connection. Returns how many there were before; [`Gate::left`] must follow.
    pub(crate) fn entered(&self) -> usize {
        self.accepted.fetch_add(1, Relaxed);
        self.connections.fetch_add(1, Relaxed)
    }

    pub(crate) fn left(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// Counts a connection that came to nothing, and says so in the log, though not for each of very many.
    pub(crate) fn refused(&self, why: Refused, peername: SocketAddr, detail: &dyn fmt::Display) {
        let refusals = &self.refused[why as usize];
        refusals.count.fetch_add(1, Relaxed);
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next = now.saturating_add(LOG_EVERY.as_millis() as u64);
        let after = refusals.log_after.load(Relaxed);
        let is_turn =
            now >= after && refusals.log_after.compare_exchange(after, next, Relaxed, Relaxed).is_ok();
        if !is_turn {
            refusals.unlogged.fetch_add(1, Relaxed);
            return;
        }
        let unlogged = refusals.unlogged.swap(0, Relaxed);
        let listener = &*self.listener.name;
        if unlogged == 0 {
            tracing::warn!(listener, %peername, reason = why.name(), "client refused: {detail}");
        } else {
            tracing::warn!(
                listener, %peername, reason = why.name(),
                "client refused: {detail} (and {unlogged} more for this reason that were not logged)"
            );
        }
    }

    /// Adds what one turn of a connection has moved.
    pub(crate) fn moved(&self, tally: &Tally) {
        for (counter, count) in [
            (&self.bytes_received, tally.bytes_received),
            (&self.bytes_sent, tally.bytes_sent),
            (&self.messages_received, tally.messages_received),
            (&self.messages_sent, tally.messages_sent),
        ] {
            if count != 0 {
                counter.fetch_add(count, Relaxed);
            }
        }
    }

    pub(crate) fn metrics(&self) -> ListenerMetrics {
        ListenerMetrics {
            name: self.listener.name.clone(),
            connections: self.connections.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            refused: std::array::from_fn(|at| self.refused[at].count.load(Relaxed)),
            bytes_received: self.bytes_received.load(Relaxed),
            bytes_sent: self.bytes_sent.load(Relaxed),
            messages_received: self.messages_received.load(Relaxed),
            messages_sent: self.messages_sent.load(Relaxed),
        }
    }
}

/// Lets through so many a second, and as many at once after a quiet second.
#[derive(Debug)]
pub(crate) struct Pace {
    /// `None` for any number.
    interval: Option<Duration>,
    burst: Duration,
    /// When the next may pass, were there no burst.
    next: Instant,
}

impl Pace {
    pub(crate) fn new(per_second: Option<u32>) -> Self {
        let interval = per_second.filter(|rate| *rate > 0).map(|rate| Duration::from_secs(1) / rate);
        Self { interval, burst: Duration::from_secs(1), next: Instant::now() }
    }

    /// One more wants to pass: now, or, if that is too soon, at the time returned. It has passed either way.
    pub(crate) fn pass(&mut self, now: Instant) -> Option<Instant> {
        let interval = self.interval?;
        let earliest = now.checked_sub(self.burst).unwrap_or(now);
        self.next = self.next.max(earliest) + interval;
        (self.next > now).then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_allows_a_burst_of_one_second_and_then_its_rate() {
        let mut pace = Pace::new(Some(10));
        let start = Instant::now() + Duration::from_secs(60);
        let waits: Vec<bool> = (0..11).map(|_| pace.pass(start).is_some()).collect();
        assert_eq!(waits, [vec![false; 10], vec![true]].concat());
        assert_eq!(pace.pass(start), Some(start + Duration::from_millis(200)));
        assert_eq!(pace.pass(start + Duration::from_secs(9)), None);
        assert_eq!(Pace::new(None).pass(start), None);
    }
}
