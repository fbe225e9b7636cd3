//! The parser: a statement level of our own over a Pratt loop for expressions.
//!
//! What cannot be parsed is reported and skipped up to the next comma or clause, so that every problem of a statement
//! comes out at once.

mod clause;
mod expect;
mod expr;
mod path;

pub(crate) use clause::unquote;
use diagnostic::{Code, Diagnostic, Span};

use crate::ast::{Node, NodeId, NodeKind, Tree};
use crate::token::{Keyword, Kind, Token, lex};
use crate::{NESTING_MAX, PROBLEMS_MAX, SQL_BYTES_MAX, portability};

/// Parses one statement. `base` is where `sql` begins in its file; it is added to every span.
///
/// Never fails and takes time linear in the length: what is wrong comes back as diagnostics, ordered by place, and
/// what could be parsed as a [`Tree`]. A tree without diagnostics has a statement with at least one field and one
/// entry of FROM.
pub fn parse(sql: &str, base: u32) -> (Tree, Vec<Diagnostic>) {
    if sql.len() > SQL_BYTES_MAX {
        let span = Span::from(SQL_BYTES_MAX..sql.len()).shifted(base);
        let message = format!("a statement has at most {SQL_BYTES_MAX} bytes, this one has {}", sql.len());
        let problem = Diagnostic::new(Code::SqlTooLong, span, message).label("what is too much");
        return (Tree { broken: true, ..Tree::default() }, vec![problem]);
    }
    let lexed = lex(sql, base);
    let end_reported = lexed.problems.iter().any(|problem| problem.code == Code::Unterminated);
    let mut parser = Parser {
        sql,
        base,
        tokens: lexed.tokens,
        at: 0,
        depth: 0,
        context: Context::Field,
        end_reported,
        tree: Tree { portability: lexed.portability, broken: end_reported, ..Tree::default() },
        problems: lexed.problems,
    };
    parser.statement();
    let Parser { mut tree, mut problems, .. } = parser;
    tree.broken |= !problems.is_empty();
    problems.sort_by_key(|problem| problem.span);
    problems.truncate(PROBLEMS_MAX);
    tree.portability.sort_by_key(|note| note.span);
    tree.portability.truncate(PROBLEMS_MAX);
    (tree, problems)
}

/// Something could not be parsed, and that has been reported.
#[derive(Debug)]
struct Failed;

type Parsed<T> = Result<T, Failed>;

/// Where an expression stands, as far as the reference treats places differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    /// WHERE, INCASE, WHEN.
    Condition,
    /// The whole of a field, THEN or ELSE.
    Field,
    /// An argument.
    Argument,
    /// Inside parentheses or a list, but not in a condition.
    Inner,
}

struct Parser<'s> {
    sql: &'s str,
    base: u32,
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
    context: Context,
    /// Whether it has been said already why the text ends too early.
    end_reported: bool,
    tree: Tree,
    problems: Vec<Diagnostic>,
}

impl<'s> Parser<'s> {
    fn token(&self) -> Token {
        self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn kind(&self) -> Kind {
        self.token().kind
    }

    fn kind_after(&self, count: usize) -> Kind {
        self.tokens.get(self.at + count).map_or(Kind::End, |token| token.kind)
    }

    fn previous(&self) -> Option<Token> {
        self.at.checked_sub(1).map(|at| self.tokens[at])
    }

    fn text(&self, token: Token) -> &'s str {
        let start = (token.span.start - self.base) as usize;
        &self.sql[start..start + token.span.len() as usize]
    }

    /// Takes the current token; the last one stays.
    fn advance(&mut self) -> Token {
        let token = self.token();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    fn eat(&mut self, kind: Kind) -> bool {
        let found = self.kind() == kind;
        if found {
            self.advance();
        }
        found
    }

    fn eat_keyword(&mut self, keyword: Keyword) -> bool {
        self.eat(Kind::Keyword(keyword))
    }

    /// From `start` to the end of the last token taken.
    fn span_from(&self, start: Span) -> Span {
        self.previous().map_or(start, |token| start.to(token.span))
    }

    fn push(&mut self, kind: NodeKind, span: Span) -> NodeId {
        // At most one node for each byte of a bounded text.
        let id = NodeId(u32::try_from(self.tree.nodes.len()).unwrap_or(u32::MAX));
        self.tree.nodes.push(Node { kind, span });
        id
    }

    fn report(&mut self, problem: Diagnostic) -> Failed {
        // Those of the tokens have a bound of their own.
        if self.problems.len() < 2 * PROBLEMS_MAX {
            self.problems.push(problem);
        }
        Failed
    }

    fn unportable(&mut self, span: Span, what: &str) {
        if self.tree.portability.len() < 2 * PROBLEMS_MAX {
            self.tree.portability.push(portability::refused(span, what));
        }
    }

    /// As [`Parser::unportable`], of what the reference refuses only when a message gets there.
    fn unportable_when_run(&mut self, span: Span, what: &str) {
        if self.tree.portability.len() < 2 * PROBLEMS_MAX {
            self.tree.portability.push(portability::failing(span, what));
        }
    }

    /// Goes one level deeper for the length of `inner`.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= NESTING_MAX {
            let message = format!("nested more than {NESTING_MAX} levels deep");
            let problem = Diagnostic::new(Code::NestingTooDeep, self.token().span, message)
                .help("move a part into a field of its own and use its alias");
            return Err(self.report(problem));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Parses `inner` as standing in this context.
    fn within<T>(&mut self, context: Context, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let outside = std::mem::replace(&mut self.context, context);
        let result = inner(self);
        self.context = outside;
        result
    }
}

#[cfg(test)]
mod tests;
