//! Changes of one rule over the API's way, among many others: what a write costs, for profilers.
//!
//! `cargo run --release -p engine --example writes -- RULES WRITES`.

mod house;

use std::time::Instant;

use engine::{Engine, WriteMode};

fn main() {
    let mut args = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let (rules, writes) = (args.next().unwrap_or(100_000), args.next().unwrap_or(20));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("threads can be started");
    let dir = tempfile::tempdir().expect("there is room for a folder");
    runtime.block_on(async {
        let other = |at| format!("SELECT payload.temp AS t FROM \"plant/{at}/+\" WHERE payload.temp > 10");
        let engine = house::start(dir.path(), (0..rules).map(other));
        write(&engine, WriteMode::Create, 0).await;
        let mut took: Vec<_> = Vec::with_capacity(writes);
        for at in 1..=writes {
            let begun = Instant::now();
            write(&engine, WriteMode::Replace, at).await;
            took.push(begun.elapsed());
        }
        took.sort();
        println!(
            "a write among {rules} rules: {:.1?} in the median, {:.1?} at the most",
            took[writes / 2],
            took[writes - 1]
        );
    });
}

async fn write(engine: &Engine, mode: WriteMode, at: usize) {
    let sql = format!("SELECT payload.temp AS t FROM \"written/#\" WHERE payload.temp > {at}");
    let body = serde_json::json!({ "sql": sql, "actions": [] });
    let body = body.as_object().expect("it is one");
    engine.write_rule(Some("written"), body, mode).await.expect("it is a good rule");
}
