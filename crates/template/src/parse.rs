//! Text to segments.

use diagnostic::{Code, Diagnostic, Span};

use crate::{BYTES_MAX, Placeholder, Segment, Step, Template};

impl Template {
    /// Compiles a text. Spans, in the template and in what is reported, are byte offsets into `text`.
    ///
    /// `${name}`, `${a.b}`, `${a.'odd key'}`, `${a[1]}` and `${a[-1]}` are placeholders, `${.a}` is the same as `${a}`,
    /// `${.}` is the whole row, and `${$}` a dollar sign, so that `${$}{x}` prints `${x}`. A `$` without a brace is
    /// text. A placeholder with a mistake is reported and left out.
    pub fn parse(text: &str) -> (Template, Vec<Diagnostic>) {
        let mut parser =
            Parser { text, segments: Vec::new(), literal: String::new(), diagnostics: Vec::new() };
        if text.len() > BYTES_MAX {
            let message = format!("a template may have {BYTES_MAX} bytes, this one has {}", text.len());
            let diagnostic = Diagnostic::new(Code::TemplateTooLong, Span::at(0), message);
            return (Template::default(), vec![diagnostic]);
        }
        parser.run();
        (Template { segments: parser.segments }, parser.diagnostics)
    }
}

/// How many mistakes of one template are reported.
const DIAGNOSTICS_MAX: usize = 100;

struct Parser<'t> {
    text: &'t str,
    segments: Vec<Segment>,
    literal: String,
    diagnostics: Vec<Diagnostic>,
}

impl Parser<'_> {
    fn run(&mut self) {
        let mut rest = 0;
        while let Some(found) = self.text[rest..].find("${") {
            let open = rest + found;
            self.literal.push_str(&self.text[rest..open]);
            let Some(length) = end_of(&self.text[open + 2..]) else {
                let span = Span::from(open..self.text.len());
                let diagnostic =
                    Diagnostic::new(Code::UnclosedPlaceholder, span, "this placeholder never ends")
                        .label("`${` begins it")
                        .help("close it with `}`, or write `${$}{` for the text `${`");
                self.diagnostics.push(diagnostic);
                rest = self.text.len();
                break;
            };
            rest = open + 2 + length + 1;
            self.placeholder(open, rest);
        }
        self.literal.push_str(&self.text[rest..]);
        self.flush();
    }

    /// Takes the placeholder between `open` and `end`, `${` and `}` included.
    fn placeholder(&mut self, open: usize, end: usize) {
        let inside = &self.text[open + 2..end - 1];
        let segment = match inside {
            "$" => {
                self.literal.push('$');
                return;
            }
            "." => Segment::Row,
            _ => match path(inside, Span::from(open..end)) {
                Some(placeholder) => Segment::Placeholder(placeholder),
                None => {
                    let span = Span::from(open..end);
                    let message = format!("`${{{inside}}}` is not a placeholder");
                    let diagnostic = Diagnostic::new(Code::BadPlaceholder, span, message)
                        .help("write a path such as `${payload.items[1].id}`, or `${.}` for the whole row");
                    if self.diagnostics.len() < DIAGNOSTICS_MAX {
                        self.diagnostics.push(diagnostic);
                    }
                    return;
                }
            },
        };
        self.flush();
        self.segments.push(segment);
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.segments.push(Segment::Text(std::mem::take(&mut self.literal).into()));
        }
    }
}

/// Where the `}` is that closes a placeholder; quoted keys may have one inside.
fn end_of(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.bytes()
        .position(|byte| {
            quoted ^= byte == b'\'';
            byte == b'}' && !quoted
        })
        // An odd quote is no reason to swallow the rest of the text.
        .or_else(|| text.find('}'))
}

/// Reads a path with its root. `None` where it is none.
fn path(text: &str, span: Span) -> Option<Placeholder> {
    let text = text.strip_prefix('.').unwrap_or(text);
    let (root, mut rest) = key(text)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let (name, after) = key(after)?;
            steps.push(Step::Key(name.into()));
            rest = after;
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    (steps.len() < value::path::STEPS_MAX).then(|| Placeholder {
        root: root.into(),
        steps: steps.into(),
        span,
    })
}

/// A key, plain or in single quotes, and what follows it.
fn key(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('\'') {
        return quoted.split_once('\'');
    }
    let end = text.find(|c: char| matches!(c, '.' | '[' | ']' | '\'' | '"' | '{') || c.is_whitespace());
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    (!name.is_empty()).then_some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<Code> {
        Template::parse(text).1.into_iter().map(|diagnostic| diagnostic.code).collect()
    }

    fn roots(text: &str) -> Vec<String> {
        let (template, diagnostics) = Template::parse(text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        template.placeholders().map(|placeholder| placeholder.root().to_owned()).collect()
    }

    #[test]
    fn placeholders_are_found_with_their_place() {
        assert_eq!(roots("pub/${topic}/${.clientid}"), ["topic", "clientid"]);
        assert_eq!(roots("${payload.a[1].'odd }key'}"), ["payload"]);
        let (template, _) = Template::parse("x${a}y");
        assert_eq!(template.placeholders().next().map(Placeholder::span), Some(Span::new(1, 5)));
    }

    #[test]
    fn dollars_are_text_unless_a_brace_follows() {
        assert_eq!(Template::parse("5 $ for $a}").0.as_literal(), Some("5 $ for $a}"));
        assert_eq!(Template::parse("${$}{x}").0.as_literal(), Some("${x}"));
    }

    #[test]
    fn mistakes_are_reported() {
        assert_eq!(codes("a ${b"), [Code::UnclosedPlaceholder]);
        assert_eq!(codes("${}"), [Code::BadPlaceholder]);
        assert_eq!(codes("${a b} ${a..b} ${a[x]}"), [Code::BadPlaceholder; 3]);
        assert_eq!(codes(&"x".repeat(BYTES_MAX + 1)), [Code::TemplateTooLong]);
        assert_eq!(codes(&"${}".repeat(1000)).len(), DIAGNOSTICS_MAX);
    }
}
