use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::json::Outline;
use crate::json::outline::tests::{by_cursor, documents};
use crate::json::windows::{Plain, Single};

/// The places of all values of a document, in its order, and one that is nowhere.
fn places(outline: &Outline<'_>) -> Vec<Place> {
    fn walk(outline: &Outline<'_>, place: Place, all: &mut Vec<Place>) {
        all.push(place);
        outline.entries(place).for_each(|(_, value)| walk(outline, value, all));
        outline.items(place).for_each(|item| walk(outline, item, all));
    }
    let mut all = vec![Place::NOWHERE];
    walk(outline, outline.root(), &mut all);
    all
}

fn learned(text: &[u8]) -> Option<Shape> {
    let arena = Arena::new();
    let outline = Outline::new(text, &arena).expect("JSON");
    Shape::new(outline.document(), places(&outline))
}

fn shape(text: &[u8]) -> Shape {
    learned(text).expect("it is small")
}

/// Holds what every machine finds in a document by the shape of another one against the full check. Whether it fits.
fn check(shape: &Shape, bytes: &[u8]) -> bool {
    let arena = Arena::new();
    // Exactly as much memory as there are bytes.
    let bytes: Box<[u8]> = bytes.into();
    let found = shape.fit(&bytes, &arena).map(|fit| fit.places).ok();
    for other in [shape.fit_on::<Plain>(&bytes, &arena), shape.fit_on::<Single>(&bytes, &arena)] {
        assert_eq!(other.map(|fit| fit.places).ok(), found);
    }
    if let Some(found) = found {
        assert_eq!(by_cursor(&bytes), Ok(()), "{:?}", String::from_utf8_lossy(&bytes));
        let outline = Outline::new(&bytes, &arena).expect("JSON");
        assert_eq!(found, places(&outline), "{:?}", String::from_utf8_lossy(&bytes));
    }
    found.is_some()
}

/// The same keys and brackets with other scalars, taken in turns.
fn varied(document: &Value, scalars: &mut impl Iterator<Item = Value>) -> Value {
    match document {
        Value::Array(items) => items.iter().map(|item| varied(item, scalars)).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), varied(value, scalars))).collect()
        }
        _ => scalars.next().expect("they come round"),
    }
}

fn text(document: &Value, pretty: bool) -> String {
    if pretty { format!("{document:#}") } else { document.to_string() }
}

const SCALARS: &[&str] = &[
    "0",
    "7",
    "-0",
    "10",
    "-1",
    "123456",
    "0.5",
    "-12.75",
    "1e5",
    "2E-7",
    "1.5e+3",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\"",
    "\"some text that goes on for more than one window of bytes\"",
    "\"\\\"\"",
    "\"\\\\\"",
    "\"\\u00e9\"",
    "\"é\"",
    "\"🌡\"",
    "12345678901234567890123456789012345678901234567890",
    "0.1234567890123456789012345678901234567890",
    "\"\u{7f}\"",
    "1234567890123456789012345678901",
    "1.234567890123456789012345678901",
];

const NOT_SCALARS: &[&str] = &[
    "",
    "00",
    "01",
    "-",
    "-01",
    "1.",
    ".5",
    "1.e5",
    "1e",
    "1e+",
    "1e999",
    "+1",
    "1 2",
    "tru",
    "truee",
    "nul",
    "True",
    "NaN",
    "\"",
    "\"\\\"",
    "\"\\x\"",
    "\"\\ud83c\"",
    "\"\n\"",
    "\"a\"\"",
    "\"a\"b\"",
    "{}",
    "[]",
    "1,2",
    "'a'",
    "1]",
    "[1",
    "\u{a0}",
];

#[test]
fn any_scalar_may_stand_for_any_other() {
    for shift in if cfg!(miri) { 0..1 } else { 0..40 } {
        let within =
            |scalar: &str| format!("[\"{}\",{{\"k\" : {scalar} , \"l\":[{scalar}]}}]", "x".repeat(shift));
        for first in SCALARS.iter().step_by(if cfg!(miri) { 5 } else { 1 }) {
            let bare = |scalar: &[u8]| [b"[", scalar, b"]"].concat();
            let shapes = [shape(within(first).as_bytes()), shape(&bare(first.as_bytes()))];
            for second in SCALARS {
                assert!(check(&shapes[0], within(second).as_bytes()), "{first} {second}");
                assert!(check(&shapes[1], &bare(second.as_bytes())), "{first} {second}");
            }
            for second in NOT_SCALARS {
                assert!(!check(&shapes[0], within(second).as_bytes()), "{first} {second}");
                assert!(!check(&shapes[1], &bare(second.as_bytes())), "{first} {second}");
            }
            // Not UTF-8.
            for wrong in [&b"\"\xff\""[..], b"\"\xc3\"", b"\"\xed\xa0\x80\"", b"\xff"] {
                assert!(!check(&shapes[1], &bare(wrong)));
            }
        }
    }
}

#[test]
fn numbers_stay_in_range_and_digits_behind_zero_are_none() {
    for (first, second) in [
        ("[10]", "[00]"),
        ("[-10]", "[-00]"),
        ("[10.5]", "[01.5]"),
        ("[1e99]", "[9e999]"),
        ("[1e308]", "[9e308]"),
        ("[1.5E308]", "[9.5E308]"),
    ] {
        assert!(!check(&shape(first.as_bytes()), second.as_bytes()), "{second}");
    }
    let long = |digit: &str, digits| format!("[{}.5]", digit.repeat(digits));
    assert!(check(&shape(long("1", 308).as_bytes()), long("2", 307).as_bytes()));
    assert!(!check(&shape(long("1", 309).as_bytes()), long("2", 309).as_bytes()));
}

#[test]
fn keys_brackets_and_white_space_stay() {
    let shape = shape(br#"{"a":{"b":[1,true]},"c":"x"}"#);
    for other in [
        r#"{"a":{"b":[1,true]},"d":"x"}"#,
        r#"{"a":{"b":[1,true,2]},"c":"x"}"#,
        r#"{"a":{"b":[1]},"c":"x"}"#,
        r#"{"a":{"b":[1, true]},"c":"x"}"#,
        r#"{"a":{"b":[1,[]]},"c":"x"}"#,
        r#"{"a":{"b":[1,true]},"c":"x"} "#,
        r#"{"a":{"b":[1,true]},"c":"x","c":"x"}"#,
        r#"{"a":{"b":[1,true]},"c":"x""#,
        r#"{"a":{"b":[1,true]}}"#,
        "",
        "{}",
    ] {
        assert!(!check(&shape, other.as_bytes()), "{other}");
    }
    assert!(check(&shape, br#"{"a":{"b":["x",null]},"c":"c\":1,\"d"}"#));
}

#[test]
fn large_documents_and_scalars_are_not_learned() {
    let arena = Arena::new();
    let long = format!("[{}1]", "1,".repeat(Shape::BYTES_MAX / 2));
    assert!(learned(long.as_bytes()).is_none());
    let outline = Outline::new(b"[]", &arena).expect("JSON");
    let places = |count| vec![outline.root(); count];
    assert!(learned(b" 5").is_none());
    assert!(Shape::new(outline.document(), places(Shape::PLACES_MAX)).is_some());
    assert!(Shape::new(outline.document(), places(Shape::PLACES_MAX + 1)).is_none());
}

fn scalars() -> impl Strategy<Value = Vec<Value>> {
    let scalar = prop_oneof![
        4 => any::<i16>().prop_map(|int| (f64::from(int) / 10.0).into()),
        2 => any::<i64>().prop_map(Into::into),
        4 => "[ -~]{0,9}".prop_map(Into::into),
        1 => "[ -~é\\n\"\\\\]{0,80}".prop_map(Into::into),
        1 => any::<bool>().prop_map(Into::into),
        1 => Just(Value::Null),
        1 => any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Into::into),
    ];
    proptest::collection::vec(scalar, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 2048 }))]

    #[test]
    fn documents_with_other_scalars_fit(document in documents(), scalars in scalars(), pretty in any::<bool>(), shift in 0usize..70) {
        let other = varied(&document, &mut scalars.into_iter().cycle());
        let space = " ".repeat(shift);
        let shape = learned(format!("{space}{}", text(&document, pretty)).as_bytes());
        prop_assert_eq!(shape.is_some(), document.is_object() || document.is_array());
        let Some(shape) = shape else { return Ok(()) };
        let other = format!("{space}{}", text(&other, pretty));
        prop_assert!(check(&shape, other.as_bytes()), "{}", other);
    }

    #[test]
    fn nothing_fits_that_is_not_json_or_is_elsewhere(
        document in documents(),
        scalars in scalars(),
        pretty in any::<bool>(),
        edits in proptest::collection::vec((
            any::<proptest::sample::Index>(),
            proptest::sample::select(b"{}[],:\"\\0123456789-+.eE tfn\n\x01\x7f\x80\xc3\xff".to_vec()),
            0..4,
        ), 1..4),
    ) {
        let document = Value::Array(vec![document]);
        let shape = shape(text(&document, pretty).as_bytes());
        let mut scalars = scalars.into_iter().cycle();
        let mut bytes = text(&varied(&document, &mut scalars), pretty).into_bytes();
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len().max(1));
            match edit {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => bytes.push(byte),
            }
            check(&shape, &bytes);
        }
    }
}
