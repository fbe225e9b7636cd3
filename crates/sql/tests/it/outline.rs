//! The typed form as text, for golden files: one line for each field and clause.

use std::fmt::Write;

use sql::ir::{
    Base, Expr, ExprKind, Field, Foreach, Literal, Reference, Shape, Statement, Step, Target, TargetStep,
};

/// A statement, line by line.
pub(crate) fn outline(statement: &Statement) -> String {
    let mut out = String::new();
    let shown = Shown { statement };
    match &statement.shape {
        Shape::Select(fields) => shown.fields("select", fields, &mut out),
        Shape::Foreach(Foreach { fields, element, body, filter }) => {
            shown.fields("foreach", fields, &mut out);
            line(&mut out, &format!("element {}", element.as_deref().unwrap_or("-")));
            if let Some(body) = body {
                shown.fields("do", body, &mut out);
            }
            if let Some(filter) = filter {
                line(&mut out, &format!("incase {}", shown.expr(filter)));
            }
        }
    }
    for from in &statement.from {
        line(&mut out, &format!("from {:?}", from.filter));
    }
    if let Some(condition) = &statement.condition {
        line(&mut out, &format!("where {}", shown.expr(condition)));
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

struct Shown<'s> {
    statement: &'s Statement,
}

impl Shown<'_> {
    fn fields(&self, clause: &str, fields: &[Field], out: &mut String) {
        for field in fields {
            match field {
                Field::Star { .. } => line(out, &format!("{clause} *")),
                Field::Value(value) => {
                    let kinds = if value.expr.kinds == value::Kinds::ANY {
                        "any".to_owned()
                    } else {
                        value.expr.kinds.to_string()
                    };
                    let target = self.target(&value.target);
                    line(out, &format!("{clause} {target} := {} : {kinds}", self.expr(&value.expr)));
                }
            }
        }
    }

    fn target(&self, target: &Target) -> String {
        let mut out = self.alias(target.root);
        for step in &target.steps {
            match step {
                TargetStep::Key(key) => write!(out, ".{key:?}"),
                TargetStep::Index(index) => write!(out, "[{index}]"),
                TargetStep::Prepend => write!(out, "[first]"),
                TargetStep::Append => write!(out, "[last]"),
                TargetStep::Variable(reference) => write!(out, "[{}]", self.reference(reference)),
            }
            .expect("a string grows");
        }
        out
    }

    /// `t#0`: the name with its number.
    fn alias(&self, id: sql::ir::AliasId) -> String {
        format!("{}#{}", self.statement.aliases[id.0 as usize].name, id.0)
    }

    /// `t#0?qos@column`: the alias that may supply it, and what is behind that.
    fn reference(&self, reference: &Reference) -> String {
        let mut out = reference.alias.map(|alias| self.alias(alias) + "?").unwrap_or_default();
        match reference.base {
            Base::Element => write!(out, "{}@element", reference.name),
            Base::Variable(alias) => write!(out, "{}@variable", self.alias(alias)),
            Base::Column(_) => write!(out, "{}@column", reference.name),
            Base::Nothing => write!(out, "{}@nothing", reference.name),
        }
        .expect("a string grows");
        out + &self.steps(&reference.steps)
    }

    fn steps(&self, steps: &[Step]) -> String {
        let step = |step: &Step| match step {
            Step::Key(key) => format!(".{key:?}"),
            Step::Index(index) => format!("[{index}]"),
            Step::Variable(reference) => format!("[{}]", self.reference(reference)),
        };
        steps.iter().map(step).collect()
    }

    fn exprs(&self, exprs: &[Expr]) -> String {
        exprs.iter().map(|expr| self.expr(expr)).collect::<Vec<_>>().join(" ")
    }

    fn expr(&self, expr: &Expr) -> String {
        match &expr.kind {
            ExprKind::Literal(Literal::Bool(value)) => value.to_string(),
            ExprKind::Literal(Literal::Int(value)) => value.to_string(),
            ExprKind::Literal(Literal::BigInt(digits)) => format!("big {digits}"),
            ExprKind::Literal(Literal::Float(value)) => format!("{value:?}"),
            ExprKind::Literal(Literal::Str(text)) => format!("{text:?}"),
            ExprKind::Reference(reference) => self.reference(reference),
            ExprKind::Path { base, steps } => format!("(path {} {})", self.expr(base), self.steps(steps)),
            ExprKind::Slice { base, from, to } => format!("(slice {} {from} {to})", self.expr(base)),
            ExprKind::List(items) => format!("(list {})", self.exprs(items)),
            ExprKind::Range { from, to } => format!("(range {from} {to})"),
            ExprKind::Call { function, args } => format!("(call {} {})", function.0, self.exprs(args)),
            ExprKind::Unary { op, operand } => format!("({op:?} {})", self.expr(operand)),
            ExprKind::Arith { first, rest } => {
                let rest: String =
                    rest.iter().map(|term| format!(" {:?} {}", term.op, self.expr(&term.operand))).collect();
                format!("({}{rest})", self.expr(first))
            }
            ExprKind::Compare { op, left, right } => {
                format!("({op:?} {} {})", self.expr(left), self.expr(right))
            }
            ExprKind::In { needle, list } => format!("(In {} {})", self.expr(needle), self.exprs(list)),
            ExprKind::And(operands) => format!("(And {})", self.exprs(operands)),
            ExprKind::Or(operands) => format!("(Or {})", self.exprs(operands)),
            ExprKind::Not(operand) => format!("(Not {})", self.expr(operand)),
            ExprKind::Case { subject, arms, otherwise } => {
                let subject =
                    subject.iter().map(|subject| format!(" {}", self.expr(subject))).collect::<String>();
                let arms: String = arms
                    .iter()
                    .map(|arm| format!(" (when {} {})", self.expr(&arm.when), self.expr(&arm.then)))
                    .collect();
                let otherwise =
                    otherwise.iter().map(|e| format!(" (else {})", self.expr(e))).collect::<String>();
                format!("(case{subject}{arms}{otherwise})")
            }
        }
    }
}
