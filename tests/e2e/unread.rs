//! Nobody reads what is printed: a collector of logs that died, a pipe that was closed.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;
use testkit::{Client, Signal, wait_until};

use crate::{PROGRAM, gate};

#[tokio::test]
async fn a_server_whose_log_nobody_reads_goes_on() {
    let mut gate = gate().rule("r1", "SELECT * FROM \"a\"").start().await;
    gate.process().stop_reading();
    // Something to say, in the middle of which the reader goes.
    gate.process().signal(Signal::HUP);
    wait_until("the reader is gone", async || !gate.process().is_read()).await;

    // Each of these is worth a line of the log, from the thread that reloads and from others.
    gate.write("broken.sql", "SELECT");
    gate.write("r2.sql", "--- actions = [{ function = \"console\" }]\nSELECT * FROM \"b\"");
    wait_until("a file is read", async || gate.http().get("/api/v5/rules/r2").await.status == 200).await;
    let rule = json!({ "id": "r3", "sql": "SELECT * FROM \"c\"", "actions": [] });
    gate.http().post("/api/v5/rules", &rule).await.expect(201);
    gate.http().post("/api/v5/reload", &json!({})).await.expect(200);
    Client::connect(gate.mqtt(), "device").await.publish("b", "x", 1).await;
    gate.wait_metric("/rules/r2", "actions.success", 1).await;
    gate.http().get("/readyz").await.expect(200);
    assert_eq!(gate.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn a_reader_of_the_log_that_hangs_holds_nobody_up() {
    let rule = "--- actions = [{ function = \"console\" }]\nSELECT topic FROM \"t/#\"";
    let mut gate = gate().rule("r1", rule).start().await;
    gate.process().hold_reading();
    let device = Client::connect(gate.mqtt(), "device").await;
    // The console action prints the payload, so that this is more than the pipe and the queue behind it take.
    let payload = "x".repeat(64 << 10);
    for _ in 0..40 {
        device.publish("t/1", &*payload, 1).await;
    }
    gate.wait_metric("/rules/r1", "actions.success", 40).await;
    gate.write("r2.sql", "SELECT * FROM \"b\"");
    wait_until("a file is read", async || gate.http().get("/api/v5/rules/r2").await.status == 200).await;
    gate.process().resume_reading();
    gate.process().wait_line("log lines were left out").await;
    gate.process().hold_reading();
    for _ in 0..40 {
        device.publish("t/1", &*payload, 1).await;
    }
    assert_eq!(gate.terminate().await.code(), Some(0));
}

/// What `sluicegate … | head -1` does to it, and its exit code.
fn cut_short(args: &[&str]) -> (String, Option<i32>, String) {
    let mut child = Command::new(PROGRAM)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut first = String::new();
    let mut reader = BufReader::with_capacity(1, child.stdout.take().expect("it is piped"));
    reader.read_line(&mut first).expect("it prints text");
    drop(reader);
    let output = child.wait_with_output().expect("it ends");
    (first, output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_reader_that_has_seen_enough_changes_no_exit_code() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    // More than fits into a pipe, so that it is still being written when the reader goes.
    for n in 0..500 {
        let rule = "SELECT no_such_function(1), another_one(2) FROM \"plant/+\"\n";
        std::fs::write(folder.path().join(format!("r{n}.sql")), rule).expect("a file can be written");
    }
    let rules = folder.path().to_str().expect("a plain path");
    let (first, code, stderr) = cut_short(&["check", "--rules", rules]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{first}");
}

#[test]
fn complaints_that_nobody_reads_change_no_exit_code() {
    for (args, code) in [
        (&["eval", "SELECT substr(1) FROM \"t\""][..], 1),
        (&["eval", "SELECT 1 FROM \"t\"", "--context", "/no/such/file"], 2),
        (&["functions", "no_such_function"], 1),
        (&["dlq", "show", "1", "--url", "http://127.0.0.1:9"], 1),
        (&["run", "--config", "/no/such/file"], 2),
    ] {
        let mut child =
            Command::new(PROGRAM).args(args).stderr(Stdio::piped()).spawn().expect("the binary runs");
        drop(child.stderr.take());
        assert_eq!(child.wait().expect("it ends").code(), Some(code), "{args:?}");
    }
}
