//! Which fields WHERE needs, so that the others wait until it is true.

use sql::ir;

use super::Compiler;
use crate::program::List;

impl Compiler<'_> {
    /// Sorts the fields into those that WHERE needs and the others.
    pub(super) fn order(&self, list: &mut List) {
        let mut needed = vec![false; list.fields.len()];
        if let Some(condition) = &self.statement.condition {
            let mut need = |alias: ir::AliasId| {
                for writer in &self.alias(alias).writers {
                    needed[*writer as usize] = true;
                }
            };
            names(condition, &mut |name| each_alias(name, &mut need));
        }
        let fields = match &self.statement.shape {
            ir::Shape::Select(fields) => fields,
            ir::Shape::Foreach(foreach) => &foreach.fields,
        };
        // A field that is needed needs what it reads, which stands before it.
        for at in (0..fields.len()).rev() {
            let (true, ir::Field::Value(value)) = (needed[at], &fields[at]) else { continue };
            let mut need = |alias: ir::AliasId| {
                for writer in self.alias(alias).writers.iter().filter(|writer| (**writer as usize) < at) {
                    needed[*writer as usize] = true;
                }
            };
            names(&value.expr, &mut |name| each_alias(name, &mut need));
            for step in &value.target.steps {
                if let ir::TargetStep::Variable(name) = step {
                    each_alias(name, &mut need);
                }
            }
            if !value.target.steps.is_empty() {
                need(value.target.root);
            }
        }
        let (before, after) = list.after.iter().partition::<Vec<u32>, _>(|at| needed[**at as usize]);
        (list.before, list.after) = (before.into(), after.into());
    }
}

/// The aliases of FOREACH or SELECT that a reference reads, names in brackets included.
fn each_alias(name: &ir::Reference, need: &mut dyn FnMut(ir::AliasId)) {
    if let Some(alias) = name.alias {
        need(alias);
    }
    if let ir::Base::Variable(alias) = name.base {
        need(alias);
    }
    for step in &name.steps {
        if let ir::Step::Variable(name) = step {
            each_alias(name, need);
        }
    }
}

/// Hands over every reference in an expression.
fn names<'e>(expr: &'e ir::Expr, each: &mut dyn FnMut(&'e ir::Reference)) {
    match &expr.kind {
        ir::ExprKind::Literal(_) | ir::ExprKind::Range { .. } => {}
        ir::ExprKind::Reference(name) => each(name),
        ir::ExprKind::Path { base, steps } => {
            names(base, each);
            for step in steps {
                if let ir::Step::Variable(name) = step {
                    each(name);
                }
            }
        }
        ir::ExprKind::Slice { base: inner, .. }
        | ir::ExprKind::Unary { operand: inner, .. }
        | ir::ExprKind::Not(inner) => names(inner, each),
        ir::ExprKind::List(exprs)
        | ir::ExprKind::Call { args: exprs, .. }
        | ir::ExprKind::And(exprs)
        | ir::ExprKind::Or(exprs) => exprs.iter().for_each(|expr| names(expr, each)),
        ir::ExprKind::Arith { first, rest } => {
            names(first, each);
            rest.iter().for_each(|term| names(&term.operand, each));
        }
        ir::ExprKind::Compare { left, right, .. } => {
            names(left, each);
            names(right, each);
        }
        ir::ExprKind::In { needle, list } => {
            names(needle, each);
            list.iter().for_each(|expr| names(expr, each));
        }
        ir::ExprKind::Case { subject, arms, otherwise } => {
            subject.iter().chain(otherwise).for_each(|expr| names(expr, each));
            for arm in arms {
                names(&arm.when, each);
                names(&arm.then, each);
            }
        }
    }
}
