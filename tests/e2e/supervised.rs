//! What systemd is told, through a socket as systemd has it.

use std::path::Path;
use std::time::Duration;

use testkit::{Signal, SluicegateBuilder};
use tokio::net::UnixDatagram;

use crate::gate;

/// systemd's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(path: &Path) -> Self {
        Self(UnixDatagram::bind(path).expect("a socket can be made"))
    }

    /// The next message but the signs of life.
    async fn next(&self) -> String {
        loop {
            let message = self.any().await;
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }

    async fn any(&self) -> String {
        let mut buffer = [0; 4096];
        let received = tokio::time::timeout(Duration::from_secs(20), self.0.recv(&mut buffer)).await;
        let count = received.expect("something is told").expect("the socket works");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }
}

fn under(socket: &Path) -> SluicegateBuilder {
    gate().variable("NOTIFY_SOCKET", socket.to_str().expect("a plain path")).rule("r", "SELECT * FROM \"t\"")
}

#[tokio::test]
async fn it_says_when_it_is_ready_reloads_and_stops() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let socket = folder.path().join("notify");
    let manager = Manager::listen(&socket);
    let mut gate = under(&socket).start().await;
    assert_eq!(manager.next().await, "READY=1\nSTATUS=generation 1, 1 rules");

    gate.process().signal(Signal::HUP);
    let reloading = manager.next().await;
    let lines: Vec<&str> = reloading.lines().collect();
    assert_eq!(lines[0], "RELOADING=1");
    let micros = lines[1].strip_prefix("MONOTONIC_USEC=").and_then(|number| number.parse::<u64>().ok());
    assert!(micros.is_some_and(|micros| micros > 0), "{reloading}");
    assert!(manager.next().await.starts_with("READY=1\n"));

    assert!(gate.terminate().await.success());
    assert!(manager.next().await.starts_with("STOPPING=1\n"));
}

#[tokio::test]
async fn it_gives_signs_of_life_where_they_are_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let socket = folder.path().join("notify");
    let manager = Manager::listen(&socket);
    let _gate = under(&socket).variable("WATCHDOG_USEC", "100000").start().await;
    for _ in 0..3 {
        while manager.any().await != "WATCHDOG=1" {}
    }
}
