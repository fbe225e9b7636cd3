//! Which name means what, and where it can be seen.

use std::collections::{HashMap, HashSet};

use diagnostic::{Code, Diagnostic, Span, did_you_mean};
use value::{Kind, Kinds};

use super::Lower;
use crate::ast::{self, Field, Quote, Shape, Statement, Tree};
use crate::catalog::{Catalog, ColumnId};
use crate::ir::{Alias, AliasId, Base, Scope};

/// The parts of a statement that see different names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// SELECT, or FOREACH itself.
    Fields,
    /// WHERE of SELECT.
    Where,
    /// WHERE of FOREACH.
    WhereOfLoop,
    /// INCASE.
    Filter,
    /// DO.
    Body,
}

/// Every name of a statement.
pub(super) struct Names<'t> {
    aliases: Vec<Alias>,
    /// What each alias may hold, as far as its writers have been met.
    kinds: Vec<Kinds>,
    visible: HashMap<(Scope, Box<str>), AliasId>,
    element: Option<Box<str>>,
    /// Where explicit aliases are written, whether visible or not.
    declared: HashMap<&'t str, Span>,
    /// The columns that some event of FROM brings, and what they may hold there; empty where that is not known.
    columns: Vec<(String, ColumnId, Kinds)>,
    /// Names that have been reported as unknown: once each is enough.
    reported: HashSet<&'t str>,
}

impl<'t> Names<'t> {
    pub(super) fn new(tree: &'t Tree, statement: &'t Statement, catalog: &dyn Catalog) -> Self {
        let mut columns: Vec<(String, ColumnId, Kinds)> = Vec::new();
        for from in &statement.from {
            catalog.columns_of(&from.text, &mut |name, column| match columns
                .iter_mut()
                .find(|(_, known, _)| *known == column.id)
            {
                Some((_, _, kinds)) => *kinds = kinds.union(column.kinds),
                None => columns.push((name.to_owned(), column.id, column.kinds)),
            });
        }
        if tree.broken {
            // An alias or an entry of FROM may be among what is missing.
            columns.clear();
        }
        Self {
            aliases: Vec::new(),
            kinds: Vec::new(),
            visible: HashMap::new(),
            element: None,
            declared: declared(&statement.shape),
            columns,
            reported: HashSet::new(),
        }
    }

    /// From here on the element of the loop is visible where [`Place`] allows.
    pub(super) fn enter_loop(&mut self, element: Option<Box<str>>) {
        self.element = element;
    }

    pub(super) fn take_aliases(&mut self) -> Vec<Alias> {
        std::mem::take(&mut self.aliases)
    }

    /// The alias of this name, made if it is new; `writer` is the position of the field that writes it.
    pub(super) fn write(
        &mut self,
        scope: Scope,
        name: &str,
        writer: u32,
        kinds: Kinds,
        catalog: &dyn Catalog,
    ) -> AliasId {
        if let Some(id) = self.visible.get(&(scope, name.into())) {
            let at = id.0 as usize;
            self.aliases[at].writers.push(writer);
            self.kinds[at] = kinds;
            return *id;
        }
        // At most one alias for each byte of a bounded text.
        let id = AliasId(u32::try_from(self.aliases.len()).unwrap_or(u32::MAX));
        let column = catalog.column(name).map(|column| column.id);
        self.aliases.push(Alias { name: name.into(), scope, writers: vec![writer], column });
        self.kinds.push(kinds);
        self.visible.insert((scope, name.into()), id);
        id
    }

    fn alias(&self, scope: Scope, name: &str) -> Option<AliasId> {
        self.visible.get(&(scope, name.into())).copied()
    }

    pub(super) fn kinds(&self, alias: AliasId) -> Kinds {
        self.kinds[alias.0 as usize]
    }
}

/// The roots of all explicit aliases.
fn declared(shape: &Shape) -> HashMap<&str, Span> {
    let (fields, body): (&[Field], &[Field]) = match shape {
        Shape::Select(fields) => (fields, &[]),
        Shape::Foreach { fields, body, .. } => (fields, body.as_deref().unwrap_or_default()),
    };
    let paths = fields.iter().chain(body).filter_map(|field| field.value.as_ref()?.1.as_ref());
    let mut declared = HashMap::new();
    for path in paths {
        declared.entry(&*path.name.text).or_insert(path.name.span);
    }
    declared
}

impl<'t> Lower<'t> {
    /// Who supplies a name here.
    pub(super) fn resolve(&self, name: &str) -> (Option<AliasId>, Base) {
        let soft = match self.place {
            Place::Fields | Place::Where => self.names.alias(Scope::Fields, name),
            Place::Body => self.names.alias(Scope::Body, name),
            Place::WhereOfLoop | Place::Filter => None,
        };
        let in_loop = matches!(self.place, Place::Body | Place::Filter);
        let around = match self.place {
            Place::Fields | Place::Where => None,
            Place::Body | Place::Filter | Place::WhereOfLoop => self.names.alias(Scope::Fields, name),
        };
        let base = if in_loop && self.names.element.as_deref() == Some(name) {
            Base::Element
        } else if let Some(variable) = around {
            Base::Variable(variable)
        } else {
            self.catalog.column(name).map_or(Base::Nothing, |column| Base::Column(column.id))
        };
        (soft, base)
    }

    /// What a name without a path may hold.
    pub(super) fn kinds_of(&self, name: &str, alias: Option<AliasId>, base: Base) -> Kinds {
        let undefined = Kinds::of(Kind::Undefined);
        let below = match base {
            Base::Element => Kinds::ANY,
            Base::Variable(variable) => self.names.kinds(variable),
            Base::Column(_) if self.names.columns.is_empty() => {
                self.catalog.column(name).map_or(Kinds::ANY, |column| column.kinds.union(undefined))
            }
            Base::Column(id) => {
                let known = self.names.columns.iter().find(|(_, known, _)| *known == id);
                known.map_or(undefined, |(_, _, kinds)| kinds.union(undefined))
            }
            Base::Nothing => undefined,
        };
        match alias.map(|alias| self.names.kinds(alias)) {
            Some(kinds) if kinds.contains(Kind::Undefined) => kinds.union(below),
            Some(kinds) => kinds,
            None => below,
        }
    }

    /// Warns of a key of the element in WHERE, where its name still means the whole array.
    pub(super) fn check_before_loop(&mut self, path: &ast::Path, base: Base) {
        let name = &*path.name.text;
        let is_key = |segment: &ast::Segment| matches!(segment.kind, ast::SegmentKind::Key(_));
        let of_array = matches!(base, Base::Variable(_)) && self.names.element.as_deref() == Some(name);
        if of_array && self.place == Place::WhereOfLoop && path.segments.first().is_some_and(is_key) {
            let message = format!("`{name}` is the whole array here, which has no keys");
            let problem = Diagnostic::new(Code::AliasNotVisible, path.span, message)
                .label("always undefined")
                .help("WHERE is tried before the loop; INCASE tries each element");
            self.report(problem);
        }
    }

    /// Warns of a name that nothing supplies.
    pub(super) fn check_known(&mut self, path: &'t ast::Path, alias: Option<AliasId>, base: Base) {
        let name = &*path.name.text;
        let supplied = match base {
            Base::Element | Base::Variable(_) => true,
            Base::Column(id) => self.names.columns.iter().any(|(_, known, _)| *known == id),
            Base::Nothing => false,
        };
        let unasked = self.names.columns.is_empty() || !self.has_room();
        if supplied || alias.is_some() || unasked || !self.names.reported.insert(name) {
            return;
        }
        let problem = self.unknown(path, base);
        self.report(problem);
    }

    fn unknown(&self, path: &ast::Path, base: Base) -> Diagnostic {
        let (name, span) = (&*path.name.text, path.name.span);
        if let Some(declared) = self.names.declared.get(name).filter(|_| base == Base::Nothing) {
            let message = format!("the alias `{name}` is not visible here");
            let help = match self.place {
                Place::Filter => "INCASE is tried before DO; repeat the expression here",
                _ => "a field sees the aliases before it",
            };
            return Diagnostic::new(Code::AliasNotVisible, span, message)
                .related(*declared, "declared here")
                .help(help);
        }
        let whole_and_quoted = path.name.quote == Quote::Double && path.segments.is_empty();
        if whole_and_quoted && base == Base::Nothing {
            let message = format!("`\"{name}\"` is a name that nothing supplies");
            let root = name.split(['.', '[']).next().filter(|root| root.len() < name.len());
            let path = root
                .and_then(|root| self.catalog.column(root))
                .map(|_| format!("in double quotes this is one name; write `{name}` if the path was meant"));
            return Diagnostic::new(Code::DoubleQuotes, span, message)
                .label("always undefined")
                .help(path.unwrap_or_else(|| format!("write `'{name}'` if the string was meant")));
        }
        let message = match base {
            Base::Column(_) => format!("no event of this `FROM` has the column `{name}`"),
            _ => format!("nothing supplies `{name}`"),
        };
        Diagnostic::new(Code::UnknownColumn, span, message)
            .label("always undefined")
            .maybe_help(self.unknown_help(name))
    }

    fn unknown_help(&self, name: &str) -> Option<String> {
        match (name, &self.names.element, self.place) {
            ("item", Some(element), Place::Body | Place::Filter) => {
                return Some(format!("the element is called `{element}` here"));
            }
            ("item", _, Place::WhereOfLoop) => {
                return Some("WHERE is tried before the loop; INCASE tries each element".to_owned());
            }
            _ => {}
        }
        if matches!(name, "null" | "undefined" | "NULL" | "nil") {
            return Some(
                "`is_null_var(x)` is true for null and for undefined; `null()` gives undefined".to_owned(),
            );
        }
        if name.eq_ignore_ascii_case("true") || name.eq_ignore_ascii_case("false") {
            return Some(format!("the constant is written `{}`", name.to_ascii_lowercase()));
        }
        let columns = self.names.columns.iter().map(|(column, _, _)| column.as_str());
        let aliases = self.names.declared.keys().copied();
        let near = did_you_mean(name, columns.clone().chain(aliases).chain(self.names.element.as_deref()));
        let in_payload = columns.into_iter().any(|column| column == "payload") && !name.is_empty();
        near.or_else(|| in_payload.then(|| format!("a field of a JSON payload is read as `payload.{name}`")))
    }
}
