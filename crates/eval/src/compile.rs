//! Typed IR to program: every name becomes a place, every constant a value.

use diagnostic::Span;
use event::Column;
use sql::ir;

use std::cell::Cell;

use crate::paths::{PathSet, PathStep, Union};
use crate::program::{
    Base, Condition, Field, Foreach, From, List, Node, Out, Program, Scope, Shape, Step, Target, TargetStep,
};
use crate::watch::{Part, Watch};

/// The scan follows this many steps of a path; what comes after is walked on the decoded value.
const SCANNED_STEPS_MAX: usize = 32;

/// Compiles a statement whose function and column numbers are those of [`crate::Catalog`].
pub fn compile(statement: &ir::Statement, rule_id: &str) -> Program {
    compile_with(statement, rule_id, None)
}

/// Compiles a statement for trials: its program notes what the runs reach.
pub(crate) fn watched(statement: &ir::Statement, rule_id: &str) -> Program {
    compile_with(statement, rule_id, Some(Vec::new()))
}

fn compile_with(statement: &ir::Statement, rule_id: &str, watches: Option<Vec<Watch>>) -> Program {
    let mut compiler = Compiler {
        statement,
        element: None,
        paths: PathSet::default(),
        element_paths: PathSet::default(),
        fields_read: Cell::new(0),
        watches,
    };
    // The checker has warned of what is no filter.
    let from: Box<[From]> = statement
        .from
        .iter()
        .filter_map(|from| Some(From::new(topic::TopicFilter::parse(&from.filter).ok()?, from.span)))
        .collect();
    for entry in &from {
        compiler.watch(Part::From, entry.span);
    }
    let condition = statement.condition.as_ref().map(|expr| compiler.clause(expr, Part::Where));
    let shape = match &statement.shape {
        ir::Shape::Select(fields) => {
            let mut list = compiler.list(fields, Scope::Fields);
            compiler.order(&mut list);
            Shape::Select(list)
        }
        ir::Shape::Foreach(foreach) => Shape::Foreach(Box::new(compiler.foreach(foreach))),
    };
    let watches = compiler.watches.unwrap_or_default().into();
    Program { rule_id: rule_id.into(), from, shape, condition, paths: compiler.paths, watches }
}

struct Compiler<'s> {
    statement: &'s ir::Statement,
    /// The name of the element, inside of a loop.
    element: Option<&'s str>,
    paths: PathSet,
    /// The paths into the element.
    element_paths: PathSet,
    /// One past the last field of SELECT or FOREACH that anything reads.
    fields_read: Cell<u32>,
    /// What is watched; `None` in a program for messages.
    watches: Option<Vec<Watch>>,
}

/// Who reads a name, which decides what earlier fields have made of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// The field at this place of a list.
    Field(Scope, u32),
    /// WHERE, or INCASE: behind all fields of FOREACH or SELECT.
    Condition,
}

/// Whether a name in brackets is looked up among aliases or among columns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Alias,
    Base,
}

impl<'s> Compiler<'s> {
    fn list(&mut self, fields: &'s [ir::Field], scope: Scope) -> List {
        let compiled = fields.iter().zip(0..).map(|(field, at)| match field {
            ir::Field::Star { .. } => Field::Star,
            ir::Field::Value(value) => Field::Value {
                node: self.expr(&value.expr, Reader::Field(scope, at)),
                target: self.target(value, fields, scope, at),
                span: value.span,
            },
        });
        let compiled = compiled.collect::<Vec<_>>().into();
        let after = (0..u32::try_from(fields.len()).unwrap_or(u32::MAX)).collect();
        List { fields: compiled, before: Box::default(), after, row: self.row(fields, scope) }
    }

    fn target(
        &mut self,
        value: &'s ir::Value,
        fields: &[ir::Field],
        scope: Scope,
        at: u32,
    ) -> Option<Target> {
        if value.target.steps.is_empty() {
            return None;
        }
        let alias = self.alias(value.target.root);
        let reader = Reader::Field(scope, at);
        let earlier = alias.writers.iter().copied().rfind(|writer| *writer < at);
        let starred = fields.iter().take(at as usize).any(|field| matches!(field, ir::Field::Star { .. }));
        let base = match earlier {
            Some(earlier) => Base::Earlier(earlier),
            None if starred => Base::Star(Box::new(self.starred(alias, scope))),
            None => Base::Nothing,
        };
        let steps = value.target.steps.iter().map(|step| match step {
            ir::TargetStep::Key(key) => TargetStep::Key(key.as_bytes().into()),
            ir::TargetStep::Index(index) => TargetStep::Index(*index),
            ir::TargetStep::Prepend => TargetStep::Index(0),
            ir::TargetStep::Append => TargetStep::Append,
            ir::TargetStep::Variable(name) => TargetStep::Variable(self.side(name, reader, Side::Alias)),
        });
        let steps = steps.collect::<Vec<_>>().into();
        // Text under `payload` is read as JSON if a field has put it there; what `*` shows is replaced.
        let decode = &*alias.name == "payload" && matches!(base, Base::Earlier(_));
        Some(Target { base, steps, decode })
    }

    /// What a `*` puts under the name of an alias.
    fn starred(&mut self, alias: &ir::Alias, scope: Scope) -> Node {
        if scope == Scope::Body {
            if self.element == Some(&alias.name) {
                return self.whole_element();
            }
            if let Some(variable) = self.variable(&alias.name) {
                return variable;
            }
        }
        alias.column.and_then(crate::catalog::column_of).map_or(Node::Undefined, Node::Column)
    }

    /// What FOREACH has left under a name.
    fn variable(&self, name: &str) -> Option<Node> {
        let mut roots = self.statement.aliases.iter().filter(|alias| alias.scope == ir::Scope::Fields);
        let last = *roots.find(|alias| *alias.name == *name)?.writers.last()?;
        Some(self.field(Scope::Fields, last))
    }

    /// What a field has left under its root.
    fn field(&self, scope: Scope, at: u32) -> Node {
        if scope == Scope::Fields {
            self.fields_read.set(self.fields_read.get().max(at + 1));
        }
        Node::Field { scope, at }
    }

    fn whole_element(&mut self) -> Node {
        Node::Element { path: self.element_paths.place(Vec::new()) }
    }

    /// The row of a list: roots in the order in which they were first written, and what each `*` adds.
    fn row(&mut self, fields: &[ir::Field], scope: Scope) -> Box<[Out]> {
        let wanted = if scope == Scope::Body { ir::Scope::Body } else { ir::Scope::Fields };
        let statement = self.statement;
        let own = || statement.aliases.iter().filter(|alias| alias.scope == wanted);
        let mut hidden: Vec<&str> = own().map(|alias| &*alias.name).collect();
        let mut row = Vec::new();
        let mut starred = false;
        for (field, at) in fields.iter().zip(0..) {
            match field {
                ir::Field::Star { .. } if starred => {}
                ir::Field::Star { .. } => {
                    starred = true;
                    let others = self.others(scope, &mut hidden);
                    row.push(Out::Star { hidden: bits(&hidden), others });
                }
                ir::Field::Value(value) => {
                    let alias = self.alias(value.target.root);
                    if alias.writers.first() == Some(&at) {
                        let last = alias.writers.last().copied().unwrap_or(at);
                        row.push(Out::Root { name: alias.name.as_bytes().into(), last });
                    }
                }
            }
        }
        row.into()
    }

    /// What a `*` adds beside the columns: in a loop the element and the variables, which hide columns of their name.
    fn others(&mut self, scope: Scope, hidden: &mut Vec<&'s str>) -> Box<[(Box<[u8]>, Node)]> {
        if scope == Scope::Fields {
            return Box::default();
        }
        let mut others: Vec<(Box<[u8]>, Node)> = Vec::new();
        if let Some(element) = self.element.filter(|element| !hidden.contains(element)) {
            hidden.push(element);
            others.push((element.as_bytes().into(), self.whole_element()));
        }
        for alias in self.statement.aliases.iter().filter(|alias| alias.scope == ir::Scope::Fields) {
            if let (false, Some(last)) = (hidden.contains(&&*alias.name), alias.writers.last()) {
                hidden.push(&alias.name);
                others.push((alias.name.as_bytes().into(), self.field(Scope::Fields, *last)));
            }
        }
        others.into()
    }

    fn foreach(&mut self, foreach: &'s ir::Foreach) -> Foreach {
        let mut list = self.list(&foreach.fields, Scope::Fields);
        if let (Some(ir::Field::Value(value)), Some(Field::Value { node, .. })) =
            (foreach.fields.last(), list.fields.last_mut())
            && is_whole_payload(&value.expr)
        {
            // The payload itself may be the array; text that is found elsewhere is not decoded.
            *node = Node::Payload { path: self.paths.place(Vec::new()), span: value.expr.span };
        }
        let span = match list.fields.last() {
            Some(Field::Value { span, .. }) => *span,
            _ => Span::default(),
        };
        self.order(&mut list);
        self.element = foreach.element.as_deref();
        let body = match &foreach.body {
            Some(fields) => self.list(fields, Scope::Body),
            None => {
                let others = self.others(Scope::Body, &mut Vec::new());
                let names: Vec<&str> =
                    others.iter().filter_map(|(name, _)| std::str::from_utf8(name).ok()).collect();
                let star = Out::Star { hidden: bits(&names), others };
                List {
                    fields: Box::default(),
                    before: Box::default(),
                    after: Box::default(),
                    row: [star].into(),
                }
            }
        };
        let filter = foreach.filter.as_ref().map(|expr| self.clause(expr, Part::Incase));
        let cost = body.fields.len() + body.row.len();
        let cost = cost as u64 + filter.as_ref().map_or(0, |filter| crate::cost::of(&filter.node));
        let cost = cost + body.fields.iter().map(crate::cost::of_field).sum::<u64>();
        let array_path = match list.fields.last() {
            Some(Field::Value { node: Node::Payload { path, .. }, target, .. })
                if (self.fields_read.get() as usize) < list.fields.len()
                    && target.as_ref().is_none_or(is_plain) =>
            {
                Some(*path)
            }
            _ => None,
        };
        let element_paths = std::mem::take(&mut self.element_paths);
        let element_union = Union::of_sets([&element_paths]);
        Foreach { list, body, filter, span, cost, array_path, element_paths, element_union }
    }

    /// Sorts the fields into those that WHERE needs and the others.
    fn order(&self, list: &mut List) {
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

    fn alias(&self, id: ir::AliasId) -> &'s ir::Alias {
        &self.statement.aliases[id.0 as usize]
    }

    fn condition(&mut self, expr: &'s ir::Expr, reader: Reader) -> Condition {
        Condition { node: self.expr(expr, reader), span: expr.span }
    }

    /// WHERE or INCASE.
    fn clause(&mut self, expr: &'s ir::Expr, part: Part) -> Condition {
        let watch = self.watch(part, expr.span);
        let condition = self.condition(expr, Reader::Condition);
        Condition { node: noted(condition.node, watch), ..condition }
    }

    /// The place of a new watch, where there are any.
    fn watch(&mut self, part: Part, span: Span) -> Option<u32> {
        let watches = self.watches.as_mut()?;
        watches.push(Watch::new(part, span));
        u32::try_from(watches.len() - 1).ok()
    }

    fn arm(&mut self, part: Part, expr: &'s ir::Expr, reader: Reader) -> Node {
        let watch = self.watch(part, expr.span);
        noted(self.expr(expr, reader), watch)
    }

    fn exprs(&mut self, exprs: &'s [ir::Expr], reader: Reader) -> Box<[Node]> {
        exprs.iter().map(|expr| self.expr(expr, reader)).collect::<Vec<_>>().into()
    }

    fn conditions(&mut self, exprs: &'s [ir::Expr], reader: Reader) -> Box<[Condition]> {
        let operands = exprs.iter().map(|expr| {
            let watch = self.watch(Part::Operand, expr.span);
            let condition = self.condition(expr, reader);
            Condition { node: noted(condition.node, watch), ..condition }
        });
        operands.collect::<Vec<_>>().into()
    }

    fn boxed(&mut self, expr: &'s ir::Expr, reader: Reader) -> Box<Node> {
        Box::new(self.expr(expr, reader))
    }

    fn expr(&mut self, expr: &'s ir::Expr, reader: Reader) -> Node {
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
                Node::Compare { op: *op, left, right, span }
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

    /// A name with its path: what an alias gives, and where that is undefined, what it falls back to.
    fn reference(&mut self, name: &'s ir::Reference, reader: Reader) -> Node {
        let base = self.side(name, reader, Side::Base);
        match self.side(name, reader, Side::Alias) {
            Node::Undefined => base,
            alias => match base {
                Node::Undefined => alias,
                base => Node::Either(Box::new(alias), Box::new(base)),
            },
        }
    }

    /// One side of a reference, with its whole path.
    fn side(&mut self, name: &'s ir::Reference, reader: Reader, side: Side) -> Node {
        let root = match side {
            Side::Alias => name.alias.map_or(Node::Undefined, |alias| self.written(alias, reader)),
            Side::Base => match name.base {
                ir::Base::Element => return self.element(&name.steps, reader),
                ir::Base::Variable(alias) => self.written(alias, Reader::Condition),
                ir::Base::Column(column) => match crate::catalog::column_of(column) {
                    Some(Column::Payload) if !name.steps.is_empty() => {
                        return self.payload(&name.steps, name);
                    }
                    column => column.map_or(Node::Undefined, Node::Column),
                },
                ir::Base::Nothing => Node::Undefined,
            },
        };
        if name.steps.is_empty() || matches!(root, Node::Undefined) {
            return root;
        }
        let steps = name.steps.iter().map(|step| match step {
            ir::Step::Variable(name) => Step::Variable(self.side(name, reader, side)),
            step => plain(step),
        });
        Node::Steps { steps: steps.collect::<Vec<_>>().into(), base: Box::new(root) }
    }

    /// What an alias holds for this reader.
    fn written(&self, alias: ir::AliasId, reader: Reader) -> Node {
        let alias = self.alias(alias);
        let scope = if alias.scope == ir::Scope::Body { Scope::Body } else { Scope::Fields };
        let limit = match reader {
            Reader::Field(own, at) if own == scope => at,
            Reader::Field(..) | Reader::Condition => u32::MAX,
        };
        let last = alias.writers.iter().copied().rfind(|writer| *writer < limit);
        last.map_or(Node::Undefined, |at| self.field(scope, at))
    }

    /// A path into the element: the scan follows it up to the first step that it cannot.
    fn element(&mut self, steps: &'s [ir::Step], reader: Reader) -> Node {
        let (path, rest) = scannable(&[], steps);
        let base = Node::Element { path: self.element_paths.place(path) };
        if rest.is_empty() {
            return base;
        }
        let rest = rest.iter().map(|step| match step {
            ir::Step::Variable(name) => Step::Variable(self.side(name, reader, Side::Base)),
            step => plain(step),
        });
        Node::Steps { steps: rest.collect::<Vec<_>>().into(), base: Box::new(base) }
    }

    /// A path into the payload: the scan follows it up to the first step that it cannot.
    fn payload(&mut self, steps: &'s [ir::Step], name: &ir::Reference) -> Node {
        self.scanned(&[], steps, name.span)
    }

    fn scanned(&mut self, start: &[PathStep], steps: &'s [ir::Step], span: Span) -> Node {
        let (path, rest) = scannable(start, steps);
        let base = Node::Payload { path: self.paths.place(path), span };
        if rest.is_empty() {
            return base;
        }
        let rest = rest.iter().map(|step| match step {
            // Under the payload a name in brackets is read from the payload too.
            ir::Step::Variable(name) => {
                let root = PathStep::Key(name.name.as_bytes().into());
                Step::Variable(self.scanned(&[root], &name.steps, span))
            }
            step => plain(step),
        });
        Node::Steps { steps: rest.collect::<Vec<_>>().into(), base: Box::new(base) }
    }
}

/// A node whose value is noted in a watch, if there is one.
fn noted(node: Node, watch: Option<u32>) -> Node {
    match watch {
        Some(at) => Node::Watched { node: Box::new(node), at },
        None => node,
    }
}

/// Whether putting a value there cannot fail, so that it may be left out if nobody looks.
fn is_plain(target: &Target) -> bool {
    matches!(target.base, Base::Nothing | Base::Star(_))
        && target.steps.len() <= value::path::STEPS_MAX
        && !target.steps.iter().any(|step| matches!(step, TargetStep::Variable(_)))
}

/// The steps of a path that the scan can follow, behind those at its start, and the others.
fn scannable<'s>(start: &[PathStep], steps: &'s [ir::Step]) -> (Vec<PathStep>, &'s [ir::Step]) {
    let mut path = start.to_vec();
    let mut rest = steps;
    while let [step, behind @ ..] = rest {
        let step = match step {
            ir::Step::Key(key) => PathStep::Key(key.as_bytes().into()),
            ir::Step::Index(index) => match u32::try_from(*index) {
                Ok(index @ 1..) => PathStep::Index(index),
                _ => break,
            },
            ir::Step::Variable(_) => break,
        };
        if path.len() >= SCANNED_STEPS_MAX {
            break;
        }
        path.push(step);
        rest = behind;
    }
    (path, rest)
}

fn is_whole_payload(expr: &ir::Expr) -> bool {
    let ir::ExprKind::Reference(name) = &expr.kind else { return false };
    let payload = |column| crate::catalog::column_of(column) == Some(Column::Payload);
    name.alias.is_none()
        && name.steps.is_empty()
        && matches!(name.base, ir::Base::Column(column) if payload(column))
}

fn plain(step: &ir::Step) -> Step {
    match step {
        ir::Step::Key(key) => Step::Key(key.as_bytes().into()),
        ir::Step::Index(index) => Step::Index(*index),
        ir::Step::Variable(_) => Step::Variable(Node::Undefined),
    }
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

/// The bits of the columns with these names.
fn bits(names: &[&str]) -> u64 {
    let columns = names.iter().filter_map(|name| Column::from_name(name));
    columns.fold(0, |bits, column| bits | 1 << column as u8)
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
