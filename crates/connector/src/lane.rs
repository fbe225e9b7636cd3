//! One lane of an action's queue: what its lock guards.

use std::sync::Arc;

use crate::buffer::Buffer;
use crate::metrics::Counters;
use crate::wake::Wake;

/// A buffer, what was counted for it, and who empties it. Under one lock, because the counters must agree with the
/// buffer at every moment; nothing is awaited and nothing foreign is called while it is held.
pub(crate) struct Lane {
    pub(crate) buffer: Box<dyn Buffer>,
    pub(crate) counters: Counters,
    pub(crate) reader: Option<Owner>,
}

/// The reader of a lane.
pub(crate) struct Owner {
    pub(crate) id: u64,
    pub(crate) wake: Arc<Wake>,
}

impl Lane {
    pub(crate) fn new(buffer: Box<dyn Buffer>) -> Self {
        Self { buffer, counters: Counters::default(), reader: None }
    }

    /// Whom to wake once the lock is gone; `None` where nobody sleeps.
    pub(crate) fn wake(&self) -> Option<Arc<Wake>> {
        let reader = self.reader.as_ref().filter(|reader| reader.wake.is_armed())?;
        Some(Arc::clone(&reader.wake))
    }

    pub(crate) fn is_read_by(&self, owner: u64) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.id == owner)
    }
}
