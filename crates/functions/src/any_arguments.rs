//! Every function with arguments of every kind, whatever its signatures say: a call returns, without panic, and within
//! what an evaluation may take.

use proptest::prelude::*;
use value::{Arena, BigInt, Entry, Map, Value};

use crate::{Args, CallContext, Effort, Random, Surroundings, all};

/// What results and their making may take at the most (bytes): the bound of an evaluation, and one result more.
const TAKEN_BYTES_MAX: usize = 2 * Arena::BYTES_MAX;

/// Texts that functions know, or choke on.
const TEXTS: &[&[u8]] = &[
    b"",
    b" ",
    b"a",
    b"abc",
    b"0",
    b"-1",
    b"+5",
    b"1.5",
    b"1e5",
    b"true",
    b"null",
    b"undefined",
    b".",
    b"..",
    b"a.b.c",
    b"a/b/c",
    b"+",
    b"#",
    b"second",
    b"nanosecond",
    b"%Y-%m-%d %H:%M:%S%::z",
    b"2023-11-14T22:13:20.123+08:00",
    b"+08:00",
    b"local",
    b"leading",
    b"trailing_notrim",
    b"both",
    b"all",
    b"nocrlf",
    b"integer",
    b"float",
    b"bits",
    b"signed",
    b"little",
    b"md5",
    b"sha3_512",
    b"urlsafe",
    b"no_padding",
    b"Payload",
    b"Payload.Metric",
    b"{}",
    b"[]",
    b"{\"a\":{\"b\":[1,2.5,null,\"x\"]}}",
    b"[[[[[[[[[[]]]]]]]]]]",
    b"\"text\"",
    b"~s ~p ~w ~20.3f ~c ~b ~e ~g ~~ ~n",
    b"~1000000000s~*c",
    b"(a+)+$",
    b"(?=(a+))\\1b|(",
    b"\\1\\g{99}&",
    b"\\n\\x41\\q",
    b"YWJj",
    b"GAc=",
    b"4D5A",
    b".[] | select(. > 1)",
    b"def f: f; f",
    b"[range(1e18)]",
    b"until(false; . + .)",
    b"\xff\xfe",
    b"\xc3",
    b"\x83h\x02d\x00\x01aa\x01",
    b"\x1f\x8b\x08\x00",
    b"\x0a\xff\xff\xff\xff\x0f",
    "Größe 温度 🌡 e\u{301}".as_bytes(),
];

/// A value of any kind, chosen by a sequence of random numbers.
fn any_value<'a>(random: &Random, depth: u32, arena: &'a Arena) -> Value<'a> {
    let pick = |count: usize| (random.next() % count as u64) as usize;
    match pick(if depth > 3 { 9 } else { 12 }) {
        0 => Value::Undefined,
        1 => Value::Null,
        2 => Value::Bool(random.next().is_multiple_of(2)),
        3 => {
            const INTS: [i64; 14] =
                [0, 1, -1, 2, 8, 64, 255, 1000, 1 << 20, 1 << 31, 1_700_000_000, i64::MAX, i64::MIN, -86_400];
            Value::Int(INTS[pick(INTS.len())])
        }
        4 => {
            let limbs = vec![random.next() | 1 << 63; 1 + pick(40)];
            Value::Big(
                arena.alloc(BigInt { negative: random.next().is_multiple_of(2), limbs: arena.slice(&limbs) }),
            )
        }
        5 => {
            const FLOATS: [f64; 9] = [0.0, -0.0, 0.5, -2.5, 1e17, 1e-300, f64::MAX, f64::MIN, 1e300];
            Value::Float(FLOATS[pick(FLOATS.len())])
        }
        6 => Value::Atom("message.publish"),
        7 => Value::Str(TEXTS[pick(TEXTS.len())]),
        8 => {
            let text = TEXTS[pick(TEXTS.len())];
            Value::Str(arena.slice(&text.repeat(1 + pick(3000))))
        }
        9 | 10 => {
            let items: Vec<_> = (0..pick(5)).map(|_| any_value(random, depth + 1, arena)).collect();
            Value::Array(arena.slice(&items))
        }
        _ => {
            const KEYS: [&[u8]; 8] =
                [b"a", b"b", b"metrics", b"bytes_value", b"keys", b"values", b"bits", b"bytes"];
            let first = pick(KEYS.len());
            let entries: Vec<_> = (first..KEYS.len().min(first + pick(4)))
                .map(|at| Entry { key: KEYS[at], value: any_value(random, depth + 1, arena) })
                .collect();
            Value::Map(Map::new(arena.slice(&entries)))
        }
    }
}

/// A list, or a map, in itself so often.
fn nested(depth: usize, arena: &Arena) -> Value<'_> {
    (0..depth).fold(Value::Int(1), |inner, level| match level % 2 {
        0 => Value::Array(arena.slice(&[inner])),
        _ => Value::Map(Map::new(arena.slice(&[Entry { key: b"a", value: inner }]))),
    })
}

fn call_all(seed: u64, arguments: &dyn for<'a> Fn(&Random, &'a Arena) -> Value<'a>) {
    let (random, surroundings, effort) = (Random::new(seed), Surroundings::default(), Effort::default());
    for function in all() {
        for signature in function.signatures {
            let arena = Arena::new();
            let most = signature.params.len() + usize::from(signature.variadic) * 3;
            let count = signature.required + random.next() as usize % (most - signature.required + 1);
            let values: Vec<_> = (0..count).map(|_| arguments(&random, &arena)).collect();
            let context = CallContext {
                arena: &arena,
                columns: None,
                now_micros: 1_700_000_000_123_456,
                random: &random,
                surroundings: &surroundings,
                effort: &effort,
            };
            // What it says is of no interest here.
            let _ = (function.body)(Args::new(&values, &context));
            let taken = arena.bump().allocated_bytes();
            assert!(taken <= TAKEN_BYTES_MAX, "{} takes {taken} bytes for {values:?}", function.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_function_returns(seed in any::<u64>()) {
        call_all(seed, &|random, arena| any_value(random, 0, arena));
    }
}

#[test]
fn every_function_takes_what_is_nested_deeply() {
    for depth in [value::json::DEPTH_MAX, 5000] {
        call_all(depth as u64, &|random, arena| match random.next() % 3 {
            0 => Value::Str(b"a"),
            1 => Value::Int(1),
            _ => nested(depth, arena),
        });
    }
}
