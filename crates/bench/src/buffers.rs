//! The way to a remote with each kind of buffer.

use serde_json::{Value, json};

use crate::load::{Load, Report};
use crate::plan::Plan;
use crate::server::{Far, Server, Way};
use crate::statistics::{median, paired};

const MESSAGES: u64 = 200_000;

/// Each kind, as an action declares it.
const KINDS: &[(&str, &str)] = &[
    ("memory", ""),
    ("disk", "resource_opts = { buffer_mode = \"disk\" }"),
    ("disk_always", "resource_opts = { buffer_mode = \"disk\", fsync = \"always\" }"),
];

pub(crate) async fn measure(plan: &Plan) -> Value {
    let mut cpu = vec![Vec::new(); KINDS.len()];
    let mut rate = cpu.clone();
    for _ in 0..plan.rounds {
        for (at, (name, options)) in KINDS.iter().enumerate() {
            let server = Server::ours(Way::Out(Far::Sluicegate), &plan.programs, options).await;
            let mut load = Load::new(server.publish_at, server.subscribe_at);
            (load.qos, load.messages) = (mqtt::QoS::AtLeastOnce, plan.scaled(MESSAGES));
            let report: Report = load.run(Some(server.pid)).await;
            eprintln!("  {name}: {report}");
            assert_eq!((report.lost, report.disordered), (0, 0), "what is lost or disordered is no result");
            cpu[at].push(report.cpu_per_million().unwrap_or_default());
            rate[at].push(report.rate());
        }
    }
    let mut result = json!({ "disk_to_memory": paired(&cpu[1], &cpu[0], |disk, memory| disk / memory) });
    for (at, (name, _)) in KINDS.iter().enumerate() {
        result[*name] = json!({
            "cpu_seconds_per_million": median(cpu[at].iter().copied()),
            "messages_per_second": median(rate[at].iter().copied()),
        });
    }
    result
}
