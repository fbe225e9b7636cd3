//! A client that never reads costs its bound, and nobody else anything.

use std::io::Write as _;
use std::net::TcpStream;

use testkit::{Client, Publish};

use crate::gate;

/// CONNECT of MQTT 3.1.1 with this id, and SUBSCRIBE to `t`, as bytes.
fn connect_and_subscribe(id: &str) -> Vec<u8> {
    let mut bytes =
        vec![0x10, 12 + id.len() as u8, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, id.len() as u8];
    bytes.extend(id.as_bytes());
    bytes.extend([0x82, 6, 0, 1, 0, 1, b't', 1]);
    bytes
}

/// Bytes of the process's memory that are in use.
fn resident(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says so");
    let kib: usize = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib * 1024
}

#[tokio::test]
async fn subscribers_that_never_read_cost_their_bound_and_nobody_else_anything() {
    const STUCK: usize = 4;
    const BOUND: usize = 4 << 20;
    let gate = gate().config("[mqtt]\nmax_mqueue_bytes = \"4MB\"\n").start().await;
    let mut stuck = Vec::new();
    for number in 0..STUCK {
        let mut stream = TcpStream::connect(gate.mqtt()).expect("the server listens");
        stream.write_all(&connect_and_subscribe(&format!("stuck{number}"))).expect("the server reads");
        stuck.push(stream);
    }
    let fine = Client::connect(gate.mqtt(), "fine").await;
    fine.subscribe("t", 1).await;
    let device = Client::connect(gate.mqtt(), "device").await;
    let before = resident(gate.process().id());
    // 100 MB for each of them.
    for _ in 0..100 {
        let mut receipts = Vec::new();
        for _ in 0..10 {
            let publish =
                Publish { topic: "t".into(), payload: vec![b'x'; 100_000], qos: 1, ..Publish::default() };
            receipts.push(device.send(publish).await);
        }
        for receipt in receipts {
            receipt.wait(&device).await;
        }
        assert_eq!(fine.take("t", 10).await.len(), 10);
    }
    let grown = resident(gate.process().id()).saturating_sub(before);
    // What several hold is shared, and the allocator keeps some of what passed through.
    assert!(grown < STUCK * BOUND + (24 << 20), "{} MB", grown >> 20);
    drop(stuck);
}
