//! The one thread that changes what runs: from files and from the API, one change after the other.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use config::Category;
use connector::DeadEnd;
use diagnostic::{Code, Diagnostic, Span, Style};
use event::LocalPublish;
use tokio::sync::{mpsc, oneshot};

use crate::assemble::{Slot, assemble};
use crate::buffers::Buffers;
use crate::dispatch::Wanted;
use crate::files::{Known, Origins, Unchanged};
use crate::generation::Generation;
use crate::live::{Desired, House, Live, LiveAction, LiveConnector};
use crate::metrics::{ReloadMetrics, RuleMetrics};
use crate::parse::{Kinds, find_kind};
use crate::rule::{Binding, Bound, Rule};
use crate::rule_set::RuleSet;
use crate::unit::{ActionItem, Declared, ResourceItem, RuleItem, Unit};
use crate::view::{Finding, ReloadOutcome, ResourceId, WriteError};
use crate::write::{Change, Follow, Made, Write};

/// What the thread is asked to do.
pub(crate) enum Command {
    /// Read everything anew.
    Reload(Option<oneshot::Sender<Result<ReloadOutcome, WriteError>>>),
    /// Change one object of the store; answers with the warnings.
    Change(Change, oneshot::Sender<Result<Vec<Finding>, WriteError>>),
    /// Remove what is on disk for an action that is declared nowhere.
    DiscardOrphan(ResourceId, oneshot::Sender<Result<(), WriteError>>),
    /// Try again to use the disk where an action could not.
    MendBuffers,
    /// Rules and listeners are ready: sources may subscribe.
    OpenSources,
    /// Something was started that waited for it.
    Started,
    /// Change nothing any more; answers with the connectors, for the caller to stop.
    Stop(oneshot::Sender<Vec<Arc<LiveConnector>>>),
}

/// Owns everything that lives longer than a generation.
pub(crate) struct Reloader {
    pub(crate) origins: Origins,
    pub(crate) kinds: Kinds,
    pub(crate) strict: bool,
    pub(crate) house: Arc<House>,
    pub(crate) current: Arc<ArcSwap<Generation>>,
    pub(crate) wanted: Arc<Wanted>,
    /// Generations that were live before, until nobody holds them any more.
    pub(crate) retired: Vec<Arc<Generation>>,
    /// Hears which topics the rules listen to.
    pub(crate) local: Arc<dyn LocalPublish>,
    /// Hears at every reload which files the settings refer to, those of broken versions included: a certificate that
    /// appears may be all they wait for.
    pub(crate) on_files: Box<dyn FnMut(Vec<std::path::PathBuf>) + Send>,
    pub(crate) newest: Known,
    pub(crate) unchanged: Unchanged,
    pub(crate) live: Live,
    pub(crate) metrics: HashMap<Arc<str>, Arc<RuleMetrics>>,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) dead_end: Arc<dyn DeadEnd>,
    /// The actions that are being deleted together with what waits for them.
    pub(crate) discarded: HashSet<String>,
    /// The logs without an action that the log has told of.
    pub(crate) orphans_told: HashSet<ResourceId>,
    pub(crate) reloads: Arc<ReloadMetrics>,
    pub(crate) sources_open: bool,
}

impl Reloader {
    /// Takes commands until it is told to stop or nobody can command any more.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            // Whoever asked may have gone; what was asked for is done all the same.
            match command {
                Command::Reload(reply) => {
                    let outcome = self.guarded("reading the files anew", Self::reload);
                    let _ = reply.map(|reply| reply.send(outcome));
                }
                Command::Change(change, reply) => {
                    let what = change.to_string();
                    let _ = reply.send(self.guarded(what, |it| it.change(change)).flatten());
                }
                Command::DiscardOrphan(id, reply) => {
                    let what = format!("discarding what waits for `{id}`");
                    let _ = reply.send(self.guarded(what, |it| it.discard_orphan(&id)).flatten());
                }
                Command::MendBuffers => drop(self.guarded("mending buffers", Self::mend_buffers)),
                Command::OpenSources => drop(self.guarded("opening sources", Self::open_sources)),
                Command::Started => drop(self.guarded("starting a resource", |it| it.follow_starts())),
                Command::Stop(reply) => {
                    let _ = reply.send(self.live.connectors.values().cloned().collect());
                    return;
                }
            }
            drop(self.guarded("freeing generations", Self::free_retired));
        }
    }

    /// Does something. If that breaks off in a panic, what is in force stays so, and the next command finds everything as if
    /// this one had not been.
    fn guarded<T>(&mut self, what: impl Display, work: impl FnOnce(&mut Self) -> T) -> Result<T, WriteError> {
        supervise::caught(what, || work(self)).map_err(|_| {
            self.reloads.broke_off();
            self.recover();
            WriteError::BrokeOff
        })
    }

    /// Goes back to what is in force. What was opened for more than that is used, or let go of, at the next reload.
    fn recover(&mut self) {
        let current = self.current.load_full();
        self.live.keep_all(&current.live);
        for (id, metrics) in current.metrics.iter() {
            self.metrics.entry(Arc::clone(id)).or_insert_with(|| Arc::clone(metrics));
        }
        // What was read may not have become known.
        self.unchanged = Unchanged::default();
        self.discarded.clear();
        tracing::error!("generation {} stays in force", current.number);
    }

    /// Reads every file and makes the result live.
    pub(crate) fn reload(&mut self) -> ReloadOutcome {
        let units = self.origins.read(self.kinds, &self.newest, &mut self.unchanged);
        let good = self.current.load().in_force();
        let slots = assemble(units.clone(), &good);
        self.newest = units.into_iter().map(|unit| (Arc::clone(&unit.path), unit)).collect();
        self.tell(&slots);
        let items = self.newest.values().flat_map(|unit| unit.resources());
        let mut files: Vec<_> = items.flat_map(|item| item.settings.files()).collect();
        files.sort();
        files.dedup();
        (self.on_files)(files);
        let findings = slots.iter().flat_map(Slot::findings).collect();
        let refused = self.strict && slots.iter().any(Slot::has_errors);
        // The first generation is one even if nothing is in it: the rules are loaded, all none of them.
        let first = self.current.load().number == 0;
        let changed = !refused && (first || differs(&slots, &good));
        if changed {
            self.make_live(slots);
        } else if refused {
            tracing::error!("the change is refused as a whole, since `[rules] strict` is set");
            self.make_known(held_back(slots, &good));
        } else {
            self.make_known(slots);
            self.mend_buffers();
        }
        let current = self.current.load();
        let outcome = ReloadOutcome {
            generation: current.number,
            rules: current.rules.len(),
            changed,
            refused,
            findings,
        };
        self.reloads.count(&outcome);
        outcome
    }

    /// Brings resources and rules to what the slots say, with one swap for the rules.
    ///
    /// Order matters: queues and connectors first, then the rules that fill them, then the sources that feed the rules;
    /// what has gone is taken away last.
    fn make_live(&mut self, slots: Vec<Slot>) {
        let units: Vec<Arc<Unit>> = slots.iter().filter_map(|slot| slot.in_force.clone()).collect();
        let declared = Declarations::of(&units);
        self.open_resources(&declared);
        self.keep_metrics(&units);
        let gone = self.live.retain(|category, id| declared.get(category, id).is_some());
        let rules = units.iter().filter_map(|unit| unit.rule()).filter(|rule| rule.enable);
        let number = self.current.load().number + 1;
        let actions = |id: &ResourceId| declared.get(Category::Action, id);
        let rules = RuleSet::new(rules.filter_map(|rule| self.bind(rule, actions, number)).collect());
        tracing::info!(rules = rules.len(), "generation {number} is live");
        let generation = Generation::new(number, rules, slots, self.live.clone(), &self.metrics);
        self.swap(generation);
        self.set_connectors(&declared, self.sources_open);
        self.listen();
        gone.end(&self.house.runtime, |id| self.discarded.contains(id));
        self.discarded.clear();
        self.buffers.tell_of_orphans(&self.live.actions, &mut self.orphans_told);
    }

    /// Makes a new version of one rule's file live, beside which everything stays as it is. What a reload does with all files takes
    /// more than a second where there are a hundred thousand.
    fn put_rule(&mut self, current: &Generation, slot: Slot) {
        let Some(rule) = slot.newest.rule() else { return };
        self.tell(std::slice::from_ref(&slot));
        let metrics = Arc::clone(self.metrics.entry(Arc::clone(&rule.id)).or_default());
        let actions = |id: &ResourceId| current.resource_item(Category::Action, id);
        let bound = if rule.enable { self.bind(rule, actions, current.number + 1) } else { None };
        let rules = current.rules.with(&rule.id, bound);
        self.newest.insert(Arc::clone(&slot.newest.path), Arc::clone(&slot.newest));
        self.make_one_live(current.with_rule(rules, slot, &metrics));
    }

    /// Takes one rule out, and leaves everything else as it is.
    fn delete_rule(&mut self, current: &Generation, id: &Arc<str>) {
        if let Some(slot) = current.owner(&Declared::Rule(Arc::clone(id))) {
            self.newest.remove(&slot.newest.path);
        }
        self.metrics.remove(id);
        self.make_one_live(current.without_rule(current.rules.with(id, None), id));
    }

    fn make_one_live(&mut self, next: Generation) {
        tracing::info!(rules = next.rules.len(), "generation {} is live", next.number);
        self.reloads.count_change(next.faulty > 0);
        self.swap(next);
        self.listen();
    }

    /// Shows new diagnostics of what runs unchanged.
    fn make_known(&mut self, slots: Vec<Slot>) {
        let current = self.current.load_full();
        let rules = RuleSet::new(current.rules.rules().cloned().collect());
        let generation = Generation::new(current.number, rules, slots, self.live.clone(), &self.metrics);
        self.swap(generation);
    }

    /// Makes a generation live. The one before is freed by [`Reloader::free_retired`].
    fn swap(&mut self, next: Generation) {
        self.wanted.add(&next.rules);
        let next = Arc::new(next);
        self.retired.push(self.current.swap(Arc::clone(&next)));
        self.wanted.set(&next.rules);
    }

    /// Frees the generations that nobody holds any more. Whoever lets go of one last frees all that is in it, which takes a
    /// while where there are many rules: it is to be this thread, and none that messages wait for.
    fn free_retired(&mut self) {
        /// Judging a message takes far less; what is held for longer, by somebody who reads it, waits for the next reload.
        const LOOKS: usize = 50;
        for _ in 0..LOOKS {
            self.retired.retain(|generation| Arc::strong_count(generation) > 1);
            if self.retired.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Makes sure that every declared queue and connector exists.
    fn open_resources(&mut self, declared: &Declarations<'_>) {
        for item in declared.items() {
            match item.category {
                Category::Connector => {
                    let Some(kind) = find_kind(self.kinds, &item.id.kind) else { continue };
                    let entry = self.live.connectors.entry(item.id.clone());
                    let name = Arc::clone(&item.id.name);
                    entry.or_insert_with(|| Arc::new(LiveConnector::start(kind, name, &self.house)));
                }
                Category::Action => {
                    self.live.keep_action(item, &self.buffers).set_dead_end(Arc::clone(&self.dead_end));
                }
                Category::Source => self.live.keep_source(item),
            }
        }
        self.set_connectors(declared, false);
    }

    /// Opens the buffers on disk that could not be opened, and moves what waits in memory there.
    fn mend_buffers(&mut self) {
        let units: Vec<Arc<Unit>> = self.current.load().in_force().into_values().collect();
        for item in units.iter().flat_map(|unit| unit.resources()) {
            let queue = self.live.actions.get(&item.id).filter(|_| item.category == Category::Action);
            if let Some(queue) = queue.filter(|queue| queue.is_unstored()) {
                self.buffers.keep(item, Some(queue));
            }
        }
    }

    /// Here, where no action can appear meanwhile.
    fn discard_orphan(&self, id: &ResourceId) -> Result<(), WriteError> {
        if self.live.actions.contains_key(id) {
            return Err(WriteError::InUse(vec![
                Declared::Resource(Category::Action, id.clone()).to_string(),
            ]));
        }
        match self.buffers.discard_orphan(id) {
            Ok(true) => Ok(()),
            Ok(false) => Err(WriteError::NotFound),
            Err(error) => Err(WriteError::Storage(error.to_string())),
        }
    }

    /// Lets the sources subscribe that have waited for everything else to be ready.
    fn open_sources(&mut self) {
        self.sources_open = true;
        let units: Vec<Arc<Unit>> = self.current.load().in_force().into_values().collect();
        self.set_connectors(&Declarations::of(&units), true);
        self.listen();
    }

    /// Lets connectors connect, and actions send, that somebody has started.
    fn follow_starts(&self) {
        let units: Vec<Arc<Unit>> = self.current.load().in_force().into_values().collect();
        self.set_connectors(&Declarations::of(&units), self.sources_open);
    }

    /// Asks for what the rules listen to, once everything else is ready.
    fn listen(&self) {
        if self.sources_open {
            self.local.listen(&mut self.current.load().rules.publish_filters());
        }
    }

    /// Tells every connector how it is to be. Without `new_sources`, only sources that it has already are kept.
    fn set_connectors(&self, declared: &Declarations<'_>, new_sources: bool) {
        let mut desired: HashMap<&ResourceId, Desired> = HashMap::new();
        for item in declared.items() {
            match (item.category, &item.connector) {
                (Category::Connector, _) => {
                    desired.entry(&item.id).or_default().settings =
                        (item.enable && self.live.is_started(item)).then(|| Arc::clone(&item.settings));
                }
                (Category::Action, Some((connector, _))) if item.enable && self.live.is_started(item) => {
                    let action = self.live.actions.get(&item.id).map(|queue| LiveAction {
                        queue: Arc::clone(queue),
                        settings: Arc::clone(&item.settings),
                    });
                    desired.entry(connector).or_default().actions.extend(action);
                }
                (Category::Source, Some((connector, _))) if item.enable => {
                    let source = self.live.sources.get(&item.id);
                    desired.entry(connector).or_default().sources.extend(source.cloned());
                }
                (Category::Action | Category::Source, _) => {}
            }
        }
        for (id, mut desired) in desired {
            let Some(connector) = self.live.connectors.get(id) else { continue };
            desired.sources.retain(|source| new_sources || connector.has_source(&source.name));
            connector.set(desired);
        }
    }

    /// Every declared rule has counters, those it had if it is not new.
    fn keep_metrics(&mut self, units: &[Arc<Unit>]) {
        let mut kept = HashMap::new();
        for rule in units.iter().filter_map(|unit| unit.rule()) {
            let metrics = self.metrics.remove(&rule.id).unwrap_or_default();
            kept.insert(Arc::clone(&rule.id), metrics);
        }
        self.metrics = kept;
    }

    /// Looks up the actions of a rule.
    fn bind<'i>(
        &self,
        rule: &RuleItem,
        declared: impl Fn(&ResourceId) -> Option<&'i ResourceItem>,
        generation: u64,
    ) -> Option<Arc<Rule>> {
        let actions = rule.actions.iter().map(|action| match action {
            ActionItem::Resource { id, .. } => self.bind_resource(id, declared(id)),
            ActionItem::Republish(republish) => Binding::Republish(Arc::clone(republish)),
            ActionItem::Console => Binding::Console,
        });
        Some(Arc::new(Rule {
            id: Arc::clone(&rule.id),
            program: Arc::clone(rule.program.as_ref()?),
            actions: actions.collect(),
            metrics: Arc::clone(self.metrics.get(&rule.id)?),
            generation,
            is_slow: AtomicBool::new(false),
        }))
    }

    fn bind_resource(&self, id: &ResourceId, item: Option<&ResourceItem>) -> Binding {
        let (Some(item), Some(queue)) = (item, self.live.actions.get(id)) else {
            return Binding::Missing;
        };
        let queue = Arc::clone(queue);
        match &item.render {
            Some(render) if item.enable => {
                let keeps_row = !item.fallbacks.is_empty();
                Binding::Queue(Bound { render: Arc::clone(render), queue, keeps_row })
            }
            Some(_) => Binding::Disabled { queue },
            None => Binding::Missing,
        }
    }

    /// Writes what is new among the problems into the log.
    fn tell(&self, slots: &[Slot]) {
        let current = self.current.load();
        for slot in slots.iter().filter(|slot| !slot.diagnostics.is_empty()) {
            let before = current.slot(&slot.newest.path);
            let known = before.map(|slot| slot.diagnostics.as_slice()).unwrap_or_default();
            for diagnostic in slot.diagnostics.iter().filter(|diagnostic| !known.contains(diagnostic)) {
                let text = slot.newest.source.render(diagnostic, Style::Plain);
                if diagnostic.is_error() {
                    tracing::error!("{}\n{text}", slot.consequence());
                } else {
                    tracing::warn!("`{}` has a warning\n{text}", slot.newest.path.display());
                }
            }
        }
    }

    /// Makes a change of the store that was asked for over the API, unless something speaks against it.
    fn change(&mut self, change: Change) -> Result<Vec<Finding>, WriteError> {
        let current = self.current.load_full();
        let discarded = match &change {
            Change::DeleteResource { category: Category::Action, id, .. } => Some(id.to_string()),
            _ => None,
        };
        let write = Write {
            origins: &self.origins,
            kinds: self.kinds,
            strict: self.strict,
            current: &current,
            newest: &self.newest,
        };
        let made = write.make(change);
        if let Err(WriteError::Storage(_)) = &made {
            // A disk that failed in the middle has some of it: what is shown and runs is what is there.
            self.reload();
        }
        let Made { warnings, follow } = made?;
        // Whoever deletes an action over the API was told what is discarded with it.
        self.discarded.extend(discarded);
        match follow {
            Follow::Put(slot) => self.put_rule(&current, slot),
            Follow::Delete(id) => self.delete_rule(&current, &id),
            Follow::Reload => drop(self.reload()),
        }
        Ok(warnings)
    }
}

/// Whether other versions would be in force than are now.
fn differs(slots: &[Slot], now: &Known) -> bool {
    let next: Vec<_> = slots.iter().filter_map(|slot| slot.in_force.as_ref()).collect();
    next.len() != now.len()
        || next.into_iter().any(|unit| !now.get(&unit.path).is_some_and(|old| Arc::ptr_eq(old, unit)))
}

/// What `strict` leaves of a set with errors: what is in force stays so, whatever became of its file, and every new version
/// says why it waits.
fn held_back(slots: Vec<Slot>, good: &Known) -> Vec<Slot> {
    let broken = slots.iter().find(|slot| slot.has_errors()).map(|slot| Arc::clone(&slot.newest.path));
    let there: HashSet<Arc<Path>> = slots.iter().map(|slot| Arc::clone(&slot.newest.path)).collect();
    let gone = good.values().filter(|unit| !there.contains(&unit.path));
    let gone = gone.map(|unit| Slot {
        newest: Arc::clone(unit),
        in_force: Some(Arc::clone(unit)),
        diagnostics: Vec::new(),
    });
    let held = slots.into_iter().map(|mut slot| {
        slot.in_force = good.get(&slot.newest.path).cloned();
        let waits = !slot.in_force.as_ref().is_some_and(|unit| Arc::ptr_eq(unit, &slot.newest));
        if let Some(broken) = broken.as_ref().filter(|_| waits && !slot.has_errors()) {
            let message = format!("this version waits until `{}` is mended", broken.display());
            let help = "`[rules] strict` is set: everything goes live together, or nothing does";
            slot.diagnostics.push(Diagnostic::new(Code::HeldBack, Span::at(0), message).help(help));
        }
        slot
    });
    held.chain(gone).collect()
}

/// The resources in force.
struct Declarations<'u>(HashMap<(Category, ResourceId), &'u ResourceItem>);

impl<'u> Declarations<'u> {
    fn of(units: &'u [Arc<Unit>]) -> Self {
        let items = units.iter().flat_map(|unit| unit.resources());
        Self(items.map(|item| ((item.category, item.id.clone()), item)).collect())
    }

    fn get(&self, category: Category, id: &ResourceId) -> Option<&'u ResourceItem> {
        self.0.get(&(category, id.clone())).copied()
    }

    fn items(&self) -> impl Iterator<Item = &'u ResourceItem> {
        self.0.values().copied()
    }
}
