//! What an action's queue may hold, and for how long.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::overflow::{Expiry, Overflow};

/// The bounds of an action's queue, as `resource_opts` gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueOptions {
    /// What all lanes together may hold (bytes, with [`ActionQueue::ENTRY_BYTES`](crate::ActionQueue::ENTRY_BYTES) for each entry).
    pub buffer_bytes_max: u64,
    /// How long a request may wait; `None` for ever.
    pub request_ttl: Option<Duration>,
    /// How many requests may be in flight at once over all lanes; `None` leaves it to the connections.
    pub inflight_window: Option<u32>,
    /// How often the far side may refuse a request for now before that is final; `None` for ever.
    pub max_retries: Option<u32>,
    /// Who gives way when there is no room.
    pub overflow: Overflow,
    /// What becomes of what waited too long.
    pub expiry: Expiry,
}

impl QueueOptions {
    /// Nothing but a bound: the oldest gives way, and nothing ever expires.
    pub const fn bounded(buffer_bytes_max: u64) -> Self {
        Self {
            buffer_bytes_max,
            request_ttl: None,
            inflight_window: None,
            max_retries: None,
            overflow: Overflow::DropOldest,
            expiry: Expiry::Drop,
        }
    }
}

/// [`QueueOptions`] as every push and take reads them.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    buffer_bytes_max: AtomicU64,
    /// In milliseconds; 0 for ever.
    request_ttl: AtomicU64,
    /// `u32::MAX` for ever.
    max_retries: AtomicU32,
    overflow: AtomicU8,
    expiry: AtomicU8,
}

impl Bounds {
    pub(crate) fn set(&self, options: &QueueOptions) {
        let ttl = options.request_ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(0).max(1));
        self.request_ttl.store(ttl, Ordering::Relaxed);
        self.buffer_bytes_max.store(options.buffer_bytes_max, Ordering::Relaxed);
        self.max_retries.store(options.max_retries.unwrap_or(u32::MAX), Ordering::Relaxed);
        self.overflow.store(options.overflow as u8, Ordering::Relaxed);
        self.expiry.store(options.expiry as u8, Ordering::Relaxed);
    }

    pub(crate) fn overflow(&self) -> Overflow {
        const ALL: [Overflow; 4] =
            [Overflow::DropOldest, Overflow::Block, Overflow::DropNewest, Overflow::DeadLetter];
        ALL[usize::from(self.overflow.load(Ordering::Relaxed))]
    }

    pub(crate) fn buries_expired(&self) -> bool {
        self.expiry.load(Ordering::Relaxed) == Expiry::DeadLetter as u8
    }

    pub(crate) fn buffer_bytes_max(&self) -> u64 {
        self.buffer_bytes_max.load(Ordering::Relaxed)
    }

    /// `None` for ever.
    pub(crate) fn request_ttl(&self) -> Option<Duration> {
        let millis = self.request_ttl.load(Ordering::Relaxed);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// `u32::MAX` for ever.
    pub(crate) fn max_retries(&self) -> u32 {
        self.max_retries.load(Ordering::Relaxed)
    }
}
