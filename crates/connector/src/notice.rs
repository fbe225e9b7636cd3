//! Log lines about single messages, few enough to be read.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::metrics::Dropped;

/// Keeps them few: one line for the first trouble of an action or rule, and one every ten seconds while it lasts, with how many there were.
#[derive(Debug, Default)]
pub struct Notice(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    written: Option<Instant>,
    unwritten: u64,
}

impl Notice {
    const PAUSE: Duration = Duration::from_secs(10);

    /// So many requests were dropped; none is no news.
    pub(crate) fn dropped(&self, action: &str, reason: Dropped, count: u64) {
        if count == 0 {
            return;
        }
        if let Some(count) = self.due(count) {
            tracing::warn!(action, count, "dropped: {}", reason.name());
        }
    }

    /// A request, or a row that should have become one, failed for good.
    pub(crate) fn failed(&self, action: &str, reason: &str) {
        if let Some(count) = self.due(1) {
            tracing::warn!(action, count, "failed: {reason}");
        }
    }

    /// How many there were since the last line, these included, if it is time for a line.
    pub fn due(&self, count: u64) -> Option<u64> {
        let mut recent = self.0.lock();
        recent.unwritten += count;
        // The clock is read here and not passed in: nothing depends on it but the log.
        if recent.written.is_some_and(|written| written.elapsed() < Self::PAUSE) {
            return None;
        }
        recent.written = Some(Instant::now());
        Some(std::mem::take(&mut recent.unwritten))
    }
}
