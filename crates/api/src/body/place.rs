//! Where a setting stands in the JSON of a request.

use std::ops::Range;

use config::{Part, SettingPath, Step};

/// The bytes of `json` in which a setting stands: its value, its key, or a part of its text; of a key that is missing the
/// table that lacks it. `None` where the path leads nowhere.
///
/// `json` has been read before, so it is known to be JSON: this only walks along it, once for each step.
pub(crate) fn find(json: &str, path: &SettingPath) -> Option<Range<usize>> {
    let walk = Walk { bytes: json.as_bytes() };
    let steps = match path.part {
        Part::Missing => path.steps.get(..path.steps.len().checked_sub(1)?)?,
        Part::Value | Part::Key | Part::Text(_) => &path.steps,
    };
    let mut at = walk.blanks(0);
    let mut key = None;
    for step in steps {
        (key, at) = match step {
            Step::Key(name) => walk.entry(json, at, name).map(|(key, value)| (Some(key), value))?,
            Step::Item(item) => (None, walk.item(at, *item)?),
        };
    }
    let value = at..walk.end(at);
    match &path.part {
        Part::Key => Some(key.unwrap_or(value)),
        Part::Text(range) => Some(part_of(json, &value, range).unwrap_or(value)),
        Part::Value | Part::Missing => Some(value),
    }
}

/// The bytes `range` of a text, where it stands without escapes between its quotes.
fn part_of(json: &str, value: &Range<usize>, range: &Range<usize>) -> Option<Range<usize>> {
    let inside = json.get(value.start + 1..value.end.checked_sub(1)?)?;
    let part = value.start + 1 + range.start..value.start + 1 + range.end;
    (!inside.contains('\\') && part.end < value.end).then_some(part)
}

struct Walk<'j> {
    bytes: &'j [u8],
}

impl Walk<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn blanks(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\t' | b'\r' | b'\n') {
            at += 1;
        }
        at
    }

    /// One past the string that begins at `at`.
    fn string(&self, at: usize) -> usize {
        let mut end = at + 1;
        while end < self.bytes.len() {
            match self.byte(end) {
                b'"' => return end + 1,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        self.bytes.len()
    }

    /// One past the value that begins at `at`.
    fn end(&self, mut at: usize) -> usize {
        let mut open = 0_usize;
        while at < self.bytes.len() {
            match self.byte(at) {
                b'"' => at = self.string(at),
                b'{' | b'[' => {
                    open += 1;
                    at += 1;
                    continue;
                }
                b'}' | b']' => {
                    open = open.saturating_sub(1);
                    at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => {
                    at += 1;
                    continue;
                }
                _ => {
                    while !matches!(self.byte(at), b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' | 0) {
                        at += 1;
                    }
                }
            }
            if open == 0 {
                break;
            }
        }
        at.min(self.bytes.len())
    }

    /// Key and beginning of the value of the last entry `name` of the object that begins at `at`: of doubled keys the last
    /// counts.
    fn entry(&self, json: &str, at: usize, name: &str) -> Option<(Range<usize>, usize)> {
        let mut found = None;
        let mut at = self.blanks((self.byte(at) == b'{').then_some(at + 1)?);
        while self.byte(at) == b'"' {
            let key = at..self.string(at);
            let value = self.blanks(self.blanks(key.end) + 1);
            if serde_json::from_str::<String>(json.get(key.clone())?).is_ok_and(|key| key == name) {
                found = Some((key, value));
            }
            at = self.blanks(self.end(value));
            at = if self.byte(at) == b',' { self.blanks(at + 1) } else { break };
        }
        found
    }

    /// The beginning of an item of the list that begins at `at`, counted without those that are `null`. One value stands for
    /// a list of one.
    fn item(&self, at: usize, item: usize) -> Option<usize> {
        if self.byte(at) != b'[' {
            return (item == 0).then_some(at);
        }
        let (mut at, mut left) = (self.blanks(at + 1), item);
        while !matches!(self.byte(at), b']' | 0) {
            match (self.byte(at), left) {
                (b'n', _) => {}
                (_, 0) => return Some(at),
                _ => left -= 1,
            }
            at = self.blanks(self.end(at));
            at = if self.byte(at) == b',' { self.blanks(at + 1) } else { break };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#" { "server" : "h:1", "ssl": {"enable" : 1, "en\u0061ble":[true ] },
        "ids": [null, "a", { "clientid": "\"}]" , "n": -1.5e3 }], "topic": "a/${t}", "esc": "\n${t}" } "#;

    fn found(steps: &[&str], part: Part) -> Option<&'static str> {
        let steps = steps.iter().map(|step| match step.parse() {
            Ok(item) => Step::Item(item),
            Err(_) => Step::Key((*step).to_owned()),
        });
        find(BODY, &SettingPath { steps: steps.collect(), part }).map(|range| &BODY[range])
    }

    #[test]
    fn a_path_leads_to_what_stands_there() {
        for (steps, text) in [
            (&["server"][..], "\"h:1\""),
            // Of doubled keys the last, also where one of them is escaped.
            (&["ssl", "enable"], "[true ]"),
            (&["ssl", "enable", "0"], "true"),
            (&["ids", "0"], "\"a\""),
            (&["ids", "1", "clientid"], r#""\"}]""#),
            (&["ids", "1", "n"], "-1.5e3"),
            (&["topic", "0"], "\"a/${t}\""),
        ] {
            assert_eq!(found(steps, Part::Value), Some(text), "{steps:?}");
        }
        assert_eq!(found(&["ids"], Part::Key), Some("\"ids\""));
        assert_eq!(found(&["topic"], Part::Text(2..6)), Some("${t}"));
        assert_eq!(found(&["esc"], Part::Text(1..5)), Some(r#""\n${t}""#), "where it is escaped, the whole");
        assert_eq!(
            found(&["ids", "1", "password"], Part::Missing),
            Some(r#"{ "clientid": "\"}]" , "n": -1.5e3 }"#)
        );
        assert_eq!(found(&["password"], Part::Missing), Some(BODY.trim()));
        for nowhere in [&["nothing"][..], &["server", "x"], &["ids", "7"], &["server", "1"]] {
            assert_eq!(found(nowhere, Part::Value), None, "{nowhere:?}");
        }
    }

    proptest::proptest! {
        /// Every value of any JSON is found where serde_json reads the same.
        #[test]
        fn what_is_found_is_the_value(keys in proptest::collection::vec("[a-c\"\\\\ \u{e9}]{0,3}", 1..6), pretty: bool) {
            let mut inner = serde_json::json!(["x\"", -1.5, null, {"k": true}]);
            for key in &keys {
                inner = serde_json::json!({"other": ["{", "]"], key: inner});
            }
            let json = if pretty { serde_json::to_string_pretty(&inner) } else { serde_json::to_string(&inner) }.unwrap();
            let mut path = SettingPath::default();
            let mut expected = &inner;
            for key in keys.iter().rev() {
                path.steps.push(Step::Key(key.clone()));
                expected = &expected[key];
                let range = find(&json, &path).unwrap();
                proptest::prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&json[range]).unwrap(), expected);
            }
        }
    }
}
