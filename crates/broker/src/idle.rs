//! Whether a client is idle, or gone.

use std::time::Duration;

use tokio::time::Instant;

/// A connection that is idle for this long gives its buffers back.
const TRIM_AFTER: Duration = Duration::from_secs(5);

/// When something last came from a client, and what follows from that.
#[derive(Debug)]
pub(crate) struct Idle {
    heard_at: Instant,
    /// The same for the keep-alive, for which the time does not count in which nobody listened.
    alive_at: Instant,
    is_trimmed: bool,
}

/// Nothing came for one and a half times the keep-alive [MQTT-3.1.2-22].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Idle {
    pub(crate) fn new(now: Instant) -> Self {
        Self { heard_at: now, alive_at: now, is_trimmed: false }
    }

    /// Something has come. Returns whether [`Idle::next`] is sooner now than it was.
    pub(crate) fn heard(&mut self, now: Instant) -> bool {
        (self.heard_at, self.alive_at) = (now, now);
        std::mem::take(&mut self.is_trimmed)
    }

    /// Looks at the time. A client that is not read at the moment is not gone. Returns whether its buffers are to be given
    /// back now, which is told once until something comes.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        is_paused: bool,
        keep_alive: Option<Duration>,
    ) -> Result<bool, Gone> {
        if is_paused {
            self.alive_at = now;
        }
        if keep_alive.is_some_and(|keep_alive| now >= self.alive_at + keep_alive) {
            return Err(Gone);
        }
        let is_idle = !self.is_trimmed && now >= self.heard_at + TRIM_AFTER;
        self.is_trimmed |= is_idle;
        Ok(is_idle)
    }

    /// When to look again.
    pub(crate) fn next(&self, keep_alive: Option<Duration>) -> Instant {
        const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let gone = self.alive_at + keep_alive.unwrap_or(NEVER);
        if self.is_trimmed { gone } else { gone.min(self.heard_at + TRIM_AFTER) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_ALIVE: Option<Duration> = Some(Duration::from_millis(1_500));

    #[test]
    fn who_is_not_read_is_never_gone_and_keeps_no_buffers() {
        let start = Instant::now();
        let (mut idle, mut trimmed) = (Idle::new(start), Vec::new());
        let mut now = start;
        while now < start + Duration::from_secs(20) {
            now = idle.next(KEEP_ALIVE).max(now + Duration::from_millis(100));
            if idle.look(now, true, KEEP_ALIVE).expect("it is paused") {
                trimmed.push(now - start);
            }
        }
        assert_eq!(trimmed, [TRIM_AFTER], "once");
        now = idle.next(KEEP_ALIVE);
        assert_eq!(
            idle.look(now, false, KEEP_ALIVE),
            Err(Gone),
            "from the moment it is read again the clock runs"
        );
    }

    #[test]
    fn who_is_heard_again_may_be_idle_again() {
        let start = Instant::now();
        let mut idle = Idle::new(start);
        assert_eq!(idle.next(None), start + TRIM_AFTER);
        assert_eq!(idle.look(start + TRIM_AFTER, false, None), Ok(true));
        assert_eq!(idle.look(start + 2 * TRIM_AFTER, false, None), Ok(false));
        let later = start + 3 * TRIM_AFTER;
        assert!(idle.heard(later), "the next look was far away");
        assert_eq!(idle.next(None), later + TRIM_AFTER);
        assert!(!idle.heard(later));
    }
}
