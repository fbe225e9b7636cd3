//! Messages in a plain loop, which every rule filters out, or republishes: what the way through the engine costs, for
//! profilers.
//!
//! `cargo run --release -p engine --example dispatch -- RULES COUNT [THREADS] [republish]`. Instructions of one message are
//! the difference of two counts under `valgrind --tool=callgrind`; with several threads, each publishes so many.

mod house;

use std::hint::black_box;

use event::{Dispatch, Event, EventKind, MessageId, MessagePublish, Trail};

/// An action with a template as topic, and the row as payload.
const REPUBLISH: &str = r#"--- actions = [{ function = "republish", args = { topic = "alarm/${clientid}", payload = "${.}" } }]
"#;

/// How many topics take turns.
const TOPICS: usize = 100;

fn main() {
    let republishes = std::env::args().any(|text| text == "republish");
    let numbers = std::env::args().skip(1).filter(|text| text != "republish");
    let mut args = numbers.map(|text| text.parse::<usize>().expect("a number"));
    let (rules, count, threads) =
        (args.next().unwrap_or(1), args.next().unwrap_or(1_000_000), args.next().unwrap_or(1));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("threads can be started");
    let dir = tempfile::tempdir().expect("there is room for a folder");
    let engine =
        runtime.block_on(async { house::start(dir.path(), (0..rules).map(|at| rule(at, republishes))) });
    let dispatch = engine.dispatch();
    let nanos: u64 = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..threads).map(|_| scope.spawn(|| publish(&*dispatch, count))).collect();
        publishers.into_iter().map(|publisher| publisher.join().expect("no rule panics")).sum()
    });
    let reading = engine.rule_metrics("r0").map(|metrics| metrics.reading).unwrap_or_default();
    let (filtered, sent) = (reading.failed_no_result, reading.actions_success);
    let cost = nanos as f64 / (count * threads) as f64;
    println!("{cost:.1} ns of CPU a message; {filtered} filtered out, {sent} republished");
}

/// The text of a rule.
fn rule(at: usize, republishes: bool) -> String {
    let (least, actions) = if republishes { (0, REPUBLISH) } else { (100, "") };
    let least = least + at;
    format!("{actions}SELECT payload.temp AS t, clientid FROM \"load/#\" WHERE payload.temp > {least}")
}

/// Publishes so many messages; gives the time that the thread ran (nanoseconds).
fn publish(dispatch: &dyn Dispatch, count: usize) -> u64 {
    let topics: Vec<String> = (0..TOPICS).map(|at| format!("load/{at}")).collect();
    let payload = payload();
    for topic in topics.iter().cycle().take(count) {
        let message = MessagePublish {
            id: MessageId::default(),
            clientid: "publisher",
            username: None,
            peername: None,
            topic,
            qos: 0,
            retain: false,
            dup: false,
            payload: payload.as_bytes(),
            properties: None,
            received_at_ms: 1_700_000_000_000,
            node: "bench@127.0.0.1",
        };
        let event = Event {
            kind: EventKind::MessagePublish,
            from: [topic, ""],
            timestamp_ms: 1_700_000_000_000,
            columns: &message,
            trail: &Trail::empty(),
        };
        dispatch.dispatch(black_box(&event), None);
    }
    // Linux says it; elsewhere instructions are all there is to compare.
    let ran = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    ran.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

/// 200 bytes, as the load generator sends them.
fn payload() -> String {
    let head = r#"{"temp": 31.5, "id": "00001-0000000001-000000000000001", "pad": ""#;
    format!(r#"{head}{:x<1$}"}}"#, "", 198 - head.len())
}
