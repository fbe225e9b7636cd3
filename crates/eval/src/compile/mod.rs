//! Typed IR to program: every name becomes a place, every constant a value.

mod expr;
mod fields;
mod names;
mod order;

use std::cell::RefCell;
use std::collections::HashSet;

use diagnostic::Span;
use sql::ir;

use crate::paths::PathSet;
use crate::program::{Condition, From, Node, Program, Scope, Shape};
use crate::watch::{Part, Watch};

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
        read: RefCell::default(),
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
            compiler.settle(&mut list, Scope::Fields);
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
    /// The fields that anything reads.
    read: RefCell<HashSet<(Scope, u32)>>,
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

impl<'s> Compiler<'s> {
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
}

/// A node whose value is noted in a watch, if there is one.
fn noted(node: Node, watch: Option<u32>) -> Node {
    match watch {
        Some(at) => Node::Watched { node: Box::new(node), at },
        None => node,
    }
}
