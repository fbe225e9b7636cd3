//! sqlparser's tokens, made ours: byte spans, keywords of the dialect, no blanks.

use crate::PROBLEMS_MAX;
use diagnostic::{Code, Diagnostic, Span};
use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Location, Token as Raw, TokenWithSpan, Tokenizer, Whitespace};

/// What a token is; its text is what its span covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word that is no keyword.
    Name,
    /// A name in double quotes.
    Quoted,
    /// A string in single quotes.
    Str,
    /// Digits, perhaps with a fraction and an exponent.
    Number,
    Keyword(Keyword),
    Comma,
    LParen,
    RParen,
    LBracket,
    RBracket,
    Dot,
    DotDot,
    Semicolon,
    Plus,
    Minus,
    Star,
    Slash,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// `=~`
    TopicMatch,
    /// A sign without meaning; it has its diagnostic unless it is one of the operators of other dialects.
    Unknown,
    End,
}

macro_rules! keywords {
    ($($variant:ident $text:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Keyword { $($variant,)* }

        impl Keyword {
            /// As messages spell it.
            pub(crate) fn text(self) -> &'static str {
                match self { $(Keyword::$variant => $text,)* }
            }

            fn any_case(word: &str) -> Option<Self> {
                $(if word.eq_ignore_ascii_case($text) { return Some(Keyword::$variant); })*
                None
            }
        }
    };
}

keywords! {
    Select "SELECT", Foreach "FOREACH", Do "DO", Incase "INCASE", From "FROM", Where "WHERE", As "AS",
    Case "CASE", When "WHEN", Then "THEN", Else "ELSE", Elsif "ELSIF", If "IF", End "END",
    In "IN", Not "NOT", And "AND", Or "OR", Div "div", Mod "mod",
}

impl Keyword {
    /// The keyword that this word is: in any case, but `div` and `mod` in lower case only.
    pub(crate) fn of(word: &str) -> Option<Self> {
        const LENGTH_MAX: usize = 7;
        if word.len() > LENGTH_MAX {
            return None;
        }
        match Self::any_case(word) {
            Some(found @ (Keyword::Div | Keyword::Mod)) if word != found.text() => None,
            found => found,
        }
    }
}

/// One token of the statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Base offset added.
    pub(crate) span: Span,
}

/// The tokens of a text, the last an [`Kind::End`].
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) portability: Vec<Diagnostic>,
}

/// The dialect as far as the tokenizer asks.
#[derive(Debug)]
struct Rules;

impl Dialect for Rules {
    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || matches!(ch, '_' | '$' | '@')
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"'
    }

    /// So that `a.1.2` comes as names and numbers rather than as the float `1.2`.
    fn supports_tuple_element_access(&self) -> bool {
        true
    }

    fn supports_national_string_literal(&self) -> bool {
        false
    }

    /// So that `$` never swallows the text behind it.
    fn supports_dollar_placeholder(&self) -> bool {
        true
    }
}

/// Cuts `sql` into tokens; `base` is added to every span.
pub(crate) fn lex(sql: &str, base: u32) -> Lexed {
    let mut lexer = Lexer {
        sql,
        base,
        raw: Vec::new(),
        out: Lexed { tokens: Vec::new(), problems: Vec::new(), portability: Vec::new() },
    };
    lexer.run();
    lexer.join();
    lexer.out
}

struct Lexer<'s> {
    sql: &'s str,
    base: u32,
    /// What the tokenizer gave, with byte ranges.
    raw: Vec<(Raw, usize, usize)>,
    out: Lexed,
}

impl Lexer<'_> {
    /// Fills `raw`. The tokenizer stops at what it does not understand; it is set on again behind it.
    fn run(&mut self) {
        let mut found: Vec<TokenWithSpan> = Vec::new();
        // A byte order mark belongs to the file, not to its SQL.
        let mut at = if self.sql.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        while at < self.sql.len() {
            let before = found.len();
            let rest = &self.sql[at..];
            let result =
                Tokenizer::new(&Rules, rest).with_unescape(false).tokenize_with_location_into_buf(&mut found);
            let mut cursor = Cursor { text: rest, at: 0, place: Location::new(1, 1) };
            for token in &found[before..] {
                let start = cursor.at;
                cursor.advance(token.span.end);
                self.raw.push((token.token.clone(), at + start, at + cursor.at));
            }
            at += cursor.at;
            if result.is_ok() {
                return;
            }
            at = self.stumble(at, &mut found);
        }
    }

    /// Deals with what the tokenizer refuses at byte `at`; returns where to go on.
    fn stumble(&mut self, at: usize, found: &mut Vec<TokenWithSpan>) -> usize {
        let rest = &self.sql[at..];
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let unterminated = |what: &str, sign: &str| {
            Diagnostic::new(Code::Unterminated, self.span(at, at + sign.len()), format!("{what} never ends"))
                .label("begins here")
        };
        if rest.starts_with('.') {
            // `]._x`: the tokenizer knows names with an underscore after words only.
            self.raw.push((Raw::Period, at, at + 1));
            found.push(TokenWithSpan::wrap(Raw::Period));
            return at + 1;
        }
        // `x'41` with or without its `x`: other dialects have such strings.
        let quote = if rest.starts_with(['x', 'X']) { 1 } else { 0 };
        let problem = if rest[quote..].starts_with('\'') {
            unterminated("this string", "'")
                .help("a quote inside a string cannot be escaped; end the string with `'`")
        } else if rest.starts_with('"') {
            unterminated("this name", "\"").help("end the name with `\"`")
        } else if rest.starts_with("/*") {
            unterminated("this comment", "/*").help("end the comment with `*/`")
        } else {
            let problem = self.unexpected(at, at + first);
            self.report(problem);
            return at + first;
        };
        self.report(problem);
        self.sql.len()
    }

    /// Makes `tokens` of `raw`: drops blanks, puts `=~` and `..` together, takes numbers and dots apart.
    fn join(&mut self) {
        let raw = std::mem::take(&mut self.raw);
        let mut index = 0;
        let mut last_comment: Option<(usize, usize)> = None;
        while index < raw.len() {
            let (token, start, end) = (&raw[index].0, raw[index].1, raw[index].2);
            let next = raw.get(index + 1).filter(|next| next.1 == end);
            index += 1;
            if let Raw::Whitespace(blank) = token {
                self.blank(blank, start, end, &mut last_comment);
                continue;
            }
            last_comment = None;
            let kind = match (token, next.map(|next| &next.0)) {
                (Raw::Eq, Some(Raw::Tilde)) => {
                    let end = raw[index].2;
                    index += 1;
                    self.push(Kind::TopicMatch, start, end);
                    continue;
                }
                (Raw::Period, Some(Raw::Period)) => {
                    let end = raw[index].2;
                    index += 1;
                    self.push(Kind::DotDot, start, end);
                    continue;
                }
                (Raw::Period, Some(Raw::Number(text, _))) if text.starts_with('.') => {
                    self.push(Kind::DotDot, start, end + 1);
                    self.push(Kind::Number, end + 1, raw[index].2);
                    index += 1;
                    continue;
                }
                (Raw::Number(text, _), follower) => {
                    index += self.number(text, start, end, follower, &raw[index..]);
                    continue;
                }
                (Raw::Placeholder(_), _) => {
                    let problem = self.unexpected(start, start + 1);
                    self.report(problem);
                    Kind::Unknown
                }
                (token, _) => self.plain(token, start, end),
            };
            self.push(kind, start, end);
        }
        if let (Some((start, end)), false) = (last_comment, self.out.tokens.is_empty()) {
            self.unportable(start, end, "a comment after the statement");
        }
        self.push(Kind::End, self.sql.len(), self.sql.len());
    }

    fn blank(&mut self, blank: &Whitespace, start: usize, end: usize, last: &mut Option<(usize, usize)>) {
        match blank {
            Whitespace::SingleLineComment { .. } => *last = Some((start, end)),
            Whitespace::MultiLineComment(_) => self.unportable(start, end, "a comment in `/* */`"),
            Whitespace::Space if !self.sql[start..end].is_ascii() => {
                self.unportable(start, end, "a blank that is not ASCII");
            }
            Whitespace::Space | Whitespace::Newline | Whitespace::Tab => {}
        }
    }

    /// A number, its dots and what is glued to it. Returns how many further raw tokens were used up.
    fn number(
        &mut self,
        text: &str,
        start: usize,
        end: usize,
        follower: Option<&Raw>,
        rest: &[(Raw, usize, usize)],
    ) -> usize {
        match follower {
            // `1..5` and `1...`
            Some(Raw::Period) if text.ends_with('.') => {
                self.push(Kind::Number, start, end - 1);
                self.push(Kind::DotDot, end - 1, end + 1);
                return 1;
            }
            Some(Raw::Number(after, _)) if text.ends_with('.') && after.starts_with('.') => {
                self.push(Kind::Number, start, end - 1);
                self.push(Kind::DotDot, end - 1, end + 1);
                self.push(Kind::Number, end + 1, rest[0].2);
                return 1;
            }
            // `12e3x`, `5div2`, but not `5div 2` nor `5AS x`
            Some(Raw::Word(word)) if word.quote_style.is_none() && Keyword::of(&word.value).is_none() => {
                let span = self.span(start, rest[0].2);
                let glued = &self.sql[start..rest[0].2];
                self.report(Diagnostic::new(Code::BadNumber, span, format!("`{glued}` is not a number"))
                        .help("put a blank between a number and a word, and double quotes around a name that begins with a digit"),
                );
                self.push(Kind::Number, start, end);
                return 1;
            }
            _ => {}
        }
        if text.starts_with('.') && self.after_path() {
            // `payload .1`: a step of a path after a blank.
            self.push(Kind::Dot, start, start + 1);
            self.push(Kind::Number, start + 1, end);
            return 0;
        }
        if text.ends_with(|last: char| !last.is_ascii_digit() && last != '.')
            || self.sql[start..end].ends_with('L')
        {
            let span = self.span(start, end);
            let shown = &self.sql[start..end];
            self.report(Diagnostic::new(Code::BadNumber, span, format!("`{shown}` is not a number")));
        }
        self.push(Kind::Number, start, end);
        0
    }

    /// Whether the last token may be the end of a path, so that what follows is a step of it.
    fn after_path(&self) -> bool {
        match self.out.tokens.as_slice() {
            [.., Token { kind: Kind::Dot, .. }, _] => true,
            [.., last] => matches!(last.kind, Kind::Name | Kind::Quoted | Kind::RBracket | Kind::RParen),
            [] => false,
        }
    }

    fn plain(&mut self, token: &Raw, start: usize, end: usize) -> Kind {
        match token {
            Raw::Word(word) if word.quote_style.is_some() => Kind::Quoted,
            Raw::Word(word) => Keyword::of(&word.value).map_or(Kind::Name, Kind::Keyword),
            Raw::SingleQuotedString(_) => Kind::Str,
            Raw::Comma => Kind::Comma,
            Raw::LParen => Kind::LParen,
            Raw::RParen => Kind::RParen,
            Raw::LBracket => Kind::LBracket,
            Raw::RBracket => Kind::RBracket,
            Raw::Period => Kind::Dot,
            Raw::SemiColon => Kind::Semicolon,
            Raw::Plus => Kind::Plus,
            Raw::Minus => Kind::Minus,
            Raw::Mul => Kind::Star,
            Raw::Div => {
                if self.sql[..start].ends_with('\n') {
                    self.unportable(start, end, "a `/` at the beginning of a line");
                }
                Kind::Slash
            }
            Raw::Eq => Kind::Equal,
            Raw::Neq => Kind::NotEqual,
            Raw::Lt => Kind::Less,
            Raw::LtEq => Kind::LessEqual,
            Raw::Gt => Kind::Greater,
            Raw::GtEq => Kind::GreaterEqual,
            _ => {
                let problem = self.foreign(start, end);
                self.report(problem);
                Kind::Unknown
            }
        }
    }

    /// A sign of other dialects, or one of none.
    fn foreign(&self, start: usize, end: usize) -> Diagnostic {
        let text = &self.sql[start..end];
        let help = match text {
            "==" => "write `=`",
            "=>" => "write `>=`",
            "!" => "write `NOT`",
            "%" => "write `mod`",
            "||" => "write `+`, or `concat(a, b)`",
            "&&" => "write `AND`",
            "&" => "write `bitand(a, b)`",
            "|" => "write `bitor(a, b)`",
            "^" => "write `power(a, b)`, or `bitxor(a, b)`",
            "<<" => "write `bitsl(a, b)`",
            ">>" => "write `bitsr(a, b)`",
            "~" => "write `bitnot(a)`, or `=~` to match a topic",
            "#" => "comments begin with `--`",
            "::" => "convert with a function such as `int(x)` or `str(x)`",
            "`" => "names with unusual characters stand in double quotes",
            "{" | "}" => "make a map with `map_put('key', value, map_new())`",
            _ if text.starts_with("0x") => {
                return Diagnostic::new(
                    Code::BadNumber,
                    self.span(start, end),
                    format!("`{text}` is not a number"),
                )
                .help("integers are decimal; `hexstr2bin` and its like read hexadecimal text");
            }
            _ => return self.unexpected(start, end),
        };
        let shown = if text == "`" { "a backtick".to_owned() } else { format!("`{text}`") };
        let message = format!("{shown} has no meaning here");
        Diagnostic::new(Code::UnexpectedCharacter, self.span(start, end), message).help(help)
    }

    fn unexpected(&self, start: usize, end: usize) -> Diagnostic {
        let text = &self.sql[start..end];
        let message = if text.chars().all(|ch| ch.is_control()) {
            "a control character has no meaning here".to_owned()
        } else {
            format!("`{text}` has no meaning here")
        };
        let problem = Diagnostic::new(Code::UnexpectedCharacter, self.span(start, end), message);
        if text == "$" {
            problem.help("a name that begins with `$` stands in double quotes")
        } else {
            problem
        }
    }

    /// Keeps a problem, within the bound.
    fn report(&mut self, problem: Diagnostic) {
        if self.out.problems.len() < PROBLEMS_MAX {
            self.out.problems.push(problem);
        }
    }

    fn unportable(&mut self, start: usize, end: usize, what: &str) {
        let span = self.span(start, end);
        if self.out.portability.len() < PROBLEMS_MAX {
            self.out.portability.push(crate::portability::refused(span, what));
        }
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let span = self.span(start, end);
        self.out.tokens.push(Token { kind, span });
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::from(start..end).shifted(self.base)
    }
}

/// Follows the tokenizer's lines and columns through the text.
struct Cursor<'s> {
    text: &'s str,
    at: usize,
    place: Location,
}

impl Cursor<'_> {
    fn advance(&mut self, to: Location) {
        for ch in self.text[self.at..].chars() {
            if self.place == to {
                return;
            }
            self.at += ch.len_utf8();
            if ch == '\n' {
                self.place = Location::new(self.place.line + 1, 1);
            } else {
                self.place.column += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: &str) {
        let lexed = lex(sql, 0);
        let shown: Vec<String> = lexed
            .tokens
            .iter()
            .filter(|token| token.kind != Kind::End)
            .map(|token| sql[token.span.range()].to_owned())
            .collect();
        assert_eq!(shown.join(" "), expected, "{:?}", lexed.problems);
    }

    #[test]
    fn numbers_and_dots_come_apart() {
        check("[1..4]", "[ 1 .. 4 ]");
        check("x[-2..-1]", "x [ - 2 .. - 1 ]");
        check("[+1..+3]", "[ + 1 .. + 3 ]");
        check("a.1.2", "a . 1 . 2");
        check("a .1", "a . 1");
        check("1.5 .5 1e5 5.", "1.5 .5 1e5 5.");
        check("a[1]._id", "a [ 1 ] . _id");
        check("f(x)._id", "f ( x ) . _id");
        check("[1 .. 3]", "[ 1 .. 3 ]");
        check("x=~'a/#'", "x =~ 'a/#'");
        check("5div 2", "5 div 2");
        check("a<-1", "a < - 1");
        check("\u{feff}-- 30 °C\r\n--- enable = true\r\nSELECT", "SELECT");
    }

    #[test]
    fn spans_are_bytes_and_the_base_is_added() {
        let lexed = lex("'°C' = \"x\r\ny\" -- é\r\n=~", 100);
        let spans: Vec<_> = lexed.tokens.iter().map(|token| (token.span.start, token.span.end)).collect();
        assert_eq!(spans, [(100, 105), (106, 107), (108, 114), (122, 124), (124, 124)]);
    }

    #[test]
    fn what_never_ends_is_reported_once() {
        for sql in ["SELECT 'a", "SELECT \"a", "SELECT /* a"] {
            let lexed = lex(sql, 0);
            assert_eq!(lexed.problems.len(), 1, "{sql}");
            assert_eq!(lexed.problems[0].code, Code::Unterminated);
            assert_eq!(lexed.problems[0].span.start, 7);
        }
    }
}
