//! How fast a backlog on disk goes out once its remote is there.

use std::time::{Duration, Instant};

use mqtt::QoS;
use serde_json::{Value, json};
use testkit::{Sluicegate, free_port};

use crate::load::Load;
use crate::plan::Plan;
use crate::process::CpuClock;
use crate::server::{Far, connector, out_action, out_rule, remote};

const BACKLOG: u64 = 1_000_000;
/// A drain that makes no progress for so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn measure(plan: &Plan) -> Value {
    json!({
        "messages": plan.scaled(BACKLOG),
        "sluicegate": drain(plan, Far::Sluicegate).await,
        "mosquitto": drain(plan, Far::Mosquitto).await,
    })
}

async fn drain(plan: &Plan, far: Far) -> Value {
    let nobody = ([127, 0, 0, 1], free_port()).into();
    let action = out_action("resource_opts = { buffer_mode = \"disk\", max_buffer_bytes = \"4GB\" }");
    let gate = Sluicegate::builder(&plan.programs.sluicegate)
        .config("[rules]\nwatch = false\n")
        .file("remote.toml", &connector(nobody))
        .file("out.toml", &action)
        .rule("out", &out_rule())
        .start()
        .await;
    let mut load = Load::new(gate.mqtt(), gate.mqtt());
    (load.qos, load.messages, load.subscribers) = (QoS::AtLeastOnce, plan.scaled(BACKLOG), 0);
    let filled = load.run(Some(gate.process().id())).await;
    eprintln!(
        "  {:.0}/s into the buffer, {:.2} CPU s a million",
        filled.rate(),
        cpu(filled.cpu_per_million())
    );
    gate.wait_metric("/actions/mqtt:out", "queuing", load.messages).await;

    let (there, _remote) = remote(far, &plan.programs).await;
    gate.write("remote.toml", &connector(there));
    let (clock, began) = (CpuClock::start(gate.process().id()), Instant::now());
    gate.http().post("/api/v5/reload", &json!({})).await.expect(200);
    let (mut done, mut last) = (0, Instant::now());
    while done < load.messages {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let answer = gate.http().get("/api/v5/actions/mqtt:out/metrics").await;
        let success = answer.at("/metrics/success").as_u64().unwrap_or_default();
        if success > done {
            (done, last) = (success, Instant::now());
        }
        assert!(last.elapsed() < PATIENCE, "the drain stands still: {answer}");
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), clock.seconds());
    let rate = load.messages as f64 / seconds;
    eprintln!("  {rate:.0}/s out of it, {:.2} CPU s a million", cpu / load.messages as f64 * 1e6);
    json!({
        "messages_per_second": rate,
        "cpu_seconds_per_million": cpu / load.messages as f64 * 1e6,
        "fill_per_second": filled.rate(),
    })
}

fn cpu(per_million: Option<f64>) -> f64 {
    per_million.unwrap_or_default()
}
