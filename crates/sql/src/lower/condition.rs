//! What may stand where true or false is needed.

use diagnostic::{Code, Diagnostic, Span};
use value::{Kind, Kinds};

use super::Lower;
use super::expr::boolean;
use super::operator::{with_article, without_undefined};
use crate::ast::NodeId;
use crate::ir::{Expr, ExprKind, Literal};

impl<'t> Lower<'t> {
    /// Lowers what stands in WHERE, INCASE, WHEN, or beside AND and OR, where anything but a boolean fails.
    pub(super) fn condition(&mut self, id: NodeId) -> Expr {
        let expr = self.expr(id);
        let undefined = expr.kinds == Kinds::of(Kind::Undefined);
        if expr.kinds.contains(Kind::Bool) || undefined {
            self.warn_of_bare(&expr);
            return expr;
        }
        let is_call = matches!(expr.kind, ExprKind::Call { .. });
        if expr.kinds == Kinds::NONE || (is_call && self.lenient) {
            return expr;
        }
        let found = with_article(without_undefined(expr.kinds));
        let problem = Diagnostic::new(
            Code::NotACondition,
            expr.span,
            format!("a condition is true or false, this is {found}"),
        )
        .maybe_help(way_out(&expr));
        self.report(problem);
        expr
    }

    /// Lowers NOT: what is no boolean counts as false there, also after NOT.
    pub(super) fn not(&mut self, operand: NodeId, span: Span) -> Expr {
        let operand = self.expr(operand);
        let known = without_undefined(operand.kinds);
        if !known.contains(Kind::Bool) && known != Kinds::NONE {
            let message = format!("NOT of {} is false for every message", with_article(known));
            let problem = Diagnostic::new(Code::NotOfNonBoolean, span, message)
                .help("NOT takes a comparison, or something else that is true or false");
            self.report(problem);
        }
        boolean(ExprKind::Not(Box::new(operand)), span)
    }

    fn warn_of_bare(&mut self, expr: &Expr) {
        // Where the tree is broken, the rest of a comparison may be what is missing.
        if !self.tree.broken
            && matches!(expr.kind, ExprKind::Reference(_) | ExprKind::Path { .. } | ExprKind::Slice { .. })
        {
            let message = "a bare value stands as a condition: anything but true and false fails here";
            let help = match &expr.kind {
                ExprKind::Reference(name) => format!("compare it, as in `{name} = true`"),
                _ => "compare it, as in `x = true`".to_owned(),
            };
            self.report(Diagnostic::new(Code::BareCondition, expr.span, message).help(help));
        }
    }
}

fn way_out(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Literal(Literal::Int(1)) => Some("write `true`".to_owned()),
        ExprKind::Literal(Literal::Int(0)) => Some("write `false`".to_owned()),
        ExprKind::Reference(reference) => Some(format!("compare it, as in `{} = 1`", reference.name)),
        ExprKind::Arith { .. } | ExprKind::Call { .. } | ExprKind::Unary { .. } => {
            Some("compare it with something".to_owned())
        }
        _ => None,
    }
}
