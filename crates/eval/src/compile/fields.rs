//! Lists of fields, the rows that they make, and loops.

use std::sync::Arc;

use diagnostic::Span;
use event::Column;
use sql::ir;
use value::json::Key;

use super::names::Side;
use super::{Compiler, Reader};
use crate::paths::Union;
use crate::program::{Base, Field, Foreach, List, Node, Out, Scope, Source, Star, Target, TargetStep};
use crate::watch::Part;

impl<'s> Compiler<'s> {
    pub(super) fn list(&mut self, fields: &'s [ir::Field], scope: Scope) -> List {
        let compiled = fields.iter().zip(0..).map(|(field, at)| match field {
            ir::Field::Star { .. } => Field::InRow,
            ir::Field::Value(value) => Field::Value {
                node: self.expr(&value.expr, Reader::Field(scope, at)),
                target: self.target(value, fields, scope, at),
                span: value.span,
            },
        });
        let compiled = compiled.collect::<Vec<_>>().into();
        let after = (0..u32::try_from(fields.len()).unwrap_or(u32::MAX)).collect();
        let (row, star) = self.row(fields, scope);
        List { fields: compiled, before: Box::default(), after, row, star }
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

    fn whole_element(&mut self) -> Node {
        Node::Element { path: self.element_paths.place(Vec::new()) }
    }

    /// The row of a list: roots in the order in which they were first written, and what a `*` adds; any further one adds
    /// nothing.
    fn row(&mut self, fields: &[ir::Field], scope: Scope) -> (Box<[Out]>, Option<Box<Star>>) {
        let wanted = if scope == Scope::Body { ir::Scope::Body } else { ir::Scope::Fields };
        let statement = self.statement;
        let own = || statement.aliases.iter().filter(|alias| alias.scope == wanted);
        let mut hidden: Vec<&str> = own().map(|alias| &*alias.name).collect();
        let (mut row, mut star) = (Vec::new(), None);
        for (field, at) in fields.iter().zip(0..) {
            match field {
                ir::Field::Star { .. } if star.is_some() => {}
                ir::Field::Star { .. } => {
                    let others = self.others(scope, &mut hidden);
                    star = Some(Box::new(Star { at: row.len(), hidden: bits(&hidden), others }));
                }
                ir::Field::Value(value) => {
                    let alias = self.alias(value.target.root);
                    if alias.writers.first() == Some(&at) {
                        let last = alias.writers.last().copied().unwrap_or(at);
                        row.push(Out { key: Key::new(alias.name.as_bytes()), source: Source::Root(last) });
                    }
                }
            }
        }
        (row.into(), star)
    }

    /// What a `*` adds beside the columns: in a loop the element and the variables, which hide columns of their name.
    fn others(&mut self, scope: Scope, hidden: &mut Vec<&'s str>) -> Box<[(Key, Node)]> {
        if scope == Scope::Fields {
            return Box::default();
        }
        let mut others = Vec::new();
        if let Some(element) = self.element.filter(|element| !hidden.contains(element)) {
            hidden.push(element);
            others.push((Key::new(element.as_bytes()), self.whole_element()));
        }
        for alias in self.statement.aliases.iter().filter(|alias| alias.scope == ir::Scope::Fields) {
            if let (false, Some(last)) = (hidden.contains(&&*alias.name), alias.writers.last()) {
                hidden.push(&alias.name);
                others.push((Key::new(alias.name.as_bytes()), self.field(Scope::Fields, *last)));
            }
        }
        others.into()
    }

    /// Moves the last fields, as long as nothing reads them, to where the row is put together, so that their values need
    /// not be kept until then. Only the last ones, since calls may have effects, and those keep their order. Done when
    /// everything that may read a field is compiled.
    pub(super) fn settle(&self, list: &mut List, scope: Scope) {
        let mut after = std::mem::take(&mut list.after).into_vec();
        while let Some(at) = after.pop() {
            let mut sources = list.row.iter_mut().map(|out| &mut out.source);
            let source = sources.find(|source| matches!(source, Source::Root(last) if *last == at));
            match (&mut list.fields[at as usize], source) {
                (Field::InRow, _) => {}
                (Field::Value { node, target: None, span }, Some(source)) if self.is_row_only(scope, at) => {
                    *source = Source::Value { node: std::mem::replace(node, Node::Undefined), span: *span };
                    list.fields[at as usize] = Field::InRow;
                }
                _ => {
                    after.push(at);
                    break;
                }
            }
        }
        list.after = after.into();
        if list.after.is_empty() && list.before.is_empty() {
            list.fields = Box::default();
        }
    }

    /// Whether nothing but the row reads a field, and no other writes to its root.
    fn is_row_only(&self, scope: Scope, at: u32) -> bool {
        let mut aliases = self.statement.aliases.iter().filter(|alias| match scope {
            Scope::Body => alias.scope == ir::Scope::Body,
            Scope::Fields => alias.scope == ir::Scope::Fields,
        });
        !self.is_read(scope, at) && aliases.any(|alias| *alias.writers == [at])
    }

    fn is_read(&self, scope: Scope, at: u32) -> bool {
        self.read.borrow().contains(&(scope, at))
    }

    pub(super) fn foreach(&mut self, foreach: &'s ir::Foreach) -> Foreach {
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
        let mut body = match &foreach.body {
            Some(fields) => self.list(fields, Scope::Body),
            None => {
                let others = self.others(Scope::Body, &mut Vec::new());
                let names: Vec<&str> =
                    others.iter().filter_map(|(key, _)| std::str::from_utf8(key.name()).ok()).collect();
                let star = Star { at: 0, hidden: bits(&names), others };
                List {
                    fields: Box::default(),
                    before: Box::default(),
                    after: Box::default(),
                    row: Box::default(),
                    star: Some(Box::new(star)),
                }
            }
        };
        let filter = foreach.filter.as_ref().map(|expr| self.clause(expr, Part::Incase));
        let cost = body.fields.len() + body.row.len() + usize::from(body.star.is_some());
        let cost = cost as u64 + filter.as_ref().map_or(0, |filter| crate::cost::of(&filter.node));
        let cost = cost + body.fields.iter().map(crate::cost::of_field).sum::<u64>();
        let array_path = match list.fields.last() {
            Some(Field::Value { node: Node::Payload { path, .. }, target, .. })
                if !self.is_read(Scope::Fields, list.fields.len() as u32 - 1)
                    && target.as_ref().is_none_or(is_plain) =>
            {
                Some(*path)
            }
            _ => None,
        };
        self.settle(&mut body, Scope::Body);
        let element_paths = std::mem::take(&mut self.element_paths);
        let element_union = Arc::new(Union::of_sets([&element_paths]));
        Foreach { list, body, filter, span, cost, array_path, element_paths, element_union }
    }
}

/// Whether putting a value there cannot fail, so that it may be left out if nobody looks.
fn is_plain(target: &Target) -> bool {
    matches!(target.base, Base::Nothing | Base::Star(_))
        && target.steps.len() <= value::path::STEPS_MAX
        && !target.steps.iter().any(|step| matches!(step, TargetStep::Variable(_)))
}

fn is_whole_payload(expr: &ir::Expr) -> bool {
    let ir::ExprKind::Reference(name) = &expr.kind else { return false };
    let payload = |column| crate::catalog::column_of(column) == Some(Column::Payload);
    name.alias.is_none()
        && name.steps.is_empty()
        && matches!(name.base, ir::Base::Column(column) if payload(column))
}

/// The bits of the columns with these names.
fn bits(names: &[&str]) -> u64 {
    let columns = names.iter().filter_map(|name| Column::from_name(name));
    columns.fold(0, |bits, column| bits | 1 << column as u8)
}
