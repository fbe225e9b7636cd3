//! Waking tasks that sleep: once for each sleep, and once for each batch.
//!
//! A thread that works on many messages at a time fills the queues of others with each. Were they woken at the first, another
//! thread would take that one message and send it, alone, while the next ones are still being worked on. So whoever works
//! on a batch says so with [`batched`], and those whom it fills something for hear of it at its end.
//!
//! *Invariant:* nothing here waits for anything but a [`Wake`], and no wake is lost, whatever happens in a batch.

mod courtesy;
mod share;

pub use courtesy::Courtesy;
pub use share::{SHARE, is_spent, spend};

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Poll, Waker};

use atomic_waker::AtomicWaker;

thread_local! {
    static BATCH: RefCell<Batch> = const { RefCell::new(Batch { is_open: false, wakers: Vec::new(), is_early: false }) };
}

/// The batch that this thread works on.
struct Batch {
    is_open: bool,
    /// Tasks to wake when it is done.
    wakers: Vec<Waker>,
    /// Whether it has filled something for somebody who will look later.
    is_early: bool,
}

/// Runs a batch: what is woken in it is woken when it is done. `batch` runs on this thread and does not wait. A batch
/// within a batch is part of it.
pub fn batched<T>(batch: impl FnOnce() -> T) -> T {
    let is_outermost = BATCH.with_borrow_mut(|batch| !std::mem::replace(&mut batch.is_open, true));
    if is_outermost {
        share::begin();
    }
    let _scope = Scope { is_outermost };
    batch()
}

/// As [`batched`], and tells whether the batch came early: it has filled something for those who rest ([`Wake::rest`]), and
/// nothing for anybody who sleeps. Then whatever brings such batches may as well bring more at a time.
pub fn batched_early<T>(batch: impl FnOnce() -> T) -> (T, bool) {
    batched(|| {
        let done = batch();
        (done, BATCH.with_borrow(|batch| batch.is_early && batch.wakers.is_empty()))
    })
}

/// Wakes at its end, also when the batch panics.
struct Scope {
    is_outermost: bool,
}

impl Drop for Scope {
    fn drop(&mut self) {
        if !self.is_outermost {
            return;
        }
        let mut wakers = BATCH.with_borrow_mut(|batch| {
            (batch.is_open, batch.is_early) = (false, false);
            std::mem::take(&mut batch.wakers)
        });
        if wakers.is_empty() {
            return;
        }
        wakers.drain(..).for_each(Waker::wake);
        // What was woken may have begun to fill another list; the memory of this one is worth keeping otherwise.
        BATCH.with_borrow_mut(|batch| {
            if batch.wakers.capacity() == 0 {
                batch.wakers = wakers;
            }
        });
    }
}

/// Wakes a task, or whatever else has a waker: at the end of the batch that this thread works on, or at once outside of one.
pub fn later(waker: Waker) {
    let waker = BATCH.with_borrow_mut(|batch| {
        if !batch.is_open {
            return Some(waker);
        }
        batch.wakers.push(waker);
        None
    });
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Wakes one task, once per sleep: while it is awake, or does not want more, a call costs one load.
///
/// The sleeper's side is [`Wake::wait`]. The order of events makes a lost wake impossible: the sleeper arms and then looks; a
/// producer adds and then looks whether somebody is asleep; both with sequential consistency.
#[derive(Debug, Default)]
pub struct Wake {
    state: AtomicU8,
    waker: AtomicWaker,
}

/// It works, or does not want more.
const AWAKE: u8 = 0;
/// It is to be woken.
const ASLEEP: u8 = 1;
/// It is not to be woken, and will look before long.
const RESTS: u8 = 2;

impl Wake {
    /// Wakes the sleeper if it sleeps: at once, or at the end of the batch that this thread works on. Call after what it is
    /// to see has been made visible.
    pub fn wake(&self) {
        if self.is_asleep()
            && self.state.swap(AWAKE, Ordering::SeqCst) == ASLEEP
            && let Some(waker) = self.waker.take()
        {
            later(waker);
        }
    }

    /// Whether somebody sleeps, for those who would rather not hold on to this otherwise. If somebody rests, the batch that
    /// this thread works on comes early.
    pub fn is_asleep(&self) -> bool {
        let state = self.state.load(Ordering::SeqCst);
        if state == RESTS {
            BATCH.with_borrow_mut(|batch| batch.is_early = batch.is_open);
        }
        state == ASLEEP
    }

    /// The sleeper does not want to be woken, since it will look by itself before long: until it sleeps the next time, or
    /// is up.
    pub fn rest(&self) {
        self.state.store(RESTS, Ordering::SeqCst);
    }

    /// The sleeper rests no more.
    pub fn rise(&self) {
        self.state.store(AWAKE, Ordering::SeqCst);
    }

    /// Sleeps until `ready` says yes at once or a producer wakes. May return without cause: look again.
    ///
    /// Cancel safe. For one sleeper at a time.
    pub async fn wait(&self, ready: impl Fn() -> bool) {
        let armed = Armed(&self.state);
        let mut is_armed = false;
        poll_fn(|cx| {
            if is_armed && self.state.load(Ordering::SeqCst) != ASLEEP {
                return Poll::Ready(());
            }
            self.waker.register(cx.waker());
            // Only now, so that whoever finds it armed finds the waker too.
            armed.0.store(ASLEEP, Ordering::SeqCst);
            is_armed = true;
            if ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// A sleeper; one that is woken otherwise is no longer armed either.
struct Armed<'a>(&'a AtomicU8);

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        self.0.store(AWAKE, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Sleeper(AtomicUsize);

    impl std::task::Wake for Sleeper {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Something that is asleep on a wake, and how often it was woken.
    fn asleep(wake: &Wake) -> Arc<Sleeper> {
        let sleeper = Arc::new(Sleeper::default());
        wake.waker.register(&Arc::clone(&sleeper).into());
        wake.state.store(ASLEEP, Ordering::SeqCst);
        sleeper
    }

    fn times(sleeper: &Sleeper) -> usize {
        sleeper.0.load(Ordering::SeqCst)
    }

    #[test]
    fn outside_of_a_batch_it_wakes_at_once_and_once_a_sleep() {
        let wake = Wake::default();
        wake.wake();
        let sleeper = asleep(&wake);
        wake.wake();
        wake.wake();
        assert_eq!(times(&sleeper), 1);
    }

    #[test]
    fn a_batch_wakes_at_its_end_and_one_within_it_does_not() {
        let (one, other) = (Wake::default(), Wake::default());
        let (first, second) = (asleep(&one), asleep(&other));
        batched(|| {
            batched(|| one.wake());
            other.wake();
            assert_eq!((times(&first), times(&second)), (0, 0));
        });
        assert_eq!((times(&first), times(&second)), (1, 1));
    }

    #[test]
    fn a_batch_is_early_if_it_is_for_those_alone_who_rest() {
        let (resting, sleeping) = (Wake::default(), Wake::default());
        resting.rest();
        let sleeper = asleep(&sleeping);
        assert_eq!(batched_early(|| resting.wake()), ((), true));
        let both = || {
            resting.wake();
            sleeping.wake();
        };
        assert_eq!((batched_early(both), times(&sleeper)), (((), false), 1));
        assert_eq!(batched_early(|| sleeping.wake()), ((), false), "one that is awake says nothing");
        resting.rise();
        assert_eq!(batched_early(|| resting.wake()), ((), false));
    }

    #[test]
    fn a_batch_that_panics_wakes_all_the_same() {
        let wake = Wake::default();
        let sleeper = asleep(&wake);
        let batch = || {
            batched(|| {
                wake.wake();
                panic!("as bugs do");
            });
        };
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(batch));
        assert!(panicked.is_err());
        assert_eq!(times(&sleeper), 1);
        let again = asleep(&wake);
        wake.wake();
        assert_eq!(times(&again), 1, "the batch is over");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_is_lost() {
        const COUNT: usize = 50_000;
        let (wake, added) = (Arc::new(Wake::default()), Arc::new(AtomicUsize::new(0)));
        let producer = tokio::task::spawn_blocking({
            let (wake, added) = (Arc::clone(&wake), Arc::clone(&added));
            move || {
                for number in 0..COUNT {
                    let add = || {
                        added.fetch_add(1, Ordering::SeqCst);
                        wake.wake();
                    };
                    if number % 3 == 0 { batched(add) } else { add() }
                }
            }
        });
        let mut seen = 0;
        while seen < COUNT {
            wake.wait(|| added.load(Ordering::SeqCst) > seen).await;
            seen = added.load(Ordering::SeqCst);
        }
        producer.await.expect("the producer ends in order");
    }
}
