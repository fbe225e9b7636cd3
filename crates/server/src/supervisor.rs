//! What systemd is told (sd_notify(3)): ready, reloading, stopping, alive.
//!
//! A few datagrams to the socket that `NOTIFY_SOCKET` names; without it, nothing. Written here rather than taken from a
//! crate: it is one `sendto`, and the crates for it come with a C library or with file handles that we do not store.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// Whoever started us and wants to know how we are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supervisor(Option<Arc<Channel>>);

#[derive(Debug)]
struct Channel {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Supervisor {
    /// The one that the environment names, if there is one.
    pub(crate) fn from_env() -> Self {
        let Some(path) = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else {
            return Self::default();
        };
        match Channel::open(path.as_bytes()) {
            Ok(channel) => Self(Some(Arc::new(channel))),
            Err(error) => {
                tracing::warn!(%error, "`NOTIFY_SOCKET` cannot be used, so systemd is told nothing");
                Self::default()
            }
        }
    }

    /// Everything is loaded and bound.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// A reload that was asked for has begun; [`Supervisor::ready`] ends it.
    pub(crate) fn reloading(&self) {
        if self.0.is_some() {
            self.tell(&format!(
                "RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reading the files anew",
                monotonic_usec()
            ));
        }
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping");
    }

    /// Says that we are alive, twice as often as is asked for, as long as the returned task runs. Told by the same threads
    /// that serve: when those hang, nobody says so any more.
    pub(crate) fn watch(&self) -> Option<tokio::task::AbortHandle> {
        let every = watchdog_interval(
            std::env::var("WATCHDOG_USEC").ok().as_deref(),
            std::env::var("WATCHDOG_PID").ok().as_deref(),
            std::process::id(),
        )?;
        self.0.as_ref()?;
        let supervisor = self.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every);
            loop {
                ticks.tick().await;
                supervisor.tell("WATCHDOG=1");
            }
        });
        Some(task.abort_handle())
    }

    /// Nobody there to hear it is no reason to do anything else than before.
    fn tell(&self, text: &str) {
        if let Some(channel) = &self.0
            && let Err(error) = channel.socket.send_to_addr(text.as_bytes(), &channel.address)
        {
            tracing::debug!(%error, "systemd could not be told");
        }
    }
}

impl Channel {
    /// A path, or a name in the abstract namespace, which is written with `@`.
    fn open(path: &[u8]) -> std::io::Result<Self> {
        let address = match path {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }
}

/// Half of what `WATCHDOG_USEC` allows, if it is meant for this process.
fn watchdog_interval(micros: Option<&str>, process: Option<&str>, own: u32) -> Option<Duration> {
    if process.is_some_and(|process| process.parse() != Ok(own)) {
        return None;
    }
    let micros: u64 = micros?.parse().ok()?;
    (micros > 1).then(|| Duration::from_micros(micros / 2))
}

/// systemd compares this with its own clock, to tell an old answer from a new one.
fn monotonic_usec() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_it_asks() {
        let second = Some(Duration::from_millis(500));
        assert_eq!(watchdog_interval(Some("1000000"), None, 7), second);
        assert_eq!(watchdog_interval(Some("1000000"), Some("7"), 7), second);
        for (micros, process) in
            [(Some("1000000"), Some("8")), (None, None), (Some("x"), None), (Some("0"), None)]
        {
            assert_eq!(watchdog_interval(micros, process, 7), None, "{micros:?} {process:?}");
        }
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        Supervisor::default().ready("well");
        let gone = Channel::open(b"/no/such/socket").map(|channel| Supervisor(Some(Arc::new(channel))));
        gone.unwrap_or_default().stopping();
    }
}
