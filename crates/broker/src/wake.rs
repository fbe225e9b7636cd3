//! Waking connections once a batch, not once a message.

use std::cell::RefCell;
use std::sync::Arc;

use crate::session::Session;

thread_local! {
    /// Sessions to wake when the batch that this thread works on is done; `None` outside a batch.
    static LATER: RefCell<Option<Vec<Arc<Session>>>> = const { RefCell::new(None) };
}

/// Runs a batch. Connections whose inbox it fills are woken when it is done: a woken connection would otherwise send
/// each message by itself while the next ones are still being routed. `batch` runs on this thread and does not wait.
pub(crate) fn batched<T>(batch: impl FnOnce() -> T) -> T {
    let outermost = LATER.with_borrow_mut(|later| match later {
        Some(_) => false,
        None => {
            *later = Some(Vec::new());
            true
        }
    });
    let scope = Scope { outermost };
    let result = batch();
    drop(scope);
    result
}

/// Wakes at its end, also when the batch panics.
struct Scope {
    outermost: bool,
}

impl Drop for Scope {
    fn drop(&mut self) {
        if self.outermost {
            for session in LATER.take().into_iter().flatten() {
                session.wake.notify_one();
            }
        }
    }
}

/// Wakes the connection of a session, if it has one: at the end of the batch, or at once outside of one.
pub(crate) fn wake(session: &Arc<Session>) {
    LATER.with_borrow_mut(|later| match later {
        Some(later) => later.push(Arc::clone(session)),
        None => session.wake.notify_one(),
    });
}
