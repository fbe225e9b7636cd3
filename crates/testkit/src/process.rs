use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait::wait_for;

pub use rustix::process::Signal;

/// A child process whose output is kept line by line, and which dies with this value.
///
/// When it is dropped in a failing test, it prints the end of what the child said.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// One of [`LISTENS`], [`WAITS`] and [`LEAVES`].
    ear: Arc<AtomicU8>,
    /// Reads the standard error.
    reader: JoinHandle<()>,
}

impl Process {
    /// Starts `command` with nothing on its standard input; `name` stands before its lines in a report.
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `{name}` ({command:?}): {error}"));
        let (lines, ear) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU8::new(LISTENS)));
        collect(child.stdout.take().expect("standard output is piped"), &lines, &ear);
        let reader = collect(child.stderr.take().expect("standard error is piped"), &lines, &ear);
        Self { name: name.to_owned(), child, lines, ear, reader }
    }

    /// What it has said so far, on both of its outputs, in the order in which it arrived.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many lines it has said so far: a mark for [`Process::wait_line_after`].
    pub fn mark(&self) -> usize {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits for a line that contains `text`, and returns the first.
    pub async fn wait_line(&self, text: &str) -> String {
        self.wait_line_after(0, text).await
    }

    /// Waits for a line that contains `text` among those after the first `mark`, and returns it.
    pub async fn wait_line_after(&self, mark: usize, text: &str) -> String {
        let what = format!("`{}` says `{text}`", self.name);
        wait_for(&what, async || {
            let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.iter().skip(mark).find(|line| line.contains(text)).cloned().ok_or_else(String::new)
        })
        .await
    }

    /// Stops reading what it says, as a collector of logs that dies does. The pipe closes with the next line of its standard
    /// error: see [`Process::is_read`].
    pub fn stop_reading(&self) {
        self.ear.store(LEAVES, Ordering::Relaxed);
    }

    /// Reads nothing of what it says from its next line on, and keeps the pipes open: they fill up.
    pub fn hold_reading(&self) {
        self.ear.store(WAITS, Ordering::Relaxed);
    }

    /// Reads again what it says.
    pub fn resume_reading(&self) {
        self.ear.store(LISTENS, Ordering::Relaxed);
    }

    /// Whether its standard error has a reader.
    pub fn is_read(&self) -> bool {
        !self.reader.is_finished()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, without waiting for what it does.
    pub fn signal(&self, signal: Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal)
            .unwrap_or_else(|error| panic!("cannot signal `{}`: {error}", self.name));
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap_or_else(|error| panic!("cannot wait for `{}`: {error}", self.name))
    }

    /// Waits until it has ended.
    pub async fn wait(&mut self) -> ExitStatus {
        let what = format!("`{}` ends", self.name);
        wait_for(&what, async || self.ended().ok_or_else(String::new)).await
    }

    /// Prints what it said last, for a test that fails.
    pub fn report(&self) {
        const LINES: usize = 200;
        let lines = self.lines();
        let skipped = lines.len().saturating_sub(LINES);
        eprintln!("── `{}` said, without the first {skipped} lines:", self.name);
        for line in &lines[skipped..] {
            eprintln!("   {line}");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.report();
        }
    }
}

const LISTENS: u8 = 0;
const WAITS: u8 = 1;
const LEAVES: u8 = 2;

fn collect(
    from: impl Read + Send + 'static,
    into: &Arc<Mutex<Vec<String>>>,
    ear: &Arc<AtomicU8>,
) -> JoinHandle<()> {
    let (into, ear) = (Arc::clone(into), Arc::clone(ear));
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            into.lock().unwrap_or_else(PoisonError::into_inner).push(text);
            line.clear();
            while ear.load(Ordering::Relaxed) == WAITS {
                std::thread::sleep(Duration::from_millis(5));
            }
            if ear.load(Ordering::Relaxed) == LEAVES {
                return;
            }
        }
    })
}
