//! The fuzz targets `evaluator`, `scan` and `shape`, for a moment.

use std::path::Path;

#[path = "../../../fuzz/src/evaluator.rs"]
#[allow(unreachable_pub)] // the fuzz targets are another crate
mod evaluator;
#[path = "../../../fuzz/src/scan.rs"]
#[allow(unreachable_pub)] // the fuzz targets are another crate
mod scan;
#[path = "../../../fuzz/src/shape.rs"]
#[allow(unreachable_pub)] // the fuzz targets are another crate
mod shape;
#[path = "../../../fuzz/src/twin.rs"]
mod twin;

/// Some of the conformance cases.
fn cases() -> Vec<serde_json::Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
    let files = ["grammar/payload", "grammar/foreach", "grammar/index", "functions/map", "scenarios"];
    let text = |file| std::fs::read_to_string(folder.join(format!("{file}.jsonl"))).expect("a file of cases");
    let texts = files.map(text);
    let lines = texts.iter().flat_map(|text| text.lines());
    lines.map(|line| serde_json::from_str(line).expect("a case a line")).collect()
}

#[test]
fn any_statement_on_any_payload_ends() {
    let seed = |case: &serde_json::Value| {
        let payload = case["context"]["payload"].as_str().unwrap_or("{}");
        format!("{}\0{payload}", case["sql"].as_str().expect("SQL")).into_bytes()
    };
    twin::run(&cases().iter().map(seed).collect::<Vec<_>>(), 300, evaluator::run);
}

#[test]
fn the_scan_finds_what_a_full_read_finds() {
    twin::run(&payloads(), 500, scan::run);
}

/// Damage meets the payload that is learned, or the one that comes then, or both.
#[test]
fn what_is_remembered_changes_nothing() {
    let payloads = payloads();
    let sensors = |t: &str| {
        let one = |at: usize| format!(r#"{{"id":"s{at}","t":{t},"idx":{at}}}"#);
        format!(r#"{{"a":{{"b":{t}}},"sensors":[{},{},{}]}}"#, one(1), one(2), one(30))
    };
    let same = payloads.iter().map(|payload| [payload, &b"\0"[..], payload].concat());
    let mut seeds: Vec<_> = same.collect();
    seeds.extend(
        ["1", "-22.5", "null", "\"x\\n\"", "{}"]
            .map(|t| format!("{}\0{}", sensors("3"), sensors(t)).into_bytes()),
    );
    twin::run(&seeds, 2000, shape::run);
}

fn payloads() -> Vec<Vec<u8>> {
    let payload = |case: &serde_json::Value| Some(case["context"]["payload"].as_str()?.as_bytes().to_vec());
    let mut seeds: Vec<Vec<u8>> = cases().iter().filter_map(payload).collect();
    seeds.extend([
        br#"{"a":{"b":{"c":1}},"l":[1,[{"a":2}]],"":3,"\u00e9":4,"u":"{\"v\":\"{\\\"w\\\":5}\"}"}"#.to_vec(),
        br#"{"a":1,"a":{"b":2},"b":{"l":[1,2,3],"a":[]},"a":[{"b":1},{"b":"\ud83d\ude00"}]}"#.to_vec(),
        br#"[[1.5e3,-0,1e400,12345678901234567890123]]"#.to_vec(),
    ]);
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}
