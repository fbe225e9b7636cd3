//! SIGTERM and SIGHUP.

use std::time::{Duration, Instant};

use testkit::{Client, Mosquitto, Process, Publish, Signal, wait_until};

use crate::{UPLINK, cloud, gate, number};

/// What the server gives itself to end, and a little more.
const SHUTDOWN_MAX: Duration = Duration::from_secs(12);

#[tokio::test]
async fn sigterm_delivers_what_was_taken_and_ends_well() {
    let remote = Mosquitto::start().await;
    let mut gate = gate()
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", UPLINK))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::connect(remote.address(), "reader").await;
    reader.subscribe("pub/#", 1).await;

    const COUNT: usize = 500;
    let device = Client::connect(gate.mqtt(), "device").await;
    let mut receipts = Vec::new();
    for n in 0..COUNT {
        let publish =
            Publish { topic: "t/1".into(), payload: n.to_string().into(), qos: 1, ..Publish::default() };
        receipts.push(device.send(publish).await);
    }
    for receipt in receipts {
        receipt.wait(&device).await;
    }
    let start = Instant::now();
    let status = gate.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(start.elapsed() < SHUTDOWN_MAX, "it took {:?}", start.elapsed());

    let numbers: Vec<usize> = reader.take("pub/t/1", COUNT).await.iter().map(number).collect();
    assert!(numbers.iter().copied().eq(0..COUNT), "{numbers:?}");
    reader.nothing("pub/#").await;
}

#[tokio::test]
async fn sigterm_does_not_wait_for_a_remote_for_ever() {
    let mut remote = Mosquitto::start().await;
    remote.stop().await;
    let mut gate = gate()
        .config("shutdown_timeout = \"1s\"\n")
        .file("cloud.toml", &cloud(&remote, "pool_size = 1", UPLINK))
        .rule("to_cloud", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"")
        .start()
        .await;
    let device = Client::connect(gate.mqtt(), "device").await;
    device.publish("t/1", "x", 1).await;
    let start = Instant::now();
    assert_eq!(gate.terminate().await.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
}

#[tokio::test]
async fn sighup_reloads_at_once() {
    let gate = gate().config("[rules]\nwatch = false\n").rule("r1", "SELECT * FROM \"a\"").start().await;
    gate.write("r2.sql", "SELECT * FROM \"b\"");
    gate.http().get("/api/v5/rules/r2").await.expect(404);
    gate.process().signal(Signal::HUP);
    wait_until("the new rule is there", async || gate.http().get("/api/v5/rules/r2").await.status == 200)
        .await;
    gate.http().get("/api/v5/rules/r1").await.expect(200);
}

#[tokio::test]
async fn two_servers_do_not_share_a_data_folder() {
    let gate = gate().start().await;
    let output = std::process::Command::new(crate::PROGRAM)
        .current_dir(gate.home())
        .args(["run", "--mqtt-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
        .output()
        .expect("the binary runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("data"), "{said}");
}

/// Whether the process has a handler for a signal, by what the system says of it.
fn hears(process: &Process, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    caught >> (signal.as_raw() - 1) & 1 == 1
}

#[tokio::test]
async fn signals_while_it_starts_end_nothing_or_end_it_in_order() {
    let home = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(home.path().join("rules")).expect("a folder can be made");
    for at in 0..300 {
        let rule = home.path().join(format!("rules/r{at}.sql"));
        std::fs::write(rule, format!("SELECT * FROM \"t/{at}\"")).expect("a rule can be written");
    }
    let start = || {
        let args = ["run", "--mqtt-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
        Process::spawn(
            "sluicegate",
            std::process::Command::new(crate::PROGRAM).current_dir(home.path()).args(args),
        )
    };
    let mut process = start();
    wait_until("it listens for signals", async || hears(&process, Signal::HUP)).await;
    process.signal(Signal::HUP);
    process.wait_line("SIGHUP: reading the files anew").await;
    process.wait_line("reloaded").await;
    process.signal(Signal::TERM);
    assert_eq!(process.wait().await.code(), Some(0));
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = start();
        wait_until("it listens for signals", async || hears(&process, Signal::INT)).await;
        process.signal(signal);
        assert_eq!(process.wait().await.code(), Some(0), "{signal:?}");
    }
}
