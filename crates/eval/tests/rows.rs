//! Rows come out as the values that they hold, wherever their text is taken from.

use std::sync::Arc;

use eval::{Row, Surroundings, Union, Verdict, Worker};
use proptest::prelude::*;
use value::{Arena, json};

#[path = "../benches/rules/mod.rs"]
mod rules;

const RULES: [&str; 7] = [
    r##"SELECT payload.a AS a, payload.b AS b, payload.b.c AS c, payload.none AS none, clientid, 1.50 AS x FROM "#""##,
    r##"SELECT payload.a AS a, * FROM "#""##,
    r##"SELECT *, payload.a AS "a \ key that is longer than most: äöü" FROM "#""##,
    r##"SELECT payload.a AS a.b, payload.a AS same FROM "#" WHERE a.b = same"##,
    r##"SELECT payload.text.k AS k, payload.text.l[1] AS l FROM "#""##,
    r##"FOREACH payload.l AS e DO e.v AS v, e AS whole, topic, e.v AS again INCASE is_not_null(e) FROM "#""##,
    r##"FOREACH payload.l FROM "#""##,
];

/// A row as JSON, made of its values.
fn written_anew(row: &Row<'_>) -> String {
    let (arena, mut out) = (Arena::new(), Vec::new());
    json::write(&row.to_value(&arena), &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn written(row: &Row<'_>) -> String {
    let mut out = b"before".to_vec();
    row.write(&mut out);
    String::from_utf8(out.split_off(6)).expect("JSON is UTF-8")
}

const SCALAR: &str = "-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,16}|\\.0{0,4}[1-9]0{0,3})?([eE][+-]?[0-9])?|true|false|null\
                      |\"([ !#-\\[\\]-~]|é){0,40}\"|\"(\\\\[n/\"u]0041){0,3}\"";

proptest! {
    #[test]
    fn a_row_is_written_as_its_values_are(scalars in prop::collection::vec((SCALAR, SCALAR), 1..4)) {
        for sql in RULES {
            let program = eval::prepare(sql, 0, "r").0.expect("the rule is good");
            let union = Union::of(&[&program]);
            let mut worker = Worker::new(Arc::new(Surroundings::default()), 1);
            // Some are walked over, some known by the shape of those before.
            for (first, second) in scalars.iter().cycle().take(6) {
                let payload = format!(
                    r#"{{"a":{first},"b":{{"c": {second}}},"text":"{{\"k\":1.50,\"l\":[2e2]}}","l":[{{"v":{first}}},{{"v":{second} }},3.0]}}"#
                );
                let message = rules::message(payload.as_bytes());
                let event = rules::event(&message);
                let message = worker.begin(&event, &union);
                if let Ok(Verdict::Rows(rows)) = message.run(0, &program) {
                    for row in rows {
                        prop_assert_eq!(written(row), written_anew(row), "{} of {}", sql, payload);
                    }
                }
            }
        }
    }
}

#[test]
fn a_row_is_asked_for_its_values() {
    let sql = r##"SELECT payload.t AS t, 'x' AS t2, payload.none AS none FROM "#""##;
    let program = eval::prepare(sql, 0, "r").0.expect("the rule is good");
    let union = Union::of(&[&program]);
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 1);
    let message = rules::message(br#"{"t": 1.50, "u": "\u0041"}"#);
    let event = rules::event(&message);
    let message = worker.begin(&event, &union);
    let Ok(Verdict::Rows([row])) = message.run(0, &program) else { panic!("there is a row") };
    assert_eq!(written(row), r#"{"t":1.5,"t2":"x","none":"undefined"}"#);
    assert!(matches!(row.get(b"t"), Some(value::Value::Float(1.5))));
    assert!(matches!(row.get(b"none"), Some(value::Value::Undefined)));
    assert!(row.get(b"u").is_none());
}
