//! What the operating system tells the process.

use std::io;
use std::task::{Context, Waker};

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// SIGTERM or SIGINT: end.
    Stop,
    /// SIGHUP: read the files anew.
    Reload,
}

/// Listens for SIGTERM, SIGINT and SIGHUP from when it is made: none of them ends the process from then on. What comes before
/// anybody waits for it is kept.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// To be made before anything else, since there is hardly a moment at which nobody may send one.
    ///
    /// # Errors
    /// Where the system gives no pipe or handler.
    pub fn listen() -> io::Result<Self> {
        // Making them takes a runtime, and there is none yet; hearing them is the work of whichever runs later.
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let _in_it = runtime.enter();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Whether it was asked to end already. Answers yes once.
    pub(crate) fn stop_was_asked(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        [&mut self.terminate, &mut self.interrupt]
            .iter_mut()
            .any(|signal| signal.poll_recv(&mut nobody).is_ready())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[test]
    fn what_came_before_there_was_a_runtime_is_heard_by_the_one_that_comes_later() {
        let mut signals = Signals::listen().expect("the system gives a pipe");
        assert!(!signals.stop_was_asked());
        for signal in [Signal::HUP, Signal::TERM] {
            kill_process(getpid(), signal).expect("one may tell oneself");
        }
        let later = tokio::runtime::Runtime::new().expect("threads can be started");
        later.block_on(async {
            assert_eq!(signals.next().await, Asked::Reload, "and the process is still here");
            while !signals.stop_was_asked() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(!signals.stop_was_asked(), "it was asked once");
            kill_process(getpid(), Signal::INT).expect("one may tell oneself");
            assert_eq!(signals.next().await, Asked::Stop);
        });
    }
}
