//! What is acknowledged to publishers is on disk, and stays there over whatever happens to the process or the remote.

use std::time::{Duration, Instant};

use testkit::{Client, Mosquitto, Publish};

use crate::{cloud, gate, number};

const COUNT: usize = 500;

/// The action of [`crate::UPLINK`], with its requests on disk.
const DISK: &str = "[actions.mqtt.uplink]\nconnector = \"cloud\"\n\
     parameters = { topic = \"pub/${topic}\", qos = 1, payload = \"${payload}\" }\n\
     resource_opts = { buffer_mode = \"disk\" }\n";

/// Publishes numbers and waits until all of them are acknowledged.
async fn publish(device: &Client, numbers: std::ops::Range<usize>) {
    let mut receipts = Vec::new();
    for n in numbers {
        let publish =
            Publish { topic: "t/1".into(), payload: n.to_string().into(), qos: 1, ..Publish::default() };
        receipts.push(device.send(publish).await);
    }
    for receipt in receipts {
        receipt.wait(device).await;
    }
}

#[tokio::test]
async fn what_publishers_were_acknowledged_outlives_kill_9_with_the_remote_down() {
    let mut remote = Mosquitto::builder().keeps().start().await;
    let mut gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 2\nproto_ver = \"v5\"", DISK))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::builder("reader").keeps_session().connect(remote.address()).await;
    reader.subscribe("pub/#", 1).await;
    let device = Client::connect(gate.mqtt(), "device").await;
    publish(&device, 0..COUNT).await;
    gate.wait_metric("/actions/mqtt:uplink", "success", COUNT as u64).await;

    remote.stop().await;
    publish(&device, COUNT..2 * COUNT).await;
    gate.kill().await;
    // Twice, since starting must not lose anything either.
    gate.resume().await;
    gate.wait_metric("/actions/mqtt:uplink", "queuing", COUNT as u64).await;
    gate.kill().await;
    gate.resume().await;
    let device = Client::connect(gate.mqtt(), "device").await;
    publish(&device, 2 * COUNT..3 * COUNT).await;
    gate.wait_metric("/actions/mqtt:uplink", "matched", 2 * COUNT as u64).await;

    // With a remote that is down there is nothing to wait for: what waits is on disk.
    let begun = Instant::now();
    assert!(gate.terminate().await.success());
    assert!(begun.elapsed() < Duration::from_secs(5), "the end took {:?}", begun.elapsed());

    remote.resume().await;
    gate.resume().await;
    // Nothing was in flight when it was killed, so nothing comes twice, but for what mosquitto itself sends the reader again.
    for n in 0..3 * COUNT {
        let mut message = reader.next("pub/t/1").await;
        while message.dup && number(&message) < n {
            message = reader.next("pub/t/1").await;
        }
        assert_eq!(number(&message), n);
    }
    gate.wait_metric("/actions/mqtt:uplink", "success", 2 * COUNT as u64).await;
    gate.wait_metric("/actions/mqtt:uplink", "queuing", 0).await;
    reader.nothing("pub/#").await;
}

#[tokio::test]
async fn an_edit_moves_what_waits_and_a_deletion_says_what_it_would_discard() {
    let mut remote = Mosquitto::builder().keeps().start().await;
    let action = |mode: &str| DISK.replace("\"disk\"", &format!("\"{mode}\""));
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", ""))
        .file("uplink.toml", &action("memory"))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::builder("reader").keeps_session().connect(remote.address()).await;
    reader.subscribe("pub/#", 1).await;
    remote.stop().await;
    let device = Client::connect(gate.mqtt(), "device").await;
    for (round, mode) in ["disk", "hybrid", "disk", "memory", "disk"].into_iter().enumerate() {
        publish(&device, round * 20..(round + 1) * 20).await;
        gate.write("uplink.toml", &action(mode));
        let path = "/api/v5/actions/mqtt:uplink";
        testkit::wait_until(&format!("it is {mode}"), async || {
            gate.http().get(path).await.json()["resource_opts"]["buffer_mode"] == mode
        })
        .await;
        gate.wait_metric("/actions/mqtt:uplink", "queuing", (round as u64 + 1) * 20).await;
    }

    // Without a declaration what waits stays on disk, and is found again.
    gate.remove("to_cloud.sql");
    gate.remove("uplink.toml");
    testkit::wait_until("the buffer has no action", async || {
        let buffers = gate.http().get("/api/v5/buffers").await.json();
        buffers[0]["id"] == "mqtt:uplink" && buffers[0]["messages"] == 100
    })
    .await;
    let body = serde_json::json!({
        "type": "mqtt", "name": "uplink", "connector": "cloud",
        "parameters": { "topic": "pub/${topic}", "qos": 1, "payload": "${payload}" },
        "resource_opts": { "buffer_mode": "disk" },
    });
    assert_eq!(gate.http().post("/api/v5/actions", &body).await.status, 201);
    gate.wait_metric("/actions/mqtt:uplink", "queuing", 100).await;
    assert_eq!(gate.http().get("/api/v5/buffers").await.json(), serde_json::json!([]));

    let refused = gate.http().delete("/api/v5/actions/mqtt:uplink").await;
    assert_eq!(refused.status, 400);
    let message = refused.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("100 messages") && message.contains("discard_buffered=true"), "{message}");

    remote.resume().await;
    for n in 0..100 {
        assert_eq!(number(&reader.next("pub/t/1").await), n);
    }
    gate.wait_metric("/actions/mqtt:uplink", "queuing", 0).await;
    remote.stop().await;
    let rule =
        serde_json::json!({ "id": "again", "sql": "SELECT * FROM \"t/#\"", "actions": ["mqtt:uplink"] });
    assert_eq!(gate.http().post("/api/v5/rules", &rule).await.status, 201);
    publish(&device, 0..3).await;
    assert_eq!(gate.http().delete("/api/v5/rules/again").await.status, 204);
    let discarded = gate.http().delete("/api/v5/actions/mqtt:uplink?discard_buffered=true").await;
    assert_eq!(discarded.status, 204, "{discarded}");
    assert_eq!(gate.http().get("/api/v5/buffers").await.json(), serde_json::json!([]));
    assert!(!gate.home().join("data/buffers/mqtt/uplink").exists());
}

/// A message as large as the broker takes, less its head.
fn large(topic: &str, bytes: usize) -> Publish {
    Publish { topic: topic.into(), payload: vec![b'x'; bytes], qos: 1, ..Publish::default() }
}

/// What a process has in memory (KiB).
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn sixty_megabytes_into_a_buffer_of_sixteen_take_no_more_memory_and_every_loss_is_counted() {
    const COUNT: u64 = 120;
    let mut remote = Mosquitto::builder().start().await;
    let action = "[actions.mqtt.uplink]\nconnector = \"cloud\"\n\
         parameters = { topic = \"pub/${topic}\", qos = 1, payload = \"${payload}\" }\n\
         resource_opts = { max_buffer_bytes = \"16MB\", request_ttl = \"infinity\" }\n";
    let gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", action))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    remote.stop().await;
    let before = resident_kib(gate.process().id());
    let device = Client::connect(gate.mqtt(), "device").await;
    for _ in 0..COUNT {
        device.send(large("t/1", 512 << 10)).await.wait(&device).await;
    }
    gate.wait_metric("/actions/mqtt:uplink", "matched", COUNT).await;
    let metrics = gate.http().get("/api/v5/actions/mqtt:uplink/metrics").await.json()["metrics"].clone();
    let number = |name: &str| metrics[name].as_u64().unwrap_or_default();
    assert_eq!(number("queuing") + number("inflight") + number("dropped.queue_full"), COUNT, "{metrics}");
    assert!(number("queuing_bytes") <= 16 << 20 && number("queuing") >= 28, "{metrics}");
    let grown = resident_kib(gate.process().id()).saturating_sub(before);
    assert!(grown < 48 << 10, "{grown} KiB more than before");
}

/// A disk of a few megabytes; gone with this value.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// `None` where the system does not let us.
    fn mount(path: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&path).ok()?;
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
            .arg(&path)
            .output();
        mount.is_ok_and(|mount| mount.status.success()).then_some(Self(path))
    }

    /// Mounts it anew with these options.
    fn remount(&self, options: &str) {
        let mount = std::process::Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0)
            .output();
        assert!(
            mount.is_ok_and(|mount| mount.status.success()),
            "the disk cannot be mounted with `{options}`"
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_costs_nothing_that_was_acknowledged() {
    const COUNT: usize = 40;
    /// These go one by one: what comes together is written together, and nothing of it where it does not fit.
    const SURE: usize = 3;
    let mut remote = Mosquitto::builder().keeps().line("message_size_limit 0").start().await;
    let mut gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1\nproto_ver = \"v5\"", DISK))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::builder("reader").keeps_session().connect(remote.address()).await;
    reader.subscribe("pub/#", 1).await;
    assert!(gate.terminate().await.success());
    let Some(disk) = SmallDisk::mount(gate.home().join("data/buffers")) else {
        eprintln!("skipped: mounting a small disk is not permitted here");
        return;
    };
    remote.stop().await;
    gate.resume().await;
    let device = Client::connect(gate.mqtt(), "device").await;
    let mut receipts = Vec::new();
    for n in 0..COUNT {
        let mut publish = large("t/1", 200 << 10);
        publish.payload = format!("{n} {}", "x".repeat(200 << 10)).into();
        let receipt = device.send(publish).await;
        if n < SURE {
            receipt.wait(&device).await;
        } else {
            receipts.push(receipt);
        }
    }
    testkit::wait_until("the full disk shows", async || {
        let action = gate.http().get("/api/v5/actions/mqtt:uplink").await.json();
        action["status"] == "disconnected"
            && action["status_reason"].as_str().is_some_and(|words| words.contains("No space left"))
    })
    .await;
    let stored = SURE + receipts.iter_mut().filter_map(|receipt| receipt.came().then_some(())).count();
    assert!(stored < COUNT, "{stored} are acknowledged");
    gate.wait_metric("/actions/mqtt:uplink", "queuing", COUNT as u64).await;

    // What was acknowledged survives; the others were told nothing.
    gate.kill().await;
    remote.resume().await;
    gate.resume().await;
    for n in 0..stored {
        let message = reader.next("pub/t/1").await;
        let text = String::from_utf8_lossy(&message.payload).into_owned();
        assert_eq!(text.split(' ').next(), Some(n.to_string().as_str()));
    }
    gate.wait_status("/actions/mqtt:uplink", "connected").await;
    gate.wait_metric("/actions/mqtt:uplink", "queuing", 0).await;
    drop(disk);
}

#[tokio::test]
async fn a_read_only_disk_is_said_and_what_comes_is_held_until_it_is_delivered() {
    let mut remote = Mosquitto::builder().keeps().start().await;
    let mut gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1\nproto_ver = \"v5\"", DISK))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::builder("reader").keeps_session().connect(remote.address()).await;
    reader.subscribe("pub/#", 1).await;
    assert!(gate.terminate().await.success());
    let Some(disk) = SmallDisk::mount(gate.home().join("data/buffers")) else {
        eprintln!("skipped: mounting a small disk is not permitted here");
        return;
    };
    disk.remount("ro");
    remote.stop().await;
    gate.resume().await;
    testkit::wait_until("the read-only disk shows", async || {
        let action = gate.http().get("/api/v5/actions/mqtt:uplink").await.json();
        action["status"] == "disconnected"
            && action["status_reason"].as_str().is_some_and(|words| words.contains("Read-only file system"))
    })
    .await;
    let device = Client::connect(gate.mqtt(), "device").await;
    let mut receipts = Vec::new();
    for n in 0..20 {
        let publish =
            Publish { topic: "t/1".into(), payload: n.to_string().into(), qos: 1, ..Publish::default() };
        receipts.push(device.send(publish).await);
    }
    gate.wait_metric("/actions/mqtt:uplink", "queuing", 20).await;
    assert!(
        receipts.iter_mut().all(|receipt| !receipt.came()),
        "nothing is safe, so nothing is acknowledged"
    );
    remote.resume().await;
    for (n, receipt) in receipts.into_iter().enumerate() {
        assert_eq!(number(&reader.next("pub/t/1").await), n);
        receipt.wait(&device).await;
    }

    // Once the disk takes something, it is put to use again.
    disk.remount("rw");
    gate.wait_status("/actions/mqtt:uplink", "connected").await;
    remote.stop().await;
    publish(&device, 20..40).await;
    gate.kill().await;
    remote.resume().await;
    gate.resume().await;
    for n in 20..40 {
        assert_eq!(number(&reader.next("pub/t/1").await), n);
    }
}
