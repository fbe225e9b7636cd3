//! Expressions.

use sql::ir;
use value::compare::Comparison;

use super::names::plain;
use super::{Compiler, Reader, noted};
use crate::program::{Condition, Node, Step};
use crate::watch::Part;

impl<'s> Compiler<'s> {
    pub(super) fn expr(&mut self, expr: &'s ir::Expr, reader: Reader) -> Node {
        let span = expr.span;
        match &expr.kind {
            ir::ExprKind::Literal(literal) => constant(literal),
            ir::ExprKind::Reference(name) => self.reference(name, reader),
            ir::ExprKind::Path { base, steps } => {
                let base = self.boxed(base, reader);
                let steps = steps.iter().map(|step| match step {
                    ir::Step::Variable(name) => Step::Variable(self.reference(name, reader)),
                    step => plain(step),
                });
                Node::Steps { base, steps: steps.collect::<Vec<_>>().into() }
            }
            ir::ExprKind::Slice { base, from, to } => {
                Node::Slice { base: self.boxed(base, reader), from: *from, to: *to, span }
            }
            ir::ExprKind::List(items) => Node::List { items: self.exprs(items, reader), span },
            ir::ExprKind::Range { from, to } => Node::Range { from: *from, to: *to, span },
            ir::ExprKind::Call { function, args } => {
                let function = functions::all()[function.0 as usize];
                Node::Call { function, args: self.exprs(args, reader), span }
            }
            ir::ExprKind::Unary { op, operand } => match (op, self.expr(operand, reader)) {
                (ir::UnaryOp::Minus, Node::Int(int)) => Node::Int(-int),
                (ir::UnaryOp::Minus, Node::Float(float)) => Node::Float(-float),
                (ir::UnaryOp::Minus, operand) => Node::Negate { operand: Box::new(operand), span },
                (ir::UnaryOp::Plus, operand) => Node::Plus { operand: Box::new(operand), span },
            },
            ir::ExprKind::Arith { first, rest } => {
                let first = self.boxed(first, reader);
                let rest = rest.iter().map(|term| (term.op, term.op_span, self.expr(&term.operand, reader)));
                Node::Arith { first, rest: rest.collect::<Vec<_>>().into() }
            }
            ir::ExprKind::Compare { op, left, right } => {
                let (left, right) = (self.boxed(left, reader), self.boxed(right, reader));
                match comparison(*op) {
                    Some(comparison) => Node::Compare { comparison, left, right, span },
                    None => Node::TopicMatch { topic: left, filter: right },
                }
            }
            ir::ExprKind::In { needle, list } => {
                Node::In { needle: self.boxed(needle, reader), list: self.exprs(list, reader) }
            }
            ir::ExprKind::And(terms) => Node::And(self.conditions(terms, reader)),
            ir::ExprKind::Or(terms) => Node::Or(self.conditions(terms, reader)),
            ir::ExprKind::Not(inner) => Node::Not(Box::new(self.condition(inner, reader))),
            ir::ExprKind::Case { subject, arms, otherwise } => {
                let subject = subject.as_ref().map(|expr| self.boxed(expr, reader));
                let arms = arms
                    .iter()
                    .map(|arm| (self.expr(&arm.when, reader), self.arm(Part::Arm, &arm.then, reader)));
                let arms = arms.collect::<Vec<_>>().into();
                let otherwise = otherwise.as_ref().map(|expr| Box::new(self.arm(Part::Else, expr, reader)));
                Node::Case { subject, arms, otherwise }
            }
        }
    }

    fn exprs(&mut self, exprs: &'s [ir::Expr], reader: Reader) -> Box<[Node]> {
        exprs.iter().map(|expr| self.expr(expr, reader)).collect::<Vec<_>>().into()
    }

    fn boxed(&mut self, expr: &'s ir::Expr, reader: Reader) -> Box<Node> {
        Box::new(self.expr(expr, reader))
    }

    fn conditions(&mut self, exprs: &'s [ir::Expr], reader: Reader) -> Box<[Condition]> {
        let operands = exprs.iter().map(|expr| {
            let watch = self.watch(Part::Operand, expr.span);
            let condition = self.condition(expr, reader);
            Condition { node: noted(condition.node, watch), ..condition }
        });
        operands.collect::<Vec<_>>().into()
    }

    fn arm(&mut self, part: Part, expr: &'s ir::Expr, reader: Reader) -> Node {
        let watch = self.watch(part, expr.span);
        noted(self.expr(expr, reader), watch)
    }
}

/// How values are compared; `None` for `=~`, which is about topics.
fn comparison(op: ir::CompareOp) -> Option<Comparison> {
    Some(match op {
        ir::CompareOp::Equal => Comparison::Equal,
        ir::CompareOp::NotEqual => Comparison::NotEqual,
        ir::CompareOp::Less => Comparison::Less,
        ir::CompareOp::LessEqual => Comparison::LessOrEqual,
        ir::CompareOp::Greater => Comparison::Greater,
        ir::CompareOp::GreaterEqual => Comparison::GreaterOrEqual,
        ir::CompareOp::TopicMatch => return None,
    })
}

fn constant(literal: &ir::Literal) -> Node {
    match literal {
        ir::Literal::Bool(value) => Node::Bool(*value),
        ir::Literal::Int(int) => Node::Int(*int),
        ir::Literal::BigInt(digits) => {
            let arena = value::Arena::new();
            match value::number::parse_int(digits.as_bytes(), &arena) {
                Some(value::Value::Int(int)) => Node::Int(int),
                Some(value::Value::Big(big)) => Node::Big { negative: big.negative, limbs: big.limbs.into() },
                _ => Node::Undefined,
            }
        }
        ir::Literal::Float(float) => Node::Float(*float),
        ir::Literal::Str(text) => Node::Str(text.as_bytes().into()),
    }
}
