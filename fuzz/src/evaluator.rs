//! Evaluation: whatever the SQL and the payload, it ends, in bounds, with JSON or a reason; and a program that is watched does
//! what one for messages does.

use std::sync::Arc;

use eval::test::{self, Context, Outcome, Setting};
use eval::{Program, Surroundings, Worker};
use value::Arena;

const SETTING: Setting<'static> = Setting { now_ms: 1_700_000_000_000, node: "n@1", seed: 7 };

/// Evaluates the text before the first NUL on a message whose payload is what follows it.
pub fn run(data: &[u8]) {
    let cut = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let sql = String::from_utf8_lossy(&data[..cut]);
    let payload = String::from_utf8_lossy(data.get(cut + 1..).unwrap_or_default());
    let (program, diagnostics) = eval::prepare(&sql, 0, "r");
    assert_eq!(program.is_none(), diagnostics.iter().any(diagnostic::Diagnostic::is_error), "{sql:?}");
    for problem in &diagnostics {
        assert!(sql.get(problem.span.range()).is_some(), "{problem:?} in {sql:?}");
    }
    let Some(program) = program else { return };
    let context =
        serde_json::json!({"event_type": "message_publish", "topic": "t/1", "payload": payload}).to_string();
    let (watched, _) = eval::prepare_watched(&sql, 0, "r");
    let outcome = outcome(&program, &context);
    if let Some(watched) = watched {
        assert_eq!(outcome, self::outcome(&watched, &context), "{sql:?}");
    }
    match outcome {
        Outcome::Output(json) => {
            assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok(), "{sql:?}: {json:?}");
        }
        Outcome::Error(error) => assert!(sql.get(error.span.range()).is_some(), "{error:?} in {sql:?}"),
        Outcome::NoMatch(_) => {}
    }
}

fn outcome(program: &Program, context: &str) -> Outcome {
    let arena = Arena::new();
    let context = Context::parse(context.as_bytes(), &SETTING, &arena).expect("the context is in order");
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 7);
    test::run(program, &context, &SETTING, &mut worker)
}
