use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_task::Runnable;
use crossbeam_queue::SegQueue;
use tokio::runtime::Handle;
use tokio::task::coop;

use crate::attention::{Attention, RUNNERS_MAX};

/// How long a runner is at it before it calls another one: longer than it takes to wake a thread, by far, and shorter than anybody would
/// notice.
pub const PATIENCE: Duration = Duration::from_micros(100);

thread_local! {
    /// The queue that a runner on this thread works off.
    static CURRENT: RefCell<Option<Arc<Queue>>> = const { RefCell::new(None) };
}

/// Tasks that are ready, and those who run them.
pub(crate) struct Queue {
    ready: SegQueue<Runnable>,
    attention: Attention,
    /// Of each runner, once it has run.
    wakers: Box<[OnceLock<Waker>]>,
    /// The runtime has shut down.
    is_closed: AtomicBool,
}

impl Queue {
    pub(crate) fn start(runtime: &Handle) -> Arc<Self> {
        let runners = runtime.metrics().num_workers().clamp(1, RUNNERS_MAX);
        let queue = Arc::new(Self {
            ready: SegQueue::new(),
            attention: Attention::default(),
            wakers: (0..runners).map(|_| OnceLock::new()).collect(),
            is_closed: AtomicBool::new(false),
        });
        for number in 0..runners {
            let runner = Runner { queue: Arc::clone(&queue), number };
            runtime.spawn(async move { poll_fn(|context| runner.poll(context)).await });
        }
        queue
    }

    /// Takes a task that is ready.
    pub(crate) fn push(self: &Arc<Self>, task: Runnable) {
        self.ready.push(task);
        // A runner on this thread comes to it by itself. Any other may be busy for long, while this thread, by whatever it has
        // learnt that the task is ready, is awake anyway.
        if !CURRENT.with_borrow(|current| current.as_ref().is_some_and(|current| Arc::ptr_eq(current, self)))
        {
            self.call();
        }
        if self.is_closed.load(Ordering::SeqCst) {
            self.drain();
        }
    }

    /// Wakes a runner if there is one to wake.
    fn call(&self) {
        // One that has not run yet looks into the queue when it does.
        if let Some(waker) = self.attention.call().and_then(|runner| self.wakers[runner].get()) {
            waker.wake_by_ref();
        }
    }

    /// Drops the tasks that are ready.
    fn drain(&self) {
        while self.ready.pop().is_some() {}
    }
}

/// If this thread has a runner whose queue is not empty, another one is called for that.
pub(crate) fn relieve() {
    CURRENT.with_borrow(|current| {
        if let Some(queue) = current.as_ref().filter(|queue| !queue.ready.is_empty()) {
            queue.call();
        }
    });
}

/// A tokio task that runs the tasks of a queue.
struct Runner {
    queue: Arc<Queue>,
    number: usize,
}

impl Runner {
    /// Runs tasks until none is ready, or for a while.
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let Self { queue, number } = self;
        queue.wakers[*number].get_or_init(|| context.waker().clone());
        queue.attention.come(*number);
        let _scope = Scope::enter(queue);
        let began = Instant::now();
        loop {
            let Some(task) = queue.ready.pop() else {
                queue.attention.sleep(*number);
                if queue.ready.is_empty() || !queue.attention.rise(*number) {
                    return Poll::Pending;
                }
                continue;
            };
            task.run();
            let is_late = began.elapsed() > PATIENCE;
            // Without a budget, nothing that a task asks tokio for is ready.
            if (is_late || !coop::has_budget_remaining()) && !queue.ready.is_empty() {
                self.pause(is_late, context);
                return Poll::Pending;
            }
        }
    }

    /// Leaves the thread to others for a moment, and has another runner help if this one is late. It is in tokio's queue from here on, where
    /// any thread finds it that has nothing to do.
    fn pause(&self, is_late: bool, context: &mut Context<'_>) {
        if self.queue.wakers.len() == 1 {
            // There is no other thread; this way tokio looks at sockets and timers each time before it comes back.
            let _ = pin!(tokio::task::yield_now()).poll(context);
            return;
        }
        if is_late {
            // If there is one to call, it runs on this thread next; with this one that makes two that are ready, and tokio wakes a thread.
            self.queue.call();
        }
        context.waker().wake_by_ref();
    }
}

/// The runtime shuts down: tasks that are ready are dropped now, and others when they would be ready, which they are as soon as tokio
/// ends whatever they wait for.
impl Drop for Runner {
    fn drop(&mut self) {
        self.queue.is_closed.store(true, Ordering::SeqCst);
        self.queue.drain();
    }
}

/// While a runner is at work on this thread.
struct Scope;

impl Scope {
    fn enter(queue: &Arc<Queue>) -> Self {
        CURRENT.set(Some(Arc::clone(queue)));
        Self
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}
