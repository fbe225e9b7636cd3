//! From the syntax tree to the typed IR: names looked up, kinds worked out, what can never be right reported.

mod call;
mod condition;
mod expr;
mod field;
mod names;
mod never;
mod operator;
mod outcome;

use diagnostic::{Code, Diagnostic};
use topic::TopicFilter;

use crate::PROBLEMS_MAX;
use crate::ast::{self, Tree};
use crate::catalog::Catalog;
use crate::ir::{self, Scope};
use names::{Names, Place};

/// Looks up every name of a tree and makes the typed statement of it.
///
/// The statement is `None` where there is any error, here or in the tree itself. The diagnostics are those found
/// here, ordered by place; those of [`crate::parse()`] are not repeated.
pub fn lower(tree: &Tree, catalog: &dyn Catalog) -> (Option<ir::Statement>, Vec<Diagnostic>) {
    let Some(statement) = &tree.statement else { return (None, Vec::new()) };
    let mut lower = Lower {
        tree,
        catalog,
        names: Names::new(tree, statement, catalog),
        place: Place::Fields,
        lenient: false,
        problems: Vec::new(),
    };
    let lowered = lower.statement(statement);
    let mut problems = lower.problems;
    let whole = !tree.broken && problems.iter().all(|problem| !problem.is_error());
    problems.sort_by_key(|problem| (!problem.is_error(), problem.span));
    problems.truncate(PROBLEMS_MAX);
    problems.sort_by_key(|problem| problem.span);
    (lowered.filter(|_| whole), problems)
}

struct Lower<'t> {
    tree: &'t Tree,
    catalog: &'t dyn Catalog,
    names: Names<'t>,
    /// Which part of the statement is being lowered.
    place: Place,
    /// Whether a call that gives no boolean counts as false, as in WHEN, rather than as a mistake.
    lenient: bool,
    problems: Vec<Diagnostic>,
}

impl<'t> Lower<'t> {
    /// `None` for what is missing from a broken tree.
    fn statement(&mut self, statement: &'t ast::Statement) -> Option<ir::Statement> {
        let from: Vec<ir::From> = statement.from.iter().map(|name| self.from(name)).collect();
        let (shape, condition) = match &statement.shape {
            ast::Shape::Select(fields) => {
                let fields = self.fields(fields, Scope::Fields);
                let condition = self.clause(Place::Where, statement.condition);
                (fields.map(ir::Shape::Select), condition)
            }
            ast::Shape::Foreach { fields, body, filter } => {
                let lowered = self.fields(fields, Scope::Fields);
                let element = self.element(fields.last());
                self.names.enter_loop(element.clone());
                let condition = self.clause(Place::WhereOfLoop, statement.condition);
                let filter = self.clause(Place::Filter, *filter);
                self.place = Place::Body;
                let body = body.as_ref().map(|body| self.fields(body, Scope::Body));
                let whole = body.as_ref().is_none_or(Option::is_some);
                let shape = lowered.filter(|_| whole).map(|fields| {
                    ir::Shape::Foreach(ir::Foreach { fields, element, body: body.flatten(), filter })
                });
                (shape, condition)
            }
        };
        let whole = !from.is_empty() && condition.is_some() == statement.condition.is_some();
        shape.filter(|_| whole).map(|shape| ir::Statement {
            shape,
            from,
            condition,
            aliases: self.names.take_aliases(),
        })
    }

    /// A condition in a clause of its own.
    fn clause(&mut self, place: Place, condition: Option<ast::NodeId>) -> Option<ir::Expr> {
        self.place = place;
        let condition = self.condition(condition?);
        self.check_never(&condition);
        Some(condition)
    }

    /// One entry of FROM. One that nothing can match is only warned of: the reference accepts it.
    fn from(&mut self, name: &ast::Name) -> ir::From {
        let filter = &*name.text;
        let never = |message: String| Diagnostic::new(Code::FilterNeverMatches, name.span, message);
        let problem = if filter.starts_with("$events/") {
            self.unknown_event(name)
        } else if !self.has_room() || filter.starts_with("$bridges/") || filter.starts_with("$sources/") {
            None
        } else if filter.starts_with("$share/") || filter.starts_with("$queue/") {
            Some(
                never(format!("`{filter}` never matches: rules see every message and need no share"))
                    .help("name the topic filter alone"),
            )
        } else {
            let problem = TopicFilter::parse(filter).err();
            problem.map(|error| never(format!("`{filter}` never matches: {error}")))
        };
        if let Some(problem) = problem {
            self.report(problem);
        }
        ir::From { filter: filter.into(), span: name.span }
    }

    fn unknown_event(&self, name: &ast::Name) -> Option<Diagnostic> {
        let mut known = false;
        self.catalog.columns_of(&name.text, &mut |_, _| known = true);
        if known {
            return None;
        }
        let mut events: Vec<String> = Vec::new();
        self.catalog.event_names(&mut |event| events.push(event.to_owned()));
        let help = diagnostic::did_you_mean(&name.text, events.iter().map(String::as_str));
        let message = format!("there is no event `{}`", name.text);
        Some(Diagnostic::new(Code::FilterNeverMatches, name.span, message).maybe_help(help))
    }

    /// Keeps a problem, within the bound; an error always finds its place.
    fn report(&mut self, problem: Diagnostic) {
        if self.has_room() || (problem.is_error() && self.problems.len() < 2 * PROBLEMS_MAX) {
            self.problems.push(problem);
        }
    }

    /// Whether it is worth the effort to word another problem.
    fn has_room(&self) -> bool {
        self.problems.len() < PROBLEMS_MAX
    }
}
