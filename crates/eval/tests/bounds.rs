//! Arguments that ask for too much: each call ends, in an error or within bounds.

use std::sync::Arc;

use eval::test::{self, Context, Outcome, Setting};
use eval::{Surroundings, Worker};
use value::Arena;

/// 200 MB of zeros, packed twice by gzip, in Base64.
const BOMB: &str = "H4sIAKKjB2sC/+3cPS5EYRiG4W/GiImIn0KlYBkaiYlES4J6MrVYgcJJJiqNWnQWoLIA0diBn8oCRKFQiSNzlvE917WEt3zy5t68\
     Gpabu4XTfvv52OuVUprrv/uv4WIBAAAAKte8TedmY0DZal/2D08AAACA2k1WlgfdKPA73hg5BwAAAFTvcmd7tfsQ+L44GzgHAAAA\
     VG/952O32wKe24e1Y/cAAACA6r0KBgAAAEAUwQAAAADIIhgAAAAAWQQDAAAAIIxgAAAAAGQRDAAAAIAsggEAAACQRTAAAAAAwggG\
     AAAAQBbBAAAAAMgiGAAAAABZBAMAAAAgjGAAAAAAZBEMAAAAgCyCAQAAAJBFMAAAAADCCAYAAABAFsEAAAAAyCIYAAAAAFkEAwAA\
     ACCMYAAAAABkEQwAAACALIIBAAAAkEUwAAAAAMIIBgAAAEAWwQAAAADIIhgAAAAAWQQDAAAAIIxgAAAAAGQRDAAAAIAsggEAAACQ\
     RTAAAAAAwggGAAAAQBbBAAAAAMgiGAAAAABZBAMAAAAgjGAAAAAAZBEMAAAAgCyCAQAAAJBFMAAAAADCCAYAAABAFsEAAAAAyCIY\
     AAAAAFkEAwAAACDM+3SvP9sCRu34/KkAAFCJ2/nJ8OColGbpHzzmtmdUHAMA";

const SETTING: Setting<'static> = Setting { now_ms: 1_700_000_000_000, node: "n@1", seed: 7 };

fn outcome(expression: &str, payload: &str, worker: &mut Worker) -> Result<usize, String> {
    let sql = format!("SELECT {expression} AS y FROM \"t\"");
    let (program, diagnostics) = eval::prepare(&sql, 0, "bounds");
    let Some(program) = program else { return Err(format!("{diagnostics:?}")) };
    let context = serde_json::json!({"event_type": "message_publish", "topic": "t", "payload": payload});
    let context = context.to_string();
    let arena = Arena::new();
    let context = Context::parse(context.as_bytes(), &SETTING, &arena).expect("a context");
    match test::run(&program, &context, &SETTING, worker) {
        Outcome::Output(json) => Ok(json.len()),
        outcome => Err(format!("{outcome:?}")),
    }
}

fn worker() -> Worker {
    Worker::new(Arc::new(Surroundings::default()), 7)
}

#[test]
fn what_asks_for_too_much_is_refused() {
    let mut worker = worker();
    let refused = [
        "pad('x', 1000000000)",
        "pad('x', 9223372036854775807, 'both', 'ab')",
        "bitsl(1, 1000000000)",
        "bitsl(1, 9223372036854775807)",
        "bitsr(1, -1000000000)",
        "power(10, 400)",
        "power(1000000000, 1000000000)",
        "sprintf('~1000000000s', 'x')",
        "sprintf('~*s', 1000000000, 'x')",
        "sprintf('~1000000000c', 65)",
        "[1..1000000000]",
        "regex_match(payload.as, '(a|aa)+\\1c')",
        "regex_replace(payload.as, '(a|aa)+\\1c', 'x')",
        "regex_extract(payload.as, '(a|aa)+\\1c')",
        "regex_replace(payload.long, '', payload.long)",
        "replace(payload.long, 'a', payload.long)",
        "gunzip(gunzip(base64_decode(payload.bomb)))",
        "json_decode(payload.deep)",
        "map_put(payload.dots, 1, map_new())",
        "map_get(payload.dots, payload)",
        "payload(payload.dots)",
        "jq('def f: 1 + f; f', 1)",
        "jq('[range(1e18)]', 1)",
        "jq('[limit(1e9; repeat(1))]', 1, 200)",
        "jq('def f: f; f', 1, 50)",
        "jq('until(false; . + .)', '\"x\"')",
        "jq('\"x\" * 1e9', 1)",
        "jq(payload.long, 1)",
        "jq('env', 1)",
        "jq('$ENV.PATH', 1)",
        "jq('input', 1)",
        "jq('test(\"(a|aa)+\\\\1c\")', payload.quoted)",
        "sparkplug_decode(payload.long)",
        "spb_encode(map_put('seq', bitsl(1, 70), map_new()))",
        "term_decode(payload.long)",
        "nth(9223372036854775807, [1])",
        "subbits(payload.long, 1, 8000000)",
        "float2str(1.0, 1000000000)",
        "float(1.0, 1000000000)",
        "unescape('\\x11111111111111111111')",
        "topic(9223372036854775807)",
        "unix_ts_to_rfc3339(9223372036854775807, 'second')",
    ];
    let a = "a".repeat(40);
    let payload = serde_json::json!({
        "as": a,
        "quoted": format!("\"{a}\""),
        "long": "a".repeat(200_000),
        "deep": "[".repeat(100_000),
        "dots": ".".repeat(100_000),
        "bomb": BOMB,
    });
    let payload = payload.to_string();
    for expression in refused {
        let found = outcome(expression, &payload, &mut worker);
        assert!(found.is_err(), "{expression} gives {found:?} bytes");
    }
}

#[test]
fn values_in_one_another_are_bounded() {
    let mut worker = worker();
    let payload = serde_json::json!({"s": "a".repeat(100_000), "l": vec![1; 10_000]}).to_string();
    // Each field holds the one before it often, and so on.
    let chain = |first: &str, next: &dyn Fn(usize) -> String| {
        let fields: Vec<String> = (1..200).map(|at| format!("{} AS f{at}", next(at - 1))).collect();
        format!("{first} AS f0, {}, 1", fields.join(", "))
    };
    let refused = [
        chain("payload.l", &|at| format!("[f{at}, f{at}, f{at}]")),
        chain("payload.s", &|at| format!("[f{at}, f{at}]")),
        chain("map_new()", &|at| format!("map_put('a', f{at}, map_put('b', f{at}, f{at}))")),
        chain("map_new()", &|at| format!("mput('a{at}', f{at}, f{at})")),
        // Compared with one another, too.
        format!("{} AS g, f20 = f19", chain("payload.l", &|at| format!("[f{at}, f{at}]"))),
        (0..2000).map(|at| format!("payload AS f{at}, ")).collect::<String>() + "1",
        "payload.s AS a.x, ".to_owned()
            + &(0..30).map(|at| format!("a AS a.k{at}, ")).collect::<String>()
            + "1",
        (0..3000).map(|at| format!("[f{at}] AS f{}, ", at + 1)).collect::<String>() + "1",
    ];
    for fields in refused {
        let found = outcome(&fields, &payload, &mut worker);
        assert!(found.is_err(), "{}… gives {found:?} bytes", &fields[..80]);
    }
    let plain = "[payload.l, payload.l] AS a, [a, a] AS b, map_put('x', b, map_new())";
    assert!(outcome(plain, &payload, &mut worker).is_ok());
}

#[test]
fn calls_in_a_loop_are_bounded_together() {
    let mut worker = worker();
    let payload = serde_json::json!({"s": "a".repeat(1_000_000), "l": vec![1; 50_000]}).to_string();
    for call in [
        "sha256(payload.s)",
        "regex_match(payload.s, '(a|aa)+\\1c')",
        "contains(1, [1..100000])",
        "CASE WHEN payload.l = payload.l THEN 1 END",
        "jq('last(range(1000000))', 1)",
    ] {
        let (program, diagnostics) =
            eval::prepare(&format!("FOREACH [1..100000] AS i DO {call} AS y FROM \"t\""), 0, "bounds");
        let program = program.unwrap_or_else(|| panic!("{diagnostics:?}"));
        let context = serde_json::json!({"event_type": "message_publish", "topic": "t", "payload": payload});
        let context = context.to_string();
        let arena = Arena::new();
        let context = Context::parse(context.as_bytes(), &SETTING, &arena).expect("a context");
        let found = test::run(&program, &context, &SETTING, &mut worker);
        assert!(matches!(found, Outcome::Error(_)), "{call}");
    }
}

#[test]
fn what_grows_stays_within_bounds() {
    let mut worker = worker();
    let payload =
        serde_json::json!({"long": "a".repeat(200_000), "items": vec!["\u{1}"; 50_000]}).to_string();
    let bounded = [
        "bin2hexstr(payload.long)",
        "base64_encode(payload.long)",
        "json_encode(json_encode(json_encode(json_encode(payload.items))))",
        "sprintf('~p~p~p', payload.items, payload.items, payload.items)",
        "join_to_string(payload.long, payload.items)",
        "join_to_sql_values_string(payload.items)",
        "concat(payload.items)",
        "split(payload.long, 'a', 'notrim')",
        "tokens(payload.long, 'b')",
        "str_utf16_le(payload.long)",
        "gzip(payload.long)",
        "jq('.', payload)",
        "jq('.items | map(. * 100)', payload)",
        "map_to_entries(payload)",
        "term_encode(payload.items)",
        "sublist(9223372036854775807, payload.items)",
        "format_date('second', 0, payload.long, 0)",
        "date_to_unix_ts('second', '%Y-%m-%d %H:%M:%S', '2022-05-26 10:40:12')",
        "format_date('second', 0, '%Y', 9223372036854775807)",
    ];
    for expression in bounded {
        match outcome(expression, &payload, &mut worker) {
            Ok(bytes) => assert!(bytes <= 2 * Arena::BYTES_MAX, "{expression} gives {bytes} bytes"),
            Err(reason) => assert!(!reason.is_empty(), "{expression}"),
        }
    }
}

#[test]
fn what_is_kept_between_messages_is_bounded() {
    let surroundings = Arc::new(Surroundings::default());
    let mut worker = Worker::new(Arc::clone(&surroundings), 7);
    let mut refused = None;
    // Each puts a megabyte under a key of its own.
    for at in 0..100 {
        let payload = serde_json::json!({"v": "x".repeat(1 << 20)}).to_string();
        let function = if at % 2 == 0 { "kv_store_put" } else { "proc_dict_put" };
        if outcome(&format!("{function}('key {at}', payload.v)"), &payload, &mut worker).is_err() {
            refused = Some(at);
            break;
        }
    }
    assert!(refused.is_some_and(|at| (32..70).contains(&at)), "{refused:?}");
    // What is forgotten makes room.
    assert!(outcome("kv_store_del('key 0')", "{}", &mut worker).is_ok());
    let payload = serde_json::json!({"v": "x".repeat(1 << 19)}).to_string();
    assert!(outcome("kv_store_put('again', payload.v)", &payload, &mut worker).is_ok());
}
