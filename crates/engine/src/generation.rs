//! One generation: the files in force, what runs of them, and the views of both.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use config::Category;
use connector::{ActionReading, State, Status};
use diagnostic::Diagnostic;
use rustc_hash::FxHashMap;

use crate::assemble::{Slot, source_of};
use crate::files::Known;
use crate::last_resort::Fallback;
use crate::live::Live;
use crate::metrics::{ResourceRates, RuleMetrics};
use crate::rule_set::RuleSet;
use crate::shards::Shards;
use crate::unit::{ActionItem, Declared, ResourceItem, RuleItem, Unit};
use crate::view::{Finding, ManagedBy, ResourceId, ResourceReading, ResourceView, RuleView};

/// Everything that one swap makes live. Immutable; what lives longer is behind pointers, and what the next one has in common
/// with it is shared where a single rule changes.
pub(crate) struct Generation {
    /// Counts the changes since the start.
    pub(crate) number: u64,
    pub(crate) rules: RuleSet,
    slots: Shards<Arc<Path>, Slot>,
    /// The file that speaks for an id: one whose version in force declares it, otherwise one whose newest version does.
    by_id: Shards<Declared, Arc<Path>>,
    /// Further files that declare an id another one speaks for, and are wrong about that.
    rivals: FxHashMap<Declared, Vec<Arc<Path>>>,
    /// How many files have errors in their newest version.
    pub(crate) faulty: usize,
    pub(crate) live: Live,
    /// The counters of every declared rule, disabled ones included.
    pub(crate) metrics: Shards<Arc<str>, Arc<RuleMetrics>>,
}

impl Generation {
    /// Nothing at all: what is live before the first generation.
    pub(crate) fn empty() -> Self {
        Self::new(0, RuleSet::new(Vec::new()), Vec::new(), Live::default(), &HashMap::new())
    }

    pub(crate) fn new(
        number: u64,
        rules: RuleSet,
        slots: Vec<Slot>,
        live: Live,
        counters: &HashMap<Arc<str>, Arc<RuleMetrics>>,
    ) -> Self {
        let mut by_id = Shards::for_entries(slots.len());
        let mut rivals: FxHashMap<Declared, Vec<Arc<Path>>> = FxHashMap::default();
        for slot in &slots {
            for (id, _) in slot.in_force.iter().flat_map(|unit| unit.declares()) {
                by_id.insert(id, Arc::clone(&slot.newest.path));
            }
        }
        for slot in &slots {
            for (id, _) in slot.newest.declares() {
                match by_id.get(&id) {
                    None => drop(by_id.insert(id, Arc::clone(&slot.newest.path))),
                    Some(speaker) if *speaker != slot.newest.path => {
                        rivals.entry(id).or_default().push(Arc::clone(&slot.newest.path));
                    }
                    Some(_) => {}
                }
            }
        }
        let faulty = slots.iter().filter(|slot| slot.has_errors()).count();
        let mut by_path = Shards::for_entries(slots.len());
        for slot in slots {
            by_path.insert(Arc::clone(&slot.newest.path), slot);
        }
        let mut metrics = Shards::for_entries(counters.len());
        for (id, of_rule) in counters {
            metrics.insert(Arc::clone(id), Arc::clone(of_rule));
        }
        Self { number, rules, slots: by_path, by_id, rivals, faulty, live, metrics }
    }

    /// The next one, in which a file of one rule is new or another version.
    pub(crate) fn with_rule(&self, rules: RuleSet, slot: Slot, metrics: &Arc<RuleMetrics>) -> Self {
        let mut next = self.next(rules);
        let (path, is_faulty) = (Arc::clone(&slot.newest.path), slot.has_errors());
        for (id, _) in slot.newest.declares() {
            if let Declared::Rule(id) = &id {
                next.metrics.insert(Arc::clone(id), Arc::clone(metrics));
            }
            next.by_id.insert(id, Arc::clone(&path));
        }
        let before = next.slots.insert(path, slot);
        next.faulty += usize::from(is_faulty);
        next.faulty -= usize::from(before.is_some_and(|before| before.has_errors()));
        next
    }

    /// The next one, without a rule and its file.
    pub(crate) fn without_rule(&self, rules: RuleSet, id: &Arc<str>) -> Self {
        let mut next = self.next(rules);
        next.metrics.remove(id);
        let path = next.by_id.remove(&Declared::Rule(Arc::clone(id)));
        let slot = path.and_then(|path| next.slots.remove(&path));
        next.faulty -= usize::from(slot.is_some_and(|slot| slot.has_errors()));
        next
    }

    fn next(&self, rules: RuleSet) -> Self {
        Self {
            number: self.number + 1,
            rules,
            slots: self.slots.clone(),
            by_id: self.by_id.clone(),
            rivals: self.rivals.clone(),
            faulty: self.faulty,
            live: self.live.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// The file that declares this.
    pub(crate) fn owner(&self, id: &Declared) -> Option<&Slot> {
        self.slot(self.by_id.get(id)?)
    }

    /// Whether several files declare this.
    pub(crate) fn is_contested(&self, id: &Declared) -> bool {
        self.rivals.contains_key(id)
    }

    /// What is wrong with the newest versions of the files that declare this, the one that speaks for it first.
    fn errors(&self, id: &Declared) -> Vec<Finding> {
        let rivals = self.rivals.get(id).map(Vec::as_slice).unwrap_or_default();
        let slots = self.owner(id).into_iter().chain(rivals.iter().filter_map(|path| self.slot(path)));
        slots.flat_map(Slot::errors).collect()
    }

    /// A file by its path.
    pub(crate) fn slot(&self, path: &Path) -> Option<&Slot> {
        self.slots.get(path)
    }

    pub(crate) fn rule_ids(&self) -> Vec<Arc<str>> {
        let rule = |id: &Declared| match id {
            Declared::Rule(id) => Some(Arc::clone(id)),
            Declared::Resource(..) => None,
        };
        let mut ids: Vec<_> = self.by_id.iter().map(|(id, _)| id).filter_map(rule).collect();
        ids.sort();
        ids
    }

    pub(crate) fn rule(&self, id: &str) -> Option<RuleView> {
        let declared = Declared::Rule(id.into());
        let slot = self.owner(&declared)?;
        let unit = slot.shown();
        let rule = unit.rule()?;
        let from = rule.program.as_ref().map(|program| program.from()).unwrap_or_default();
        let details = rule.actions.iter().filter_map(|action| match action {
            ActionItem::Resource { id, .. } => Some((id.clone(), self.status(Category::Action, id))),
            ActionItem::Republish(_) | ActionItem::Console => None,
        });
        Some(RuleView {
            id: Arc::clone(&rule.id),
            name: rule.name.clone(),
            sql: unit.sql(rule).to_owned(),
            from: from.iter().map(|from| from.filter.as_str().to_owned()).collect(),
            actions: rule.actions_as_written(),
            action_details: details.collect(),
            enable: rule.enable,
            runs: rule.enable && slot.in_force.is_some(),
            description: rule.description.clone(),
            tags: rule.tags.clone(),
            created_at: rule.created_at.unwrap_or(unit.modified_at),
            last_modified_at: unit.modified_at,
            managed_by: unit.managed_by.clone(),
            errors: self.errors(&declared),
        })
    }

    pub(crate) fn resource_ids(&self, category: Category) -> Vec<ResourceId> {
        let resource = |id: &Declared| match id {
            Declared::Resource(other, id) if *other == category => Some(id.clone()),
            Declared::Resource(..) | Declared::Rule(_) => None,
        };
        let mut ids: Vec<_> = self.by_id.iter().map(|(id, _)| id).filter_map(resource).collect();
        ids.sort();
        ids
    }

    pub(crate) fn resource(&self, category: Category, id: &ResourceId) -> Option<ResourceView> {
        let declared = Declared::Resource(category, id.clone());
        let slot = self.owner(&declared)?;
        let unit = slot.shown();
        let item = find(unit, category, id)?;
        Some(ResourceView {
            category,
            id: id.clone(),
            enable: item.enable,
            settings: item.settings.to_json(),
            last_modified_at: unit.modified_at,
            status: self.status(category, id).unwrap_or_else(Status::stopped),
            managed_by: unit.managed_by.clone(),
            errors: self.errors(&declared),
        })
    }

    /// The declaration in force.
    pub(crate) fn resource_item(&self, category: Category, id: &ResourceId) -> Option<&ResourceItem> {
        let slot = self.owner(&Declared::Resource(category, id.clone()))?;
        find(slot.in_force.as_ref()?, category, id)
    }

    /// How a resource is; `None` where it is not in force.
    pub(crate) fn status(&self, category: Category, id: &ResourceId) -> Option<Status> {
        let item = self.resource_item(category, id)?;
        if !item.enable {
            return Some(Status::stopped());
        }
        if !self.live.is_started(item) {
            let reason = format!("it waits for `POST /api/v5/{}/{id}/start`", category.plural());
            return Some(Status { reason, ..Status::stopped() });
        }
        let connector = |id: &ResourceId| self.live.connectors.get(id);
        Some(match (category, &item.connector) {
            (Category::Connector, _) => connector(id)?.status(),
            (Category::Action, Some((connector_id, _))) => {
                let queue = self.live.actions.get(id).and_then(|queue| queue.trouble());
                let queue = queue.map_or_else(Status::connected, Status::disconnected);
                // Of two equals the buffer speaks: it is nearer to losing something.
                Status::worst([queue, self.status(Category::Connector, connector_id)?])
            }
            (Category::Source, Some((connector_id, _))) => {
                match self.status(Category::Connector, connector_id)? {
                    stopped if stopped.state == State::Stopped => stopped,
                    _ => connector(connector_id)?.source_status(&id.name),
                }
            }
            (Category::Action | Category::Source, None) => Status::stopped(),
        })
    }

    pub(crate) fn resource_reading(
        &self,
        category: Category,
        id: &ResourceId,
        rates: &ResourceRates,
    ) -> Option<ResourceReading> {
        let rate = || rates.of(category, id);
        match category {
            Category::Connector => {
                self.resource_item(category, id)?;
                Some(self.connector_reading(id))
            }
            Category::Action => {
                let queue = self.live.actions.get(id)?;
                let (reading, delivery) = (queue.reading(Instant::now()), queue.delivery().read());
                Some(ResourceReading::Action { reading, rate: rate(), delivery })
            }
            Category::Source => {
                let received = self.live.sources.get(id)?.metrics.received();
                Some(ResourceReading::Source { received, rate: rate() })
            }
        }
    }

    /// How many messages wait in the buffer of an action.
    pub(crate) fn buffered(&self, category: Category, id: &ResourceId) -> u64 {
        let queue = self.live.actions.get(id).filter(|_| category == Category::Action);
        let fill = queue.map(|queue| queue.reading(Instant::now()).fill).unwrap_or_default();
        fill.queuing + fill.inflight
    }

    fn connector_reading(&self, id: &ResourceId) -> ResourceReading {
        let (mut actions, mut received, now) = (ActionReading::default(), 0, Instant::now());
        let units = self.slots.values().filter_map(|slot| slot.in_force.as_ref());
        let on_it = |item: &&ResourceItem| item.connector.as_ref().is_some_and(|(named, _)| named == id);
        for item in units.flat_map(|unit| unit.resources().iter().filter(on_it)) {
            match item.category {
                Category::Action => {
                    let Some(queue) = self.live.actions.get(&item.id) else { continue };
                    let ActionReading { counters, fill } = queue.reading(now);
                    actions.counters += counters;
                    actions.fill += fill;
                }
                Category::Source => {
                    received += self.live.sources.get(&item.id).map_or(0, |source| source.metrics.received());
                }
                Category::Connector => {}
            }
        }
        ResourceReading::Connector { actions, received }
    }

    /// What the rates of actions and sources are taken of: `matched` and `received`.
    pub(crate) fn counts(&self) -> impl Iterator<Item = ((Category, ResourceId), u64)> + '_ {
        let now = Instant::now();
        let actions = self.live.actions.iter();
        let actions = actions
            .map(move |(id, queue)| ((Category::Action, id.clone()), queue.reading(now).counters.matched));
        let sources = self.live.sources.iter();
        actions.chain(sources.map(|(id, source)| ((Category::Source, id.clone()), source.metrics.received())))
    }

    /// Who uses a resource: sources and actions a connector, rules an action or a source, other actions an action that they
    /// fall back to.
    pub(crate) fn users(&self, category: Category, id: &ResourceId) -> Vec<String> {
        let names = |item: &&ResourceItem| item.connector.as_ref().is_some_and(|(named, _)| named == id);
        let mut users: Vec<String> = match category {
            Category::Connector => {
                let units = self.slots.values().filter_map(|slot| slot.in_force.as_ref());
                let items = units.flat_map(|unit| unit.resources().iter().filter(names));
                items.map(|item| Declared::Resource(item.category, item.id.clone()).to_string()).collect()
            }
            Category::Action | Category::Source => {
                let rules = self.rules_using(category, id).into_iter();
                let rules = rules.map(|rule| Declared::Rule(rule).to_string());
                rules.chain(self.falling_back_to(category, id)).collect()
            }
        };
        users.sort();
        users
    }

    /// The actions that fall back to another one.
    pub(crate) fn falling_back_to(&self, category: Category, id: &ResourceId) -> Vec<String> {
        let falls_back = |item: &&ResourceItem| {
            let mut fallbacks = item.fallbacks.iter();
            let to_it = |it: &Fallback| matches!(it, Fallback::Reference(other, _) if other == id);
            category == Category::Action && item.id != *id && fallbacks.any(to_it)
        };
        let units = self.slots.values().filter_map(|slot| slot.in_force.as_ref());
        let items = units.flat_map(|unit| unit.resources().iter().filter(falls_back));
        let mut actions: Vec<String> =
            items.map(|item| Declared::Resource(item.category, item.id.clone()).to_string()).collect();
        actions.sort();
        actions
    }

    /// The rules that hand rows to an action, or read a source; none use a connector by themselves.
    pub(crate) fn rules_using(&self, category: Category, id: &ResourceId) -> Vec<Arc<str>> {
        let uses = |rule: &&RuleItem| match category {
            Category::Connector => false,
            Category::Action => rule
                .actions
                .iter()
                .any(|action| matches!(action, ActionItem::Resource { id: named, .. } if named == id)),
            Category::Source => {
                let from = rule.program.as_ref().map(|program| program.from()).unwrap_or_default();
                from.iter().any(|from| source_of(from.filter.as_str()).as_ref() == Some(id))
            }
        };
        let units = self.slots.values().filter_map(|slot| slot.in_force.as_ref());
        let mut rules: Vec<Arc<str>> =
            units.filter_map(|unit| unit.rule()).filter(uses).map(|rule| Arc::clone(&rule.id)).collect();
        rules.sort();
        rules
    }

    /// The versions in force, by file.
    pub(crate) fn in_force(&self) -> Known {
        let units = self.slots.values().filter_map(|slot| slot.in_force.as_ref());
        units.map(|unit| (Arc::clone(&unit.path), Arc::clone(unit))).collect()
    }
}

impl Slot {
    /// The version to show: the one in force, or the newest where none is.
    fn shown(&self) -> &Unit {
        self.in_force.as_ref().unwrap_or(&self.newest)
    }

    /// Everything found in the newest version.
    pub(crate) fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        let source = Arc::clone(&self.newest.source);
        self.diagnostics.iter().map(move |diagnostic| Finding::new(Arc::clone(&source), diagnostic.clone()))
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// What an error in the newest version means for what runs.
    pub(crate) fn consequence(&self) -> String {
        let path = self.newest.path.display();
        match &self.in_force {
            None => format!("`{path}` is left out"),
            Some(unit) if Arc::ptr_eq(unit, &self.newest) => {
                format!("`{path}` runs, though not all of it works")
            }
            Some(_) => format!("`{path}` keeps its last good version"),
        }
    }

    /// The errors in the newest version.
    pub(crate) fn errors(&self) -> Vec<Finding> {
        self.findings().filter(|finding| finding.diagnostic.is_error()).collect()
    }

    /// Who may change what the file declares.
    pub(crate) fn managed_by(&self) -> &ManagedBy {
        &self.newest.managed_by
    }
}

fn find<'u>(unit: &'u Unit, category: Category, id: &ResourceId) -> Option<&'u ResourceItem> {
    unit.resources().iter().find(|item| item.category == category && item.id == *id)
}

/// When a file was last changed; now, where the system cannot tell.
pub(crate) fn modified_at(path: &Path) -> SystemTime {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or_else(|_| SystemTime::now())
}
