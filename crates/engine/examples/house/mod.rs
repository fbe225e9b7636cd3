//! An engine with many rules, and a broker to which nobody listens.

use std::path::Path;
use std::sync::Arc;

use config::store::Store;
use engine::{DataConfig, Engine, EngineConfig};
use event::{Completion, LocalMessage, LocalPublish, PublishError};

/// A broker without subscribers.
struct Nobody;

impl LocalPublish for Nobody {
    fn publish(&self, _: &LocalMessage<'_>, _: Option<&Completion>) -> Result<usize, PublishError> {
        Ok(0)
    }
}

/// Starts an engine in an empty folder, on this runtime, with the rules `r0`, `r1` and so on of these texts.
pub(crate) fn start(dir: &Path, texts: impl ExactSizeIterator<Item = String>) -> Engine {
    let folder = dir.join("rules");
    std::fs::create_dir(&folder).expect("the folder can be written");
    let rules = texts.len();
    for (at, text) in texts.enumerate() {
        std::fs::write(folder.join(format!("r{at}.sql")), text).expect("the folder can be written");
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
