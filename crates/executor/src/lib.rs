//! Runs many small tasks on as few threads as they need.
//!
//! tokio wakes another of its threads whenever two tasks are ready at once. Where each has to do a microsecond's work, as connections
//! of devices do that send a message now and then, that costs more than the work: a futex call, two changes of task and
//! cold caches, for one task that the first thread would have come to at once. Here tasks that are ready wait in one queue, in the order in
//! which they became ready, and a *runner* works it off, which is a tokio task itself. It calls another one, which tokio then has to
//! find a thread for, only when it has been at it for longer than [`PATIENCE`] and there is more.
//!
//! Tasks may use whatever tokio has: sockets, timers, [`yield_now`] instead of tokio's. One that keeps its thread for longer than a few
//! milliseconds says so with [`block_in_place`].
//!
//! *Invariant:* while a task is ready, a runner is awake or called, and no task runs twice at once.

mod attention;
mod runner;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Handle;

pub use runner::PATIENCE;
use runner::Queue;

/// Where tasks are run. Cheap to clone; the tasks live as long as the runtime does.
#[derive(Clone)]
pub struct Executor {
    queue: Arc<Queue>,
}

impl Executor {
    /// Starts on a runtime, with a runner for each of its workers.
    pub fn start(runtime: &Handle) -> Self {
        Self { queue: Queue::start(runtime) }
    }

    /// Runs a task to its end. If it panics, it ends there, and nobody else is harmed. If the runtime shuts down, it is dropped.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let queue = Arc::clone(&self.queue);
        let schedule = move |task| queue.push(task);
        let (ready, task) = async_task::Builder::new().propagate_panic(true).spawn(|()| task, schedule);
        task.detach();
        ready.schedule();
    }
}

/// Lets the tasks go first that are ready: this one goes to the back of the queue.
pub async fn yield_now() {
    let mut is_back = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_back, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Does what keeps this thread for long, in a task of an executor or of tokio: others take over what else it had to do. Costs some ten
/// microseconds. Panics where [`tokio::task::block_in_place`] does: on a runtime of one thread.
pub fn block_in_place<T>(work: impl FnOnce() -> T) -> T {
    runner::relieve();
    tokio::task::block_in_place(work)
}
