use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Which runners sleep, and whether one was called that has not come yet. At most one at a time: it calls the next if there is more
/// than it can do.
///
/// Whoever has put a task into the queue calls; whoever is to sleep says so and then looks once more. Between what each writes and
/// what it then reads there is a sequentially consistent fence on either side, so at least one of the two sees what the other did:
/// a task is never left to nobody.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    /// A bit for each runner that sleeps, and [`CALLED`].
    state: AtomicU64,
}

const CALLED: u64 = 1 << 63;
/// How many runners there can be.
pub(crate) const RUNNERS_MAX: usize = 63;

impl Attention {
    /// The number of a runner that is to be woken now. `None` if one is on its way, or none sleeps: those who are awake
    /// look before they sleep. Call after what it is to see has been put into the queue.
    pub(crate) fn call(&self) -> Option<usize> {
        fence(Ordering::SeqCst);
        let woken = |state: u64| {
            let sleeping = state & !CALLED;
            // Clears the lowest bit that is set.
            (state & CALLED == 0 && sleeping != 0).then(|| sleeping & (sleeping - 1) | CALLED)
        };
        let before = self.state.try_update(Ordering::SeqCst, Ordering::SeqCst, woken).ok()?;
        Some(before.trailing_zeros() as usize)
    }

    /// A runner is there, and looks into the queue from now on.
    pub(crate) fn come(&self, runner: usize) {
        self.state.fetch_and(!(CALLED | 1 << runner), Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// A runner sleeps from now on. It is to look into the queue once more.
    pub(crate) fn sleep(&self, runner: usize) {
        self.state.fetch_or(1 << runner, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// A runner that wanted to sleep has found something. Whether it is up: `false` if it has been called in the meantime, and so is
    /// woken anyway.
    pub(crate) fn rise(&self, runner: usize) -> bool {
        self.state.fetch_and(!(1 << runner), Ordering::SeqCst) & 1 << runner != 0
    }
}
