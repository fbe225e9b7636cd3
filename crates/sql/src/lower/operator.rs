//! Calculations and comparisons.

use diagnostic::{Code, Diagnostic, Span};
use value::{Kind, Kinds};

use super::Lower;
use super::expr::boolean;
use crate::ast::{InfixOp, NodeId};
use crate::ir::{ArithOp, CompareOp, Expr, ExprKind, Literal, Term, UnaryOp};

impl<'t> Lower<'t> {
    pub(super) fn sign(&mut self, op: UnaryOp, operand: NodeId, span: Span) -> Expr {
        let operand = self.expr(operand);
        self.check_operand(&operand, Kinds::NUMBER, "a sign");
        let kinds = numeric(operand.kinds);
        Expr { kind: ExprKind::Unary { op, operand: Box::new(operand) }, span, kinds }
    }

    pub(super) fn arith(&mut self, first: NodeId, rest: &[(InfixOp, Span, NodeId)], span: Span) -> Expr {
        let first = self.expr(first);
        let mut kinds = first.kinds;
        let mut left_span = first.span;
        let mut terms: Vec<Term> = Vec::with_capacity(rest.len());
        for (op, op_span, operand) in rest {
            let InfixOp::Arith(op) = *op else { continue };
            let operand = self.expr(*operand);
            let left = Side { kinds, span: left_span };
            kinds = self.step_of_arith(op, left, &operand);
            left_span = first.span.to(operand.span);
            terms.push(Term { op, op_span: *op_span, operand });
        }
        Expr { kind: ExprKind::Arith { first: Box::new(first), rest: terms }, span, kinds }
    }

    /// Checks `left op right`; the kinds of its value.
    fn step_of_arith(&mut self, op: ArithOp, left: Side, right: &Expr) -> Kinds {
        let whole = matches!(op, ArithOp::IntegerDivide | ArithOp::Remainder);
        let wanted = if whole { Kinds::of(Kind::Int) } else { Kinds::NUMBER };
        let name = op_name(op);
        let text = Kinds::of(Kind::Str);
        if op == ArithOp::Add {
            if left.kinds == text || right.kinds == text {
                return text;
            }
            if left.kinds.contains(Kind::Str) || right.kinds.contains(Kind::Str) {
                return Kinds::NUMBER.or(Kind::Str);
            }
        }
        self.check_side(left, wanted, name);
        self.check_operand(right, wanted, name);
        self.check_zero(op, left.span, right);
        match op {
            ArithOp::Divide => Kinds::of(Kind::Float),
            ArithOp::IntegerDivide | ArithOp::Remainder => Kinds::of(Kind::Int),
            ArithOp::Add | ArithOp::Subtract | ArithOp::Multiply => {
                let whole = |kinds: Kinds| kinds.contains(Kind::Int) && !kinds.contains(Kind::Float);
                if whole(left.kinds) && whole(right.kinds) { Kinds::of(Kind::Int) } else { Kinds::NUMBER }
            }
        }
    }

    fn check_zero(&mut self, op: ArithOp, left: Span, right: &Expr) {
        let divides = matches!(op, ArithOp::Divide | ArithOp::IntegerDivide | ArithOp::Remainder);
        let zero = match &right.kind {
            ExprKind::Literal(Literal::Int(value)) => *value == 0,
            ExprKind::Literal(Literal::Float(value)) => *value == 0.0,
            _ => false,
        };
        if divides && zero {
            let problem = Diagnostic::new(Code::AlwaysFails, left.to(right.span), "this divides by zero");
            self.report(problem);
        }
    }

    fn check_operand(&mut self, operand: &Expr, wanted: Kinds, by: &str) {
        self.check_side(Side { kinds: operand.kinds, span: operand.span }, wanted, by);
    }

    /// Reports an operand that can never be of a wanted kind. What is undefined throughout has been reported already.
    fn check_side(&mut self, side: Side, wanted: Kinds, by: &str) {
        if side.kinds.meets(wanted) || side.kinds == Kinds::of(Kind::Undefined) || side.kinds == Kinds::NONE {
            return;
        }
        let (wanted_words, found) = (with_article(wanted), with_article(without_undefined(side.kinds)));
        let message = format!("{by} needs {wanted_words}, found {found}");
        let mut problem = Diagnostic::new(Code::OperandKind, side.span, message);
        if side.kinds.contains(Kind::Str) {
            problem = problem.help("`int(x)` and `float(x)` make numbers of text");
        }
        self.report(problem);
    }

    pub(super) fn comparison(&mut self, op: CompareOp, left: NodeId, right: NodeId, span: Span) -> Expr {
        let left = Box::new(self.expr(left));
        let right = Box::new(self.expr(right));
        if let (ExprKind::Literal(_), ExprKind::Literal(_)) = (&left.kind, &right.kind) {
            let problem = Diagnostic::new(
                Code::ConstantComparison,
                span,
                "this comparison gives the same for every message",
            );
            self.report(problem);
        }
        boolean(ExprKind::Compare { op, left, right }, span)
    }
}

/// An operand that may be the value of a chain so far.
#[derive(Clone, Copy)]
struct Side {
    kinds: Kinds,
    span: Span,
}

/// A sign leaves an integer an integer.
fn numeric(kinds: Kinds) -> Kinds {
    for kind in [Kind::Int, Kind::Float] {
        if kinds == Kinds::of(kind) {
            return kinds;
        }
    }
    Kinds::NUMBER
}

fn op_name(op: ArithOp) -> &'static str {
    match op {
        ArithOp::Add => "`+`",
        ArithOp::Subtract => "`-`",
        ArithOp::Multiply => "`*`",
        ArithOp::Divide => "`/`",
        ArithOp::IntegerDivide => "`div`",
        ArithOp::Remainder => "`mod`",
    }
}

const KINDS: [Kind; 9] = [
    Kind::Undefined,
    Kind::Null,
    Kind::Bool,
    Kind::Int,
    Kind::Float,
    Kind::Atom,
    Kind::Str,
    Kind::Array,
    Kind::Map,
];

pub(super) fn without_undefined(kinds: Kinds) -> Kinds {
    KINDS
        .into_iter()
        .filter(|kind| *kind != Kind::Undefined && kinds.contains(*kind))
        .fold(Kinds::NONE, Kinds::or)
}

/// `a string`, `an integer or float`, `a number`.
pub(super) fn with_article(kinds: Kinds) -> String {
    if kinds == Kinds::NUMBER {
        return "a number".to_owned();
    }
    let words = kinds.to_string();
    let article = if words.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    if words.starts_with("null") || words.starts_with("undefined") {
        words
    } else {
        format!("{article} {words}")
    }
}
