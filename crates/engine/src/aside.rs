//! Where evaluations that take long are done.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

/// From here on an evaluation is slow: it would keep everybody waiting whose messages are on the same thread.
pub(crate) const SLOW: Duration = Duration::from_millis(1);

/// Does slow evaluations so that they keep only their own connection waiting: while one is at it, another thread takes over what else
/// this one had to do. Costs some ten microseconds, so it is only for what is known to be slow.
///
/// As many at once as there are processors: more would only make each of them slower, and too slow in the end.
#[derive(Debug)]
pub(crate) struct Aside {
    free: AtomicUsize,
}

impl Default for Aside {
    fn default() -> Self {
        Self { free: AtomicUsize::new(available_parallelism().map_or(1, NonZero::get)) }
    }
}

impl Aside {
    /// Runs `evaluate` to its end, aside if there is a place.
    pub(crate) fn run<T>(&self, evaluate: impl FnOnce() -> T) -> T {
        let can_hand_over =
            Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        if !can_hand_over {
            return evaluate();
        }
        match self.take() {
            Some(_place) => executor::block_in_place(evaluate),
            None => evaluate(),
        }
    }

    fn take(&self) -> Option<Place<'_>> {
        let less = |free: usize| free.checked_sub(1);
        self.free.try_update(Ordering::Relaxed, Ordering::Relaxed, less).ok().map(|_| Place(&self.free))
    }
}

/// Given back when it is dropped, also after a panic.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Without it the only thread would wait for what only another task can do.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_meanwhile() {
        let (done, wait) = mpsc::channel();
        let slow = tokio::spawn(async move {
            let other = tokio::spawn(async move { done.send("the other task").unwrap() });
            let heard = Aside::default().run(|| wait.recv().unwrap());
            other.await.unwrap();
            heard
        });
        assert_eq!(slow.await.unwrap(), "the other task");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn places_are_bounded_and_given_back() {
        let aside = Aside { free: AtomicUsize::new(1) };
        let nested = tokio::spawn(async move {
            let nested = aside.run(|| (aside.free.load(Ordering::Relaxed), aside.run(|| 7)));
            (nested, aside.free.load(Ordering::Relaxed))
        });
        assert_eq!(nested.await.unwrap(), ((0, 7), 1));
    }

    #[test]
    fn without_threads_to_hand_over_to_it_just_runs() {
        assert_eq!(Aside::default().run(|| 7), 7);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { Aside::default().run(|| 7) }), 7);
    }
}
