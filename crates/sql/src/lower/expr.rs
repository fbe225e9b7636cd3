//! Expressions and what they may hold.

use diagnostic::{Code, Diagnostic, Span};
use value::{Kind, Kinds};

use super::Lower;
use crate::ast::{self, InfixOp, NodeId, NodeKind, PrefixOp, Segment, SegmentKind};
use crate::ir::{Arm, Expr, ExprKind, Literal, Reference, Step};

impl<'t> Lower<'t> {
    /// Lowers one node with all below it. The depth is bounded by the parser.
    pub(super) fn expr(&mut self, id: NodeId) -> Expr {
        let node = self.tree.node(id);
        let span = node.span;
        match &node.kind {
            NodeKind::Bool(value) => literal(Literal::Bool(*value), span),
            NodeKind::Number(text) => self.number(text, span),
            NodeKind::Str(text) => literal(Literal::Str(crate::parse::unquote(text, '\'')), span),
            NodeKind::Path(path) => self.path(path),
            NodeKind::Postfix { base, segments } => {
                let base = self.expr(*base);
                self.steps_after(base, segments, span)
            }
            NodeKind::Paren(inner) => Expr { span, ..self.expr(*inner) },
            NodeKind::List(items) => {
                let items = items.iter().map(|item| self.expr(*item)).collect();
                Expr { kind: ExprKind::List(items), span, kinds: Kinds::of(Kind::Array) }
            }
            NodeKind::Range { from, to } => {
                if *to < from.saturating_sub(1) {
                    let message = format!("the range ends at {to} before it begins at {from}");
                    self.report(Diagnostic::new(Code::AlwaysFails, span, message));
                }
                Expr { kind: ExprKind::Range { from: *from, to: *to }, span, kinds: Kinds::of(Kind::Array) }
            }
            NodeKind::Call { module, name, args } => self.call(module.as_ref(), name, args, span),
            NodeKind::Prefix { op: PrefixOp::Not, operand } => self.not(*operand, span),
            NodeKind::Prefix { op: PrefixOp::Minus, operand } => {
                self.sign(crate::ir::UnaryOp::Minus, *operand, span)
            }
            NodeKind::Prefix { op: PrefixOp::Plus, operand } => {
                self.sign(crate::ir::UnaryOp::Plus, *operand, span)
            }
            NodeKind::Chain { first, rest } => self.chain(*first, rest, span),
            NodeKind::In { needle, negated, list } => {
                let needle = Box::new(self.expr(*needle));
                let list: Vec<Expr> = list.iter().map(|item| self.expr(*item)).collect();
                list.iter().for_each(|item| self.check_same(&needle, item, "IN"));
                let found = boolean(ExprKind::In { needle, list }, span);
                if *negated { boolean(ExprKind::Not(Box::new(found)), span) } else { found }
            }
            NodeKind::Case { subject, arms, otherwise } => self.case(*subject, arms, *otherwise, span),
        }
    }

    fn chain(&mut self, first: NodeId, rest: &'t [(InfixOp, Span, NodeId)], span: Span) -> Expr {
        let conditions = |lower: &mut Self| -> Vec<Expr> {
            let operands = std::iter::once(first).chain(rest.iter().map(|(_, _, operand)| *operand));
            operands.map(|operand| lower.condition(operand)).collect()
        };
        match rest.first().map(|(op, _, _)| *op) {
            Some(InfixOp::Or) => boolean(ExprKind::Or(conditions(self)), span),
            Some(InfixOp::And) => {
                let terms = conditions(self);
                self.check_contradiction(&terms);
                boolean(ExprKind::And(terms), span)
            }
            Some(InfixOp::Compare(op)) => self.comparison(op, first, rest[0].2, span),
            Some(InfixOp::Arith(_)) | None => self.arith(first, rest, span),
        }
    }

    fn number(&mut self, text: &str, span: Span) -> Expr {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let digits = text.trim_start_matches('0');
            return match if digits.is_empty() { "0" } else { digits }.parse::<i64>() {
                Ok(value) => literal(Literal::Int(value), span),
                Err(_) => literal(Literal::BigInt(digits.into()), span),
            };
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => literal(Literal::Float(value), span),
            Ok(_) => {
                let problem = Diagnostic::new(Code::BadNumber, span, format!("`{text}` is out of range"))
                    .help("floats go up to about 1.8e308");
                self.report(problem);
                literal(Literal::Float(0.0), span)
            }
            Err(_) => {
                // The tokenizer has reported it.
                literal(Literal::Float(0.0), span)
            }
        }
    }

    fn case(
        &mut self,
        subject: Option<NodeId>,
        arms: &'t [(NodeId, NodeId)],
        otherwise: Option<NodeId>,
        span: Span,
    ) -> Expr {
        let subject = subject.map(|subject| Box::new(self.expr(subject)));
        let mut kinds = Kinds::NONE;
        let arms = arms
            .iter()
            .map(|(when, then)| {
                let when = if let Some(subject) = &subject {
                    let when = self.expr(*when);
                    self.check_same(subject, &when, "CASE");
                    when
                } else {
                    let outside = std::mem::replace(&mut self.lenient, true);
                    let when = self.condition(*when);
                    self.lenient = outside;
                    when
                };
                let then = self.expr(*then);
                kinds = kinds.union(then.kinds);
                Arm { when, then }
            })
            .collect();
        let otherwise = otherwise.map(|otherwise| Box::new(self.expr(otherwise)));
        kinds = kinds.union(otherwise.as_ref().map_or(Kinds::of(Kind::Undefined), |expr| expr.kinds));
        Expr { kind: ExprKind::Case { subject, arms, otherwise }, span, kinds }
    }

    /// A name with its path; a range in it ends the reference and descends from there.
    fn path(&mut self, path: &'t ast::Path) -> Expr {
        let is_slice = |segment: &Segment| matches!(segment.kind, SegmentKind::Slice { .. });
        let split = path.segments.iter().position(is_slice).unwrap_or(path.segments.len());
        let (inner, outer) = path.segments.split_at(split);
        let (alias, base) = self.resolve(&path.name.text);
        self.check_known(path, alias, base);
        self.check_before_loop(path, base);
        let end = inner.last().map_or(path.name.span, |segment| segment.span);
        let span = path.name.span.to(end);
        let kinds = if inner.is_empty() { self.kinds_of(&path.name.text, alias, base) } else { Kinds::ANY };
        let reference =
            Reference { name: path.name.text.clone(), alias, base, steps: self.steps(inner), span };
        let expr = Expr { kind: ExprKind::Reference(reference), span, kinds };
        if outer.is_empty() { expr } else { self.steps_after(expr, outer, path.span) }
    }

    /// The name in brackets that gives an index. It is no mistake if nothing supplies it here: under a column it is
    /// looked up elsewhere.
    pub(super) fn index(&mut self, path: &'t ast::Path) -> Reference {
        let (alias, base) = self.resolve(&path.name.text);
        let steps = self.steps(&path.segments);
        Reference { name: path.name.text.clone(), alias, base, steps, span: path.span }
    }

    /// Steps and ranges after an expression that is no plain reference.
    fn steps_after(&mut self, mut base: Expr, segments: &'t [Segment], whole: Span) -> Expr {
        let mut left = segments;
        while let Some(first) = left.first() {
            let span = whole.to(first.span);
            let start = base.span;
            if let SegmentKind::Slice { from, to } = first.kind {
                self.check_slice(from, to, first.span);
                let kind = ExprKind::Slice { base: Box::new(base), from, to };
                base = Expr { kind, span: start.to(first.span), kinds: Kinds::of(Kind::Array) };
                left = &left[1..];
                continue;
            }
            let is_slice = |segment: &Segment| matches!(segment.kind, SegmentKind::Slice { .. });
            let count = left.iter().position(is_slice).unwrap_or(left.len());
            let (steps, rest) = left.split_at(count);
            let end = steps.last().map_or(span, |segment| segment.span);
            let kind = ExprKind::Path { base: Box::new(base), steps: self.steps(steps) };
            base = Expr { kind, span: start.to(end), kinds: Kinds::ANY };
            left = rest;
        }
        base
    }

    fn check_slice(&mut self, from: i64, to: i64, span: Span) {
        if from == 0 || to == 0 {
            let problem =
                Diagnostic::new(Code::IndexZero, span, "a range of an array cannot begin or end at 0")
                    .help("arrays start at 1, and -1 is the last element");
            self.report(problem);
        }
    }

    fn steps(&mut self, segments: &'t [Segment]) -> Vec<Step> {
        segments.iter().filter_map(|segment| self.step(segment)).collect()
    }

    fn step(&mut self, segment: &'t Segment) -> Option<Step> {
        Some(match &segment.kind {
            SegmentKind::Key(name) => Step::Key(name.text.clone()),
            SegmentKind::Index { negative, value } => {
                if *value == 0 {
                    let problem = Diagnostic::new(Code::IndexZeroRead, segment.span, "there is no element 0")
                        .label("always undefined")
                        .help("arrays start at 1, and -1 is the last element");
                    self.report(problem);
                }
                Step::Index(if *negative { -value } else { *value })
            }
            SegmentKind::Variable(path) => Step::Variable(Box::new(self.index(path))),
            // Whoever calls has cut the path at its ranges.
            SegmentKind::Slice { .. } => return None,
        })
    }
}

fn literal(literal: Literal, span: Span) -> Expr {
    let kind = match literal {
        Literal::Bool(_) => Kind::Bool,
        Literal::Int(_) | Literal::BigInt(_) => Kind::Int,
        Literal::Float(_) => Kind::Float,
        Literal::Str(_) => Kind::Str,
    };
    Expr { kind: ExprKind::Literal(literal), span, kinds: Kinds::of(kind) }
}

pub(super) fn boolean(kind: ExprKind, span: Span) -> Expr {
    Expr { kind, span, kinds: Kinds::of(Kind::Bool) }
}
