use proptest::prelude::*;

use super::marks::Marks;
use super::walk::Walk;
use super::*;
use crate::json::DEPTH_MAX;
use crate::json::Name;
use crate::json::lanes::Lanes;
use crate::{Value, json};

/// What the cursor, which goes byte by byte, says of a document.
pub(in crate::json) fn by_cursor(bytes: &[u8]) -> Result<(), JsonError> {
    check_utf8(bytes)?;
    let mut cursor = Cursor::new(bytes);
    cursor.skip(0).and_then(|_| cursor.end()).ok_or_else(|| cursor.error())
}

/// The document, read by following the outline alone.
fn read<'a>(outline: &Outline<'a>, place: Place, arena: &'a Arena) -> String {
    match outline.document().first_byte(place) {
        b'{' => {
            let entries = outline.entries(place).map(|(key, value)| {
                let mut name = std::vec::Vec::new();
                key.unescape(|part| name.extend_from_slice(part));
                let mut shown = std::vec::Vec::new();
                json::write_string(&name, &mut shown);
                format!("{}:{}", String::from_utf8(shown).expect("UTF-8"), read(outline, value, arena))
            });
            format!("{{{}}}", entries.collect::<std::vec::Vec<_>>().join(","))
        }
        b'[' => {
            let items = outline.items(place).map(|item| read(outline, item, arena));
            format!("[{}]", items.collect::<std::vec::Vec<_>>().join(","))
        }
        _ => shown(&outline.document().read(place, arena).value),
    }
}

fn shown(value: &Value<'_>) -> String {
    let mut out = std::vec::Vec::new();
    json::write(value, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// Holds the walk of every machine against the cursor, and the way through the document against a full read.
fn check(bytes: &[u8]) {
    let arena = Arena::new();
    let expected = by_cursor(bytes);
    let outline = Outline::new(bytes, &arena);
    assert_eq!(outline.map(|_| ()), expected, "{:?}", String::from_utf8_lossy(bytes));
    if let Ok(outline) = outline {
        // A reader that keeps doubled keys would be needed to compare documents that have some.
        let full = shown(&json::parse(bytes, &arena).expect("JSON"));
        let followed = read(&outline, outline.root(), &arena);
        let again = shown(&json::parse(followed.as_bytes(), &arena).expect("JSON"));
        assert_eq!(again, full);
    }
    if !matches!(Cursor::new(bytes).peek(), b'{' | b'[') {
        return;
    }
    assert_eq!(closes::<crate::json::lanes::Words>(bytes), expected.is_ok());
    #[cfg(target_arch = "x86_64")]
    assert_eq!(closes::<crate::json::lanes::Sse2>(bytes), expected.is_ok());
}

/// Whether one machine takes the document for well-formed.
fn closes<L: Lanes>(bytes: &[u8]) -> bool {
    let mut marks = vec![Marks::default(); bytes.len().div_ceil(WIDTH)];
    let mut walk = Walk::new(bytes);
    let last = walk.run_on::<L>(&mut marks);
    let whole = last.is_some_and(|last| Cursor::within(bytes, last + 1).end().is_some());
    whole && (!walk.beyond_ascii || std::str::from_utf8(bytes).is_ok())
}

/// The same at every place within a block, and with white space of every sort between tokens.
fn check_everywhere(text: &str) {
    for shift in 0..if cfg!(miri) { 3 } else { 70 } {
        check(format!("{}{text}", " ".repeat(shift)).as_bytes());
        check(format!("[\"{}\",{text}]", "x".repeat(shift)).as_bytes());
    }
    for space in
        [" ", "\n", "\t \r\n", "                                                                       "]
    {
        let spaced: String = text
            .chars()
            .flat_map(|char| match char {
                '{' | '}' | '[' | ']' | ',' | ':' => {
                    vec![space.to_owned(), char.to_string(), space.to_owned()]
                }
                char => vec![char.to_string()],
            })
            .flat_map(|part| part.chars().collect::<std::vec::Vec<_>>())
            .collect();
        check(spaced.as_bytes());
    }
}

#[test]
fn accepts_what_the_cursor_accepts() {
    for text in [
        "{}",
        "[]",
        "[[]]",
        "{\"a\":{}}",
        "{\"\":\"\"}",
        "[0,-0,1.5,-10.25,1e5,1E+5,1e-05,0e0,123456789012345678901234567890]",
        "[true,false,null]",
        "{\"a\":[1,{\"b\":null},\"c\"],\"d\":\"e,:{}[]\"}",
        "[\"\\\"\",\"\\\\\",\"\\\\\\\"\"]",
        "[\"\\u00e9\\ud83c\\udf21\\n\\/\"]",
        "{\"é\":\"🌡\"}",
        "[1.0,2.0]",
        "[\"a\",\"b\"]",
    ] {
        check_everywhere(text);
    }
}

#[test]
fn refuses_what_the_cursor_refuses() {
    for text in [
        "[",
        "{",
        "[1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,,2]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{1:2}",
        "{\"a\":1:2}",
        "[\"a\":1]",
        "[1:2]",
        "{\"a\",\"b\":1}",
        "[}",
        "{]",
        "[]]",
        "[][]",
        "[]1",
        "[],[]",
        "{}:1",
        "[1]\"\"",
        "[01]",
        "[-01]",
        "[-]",
        "[--1]",
        "[1-1]",
        "[1.]",
        "[.5]",
        "[1.2.3]",
        "[1..2]",
        "[1e]",
        "[1e+]",
        "[1e5.5]",
        "[1e999]",
        "[+1]",
        "[1+1]",
        "[e5]",
        "[tru]",
        "[truee]",
        "[true1]",
        "[1true]",
        "[truefalse]",
        "[nul,l]",
        "[True]",
        "[NaN]",
        "[\"a]",
        "[\"a\"\"b\"]",
        "[\"a\"1]",
        "[1\"a\"]",
        "[true\"a\"]",
        "[\"\\x\"]",
        "[\"\\u12\"]",
        "[\"\\ud83c\"]",
        "[\"\\udf21\"]",
        "[\\n]",
        "[\"\n\"]",
        "[\"\u{1}\"]",
        "[\u{1}]",
        "[é]",
        "[1\u{a0}]",
        "[#]",
        "[1/2]",
        "['a']",
        "[1]//",
        "[\\\"a\"]",
        "[\\]",
        "[a]",
        "[@]",
        "[1_000]",
    ] {
        check_everywhere(text);
    }
    check(b"[\"\xff\"]");
    check(b"{\"a\":\"\xc3\"}");
}

#[test]
fn bounds_depth_as_the_cursor_does() {
    for levels in [63, 64, 65, DEPTH_MAX - 1, DEPTH_MAX, DEPTH_MAX + 1, 5000] {
        check(format!("{}{}", "[".repeat(levels), "]".repeat(levels)).as_bytes());
        check(format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels)).as_bytes());
    }
}

#[test]
fn takes_numbers_of_any_length_as_the_cursor_does() {
    for digits in [60, 62, 63, 64, 65, 127, 128, 129, 300, 301, 400, 20_000] {
        for text in [
            "1".repeat(digits),
            format!("-{}", "1".repeat(digits)),
            format!("0.{}", "1".repeat(digits)),
            format!("{}.5", "1".repeat(digits)),
            format!("{}.5.5", "1".repeat(digits)),
            format!("{}e5", "1".repeat(digits)),
            format!("0{}", "1".repeat(digits)),
        ] {
            check(format!("[{text}]").as_bytes());
            check(format!("[{text},{text}, 1]").as_bytes());
            check(format!("[\"{}\",{text}]", "x".repeat(digits % 64)).as_bytes());
        }
    }
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(vec!["{", "}", "[", "]", ",", ":", "\"a\"", "\"b\":", "1", "-2.5"]),
        1 => proptest::sample::select(vec![
            " ", "\n", "\"\"", "true", "false", "null", "0", "1e5", "1e-05", "\"", "\\", "\\\"", ".", "-", "é", "\"\\u0061\"", "e",
            "[1,2]", "{\"k\":[]}", "                                                            ",
        ]),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

pub(in crate::json) fn documents() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Into::into),
        "[ -~é\\n\"\\\\]{0,80}".prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 60, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            proptest::collection::hash_map("[a-c\"\\\\]{0,3}|[a-cé]{6,10}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 1024 }))]

    #[test]
    fn agrees_on_anything(text in pieces()) {
        check(text.as_bytes());
        check(format!("[{text}]").as_bytes());
        check(format!("{{\"a\":[{text}]}}").as_bytes());
    }

    #[test]
    fn agrees_on_documents_with_a_fault(
        document in documents(),
        pretty in any::<bool>(),
        at in any::<proptest::sample::Index>(),
        byte in proptest::sample::select(b"{}[],:\"\\0123456789-+.eE tfn\n\x01\xc3".to_vec()),
        cut in any::<bool>(),
    ) {
        let text = if pretty { format!("{document:#}") } else { document.to_string() };
        check(text.as_bytes());
        prop_assert!(Outline::new(text.as_bytes(), &Arena::new()).is_ok());
        let mut broken = text.into_bytes();
        let at = at.index(broken.len());
        broken[at] = byte;
        check(&broken);
        if cut {
            broken.truncate(at);
            check(&broken);
        }
    }

    #[test]
    fn agrees_with_an_independent_reader(text in pieces()) {
        // It knows neither our bound on depth nor refuses large exponents otherwise than we do.
        let independent = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        prop_assert_eq!(Outline::new(text.as_bytes(), &Arena::new()).is_ok(), independent, "{}", text);
    }

    #[test]
    fn finds_the_names_that_the_entries_have(document in documents(), pretty in any::<bool>()) {
        let text = if pretty { format!("{document:#}") } else { document.to_string() };
        let arena = Arena::new();
        let outline = Outline::new(text.as_bytes(), &arena).expect("JSON");
        let fixed = ["", "a", "b", "cc", "aaaaaaa", "aaaaaaaa", "aaaaaaaab", "a\":1,\"b", "a\"", "\\"].map(str::to_owned);
        let own = document.as_object().into_iter().flat_map(|map| map.keys().cloned());
        let names: std::collections::BTreeSet<String> = own.chain(fixed).collect();
        let wanted: std::vec::Vec<_> = names.iter().zip(0..).map(|(name, at)| (Name::new(name.as_bytes()), at)).collect();
        let mut found = std::vec::Vec::new();
        let end = outline.find(outline.root(), &wanted, |at: usize, place| found.push((at, place)));
        let all = outline.entries(outline.root());
        let expected: std::vec::Vec<_> = all
            .filter_map(|(key, place)| Some((names.iter().position(|name| key.is(name.as_bytes()))?, place)))
            .collect();
        prop_assert_eq!(found, expected, "{}", text);
        prop_assert!(end.is_none_or(|end| end == text.len()));
    }
}

#[test]
fn doubled_keys_are_found_twice_and_nested_ones_not() {
    let arena = Arena::new();
    let text = br#"{"k": 1, "in": {"k": 2, "l": [{"k": 3}]}, "\u006b": 4, "k" : [5] }"#;
    let outline = Outline::new(text, &arena).expect("JSON");
    let found = |name: &str| {
        let mut found = std::vec::Vec::new();
        outline.find(outline.root(), &[(Name::new(name.as_bytes()), ())], |(), place| {
            found.push(shown(&outline.document().read(place, &arena).value));
        });
        found
    };
    assert_eq!(found("k"), ["1", "4", "[5]"]);
    assert_eq!(found("in"), [r#"{"k":2,"l":[{"k":3}]}"#]);
    assert_eq!(found("l"), [""; 0]);
    assert_eq!(found("\\u006b"), [""; 0]);
}
