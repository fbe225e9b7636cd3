//! Templates: any text is compiled and rendered, with the places of its mistakes in it, and rendering says the same twice.

use template::{Missing, Scope, Template};
use value::{Arena, Value, json};

/// A row with something of every kind.
const ROW: &[u8] =
    br#"{"a": {"b": [1, "two", {"c": null}]}, "topic": "t/1", "f": 0.1, "big": 123456789012345678901, "s": "{\"k\": 1}"}"#;

struct Row<'a>(Value<'a>);

impl Scope for Row<'_> {
    fn row<'a>(&'a self, _arena: &'a Arena) -> Value<'a> {
        self.0
    }

    fn get<'a>(&'a self, name: &str, arena: &'a Arena) -> Value<'a> {
        if name.is_empty() { Value::Undefined } else { Value::Str(arena.slice(name.as_bytes())) }
    }
}

/// Compiles the bytes as a template and renders it.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (template, problems) = Template::parse(&text);
    for problem in &problems {
        assert!(text.get(problem.span.range()).is_some(), "{problem:?} in {text:?}");
    }
    for placeholder in template.placeholders() {
        let written = text.get(placeholder.span().range()).unwrap_or_default();
        assert!(written.starts_with("${") && written.ends_with('}'), "{placeholder:?} in {text:?}");
    }
    let arena = Arena::new();
    let row = Row(json::parse(ROW, &arena).expect("the row is JSON"));
    for missing in [Missing::Empty, Missing::Undefined] {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        template.render(&row, missing, &arena, &mut first);
        template.render(&row, missing, &arena, &mut second);
        assert_eq!(first, second, "{text:?}");
    }
    if !text.contains('$') {
        assert_eq!(template.as_literal(), Some(&*text));
    }
}
