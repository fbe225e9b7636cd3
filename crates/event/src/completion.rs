use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How far a message must have come before its publisher, or the remote a source reads, hears that it is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckLevel {
    /// `stored` where an action with a durable buffer is concerned, otherwise `received`: what local publishers get.
    #[default]
    Durable,
    /// As soon as it was read and judged.
    Received,
    /// When every action has it on disk, or has delivered it where its buffer is no disk.
    Stored,
    /// When every action has delivered it: what sources get by default.
    Delivered,
}

/// What became of an event, as its acknowledgement needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every part is stored, delivered, filtered, or finally failed and counted: acknowledge.
    Settled,
    /// A part was dropped unsettled, as at a shutdown: do not acknowledge, whoever sent it will send it again.
    Abandoned,
}

/// Owes acknowledgements and is told, from any thread and possibly inside `dispatch`, when one may go out.
///
/// Implementations queue and wake; they never block. Tickets settle in any order: putting acknowledgements into
/// receive order is the implementation's business, since only it knows the order.
pub trait Acker: Send + Sync {
    /// Called exactly once per [`Completion`], when its last part is gone.
    fn settled(&self, ticket: u64, outcome: Outcome);
}

/// The token that an event carries from the broker or source to its last action.
///
/// Whoever receives the packet makes one, passes `&Completion` to [`crate::Dispatch::dispatch`], and lets go of it with
/// [`Completion::release`]. Every action that must still do something before the acknowledgement takes a [`Part`].
/// When the last of them has settled, the [`Acker`] hears it.
#[derive(Debug)]
pub struct Completion {
    shared: Arc<Shared>,
    level: AckLevel,
}

/// One action's share of a [`Completion`].
///
/// It must be given back by [`Part::settle`]. One that is merely dropped, as when a queue is torn down at shutdown,
/// marks the whole event abandoned, so nothing is acknowledged that was not dealt with.
#[derive(Debug)]
#[must_use = "a part that is dropped unsettled withholds the acknowledgement"]
pub struct Part {
    shared: Option<Arc<Shared>>,
}

struct Shared {
    acker: Arc<dyn Acker>,
    ticket: u64,
    abandoned: AtomicBool,
}

impl Completion {
    /// A token for the packet that `acker` knows as `ticket`.
    pub fn new(acker: Arc<dyn Acker>, ticket: u64, level: AckLevel) -> Self {
        Self { shared: Arc::new(Shared { acker, ticket, abandoned: AtomicBool::new(false) }), level }
    }

    /// How far the message must come.
    pub fn level(&self) -> AckLevel {
        self.level
    }

    /// Takes a part: the acknowledgement now also waits for it.
    pub fn part(&self) -> Part {
        Part { shared: Some(Arc::clone(&self.shared)) }
    }

    /// Lets go of the token after dispatch. Returns whether every part is settled already, in which case the [`Acker`]
    /// is *not* called: the caller may acknowledge on the spot.
    pub fn release(self) -> bool {
        match Arc::into_inner(self.shared) {
            Some(mut shared) if !shared.abandoned.load(Ordering::Acquire) => {
                shared.ticket = Shared::RELEASED;
                true
            }
            // Abandoned: dropping `shared` here tells the acker.
            Some(_) | None => false,
        }
    }
}

impl Part {
    /// This action has done what the acknowledgement waits for.
    pub fn settle(mut self) {
        self.shared = None;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.abandoned.store(true, Ordering::Release);
        }
    }
}

impl Shared {
    /// Marks a token that was settled on the spot, so that its end is not reported a second time.
    const RELEASED: u64 = u64::MAX;
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.ticket != Self::RELEASED {
            let outcome = if *self.abandoned.get_mut() { Outcome::Abandoned } else { Outcome::Settled };
            self.acker.settled(self.ticket, outcome);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shared").field("ticket", &self.ticket).field("abandoned", &self.abandoned).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Log(Mutex<Vec<(u64, Outcome)>>);

    impl Acker for Log {
        fn settled(&self, ticket: u64, outcome: Outcome) {
            self.0.lock().unwrap().push((ticket, outcome));
        }
    }

    fn token(log: &Arc<Log>) -> Completion {
        Completion::new(Arc::clone(log) as Arc<dyn Acker>, 7, AckLevel::Delivered)
    }

    #[test]
    fn nothing_held_is_settled_on_the_spot_and_not_reported() {
        let log = Arc::new(Log::default());
        assert!(token(&log).release());
        assert!(log.0.lock().unwrap().is_empty());
    }

    #[test]
    fn the_last_part_reports_once() {
        let log = Arc::new(Log::default());
        let completion = token(&log);
        let (first, second) = (completion.part(), completion.part());
        assert!(!completion.release());
        second.settle();
        assert!(log.0.lock().unwrap().is_empty());
        first.settle();
        assert_eq!(*log.0.lock().unwrap(), [(7, Outcome::Settled)]);
    }

    #[test]
    fn a_dropped_part_withholds_the_acknowledgement() {
        let log = Arc::new(Log::default());
        let completion = token(&log);
        let (kept, dropped) = (completion.part(), completion.part());
        drop(dropped);
        assert!(!completion.release());
        kept.settle();
        assert_eq!(*log.0.lock().unwrap(), [(7, Outcome::Abandoned)]);
    }

    #[test]
    fn a_part_settled_during_dispatch_leaves_nothing_to_wait_for() {
        let log = Arc::new(Log::default());
        let completion = token(&log);
        completion.part().settle();
        assert!(completion.release());
        assert!(log.0.lock().unwrap().is_empty());
    }
}
