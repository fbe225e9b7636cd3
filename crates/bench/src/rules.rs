//! What rules cost that let nothing through, and what rules on other topics cost.

use serde_json::{Value, json};
use testkit::{Sluicegate, SluicegateBuilder};

use crate::load::Load;
use crate::plan::Plan;
use crate::process::rss_kib;
use crate::server::Server;
use crate::statistics::{median, paired};

/// The rounds, more than elsewhere: what is looked for is a small difference of two costs.
const ROUNDS: usize = 9;
const MESSAGES: u64 = 1_000_000;
/// Of each of the four publishers: together few enough for a look-up to be remembered, as it is on most plants.
const TOPICS: u64 = 100;

/// A rule that reads every message and lets none pass.
pub(crate) fn filter(at: usize) -> String {
    format!("SELECT payload.temp AS t FROM \"load/#\" WHERE payload.temp > {}", 100 + at)
}

/// A rule on topics that nobody publishes to.
pub(crate) fn elsewhere(at: usize) -> String {
    format!("SELECT payload.temp AS t FROM \"plant/{at}/+\" WHERE payload.temp > 25")
}

fn many(none: SluicegateBuilder, count: usize, text: fn(usize) -> String) -> SluicegateBuilder {
    (0..count).fold(none, |gate, at| gate.rule(&format!("r{at}"), &text(at)))
}

/// CPU seconds a million messages from publisher to subscriber at QoS 0, and memory, with each set of rules.
pub(crate) async fn measure(plan: &Plan) -> Value {
    let none = || Sluicegate::builder(&plan.programs.sluicegate);
    let cases = [
        ("no rule", none()),
        ("1 that filters everything out", many(none(), 1, filter)),
        ("100 that filter everything out", many(none(), 100, filter)),
        ("1, and 10,000 on other topics", many(none(), 10_000, elsewhere).rule("one", &filter(0))),
        ("1, and 100,000 on other topics", many(none(), 100_000, elsewhere).rule("one", &filter(0))),
    ];
    let (mut servers, mut rss) = (Vec::new(), Vec::new());
    // All of them at once, since those that are not asked cost nothing: so each is started only once.
    for (name, builder) in cases.clone() {
        let server = Server::with_rules(builder).await;
        rss.push(rss_kib(server.pid));
        eprintln!("  {name}: {} MiB", rss[rss.len() - 1] / 1024);
        servers.push(server);
    }
    let mut cpu = vec![Vec::new(); cases.len()];
    let rounds = if plan.rounds > 1 { ROUNDS } else { 3 };
    for _ in 0..rounds {
        for (at, server) in servers.iter().enumerate() {
            let mut load = Load::new(server.publish_at, server.subscribe_at);
            (load.messages, load.topics) = (plan.scaled(MESSAGES).max(200_000), TOPICS);
            let report = load.run(Some(server.pid)).await;
            eprintln!("  {}: {report}", cases[at].0);
            cpu[at].push(report.cpu_per_million().unwrap_or_default());
        }
    }
    let rows = cases.iter().zip(&cpu).zip(&rss).map(|(((name, _), cpu), rss)| {
        json!({ "rules": name, "cpu_seconds_per_million": median(cpu.iter().copied()), "rss_kib": rss })
    });
    let [none, one, hundred, ten_thousand, hundred_thousand] = cpu.as_slice() else { unreachable!() };
    json!({
        "cases": rows.collect::<Vec<_>>(),
        // Seconds a million are microseconds a message.
        "filter_ns": paired(one, none, |one, none| (one - none) * 1e3),
        "further_filter_ns": paired(hundred, one, |hundred, one| (hundred - one) * 1e3 / 99.0),
        "10000_elsewhere": paired(ten_thousand, one, |many, one| many / one),
        "100000_elsewhere": paired(hundred_thousand, one, |many, one| many / one),
    })
}
