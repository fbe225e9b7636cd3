//! Times that outlive the process.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment in milliseconds since 1970 UTC. Never runs backwards while the process lives: the system's clock is read
/// once, and what follows is measured from there.
pub(crate) fn millis(moment: Instant) -> i64 {
    static ANCHOR: OnceLock<(Instant, i64)> = OnceLock::new();
    // In 64 bits, which last until 2262: each message pays for this division.
    let nanos = |duration: Duration| duration.as_nanos() as i64;
    let (anchor, anchor_nanos) = *ANCHOR.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (Instant::now(), nanos(since))
    });
    let moment_nanos = match moment.checked_duration_since(anchor) {
        Some(later) => anchor_nanos + nanos(later),
        None => anchor_nanos - nanos(anchor.duration_since(moment)),
    };
    moment_nanos.div_euclid(1_000_000)
}

/// How long ago `at_ms` was.
pub(crate) fn age(at_ms: i64, now: Instant) -> Duration {
    Duration::from_millis(millis(now).saturating_sub(at_ms).max(0).cast_unsigned())
}
