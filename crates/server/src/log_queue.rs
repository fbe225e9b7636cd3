//! Log lines on their way out, written by a thread of their own.
//!
//! Whoever reads the log may be slower than whoever writes it: a terminal that is held, a collector whose disk is full. The
//! threads that serve clients have something to say, and none of them waits for that.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// What may wait to be written (bytes). A line that comes when nothing waits is taken whatever its length.
const BYTES_MAX: usize = 1 << 20;
/// What a buffer keeps for the next lines.
const BYTES_KEPT: usize = 64 << 10;

/// Takes lines at once, as long as there is room for them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogQueue(Arc<Shared>);

struct Shared {
    /// A lock, since lines come from all threads; held for a copy at most.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    text: Vec<u8>,
    /// Lines for which there was no room.
    left_out: u64,
    is_writing: bool,
    ends: bool,
}

impl LogQueue {
    /// Starts the thread that writes to `out`, until [`LogQueue::end`].
    pub(crate) fn start(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Self(Arc::new(Shared { state: Mutex::new(State::default()), changed: Condvar::new() }));
        let writer = queue.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || {
            // What was to be written then is missing from the log, the next lines are not.
            while supervise::caught("writing the log", || writer.run(&mut out)).is_err() {
                std::thread::sleep(supervise::PAUSE);
            }
        })?;
        Ok(queue)
    }

    /// Writes what waits, and nothing from then on. Waits for a reader that takes nothing until `within` has passed.
    pub(crate) fn end(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut state = self.0.state.lock();
        state.ends = true;
        self.0.changed.notify_all();
        while (state.is_writing || !state.text.is_empty())
            && !self.0.changed.wait_until(&mut state, deadline).timed_out()
        {}
    }

    fn run(&self, out: &mut impl Write) {
        let mut batch = Vec::new();
        loop {
            let left_out = {
                let mut state = self.0.state.lock();
                state.is_writing = false;
                self.0.changed.notify_all();
                while state.text.is_empty() && state.left_out == 0 {
                    if state.ends {
                        return;
                    }
                    self.0.changed.wait(&mut state);
                }
                mem::swap(&mut batch, &mut state.text);
                state.is_writing = true;
                mem::take(&mut state.left_out)
            };
            // A log that nobody reads any more is no reason to stop.
            let _ = out.write_all(&batch);
            batch.clear();
            batch.shrink_to(BYTES_KEPT);
            if left_out > 0 {
                tracing::warn!(
                    count = left_out,
                    "log lines were left out, since nobody read as fast as they came"
                );
            }
        }
    }
}

impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if !state.text.is_empty() && state.text.len() + line.len() > BYTES_MAX {
            state.left_out += 1;
        } else {
            state.text.extend_from_slice(line);
        }
        self.0.changed.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Tells what it was given, and waits to be let go on.
    struct Held(mpsc::Sender<Vec<u8>>, mpsc::Receiver<()>);

    impl Write for Held {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.send(text.to_vec()).map_err(io::Error::other)?;
            self.1.recv().map_err(io::Error::other)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_held_holds_nobody_and_bounds_what_waits() {
        let (told, tells) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        let mut queue = LogQueue::start(Held(told, goes_on)).unwrap();
        queue.write_all(b"first\n").unwrap();
        assert_eq!(tells.recv().unwrap(), b"first\n");
        // The thread hangs in that write. Whatever comes now is taken at once, and some of it left out.
        let line = [b'x'; 1024];
        for _ in 0..2 * BYTES_MAX / line.len() {
            queue.write_all(&line).unwrap();
        }
        let begun = Instant::now();
        queue.end(Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20), "it has waited for the reader");
        assert_eq!(queue.0.state.lock().left_out, (BYTES_MAX / line.len()) as u64);
        go_on.send(()).unwrap();
        assert_eq!(tells.recv().unwrap().len(), BYTES_MAX);
        go_on.send(()).unwrap();
        queue.end(Duration::from_secs(60));
        assert!(queue.0.state.lock().text.is_empty());
    }

    #[test]
    fn a_long_line_is_taken_whole_and_the_end_writes_everything() {
        let (told, tells) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        (0..3).for_each(|_| go_on.send(()).unwrap());
        let mut queue = LogQueue::start(Held(told, goes_on)).unwrap();
        queue.write_all(&vec![b'x'; 3 * BYTES_MAX]).unwrap();
        queue.end(Duration::from_secs(60));
        assert_eq!(tells.try_iter().map(|text| text.len()).sum::<usize>(), 3 * BYTES_MAX);
    }
}
