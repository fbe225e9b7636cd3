//! Names and paths: where what they stand for is kept, and how far the scan of the payload follows them.

use diagnostic::Span;
use event::Column;
use sql::ir;

use super::{Compiler, Reader};
use crate::paths::PathStep;
use crate::program::{Node, Scope, Step};

/// The scan follows this many steps of a path; what comes after is walked on the decoded value.
const SCANNED_STEPS_MAX: usize = 32;

/// Whether a name in brackets is looked up among aliases or among columns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Alias,
    Base,
}

impl<'s> Compiler<'s> {
    /// A name with its path: what an alias gives, and where that is undefined, what it falls back to.
    pub(super) fn reference(&mut self, name: &'s ir::Reference, reader: Reader) -> Node {
        let base = self.side(name, reader, Side::Base);
        if name.alias.is_some_and(|alias| self.is_the_payload(alias)) && is_scanned(name) {
            // The same either way, and the scan finds it without reading the whole payload anew.
            return base;
        }
        match self.side(name, reader, Side::Alias) {
            Node::Undefined => base,
            alias => match base {
                Node::Undefined => alias,
                base => Node::Either(Box::new(alias), Box::new(base)),
            },
        }
    }

    /// One side of a reference, with its whole path.
    pub(super) fn side(&mut self, name: &'s ir::Reference, reader: Reader, side: Side) -> Node {
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

    /// Whether an alias is nothing but the column `payload`, as in `SELECT topic, payload`. (FOREACH decodes it.)
    fn is_the_payload(&self, alias: ir::AliasId) -> bool {
        let alias = self.alias(alias);
        let (ir::Shape::Select(fields), [at]) = (&self.statement.shape, &*alias.writers) else {
            return false;
        };
        let Some(ir::Field::Value(value)) = fields.get(*at as usize) else { return false };
        let ir::ExprKind::Reference(name) = &value.expr.kind else { return false };
        value.target.steps.is_empty() && name.alias.is_none() && name.steps.is_empty() && is_payload(name)
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

    /// What a field has left under its root.
    pub(super) fn field(&self, scope: Scope, at: u32) -> Node {
        self.read.borrow_mut().insert((scope, at));
        Node::Field { scope, at }
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

fn is_payload(name: &ir::Reference) -> bool {
    matches!(name.base, ir::Base::Column(column) if crate::catalog::column_of(column) == Some(Column::Payload))
}

/// Whether a reference is a path into the payload that reads no other names on its way.
fn is_scanned(name: &ir::Reference) -> bool {
    let is_plain = |step: &ir::Step| !matches!(step, ir::Step::Variable(_));
    is_payload(name) && !name.steps.is_empty() && name.steps.iter().all(is_plain)
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

pub(super) fn plain(step: &ir::Step) -> Step {
    match step {
        ir::Step::Key(key) => Step::Key(key.as_bytes().into()),
        ir::Step::Index(index) => Step::Index(*index),
        ir::Step::Variable(_) => Step::Variable(Node::Undefined),
    }
}
