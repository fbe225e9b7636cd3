//! The facts about the dialect that surprise, each under its own name.

use std::sync::Arc;

use eval::test::{self, Context, NoMatch, Outcome, Setting};
use eval::{Surroundings, Worker};
use serde_json::{Value, json};
use value::Arena;

const SETTING: Setting<'static> = Setting { now_ms: 1_700_000_000_000, node: "n@1", seed: 7 };

/// What the payload of [`message`] holds.
const PAYLOAD: &str = r#"{"temp": 21.5, "none": null, "ok": true, "word": "text", "two": 2, "list": [10, 20, 30],
    "nested": {"a": {"b": 1}}, "things": [{"id": "a", "v": 1}, {"id": "b", "v": 9}], "json": "{\"k\": [5, 6]}",
    "bad": "{", "empty": "", "i": 1, "odd": {"list": [[1], "x"]}}"#;

fn message() -> Value {
    json!({"event_type": "message_publish", "topic": "t/1", "clientid": "c1", "qos": 1, "payload": PAYLOAD})
}

#[derive(Debug, PartialEq)]
enum Answer {
    Row(Value),
    NoMatch,
    Fails,
    /// No SQL, or one that never works.
    Refused,
}

fn on(context: &Value, sql: &str) -> Answer {
    let (program, _) = eval::prepare(sql, 0, "r");
    let Some(program) = program else { return Answer::Refused };
    let arena = Arena::new();
    let context = context.to_string();
    let Ok(context) = Context::parse(context.as_bytes(), &SETTING, &arena) else { return Answer::Refused };
    let mut worker = Worker::new(Arc::new(Surroundings::default()), 7);
    match test::run(&program, &context, &SETTING, &mut worker) {
        Outcome::Output(json) => Answer::Row(serde_json::from_slice(&json).expect("JSON")),
        Outcome::NoMatch(NoMatch::Topic | NoMatch::Condition) => Answer::NoMatch,
        Outcome::Error(_) => Answer::Fails,
    }
}

fn run(sql: &str) -> Answer {
    on(&message(), sql)
}

/// Each expression with its value, as the one field of a SELECT.
fn values(cases: &[(&str, Value)]) {
    for (expr, value) in cases {
        let found = run(&format!("SELECT {expr} AS y FROM \"t/#\""));
        assert_eq!(found, Answer::Row(json!({ "y": value })), "{expr}");
    }
}

/// Expressions without a value: they fail, or are refused beforehand.
fn fail(exprs: &[&str]) {
    for expr in exprs {
        let found = run(&format!("SELECT {expr} AS y FROM \"t/#\""));
        assert!(matches!(found, Answer::Fails | Answer::Refused), "{expr}: {found:?}");
    }
}

/// Conditions of WHERE with whether they let the message through.
fn conditions(cases: &[(&str, bool)]) {
    for (condition, holds) in cases {
        let found = run(&format!("SELECT clientid FROM \"t/#\" WHERE {condition}"));
        let wanted = if *holds { Answer::Row(json!({"clientid": "c1"})) } else { Answer::NoMatch };
        assert_eq!(found, wanted, "{condition}");
    }
}

fn conditions_fail(cases: &[&str]) {
    for condition in cases {
        let found = run(&format!("SELECT clientid FROM \"t/#\" WHERE {condition}"));
        assert!(matches!(found, Answer::Fails | Answer::Refused), "{condition}: {found:?}");
    }
}

/// Whole statements with their output.
fn rows(cases: &[(&str, Value)]) {
    for (sql, row) in cases {
        assert_eq!(run(sql), Answer::Row(row.clone()), "{sql}");
    }
}

#[test]
fn fields_see_earlier_aliases_and_where_sees_them_before_columns() {
    rows(&[
        ("SELECT 5 AS a, a + 1 AS b FROM \"t/#\"", json!({"a": 5, "b": 6})),
        ("SELECT 5 AS qos FROM \"t/#\" WHERE qos = 5", json!({"qos": 5})),
        ("SELECT qos AS a, 7 AS qos, qos AS b FROM \"t/#\"", json!({"a": 1, "qos": 7, "b": 7})),
        ("SELECT qos + 1 AS a FROM \"t/#\" WHERE a = 2 AND qos = 1", json!({"a": 2})),
    ]);
    // On purpose otherwise than the reference: what is filtered out does not fail in SELECT.
    assert_eq!(run("SELECT 1 + payload.ok AS a FROM \"t/#\" WHERE qos = 9"), Answer::NoMatch);
    assert_eq!(run("SELECT 1 + payload.ok AS a FROM \"t/#\" WHERE qos = 1"), Answer::Fails);
}

#[test]
fn any_failure_fails_the_whole() {
    fail(&[
        "upper(payload.list)",
        "upper()",
        "no_such(1)",
        "payload.two / 0",
        "1.0e308 * 10",
        "payload.list[0..1]",
    ]);
    let broken = json!({"event_type": "message_publish", "topic": "t/1", "payload": "{broken"});
    assert_eq!(on(&broken, "SELECT clientid, payload.a AS a FROM \"t/#\""), Answer::Fails);
    assert_eq!(on(&broken, "SELECT payload FROM \"t/#\""), Answer::Row(json!({"payload": "{broken"})));
}

#[test]
fn undefined_is_no_null() {
    values(&[
        ("payload.nothing", json!("undefined")),
        ("nothing", json!("undefined")),
        ("'x' + payload.nothing", json!("xundefined")),
        ("payload.none", json!(null)),
        ("null", json!("undefined")),
        ("null()", json!("undefined")),
        ("coalesce([payload.nothing, payload.none, 1])", json!(null)),
        ("is_null(payload.none)", json!(false)),
        ("is_null(payload.nothing)", json!(true)),
        ("is_null_var(payload.none)", json!(true)),
        ("is_null_var(payload.nothing)", json!(true)),
    ]);
}

#[test]
fn event_and_node_are_no_strings_inside() {
    values(&[
        ("is_str(event)", json!(false)),
        ("CASE event WHEN 'message.publish' THEN 1 ELSE 2 END", json!(2)),
        ("event = 'message.publish'", json!(true)),
        ("upper(event)", json!("MESSAGE.PUBLISH")),
        ("is_str(node)", json!(false)),
        ("event", json!("message.publish")),
    ]);
}

#[test]
fn functions_of_the_message_give_nothing_in_conditions() {
    values(&[
        ("topic()", json!("t/1")),
        ("topic(2)", json!("1")),
        ("clientid()", json!("c1")),
        ("qos()", json!(1)),
        ("payload('nested.a.b')", json!(1)),
    ]);
    conditions(&[("topic() = null()", true), ("clientid() = 'c1'", false), ("is_map(flags())", true)]);
    rows(&[
        ("FOREACH payload.list DO topic() AS t INCASE topic() = 't/1' FROM \"t/#\"", json!([])),
        ("FOREACH payload.list DO topic() AS t INCASE item = 10 FROM \"t/#\"", json!([{"t": "t/1"}])),
    ]);
}

#[test]
fn comparisons_with_undefined_are_false_but_of_two() {
    conditions(&[
        ("payload.nothing = 1", false),
        ("payload.nothing <> 1", false),
        ("payload.nothing != 1", false),
        ("payload.nothing > 1", false),
        ("payload.nothing = payload.nowhere", true),
        ("payload.nothing <> payload.nowhere", false),
    ]);
}

#[test]
fn a_string_against_a_number_is_read_as_one_or_fails() {
    conditions(&[
        ("5 = '5'", true),
        ("1000 = '1.0e3'", true),
        ("5 = '+5'", true),
        ("5 = '05'", true),
        ("'10' > 9", true),
    ]);
    conditions_fail(&["5 = 'abc'", "5 > ''", "' 5' = 5", "'1e3' = 1000", "qos = payload.word"]);
}

#[test]
fn booleans_and_null_compare_with_strings_as_text() {
    conditions(&[("true = 'true'", true), ("payload.none = 'null'", true), ("payload.ok = 'true'", true)]);
}

#[test]
fn mixed_kinds_have_an_order() {
    conditions(&[
        ("5 < payload.ok", true),
        ("payload.ok < payload.nested", true),
        ("payload.nested < payload.list", true),
        ("payload.list < payload.word", true),
        ("1 = 1.0", true),
        ("[1, 2] = [1.0, 2]", true),
        ("'10' < '9'", true),
        ("9007199254740993 = 9007199254740992.0", false),
    ]);
}

#[test]
fn in_contains_and_case_are_strict() {
    conditions(&[("qos IN (1.0)", false), ("qos IN ('1')", false), ("qos IN (2, 1)", true)]);
    values(&[
        ("contains(10.0, payload.list)", json!(false)),
        ("contains(10, payload.list)", json!(true)),
        ("CASE payload.two WHEN 2.0 THEN 'float' WHEN '2' THEN 'text' WHEN 2 THEN 'int' END", json!("int")),
    ]);
}

#[test]
fn conditions_stop_early() {
    conditions(&[
        ("qos = 9 AND payload.list > 1 + payload.ok", false),
        ("qos = 1 OR payload.word + 1 = payload.word * 2", true),
    ]);
    assert_eq!(run("SELECT 1 < 2 < 3 AS y FROM \"t/#\""), Answer::Refused);
}

#[test]
fn not_of_what_is_no_boolean_is_false() {
    conditions(&[
        ("NOT qos = 2", true),
        ("NOT payload.two", false),
        ("NOT payload.nothing", false),
        ("NOT false", true),
    ]);
    // Beyond the reference.
    conditions(&[("NOT (qos = 2 OR qos = 3)", true), ("qos NOT IN (2)", true), ("NOT NOT qos = 1", true)]);
}

#[test]
fn a_bare_value_must_be_a_boolean() {
    conditions(&[("true", true), ("false", false), ("is_null(payload.nothing)", true), ("payload.ok", true)]);
    conditions_fail(&[
        "payload.two",
        "payload.nothing",
        "'text'",
        "1",
        "upper(payload.word)",
        "strlen(payload.word)",
    ]);
    values(&[("CASE WHEN upper(payload.word) THEN 1 ELSE 2 END", json!(2))]);
}

#[test]
fn division_gives_floats_and_div_truncates() {
    values(&[
        ("7 / 7", json!(1.0)),
        ("-7 div 2", json!(-3)),
        ("-7 mod 3", json!(-1)),
        ("7 div -2", json!(-3)),
        ("div(7, 2)", json!(3)),
        ("mod(7, 2)", json!(1)),
    ]);
    fail(&["7.0 div 2", "7 mod 2.5", "payload.temp div 2", "7 DIV 2"]);
}

#[test]
fn plus_joins_text() {
    values(&[
        ("'1' + 2", json!("12")),
        ("1 + 2 + 'x'", json!("3x")),
        ("'x' + 0.1", json!("x0.1")),
        ("'x' + 1.0", json!("x1.0")),
        ("'x' + 0.123456789012", json!("x0.123456789")),
    ]);
    fail(&["'1' - 1", "payload.word * 2", "'4' / 2"]);
}

#[test]
fn signs_bind_tightly() {
    values(&[("- -5", json!(5)), ("-payload.two", json!(-2)), ("-2 * -3", json!(6)), ("1 - -1", json!(2))]);
}

#[test]
fn strings_have_no_escapes() {
    values(&[
        (r"'\n'", json!(r"\n")),
        ("'it''s'", json!("it''s")),
        ("''''", json!("")),
        ("'''x'''", json!("x")),
        ("'a\n/b'", json!("ab")),
    ]);
}

#[test]
fn double_quotes_make_names() {
    let dotted =
        json!({"event_type": "message_publish", "topic": "t/1", "payload": r#"{"a b": 1, "c.d": 2}"#});
    let sql = "SELECT payload.\"a b\" AS x, payload.'c.d' AS y, \"clientid\" AS z FROM 't/#'";
    assert_eq!(on(&dotted, sql), Answer::Row(json!({"x": 1, "y": 2, "z": "c_emqx"})));
    values(&[("TRUE", json!("undefined")), ("\"payload.two\"", json!("undefined"))]);
    rows(&[("select qos As q from 't/#' Where tRUE = null()", json!({"q": 1}))]);
}

#[test]
fn comments_stand_inside_and_after() {
    rows(&[
        ("SELECT -- the level\n qos FROM \"t/#\"", json!({"qos": 1})),
        ("SELECT qos FROM \"t/#\" -- the end", json!({"qos": 1})),
        ("/* x */ SELECT qos FROM \"t/#\";", json!({"qos": 1})),
    ]);
}

#[test]
fn arrays_count_from_one_and_from_the_end() {
    values(&[
        ("payload.list[1]", json!(10)),
        ("payload.list[-1]", json!(30)),
        ("payload.list[0]", json!("undefined")),
        ("payload.list[4]", json!("undefined")),
        ("payload.list[-4]", json!("undefined")),
    ]);
}

#[test]
fn aliases_put_into_arrays() {
    rows(&[
        ("SELECT payload.list AS a, 5 AS a[0] FROM \"t/#\"", json!({"a": [5, 10, 20, 30]})),
        ("SELECT payload.list AS a, 5 AS a[-0] FROM \"t/#\"", json!({"a": [10, 20, 30, 5]})),
        ("SELECT payload.list AS a, 5 AS a[2] FROM \"t/#\"", json!({"a": [10, 5, 30]})),
        ("SELECT payload.list AS a, 5 AS a[9] FROM \"t/#\"", json!({"a": [10, 20, 30]})),
        ("SELECT 1 AS a, 5 AS a[3] FROM \"t/#\"", json!({"a": [5]})),
    ]);
}

#[test]
fn ranges_and_slices() {
    values(&[
        ("[1..5]", json!([1, 2, 3, 4, 5])),
        ("[3..2]", json!([])),
        ("payload.list[2..3]", json!([20, 30])),
        ("payload.list[2..9]", json!([20, 30])),
        ("payload.list[-2..-1]", json!([20, 30])),
        ("payload.list[2..1]", json!([])),
        ("[-1..1]", json!([-1, 0, 1])),
    ]);
    fail(&["[3..1]", "payload.list[3..1]", "payload.list[0..2]", "payload.two[1..2]"]);
}

#[test]
fn a_variable_index_is_looked_up_where_the_path_starts() {
    values(&[("payload.list[i]", json!(10)), ("payload.list[two]", json!(20))]);
    rows(&[
        (
            "SELECT payload.list AS l, 3 AS n, l[n] AS y FROM \"t/#\"",
            json!({"l": [10, 20, 30], "n": 3, "y": 30}),
        ),
        ("SELECT payload.list AS l, l[qos] AS y FROM \"t/#\"", json!({"l": [10, 20, 30], "y": "undefined"})),
    ]);
}

#[test]
fn strings_on_a_path_are_read_as_json() {
    values(&[
        ("payload.json.k[2]", json!(6)),
        ("payload.bad.k", json!("undefined")),
        ("payload.word.x", json!("undefined")),
    ]);
}

#[test]
fn a_path_without_alias_keeps_its_shape() {
    rows(&[
        ("SELECT payload.nested.a.b FROM \"t/#\"", json!({"payload": {"nested": {"a": {"b": 1}}}})),
        ("SELECT payload.list[2] FROM \"t/#\"", json!({"payload": {"list": [20]}})),
        ("SELECT 1 AS payload.x FROM \"t/#\"", json!({"payload": {"x": 1}})),
    ]);
    let small = json!({"event_type": "message_publish", "topic": "t/1", "payload": r#"{"a": 1}"#});
    let sql = "SELECT payload, 2 AS payload.b FROM \"t/#\"";
    assert_eq!(on(&small, sql), Answer::Row(json!({"payload": {"a": 1, "b": 2}})));
}

#[test]
fn a_loop_over_no_array_is_empty() {
    for what in ["payload.nothing", "payload.none", "payload.two", "payload.json", "clientid"] {
        assert_eq!(
            run(&format!("FOREACH {what} DO item AS x FROM \"t/#\"")),
            Answer::Row(json!([])),
            "{what}"
        );
    }
    let list = json!({"event_type": "message_publish", "topic": "t/1", "payload": "[1, 2]"});
    assert_eq!(
        on(&list, "FOREACH payload DO item AS x FROM \"t/#\""),
        Answer::Row(json!([{"x": 1}, {"x": 2}]))
    );
}

#[test]
fn the_element_is_item_or_the_alias() {
    rows(&[
        ("FOREACH payload.things DO item.id AS id FROM \"t/#\"", json!([{"id": "a"}, {"id": "b"}])),
        (
            "FOREACH payload.things AS s DO s.id AS id, item AS i FROM \"t/#\"",
            json!([{"id": "a", "i": "undefined"}, {"id": "b", "i": "undefined"}]),
        ),
        ("FOREACH payload.things AS s DO s.id INCASE s.v > 99 FROM \"t/#\"", json!([])),
        (
            "FOREACH payload.two AS n, payload.list AS l DO n, l INCASE l > 20 FROM \"t/#\"",
            json!([{"n": 2, "l": 30}]),
        ),
        (
            "FOREACH payload.list AS l DO l FROM \"t/#\" WHERE l = [10, 20, 30]",
            json!([{"l": 10}, {"l": 20}, {"l": 30}]),
        ),
    ]);
    assert_eq!(run("FOREACH payload.things DO item FROM \"t/#\" WHERE qos = 9"), Answer::NoMatch);
}

#[test]
fn a_loop_without_alias_hides_the_rest_of_the_payload() {
    rows(&[
        (
            "FOREACH payload.list DO payload.two AS n FROM \"t/#\"",
            json!([{"n": "undefined"}, {"n": "undefined"}, {"n": "undefined"}]),
        ),
        ("FOREACH payload.list AS l DO payload.two AS n INCASE l = 10 FROM \"t/#\"", json!([{"n": 2}])),
    ]);
    assert_eq!(run("FOREACH payload.list DO item FROM \"t/#\" WHERE payload.two = 2"), Answer::NoMatch);
}

#[test]
fn a_loop_without_do_gives_every_column_with_the_element() {
    let Answer::Row(rows) = run("FOREACH payload.things AS s FROM \"t/#\"") else { panic!("rows") };
    assert_eq!((&rows[0]["s"], &rows[1]["s"]["id"]), (&json!({"id": "a", "v": 1}), &json!("b")));
    assert_eq!((&rows[0]["clientid"], &rows[0]["topic"]), (&json!("c1"), &json!("t/1")));
}

#[test]
fn numbers_become_text_as_in_the_reference() {
    values(&[
        ("str(3.0)", json!("3.0")),
        ("str(0.30000000000000004)", json!("0.3")),
        ("str([])", json!("")),
        ("str([72, 105])", json!("Hi")),
        ("int(-12.25)", json!(-13)),
        ("ceil(1.2)", json!(2)),
        ("sqrt(4)", json!(2.0)),
        ("power(2, 3)", json!(8.0)),
    ]);
    fail(&["abs(-1.5)", "UPPER('x')"]);
}

#[test]
fn functions_on_text() {
    values(&[
        ("split('a//b', '/')", json!(["a", "b"])),
        ("split('a//b', '/', 'notrim')", json!(["a", "", "b"])),
        ("tokens('a,b;c', ',;')", json!(["a", "b", "c"])),
        ("strlen('e\u{301}a')", json!(2)),
        ("sprintf('~s-~p-~.2f', 'a', 1, 2.0)", json!("a-1-2.00")),
        ("sprintf('~*s|~-*s|~*s', 5, 'ab', 4, 'cd', -4, 'ef')", json!("   ab|cd  |ef  ")),
        ("sprintf('~.*f ~6.*.*b', 1, 2.25, 2, 48, 5)", json!("2.3 000101")),
        ("sprintf('~.16# ~.16+ ~.16x', -31, 31, -31, [48, 120])", json!("-16#1F 16#1f -0x1f")),
        ("regex_replace('aaa', 'a*', 'x')", json!("xx")),
        ("regex_replace('baaac', 'a*', '-')", json!("-b--c-")),
        ("regex_replace('a,b', '\\b', '|')", json!("|a|,|b|")),
    ]);
}

#[test]
fn functions_on_maps_and_lists() {
    values(&[
        ("map_get('a.b', payload.nested)", json!(1)),
        ("map_get('x', 5)", json!("undefined")),
        ("map_put('x.y', 1, payload.nothing)", json!({"x": {"y": 1}})),
        ("mget('a', payload.nested)", json!({"b": 1})),
        ("map_keys(json_decode('{\"b\": 1, \"a\": 2}'))", json!(["a", "b"])),
        ("sublist(9, payload.list)", json!([10, 20, 30])),
    ]);
    fail(&["mget('a', 5)", "first([])", "nth(4, payload.list)", "nth(0, payload.list)"]);
}

#[test]
fn bytes_that_are_no_utf8_come_out_replaced() {
    values(&[("hexstr2bin('ff41')", json!("\u{fffd}A"))]);
}

#[test]
fn left_out_fields_are_filled_and_the_topic_decides() {
    let bare = json!({"event_type": "message_publish"});
    assert_eq!(
        on(&bare, "SELECT clientid, username, payload.msg AS m, peerhost, qos FROM \"#\""),
        Answer::Row(
            json!({"clientid": "c_emqx", "username": "u_emqx", "m": "hello", "peerhost": "192.168.0.10", "qos": 1})
        )
    );
    assert_eq!(on(&bare, "SELECT qos FROM \"t/#\""), Answer::NoMatch);
    assert!(matches!(on(&bare, "SELECT qos FROM \"+\""), Answer::Row(_)));
}

#[test]
fn events_answer_to_both_spellings_and_to_wildcards() {
    let connected = json!({"event_type": "client_connected", "clientid": "c1"});
    for from in ["$events/client_connected", "$events/client/connected", "$events/#", "$events/client/+"] {
        let found = on(&connected, &format!("SELECT clientid FROM \"{from}\""));
        assert_eq!(found, Answer::Row(json!({"clientid": "c1"})), "{from}");
    }
    assert_eq!(on(&connected, "SELECT clientid FROM \"#\""), Answer::NoMatch);
    assert_eq!(run("SELECT clientid FROM \"$events/#\""), Answer::NoMatch);
    let system = json!({"event_type": "message_publish", "topic": "$SYS/x"});
    assert_eq!(on(&system, "SELECT clientid FROM \"#\""), Answer::NoMatch);
    assert!(matches!(on(&system, "SELECT clientid FROM \"$SYS/#\""), Answer::Row(_)));
}

#[test]
fn contexts_are_checked_and_converted() {
    let with = |key: &str, value: Value| {
        let mut context = message();
        context[key] = value;
        on(&context, "SELECT qos, clientid FROM \"t/#\"")
    };
    assert_eq!(with("qos", json!("1")), Answer::Row(json!({"qos": 1, "clientid": "c1"})));
    assert_eq!(with("clientid", json!(5)), Answer::Row(json!({"qos": 1, "clientid": "5"})));
    assert_eq!(with("qos", json!("one")), Answer::Refused);
    assert_eq!(with("no_such_field", json!(1)), Answer::Refused);
    assert_eq!(with("event_type", json!("no_such_event")), Answer::Refused);
}

#[test]
fn functions_on_odd_arguments() {
    values(&[
        ("format_date('second', 0, '%Y', 1700000000000)", json!("55840")),
        ("format_date('millisecond', 0, '%S.%3N', -1500)", json!("59.-500")),
        ("format_date('second', 100000, '%d %H', 0)", json!("02 03")),
        ("format_date('second', '+01:02:03', '%::z|%:z|%z', 0)", json!("+01:02:03|+01:02|+0102")),
        ("format_date('second', payload.nothing, '%z', 0)", json!("+0000")),
        ("timezone_to_second(100000)", json!(100_000)),
        ("date_to_unix_ts('second', '%Y-%m-%dT%H:%M:%S%::z', '1970-01-01T00:00:00+00:00:30')", json!(-30)),
        ("date_to_unix_ts('nanosecond', '%Y%m%d%H%M%S%3N%6N', '19700101000000001000002')", json!(1_002_000)),
        ("date_to_unix_ts('second', '%Y%m%d%H%M%S and more', '19700101000001')", json!(1)),
        ("rfc3339_to_unix_ts('1970-01-01x24:00:61Z')", json!(86_461)),
        ("rfc3339_to_unix_ts('1970-01-01T01:00:00.5+01', 'millisecond')", json!(500)),
        ("pad('ab', -5)", json!("ab")),
        ("find('abc', '', 'trailing')", json!("abc")),
        ("rm_prefix(payload.list, 'a')", json!([10, 20, 30])),
        ("coalesce_ne([], 1)", json!(1)),
        ("int([52, 50])", json!(42)),
        ("float([52, 46, 53])", json!(4.5)),
        ("subbits('ab', -1)", json!(24_930)),
        ("subbits(hexstr2bin('400921FB54442D18'), 1, 24, 'float')", json!(std::f64::consts::PI)),
        ("bitsize(subbits('abc', 2, 11, 'bits'))", json!(11)),
        ("subbits(subbits('abc', 2, 11, 'bits'), 1, 11)", json!(1558)),
        (
            "map_to_redis_hset_args('{\"a\": 1, \"b\": 2}')",
            json!(["map_to_redis_hset_args", "b", "2", "a", "1"]),
        ),
        ("hash('sha1', event)", json!("183815403636a7dfc8e0d702c961864dd3333f8b")),
        ("gunzip(concat(gzip('a'), ''))", json!("a")),
        ("bin2hexstr(gunzip(hexstr2bin(bin2hexstr(gzip('a'), bin2hexstr(gzip('b'))))))", json!("6261")),
        ("tokens(base64_decode('/yD+'), ' ')", json!(["\u{fffd}", "\u{fffd}"])),
        ("spb_decode(base64_decode('ogYBeAgB'))", json!({"timestamp": 1, "metrics": []})),
        ("jq('.a', 'null')", json!([null])),
        ("jq('. == \"undefined\"', payload.nothing)", json!([true])),
        ("jq('now', 1)", json!([1_700_000_000.0])),
    ]);
    fail(&[
        "format_date('second', 100000, '%z', 0)",
        "format_date('second', 0, '%Y', -99999999999)",
        "date_to_unix_ts('second', '%Y%m%d%H%M%S', '1970010100000')",
        "date_to_unix_ts('second', '%Y%m%d%H%M%S and', '19700101000001 a')",
        "rfc3339_to_unix_ts('1970-01-01T00:00:00')",
        "rfc3339_to_unix_ts('1970-01-01T00:00:00.Z', 'millisecond')",
        "map_size('[]')",
        "split('a true b', true)",
        "find('a', event)",
        "getenv(event)",
        "jq(event, 1)",
        "jq('.', '1 2')",
        "jq('.', 1, -1)",
        "rm_prefix('true', true)",
        "sparkplug_decode(map_new())",
        "spb_encode('{}')",
    ]);
}
