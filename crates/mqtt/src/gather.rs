use std::time::{Duration, Instant};

/// How often a busy connection is looked at: lets what comes gather until it is worth a look.
///
/// A peer that sends many small packets, each by itself as most do, would wake its connection for each; and a connection that is
/// awake passes on what little has come. So while much comes, the system is to tell of it only when there is about as much as
/// comes in an interval ([`Conn::read_from`](crate::Conn::read_from)). A connection with little to do never waits.
///
/// Not everything comes by itself. A peer may hold back the second of two small packets until the first is confirmed (Nagle's
/// algorithm), which a system does late while nobody reads: so it is asked after a while
/// ([`Conn::confirm`](crate::Conn::confirm)). And it may have sent all that it will before it hears from us: so a wait ends, and where
/// waits end in vain again and again they become rare.
///
/// Pure: the time is always an argument.
#[derive(Debug)]
pub struct Gather {
    /// How often a busy connection is looked at.
    interval: Duration,
    /// The peer is asked for what it may hold back after this time.
    ask_after: Duration,
    /// What comes in an interval, as of late (bytes).
    rate: usize,
    /// What has come since then (bytes).
    counted: usize,
    counted_from: Instant,
    wait: Wait,
    /// Waits in vain since the last that was not.
    vain: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// For nothing.
    No,
    Since(Instant),
    /// As before, and the peer was asked for what it holds back.
    Asked(Instant),
    /// Any byte will do until something has come, and this time.
    InVain(Instant),
}

/// What has become of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// There is time yet.
    No,
    /// The peer may hold back what is waited for: ask it.
    Ask,
    /// It did not come: any byte will do.
    InVain,
}

impl Gather {
    /// What is waited for at most (bytes).
    const BYTES_MAX: usize = 32 << 10;

    /// For a connection that is looked at once in `interval` while much comes, and whose peer is asked for what it may hold back
    /// after `ask_after`.
    pub fn new(interval: Duration, ask_after: Duration, now: Instant) -> Self {
        Self { interval, ask_after, rate: 0, counted: 0, counted_from: now, wait: Wait::No, vain: 0 }
    }

    /// So many bytes came.
    pub fn read(&mut self, bytes: usize, now: Instant) {
        self.counted += bytes;
        let since = now.duration_since(self.counted_from);
        if since >= self.interval {
            // Over a whole interval, since two small packets in a row are no stream.
            let nanos = |duration: Duration| duration.as_nanos() as u64;
            let in_interval = (self.counted as u64).saturating_mul(nanos(self.interval)) / nanos(since);
            self.rate = (self.rate + in_interval.min(Self::BYTES_MAX as u64 * 4) as usize) / 2;
            (self.counted, self.counted_from) = (0, now);
        }
        match self.wait {
            Wait::Since(_) | Wait::Asked(_) => (self.wait, self.vain) = (Wait::No, 0),
            Wait::InVain(until) if now >= until => self.wait = Wait::No,
            Wait::InVain(_) | Wait::No => {}
        }
    }

    /// How many bytes are to be waited for from now on, 0 for any: at most `max`, and at least `min` or none at all.
    pub fn awaited(&mut self, min: usize, max: usize, now: Instant) -> usize {
        let bytes = self.rate.min(Self::BYTES_MAX).min(max);
        match self.wait {
            Wait::InVain(_) => return 0,
            _ if bytes < min => {
                self.wait = Wait::No;
                return 0;
            }
            Wait::No => self.wait = Wait::Since(now),
            Wait::Since(_) | Wait::Asked(_) => {}
        }
        // In steps, so that the system is not told of each change.
        1 << bytes.ilog2()
    }

    /// Until when something is waited for, if it is.
    pub fn waits_until(&self) -> Option<Instant> {
        match self.wait {
            Wait::Since(since) => Some(since + self.ask_after),
            Wait::Asked(since) => Some(self.gives_up_at(since)),
            Wait::No | Wait::InVain(_) => None,
        }
    }

    /// What has become of the wait.
    pub fn overdue(&mut self, now: Instant) -> Overdue {
        match self.wait {
            Wait::Since(since) if now >= since + self.ask_after => {
                self.wait = Wait::Asked(since);
                Overdue::Ask
            }
            Wait::Asked(since) if now >= self.gives_up_at(since) => {
                // Not at all after the first, and twice as long after each further one, up to half a second.
                let pause = Duration::from_millis((1 << self.vain.min(9)) - 1);
                (self.wait, self.vain) = (Wait::InVain(now + pause), self.vain + 1);
                Overdue::InVain
            }
            _ => Overdue::No,
        }
    }

    fn gives_up_at(&self, since: Instant) -> Instant {
        since + self.ask_after + self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

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
        let mut gather = Gather::new(MILLI, MILLI, now);
        fed(&mut gather, &mut now, 4, 2_000, 100);
        assert_eq!(gather.awaited(32, 1_000, now), 0);
        assert_eq!((gather.waits_until(), gather.overdue(now)), (None, Overdue::No));
    }

    #[test]
    fn a_busy_one_waits_for_what_comes_in_an_interval_and_no_more_than_is_to_come() {
        let mut now = Instant::now();
        let mut gather = Gather::new(MILLI, MILLI, now);
        fed(&mut gather, &mut now, 40, 100, 100);
        let awaited = gather.awaited(32, 1_000, now);
        assert!((200..=400).contains(&awaited), "400 bytes come in a millisecond: {awaited}");
        assert_eq!(gather.awaited(32, 100, now), 64);
        assert_eq!(gather.awaited(32, 20, now), 0, "that is not worth the wait");
    }

    #[test]
    fn the_peer_is_asked_before_the_wait_is_given_up() {
        let mut now = Instant::now();
        let mut gather = Gather::new(2 * MILLI, MILLI, now);
        fed(&mut gather, &mut now, 40, 100, 100);
        assert_eq!((gather.awaited(32, 64, now), gather.overdue(now)), (64, Overdue::No));
        now = gather.waits_until().expect("it waits");
        assert_eq!((gather.overdue(now), gather.overdue(now)), (Overdue::Ask, Overdue::No));
        assert_eq!(gather.awaited(32, 64, now), 64, "it waits on");
        now = gather.waits_until().expect("it waits");
        assert_eq!((gather.overdue(now), gather.overdue(now)), (Overdue::InVain, Overdue::No));
        assert_eq!((gather.awaited(32, 64, now), gather.waits_until()), (0, None), "any byte will do");
        gather.read(4, now);
        assert_eq!(gather.awaited(32, 64, now), 64, "once is no rule");
    }

    #[test]
    fn where_waits_are_in_vain_they_become_rare_and_where_they_are_not_they_come_back() {
        let mut now = Instant::now();
        let mut gather = Gather::new(MILLI, MILLI, now);
        let (mut waited, began) = (Duration::ZERO, now);
        while now < began + Duration::from_secs(10) {
            fed(&mut gather, &mut now, 1_000, 50, 1);
            let before = now;
            while gather.awaited(512, usize::MAX, now) > 0 {
                now = gather.waits_until().expect("it waits");
                gather.overdue(now);
            }
            waited += now - before;
        }
        assert!(waited < Duration::from_millis(100), "{waited:?} of ten seconds were lost");
        now += Duration::from_millis(600);
        for _ in 0..10 {
            fed(&mut gather, &mut now, 1_000, 50, 1);
        }
        assert!(gather.awaited(512, usize::MAX, now) > 0);
        fed(&mut gather, &mut now, 1_000, 50, 1);
        assert_eq!(gather.vain, 0);
    }
}
