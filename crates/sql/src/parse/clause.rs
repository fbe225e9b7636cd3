//! The statement level: clauses, their order, fields, FROM.

use diagnostic::{Code, Diagnostic, Span, nearest};

use super::{Context, Failed, Parsed, Parser};
use crate::ast::{Field, Name, NodeId, NodeKind, PrefixOp, Quote, Shape, Statement};
use crate::token::{Keyword, Kind};

/// The clauses that follow the first, as far as they have been met.
#[derive(Default)]
struct Clauses {
    body: Option<Vec<Field>>,
    filter: Option<NodeId>,
    from: Option<Vec<Name>>,
    condition: Option<NodeId>,
    /// The last one met.
    last: Option<(Keyword, Span)>,
}

impl Parser<'_> {
    pub(super) fn statement(&mut self) {
        let start = self.token();
        let Some(foreach) = self.first_word() else { return };
        let opening = if foreach { Keyword::Foreach } else { Keyword::Select };
        let fields = self.fields(opening);
        let mut clauses = Clauses::default();
        while self.kind() != Kind::End {
            self.clause(foreach, &mut clauses);
        }
        if clauses.from.is_none() && !self.end_reported {
            let span = self.place();
            let problem = Diagnostic::new(Code::MissingFrom, span, "this statement has no `FROM`")
                .help("name the topics it reads, as in `FROM \"sensors/#\"`");
            self.report(problem);
        }
        let shape = if foreach {
            Shape::Foreach { fields, body: clauses.body, filter: clauses.filter }
        } else {
            Shape::Select(fields)
        };
        self.tree.statement = Some(Statement {
            shape,
            from: clauses.from.unwrap_or_default(),
            condition: clauses.condition,
            span: self.span_from(start.span),
        });
    }

    /// SELECT or FOREACH, also misspelt: whether it is FOREACH. `None` where it is neither and all is lost.
    fn first_word(&mut self) -> Option<bool> {
        let token = self.token();
        match token.kind {
            Kind::Keyword(Keyword::Select) => {
                self.advance();
                return Some(false);
            }
            Kind::Keyword(Keyword::Foreach) => {
                self.advance();
                return Some(true);
            }
            Kind::End if self.end_reported => return None,
            _ => {}
        }
        self.tree.broken = true;
        if token.kind == Kind::Unknown {
            return None;
        }
        let message = match token.kind {
            Kind::End => "there is no SQL here".to_owned(),
            _ => format!("a rule begins with `SELECT` or `FOREACH`, not with {}", self.found()),
        };
        let problem = Diagnostic::new(Code::UnexpectedToken, token.span, message);
        let near = match token.kind {
            Kind::Name => nearest(self.text(token), ["SELECT", "FOREACH"]),
            _ => None,
        };
        self.report(problem.maybe_help(near.map(|near| format!("did you mean `{near}`?"))));
        near?;
        self.advance();
        Some(near == Some("FOREACH"))
    }

    /// The fields after `clause`, whose keyword has been taken.
    fn fields(&mut self, clause: Keyword) -> Vec<Field> {
        let mut fields = Vec::new();
        if self.at_clause() && (self.kind() != Kind::End || !self.end_reported) {
            self.end_reported |= self.kind() == Kind::End;
            let message = format!("`{}` needs at least one field", clause.text());
            let mut problem = Diagnostic::new(Code::MissingField, self.place(), message);
            if clause == Keyword::Select {
                problem = problem.help("write `*` for everything");
            }
            self.report(problem);
            self.tree.broken = true;
            return fields;
        }
        loop {
            match self.field() {
                Ok(field) => fields.push(field),
                Err(Failed) => self.skip_field(),
            }
            if self.at_clause() {
                return fields;
            }
            if !self.eat(Kind::Comma) {
                if self.mend_clause(fields.last_mut()) {
                    return fields;
                }
                self.expected(&format!("`,` or {}", next_clauses(clause)));
                self.skip_field();
                if !self.eat(Kind::Comma) {
                    return fields;
                }
            }
        }
    }

    /// `SELECT a FORM "t"`: what was taken for the alias of `field` was meant to begin a clause.
    fn mend_clause(&mut self, field: Option<&mut Field>) -> bool {
        let Some(index) = self.at.checked_sub(1) else { return false };
        let alias = field.and_then(|field| field.value.as_mut()).map(|(_, alias)| alias);
        let (Some(keyword), Some(alias)) = (self.misspelt_clause(index), alias) else { return false };
        if alias.as_ref().is_none_or(|path| path.span != self.tokens[index].span) {
            return false;
        }
        *alias = None;
        self.at = index;
        self.replace_misspelt(keyword);
        true
    }

    /// Reports the misspelt keyword here and makes it what it was meant to be.
    fn replace_misspelt(&mut self, keyword: Keyword) {
        let token = self.token();
        let message = format!("`{}` is no keyword", self.text(token));
        let problem = Diagnostic::new(Code::UnexpectedToken, token.span, message)
            .help(format!("did you mean `{}`?", keyword.text()));
        self.report(problem);
        self.tokens[self.at].kind = Kind::Keyword(keyword);
    }

    fn field(&mut self) -> Parsed<Field> {
        let start = self.token().span;
        if self.kind() == Kind::Star {
            self.advance();
            if let Kind::Keyword(Keyword::As) = self.kind() {
                let problem =
                    Diagnostic::new(Code::StarMisplaced, self.span_from(start), "`*` cannot have an alias");
                return Err(self.report(problem));
            }
            return Ok(Field { value: None, span: start });
        }
        let expr = self.within(Context::Field, |parser| parser.expr(0))?;
        let named = self.eat_keyword(Keyword::As) || matches!(self.kind(), Kind::Name | Kind::Quoted);
        let alias = if named { Some(self.alias()?) } else { None };
        let span = self.span_from(start);
        if alias.is_none()
            && let NodeKind::Prefix { op: PrefixOp::Minus | PrefixOp::Plus, .. } = self.tree.node(expr).kind
        {
            self.unportable_when_run(span, "a sign in a field without alias");
        }
        Ok(Field { value: Some((expr, alias)), span })
    }

    fn clause(&mut self, foreach: bool, clauses: &mut Clauses) {
        let token = self.token();
        let Kind::Keyword(keyword @ (Keyword::Do | Keyword::Incase | Keyword::From | Keyword::Where)) =
            token.kind
        else {
            self.between_clauses(clauses);
            return;
        };
        self.check_order(foreach, keyword, token.span, clauses.last);
        clauses.last = Some((keyword, token.span));
        self.advance();
        match keyword {
            Keyword::Do => clauses.body = Some(self.fields(keyword)),
            Keyword::From => {
                let from = self.from();
                clauses.from.get_or_insert_default().extend(from);
            }
            Keyword::Incase => clauses.filter = self.condition(),
            _ => clauses.condition = self.condition(),
        }
    }

    /// Anything that begins no clause: a semicolon, a misspelt keyword, or what does not belong here.
    fn between_clauses(&mut self, clauses: &Clauses) {
        if self.kind() == Kind::Semicolon {
            let semicolon = self.advance();
            if self.kind() == Kind::End {
                self.unportable(semicolon.span, "a semicolon at the end");
            } else {
                let message = "a rule is one statement; nothing may follow its `;`";
                self.report(Diagnostic::new(Code::UnexpectedToken, semicolon.span, message));
                self.at = self.tokens.len() - 1;
            }
            return;
        }
        if let Some(keyword) = self.misspelt_clause(self.at) {
            self.replace_misspelt(keyword);
            return;
        }
        let wanted = match clauses.last {
            None => "`,` or `FROM`",
            Some((Keyword::Do, _)) => "`,`, `INCASE` or `FROM`",
            Some((Keyword::Incase, _)) => "`FROM` or an operator",
            Some((Keyword::From, _)) => "`,` or `WHERE`",
            Some(_) => "an operator or the end of the statement",
        };
        self.expected(wanted);
        self.advance();
        self.skip_clause();
    }

    fn check_order(&mut self, foreach: bool, keyword: Keyword, span: Span, last: Option<(Keyword, Span)>) {
        let rank = |keyword| match keyword {
            Keyword::Do => 1,
            Keyword::Incase => 2,
            Keyword::From => 3,
            _ => 4,
        };
        let text = keyword.text();
        let problem = match last {
            _ if !foreach && matches!(keyword, Keyword::Do | Keyword::Incase) => Diagnostic::new(
                Code::ClauseOrder,
                span,
                format!("`{text}` belongs to `FOREACH`, not to `SELECT`"),
            ),
            Some((before, place)) if before == keyword => {
                Diagnostic::new(Code::ClauseOrder, span, format!("a second `{text}`"))
                    .related(place, "the first")
            }
            Some((before, place)) if rank(before) > rank(keyword) => {
                let message = format!("`{text}` must stand before `{}`", before.text());
                Diagnostic::new(Code::ClauseOrder, span, message).related(place, "too early")
            }
            _ => return,
        };
        let order = if foreach {
            "FOREACH … DO … INCASE … FROM … WHERE …"
        } else {
            "SELECT … FROM … WHERE …"
        };
        self.report(problem.help(format!("the order is `{order}`")));
        self.tree.broken = true;
    }

    fn condition(&mut self) -> Option<NodeId> {
        match self.within(Context::Condition, |parser| parser.expr(0)) {
            Ok(condition) => {
                self.note_bare(condition);
                Some(condition)
            }
            Err(Failed) => {
                self.skip_clause();
                None
            }
        }
    }

    fn from(&mut self) -> Vec<Name> {
        let mut from = Vec::new();
        loop {
            match self.entry() {
                Ok(entry) => from.push(entry),
                Err(Failed) => self.skip_field(),
            }
            if !self.eat(Kind::Comma) {
                return from;
            }
        }
    }

    /// One entry of FROM: a topic in either kind of quotes, or a plain word.
    fn entry(&mut self) -> Parsed<Name> {
        let token = self.token();
        match token.kind {
            Kind::Quoted | Kind::Str => {
                self.advance();
                if self.eat_keyword(Keyword::As) {
                    let message = "an entry of `FROM` has no alias";
                    let problem = Diagnostic::new(Code::UnexpectedToken, self.span_from(token.span), message)
                        .help("the topic of each message is in the column `topic`");
                    return Err(self.report(problem));
                }
                Ok(self.name_of(token))
            }
            Kind::Name if self.kind_after(1) == Kind::Comma || is_end_of_from(self.kind_after(1)) => {
                self.advance();
                Ok(self.name_of(token))
            }
            Kind::Name | Kind::Unknown => {
                self.skip_field();
                let span = self.span_from(token.span);
                // What the signs of the topic were taken for is of no interest.
                self.problems.retain(|problem| {
                    problem.code != Code::UnexpectedCharacter
                        || problem.span.start < span.start
                        || problem.span.end > span.end
                });
                let problem = Diagnostic::new(Code::UnexpectedToken, span, "a topic stands in double quotes")
                    .help("as in `FROM \"sensors/#\"`");
                Err(self.report(problem))
            }
            _ => Err(self.expected("a topic in double quotes")),
        }
    }

    /// The name that a word, a quoted name or a string spells.
    pub(super) fn name_of(&self, token: crate::token::Token) -> Name {
        let text = self.text(token);
        let (text, quote) = match token.kind {
            Kind::Quoted => (unquote(text, '"'), Quote::Double),
            Kind::Str => (unquote(text, '\''), Quote::Single),
            _ => (text.into(), Quote::Bare),
        };
        Name { text, quote, span: token.span }
    }
}

/// A text without its quotes, as the dialect strips them: all at either end, none inside; and a slash at the beginning
/// of a line vanishes together with the line end.
pub(crate) fn unquote(text: &str, quote: char) -> Box<str> {
    text.trim_matches(quote).replace("\n/", "").into()
}

fn is_end_of_from(kind: Kind) -> bool {
    matches!(kind, Kind::End | Kind::Semicolon | Kind::Keyword(_))
}

fn next_clauses(clause: Keyword) -> &'static str {
    match clause {
        Keyword::Foreach => "`DO`, `INCASE` or `FROM`",
        Keyword::Do => "`INCASE` or `FROM`",
        _ => "`FROM`",
    }
}
