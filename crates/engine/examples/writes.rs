//! Changes of one rule over the API's way, among many others: what a write costs, for profilers.
//!
//! `cargo run --release -p engine --example writes -- RULES WRITES`.

use std::sync::Arc;
use std::time::Instant;

use config::store::Store;
use engine::{DataConfig, Engine, EngineConfig, WriteMode};
use event::{Completion, LocalMessage, LocalPublish, PublishError};

/// A broker without subscribers.
struct Nobody;

impl LocalPublish for Nobody {
    fn publish(&self, _: &LocalMessage<'_>, _: Option<&Completion>) -> Result<usize, PublishError> {
        Ok(0)
    }
}

fn main() {
    let mut args = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let (rules, writes) = (args.next().unwrap_or(100_000), args.next().unwrap_or(20));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("threads can be started");
    let dir = tempfile::tempdir().expect("there is room for a folder");
    runtime.block_on(async {
        let engine = start(dir.path(), rules);
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

fn start(dir: &std::path::Path, rules: usize) -> Engine {
    let folder = dir.join("rules");
    std::fs::create_dir(&folder).expect("the folder can be written");
    for at in 0..rules {
        let sql = format!("SELECT payload.temp AS t FROM \"plant/{at}/+\" WHERE payload.temp > 10");
        std::fs::write(folder.join(format!("r{at}.sql")), sql).expect("the folder can be written");
    }
    let (engine, outcome) = Engine::start(EngineConfig {
        node: "bench@127.0.0.1".into(),
        dirs: vec![folder],
        watch: false,
        strict: false,
        store: Store::open(&dir.join("data")).expect("the folder can be written"),
        data: DataConfig { dir: dir.join("data"), dead_letter_bytes_max: 1 << 20 },
        kinds: &[],
        local: Arc::new(Nobody),
        surroundings: eval::Surroundings::default(),
        runtime: tokio::runtime::Handle::current(),
        guard: connector::Guard::default(),
        seed: 1,
    })
    .expect("the engine starts");
    assert_eq!(outcome.rules, rules, "the rules are good");
    engine
}

async fn write(engine: &Engine, mode: WriteMode, at: usize) {
    let sql = format!("SELECT payload.temp AS t FROM \"written/#\" WHERE payload.temp > {at}");
    let body = serde_json::json!({ "sql": sql, "actions": [] });
    let body = body.as_object().expect("it is one");
    engine.write_rule(Some("written"), body, mode).await.expect("it is a good rule");
}
