//! What lives longer than a generation: connectors, the queues of actions, the counters of sources.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use config::{Category, Settings};
use connector::{
    ActionQueue, Backoff, Connector, ConnectorKind, Context, Guard, Source, SourceMetrics, State, Status,
};
use event::Dispatch;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::buffers::Buffers;
use crate::unit::ResourceItem;
use crate::view::ResourceId;

/// How long a connector whose settings have changed may wait for acknowledgements before it is replaced. What it has
/// not got by then is sent again by its successor.
const REPLACE_WITHIN: Duration = Duration::from_secs(2);
/// The shortest and the longest pause before a connector is opened anew in which something broke.
const REOPEN_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How it is until then.
const BROKEN: &str =
    "it broke off because of a mistake in the server, which the log tells of, and is opened anew";

/// What connectors are opened with.
pub(crate) struct House {
    pub(crate) node: Arc<str>,
    pub(crate) dispatch: Arc<dyn Dispatch>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) guard: Arc<Guard>,
}

impl House {
    pub(crate) fn context(&self, name: &Arc<str>) -> Context {
        Context {
            name: Arc::clone(name),
            node: Arc::clone(&self.node),
            dispatch: Arc::clone(&self.dispatch),
            runtime: self.runtime.clone(),
            guard: Arc::clone(&self.guard),
            broken: Arc::default(),
        }
    }
}

/// A declared connector and the task that keeps it as it is declared.
///
/// The task alone opens, changes and stops the connection, one step after the other, so that nobody who declares
/// something ever waits for a remote, and two connections never fight for one client id.
pub(crate) struct LiveConnector {
    desired: watch::Sender<Desired>,
    open: Arc<ArcSwapOption<Open>>,
    /// Set from a panic in it until it is open again.
    is_broken: Arc<AtomicBool>,
    /// Taken by whoever awaits the end; a lock only because the connector itself is shared.
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// A connector that is open. In a struct of its own, since a pointer to a trait object is too fat to swap.
struct Open(Arc<dyn Connector>);

/// How a connector is to be.
#[derive(Clone, Default)]
pub(crate) struct Desired {
    /// Absent while it is disabled.
    pub(crate) settings: Option<Arc<Settings>>,
    pub(crate) actions: Vec<LiveAction>,
    pub(crate) sources: Vec<LiveSource>,
    /// It is to end: what is queued may be sent until then.
    pub(crate) leave_by: Option<Instant>,
    /// It ends because nobody declares it any more.
    pub(crate) for_good: bool,
    /// How often somebody asked for an attempt at once.
    retries: u64,
}

/// A declared action with its queue.
#[derive(Clone)]
pub(crate) struct LiveAction {
    pub(crate) queue: Arc<ActionQueue>,
    pub(crate) settings: Arc<Settings>,
}

/// A declared source.
#[derive(Clone)]
pub(crate) struct LiveSource {
    pub(crate) name: Arc<str>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) metrics: Arc<SourceMetrics>,
}

impl LiveConnector {
    pub(crate) fn start(kind: &'static ConnectorKind, name: Arc<str>, house: &Arc<House>) -> Self {
        let (desired, seen) = watch::channel(Desired::default());
        let (open, is_broken) = (Arc::new(ArcSwapOption::empty()), Arc::new(AtomicBool::new(false)));
        let keeper = Keeper {
            kind,
            what: format!("the connector `{}:{name}`", kind.name),
            name,
            house: Arc::clone(house),
            open: Arc::clone(&open),
            is_broken: Arc::clone(&is_broken),
            broken: Arc::default(),
            backoff: Backoff::new(REOPEN_AFTER.0, REOPEN_AFTER.1, RandomState::new().hash_one(0)),
            broke_at: None,
            current: Desired::default(),
        };
        let keeper = house.runtime.spawn(keeper.run(seen));
        Self { desired, open, is_broken, keeper: Mutex::new(Some(keeper)) }
    }

    /// Says how it is to be from now on. Returns at once.
    pub(crate) fn set(&self, desired: Desired) {
        self.desired.send_modify(|current| *current = Desired { retries: current.retries, ..desired });
    }

    /// Asks for an attempt at once, if the far side is lost. Returns at once.
    pub(crate) fn retry(&self) {
        self.desired.send_modify(|current| current.retries += 1);
    }

    /// Whether it has been told to receive this source.
    pub(crate) fn has_source(&self, name: &str) -> bool {
        self.desired.borrow().sources.iter().any(|source| *source.name == *name)
    }

    /// How it is.
    pub(crate) fn status(&self) -> Status {
        match &*self.open.load() {
            Some(open) => open.0.status(),
            None if self.is_broken.load(Ordering::Relaxed) => Status::disconnected(BROKEN),
            None if self.desired.borrow().settings.is_some() => Status::connecting("it is being opened"),
            None => Status::stopped(),
        }
    }

    /// How one of its sources is.
    pub(crate) fn source_status(&self, name: &str) -> Status {
        match &*self.open.load() {
            Some(open) => open.0.source_status(name).unwrap_or_else(Status::stopped),
            None => self.status(),
        }
    }

    /// Stops the connection and ends: sends what is queued and leaves politely, until `deadline`.
    pub(crate) async fn stop(&self, deadline: Instant) {
        self.leave(Desired { leave_by: Some(deadline), ..Desired::default() }).await;
    }

    /// Ends what nobody declares any more: its subscriptions too.
    pub(crate) async fn remove(&self) {
        let leave_by = Some(Instant::now());
        self.leave(Desired { leave_by, for_good: true, ..Desired::default() }).await;
    }

    async fn leave(&self, desired: Desired) {
        self.set(desired);
        let keeper = self.keeper.lock().take();
        if let Some(keeper) = keeper {
            // It catches what happens in a connector, and so ends by itself.
            let _ = keeper.await;
        }
    }
}

/// Brings a connector from how it is to how it is desired.
struct Keeper {
    kind: &'static ConnectorKind,
    /// The connector in words.
    what: String,
    name: Arc<str>,
    house: Arc<House>,
    open: Arc<ArcSwapOption<Open>>,
    is_broken: Arc<AtomicBool>,
    /// Told by the tasks of the connector that is open, when one of them ends in a panic.
    broken: Arc<Notify>,
    backoff: Backoff,
    broke_at: Option<Instant>,
    current: Desired,
}

impl Keeper {
    async fn run(mut self, mut seen: watch::Receiver<Desired>) {
        let mut reopen_at: Option<Instant> = None;
        loop {
            let reopen = async {
                match reopen_at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let broken = Arc::clone(&self.broken);
            let is_broken = tokio::select! {
                changed = seen.changed() => match changed {
                    Ok(()) => false,
                    Err(_) => return,
                },
                () = broken.notified() => true,
                () = reopen => false,
            };
            let desired = seen.borrow_and_update().clone();
            let ends = desired.leave_by.is_some();
            let what = self.what.clone();
            let is_well = !is_broken && supervise::caught_in(&what, self.follow(desired)).await.is_ok();
            if !is_well {
                self.take_down().await;
            }
            if ends {
                return;
            }
            self.is_broken.store(!is_well, Ordering::Relaxed);
            reopen_at = (!is_well).then(|| Instant::now() + self.pause());
        }
    }

    /// How long to wait before it is opened anew.
    fn pause(&mut self) -> Duration {
        if self.broke_at.replace(Instant::now()).is_none_or(|before| before.elapsed() > 2 * REOPEN_AFTER.1) {
            self.backoff.reset();
        }
        let pause = self.backoff.delay();
        tracing::error!("{} is opened anew in {pause:?}, with what is in its queues", self.what);
        pause
    }

    /// Ends what is left of a connector in which something broke, whatever state that is in. What it had taken from its
    /// queues is queued again.
    async fn take_down(&mut self) {
        self.is_broken.store(true, Ordering::Relaxed);
        self.current = Desired::default();
        self.broken = Arc::default();
        if let Some(open) = self.open.swap(None) {
            // One more panic changes nothing: it is let go of all the same.
            let stop = async { open.0.stop(Instant::now() + REPLACE_WITHIN).await };
            let _ = supervise::caught_in(format!("stopping {}", self.what), stop).await;
        }
    }

    async fn follow(&mut self, desired: Desired) {
        let asked = self.current.retries != desired.retries;
        let differs = self.current.settings != desired.settings;
        if differs && !self.update(&desired).await || !differs && asked && self.is_lost() {
            self.reopen(&desired).await;
        }
        if let Some(open) = self.open.load_full() {
            self.fit(&*open.0, &desired);
        }
        self.current = desired;
    }

    /// Changes the connector in place, if it can be: its connections, sessions and what is in flight stay.
    async fn update(&mut self, desired: &Desired) -> bool {
        match (self.open.load_full(), &desired.settings) {
            (Some(open), Some(settings)) => open.0.update(settings).await,
            _ => false,
        }
    }

    /// Whether nobody is at the far side.
    fn is_lost(&self) -> bool {
        self.open.load().as_ref().is_some_and(|open| open.0.status().state == State::Disconnected)
    }

    /// Replaces the connection, or ends it. Queues keep what is in them.
    async fn reopen(&mut self, desired: &Desired) {
        if let Some(open) = self.open.swap(None) {
            if desired.for_good {
                // Otherwise a session that lasts would go on collecting for nobody.
                self.current.sources.iter().for_each(|source| open.0.remove_source(&source.name));
            }
            open.0.stop(desired.leave_by.unwrap_or_else(|| Instant::now() + REPLACE_WITHIN)).await;
        }
        self.current = Desired::default();
        if let Some(settings) = &desired.settings {
            self.broken = Arc::default();
            let context = Context { broken: Arc::clone(&self.broken), ..self.house.context(&self.name) };
            let connector = (self.kind.open)(Settings::clone(settings), context);
            self.open.store(Some(Arc::new(Open(connector))));
        }
    }

    /// Attaches and detaches what differs, sinks before sources.
    fn fit(&self, connector: &dyn Connector, desired: &Desired) {
        for LiveAction { queue, .. } in &self.current.actions {
            if !desired.actions.iter().any(|other| Arc::ptr_eq(queue, &other.queue)) {
                connector.detach(queue.id());
            }
        }
        desired.actions.iter().for_each(|action| connector.attach(&action.queue, &action.settings));
        for source in &self.current.sources {
            if !desired.sources.iter().any(|other| other.name == source.name) {
                connector.remove_source(&source.name);
            }
        }
        for source in &desired.sources {
            if !self.current.sources.iter().any(|other| other.is_same(source)) {
                connector.add_source(Source {
                    name: Arc::clone(&source.name),
                    settings: Settings::clone(&source.settings),
                    metrics: Arc::clone(&source.metrics),
                });
            }
        }
    }
}

impl LiveSource {
    fn is_same(&self, other: &LiveSource) -> bool {
        self.name == other.name && self.settings == other.settings
    }
}

/// Everything that lives, by id. Owned by the thread that reloads; copies of it share what it points to.
#[derive(Clone, Default)]
pub(crate) struct Live {
    pub(crate) connectors: HashMap<ResourceId, Arc<LiveConnector>>,
    /// The queues of actions.
    pub(crate) actions: HashMap<ResourceId, Arc<ActionQueue>>,
    pub(crate) sources: HashMap<ResourceId, LiveSource>,
    /// What somebody has started, of connectors and actions that do not start by themselves. Behind a lock, since it is started
    /// from outside of the thread that reloads.
    started: Arc<Mutex<HashSet<(Category, ResourceId)>>>,
}

impl Live {
    /// Whether a connector or action is to run, provided that it is enabled.
    pub(crate) fn is_started(&self, item: &ResourceItem) -> bool {
        !item.waits || self.started.lock().contains(&(item.category, item.id.clone()))
    }

    /// Starts what waits for that. Whether it did.
    pub(crate) fn start(&self, item: &ResourceItem) -> bool {
        item.waits && self.started.lock().insert((item.category, item.id.clone()))
    }

    /// Gives an action its queue, or the queue it has new bounds.
    pub(crate) fn keep_action(&mut self, item: &ResourceItem, buffers: &Buffers) -> Arc<ActionQueue> {
        let queue = buffers.keep(item, self.actions.get(&item.id));
        self.actions.insert(item.id.clone(), Arc::clone(&queue));
        queue
    }

    /// Takes a source as it is declared; its counters survive its edits.
    pub(crate) fn keep_source(&mut self, item: &ResourceItem) {
        let metrics =
            self.sources.get(&item.id).map(|source| Arc::clone(&source.metrics)).unwrap_or_default();
        let source =
            LiveSource { name: Arc::clone(&item.id.name), settings: Arc::clone(&item.settings), metrics };
        self.sources.insert(item.id.clone(), source);
    }

    /// Takes back what was let go of and is in force all the same.
    pub(crate) fn keep_all(&mut self, in_force: &Live) {
        for (id, connector) in &in_force.connectors {
            self.connectors.entry(id.clone()).or_insert_with(|| Arc::clone(connector));
        }
        for (id, queue) in &in_force.actions {
            self.actions.entry(id.clone()).or_insert_with(|| Arc::clone(queue));
        }
        for (id, source) in &in_force.sources {
            self.sources.entry(id.clone()).or_insert_with(|| source.clone());
        }
    }

    /// Lets go of what is not declared any more.
    pub(crate) fn retain(&mut self, declared: impl Fn(Category, &ResourceId) -> bool) -> Gone {
        let connectors = self.connectors.extract_if(|id, _| !declared(Category::Connector, id));
        let queues = self.actions.extract_if(|id, _| !declared(Category::Action, id));
        let gone = Gone {
            connectors: connectors.map(|(_, connector)| connector).collect(),
            queues: queues.map(|(_, queue)| queue).collect(),
        };
        self.sources.retain(|id, _| declared(Category::Source, id));
        self.started.lock().retain(|(category, id)| declared(*category, id));
        gone
    }
}

/// What was declared before and is no more.
pub(crate) struct Gone {
    connectors: Vec<Arc<LiveConnector>>,
    queues: Vec<Arc<ActionQueue>>,
}

impl Gone {
    /// Ends it. What queues in memory still hold is dropped and counted; what is on disk stays there for an action of the
    /// same id, unless it is to be discarded. Nobody waits for the connectors.
    pub(crate) fn end(self, runtime: &tokio::runtime::Handle, is_discarded: impl Fn(&str) -> bool) {
        for queue in &self.queues {
            queue.close();
            if is_discarded(queue.id()) { queue.discard_logs() } else { queue.close_logs() }
        }
        for connector in self.connectors {
            runtime.spawn(async move { connector.remove().await });
        }
    }
}
