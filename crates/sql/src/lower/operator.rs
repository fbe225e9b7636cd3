//! Calculations and comparisons.

use diagnostic::{Code, Diagnostic, Span};
use value::{Kind, Kinds};

use super::Lower;
use super::expr::boolean;
use super::outcome::{self, Always};
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
        self.check_comparison(op, &left, &right, span);
        boolean(ExprKind::Compare { op, left, right }, span)
    }
}

impl Lower<'_> {
    /// Warns of a comparison that comes to the same for every message.
    fn check_comparison(&mut self, op: CompareOp, left: &Expr, right: &Expr, span: Span) {
        // One cause, one diagnostic: the name has been reported.
        if [left, right].into_iter().any(|side| self.explain_unknown(side, op)) {
            return;
        }
        let Some(always) = outcome::of_comparison(op, left, right) else { return };
        let message = match always {
            Always::True => "this comparison is true for every message",
            Always::False => "this comparison is false for every message",
            Always::Fails => "this comparison fails for every message",
        };
        let help = comparison_help(op, always, left, right)
            .or_else(|| self.column_in_quotes(left, right))
            .or_else(|| few_values_help(op, left, right));
        let mut problem = Diagnostic::new(Code::ConstantComparison, span, message).maybe_help(help);
        if always == Always::Fails {
            problem = problem.label("a number against text that is no number");
        } else if !is_literal(left) || !is_literal(right) {
            let kinds = [left, right].map(|side| without_undefined(side.kinds));
            let telling = |kinds: &Kinds| *kinds != Kinds::NONE && *kinds != without_undefined(Kinds::ANY);
            if kinds.iter().all(telling) && kinds[0] != kinds[1] && op != CompareOp::TopicMatch {
                let [left, right] = kinds.map(with_article);
                problem = problem.label(format!("{left} against {right}"));
            }
        }
        self.report(problem);
    }

    /// Whether a side is a name that is never set, and reported as such; says there what becomes of the comparison.
    fn explain_unknown(&mut self, side: &Expr, op: CompareOp) -> bool {
        let ExprKind::Reference(name) = &side.kind else { return false };
        if side.kinds != Kinds::of(Kind::Undefined) {
            return false;
        }
        let reported = self.problems.iter_mut().rev().find(|problem| {
            problem.span.start == name.span.start
                && matches!(problem.code, Code::UnknownColumn | Code::DoubleQuotes | Code::AliasNotVisible)
        });
        if let Some(problem) = reported {
            let note = if op == CompareOp::TopicMatch {
                "so this never matches"
            } else {
                "a comparison with it is true only if the other side is undefined too"
            };
            problem.notes.push(note.to_owned());
        }
        true
    }

    /// `'clientid' = 'c1'`: the name of a column, in the quotes of a string.
    fn column_in_quotes(&self, left: &Expr, right: &Expr) -> Option<String> {
        [left, right].into_iter().find_map(|side| {
            let ExprKind::Literal(Literal::Str(text)) = &side.kind else { return None };
            self.catalog.column(text)?;
            Some(format!("write `{text}` without quotes if the column was meant"))
        })
    }

    /// Warns of a value that is never found, as `IN` and `CASE` compare strictly.
    pub(super) fn check_same(&mut self, subject: &Expr, value: &Expr, by: &str) {
        let known = [subject, value].iter().all(|side| without_undefined(side.kinds) != Kinds::NONE);
        if !known || !outcome::never_same(subject, value) {
            return;
        }
        let [left, right] = [subject, value].map(|side| with_article(without_undefined(side.kinds)));
        let message = format!("{by} compares strictly, and this is never equal");
        let label = if left == right { String::new() } else { format!("{right} against {left}") };
        let help = match (&subject.kind, subject.kinds.contains(Kind::Atom), value.kinds.contains(Kind::Str))
        {
            (ExprKind::Reference(name), true, true) => {
                Some(format!("`{0}` is a name and no string; `{0} = '…'` compares them as text", name.name))
            }
            _ if left == right => None,
            _ => Some(format!("write {}", with_article(without_undefined(subject.kinds)))),
        };
        let problem = Diagnostic::new(Code::ConstantComparison, value.span, message).label(label);
        self.report(problem.maybe_help(help));
    }
}

/// Which values there are, where they are few and all compare alike.
fn few_values_help(op: CompareOp, left: &Expr, right: &Expr) -> Option<String> {
    let sides = [(left, right), (right, left)].into_iter().filter(|_| op != CompareOp::TopicMatch);
    let mut sides = sides.filter(|(_, other)| other.kinds.meets(Kinds::NUMBER));
    let (side, values) = sides.find_map(|(side, _)| Some((side, outcome::few_values(side)?)))?;
    let ExprKind::Reference(name) = &side.kind else { return None };
    let (last, others) = values.split_last()?;
    let others: Vec<String> = others.iter().map(i64::to_string).collect();
    Some(format!("`{name}` is {} or {last}", others.join(", ")))
}

fn comparison_help(op: CompareOp, always: Always, left: &Expr, right: &Expr) -> Option<String> {
    let undefined = |side: &Expr| side.kinds == Kinds::of(Kind::Undefined);
    if op == CompareOp::TopicMatch {
        let ExprKind::Literal(Literal::Str(filter)) = &right.kind else { return None };
        let error = topic::TopicFilter::parse(filter).err()?;
        return Some(format!("`{filter}` is no topic filter: {error}"));
    }
    if op == CompareOp::NotEqual && (undefined(left) || undefined(right)) {
        return Some("with undefined every comparison is false; write `is_not_null(x)`".to_owned());
    }
    (always == Always::Fails)
        .then(|| "write a number, or make text of the other side with `str(x)`".to_owned())
}

fn is_literal(expr: &Expr) -> bool {
    outcome::constant(expr, &value::Arena::new()).is_some()
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

pub(super) fn without_undefined(kinds: Kinds) -> Kinds {
    Kind::ALL
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
