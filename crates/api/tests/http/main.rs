//! The API as its clients see it: golden requests and answers, bounds, and a real socket.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod far;
mod front;
mod gate;
mod limits;
mod metrics;
mod openapi;
mod script;
mod secrets;
mod socket;

use std::path::{Path, PathBuf};

use gate::Gate;
use script::Script;

#[tokio::test]
async fn answers_are_as_the_golden_files_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/api");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some("http".as_ref()))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let script = Script::read(&path);
        let keys =
            if path.file_stem() == Some("keys".as_ref()) { gate::keys() } else { api::ApiKeys::default() };
        let gate = Gate::start(&script.files, keys).await;
        let mut answers = Vec::new();
        for step in &script.steps {
            answers.push(gate.ask(step).await);
        }
        script.judge(&answers, &[(&gate.folder(), "(folder)")]);
    }
}
