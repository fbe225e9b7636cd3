//! How many requests of an action may be unacknowledged at once.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The requests in flight over all lanes.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// 0 for no bound.
    size: AtomicU32,
    used: AtomicU32,
    /// Whether a reader got less than it asked for and must hear of free places.
    starved: AtomicBool,
}

impl Window {
    pub(crate) fn set_size(&self, size: Option<u32>) {
        self.size.store(size.unwrap_or(0), Ordering::SeqCst);
    }

    /// Whether there is a free place.
    pub(crate) fn is_open(&self) -> bool {
        let size = self.size.load(Ordering::SeqCst);
        size == 0 || self.used.load(Ordering::SeqCst) < size
    }

    /// Reserves up to `wanted` places.
    pub(crate) fn reserve(&self, wanted: u32) -> u32 {
        let size = self.size.load(Ordering::SeqCst);
        let mut granted = wanted;
        let taken = self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
            granted = if size == 0 { wanted } else { wanted.min(size.saturating_sub(used)) };
            Some(used.saturating_add(granted))
        });
        debug_assert!(taken.is_ok(), "the update always has a value");
        if granted < wanted {
            self.starved.store(true, Ordering::SeqCst);
        }
        granted
    }

    /// Gives places back. Whether somebody waits for them.
    #[must_use]
    pub(crate) fn release(&self, places: u32) -> bool {
        self.used.fetch_sub(places, Ordering::SeqCst);
        self.starved.swap(false, Ordering::SeqCst)
    }
}
