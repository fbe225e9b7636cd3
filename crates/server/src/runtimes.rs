//! The threads that tasks run on.

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Messages have threads of their own, so that no question over HTTP holds one up, however long its answer.
pub(crate) struct Runtimes {
    /// Connections of clients and connectors, and the rules between them.
    pub(crate) messages: Runtime,
    /// The API.
    pub(crate) http: Runtime,
}

impl Runtimes {
    /// `worker_threads` are those for messages.
    pub(crate) fn start(worker_threads: Option<usize>) -> io::Result<Self> {
        let worker_threads =
            worker_threads.unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get));
        Ok(Self { messages: runtime("messages", worker_threads)?, http: runtime("http", 1)? })
    }

    /// Ends what still runs: it had its time.
    pub(crate) fn stop(self) {
        for runtime in [self.http, self.messages] {
            runtime.shutdown_timeout(Duration::from_millis(100));
        }
    }
}

/// After how many tasks a thread that always has some looks at sockets and timers. A task that runs those of many connections may take
/// a fraction of a millisecond, and a whole one where a client sends what is dear.
const LOOKS_EVERY: u32 = 4;

fn runtime(name: &str, worker_threads: usize) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(worker_threads).event_interval(LOOKS_EVERY);
    builder.thread_name(name).enable_all().build()
}
