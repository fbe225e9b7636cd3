//! Every message is accounted for, at every reading, while messages flow and the remote comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use testkit::{Client, Mosquitto, Publish, Sluicegate, wait_until};

use crate::{cloud, gate};

const PUBLISHERS: usize = 3;
const EACH: usize = 400;

/// A small queue whose entries soon expire: everything that can become of a request does.
const UPLINK: &str = r#"
[actions.mqtt.uplink]
connector = "cloud"
parameters = { topic = "pub/${topic}", payload = "${.}" }
resource_opts = { max_buffer_bytes = "16KB", request_ttl = "300ms" }
"#;

/// A third is let through, a third filtered out, a third is no number and cannot be evaluated.
const RULE: &str =
    "--- actions = [\"mqtt:uplink\"]\nSELECT payload.n + 1 AS n FROM \"load/#\" WHERE payload.n + 0 >= 0";

async fn load(gate: &Sluicegate, id: usize) {
    let device = Client::connect(gate.mqtt(), &format!("device{id}")).await;
    for n in 0..EACH {
        let payload = match n % 3 {
            0 => format!("{{\"n\": {n}}}"),
            1 => format!("{{\"n\": -{n}}}"),
            _ => "{\"n\": {}}".to_owned(),
        };
        let publish =
            Publish { topic: format!("load/{id}"), payload: payload.into(), qos: 1, ..Publish::default() };
        device.send(publish).await.wait(&device).await;
    }
}

fn count(metrics: &Value, name: &str) -> u64 {
    metrics[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {metrics}"))
}

fn check_rule(metrics: &Value) {
    let count = |name| count(metrics, name);
    assert_eq!(count("matched"), count("passed") + count("failed"), "{metrics}");
    assert_eq!(count("failed"), count("failed.exception") + count("failed.no_result"), "{metrics}");
    assert_eq!(count("filtered"), count("failed.no_result"), "{metrics}");
    let actions = count("actions.success") + count("actions.failed") + count("actions.discarded");
    assert_eq!(count("actions.total"), actions, "{metrics}");
}

fn check_action(metrics: &Value) {
    let count = |name: &str| count(metrics, name);
    let settled = count("success") + count("failed") + count("dropped");
    assert_eq!(count("matched"), settled + count("queuing") + count("inflight"), "{metrics}");
    let reasons = ["expired", "queue_full", "resource_not_found", "resource_stopped", "other"];
    let dropped: u64 = reasons.iter().map(|reason| count(&format!("dropped.{reason}"))).sum();
    assert_eq!(count("dropped"), dropped, "{metrics}");
}

/// The same on the page for Prometheus, which is another reading.
fn check_page(page: &str) {
    let value = |series: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse::<u64>().ok()).unwrap_or_else(|| panic!("no `{series}` in\n{page}"))
    };
    let rule = |name: &str| value(&format!("sluicegate_rule_{name}"));
    assert_eq!(
        rule("matched_total{rule=\"load\"}"),
        rule("passed_total{rule=\"load\"}")
            + rule("failed_total{rule=\"load\",reason=\"exception\"}")
            + rule("failed_total{rule=\"load\",reason=\"no_result\"}"),
    );
    let action = |name: &str| value(&format!("sluicegate_action_{name}{{action=\"mqtt:uplink\"}}"));
    let dropped: u64 = page
        .lines()
        .filter(|line| line.starts_with("sluicegate_action_dropped_total{"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum();
    let settled = action("success_total") + action("failed_total") + dropped;
    assert_eq!(action("matched_total"), settled + action("queuing") + action("inflight"));
}

async fn read(gate: &Sluicegate) -> (Value, Value) {
    let metrics = async |path: &str| gate.http().get(path).await.expect(200).json()["metrics"].clone();
    let rule = metrics("/api/v5/rules/load/metrics").await;
    let action = metrics("/api/v5/actions/mqtt:uplink/metrics").await;
    check_rule(&rule);
    check_action(&action);
    check_page(&gate.http().get("/metrics").await.expect(200).body);
    (rule, action)
}

#[tokio::test]
async fn every_message_is_accounted_for_at_every_reading() {
    let mut remote = Mosquitto::start().await;
    let gate =
        gate().file("cloud.toml", &cloud(&remote, "pool_size = 2", UPLINK)).rule("load", RULE).start().await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;

    let done = Arc::new(AtomicBool::new(false));
    let publishing = async {
        let all = (0..PUBLISHERS).map(|id| load(&gate, id));
        let mut all: Vec<_> = all.map(Box::pin).collect();
        for one in &mut all {
            one.await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let restarting = async {
        gate.wait_metric_at_least("/actions/mqtt:uplink", "success", 20).await;
        remote.stop().await;
        gate.wait_metric_at_least("/actions/mqtt:uplink", "dropped", 1).await;
        remote.resume().await;
    };
    let reading = async {
        let mut readings = 0;
        while !done.load(Ordering::Relaxed) {
            read(&gate).await;
            readings += 1;
        }
        readings
    };
    let ((), (), readings) = tokio::join!(publishing, restarting, reading);
    assert!(readings > 10, "only {readings} readings");

    let sent = (PUBLISHERS * EACH) as u64;
    wait_until("everything is settled", async || {
        let (_, action) = read(&gate).await;
        count(&action, "queuing") + count(&action, "inflight") == 0
    })
    .await;
    let (rule, action) = read(&gate).await;
    assert_eq!(count(&rule, "matched"), sent);
    let third = |n: usize| (PUBLISHERS * (0..EACH).filter(|i| i % 3 == n).count()) as u64;
    assert_eq!((count(&rule, "passed"), count(&rule, "filtered")), (third(0), third(1)));
    assert_eq!(count(&rule, "failed.exception"), third(2));
    assert_eq!(count(&action, "matched"), third(0));
    assert!(count(&action, "success") > 0 && count(&action, "dropped") > 0, "{action}");
}
