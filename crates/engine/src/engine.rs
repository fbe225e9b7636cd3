//! The engine as the rest of the house sees it: what it is made of, how it starts, reloads and ends.

mod objects;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use config::store::Store;
use config::{Category, Section};
use event::{Dispatch, LocalPublish};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::buffers::Buffers;
use crate::dispatch::{Dispatcher, Wanted};
use crate::files::{Known, Origins, Unchanged};
use crate::generation::Generation;
use crate::last_resort::LastResort;
use crate::live::{House, Live, LiveConnector};
use crate::metrics::{ReloadMetrics, ReloadReading, ResourceRates};
use crate::parse::Kinds;
use crate::reload::{Command, Reloader};
use crate::replay::Replayer;
use crate::rerun::Bench;
use crate::settings::RuleEngineSettings;
use crate::view::{ReloadOutcome, ResourceId, WriteError};

/// What an engine is made of.
pub struct EngineConfig {
    /// The name of this node.
    pub node: String,
    /// The rules folders.
    pub dirs: Vec<PathBuf>,
    /// Whether changes in them are noticed.
    pub watch: bool,
    /// Whether any error keeps the whole old generation.
    pub strict: bool,
    /// What the API creates.
    pub store: Store,
    /// What is kept on disk.
    pub data: DataConfig,
    /// The kinds of connectors.
    pub kinds: Kinds,
    /// The local broker, for republishing.
    pub local: Arc<dyn LocalPublish>,
    /// What rules can see of the process.
    pub surroundings: eval::Surroundings,
    /// Where tasks run.
    pub runtime: tokio::runtime::Handle,
    /// Where connectors may connect to.
    pub guard: connector::Guard,
    /// Where random numbers begin.
    pub seed: u64,
}

/// Where buffers and dead letters are.
#[derive(Debug, Clone)]
pub struct DataConfig {
    /// The data folder, which no other process uses.
    pub dir: PathBuf,
    /// What dead letters may take on disk (bytes); past it the oldest go.
    pub dead_letter_bytes_max: u64,
}

/// Runs rules. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    house: Arc<House>,
    kinds: Kinds,
    surroundings: Arc<eval::Surroundings>,
    settings: Arc<RuleEngineSettings>,
    rates: Arc<ResourceRates>,
    reloads: Arc<ReloadMetrics>,
    current: Arc<ArcSwap<Generation>>,
    buffers: Arc<Buffers>,
    letters: Arc<dead_letters::Store>,
    replayer: Arc<Replayer>,
    commands: mpsc::Sender<Command>,
    /// Ends when told to stop; taken by whoever waits for that.
    reloader: Mutex<Option<JoinHandle<()>>>,
    watch: Mutex<Option<Arc<config::watch::Watch>>>,
    sampler: tokio::task::AbortHandle,
}

/// How often rates are sampled.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);
/// Commands that may wait for the one before them.
const COMMANDS_MAX: usize = 256;

impl Engine {
    /// Reads every file, opens sinks and makes the first generation live. Sources wait for [`Engine::open_sources`].
    ///
    /// Blocks while files are read. Under `strict` the outcome may be `refused`: then nothing runs.
    pub fn start(config: EngineConfig) -> std::io::Result<(Engine, ReloadOutcome)> {
        let current = Arc::new(ArcSwap::from_pointee(Generation::empty()));
        let wanted = Arc::new(Wanted::default());
        let surroundings = Arc::new(config.surroundings);
        let letters =
            dead_letters::Store::open(&config.data.dir.join("dlq"), config.data.dead_letter_bytes_max);
        let letters = Arc::new(letters.map_err(std::io::Error::other)?);
        let node: Arc<str> = config.node.into();
        let dead_end = LastResort {
            store: Arc::clone(&letters),
            live: Arc::clone(&current),
            local: Arc::clone(&config.local),
            node: Arc::clone(&node),
            notice: connector::Notice::default(),
        };
        let settings = Arc::new(RuleEngineSettings::open(config.store.clone(), Arc::clone(&surroundings)));
        let dispatch = Dispatcher::new(
            Arc::clone(&current),
            Arc::clone(&wanted),
            Arc::clone(&config.local),
            Arc::clone(&surroundings),
            Arc::clone(&settings),
            config.seed,
        );
        let house = Arc::new(House {
            node,
            dispatch: Arc::new(dispatch),
            runtime: config.runtime,
            guard: Arc::new(config.guard),
        });
        let bench = Bench { surroundings: Arc::clone(&surroundings), node: Arc::clone(&house.node) };
        let buffers = Arc::new(Buffers::new(&config.data.dir));
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let watch = if config.watch { Some(watch(config.dirs.clone(), commands.clone())?) } else { None };
        let watching = watch.clone();
        let reloads = Arc::new(ReloadMetrics::default());
        let mut reloader = Reloader {
            origins: Origins { dirs: config.dirs, store: Some(config.store) },
            kinds: config.kinds,
            strict: config.strict,
            house: Arc::clone(&house),
            current: Arc::clone(&current),
            wanted,
            retired: Vec::new(),
            local: config.local,
            on_files: Box::new(move |files| {
                if let Some(watch) = &watching {
                    watch.set_files(files);
                }
            }),
            newest: Known::default(),
            unchanged: Unchanged::default(),
            live: Live::default(),
            metrics: Default::default(),
            buffers: Arc::clone(&buffers),
            dead_end: Arc::new(dead_end),
            discarded: Default::default(),
            orphans_told: Default::default(),
            reloads: Arc::clone(&reloads),
            sources_open: false,
        };
        let outcome = reloader.reload();
        let thread = std::thread::Builder::new().name("reload".into());
        let thread = supervise::thread(thread, "the thread that reloads", move || reloader.run(received))?;
        let rates = Arc::new(ResourceRates::default());
        let sampler = supervise::restarting("the sampler of rates", {
            let (current, rates, commands) = (Arc::clone(&current), Arc::clone(&rates), commands.clone());
            move || sample(Arc::clone(&current), Arc::clone(&rates), commands.clone())
        });
        let sampler = house.runtime.spawn(sampler).abort_handle();
        let shared = Shared {
            house,
            kinds: config.kinds,
            surroundings,
            settings,
            rates,
            reloads,
            current,
            buffers,
            replayer: Replayer::new(Arc::clone(&letters), bench),
            letters,
            commands,
            reloader: Mutex::new(Some(thread)),
            watch: Mutex::new(watch),
            sampler,
        };
        Ok((Engine(Arc::new(shared)), outcome))
    }

    /// Where brokers give their events.
    pub fn dispatch(&self) -> Arc<dyn Dispatch> {
        Arc::clone(&self.0.house.dispatch)
    }

    /// Lets sources subscribe, now that rules, sinks and listeners are ready.
    pub async fn open_sources(&self) {
        let _ = self.0.commands.send(Command::OpenSources).await;
    }

    /// Ends it: no change is taken any more; every connector sends what is queued until `deadline` and leaves politely.
    pub async fn stop(&self, deadline: Instant) {
        self.0.sampler.abort();
        let watch = self.0.watch.lock().take();
        let (reply, answered) = oneshot::channel();
        let _ = self.0.commands.send(Command::Stop(reply)).await;
        let connectors = answered.await.unwrap_or_default();
        stop_all(connectors, deadline).await;
        let reloader = self.0.reloader.lock().take();
        let engine = self.clone();
        // All of it waits for threads that have been told to end.
        let joined = tokio::task::spawn_blocking(move || {
            engine.close_queues();
            engine.0.letters.close();
            drop(watch);
            reloader.is_none_or(|thread| thread.join().is_ok())
        });
        if !joined.await.unwrap_or(false) {
            tracing::error!("the thread that reloads ended in a panic");
        }
    }

    /// Says what waits, and where: queues in memory end with the process, and nobody should have to guess what was in
    /// them. Then ends the logs of the others, which write what they have.
    fn close_queues(&self) {
        for (id, queue) in &self.0.current.load().live.actions {
            let fill = queue.reading(Instant::now()).fill;
            let count = fill.queuing + fill.inflight;
            if count > 0 && queue.is_durable() {
                tracing::info!(count, "requests of `{id}` wait on disk for the next start");
            } else if count > 0 {
                tracing::warn!(
                    count,
                    "requests of `{id}` were not delivered and are lost with its memory queue"
                );
            }
            queue.close_logs();
        }
    }

    /// Reads every file anew, and answers when the result is live.
    ///
    /// # Errors
    /// [`WriteError::Closed`] when the engine is stopping, [`WriteError::BrokeOff`] where a mistake of ours kept it from that.
    pub async fn reload(&self) -> Result<ReloadOutcome, WriteError> {
        let (reply, answered) = oneshot::channel();
        let command = Command::Reload(Some(reply));
        self.0.commands.send(command).await.map_err(|_| WriteError::Closed)?;
        answered.await.map_err(|_| WriteError::Closed)?
    }

    /// The number of the generation that is live; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.0.current.load().number
    }

    /// The name of this node.
    pub fn node(&self) -> &str {
        &self.0.house.node
    }

    /// What rules see of the process: a test sees the same.
    pub fn surroundings(&self) -> &Arc<eval::Surroundings> {
        &self.0.surroundings
    }

    /// The types that connectors, sources or actions may have.
    pub fn kinds(&self, category: Category) -> Vec<&'static str> {
        let has = |kind: &&&connector::ConnectorKind| match category {
            Category::Connector => true,
            Category::Source => !kind.source_fields.is_empty(),
            Category::Action => !kind.action_fields.is_empty(),
        };
        self.0.kinds.iter().filter(has).map(|kind| kind.name).collect()
    }

    /// What came of reading the files so far.
    pub fn reloads(&self) -> ReloadReading {
        self.0.reloads.read()
    }

    /// The settings that hold for all rules, with defaults filled in: a JSON object.
    pub fn rule_engine_settings(&self) -> serde_json::Value {
        self.0.settings.to_json()
    }

    /// Replaces the settings that hold for all rules; what is left out goes back to its default.
    pub async fn set_rule_engine_settings(
        &self,
        body: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), WriteError> {
        let (settings, section) = (Arc::clone(&self.0.settings), Section::from_json(body));
        let stored = tokio::task::spawn_blocking(move || settings.replace(&section)).await;
        stored.map_err(|error| WriteError::Storage(error.to_string()))?
    }

    /// The files that the connectors in force name by a path, such as certificates; each once for a connector.
    pub fn connector_files(&self) -> Vec<(ResourceId, PathBuf)> {
        let current = self.0.current.load();
        let ids = current.resource_ids(Category::Connector).into_iter();
        let items = ids.filter_map(|id| {
            let item = current.resource_item(Category::Connector, &id)?;
            let files = item.settings.paths().into_iter().map(|path| (id.clone(), path.to_owned()));
            Some(files.collect::<Vec<_>>())
        });
        let mut files: Vec<_> = items.flatten().collect();
        files.sort();
        files.dedup();
        files
    }

    /// The kinds of connectors of this build, with the settings that each declares.
    pub fn connector_kinds(&self) -> Kinds {
        self.0.kinds
    }
}

/// A reload whenever something changes in the folders.
fn watch(dirs: Vec<PathBuf>, commands: mpsc::Sender<Command>) -> std::io::Result<Arc<config::watch::Watch>> {
    let on_change = move || {
        // Where there is no room, a reload that will see this change is waiting already.
        let _ = commands.try_send(Command::Reload(None));
    };
    config::watch::Watch::start(dirs, on_change).map(Arc::new)
}

/// Samples the rates of everything for ever, and has buffers tried again that are not where they should be.
async fn sample(
    current: Arc<ArcSwap<Generation>>,
    rates: Arc<ResourceRates>,
    commands: mpsc::Sender<Command>,
) {
    let mut ticks = tokio::time::interval(SAMPLE_INTERVAL);
    let mut last = ticks.tick().await;
    loop {
        let now = ticks.tick().await;
        let current = current.load_full();
        for metrics in current.metrics.values() {
            metrics.sample(now - last);
        }
        rates.sample(current.counts(), now - last);
        last = now;
        if current.live.actions.values().any(|queue| queue.is_unstored()) {
            // With so much else to do it can wait for the next time.
            let _ = commands.try_send(Command::MendBuffers);
        }
    }
}

async fn stop_all(connectors: Vec<Arc<LiveConnector>>, deadline: Instant) {
    let stops: Vec<_> = connectors
        .into_iter()
        .map(|connector| tokio::spawn(async move { connector.stop(deadline).await }))
        .collect();
    for stop in stops {
        // A panic in one connector is logged by it and does not keep the others from leaving.
        let _ = stop.await;
    }
}
