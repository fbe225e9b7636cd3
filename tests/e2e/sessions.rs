//! Sessions and retained messages outlive the server, however it ends.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use testkit::{Client, Publish, wait_until};

use crate::{gate, number};

const COUNT: usize = 200;

fn numbered(n: usize) -> Publish {
    Publish { topic: "t/1".into(), payload: n.to_string().into(), qos: 1, ..Publish::default() }
}

#[tokio::test]
async fn what_was_acknowledged_for_a_kept_session_survives_kill_9() {
    let mut gate = gate().start().await;
    let reader = Client::builder("reader").keeps_session().connect(gate.mqtt()).await;
    reader.subscribe("t/#", 1).await;
    drop(reader);
    let device = Client::connect(gate.mqtt(), "device").await;
    let retained =
        Publish { topic: "state".into(), payload: b"on".to_vec(), qos: 1, retain: true, properties: None };
    device.send(retained).await.wait(&device).await;
    let mut receipts = Vec::new();
    for n in 0..COUNT {
        receipts.push(device.send(numbered(n)).await);
    }
    for receipt in receipts {
        receipt.wait(&device).await;
    }
    // The last acknowledgement has come: nothing more may be needed.
    gate.kill().await;
    drop(device);
    gate.resume().await;

    let reader = Client::builder("reader").keeps_session().connect(gate.mqtt()).await;
    let numbers: Vec<usize> = reader.take("t/1", COUNT).await.iter().map(number).collect();
    assert!(numbers.iter().copied().eq(0..COUNT), "{numbers:?}");
    reader.subscribe("state", 1).await;
    assert_eq!(reader.next("state").await.payload, b"on");
    reader.nothing("t/#").await;
}

/// A publisher of QoS 2 and MQTT 3.1.1 that keeps its session and does not answer by itself.
struct Device(TcpStream);

impl Device {
    /// Connects, and says whether its session was there.
    fn connect(address: SocketAddr) -> (Self, bool) {
        let mut device = Self(TcpStream::connect(address).expect("the server listens"));
        device.0.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
        device.send(b"\x10\x12\0\x04MQTT\x04\0\0\0\0\x06device");
        let [first, _, present, code] = device.read();
        assert_eq!((first, code), (0x20, 0));
        (device, present == 1)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the server reads");
    }

    fn publish(&mut self, id: u16, dup: bool) {
        let payload = format!("{id:05}");
        let mut bytes = vec![0x34 | u8::from(dup) << 3, 12, 0, 3, b't', b'/', b'1'];
        bytes.extend(id.to_be_bytes());
        bytes.extend(payload.as_bytes());
        self.send(&bytes);
    }

    fn release(&mut self, id: u16) {
        let [high, low] = id.to_be_bytes();
        self.send(&[0x62, 2, high, low]);
    }

    /// The next packet, all of which have four bytes.
    fn read(&mut self) -> [u8; 4] {
        let mut bytes = [0; 4];
        self.0.read_exact(&mut bytes).expect("the server answers");
        bytes
    }
}

#[tokio::test]
async fn qos_2_is_exactly_once_over_kill_9() {
    const COUNT: u16 = 300;
    let mut gate = gate().start().await;
    let reader = Client::builder("reader").keeps_session().connect(gate.mqtt()).await;
    reader.subscribe("t/#", 2).await;
    drop(reader);
    let (mut device, _) = Device::connect(gate.mqtt());
    (1..=COUNT).for_each(|id| device.publish(id, false));
    let mut received = BTreeSet::new();
    while received.len() < usize::from(COUNT) / 3 {
        let [first, _, high, low] = device.read();
        assert_eq!(first, 0x50);
        received.insert(u16::from_be_bytes([high, low]));
    }
    // Of some of the others it has been heard and stored, and the answer is not read any more.
    gate.kill().await;
    gate.resume().await;

    let (mut device, was_there) = Device::connect(gate.mqtt());
    assert!(was_there);
    for id in 1..=COUNT {
        if received.contains(&id) {
            device.release(id);
        } else {
            device.publish(id, true);
        }
    }
    let mut done = 0;
    while done < COUNT {
        let [first, _, high, low] = device.read();
        match first {
            0x50 => device.release(u16::from_be_bytes([high, low])),
            0x70 => done += 1,
            other => panic!("{other:x}"),
        }
    }
    let reader = Client::builder("reader").keeps_session().connect(gate.mqtt()).await;
    let numbers: Vec<usize> = reader.take("t/1", COUNT.into()).await.iter().map(number).collect();
    assert!(numbers.iter().copied().eq(1..=usize::from(COUNT)), "{numbers:?}");
    reader.nothing("t/#").await;
}

#[tokio::test]
async fn a_log_of_another_version_refuses_the_start_with_a_way_out() {
    let mut gate = gate().start().await;
    assert!(gate.terminate().await.success());
    let log = gate.home().join("data/broker/00000001.log");
    let mut bytes = std::fs::read(&log).expect("the log can be read");
    bytes[8] = 77;
    std::fs::write(&log, bytes).expect("the log can be written");
    let output = std::process::Command::new(crate::PROGRAM)
        .current_dir(gate.home())
        .args(["run", "--mqtt-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
        .output()
        .expect("the binary runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("has format 77") && said.contains("move the file away"), "{said}");
}

#[tokio::test]
async fn without_persistence_nothing_is_written() {
    let mut gate = gate().config("[mqtt.persistence]\nenable = false\n").start().await;
    let reader = Client::builder("reader").keeps_session().connect(gate.mqtt()).await;
    reader.subscribe("t/#", 1).await;
    drop(reader);
    assert!(!gate.home().join("data/broker").exists());
    assert!(gate.terminate().await.success());
}

#[tokio::test]
async fn rules_see_sys_topics_only_when_they_name_them_and_are_let() {
    let gate = gate()
        .config("[mqtt]\nsys_msg_interval = \"100ms\"\n")
        .rule("all", "SELECT * FROM \"#\"")
        .rule("sys", "SELECT * FROM \"$SYS/brokers/+/uptime\"")
        .start()
        .await;
    let let_see = serde_json::json!({ "ignore_sys_message": false });
    gate.http().put("/api/v5/rule_engine", &let_see).await.expect(200);
    wait_until("the rule that names them has seen some", async || {
        let metrics = gate.http().get("/api/v5/rules/sys/metrics").await.json();
        metrics["metrics"]["matched"].as_u64() > Some(2)
    })
    .await;
    let client = Client::connect(gate.mqtt(), "c").await;
    client.publish("plain", "x", 1).await;
    gate.wait_metric("/rules/all", "matched", 1).await;
}
