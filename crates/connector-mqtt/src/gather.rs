//! How often a busy connection is looked at.

use std::time::{Duration, Instant};

/// Lets what comes on a busy connection gather until it is worth a look.
///
/// A remote that answers each publish by itself, as most do, would wake its client for every four bytes; and a client that is
/// awake sends what little has come for it since. So while much comes, the system is to tell of it only when there is
/// about as much as comes in an interval; what is to be sent gathers for as long. Whatever stays below that is looked at
/// after twice that time, and the next time less is waited for. A connection with little to do never waits.
///
/// Pure: the time is always an argument.
#[derive(Debug)]
pub(crate) struct Gather {
    /// How often a busy connection is looked at.
    interval: Duration,
    /// What comes in an interval, as of late (bytes).
    rate: usize,
    /// Bytes that are waited for; 0 for any.
    awaited: usize,
    /// What may be waited for at most (bytes): a remote with a small window sends no more before it hears from us.
    limit: usize,
    limited_at: Instant,
    read_at: Instant,
    waits_until: Option<Instant>,
}

impl Gather {
    /// For acknowledgements: nobody but the next requests waits for them, and at most for half of the time that the remote
    /// takes anyway.
    pub(crate) const ACKNOWLEDGEMENTS: Duration = Duration::from_millis(3);
    /// For messages.
    pub(crate) const MESSAGES: Duration = Duration::from_millis(1);
    /// What is waited for at most (bytes).
    const BYTES_MAX: usize = 32 << 10;
    /// After this time more is waited for again than was waited for in vain.
    const FORGIVEN_AFTER: Duration = Duration::from_millis(50);

    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            rate: 0,
            awaited: 0,
            limit: Self::BYTES_MAX,
            limited_at: now,
            read_at: now,
            waits_until: None,
        }
    }

    /// So many bytes came.
    pub(crate) fn read(&mut self, bytes: usize, now: Instant) {
        let since = now.duration_since(self.read_at).max(self.interval / 64);
        let nanos = |duration: Duration| duration.as_nanos() as u64;
        let in_interval = (bytes as u64).saturating_mul(nanos(self.interval)) / nanos(since);
        self.rate = (3 * self.rate + in_interval.min(Self::BYTES_MAX as u64 * 4) as usize) / 4;
        self.read_at = now;
        self.waits_until = None;
        if self.limit < Self::BYTES_MAX && now >= self.limited_at + Self::FORGIVEN_AFTER {
            self.limit = (self.limit * 2).min(Self::BYTES_MAX);
            self.limited_at = now;
        }
    }

    /// How many bytes are to be waited for from now on, 0 for any: at most `max`, and at least `min` or none at all.
    pub(crate) fn awaited(&mut self, min: usize, max: usize, now: Instant) -> usize {
        let bytes = self.rate.min(self.limit).min(max);
        // In steps, so that the system is not told of each change.
        self.awaited = if bytes < min { 0 } else { 1 << bytes.ilog2() };
        if self.awaited == 0 {
            self.waits_until = None;
        } else if self.waits_until.is_none() {
            self.waits_until = Some(now + self.interval * 2);
        }
        self.awaited
    }

    /// Whether something is waited for, and until when.
    pub(crate) fn waits_until(&self) -> Option<Instant> {
        self.waits_until
    }

    /// Whether it was waited for in vain: then any byte will do.
    pub(crate) fn is_in_vain(&mut self, now: Instant) -> bool {
        if self.waits_until.is_none_or(|until| now < until) {
            return false;
        }
        (self.limit, self.limited_at) = (self.awaited / 2, now);
        self.rate /= 2;
        (self.awaited, self.waits_until) = (0, None);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection on which so many bytes come every so many microseconds, for so long.
    fn fed(gather: &mut Gather, now: &mut Instant, bytes: usize, every_micros: u64, times: usize) {
        for _ in 0..times {
            *now += Duration::from_micros(every_micros);
            gather.read(bytes, *now);
        }
    }

    #[test]
    fn a_connection_with_little_to_do_never_waits() {
        let mut now = Instant::now();
        let mut gather = Gather::new(Duration::from_millis(1), now);
        fed(&mut gather, &mut now, 4, 2_000, 100);
        assert_eq!(gather.awaited(32, 1_000, now), 0);
        assert!(gather.waits_until().is_none() && !gather.is_in_vain(now));
    }

    #[test]
    fn a_busy_one_waits_for_what_comes_in_an_interval_and_no_more_than_is_to_come() {
        let mut now = Instant::now();
        let mut gather = Gather::new(Duration::from_millis(1), now);
        fed(&mut gather, &mut now, 40, 100, 100);
        let awaited = gather.awaited(32, 1_000, now);
        assert!((200..=400).contains(&awaited), "400 bytes come in a millisecond: {awaited}");
        assert_eq!(gather.awaited(32, 100, now), 64);
        assert_eq!(gather.awaited(32, 20, now), 0, "that is not worth the wait");
    }

    #[test]
    fn less_is_waited_for_after_waiting_in_vain_until_that_is_forgiven() {
        let mut now = Instant::now();
        let mut gather = Gather::new(Duration::from_millis(1), now);
        fed(&mut gather, &mut now, 1_000, 50, 100);
        let before = gather.awaited(512, usize::MAX, now);
        assert!(!gather.is_in_vain(now + Duration::from_millis(1)));
        now += Duration::from_millis(2);
        assert!(gather.is_in_vain(now) && gather.waits_until().is_none());
        fed(&mut gather, &mut now, 1_000, 50, 100);
        assert_eq!(gather.awaited(512, usize::MAX, now), before / 2);
        now += Gather::FORGIVEN_AFTER;
        fed(&mut gather, &mut now, 1_000, 50, 100);
        assert_eq!(gather.awaited(512, usize::MAX, now), before);
    }
}
