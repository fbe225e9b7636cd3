//! Changes that come over the API: checked as a file would be, then stored as one.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use config::folder::File;
use config::redact::keep_secrets;
use config::resource_file::parse_resource_file;
use config::rule_file::{RuleFile, rule_text};
use config::store::{Store, StoreError};
use config::{Category, ContentHash, Declaration, FileKind, Node, NodeValue, Section, SettingPath};
use diagnostic::{Diagnostic, Source, Span};

use crate::assemble::{Slot, assemble, beside, may_go_alone};
use crate::files::{Known, Origins};
use crate::generation::{Generation, modified_at};
use crate::parse::{Kinds, Text, find_kind, parse};
use crate::unit::{Declared, Unit};
use crate::view::{Finding, ManagedBy, ResourceId, WriteError};

/// Whether something is to be new, or to take the place of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// It must not exist.
    Create,
    /// It must exist.
    Replace,
}

/// What becomes of the rules that use an action or a source which is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependants {
    /// As long as there are any, it stays.
    Refuse,
    /// They go on without it.
    LetGo,
}

/// What may go with a connector, source or action that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// The rules that use it.
    pub dependants: Dependants,
    /// Whether what waits in the buffer of an action may be discarded; otherwise an action that holds something stays.
    pub discard: bool,
}

impl Deletion {
    /// Nothing goes with it.
    pub const ALONE: Self = Self { dependants: Dependants::Refuse, discard: false };
}

/// A change of one object of the store.
pub(crate) enum Change {
    PutRule { id: Arc<str>, settings: Section, sql: String, mode: WriteMode },
    DeleteRule { id: Arc<str> },
    PutResource { declaration: Declaration, mode: WriteMode },
    EnableResource { category: Category, id: ResourceId, enable: bool },
    DeleteResource { category: Category, id: ResourceId, deletion: Deletion },
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = |id: &Arc<str>| Declared::Rule(Arc::clone(id));
        let resource = |category: &Category, id: &ResourceId| Declared::Resource(*category, id.clone());
        match self {
            Change::PutRule { id, .. } => write!(out, "putting {}", rule(id)),
            Change::DeleteRule { id } => write!(out, "deleting {}", rule(id)),
            Change::PutResource { declaration: Declaration { category, kind, name, .. }, .. } => {
                write!(out, "putting {}", resource(category, &ResourceId::new(kind, name)))
            }
            Change::EnableResource { category, id, .. } => {
                write!(out, "enabling or disabling {}", resource(category, id))
            }
            Change::DeleteResource { category, id, .. } => write!(out, "deleting {}", resource(category, id)),
        }
    }
}

/// A change that is stored.
pub(crate) struct Made {
    /// What is probably not meant as it was sent.
    pub(crate) warnings: Vec<Finding>,
    /// What makes it live.
    pub(crate) follow: Follow,
}

/// What makes a change live.
pub(crate) enum Follow {
    /// This file, and nothing else: what is declared in other files stays as it is.
    Put(Slot),
    /// That the rule of this id goes, and nothing else.
    Delete(Arc<str>),
    /// A reload.
    Reload,
}

impl Made {
    fn reload(warnings: Vec<Finding>) -> Self {
        Self { warnings, follow: Follow::Reload }
    }
}

/// Makes changes of the store, which the next reload makes live.
pub(crate) struct Write<'a> {
    pub(crate) origins: &'a Origins,
    pub(crate) kinds: Kinds,
    /// Whether an error anywhere keeps everything as it is.
    pub(crate) strict: bool,
    pub(crate) current: &'a Generation,
    pub(crate) newest: &'a Known,
}

impl Write<'_> {
    /// Checks a change and stores it. What is probably not meant so is told all the same.
    pub(crate) fn make(&self, change: Change) -> Result<Made, WriteError> {
        let Some(store) = &self.origins.store else { return Err(WriteError::Closed) };
        match change {
            Change::PutRule { id, mut settings, sql, mode } => {
                let path = store.rule_path(&id).map_err(refused)?;
                self.may_put(&Declared::Rule(Arc::clone(&id)), mode)?;
                self.note_creation(&id, &mut settings);
                let mut unit = self.unit(&path, FileKind::Rule, rule_text(&settings, &sql));
                let alone = beside(&unit, self.current).filter(|_| !self.strict);
                let warnings = match &alone {
                    Some(slot) => findings(slot, Some(&sql)),
                    None => self.try_out(&unit, Some(&sql))?,
                };
                let diagnostics = alone.map(|slot| slot.diagnostics);
                store.put_rule(&id, &settings, &sql).map_err(refused)?;
                let follow = match (diagnostics, Arc::get_mut(&mut unit)) {
                    (Some(diagnostics), Some(written)) => {
                        written.modified_at = modified_at(&path);
                        let in_force = Some(Arc::clone(&unit));
                        Follow::Put(Slot { newest: unit, in_force, diagnostics })
                    }
                    _ => Follow::Reload,
                };
                Ok(Made { warnings, follow })
            }
            Change::DeleteRule { id } => {
                self.may_change(&Declared::Rule(Arc::clone(&id)))?;
                let path = store.rule_path(&id).map_err(refused)?;
                self.hold_to_strict(|| Ok(self.set(Vec::new(), Some(&path))))?;
                let alone = !self.strict && may_go_alone(&id, self.current);
                store.delete_rule(&id).map_err(refused)?;
                let follow = if alone { Follow::Delete(id) } else { Follow::Reload };
                Ok(Made { warnings: Vec::new(), follow })
            }
            Change::PutResource { declaration, mode } => {
                self.put_resource(store, declaration, mode).map(Made::reload)
            }
            Change::EnableResource { category, id, enable } => {
                self.may_change(&Declared::Resource(category, id.clone()))?;
                let path = store.resource_path(category, &id.kind, &id.name).map_err(refused)?;
                let mut declaration = stored(&path).ok_or(WriteError::NotFound)?;
                declaration.section.set("enable", Node::new(NodeValue::Bool(enable)));
                self.put_resource(store, declaration, WriteMode::Replace).map(Made::reload)
            }
            Change::DeleteResource { category, id, deletion } => {
                self.may_change(&Declared::Resource(category, id.clone()))?;
                let buffered = self.current.buffered(category, &id);
                if buffered > 0 && !deletion.discard {
                    return Err(WriteError::Buffered(buffered));
                }
                let (users, rules) = match (category, deletion.dependants) {
                    (Category::Action, Dependants::LetGo) => {
                        (self.current.falling_back_to(category, &id), self.unlinked(store, &id)?)
                    }
                    // Its rules go on and hear nothing from it, which is said where they are shown.
                    (Category::Source, Dependants::LetGo) => (Vec::new(), Vec::new()),
                    (Category::Connector, _) | (_, Dependants::Refuse) => {
                        (self.current.users(category, &id), Vec::new())
                    }
                };
                if !users.is_empty() {
                    return Err(WriteError::InUse(users));
                }
                self.hold_to_strict(|| {
                    let path = store.resource_path(category, &id.kind, &id.name).map_err(refused)?;
                    let rule = |(rule, file): &(Arc<str>, RuleFile)| {
                        let text = rule_text(&file.section, &file.sql);
                        Ok(self.unit(&store.rule_path(rule).map_err(refused)?, FileKind::Rule, text))
                    };
                    Ok(self.set(rules.iter().map(rule).collect::<Result<_, _>>()?, Some(&path)))
                })?;
                store.put_rules(&rules).map_err(refused)?;
                store.delete_resource(category, &id.kind, &id.name).map_err(refused)?;
                Ok(Made::reload(Vec::new()))
            }
        }
    }

    /// Every rule that uses an action, without it. Either all of them may be changed, or none is.
    fn unlinked(&self, store: &Store, action: &ResourceId) -> Result<Vec<(Arc<str>, RuleFile)>, WriteError> {
        let rules = self.current.rules_using(Category::Action, action);
        for rule in &rules {
            self.may_change(&Declared::Rule(Arc::clone(rule)))?;
        }
        let named = NodeValue::Str(action.to_string());
        let without = |rule: Arc<str>| {
            let path = store.rule_path(&rule).map_err(refused)?;
            let text = std::fs::read_to_string(&path)
                .map_err(|cause| refused(StoreError::Io { path: path.clone(), cause }))?;
            let mut rule_file = RuleFile::parse(&text, &mut Vec::new());
            if let Some(NodeValue::List(actions)) = rule_file.section.get("actions").map(|node| &node.value) {
                let kept = actions.iter().filter(|node| node.value != named).cloned().collect();
                rule_file.section.set("actions", Node::new(NodeValue::List(kept)));
            }
            Ok((rule, rule_file))
        };
        rules.into_iter().map(without).collect()
    }

    fn put_resource(
        &self,
        store: &Store,
        mut declaration: Declaration,
        mode: WriteMode,
    ) -> Result<Vec<Finding>, WriteError> {
        let Declaration { category, kind, name, .. } = &declaration;
        let Some(known) = find_kind(self.kinds, kind) else {
            return Err(WriteError::UnknownKind(kind.clone()));
        };
        let path = store.resource_path(*category, kind, name).map_err(refused)?;
        self.may_put(&Declared::Resource(*category, ResourceId::new(kind, name)), mode)?;
        if mode == WriteMode::Replace
            && let Some(before) = stored(&path)
        {
            let fields = match category {
                Category::Connector => known.fields,
                Category::Source => known.source_fields,
                Category::Action => known.action_fields,
            };
            keep_secrets(&mut declaration.section, &before.section, fields);
        }
        let warnings = self.try_out(&self.unit(&path, FileKind::Resources, declaration.to_toml()), None)?;
        store.put_resource(&declaration).map_err(refused)?;
        Ok(warnings)
    }

    fn may_put(&self, id: &Declared, mode: WriteMode) -> Result<(), WriteError> {
        match (self.current.owner(id), mode) {
            (None, WriteMode::Create) => Ok(()),
            // Whoever could change it is told that it is there; whoever could not, why.
            (Some(_), WriteMode::Create) => {
                Err(self.may_change(id).err().unwrap_or(WriteError::AlreadyExists))
            }
            (_, WriteMode::Replace) => self.may_change(id),
        }
    }

    fn may_change(&self, id: &Declared) -> Result<(), WriteError> {
        match self.current.owner(id).map(Slot::managed_by) {
            None => Err(WriteError::NotFound),
            Some(ManagedBy::File(path)) => Err(WriteError::ManagedByFile(path.to_path_buf())),
            Some(ManagedBy::Rest) => Ok(()),
        }
    }

    /// The creation time of a rule goes with it through its edits.
    fn note_creation(&self, id: &str, settings: &mut Section) {
        let created_at = self.current.rule(id).map_or_else(SystemTime::now, |rule| rule.created_at);
        let millis = created_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut metadata = match settings.get("metadata").map(|node| &node.value) {
            Some(NodeValue::Table(table)) => table.clone(),
            _ => Section::default(),
        };
        metadata.set("created_at", Node::new(NodeValue::Int(millis as i64)));
        settings.set("metadata", Node::new(NodeValue::Table(metadata)));
    }

    /// Refuses a file of this text if it, or under `strict` anything, would have an error; gives its warnings otherwise. Nothing
    /// is stored.
    fn try_out(&self, unit: &Arc<Unit>, sql: Option<&str>) -> Result<Vec<Finding>, WriteError> {
        let slots = self.set(vec![Arc::clone(unit)], None);
        let slot = slots.iter().find(|slot| Arc::ptr_eq(&slot.newest, unit));
        let findings = slot.map(|slot| findings(slot, sql)).unwrap_or_default();
        if slot.is_some_and(Slot::has_errors) {
            return Err(WriteError::Invalid(findings));
        }
        self.hold_to_strict(|| Ok(slots))?;
        Ok(findings)
    }

    /// What a file of this text says.
    fn unit(&self, path: &Path, kind: FileKind, text: String) -> Arc<Unit> {
        let hash = ContentHash::of(text.as_bytes());
        let file = File { path: path.to_owned(), kind, text, hash };
        let text = Text {
            managed_by: ManagedBy::Rest,
            kind,
            hash,
            source: file.source(),
            text: file.text,
            path: file.path.into(),
            diagnostics: Vec::new(),
            modified_at: SystemTime::now(),
        };
        Arc::new(parse(text, self.kinds))
    }

    /// What the set would be with these files in place of those of the same paths, and without one.
    fn set(&self, changed: Vec<Arc<Unit>>, without: Option<&Path>) -> Vec<Slot> {
        let stays = |other: &&Arc<Unit>| {
            without.is_none_or(|gone| *other.path != *gone)
                && changed.iter().all(|unit| unit.path != other.path)
        };
        let others: Vec<_> = self.newest.values().filter(stays).cloned().collect();
        assemble(others.into_iter().chain(changed).collect(), &self.current.in_force())
    }

    /// Under `strict`, a set with an error anywhere would not go live: a change that leaves one is refused rather than stored
    /// for later.
    fn hold_to_strict(&self, set: impl FnOnce() -> Result<Vec<Slot>, WriteError>) -> Result<(), WriteError> {
        if !self.strict {
            return Ok(());
        }
        let errors: Vec<Finding> = set()?.iter().flat_map(Slot::errors).collect();
        if errors.is_empty() { Ok(()) } else { Err(WriteError::Strict(errors)) }
    }
}

/// What is wrong with a file. What is wrong in the SQL is placed in the SQL as it was sent, everything else by the path of its
/// setting.
fn findings(slot: &Slot, sql: Option<&str>) -> Vec<Finding> {
    if slot.diagnostics.is_empty() {
        return Vec::new();
    }
    let start = slot.newest.rule().map_or(u32::MAX, |rule| rule.id_span.start);
    let query = sql.map(|sql| Arc::new(Source::new("sql", sql)));
    let settings = settings_of(slot.newest.source.text(), sql.is_some());
    // The file has the SQL without what stands above its first word.
    let above = sql.map_or(0, |sql| sql.len() - sql.trim_start().len()) as u32;
    let place = |mut diagnostic: Diagnostic| match &query {
        Some(query) if diagnostic.span.start >= start && diagnostic.span.end > start => {
            let back = |span: Span| Span::new(span.start - start + above, span.end - start + above);
            diagnostic.span = back(diagnostic.span);
            diagnostic.related.retain(|related| related.span.start >= start);
            diagnostic.related.iter_mut().for_each(|related| related.span = back(related.span));
            vec![Finding {
                setting: Some(SettingPath::key("sql")),
                ..Finding::new(Arc::clone(query), diagnostic)
            }]
        }
        _ => Finding::of_body(vec![diagnostic], &settings),
    };
    slot.diagnostics.iter().cloned().flat_map(place).collect()
}

/// The settings in the text of a file of the store, each where it stands there.
fn settings_of(text: &str, is_rule: bool) -> Section {
    if is_rule {
        return RuleFile::parse(text, &mut Vec::new()).section;
    }
    parse_resource_file(text, &mut Vec::new())
        .pop()
        .map(|declaration| declaration.section)
        .unwrap_or_default()
}

/// The declaration that a file of the store holds, with its secrets.
fn stored(path: &Path) -> Option<Declaration> {
    let text = std::fs::read_to_string(path).ok()?;
    parse_resource_file(&text, &mut Vec::new()).pop()
}

#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn refused(error: StoreError) -> WriteError {
    match error {
        StoreError::BadName(_) | StoreError::TooLong => WriteError::BadName(error.to_string()),
        StoreError::Io { .. } => WriteError::Storage(error.to_string()),
    }
}
