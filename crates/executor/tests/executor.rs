//! What an executor promises, on runtimes with a worker or two.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use executor::{Executor, PATIENCE, yield_now};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().expect("threads can be started")
}

fn with_workers(workers: usize) -> (Runtime, Executor) {
    let runtime = runtime(workers);
    let executor = Executor::start(runtime.handle());
    (runtime, executor)
}

#[test]
fn tasks_run_in_the_order_in_which_they_became_ready() {
    let (_runtime, executor) = with_workers(1);
    let (said, heard) = mpsc::channel();
    let spawner = executor.clone();
    // From within, so that all are ready before the first of them runs.
    executor.spawn(async move {
        for number in 0..3 {
            let said = said.clone();
            spawner.spawn(async move {
                said.send(number).unwrap();
                yield_now().await;
                said.send(number + 10).unwrap();
            });
        }
    });
    assert_eq!(heard.iter().collect::<Vec<_>>(), [0, 1, 2, 10, 11, 12]);
}

#[test]
fn a_task_that_panics_harms_nobody() {
    let (_runtime, executor) = with_workers(1);
    let (said, heard) = mpsc::channel();
    for number in 0..4 {
        let said = said.clone();
        executor.spawn(async move {
            yield_now().await;
            assert!(number != 1, "as bugs do");
            said.send(number).unwrap();
        });
    }
    drop(said);
    let mut all: Vec<_> = heard.iter().collect();
    all.sort_unstable();
    assert_eq!(all, [0, 2, 3]);
}

/// Timers and wakes from outside, and tasks that wake each other on several threads: all of them come to their end.
#[test]
fn no_wake_is_lost() {
    const PAIRS: usize = 8;
    const ROUNDS: usize = 3_000;
    let (runtime, executor) = with_workers(2);
    let (said, heard) = mpsc::channel();
    for pair in 0..PAIRS {
        let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (ping_too, pong_too) = (Arc::clone(&ping), Arc::clone(&pong));
        let answers = async move {
            for _ in 0..ROUNDS {
                ping_too.notified().await;
                pong_too.notify_one();
            }
        };
        // Half of them are answered by tokio's tasks, on whatever thread those are.
        if pair % 2 == 0 {
            executor.spawn(answers);
        } else {
            runtime.spawn(answers);
        }
        let said = said.clone();
        executor.spawn(async move {
            for round in 0..ROUNDS {
                ping.notify_one();
                pong.notified().await;
                if round % 1_000 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            said.send(()).unwrap();
        });
    }
    for _ in 0..PAIRS {
        heard.recv_timeout(LONG).expect("every task comes to its end");
    }
}

/// Two tasks that only come to their end side by side.
fn meets(executor: &Executor, before: fn(), meet: fn(&Barrier)) {
    let barrier = Arc::new(Barrier::new(2));
    let (said, heard) = mpsc::channel();
    for _ in 0..2 {
        let (barrier, said) = (Arc::clone(&barrier), said.clone());
        executor.spawn(async move {
            before();
            yield_now().await;
            meet(&barrier);
            said.send(()).expect("the test waits for it");
        });
    }
    for _ in 0..2 {
        heard.recv_timeout(LONG).expect("the other task runs meanwhile");
    }
}

#[test]
fn a_runner_that_is_late_is_helped() {
    let (_runtime, executor) = with_workers(2);
    let is_late = || {
        let began = Instant::now();
        while began.elapsed() < 2 * PATIENCE {
            std::hint::spin_loop();
        }
    };
    meets(&executor, is_late, |barrier| {
        barrier.wait();
    });
}

#[test]
fn others_take_over_from_one_that_blocks() {
    let (_runtime, executor) = with_workers(2);
    meets(
        &executor,
        || (),
        |barrier| {
            executor::block_in_place(|| barrier.wait());
        },
    );
}

/// Counts those that were dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn tasks_are_dropped_with_the_runtime() {
    let (runtime, executor) = with_workers(2);
    let dropped = Arc::new(AtomicUsize::new(0));
    let (said, heard) = mpsc::channel();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let (asleep, waits) = (Dropped(Arc::clone(&dropped)), Dropped(Arc::clone(&dropped)));
    let says = said.clone();
    executor.spawn(async move {
        says.send(()).unwrap();
        tokio::time::sleep(LONG).await;
        drop(asleep);
    });
    executor.spawn(async move {
        said.send(()).unwrap();
        let _ = listener.accept().await;
        drop(waits);
    });
    for _ in 0..2 {
        heard.recv_timeout(LONG).unwrap();
    }
    drop(runtime);
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    // One that comes too late is dropped at once.
    let late = Dropped(Arc::clone(&dropped));
    executor.spawn(async move {
        pending::<()>().await;
        drop(late);
    });
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
}
