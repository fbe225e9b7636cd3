use bumpalo::collections::Vec;

use super::outline::check_utf8;
use super::{Cursor, JsonError, RawString, Token};
use crate::{Arena, Entry, Map, Value, number};

/// Reads a whole document. Strings without escapes are borrowed from it; everything else goes into the arena.
pub fn parse<'a>(bytes: &'a [u8], arena: &'a Arena) -> Result<Value<'a>, JsonError> {
    check_utf8(bytes)?;
    let mut cursor = Cursor::new(bytes);
    let value = parse_at(&mut cursor, arena);
    match value.and_then(|value| cursor.end().map(|()| value)) {
        Some(value) => Ok(value),
        None => Err(cursor.error()),
    }
}

/// Reads the value at the cursor, and leaves the cursor behind it, or at the fault. The text is known to be UTF-8.
pub fn parse_at<'a>(cursor: &mut Cursor<'a>, arena: &'a Arena) -> Option<Value<'a>> {
    if !matches!(cursor.peek(), b'[' | b'{') {
        let token = cursor.token()?;
        return scalar(cursor, token, arena);
    }
    let mut parser = Parser {
        values: Vec::with_capacity_in(16, arena.bump()),
        entries: Vec::with_capacity_in(16, arena.bump()),
        arena,
    };
    parser.value(cursor, 0)
}

/// Elements of all open arrays and objects stand on two stacks; closing one copies its own into the arena.
struct Parser<'a> {
    values: Vec<'a, Value<'a>>,
    entries: Vec<'a, Entry<'a>>,
    arena: &'a Arena,
}

impl<'a> Parser<'a> {
    fn value(&mut self, cursor: &mut Cursor<'a>, depth: usize) -> Option<Value<'a>> {
        match cursor.token()? {
            Token::Array => self.array(cursor, depth),
            Token::Object => self.object(cursor, depth),
            token => scalar(cursor, token, self.arena),
        }
    }

    fn array(&mut self, cursor: &mut Cursor<'a>, depth: usize) -> Option<Value<'a>> {
        cursor.descend(depth)?;
        if cursor.eat(b']') {
            return Some(Value::Array(&[]));
        }
        let start = self.values.len();
        loop {
            let value = self.value(cursor, depth + 1)?;
            self.values.push(value);
            if !cursor.more(b']')? {
                break;
            }
        }
        let items = self.arena.slice(&self.values[start..]);
        self.values.truncate(start);
        Some(Value::Array(items))
    }

    fn object(&mut self, cursor: &mut Cursor<'a>, depth: usize) -> Option<Value<'a>> {
        cursor.descend(depth)?;
        if cursor.eat(b'}') {
            return Some(Value::Map(Map::default()));
        }
        let start = self.entries.len();
        loop {
            let key = text(cursor.key()?, self.arena);
            let value = self.value(cursor, depth + 1)?;
            self.put(start, Entry { key, value });
            if !cursor.more(b'}')? {
                break;
            }
        }
        let entries = self.arena.slice(&self.entries[start..]);
        self.entries.truncate(start);
        let map = if entries.len() > FEW { unique(entries, self.arena) } else { Map::new(entries) };
        Some(Value::Map(map))
    }

    /// Doubled keys are sought one by one while there are few, and by sorting at the end where there are many.
    fn put(&mut self, start: usize, entry: Entry<'a>) {
        let own = &mut self.entries[start..];
        if own.len() <= FEW
            && let Some(earlier) = own.iter_mut().find(|earlier| earlier.key == entry.key)
        {
            earlier.value = entry.value;
        } else {
            self.entries.push(entry);
        }
    }
}

/// Objects with at most this many keys are searched one by one.
const FEW: usize = 16;

/// A map of entries in which keys may be doubled: the last one of each stays.
fn unique<'a>(entries: &'a [Entry<'a>], arena: &'a Arena) -> Map<'a> {
    let mut order = Vec::from_iter_in(0..entries.len(), arena.bump());
    order.sort_unstable_by(|a, b| entries[*a].key.cmp(entries[*b].key).then(a.cmp(b)));
    if order.windows(2).all(|pair| entries[pair[0]].key != entries[pair[1]].key) {
        return Map::new(entries);
    }
    let last = |at: &usize| match order.get(at + 1) {
        Some(next) => entries[order[*at]].key != entries[*next].key,
        None => true,
    };
    let mut kept = Vec::from_iter_in((0..order.len()).filter(last).map(|at| order[at]), arena.bump());
    kept.sort_unstable();
    let kept = Vec::from_iter_in(kept.iter().map(|at| entries[*at]), arena.bump());
    Map::new(kept.into_bump_slice())
}

#[inline]
fn scalar<'a>(cursor: &mut Cursor<'a>, token: Token<'a>, arena: &'a Arena) -> Option<Value<'a>> {
    let value = match token {
        Token::Null | Token::Array | Token::Object => Some(Value::Null),
        Token::Bool(value) => Some(Value::Bool(value)),
        Token::Int(digits) => number::parse_int(digits, arena),
        Token::Float(digits) => number::parse_float(digits),
        Token::Str(raw) => return Some(Value::Str(text(raw, arena))),
    };
    if value.is_none() {
        return cursor.fail("the number is out of range");
    }
    value
}

/// The text of a string, borrowed where nothing in it is escaped.
#[inline]
fn text<'a>(string: RawString<'a>, arena: &'a Arena) -> &'a [u8] {
    if string.escaped { unescaped(string, arena) } else { string.raw }
}

#[cold]
fn unescaped<'a>(string: RawString<'a>, arena: &'a Arena) -> &'a [u8] {
    let mut out = Vec::with_capacity_in(string.raw.len(), arena.bump());
    string.unescape(|part| out.extend_from_slice_copy(part));
    out.into_bump_slice()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json;

    fn round(text: &str) -> Result<String, JsonError> {
        let arena = Arena::new();
        let mut out = std::vec::Vec::new();
        json::write(&parse(text.as_bytes(), &arena)?, &mut out);
        Ok(String::from_utf8(out).expect("writes UTF-8"))
    }

    #[test]
    fn keeps_numbers_exactly() {
        for text in ["0", "-5", "9223372036854775808", "-123456789012345678901234567890", "1.5", "100.0"] {
            assert_eq!(round(text).as_deref(), Ok(text));
        }
        assert_eq!(round("-0").as_deref(), Ok("0"));
        assert_eq!(round("1e2").as_deref(), Ok("100.0"));
        assert!(round("1e400").is_err());
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in [
            "",
            " ",
            "01",
            "+1",
            ".5",
            "5.",
            "1e",
            "NaN",
            "{'a':1}",
            "[1,2",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\"}",
            "tru",
            "\"\\ud83d\"",
            "\"\\x\"",
            "\"\n\"",
            "\u{feff}1",
            "1 2",
            "// c\n1",
            "\"a",
            "\"\\u12",
        ] {
            assert!(round(text).is_err(), "{text:?}");
        }
        assert!(parse(b"\"\xff\"", &Arena::new()).is_err());
    }

    #[test]
    fn takes_the_last_of_doubled_keys() {
        assert_eq!(round(r#"{"a":1,"b":2,"a":3}"#).as_deref(), Ok(r#"{"a":3,"b":2}"#));
        let many: std::vec::Vec<String> = (0..40).map(|n| format!("\"k{}\":{n}", n % 20)).collect();
        let text = round(&format!("{{{}}}", many.join(","))).expect("JSON");
        assert!(text.contains("\"k3\":23") && !text.contains("\"k3\":3,"), "{text}");
    }

    #[test]
    fn resolves_escapes() {
        assert_eq!(round(r#""\u00e9\ud83c\udf21\n\/""#).as_deref(), Ok("\"é🌡\\n/\""));
    }

    #[test]
    fn bounds_depth_without_overflow() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(round(&deep(json::DEPTH_MAX)).is_ok());
        assert!(round(&deep(json::DEPTH_MAX + 1)).is_err());
        assert!(round(&"[".repeat(100_000)).is_err());
        assert!(Cursor::new("{\"a\":".repeat(100_000).as_bytes()).skip(0).is_none());
    }

    fn documents() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Into::into),
            ".{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                proptest::collection::hash_map(".{0,6}", inner, 0..20)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_an_independent_reader(document in documents()) {
            let text = document.to_string();
            let back: serde_json::Value = serde_json::from_str(&round(&text).expect("JSON")).expect("JSON");
            prop_assert_eq!(back.to_string(), serde_json::from_str::<serde_json::Value>(&text).expect("JSON").to_string());
        }

        #[test]
        fn skipping_and_reading_accept_the_same(text in r#"[\[\]{}",:0-9.eE+\-\\truefalsn ]{0,40}"#) {
            let arena = Arena::new();
            let mut cursor = Cursor::new(text.as_bytes());
            let skipped = cursor.skip(0).and_then(|_| cursor.end()).is_some();
            let read = parse(text.as_bytes(), &arena);
            prop_assert_eq!(skipped, read.is_ok());
        }
    }
}
