//! The scan of the payload: paths found while scanning are what a full read of the document has there, and both find the same
//! documents broken.

use std::sync::{Arc, LazyLock};

use eval::test::{self, Context, Outcome, Setting};
use eval::{Program, Surroundings, Worker};
use serde_json::Value;
use value::Arena;

const SETTING: Setting<'static> = Setting { now_ms: 1_700_000_000_000, node: "n@1", seed: 7 };

/// Paths that meet in each other's way: prefixes, indexes, odd keys, strings that hold JSON.
const PATHS: &[&str] = &[
    "a",
    "a.b",
    "a.b.c",
    "a[1]",
    "a[2].b",
    "l[1]",
    "l[2][1].a",
    "l[-1]",
    "''",
    "'é'",
    "b.a",
    "b.l[3]",
    "u.v.w",
];

static SCANNED: LazyLock<Program> = LazyLock::new(|| program("payload", ""));
static READ: LazyLock<Program> = LazyLock::new(|| program("j", "json_decode(payload) AS j, "));

fn program(root: &str, first: &str) -> Program {
    let fields: Vec<String> =
        PATHS.iter().enumerate().map(|(at, path)| format!("{root}.{path} AS y{at}")).collect();
    let sql = format!("SELECT {first}{} FROM \"t\"", fields.join(", "));
    eval::prepare(&sql, 0, "r").0.unwrap_or_else(|| panic!("no SQL: {sql}"))
}

/// Reads the bytes as the payload of a message.
pub fn run(data: &[u8]) {
    let Ok(payload) = std::str::from_utf8(data) else { return };
    let context =
        serde_json::json!({"event_type": "message_publish", "topic": "t", "payload": payload}).to_string();
    let (scanned, read) = (outcome(&SCANNED, &context), outcome(&READ, &context));
    match (&scanned, read) {
        (Some(scanned), Some(Value::Object(mut read))) => {
            read.remove("j");
            assert_eq!(*scanned, Value::Object(read), "{payload:?}");
        }
        (None, None) => {}
        (scanned, read) => panic!("scanned {scanned:?}, read {read:?}: {payload:?}"),
    }
}

fn outcome(program: &Program, context: &str) -> Option<Value> {
    let arena = Arena::new();
    let context = Context::parse(context.as_bytes(), &SETTING, &arena).expect("the context is in order");
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 7);
    match test::run(program, &context, &SETTING, &mut worker) {
        Outcome::Output(json) => Some(serde_json::from_slice(&json).expect("the output is JSON")),
        Outcome::Error(_) => None,
        Outcome::NoMatch(no_match) => panic!("{no_match:?}"),
    }
}
