//! Whether the remote is still there.

use std::time::{Duration, Instant};

/// The clocks of one connection. Pure: the time is always an argument.
#[derive(Debug)]
pub(crate) struct Pulse {
    keepalive: Duration,
    timeout: Duration,
    received_at: Instant,
    sent_at: Instant,
    ping: Ping,
    /// Since when bytes wait that the remote does not take.
    stalled_since: Option<Instant>,
    /// When the remote last proved itself while a publish was overdue.
    proved_at: Instant,
    /// Whether it was told that nothing moves, since something did.
    is_trimmed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ping {
    /// None is under way.
    Idle,
    /// Put, and on the wire once so many bytes are written.
    Put { mark: u64 },
    /// On the wire since then.
    Sent { at: Instant },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing.
    Rest,
    /// Send a PINGREQ, and say so with [`Pulse::pinged`].
    Ping,
    /// The remote answers no ping.
    Silent,
    /// The remote takes no bytes.
    Stalled,
}

/// Longer than anything here waits for.
const FAR: Duration = Duration::from_secs(3600);
/// A connection on which nothing has moved for this long gives its buffers back.
const TRIM_AFTER: Duration = Duration::from_secs(5);

impl Pulse {
    pub(crate) fn new(keepalive: Duration, timeout: Duration, now: Instant) -> Self {
        Self {
            keepalive,
            timeout,
            received_at: now,
            sent_at: now,
            ping: Ping::Idle,
            stalled_since: None,
            proved_at: now,
            is_trimmed: false,
        }
    }

    /// Another time limit for answers, from now on.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Bytes have moved; `written` is how many were written since the connection began, `pending` how many wait.
    pub(crate) fn moved(&mut self, read: usize, sent: usize, written: u64, pending: usize, now: Instant) {
        self.is_trimmed &= read == 0 && sent == 0;
        if read > 0 {
            self.received_at = now;
        }
        if sent > 0 {
            self.sent_at = now;
        }
        if pending == 0 {
            self.stalled_since = None;
        } else if sent > 0 || self.stalled_since.is_none() {
            self.stalled_since = Some(now);
        }
        if let Ping::Put { mark } = self.ping
            && written >= mark
        {
            self.ping = Ping::Sent { at: now };
        }
    }

    /// So many bytes wait to be written: from now on they are expected to move.
    pub(crate) fn pending(&mut self, pending: usize, now: Instant) {
        if pending == 0 {
            self.stalled_since = None;
        } else if self.stalled_since.is_none() {
            self.stalled_since = Some(now);
        }
    }

    /// A PINGREQ was put, and is written when the connection has written `mark` bytes.
    pub(crate) fn pinged(&mut self, mark: u64) {
        self.ping = Ping::Put { mark };
    }

    /// PINGRESP.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.ping = Ping::Idle;
        self.proved_at = now;
    }

    /// What is to be done now. `overdue`: since when the oldest publish is unacknowledged. `listening`: whether we read at
    /// all; while we do not, no answer can come and none is missed.
    pub(crate) fn beat(&self, overdue: Option<Instant>, listening: bool, now: Instant) -> Beat {
        if self.stalled_since.is_some_and(|since| now >= since + self.timeout * 2) {
            return Beat::Stalled;
        }
        match self.ping {
            Ping::Sent { at } if listening && now >= at.max(self.received_at) + self.timeout => Beat::Silent,
            // While nobody listens, pings only keep the remote from giving us up.
            Ping::Sent { at } if !listening && self.is_quiet(at, now) => Beat::Ping,
            Ping::Put { .. } | Ping::Sent { .. } => Beat::Rest,
            Ping::Idle => {
                let doubtful = overdue.is_some_and(|since| now >= since.max(self.proved_at) + self.timeout);
                let quiet = self.is_quiet(self.sent_at.min(self.received_at), now);
                if doubtful || quiet { Beat::Ping } else { Beat::Rest }
            }
        }
    }

    /// Whether buffers are to be given back now, since nothing moves: told once until something does.
    pub(crate) fn is_idle(&mut self, now: Instant) -> bool {
        let is_idle = !self.is_trimmed && now >= self.trim_at();
        self.is_trimmed |= is_idle;
        is_idle
    }

    fn trim_at(&self) -> Instant {
        self.received_at.max(self.sent_at) + TRIM_AFTER
    }

    /// When to ask again.
    pub(crate) fn next(&self, overdue: Option<Instant>, listening: bool, now: Instant) -> Instant {
        let far = now + FAR;
        let stalled = self.stalled_since.map_or(far, |since| since + self.timeout * 2);
        let beat = match self.ping {
            Ping::Put { .. } => far,
            Ping::Sent { at } if listening => at.max(self.received_at) + self.timeout,
            Ping::Sent { at } if self.keepalive.is_zero() => at + FAR,
            Ping::Sent { at } => at + self.keepalive / 2,
            Ping::Idle => {
                let doubtful = overdue.map_or(far, |since| since.max(self.proved_at) + self.timeout);
                if self.keepalive.is_zero() {
                    doubtful
                } else {
                    doubtful.min(self.sent_at.min(self.received_at) + self.keepalive / 2)
                }
            }
        };
        let trim = if self.is_trimmed { far } else { self.trim_at() };
        stalled.min(beat).min(trim)
    }

    /// Pings at half of the keep-alive, since one that is sent at its end comes too late.
    fn is_quiet(&self, since: Instant, now: Instant) -> bool {
        !self.keepalive.is_zero() && now >= since + self.keepalive / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_quiet_connection_is_pinged_and_given_up_without_an_answer() {
        let start = Instant::now();
        let mut pulse = Pulse::new(Duration::from_secs(60), TIMEOUT, start);
        assert_eq!(pulse.beat(None, true, after(start, 29)), Beat::Rest);
        assert!(pulse.is_idle(after(start, 29)));
        assert_eq!(pulse.next(None, true, start), after(start, 30));
        assert_eq!(pulse.beat(None, true, after(start, 30)), Beat::Ping);
        pulse.pinged(2);
        pulse.moved(0, 2, 2, 0, after(start, 30));
        assert_eq!(pulse.beat(None, true, after(start, 34)), Beat::Rest);
        assert_eq!(pulse.beat(None, true, after(start, 35)), Beat::Silent);
        assert_eq!(pulse.beat(None, false, after(start, 35)), Beat::Rest);
        pulse.answered(after(start, 34));
        pulse.moved(2, 0, 2, 0, after(start, 34));
        assert_eq!(pulse.beat(None, true, after(start, 40)), Beat::Rest);
    }

    #[test]
    fn an_overdue_publish_is_a_reason_to_ask() {
        let start = Instant::now();
        let mut pulse = Pulse::new(Duration::ZERO, TIMEOUT, start);
        assert_eq!(pulse.beat(Some(start), true, after(start, 4)), Beat::Rest);
        assert_eq!(pulse.beat(Some(start), true, after(start, 5)), Beat::Ping);
        pulse.pinged(0);
        pulse.moved(0, 2, 2, 0, after(start, 5));
        pulse.answered(after(start, 6));
        assert_eq!(pulse.beat(Some(start), true, after(start, 10)), Beat::Rest);
        assert_eq!(pulse.beat(Some(start), true, after(start, 11)), Beat::Ping, "and again while it lasts");
    }

    #[test]
    fn where_nothing_moves_buffers_are_given_back_once() {
        let start = Instant::now();
        let mut pulse = Pulse::new(Duration::ZERO, TIMEOUT, start);
        assert!(!pulse.is_idle(after(start, 4)));
        assert_eq!(pulse.next(None, true, after(start, 4)), after(start, 5));
        assert!(pulse.is_idle(after(start, 5)));
        assert!(!pulse.is_idle(after(start, 20)));
        assert!(pulse.next(None, true, after(start, 20)) > after(start, 60));
        for (read, sent) in [(1, 0), (0, 1)] {
            let mut pulse = Pulse::new(Duration::ZERO, TIMEOUT, start);
            assert!(pulse.is_idle(after(start, 20)));
            pulse.moved(read, sent, 0, 0, after(start, 30));
            assert_eq!(pulse.next(None, true, after(start, 30)), after(start, 35));
            assert!(!pulse.is_idle(after(start, 34)) && pulse.is_idle(after(start, 35)));
        }
    }

    #[test]
    fn a_remote_that_takes_nothing_is_given_up() {
        let start = Instant::now();
        let mut pulse = Pulse::new(Duration::ZERO, TIMEOUT, start);
        pulse.pending(100, start);
        assert_eq!(pulse.beat(None, true, after(start, 9)), Beat::Rest);
        pulse.moved(0, 10, 10, 90, after(start, 9));
        assert_eq!(pulse.beat(None, true, after(start, 18)), Beat::Rest);
        assert_eq!(pulse.beat(None, true, after(start, 19)), Beat::Stalled);
    }
}
