//! Paths: a name, and the keys and indexes after it; as a value and as an alias.

use diagnostic::{Code, Diagnostic, Span};

use super::{Parsed, Parser};
use crate::PATH_STEPS_MAX;
use crate::ast::{Name, Path, Quote, Segment, SegmentKind};
use crate::token::{Keyword, Kind, Token};

impl Parser<'_> {
    /// What stands after AS, or as an alias without it.
    pub(super) fn alias(&mut self) -> Parsed<Path> {
        let token = self.token();
        match token.kind {
            Kind::Name | Kind::Quoted => {}
            Kind::Str => {
                let text = super::clause::unquote(self.text(token), '\'');
                let problem =
                    Diagnostic::new(Code::UnexpectedToken, token.span, "an alias is a name, not a string")
                        .help(format!("write `\"{text}\"`"));
                return Err(self.report(problem));
            }
            Kind::Keyword(keyword) if keyword != Keyword::From || self.next_is_alias_end() => {
                return Err(self.reserved(token));
            }
            _ => return Err(self.expected("an alias")),
        }
        if token.kind == Kind::Name && matches!(self.text(token), "true" | "false") {
            return Err(self.reserved(token));
        }
        let path = self.path()?;
        if let Some(slice) = path.segments.iter().find(|part| matches!(part.kind, SegmentKind::Slice { .. }))
        {
            let problem = Diagnostic::new(Code::BadPath, slice.span, "an alias cannot have a range")
                .help("`a[3]` replaces one element, `a[0]` and `a[-0]` put one at either end");
            return Err(self.report(problem));
        }
        Ok(path)
    }

    /// `AS from FROM …`: whether the keyword here is meant as a name.
    fn next_is_alias_end(&self) -> bool {
        matches!(self.kind_after(1), Kind::Comma | Kind::Keyword(_))
    }

    fn reserved(&mut self, token: Token) -> super::Failed {
        let word = self.text(token);
        let problem = Diagnostic::new(Code::ReservedWord, token.span, format!("`{word}` is a keyword"))
            .help(format!("to use it as a name, write `\"{word}\"`"));
        self.advance();
        self.report(problem)
    }

    /// A path from its root name on, which must be the current token.
    pub(super) fn path(&mut self) -> Parsed<Path> {
        let root = self.advance();
        let name = self.name_of(root);
        self.check_name(&name);
        let segments = self.segments()?;
        Ok(Path { name, segments, span: self.span_from(root.span) })
    }

    /// The steps that follow, perhaps none.
    pub(super) fn segments(&mut self) -> Parsed<Vec<Segment>> {
        let mut segments = Vec::new();
        loop {
            let start = self.token().span;
            let sliced = matches!(segments.last(), Some(Segment { kind: SegmentKind::Slice { .. }, .. }));
            let kind = match self.kind() {
                Kind::Dot => self.key()?,
                Kind::LBracket => self.bracket()?,
                _ => return Ok(segments),
            };
            let span = self.span_from(start);
            if segments.len() == PATH_STEPS_MAX {
                let problem = Diagnostic::new(
                    Code::NestingTooDeep,
                    span,
                    format!("a path has at most {PATH_STEPS_MAX} steps"),
                );
                return Err(self.report(problem));
            }
            if sliced {
                self.check_listed(&kind, span)?;
                self.unportable(span, "an index after a range");
            }
            segments.push(Segment { kind, span });
        }
    }

    /// Refuses a key of what is known to be an array: it has none.
    pub(super) fn check_listed(&mut self, kind: &SegmentKind, span: Span) -> Parsed<()> {
        let SegmentKind::Key(_) = kind else { return Ok(()) };
        let problem = Diagnostic::new(Code::BadPath, span, "an array has no keys")
            .help("take one element first, as in `a[1].id`");
        Err(self.report(problem))
    }

    /// `.name`, `.1`, `.'name'`, `."name"`, `.keyword`
    fn key(&mut self) -> Parsed<SegmentKind> {
        let dot = self.advance();
        let token = self.token();
        let named = match token.kind {
            Kind::Name | Kind::Quoted | Kind::Str => true,
            Kind::Number => self.text(token).bytes().all(|byte| byte.is_ascii_digit()),
            // `a. FROM` is a forgotten key, `a.from` is a key.
            Kind::Keyword(_) => token.span.start == dot.span.end,
            _ => false,
        };
        if !named {
            if matches!(token.kind, Kind::Unknown) {
                return Err(super::Failed);
            }
            let problem =
                Diagnostic::new(Code::BadPath, dot.span, "a key is missing after `.`").label("here");
            return Err(self.report(problem));
        }
        self.advance();
        let name = self.name_of(token);
        self.check_name(&name);
        if let Kind::Keyword(_) = token.kind {
            self.unportable(name.span, "a keyword as a key without quotes");
        } else if name.quote == Quote::Bare && matches!(&*name.text, "true" | "false") {
            self.unportable(name.span, "`true` and `false` as a key without quotes");
        }
        Ok(SegmentKind::Key(name))
    }

    /// `[1]`, `[-1]`, `[a.b]`, `[1..3]`
    fn bracket(&mut self) -> Parsed<SegmentKind> {
        let open = self.advance();
        let kind = match self.kind() {
            Kind::Plus | Kind::Minus | Kind::Number => {
                if let Some((from, to)) = self.range()? {
                    return Ok(SegmentKind::Slice { from, to });
                }
                let (negative, value) = self.integer("an index")?;
                SegmentKind::Index { negative, value }
            }
            Kind::Name | Kind::Quoted => {
                let path = self.nested(Self::path)?;
                if path.segments.iter().any(|part| matches!(part.kind, SegmentKind::Slice { .. })) {
                    let problem = Diagnostic::new(Code::BadPath, path.span, "a range cannot be an index");
                    return Err(self.report(problem));
                }
                SegmentKind::Variable(Box::new(path))
            }
            Kind::Str => {
                let text = super::clause::unquote(self.text(self.token()), '\'');
                let problem =
                    Diagnostic::new(Code::BadPath, self.token().span, "a key does not stand in brackets")
                        .help(format!("write `.'{text}'`"));
                return Err(self.report(problem));
            }
            Kind::RBracket => {
                let span = open.span.to(self.token().span);
                let problem = Diagnostic::new(Code::BadPath, span, "an index is missing")
                    .help("arrays start at 1, and `[-1]` is the last element");
                return Err(self.report(problem));
            }
            Kind::DotDot => return Err(self.bad_range()),
            _ => return Err(self.expected("an index")),
        };
        match self.kind() {
            Kind::RBracket => {
                self.advance();
                Ok(kind)
            }
            Kind::DotDot => Err(self.bad_range()),
            Kind::Plus | Kind::Minus | Kind::Star | Kind::Slash | Kind::Keyword(_) | Kind::LParen => {
                let problem = Diagnostic::new(Code::BadPath, self.token().span, "an index is not calculated")
                    .help("an index is an integer or a name; `nth(i, array)` takes any expression");
                Err(self.report(problem))
            }
            _ => Err(self.expected("`]`")),
        }
    }

    /// `1..5]` after its bracket; `None`, with nothing taken, where no range begins here.
    pub(super) fn range(&mut self) -> Parsed<Option<(i64, i64)>> {
        let signs = usize::from(matches!(self.kind(), Kind::Plus | Kind::Minus));
        if self.kind_after(signs) != Kind::Number || self.kind_after(signs + 1) != Kind::DotDot {
            return Ok(None);
        }
        let start = self.token().span;
        let first = self.range_end()?;
        self.advance();
        let second = self.range_end()?;
        let inside = self.span_from(start);
        if self.kind() != Kind::RBracket {
            return Err(self.bad_range());
        }
        self.advance();
        let text = &self.sql[inside.shifted(0).range().start - self.base as usize..][..inside.len() as usize];
        if text.contains(char::is_whitespace) {
            self.unportable(inside, "blanks in a range");
        }
        Ok(Some((first, second)))
    }

    fn range_end(&mut self) -> Parsed<i64> {
        let signs = usize::from(matches!(self.kind(), Kind::Plus | Kind::Minus));
        if self.kind_after(signs) != Kind::Number {
            return Err(self.bad_range());
        }
        let (negative, value) = self.integer("the end of a range")?;
        Ok(if negative { -value } else { value })
    }

    fn bad_range(&mut self) -> super::Failed {
        if self.kind() == Kind::Unknown {
            return super::Failed;
        }
        let problem = Diagnostic::new(Code::BadRange, self.place(), "this is no range")
            .help("a range is two integers, as in `[1..5]`");
        self.report(problem)
    }

    /// A signed integer that fits 64 bits: its sign and its magnitude.
    fn integer(&mut self, what: &str) -> Parsed<(bool, i64)> {
        let start = self.token().span;
        let negative = self.kind() == Kind::Minus;
        if matches!(self.kind(), Kind::Plus | Kind::Minus) {
            self.advance();
        }
        if self.kind() != Kind::Number {
            return Err(self.expected("an integer"));
        }
        let token = self.advance();
        let text = self.text(token);
        let span = self.span_from(start);
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let code = if what == "an index" { Code::BadPath } else { Code::BadRange };
            return Err(self.report(Diagnostic::new(code, span, format!("{what} is an integer"))));
        }
        let Ok(value) = text.parse::<i64>() else {
            let problem = Diagnostic::new(Code::BadNumber, span, format!("{what} is at most {}", i64::MAX));
            return Err(self.report(problem));
        };
        Ok((negative, value))
    }

    /// Notes what the reference does not take for a name.
    pub(super) fn check_name(&mut self, name: &Name) {
        if name.quote != Quote::Bare || name.text.starts_with(|first: char| first.is_ascii_digit()) {
            return;
        }
        let span: Span = name.span;
        if !name.text.starts_with(|first: char| first.is_ascii_alphabetic()) {
            self.unportable(
                span,
                "a name that begins with something else than an ASCII letter without quotes",
            );
        } else if !name.text.is_ascii() {
            self.unportable(span, "a name with other than ASCII letters without quotes");
        }
    }
}
