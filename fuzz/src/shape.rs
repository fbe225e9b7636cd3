//! The memory of shapes: a payload that a worker may know by the shape of another one gives what it gives a worker that has met
//! nothing.

use std::sync::{Arc, LazyLock};

use eval::{Program, Surroundings, Union, Verdict, Worker};
use event::{Event, EventKind, MessageId, MessagePublish, Trail};

/// Rules that read here and there, elements of arrays, the whole, and what is in strings.
const RULES: &[&str] = &[
    "SELECT payload.a AS a, payload.a.b AS b, payload.a.b.c AS c, payload.l[1] AS d, payload.l[2][1].a AS e, \
     payload.l[-1] AS f, payload.'' AS g, payload.'é' AS h, payload.u.v.w AS i FROM \"t\"",
    "SELECT payload.b AS b FROM \"t\" WHERE payload.a.b > 1 OR payload.id = 's1'",
    "FOREACH payload.l AS e DO e.a AS a, e.b.c AS c, e AS e INCASE is_not_null(e) FROM \"t\"",
    "FOREACH payload.sensors AS s DO s.id AS id, s.t AS t INCASE s.idx >= 1 OR s.t > 20 FROM \"t\"",
    "FOREACH payload.a DO item FROM \"t\"",
];

static PROGRAMS: LazyLock<Vec<Program>> = LazyLock::new(|| {
    let program = |sql: &&str| eval::prepare(sql, 0, "r").0.unwrap_or_else(|| panic!("no SQL: {sql}"));
    RULES.iter().map(program).collect()
});

/// Reads what is before the first NUL often enough to know its shape, and what follows with that knowledge.
pub fn run(data: &[u8]) {
    let cut = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (first, second) = (&data[..cut], data.get(cut + 1..).unwrap_or_default());
    let union = Union::of(&PROGRAMS.iter().collect::<Vec<_>>());
    let mut warm = worker();
    for payload in [first, first, first, second, first, second] {
        // At any place in memory, and with bytes behind it that would go on well.
        let place = data.len() % 33;
        let mut memory = vec![b' '; place];
        memory.extend_from_slice(payload);
        memory.extend_from_slice(b"0123456789\"}]                         ");
        let payload = &memory[place..][..payload.len()];
        let expected = outcomes(&mut worker(), &union, payload);
        let found = outcomes(&mut warm, &union, payload);
        assert_eq!(
            found,
            expected,
            "{:?} after {:?}",
            String::from_utf8_lossy(payload),
            String::from_utf8_lossy(first)
        );
    }
}

fn worker() -> Worker {
    Worker::new(Arc::new(Surroundings::default()), 7)
}

/// What each rule makes of a payload, errors with their places.
fn outcomes(worker: &mut Worker, union: &Union, payload: &[u8]) -> Vec<String> {
    let message = MessagePublish {
        id: MessageId::new(1, 1, 1),
        clientid: "c",
        username: None,
        peername: None,
        topic: "t",
        qos: 0,
        retain: false,
        dup: false,
        payload,
        properties: None,
        received_at_ms: 1_700_000_000_000,
        node: "n@1",
    };
    let trail = Trail::empty();
    let event = Event {
        kind: EventKind::MessagePublish,
        from: ["t", ""],
        timestamp_ms: message.received_at_ms,
        columns: &message,
        trail: &trail,
    };
    let message = worker.begin(&event, union);
    let outcome = |(place, program)| match message.run(place, program) {
        Ok(Verdict::Rows(rows)) => {
            let mut out = Vec::new();
            for row in rows {
                let (start, mut anew) = (out.len(), Vec::new());
                row.write(&mut out);
                value::json::write(&row.to_value(message.arena()), &mut anew);
                assert_eq!(out[start..], anew, "a row is written as its values are");
            }
            String::from_utf8(out).expect("JSON is UTF-8")
        }
        other => format!("{other:?}"),
    };
    PROGRAMS.iter().enumerate().map(outcome).collect()
}
