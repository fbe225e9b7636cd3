//! From many files to one consistent set: every file's newest version that has no error.
//!
//! Pure: what is decided here depends on the units alone, so `check`, a reload and a change over the API agree.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use diagnostic::{Code, Diagnostic, Span};
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::files::Known;
use crate::generation::Generation;
use crate::last_resort::Fallback;
use crate::placeholders;
use crate::unit::{ActionItem, Declared, ResourceItem, Unit};
use crate::view::{Category, ResourceId};

/// A file in the set.
#[derive(Clone)]
pub(crate) struct Slot {
    /// Its newest version, good or bad.
    pub(crate) newest: Arc<Unit>,
    /// The version in force: the newest, or the last good one, or none.
    pub(crate) in_force: Option<Arc<Unit>>,
    /// Everything found in the newest version, by itself and beside the others.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Chooses the version in force of every file.
///
/// `good` has the versions that were in force before. A unit with an error of its own steps back at once; then what
/// remains is checked against each other, and whoever has an error there steps back too, until nothing changes. A
/// version that was in force already is not judged again: its rules run with what is left of their actions.
pub(crate) fn assemble(newest: Vec<Arc<Unit>>, good: &Known) -> Vec<Slot> {
    let mut slots: Vec<Slot> = newest
        .into_iter()
        .map(|unit| {
            let in_force =
                if unit.has_errors() { good.get(&unit.path).cloned() } else { Some(Arc::clone(&unit)) };
            Slot { diagnostics: unit.diagnostics.clone(), newest: unit, in_force }
        })
        .collect();
    // Each round takes at least one new version out, so this ends.
    let (owners, broken) = loop {
        let (owners, broken) = (owners(&slots, good), broken(&slots));
        if !step_back(&mut slots, good, &owners, &broken) {
            break (owners, broken);
        }
    };
    report_missing_to_others(&mut slots, good, &owners, &broken);
    warn_of_missing_sources(&mut slots);
    placeholders::warn(&mut slots);
    slots
}

/// Tells files that were not judged what is missing all the same: those that have not changed, which stay in force, and
/// those with errors of their own, so that everything wrong with them is said at once.
fn report_missing_to_others(slots: &mut [Slot], good: &Known, owners: &Owners, broken: &Broken) {
    for slot in slots {
        let unchanged = good.get(&slot.newest.path).is_some_and(|unit| Arc::ptr_eq(unit, &slot.newest));
        if unchanged || slot.newest.has_errors() {
            slot.diagnostics.extend(missing(&slot.newest, owners, broken));
        }
    }
}

/// One round: finds errors between the versions in force. Returns whether a file stepped back.
fn step_back(slots: &mut [Slot], good: &Known, owners: &Owners, broken: &Broken) -> bool {
    let claimants = claimants(slots, good);
    let mut stepped = false;
    for at in 0..slots.len() {
        let slot = &slots[at];
        if !slot.is_new(good) {
            continue;
        }
        let mut found = duplicates(slot, at, owners, slots);
        found.extend(missing(&slot.newest, owners, broken));
        found.extend(contested(slot, at, &claimants));
        if !found.is_empty() {
            let slot = &mut slots[at];
            slot.diagnostics.extend(found);
            slot.in_force = good.get(&slot.newest.path).cloned();
            stepped = true;
        }
    }
    stepped
}

impl Slot {
    /// Whether the version in force is the newest and was not in force before.
    fn is_new(&self, good: &Known) -> bool {
        let newest = |unit: &Arc<Unit>| Arc::ptr_eq(unit, &self.newest);
        self.in_force.as_ref().is_some_and(newest) && !good.get(&self.newest.path).is_some_and(newest)
    }
}

/// Who declares what among the versions in force: for each id the slots, those loaded before first.
type Owners = FxHashMap<Declared, Vec<usize>>;

/// What files declare that are not in force as they stand, and which files these are.
type Broken = HashMap<Declared, Arc<Path>>;

fn owners(slots: &[Slot], good: &Known) -> Owners {
    let mut owners = Owners::with_capacity_and_hasher(slots.len(), FxBuildHasher);
    for (at, slot) in slots.iter().enumerate() {
        let Some(unit) = &slot.in_force else { continue };
        let before = good.get(&unit.path);
        for (id, _) in unit.declares() {
            let loaded_before = before.is_some_and(|unit| unit.declares().any(|(other, _)| other == id));
            let declarers = owners.entry(id).or_default();
            let place = if loaded_before { 0 } else { declarers.len() };
            declarers.insert(place, at);
        }
    }
    owners
}

fn broken(slots: &[Slot]) -> Broken {
    let newest = |slot: &&Slot| slot.in_force.as_ref().is_some_and(|unit| Arc::ptr_eq(unit, &slot.newest));
    let broken = slots.iter().filter(|slot| !newest(slot));
    broken
        .flat_map(|slot| slot.newest.declares().map(|(id, _)| (id, Arc::clone(&slot.newest.path))))
        .collect()
}

/// An id that two files declare: the one loaded already stays; where none was, as at a start, neither runs.
fn duplicates(slot: &Slot, at: usize, owners: &Owners, slots: &[Slot]) -> Vec<Diagnostic> {
    let twice = slot.newest.declares().filter_map(|(id, span)| {
        let others: Vec<&Path> = owners
            .get(&id)?
            .iter()
            .filter(|other| **other != at)
            .map(|other| &*slots[*other].newest.path)
            .collect();
        let other = others.first()?;
        let message = format!("{id} is declared twice: here and in `{}`", other.display());
        Some(
            Diagnostic::new(Code::DuplicateId, span, message)
                .label("declared here")
                .help("give one of them another name, or remove it"),
        )
    });
    twice.collect()
}

/// Who uses what of a far side that one connector alone may use: for each claim the slot and connector that came first.
type Claimants = HashMap<String, (usize, ResourceId)>;

fn claimants(slots: &[Slot], good: &Known) -> Claimants {
    let mut claimants = Claimants::new();
    let (new, old): (Vec<_>, Vec<_>) = slots.iter().enumerate().partition(|(_, slot)| slot.is_new(good));
    for (at, slot) in old.into_iter().chain(new) {
        for item in slot.in_force.iter().flat_map(|unit| unit.resources()).filter(|item| item.enable) {
            for (claim, _) in &item.claims {
                claimants.entry(claim.clone()).or_insert_with(|| (at, item.id.clone()));
            }
        }
    }
    claimants
}

/// Claims that another connector has made before.
fn contested(slot: &Slot, at: usize, claimants: &Claimants) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for item in slot.newest.resources().iter().filter(|item| item.enable) {
        for (claim, span) in &item.claims {
            let Some((owner, other)) = claimants.get(claim) else { continue };
            if *owner == at && *other == item.id {
                continue;
            }
            let message = format!("the connector `{other}` has {claim} already");
            let help = "each of the two would take it from the other, for ever";
            found.push(Diagnostic::new(Code::Conflict, *span, message).help(help));
        }
    }
    found
}

/// Actions and connectors that a unit names and nobody declares.
fn missing(unit: &Unit, owners: &Owners, broken: &Broken) -> Vec<Diagnostic> {
    let note = |category, id: &ResourceId, otherwise: String| {
        let file = broken.get(&Declared::Resource(category, id.clone()));
        file.map_or(otherwise, |file| format!("`{}` declares it, but has errors", file.display()))
    };
    let exists = |category, id: &ResourceId| {
        let declared = Declared::Resource(category, id.clone());
        owners.contains_key(&declared) || unit.declares().any(|(own, _)| own == declared)
    };
    let missing_action = |id: &ResourceId, span: Span| {
        let declaration =
            format!("an action is declared as `[actions.{}.{}]` in a `.toml` file", id.kind, id.name);
        Diagnostic::new(Code::UnknownAction, span, format!("there is no action `{id}`"))
            .label("named here")
            .maybe_help(suggest(owners, broken, Category::Action, id))
            .note(note(Category::Action, id, declaration))
    };
    let mut found = Vec::new();
    for action in unit.rule().map_or(&[][..], |rule| &rule.actions) {
        if let ActionItem::Resource { id, span } = action
            && !exists(Category::Action, id)
        {
            found.push(missing_action(id, *span));
        }
    }
    for fallback in unit.resources().iter().flat_map(|item| &*item.fallbacks) {
        if let Fallback::Reference(id, span) = fallback
            && !exists(Category::Action, id)
        {
            found.push(missing_action(id, *span));
        }
    }
    for item in unit.resources() {
        if let Some((id, span)) = &item.connector
            && !exists(Category::Connector, id)
        {
            let diagnostic = Diagnostic::new(
                Code::UnknownConnector,
                *span,
                format!("there is no connector `{}`", id.name),
            )
            .label("named here")
            .maybe_help(suggest(owners, broken, Category::Connector, id))
            .note(note(
                Category::Connector,
                id,
                format!("a connector is declared as `[connectors.{}.{}]`", id.kind, id.name),
            ));
            found.push(diagnostic);
        }
    }
    found
}

/// The declared id that was probably meant.
fn suggest(owners: &Owners, broken: &Broken, category: Category, wanted: &ResourceId) -> Option<String> {
    let names = owners.keys().chain(broken.keys()).filter_map(|id| match id {
        Declared::Resource(other, id) if *other == category => Some(id.to_string()),
        _ => None,
    });
    let names: Vec<String> = names.collect();
    let nearest = diagnostic::nearest(&wanted.to_string(), names.iter().map(String::as_str))?;
    Some(format!("did you mean `{nearest}`?"))
}

/// Rules that read a source which nobody declares: not wrong, but nothing will come.
fn warn_of_missing_sources(slots: &mut [Slot]) {
    let declared: std::collections::HashSet<ResourceId> = slots
        .iter()
        .filter_map(|slot| slot.in_force.as_ref())
        .flat_map(|unit| unit.resources())
        .filter(|item| item.category == Category::Source)
        .map(|item| item.id.clone())
        .collect();
    for slot in slots {
        let missing = missing_sources(&slot.newest, |id| declared.contains(id));
        slot.diagnostics.extend(missing);
    }
}

fn missing_sources(unit: &Unit, is_declared: impl Fn(&ResourceId) -> bool) -> Vec<Diagnostic> {
    let program = unit.rule().and_then(|rule| rule.program.as_ref());
    let mut found = Vec::new();
    for from in program.map(|program| program.from()).unwrap_or_default() {
        let Some(id) = source_of(from.filter.as_str()).filter(|id| !is_declared(id)) else { continue };
        let message = format!("there is no source `{id}`, so this rule hears nothing from it");
        let diagnostic = Diagnostic::new(Code::UnknownSource, from.span, message)
            .help(format!("declare it as `[sources.{}.{}]` in a `.toml` file", id.kind, id.name));
        found.push(diagnostic);
    }
    found
}

/// What [`assemble`] would make of a new version of a rule's file beside everything that is in force, and leave all other
/// files as they are; `None` where only looking at all of them tells.
pub(crate) fn beside(unit: &Arc<Unit>, current: &Generation) -> Option<Slot> {
    let rule = unit.rule().filter(|_| !unit.has_errors())?;
    let id = Declared::Rule(Arc::clone(&rule.id));
    if current.is_contested(&id)
        || current.owner(&id).is_some_and(|slot| !concerns_no_other(slot, unit, current))
    {
        return None;
    }
    let mut diagnostics = unit.diagnostics.clone();
    diagnostics.extend(missing_sources(unit, |id| current.resource_item(Category::Source, id).is_some()));
    for action in &rule.actions {
        let ActionItem::Resource { id, span } = action else { continue };
        let item = plain_action(id, current)?;
        diagnostics.extend(placeholders::of_action(rule, item, *span));
    }
    Some(Slot { newest: Arc::clone(unit), in_force: Some(Arc::clone(unit)), diagnostics })
}

/// Whether a rule can go without anything to be said anew of another file.
pub(crate) fn may_go_alone(id: &Arc<str>, current: &Generation) -> bool {
    let id = Declared::Rule(Arc::clone(id));
    let slot = current.owner(&id).filter(|_| !current.is_contested(&id));
    slot.is_some_and(|slot| concerns_no_other(slot, &slot.newest, current))
}

/// Whether the version before is of the same file, and uses no action of which more would have to be looked at.
fn concerns_no_other(before: &Slot, unit: &Unit, current: &Generation) -> bool {
    let actions = before.newest.rule().map_or(&[][..], |rule| &rule.actions);
    before.newest.path == unit.path
        && actions.iter().all(|action| match action {
            ActionItem::Resource { id, .. } => plain_action(id, current).is_some(),
            ActionItem::Republish(_) | ActionItem::Console => true,
        })
}

/// An action that is in force as its file says, and falls back to nothing: its templates are held against the rules that use
/// it, each by itself.
fn plain_action<'g>(id: &ResourceId, current: &'g Generation) -> Option<&'g ResourceItem> {
    let declared = Declared::Resource(Category::Action, id.clone());
    let slot =
        current.owner(&declared).filter(|slot| !slot.has_errors() && !current.is_contested(&declared))?;
    slot.in_force.as_ref().filter(|unit| Arc::ptr_eq(unit, &slot.newest))?;
    current.resource_item(Category::Action, id).filter(|item| item.fallbacks.is_empty())
}

/// The source that a FROM filter names.
pub(crate) fn source_of(filter: &str) -> Option<ResourceId> {
    let name = filter.strip_prefix("$bridges/").or_else(|| filter.strip_prefix("$sources/"))?;
    ResourceId::parse(name).filter(|id| !id.name.contains(['+', '#', '*']))
}
