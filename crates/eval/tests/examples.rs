//! Every example of the function table, run through the whole of SQL.

use std::sync::Arc;

use eval::test::{self, Context, Outcome, Setting};
use eval::{Surroundings, Worker};
use value::Arena;

const SETTING: Setting<'static> = Setting { now_ms: 1_700_000_000_000, node: "n@1", seed: 7 };
const CONTEXT: &[u8] = br#"{"event_type":"message_publish","topic":"plant/7","payload":"{\"a\":{\"b\":1}}"}"#;

fn output(sql: &str, worker: &mut Worker) -> Result<serde_json::Value, String> {
    let (program, diagnostics) = eval::prepare(sql, 0, "example");
    let Some(program) = program else { return Err(format!("{diagnostics:?}")) };
    let arena = Arena::new();
    let context = Context::parse(CONTEXT, &SETTING, &arena).expect("a context");
    match test::run(&program, &context, &SETTING, worker) {
        Outcome::Output(json) => Ok(serde_json::from_slice(&json).expect("JSON")),
        outcome => Err(format!("{outcome:?}")),
    }
}

#[test]
fn every_example_of_the_table_holds() {
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 7);
    for function in functions::all() {
        for example in function.examples {
            let call = example.call;
            match example.gives {
                Some(gives) => {
                    let sql = format!("SELECT {call} AS found, {gives} AS expected FROM \"plant/#\"");
                    let row = output(&sql, &mut worker).unwrap_or_else(|error| panic!("{call}: {error}"));
                    assert_eq!(row["found"].to_string(), row["expected"].to_string(), "{call}");
                }
                None => {
                    let row = output(&format!("SELECT {call} AS found FROM \"plant/#\""), &mut worker);
                    assert!(row.is_err(), "{call} gives {row:?}");
                }
            }
        }
    }
}
