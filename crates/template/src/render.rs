//! Segments to bytes.

use value::{Arena, Value, json, path, text};

use crate::{Placeholder, Segment, Step, Template};

/// What names stand for.
pub trait Scope {
    /// The row: what `${.}` stands for, and where names are looked up first.
    fn row<'a>(&'a self, arena: &'a Arena) -> Value<'a>;

    /// What the row has under a name; `None` where it has nothing of that name.
    fn selected<'a>(&'a self, name: &str, arena: &'a Arena) -> Option<Value<'a>> {
        match self.row(arena) {
            Value::Map(row) => row.get(name.as_bytes()),
            _ => None,
        }
    }

    /// Appends the row as JSON.
    fn write_row(&self, arena: &Arena, out: &mut Vec<u8>) {
        json::write(&self.row(arena), out);
    }

    /// What a name stands for that the row does not have: a column of the event. `Undefined` where there is none.
    fn get<'a>(&'a self, name: &str, arena: &'a Arena) -> Value<'a>;
}

/// What a placeholder prints that has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Nothing.
    Empty,
    /// The word `undefined`.
    Undefined,
}

impl Template {
    /// Appends the text for one row. Strings are passed on byte by byte, floats have at most ten decimals, arrays and
    /// maps are JSON.
    pub fn render(&self, scope: &dyn Scope, missing: Missing, arena: &Arena, out: &mut Vec<u8>) {
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => out.extend_from_slice(text.as_bytes()),
                Segment::Row => scope.write_row(arena, out),
                Segment::Placeholder(placeholder) => match placeholder.value(scope, arena) {
                    Value::Undefined if missing == Missing::Empty => {}
                    value => text::write(&value, out),
                },
            }
        }
    }

    /// The value itself where the template is one placeholder and nothing else: `${qos}` as a number. `None` otherwise.
    pub fn value<'a>(&self, scope: &'a dyn Scope, arena: &'a Arena) -> Option<Value<'a>> {
        match &*self.segments {
            [Segment::Placeholder(placeholder)] => Some(placeholder.value(scope, arena)),
            [Segment::Row] => Some(scope.row(arena)),
            _ => None,
        }
    }
}

impl Placeholder {
    fn value<'a>(&self, scope: &'a dyn Scope, arena: &'a Arena) -> Value<'a> {
        let selected = scope.selected(&self.root, arena);
        let root = selected.unwrap_or_else(|| scope.get(&self.root, arena));
        self.steps.iter().fold(root, |value, step| {
            let step = match step {
                Step::Key(key) => path::Step::Key(key.as_bytes()),
                Step::Index(index) => path::Step::Index(*index),
            };
            path::get_step(value, step, arena)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use value::{Entry, Map};

    struct Fixed<'a>(Value<'a>);

    impl Scope for Fixed<'_> {
        fn row<'a>(&'a self, _arena: &'a Arena) -> Value<'a> {
            self.0
        }

        fn get<'a>(&'a self, name: &str, _arena: &'a Arena) -> Value<'a> {
            if name == "topic" { Value::text("t/1") } else { Value::Undefined }
        }
    }

    fn rendered(template: &str, missing: Missing) -> String {
        let (template, diagnostics) = Template::parse(template);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let list = [Value::Int(7), Value::Float(0.1)];
        let row = [
            Entry { key: b"payload", value: Value::text(r#"{"a": {"b": 5}, "l": [1, 2]}"#) },
            Entry { key: b"list", value: Value::Array(&list) },
            Entry { key: b"clientid", value: Value::text("c1") },
        ];
        let mut out = Vec::new();
        template.render(&Fixed(Value::Map(Map::new(&row[1..]))), missing, &Arena::new(), &mut out);
        if template.placeholders().any(|placeholder| placeholder.root() == "payload") {
            out.clear();
            template.render(&Fixed(Value::Map(Map::new(&row))), missing, &Arena::new(), &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_row_wins_and_the_event_supplies_the_rest() {
        assert_eq!(rendered("pub/${topic}/${clientid}", Missing::Empty), "pub/t/1/c1");
    }

    #[test]
    fn strings_on_the_way_are_read_as_json() {
        assert_eq!(
            rendered("${payload.a.b} ${payload.l[-1]} ${payload.a}", Missing::Empty),
            r#"5 2 {"b":5}"#
        );
    }

    #[test]
    fn what_is_missing_prints_as_the_action_wants() {
        assert_eq!(rendered("<${nope}${list[9]}>", Missing::Empty), "<>");
        assert_eq!(rendered("<${nope}>", Missing::Undefined), "<undefined>");
    }

    #[test]
    fn the_row_is_json() {
        assert_eq!(rendered("${.}", Missing::Empty), r#"{"list":[7,0.1],"clientid":"c1"}"#);
    }

    #[test]
    fn bytes_pass_unchanged() {
        let (template, _) = Template::parse("${b}");
        let row = [Entry { key: b"b", value: Value::Str(&[0xff, 0]) }];
        let mut out = Vec::new();
        template.render(&Fixed(Value::Map(Map::new(&row))), Missing::Empty, &Arena::new(), &mut out);
        assert_eq!(out, [0xff, 0]);
    }

    #[test]
    fn a_lone_placeholder_has_a_value() {
        let (template, _) = Template::parse("${qos}");
        let row = [Entry { key: b"qos", value: Value::Int(2) }];
        let scope = Fixed(Value::Map(Map::new(&row)));
        assert!(matches!(template.value(&scope, &Arena::new()), Some(Value::Int(2))));
        assert!(Template::parse("x${qos}").0.value(&scope, &Arena::new()).is_none());
    }

    proptest! {
        #[test]
        fn anything_parses_and_renders(text in ".{0,80}|(\\$\\{[a-z.'\\[\\]0-9]{0,9}\\}?){0,6}") {
            let (template, _) = Template::parse(&text);
            template.render(&Fixed(Value::Undefined), Missing::Undefined, &Arena::new(), &mut Vec::new());
        }

        #[test]
        fn text_without_placeholders_is_itself(text in "[^$]{0,80}") {
            let (template, diagnostics) = Template::parse(&text);
            prop_assert!(diagnostics.is_empty());
            prop_assert_eq!(template.as_literal(), Some(&*text));
        }
    }
}
