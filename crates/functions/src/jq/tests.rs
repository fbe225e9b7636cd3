use std::time::{Duration, Instant};

use super::*;

fn outputs(program_text: &str, input: &str) -> Result<String, String> {
    let arena = Arena::new();
    let input = ::value::json::parse(input.as_bytes(), &arena).expect("the input is JSON");
    let program = program(program_text.as_bytes())?;
    let outputs = run(&program, &input, 1_700_000_000.25, Duration::from_millis(500), &arena)?;
    let mut out = Vec::new();
    ::value::json::write(&Value::Array(&outputs), &mut out);
    Ok(String::from_utf8(out).expect("JSON is UTF-8"))
}

#[test]
fn answers_as_jq_does() {
    let cases = [
        // Numbers are whole where they can be.
        (
            "1.5 + 1.5, 10 / 2, 7 / 2, 5 % 3, -5 % 3, 1e3, .",
            "9007199254740993",
            "[3,5,3.5,2,-2,1000,9007199254740993]",
        ),
        ("., . + 1", "36893488147419103233", "[36893488147419103233,36893488147419103000]"),
        (
            "1e17 + 1e17, infinite, nan, -infinite",
            "0",
            "[2e+17,1.7976931348623157e+308,null,-1.7976931348623157e+308]",
        ),
        ("., . + 0", "21.0", "[21.0,21]"),
        (
            "\"ab\" * 3, \"ab\" * 0, \"a,b\" / \",\", [1, 2, 1] - [1], {a: {b: 1}} * {a: {c: 2}}",
            "0",
            "[\"ababab\",null,[\"a\",\"b\"],[2],{\"a\":{\"b\":1,\"c\":2}}]",
        ),
        // Order, and what is in what.
        ("sort", "[{\"a\":1},[1],\"a\",2,true,false,null]", "[[null,false,true,2,\"a\",[1],{\"a\":1}]]"),
        ("contains(\"bar\"), contains([\"foo\"])?", "\"foobar\"", "[true]"),
        ("inside(\"foobar\"), indices(\"a\"), index(\"o\"), rindex(\"o\")", "\"foo\"", "[true,[],1,2]"),
        (
            "unique, group_by(. % 2), (map(. % 2) | any), min, max, add",
            "[3,1,2,3]",
            "[[1,2,3],[[2],[3,1,3]],true,1,3,9]",
        ),
        // Reading and changing.
        (
            ".a.b.c, .a[1:]?, (.x = 1), (.a.b |= 2), (.l[2] = 3)",
            "{\"a\":null}",
            "[null,null,{\"a\":null,\"x\":1},{\"a\":{\"b\":2}},{\"a\":null,\"l\":[null,null,3]}]",
        ),
        ("del(.[0, 1]), del(.[1:]), (.[1] |= empty), .[-1], .[1.7]", "[1,2,3]", "[[3],[1],[1,3],3,2]"),
        (
            "del(.a.b), del(.c), to_entries, with_entries(.value += 1), keys, (map_values(. + 1))",
            "{\"c\":1}",
            "[{\"c\":1},{},[{\"key\":\"c\",\"value\":1}],{\"c\":2},[\"c\"],{\"c\":2}]",
        ),
        (
            "from_entries",
            "[{\"name\":\"a\",\"value\":1},{\"k\":2,\"v\":3},{\"key\":null,\"value\":4}]",
            "[{\"a\":1,\"2\":3,\"null\":4}]",
        ),
        (
            "[paths], [leaf_paths], getpath([\"a\",0]), [.. | numbers]",
            "{\"a\":[5]}",
            "[[[\"a\"],[\"a\",0]],[[\"a\",0]],5,[5]]",
        ),
        (
            "[tostream], fromstream(tostream), [1 | truncate_stream([[0],1],[[1,0],2],[[1,0]],[[1]])]",
            "{\"a\":[1,{\"b\":2}]}",
            "[[[[\"a\",0],1],[[\"a\",1,\"b\"],2],[[\"a\",1,\"b\"]],[[\"a\",1]],[[\"a\"]]],{\"a\":[1,{\"b\":2}]},[[[0],2],[[0]]]]",
        ),
        (
            "flatten, flatten(1), transpose?, reverse, join(\"-\")?",
            "[1,[2,[3]]]",
            "[[1,2,3],[1,2,[3]],[[2,[3]],1]]",
        ),
        ("join(\"-\")", "[1,null,\"a\",true]", "[\"1--a-true\"]"),
        (
            "transpose, walk(if type == \"number\" then . + 1 else . end)",
            "[[1],[2,3]]",
            "[[[1,2],[null,3]],[[2],[3,4]]]",
        ),
        // Control.
        (
            "[limit(3; repeat(1))], first(range(5; 9)), [range(0; 10; 4)], [.[] as [$a, $b] | $a + $b]",
            "[[1,2]]",
            "[[1,1,1],5,[0,4,8],[3]]",
        ),
        (
            "reduce .[] as $x (0; . + $x), [foreach .[] as $x (0; . + $x)], (label $out | .[] | if . > 1 then ., break $out else . end)",
            "[1,2,3]",
            "[6,[1,3,6],1,2]",
        ),
        (
            "try error(\"x\") catch ., (.a // 5), (try error({a: 1}) catch .a), ([.[]?] | length)",
            "{}",
            "[\"x\",5,1,0]",
        ),
        ("def f(g): g | g; def h($x): $x * 2; f(. + 1), h(4), ([1, halt, 2] | 3)", "1", "[3,8]"),
        ("input_filename, [inputs], debug, (try input catch .)", "1", "[null,[],1,\"No more inputs\"]"),
        // Strings.
        (
            "test(\"B\"; \"i\"), [match(\"(?<x>.)b\").captures[0].name], sub(\"b\"; \"-\"), gsub(\"[ab]\"; \"x\"), [scan(\"[a-c]\")], capture(\"(?<n>b.)\")",
            "\"abcab\"",
            "[true,[\"x\"],\"a-cab\",\"xxcxx\",[\"a\",\"b\",\"c\",\"a\",\"b\"],{\"n\":\"bc\"}]",
        ),
        (
            "[match(\"é\"; \"g\").offset], length, utf8bytelength, explode, ascii_upcase, ltrimstr(\"a\"), ltrimstr(5)",
            "\"aéé\"",
            "[[1,2],3,5,[97,233,233],\"Aéé\",\"éé\",\"aéé\"]",
        ),
        (
            "split(\", *\"; null), splits(\"b\"), ascii_downcase, (tojson | fromjson), tonumber?",
            "\"a, B\"",
            "[[\"a\",\"B\"],\"a, B\",\"a, b\",\"a, B\"]",
        ),
        (
            "@csv, @tsv, @json, @text",
            "[1,\"a\\\"b\",null]",
            "[\"1,\\\"a\\\"\\\"b\\\",\",\"1\\ta\\\"b\\t\",\"[1,\\\"a\\\\\\\"b\\\",null]\",\"[1,\\\"a\\\\\\\"b\\\",null]\"]",
        ),
        (
            "@base64, (@base64 | @base64d), @uri, @html, @sh",
            "\"a'<b>\"",
            "[\"YSc8Yj4=\",\"a'<b>\",\"a%27%3Cb%3E\",\"a&#39;&lt;b&gt;\",\"'a'\\\\''<b>'\"]",
        ),
        (
            "\"x\\(1 + 1)y\", tostring, ([1, \"1\"] | map(tonumber)), (\"nope\" | try tonumber catch \"no\")",
            "[1,{}]",
            "[\"x2y\",\"[1,{}]\",[1,1],\"no\"]",
        ),
        // Time: that of the message, and UTC.
        (
            "now, (now | floor | todate), (\"2015-03-05T23:51:47Z\" | fromdate), (1425599507 | gmtime | mktime), (1425599507 | strftime(\"%Y-%j\"))",
            "0",
            "[1700000000.25,\"2023-11-14T22:13:20Z\",1425599507,1425599507,\"2015-064\"]",
        ),
        ("sqrt, pow(.; 2), floor, log2, (. * 1.0 / 3 | round)", "16", "[4,256,16,4,5]"),
    ];
    let mut differ = Vec::new();
    for (program, input, expected) in cases {
        let found = outputs(program, input).unwrap_or_else(|reason| reason);
        if found != expected {
            differ.push(format!("{program}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn what_fails_says_why() {
    let cases = [
        (".a +", "is no jq program: expected"),
        ("(", "is no jq program: expected"),
        ("nope", "is no jq program: there is no filter `nope`"),
        ("map(.; .)", "there is no filter `map` with 2 arguments"),
        ("$x", "there is no variable `$x`"),
        (".a.b", "is a jq program that failed: cannot index 5 with \"a\""),
        ("error", "is a jq program that failed: 5"),
        ("error(null)", "is a jq program that failed"),
        ("\"x\" | tonumber", "cannot be parsed as a number"),
        ("1 / 0", "cannot calculate 1 / 0"),
        ("{(1): 2}", "object keys must be strings"),
        ("\"a\" | test(\"(\")", "is no regular expression"),
        ("break $x", "there is no label `$x`"),
        ("halt_error", "failed: 5"),
        // Nothing of the process is to be seen from inside.
        ("env", "there is no filter `env`"),
        ("$ENV", "there is no variable `$ENV`"),
        ("$ENV.PATH", "there is no variable `$ENV`"),
        ("input", "No more inputs"),
        ("import \"a\" as a; 1", "is no jq program"),
        ("include \"/etc/passwd\"; 1", "is no jq program"),
        ("__program", "takes too"),
        ("get_search_list", "there is no filter"),
    ];
    for (program, reason) in cases {
        let found = outputs(program, "5").expect_err(program);
        assert!(
            found.contains(reason) || reason == "takes too" && found.contains("calls itself"),
            "{program}: {found}"
        );
    }
}

/// Programs that would run for ever, or take everything there is.
const ENDLESS: &[&str] = &[
    "def f: f; f",
    "def f: 1 + f; f",
    "def f: f | f; f",
    "def f: f, 1; f",
    "def f: [f]; f",
    "def f: . as $x | f; f",
    "def f(g): f(g); f(.)",
    "def f(g): f(g | .); f(.)",
    "def f(g): def h: g; f(h); f(.)",
    "def f($x): f($x + 1); f(0)",
    "def f: try f catch f; f",
    "def f: (try error catch .) | f; f",
    "def f: f // f; f",
    "def f: .[0] | f; null | f",
    "null | path(def f: .a | f; f)",
    "null | [paths(def f: .a | f; f)]",
    "null | path(reduce range(1e9) as $i (.; .a))",
    "null | getpath([range(1e9)])",
    "null | setpath([range(1000)]; 1)",
    "[range(1e18)]",
    "[range(0; 1; 1e-18)]",
    "last(range(1e18))",
    "[limit(1e9; repeat(1))]",
    "[repeat(1)]",
    "repeat(1)",
    "repeat(\"x\" * 1000)",
    "[recurse(. + 1)]",
    "until(false; . + 1)",
    "while(true; . + 1)",
    "[., 1] | until(false; [., .])",
    "until(false; . + .)",
    "\"x\" | until(false; . + .)",
    "[1] | until(false; . + .)",
    "{} | until(false; {a: .})",
    "{} | until(false; {a: ., b: .})",
    "[] | until(false; [.])",
    "reduce range(1e6) as $i (null; [.])",
    "reduce range(1e9) as $i (0; .)",
    "reduce range(1e9) as $i (0; ., .)",
    "foreach range(1e9) as $i (0; ., 1)",
    "[foreach range(1e9) as $i (\"\"; . + \"xxxxxxxxxxxxxxxx\")]",
    "\"x\" * 1e9",
    "\"\" * 1e18",
    "1e308 * 1e308 | tostring * 1e9",
    ".[1e9] = 1",
    "[] | .[1e18] = 1",
    "[] | .[100000000:] = [1]",
    "[range(1000)] | combinations(10)",
    "[[range(100)] | combinations(8)]",
    "[range(100000)] | map([range(100000)])",
    "[limit(100000; repeat(\"x\" * 1000))]",
    "[range(3000)] | [.[] as $a | .[] as $b | .[] as $c | 1]",
    "[range(100000)] | [sort_by(range(1e9))]",
    "[range(1e5)] | group_by([range(1e5)])",
    "[range(1e5)] as $a | [range(1e5) | $a | contains([-1])]",
    "[range(1e5)] | . - (map(. + 1e6)) | [.[] as $x | index($x)]",
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\" | until(false; . as $x | test(\"(a+)+(?!b)$\") | $x)",
    "\"a\" * 100000 | [match(\"\"; \"g\")] | length | until(false; . + 1)",
    "\"ab\" * 1000000 | gsub(\"a\"; \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\")",
    "\"x\" * 1000000 | tojson | until(false; tojson)",
    "[range(1e5) | tostring] | until(false; join(\",\") | split(\",\"))",
    "[splits(\"a\")?, 1] | until(false; .)",
    "label $f | def f: label $g | f; f",
    "[.[]?, inputs] | until(false; .)",
    "def a: b(.); def b(f): f; 1 | until(false; .)",
];

#[test]
fn nothing_runs_for_ever() {
    for program in ENDLESS {
        let started = Instant::now();
        let found = outputs(program, "5");
        // A few end by themselves, well or badly. What counts is that all end, and soon.
        if let Ok(found) = &found {
            assert!(found.len() < 1 << 20, "{program} gives {} bytes", found.len());
        }
        eprintln!(
            "{:>6} ms {program}: {}",
            started.elapsed().as_millis(),
            match &found {
                Ok(found) => &found[..found.len().min(60)],
                Err(reason) => &reason[..reason.len().min(100)],
            }
        );
    }
}

#[test]
fn programs_are_bounded_before_they_run() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(4000), close.repeat(4000));
    for program in [
        deep("(", ")"),
        deep("[", "]"),
        deep("-", ""),
        deep("{a:", "}"),
        deep("try ", ""),
        "1|".repeat(8000) + "1",
    ] {
        // That it ends is enough.
        let _ = outputs(&program, "5");
    }
    let long = format!("\"{}\"", "x".repeat(PROGRAM_BYTES_MAX));
    assert!(outputs(&long, "5").is_err_and(|reason| reason.contains("more than 16 KiB")));
}
