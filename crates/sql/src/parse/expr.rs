//! Expressions: a Pratt loop that keeps operators of one precedence flat.

use diagnostic::{Code, Diagnostic, Span};

use super::{Context, Parsed, Parser};
use crate::ast::{InfixOp, NodeId, NodeKind, PrefixOp};
use crate::ir::{ArithOp, CompareOp};
use crate::token::{Keyword, Kind};

/// How tightly operators bind, loosest first.
mod level {
    pub(super) const OR: u8 = 1;
    pub(super) const AND: u8 = 2;
    pub(super) const NOT: u8 = 3;
    pub(super) const COMPARE: u8 = 4;
    pub(super) const SUM: u8 = 5;
    pub(super) const PRODUCT: u8 = 6;
}

/// What joins two operands.
enum Infix {
    Op(InfixOp),
    In { negated: bool },
}

impl Parser<'_> {
    /// An expression of operators that bind at least as tightly as `min`.
    pub(super) fn expr(&mut self, min: u8) -> Parsed<NodeId> {
        let start = self.token().span;
        let mut left = self.operand(min)?;
        // The level of the chain that `left` is, if this loop made it.
        let mut open = None;
        while let Some((infix, level)) = self.infix() {
            if level < min {
                break;
            }
            let op_span = self.token().span;
            if level == level::COMPARE {
                if open == Some(level::COMPARE) {
                    return Err(self.chained(op_span));
                }
                self.note_comparison(&infix, op_span);
            } else if level < level::COMPARE && self.context != Context::Condition {
                self.unportable(op_span, "AND and OR outside of conditions");
            }
            left = match infix {
                Infix::In { negated } => self.is_in(start, left, negated)?,
                Infix::Op(op) => {
                    self.advance();
                    let right = self.expr(level + 1)?;
                    self.note_case(right);
                    if open == Some(level) {
                        self.append(left, (op, op_span, right));
                        left
                    } else {
                        self.note_case(left);
                        let span = self.span_from(start);
                        self.push(NodeKind::Chain { first: left, rest: vec![(op, op_span, right)] }, span)
                    }
                }
            };
            open = Some(level);
        }
        Ok(left)
    }

    fn append(&mut self, chain: NodeId, term: (InfixOp, Span, NodeId)) {
        let end = self.span_from(term.1);
        let node = &mut self.tree.nodes[chain.0 as usize];
        node.span = node.span.to(end);
        if let NodeKind::Chain { rest, .. } = &mut node.kind {
            rest.push(term);
        }
    }

    fn chained(&mut self, span: Span) -> super::Failed {
        let problem = Diagnostic::new(Code::ChainedComparison, span, "comparisons do not chain")
            .help("write `a < b AND b < c`, or put one of them in parentheses");
        self.report(problem)
    }

    fn note_comparison(&mut self, infix: &Infix, span: Span) {
        match infix {
            Infix::In { negated: true } => self.unportable_when_run(span, "NOT IN"),
            Infix::In { negated: false } if self.context != Context::Condition => {
                self.unportable(span, "IN outside of conditions");
            }
            Infix::Op(_) if self.context == Context::Inner => {
                self.unportable(span, "a comparison inside parentheses or a list, outside of conditions");
            }
            _ => {}
        }
    }

    /// Notes CASE as an operand, which the reference takes only as the whole of a field or argument.
    fn note_case(&mut self, operand: NodeId) {
        let node = self.tree.node(operand);
        if let NodeKind::Case { .. } = node.kind {
            let span = node.span;
            self.unportable(span, "CASE inside another expression");
        }
    }

    /// The operator here, if one is, and its level.
    fn infix(&self) -> Option<(Infix, u8)> {
        use level::{AND, COMPARE, OR, PRODUCT, SUM};
        let arith = |op| Infix::Op(InfixOp::Arith(op));
        let compare = |op| Infix::Op(InfixOp::Compare(op));
        Some(match self.kind() {
            Kind::Keyword(Keyword::Or) => (Infix::Op(InfixOp::Or), OR),
            Kind::Keyword(Keyword::And) => (Infix::Op(InfixOp::And), AND),
            Kind::Keyword(Keyword::In) => (Infix::In { negated: false }, COMPARE),
            Kind::Keyword(Keyword::Not) if self.kind_after(1) == Kind::Keyword(Keyword::In) => {
                (Infix::In { negated: true }, COMPARE)
            }
            Kind::Equal => (compare(CompareOp::Equal), COMPARE),
            Kind::NotEqual => (compare(CompareOp::NotEqual), COMPARE),
            Kind::Less => (compare(CompareOp::Less), COMPARE),
            Kind::LessEqual => (compare(CompareOp::LessEqual), COMPARE),
            Kind::Greater => (compare(CompareOp::Greater), COMPARE),
            Kind::GreaterEqual => (compare(CompareOp::GreaterEqual), COMPARE),
            Kind::TopicMatch => (compare(CompareOp::TopicMatch), COMPARE),
            Kind::Plus => (arith(ArithOp::Add), SUM),
            Kind::Minus => (arith(ArithOp::Subtract), SUM),
            Kind::Star => (arith(ArithOp::Multiply), PRODUCT),
            Kind::Slash => (arith(ArithOp::Divide), PRODUCT),
            Kind::Keyword(Keyword::Div) => (arith(ArithOp::IntegerDivide), PRODUCT),
            Kind::Keyword(Keyword::Mod) => (arith(ArithOp::Remainder), PRODUCT),
            _ => return None,
        })
    }

    /// One operand with the signs and NOTs before it.
    fn operand(&mut self, min: u8) -> Parsed<NodeId> {
        let token = self.token();
        let op = match token.kind {
            Kind::Minus => PrefixOp::Minus,
            Kind::Plus => PrefixOp::Plus,
            Kind::Keyword(Keyword::Not) => PrefixOp::Not,
            _ => return self.postfix(),
        };
        if op != PrefixOp::Not {
            self.advance();
            let operand = self.nested(|parser| parser.operand(u8::MAX))?;
            self.note_case(operand);
            return Ok(self.push(NodeKind::Prefix { op, operand }, self.span_from(token.span)));
        }
        if min > level::NOT {
            let problem = Diagnostic::new(
                Code::UnexpectedToken,
                token.span,
                "NOT binds less tightly than what precedes it",
            )
            .help("put parentheses around it, as in `a = (NOT b)`");
            return Err(self.report(problem));
        }
        self.advance();
        if self.context != Context::Condition {
            self.unportable(token.span, "NOT outside of conditions");
        }
        let operand = self.nested(|parser| parser.expr(level::NOT))?;
        self.note_negated(operand, token.span);
        Ok(self.push(NodeKind::Prefix { op, operand }, self.span_from(token.span)))
    }

    /// The reference negates plain comparisons, calls and values only.
    fn note_negated(&mut self, mut operand: NodeId, span: Span) {
        while let NodeKind::Paren(inner) = self.tree.node(operand).kind {
            operand = inner;
        }
        let refused = match &self.tree.node(operand).kind {
            NodeKind::Prefix { op, .. } => *op == PrefixOp::Not,
            NodeKind::In { .. } => true,
            NodeKind::Chain { rest, .. } => matches!(rest[0].0, InfixOp::And | InfixOp::Or),
            _ => false,
        };
        if refused {
            self.unportable_when_run(span, "NOT over AND, OR, NOT and IN");
        }
    }

    /// Notes the bare values of a condition, which the reference takes after NOT only.
    pub(super) fn note_bare(&mut self, condition: NodeId) {
        let mut left = vec![condition];
        while let Some(id) = left.pop() {
            let node = self.tree.node(id);
            let span = node.span;
            match &node.kind {
                NodeKind::Paren(inner) => left.push(*inner),
                NodeKind::Chain { first, rest } if matches!(rest[0].0, InfixOp::And | InfixOp::Or) => {
                    left.extend(rest.iter().rev().map(|(_, _, operand)| *operand));
                    left.push(*first);
                }
                NodeKind::Path(_) | NodeKind::Postfix { .. } => {
                    self.unportable_when_run(span, "a bare value as a condition");
                }
                _ => {}
            }
        }
    }

    /// `needle [NOT] IN (e, …)`, of which `needle` has been taken.
    fn is_in(&mut self, start: Span, needle: NodeId, negated: bool) -> Parsed<NodeId> {
        if negated {
            self.advance();
        }
        self.advance();
        if self.kind() != Kind::LParen {
            if matches!(self.kind(), Kind::Name | Kind::Quoted | Kind::LBracket) {
                let problem = Diagnostic::new(
                    Code::UnexpectedToken,
                    self.token().span,
                    "IN needs a list in parentheses",
                )
                .help("to look into an array, write `contains(value, array)`");
                return Err(self.report(problem));
            }
            return Err(self.expected("`(`"));
        }
        let open = self.advance();
        if self.kind() == Kind::RParen {
            let span = open.span.to(self.token().span);
            let problem = Diagnostic::new(Code::MissingField, span, "IN needs at least one value");
            return Err(self.report(problem));
        }
        let list = self.nested(|parser| {
            parser.within(Context::Inner, |parser| parser.list(Kind::RParen, "`,` or `)`"))
        })?;
        Ok(self.push(NodeKind::In { needle, negated, list }, self.span_from(start)))
    }

    /// Expressions between commas up to `close`, which is taken too.
    fn list(&mut self, close: Kind, wanted: &str) -> Parsed<Vec<NodeId>> {
        let mut items = Vec::new();
        loop {
            items.push(self.expr(0)?);
            if self.eat(close) {
                return Ok(items);
            }
            if !self.eat(Kind::Comma) {
                return Err(self.expected(wanted));
            }
        }
    }

    /// A primary with the path after it.
    fn postfix(&mut self) -> Parsed<NodeId> {
        let start = self.token().span;
        let base = self.primary()?;
        let may_descend = matches!(
            self.tree.node(base).kind,
            NodeKind::Paren(_) | NodeKind::Call { .. } | NodeKind::List(_) | NodeKind::Range { .. }
        );
        if !may_descend || !matches!(self.kind(), Kind::Dot | Kind::LBracket) {
            return Ok(base);
        }
        let segments = self.segments()?;
        let span = self.span_from(start);
        if let (NodeKind::List(_) | NodeKind::Range { .. }, Some(first)) =
            (&self.tree.node(base).kind, segments.first())
        {
            self.check_listed(&first.kind, first.span)?;
        }
        self.unportable(span, "an index or a path after a call, a list or parentheses");
        Ok(self.push(NodeKind::Postfix { base, segments }, span))
    }

    fn primary(&mut self) -> Parsed<NodeId> {
        let token = self.token();
        match token.kind {
            Kind::Number => self.number(),
            Kind::Str => {
                self.advance();
                let text = self.text(token);
                Ok(self.push(NodeKind::Str(text[1..text.len() - 1].into()), token.span))
            }
            Kind::LParen => self.paren(),
            Kind::LBracket => self.bracketed_list(),
            Kind::Keyword(Keyword::Case) => self.nested(Self::case),
            Kind::Keyword(Keyword::Div | Keyword::Mod) if self.kind_after(1) == Kind::LParen => {
                self.call(None)
            }
            Kind::Name if matches!(self.text(token), "true" | "false") => {
                self.advance();
                Ok(self.push(NodeKind::Bool(self.text(token) == "true"), token.span))
            }
            Kind::Name if self.kind_after(1) == Kind::LParen => self.call(None),
            Kind::Name
                if self.kind_after(1) == Kind::Dot
                    && self.kind_after(2) == Kind::Name
                    && self.kind_after(3) == Kind::LParen =>
            {
                let module = self.name_of(token);
                self.advance();
                self.advance();
                self.call(Some(module))
            }
            Kind::Name | Kind::Quoted => {
                let path = self.path()?;
                let span = path.span;
                Ok(self.push(NodeKind::Path(path), span))
            }
            Kind::Star => {
                let problem = Diagnostic::new(Code::StarMisplaced, token.span, "`*` cannot stand here")
                    .help("`*` is a whole field of SELECT or DO");
                Err(self.report(problem))
            }
            Kind::Keyword(Keyword::Select) => {
                let problem = Diagnostic::new(
                    Code::NotInDialect,
                    token.span,
                    "there are no statements inside statements",
                )
                .help("write a second rule");
                Err(self.report(problem))
            }
            _ => Err(self.expected("an expression")),
        }
    }

    fn number(&mut self) -> Parsed<NodeId> {
        let token = self.advance();
        let text = self.text(token);
        let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
        if mantissa.starts_with('.') || mantissa.ends_with('.') {
            self.unportable(token.span, "a float without digits on both sides of its point");
        } else if mantissa.len() < text.len() && !mantissa.contains('.') {
            self.unportable(token.span, "an exponent without a point before it");
        }
        Ok(self.push(NodeKind::Number(text.into()), token.span))
    }

    fn paren(&mut self) -> Parsed<NodeId> {
        let open = self.advance();
        let context = if self.context == Context::Field { Context::Inner } else { self.context };
        let inner = self.nested(|parser| parser.within(context, |parser| parser.expr(0)))?;
        self.note_case(inner);
        if !self.eat(Kind::RParen) {
            let reported = self.problems.len();
            let failed = self.expected("`)`");
            if let Some(problem) = self.problems.get_mut(reported) {
                *problem = problem.clone().related(open.span, "opened here");
            }
            return Err(failed);
        }
        Ok(self.push(NodeKind::Paren(inner), self.span_from(open.span)))
    }

    fn bracketed_list(&mut self) -> Parsed<NodeId> {
        let open = self.advance();
        if self.eat(Kind::RBracket) {
            return Ok(self.push(NodeKind::List(Vec::new()), self.span_from(open.span)));
        }
        if let Some((from, to)) = self.range()? {
            return Ok(self.push(NodeKind::Range { from, to }, self.span_from(open.span)));
        }
        let items = self.nested(|parser| {
            parser.within(Context::Inner, |parser| parser.list(Kind::RBracket, "`,` or `]`"))
        })?;
        Ok(self.push(NodeKind::List(items), self.span_from(open.span)))
    }

    /// A call from the function's name on.
    fn call(&mut self, module: Option<crate::ast::Name>) -> Parsed<NodeId> {
        let token = self.advance();
        let name = self.name_of(token);
        let start = module.as_ref().map_or(name.span, |module| module.span);
        self.advance();
        let args = if self.eat(Kind::RParen) {
            Vec::new()
        } else {
            self.nested(|parser| {
                parser.within(Context::Argument, |parser| parser.list(Kind::RParen, "`,` or `)`"))
            })?
        };
        Ok(self.push(NodeKind::Call { module, name, args }, self.span_from(start)))
    }

    fn case(&mut self) -> Parsed<NodeId> {
        let case = self.advance();
        let when = Kind::Keyword(Keyword::When);
        let subject = match self.kind() {
            kind if kind == when => None,
            Kind::Keyword(Keyword::Else | Keyword::End) => return Err(self.expected("`WHEN`")),
            _ => Some(self.within(Context::Field, |parser| parser.expr(0))?),
        };
        if self.kind() != when {
            return Err(self.expected("`WHEN`"));
        }
        let tested = if subject.is_some() { Context::Field } else { Context::Condition };
        let mut arms = Vec::new();
        while self.eat(when) {
            let test = self.within(tested, |parser| parser.expr(0))?;
            if subject.is_none() {
                self.note_bare(test);
            }
            if !self.eat_keyword(Keyword::Then) {
                return Err(self.expected("`THEN`"));
            }
            let then = self.within(Context::Field, |parser| parser.expr(0))?;
            arms.push((test, then));
        }
        let otherwise = if self.eat_keyword(Keyword::Else) {
            Some(self.within(Context::Field, |parser| parser.expr(0))?)
        } else {
            None
        };
        if !self.eat_keyword(Keyword::End) {
            return Err(self.expected(if otherwise.is_some() { "`END`" } else { "`WHEN`, `ELSE` or `END`" }));
        }
        Ok(self.push(NodeKind::Case { subject, arms, otherwise }, self.span_from(case.span)))
    }
}
