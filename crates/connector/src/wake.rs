//! How a consumer that sleeps hears that there is something to do.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Wakes one consumer, once per sleep: while it is awake, or does not want more, a call costs one load.
///
/// The consumer's side is [`Wake::wait`]. The order of events makes a lost wake impossible: the consumer arms and then
/// looks; a producer adds and then looks whether it is armed; both with sequential consistency.
#[derive(Debug, Default)]
pub struct Wake {
    armed: AtomicBool,
    notify: Notify,
}

impl Wake {
    /// Wakes the consumer if it sleeps. Call after what it is to see has been made visible.
    pub fn wake(&self) {
        if self.is_armed() && self.armed.swap(false, Ordering::SeqCst) {
            self.notify.notify_one();
        }
    }

    /// Whether the consumer sleeps.
    pub fn is_armed(&self) -> bool {
        self.armed.load(Ordering::SeqCst)
    }

    /// Sleeps until `ready` says yes at once or a producer wakes. May return without cause: look again.
    ///
    /// Cancel safe. For one consumer at a time.
    pub async fn wait(&self, ready: impl Fn() -> bool) {
        let _armed = Armed::new(&self.armed);
        if !ready() {
            self.notify.notified().await;
        }
    }
}

/// A consumer that sleeps; one that is woken otherwise is no longer armed either.
struct Armed<'a>(&'a AtomicBool);

impl<'a> Armed<'a> {
    fn new(armed: &'a AtomicBool) -> Self {
        armed.store(true, Ordering::SeqCst);
        Self(armed)
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
