//! How long the server takes from its start until it tells systemd that it is ready.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Sluicegate, SluicegateBuilder};

use crate::plan::Plan;
use crate::rules::elsewhere;
use crate::statistics::median;

/// The rules of the larger start.
const RULES: usize = 3_000;
const STARTS: usize = 5;

pub(crate) async fn measure(plan: &Plan) -> Value {
    let none = || Sluicegate::builder(&plan.programs.sluicegate);
    let with_rules = (0..RULES).fold(none(), |gate, at| gate.rule(&format!("r{at}"), &elsewhere(at)));
    json!({
        "without_rules_ms": starts(none()).await,
        "rules": RULES,
        "with_rules_ms": starts(with_rules).await,
    })
}

/// The median of several starts in one folder (milliseconds).
async fn starts(builder: SluicegateBuilder) -> f64 {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket can be bound");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let mut gate = builder.variable("NOTIFY_SOCKET", text(&path)).start().await;
    ready_at(&socket);
    let mut times = Vec::new();
    for _ in 0..STARTS {
        gate.terminate().await;
        let socket = socket.try_clone().expect("a socket");
        let heard = std::thread::spawn(move || ready_at(&socket));
        let began = Instant::now();
        gate.resume().await;
        let ready = heard.join().expect("the server tells that it is ready");
        times.push(ready.duration_since(began).as_secs_f64() * 1e3);
    }
    eprintln!("  {times:.1?} ms");
    median(times)
}

/// Waits for the datagram that says so.
fn ready_at(socket: &UnixDatagram) -> Instant {
    let mut told = [0; 1024];
    loop {
        let length = socket.recv(&mut told).expect("the server tells that it is ready");
        if told[..length].starts_with(b"READY=1") {
            return Instant::now();
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}
