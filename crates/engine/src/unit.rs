//! One file of the set, read and checked on its own.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use config::{ContentHash, Settings};
use connector::Render;
use diagnostic::{Diagnostic, Source, Span};
use eval::Program;

use crate::last_resort::Fallback;
use crate::republish::Republish;
use crate::view::{Category, ManagedBy, ResourceId};

/// One version of one file: what it declares, and what is wrong with it as far as the file alone can tell.
///
/// Immutable and shared: the newest version and the last good one of a file may be the same unit.
pub(crate) struct Unit {
    pub(crate) path: Arc<Path>,
    pub(crate) managed_by: ManagedBy,
    /// Of the bytes; absent where they could not be read.
    pub(crate) hash: Option<ContentHash>,
    pub(crate) source: Arc<Source>,
    pub(crate) modified_at: SystemTime,
    pub(crate) items: Items,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// What a file declares. Where the unit has errors, only good for saying which ids it is about.
pub(crate) enum Items {
    /// A `.sql` file.
    Rule(Box<RuleItem>),
    /// A resource file.
    Resources(Vec<ResourceItem>),
}

/// A rule, compiled as far as its own file goes: the actions it names are looked up later.
pub(crate) struct RuleItem {
    pub(crate) id: Arc<str>,
    pub(crate) id_span: Span,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
    pub(crate) enable: bool,
    /// The SQL, in the source.
    pub(crate) sql: Span,
    /// When it was created, where the API noted it.
    pub(crate) created_at: Option<SystemTime>,
    /// Absent where the SQL has errors.
    pub(crate) program: Option<Arc<Program>>,
    pub(crate) actions: Vec<ActionItem>,
    /// The actions as they were written, for whoever asks: a list in JSON. As text, since a tree takes several times as much
    /// for each of many rules.
    pub(crate) actions_json: Box<str>,
}

/// An action of a rule.
pub(crate) enum ActionItem {
    /// `"mqtt:uplink"`.
    Resource { id: ResourceId, span: Span },
    /// `{ function = "republish", … }`.
    Republish(Arc<Republish>),
    /// `{ function = "console" }`.
    Console,
}

/// A connector, source or action.
pub(crate) struct ResourceItem {
    pub(crate) category: Category,
    pub(crate) id: ResourceId,
    pub(crate) id_span: Span,
    pub(crate) enable: bool,
    /// Whether it waits until somebody starts it.
    pub(crate) waits: bool,
    /// Checked against the fields of its kind.
    pub(crate) settings: Arc<Settings>,
    /// The connector that a source or action names.
    pub(crate) connector: Option<(ResourceId, Span)>,
    /// What makes requests of rows; actions without errors have it.
    pub(crate) render: Option<Arc<dyn Render>>,
    /// What of the far side it alone may use.
    pub(crate) claims: Vec<(String, Span)>,
    /// What an action does with what it cannot deliver.
    pub(crate) fallbacks: Arc<[Fallback]>,
}

impl Unit {
    /// Whether the file has an error by itself.
    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Whether the other version of the same file differs in nothing that matters: the same bytes, the same secrets, the
    /// same certificates.
    pub(crate) fn means_the_same(&self, other: &Unit) -> bool {
        let settings =
            |unit: &Unit| unit.resources().iter().map(|item| Arc::clone(&item.settings)).collect::<Vec<_>>();
        self.hash.is_some()
            && self.hash == other.hash
            && self.diagnostics == other.diagnostics
            && settings(self) == settings(other)
    }

    /// The SQL of the rule that this file declares.
    pub(crate) fn sql(&self, rule: &RuleItem) -> &str {
        self.source.text().get(rule.sql.range()).unwrap_or_default()
    }

    pub(crate) fn rule(&self) -> Option<&RuleItem> {
        match &self.items {
            Items::Rule(rule) => Some(rule),
            Items::Resources(_) => None,
        }
    }

    pub(crate) fn resources(&self) -> &[ResourceItem] {
        match &self.items {
            Items::Rule(_) => &[],
            Items::Resources(resources) => resources,
        }
    }

    /// Everything the file declares, by id.
    pub(crate) fn declares(&self) -> impl Iterator<Item = (Declared, Span)> + '_ {
        let rule = self.rule().map(|rule| (Declared::Rule(Arc::clone(&rule.id)), rule.id_span));
        let resources = self.resources().iter();
        rule.into_iter()
            .chain(resources.map(|item| (Declared::Resource(item.category, item.id.clone()), item.id_span)))
    }
}

impl RuleItem {
    /// A rule of which nothing but the id is known.
    pub(crate) fn unread(id: &str) -> Self {
        Self {
            id: id.into(),
            id_span: Span::at(0),
            name: String::new(),
            description: String::new(),
            tags: Vec::new(),
            enable: true,
            sql: Span::at(0),
            created_at: None,
            program: None,
            actions: Vec::new(),
            actions_json: "[]".into(),
        }
    }

    /// The actions as they were written: `"mqtt:uplink"` or `{ "function": …, "args": … }`.
    pub(crate) fn actions_as_written(&self) -> Vec<serde_json::Value> {
        // Written by ourselves, so that it is always such a list.
        serde_json::from_str(&self.actions_json).unwrap_or_default()
    }
}

/// The id of anything a file can declare; unique over all files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Declared {
    Rule(Arc<str>),
    Resource(Category, ResourceId),
}

impl std::fmt::Display for Declared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Declared::Rule(id) => write!(out, "rule `{id}`"),
            Declared::Resource(category, id) => write!(out, "{} `{id}`", category.singular()),
        }
    }
}
