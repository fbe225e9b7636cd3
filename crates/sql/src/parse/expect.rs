//! What to say when something else was expected, and how to go on.

use diagnostic::{Code, Diagnostic, Span, nearest};

use super::{Failed, Parser};
use crate::token::{Keyword, Kind};

/// Words of other SQL dialects, and what does the same here.
const FOREIGN: &[(&str, &str)] = &[
    ("IS", "write `is_null(x)` or `is_not_null(x)`; JSON's null is found by `is_null_var(x)`"),
    ("LIKE", "write `regex_match(x, 'pattern')`, or `x =~ 'a/+/#'` to match a topic"),
    ("ILIKE", "write `regex_match(x, 'pattern')`"),
    ("RLIKE", "write `regex_match(x, 'pattern')`"),
    ("REGEXP", "write `regex_match(x, 'pattern')`"),
    ("BETWEEN", "write `x >= a AND x <= b`"),
    ("XOR", "write `(a AND NOT b) OR (b AND NOT a)`"),
    ("EXISTS", "write `is_not_null(x)`"),
    ("GROUP", "each message is looked at alone; nothing is grouped"),
    ("HAVING", "each message is looked at alone; nothing is grouped"),
    ("ORDER", "each message is looked at alone; nothing is sorted"),
    ("LIMIT", "each message is looked at alone; nothing is counted"),
    ("OFFSET", "each message is looked at alone; nothing is counted"),
    ("UNION", "name several topics in one FROM, or write several rules"),
    ("JOIN", "name several topics in one FROM; each message is looked at alone"),
    ("INNER", "name several topics in one FROM; each message is looked at alone"),
    ("LEFT", "name several topics in one FROM; each message is looked at alone"),
];

impl Parser<'_> {
    /// Reports that `wanted` was expected where something else stands.
    ///
    /// Says nothing where the reason has been given already: a sign without meaning, a string that never ends.
    pub(super) fn expected(&mut self, wanted: &str) -> Failed {
        let token = self.token();
        match token.kind {
            Kind::Unknown => return Failed,
            Kind::End if self.end_reported => return Failed,
            _ => {}
        }
        if let Some(problem) = self.foreign_word() {
            return self.report(problem);
        }
        let mut message = format!("expected {wanted}, found {}", self.found());
        let mut problem = Diagnostic::new(Code::UnexpectedToken, self.place(), String::new());
        match token.kind {
            Kind::Name => {
                let word = self.text(token);
                let near = nearest(word, KEYWORDS.iter().map(|keyword| keyword.text()));
                problem = problem.maybe_help(near.map(|near| format!("did you mean `{near}`?")));
            }
            Kind::Keyword(Keyword::If) => {
                problem.code = Code::NotInDialect;
                message = "there is no `IF` in this dialect".to_owned();
                problem = problem.help("write `CASE WHEN condition THEN a ELSE b END`");
            }
            Kind::Keyword(keyword)
                if wanted == "an expression" && !matches!(keyword, Keyword::From | Keyword::Where) =>
            {
                problem = problem.help(format!("to use it as a name, write `\"{}\"`", self.text(token)));
            }
            Kind::End => self.end_reported = true,
            _ => {}
        }
        problem.message = message;
        self.report(problem)
    }

    /// A word of other dialects here, or just before, where it was taken for an alias.
    fn foreign_word(&self) -> Option<Diagnostic> {
        let before = self.previous().filter(|_| self.kind() != Kind::End);
        let candidates = [Some(self.token()), before];
        candidates.into_iter().flatten().filter(|token| token.kind == Kind::Name).find_map(|token| {
            let word = self.text(token);
            let (_, help) = FOREIGN.iter().find(|(foreign, _)| foreign.eq_ignore_ascii_case(word))?;
            let message = format!("there is no `{}` in this dialect", word.to_ascii_uppercase());
            Some(Diagnostic::new(Code::NotInDialect, token.span, message).help(*help))
        })
    }

    /// The current token as messages show it.
    pub(super) fn found(&self) -> String {
        const SHOWN_CHARS_MAX: usize = 32;
        let token = self.token();
        match token.kind {
            Kind::End => "the end of the statement".to_owned(),
            Kind::Str => "a string".to_owned(),
            _ => {
                let text = self.text(token);
                let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
                let dots = if shown.len() < text.len() { "…" } else { "" };
                format!("`{shown}{dots}`")
            }
        }
    }

    /// The current token, or, at the end, the place behind the last one.
    pub(super) fn place(&self) -> Span {
        match (self.kind(), self.previous()) {
            (Kind::End, Some(last)) => Span::at(last.span.end),
            _ => self.token().span,
        }
    }

    /// Whether a clause, or the end, begins here.
    pub(super) fn at_clause(&self) -> bool {
        is_clause(self.kind())
    }

    /// Skips to the comma that ends this field, or to the next clause, or to the end.
    pub(super) fn skip_field(&mut self) {
        self.skip(true);
    }

    /// Skips to the next clause, or to the end.
    pub(super) fn skip_clause(&mut self) {
        self.skip(false);
    }

    fn skip(&mut self, to_comma: bool) {
        self.tree.broken = true;
        let mut open = 0_u32;
        loop {
            match self.kind() {
                Kind::End => return,
                kind if is_clause(kind) && self.previous().is_none_or(|token| token.kind != Kind::Dot) => {
                    return;
                }
                Kind::Comma if to_comma && open == 0 => return,
                Kind::LParen | Kind::LBracket => open += 1,
                Kind::RParen | Kind::RBracket => open = open.saturating_sub(1),
                _ => {}
            }
            self.advance();
        }
    }

    /// The clause that the word at `index` was probably meant to begin.
    pub(super) fn misspelt_clause(&self, index: usize) -> Option<Keyword> {
        const CLAUSES: [Keyword; 4] = [Keyword::From, Keyword::Where, Keyword::Incase, Keyword::Do];
        let token = self.tokens[index];
        if token.kind != Kind::Name || token.span.len() < 4 {
            return None;
        }
        let near = nearest(self.text(token), CLAUSES.iter().map(|keyword| keyword.text()))?;
        CLAUSES.into_iter().find(|keyword| keyword.text() == near)
    }
}

/// The keywords that a misspelt word may have been.
const KEYWORDS: [Keyword; 14] = [
    Keyword::Select,
    Keyword::Foreach,
    Keyword::From,
    Keyword::Where,
    Keyword::Incase,
    Keyword::And,
    Keyword::Or,
    Keyword::As,
    Keyword::In,
    Keyword::When,
    Keyword::Then,
    Keyword::Else,
    Keyword::End,
    Keyword::Mod,
];

fn is_clause(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::End
            | Kind::Semicolon
            | Kind::Keyword(Keyword::From | Keyword::Where | Keyword::Do | Keyword::Incase)
    )
}
