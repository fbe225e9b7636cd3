//! What the kernel counts of a process.

use std::collections::HashMap;
use std::fs;

/// The time that a process takes on processors, from a moment on.
#[derive(Debug)]
pub(crate) struct CpuClock {
    pid: u32,
    ticks: u64,
    /// Of each thread, nanoseconds; `None` where the kernel does not count them.
    threads: Option<HashMap<u32, u64>>,
}

impl CpuClock {
    /// Starts now.
    pub(crate) fn start(pid: u32) -> Self {
        Self { pid, ticks: ticks(pid), threads: threads(pid) }
    }

    /// User and system time since the start (seconds).
    ///
    /// The kernel counts whole processes in hundredths and threads in nanoseconds, but forgets those that have ended: where
    /// that shows, the hundredths count.
    pub(crate) fn seconds(&self) -> f64 {
        const TICK: f64 = 0.01;
        let whole = ticks(self.pid).saturating_sub(self.ticks) as f64 * TICK;
        let (Some(before), Some(now)) = (&self.threads, threads(self.pid)) else { return whole };
        let since =
            |(thread, ns): (&u32, &u64)| ns.saturating_sub(before.get(thread).copied().unwrap_or_default());
        let counted = now.iter().map(since).sum::<u64>() as f64 / 1e9;
        if whole > counted + 2.0 * TICK { whole } else { counted }
    }
}

fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // The name, in parentheses, may hold anything.
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let number = |at: usize| behind.split_whitespace().nth(at).and_then(|text| text.parse::<u64>().ok());
    number(11).unwrap_or_default() + number(12).unwrap_or_default()
}

fn threads(pid: u32) -> Option<HashMap<u32, u64>> {
    let mut threads = HashMap::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // One that ends meanwhile has no file any more.
        let Ok(stat) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        let ns = stat.split_whitespace().next()?.parse().ok()?;
        threads.insert(thread.file_name().to_str()?.parse().ok()?, ns);
    }
    (!threads.is_empty()).then_some(threads)
}

/// Resident memory (KiB).
pub(crate) fn rss_kib(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

/// Of the resident memory what is the process's own (KiB): the rest are pages of its program and libraries, of which the
/// kernel maps more or fewer as it has them at hand.
pub(crate) fn anonymous_kib(pid: u32) -> u64 {
    status(pid, "RssAnon:")
}

fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// What this machine is, and how busy it was before anything began.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    format!("{}, {cores} cores, load average {load} at the start", model.trim_start_matches([' ', '\t', ':']))
}

/// Takes as many file handles as the system allows, here and in the processes that are started: every connection is one.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // If it is refused, the job that needs more will say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_this_process() {
        let clock = CpuClock::start(std::process::id());
        let mut sum = 0u64;
        while clock.seconds() == 0.0 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(clock.seconds() > 0.0 && rss_kib(std::process::id()) > 100);
        assert!(anonymous_kib(std::process::id()) < rss_kib(std::process::id()));
    }
}
