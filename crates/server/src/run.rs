//! The life of the server: start, signals, end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use broker::{AllowAll, Broker, BrokerConfig, Fsync, Persistence, Users};
use config::server_file::{ApiRole, MqttConfig, ServerConfig};
use config::store::Store;
use engine::{DataConfig, Engine, EngineConfig};
use event::LocalPublish;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::certificates;
use crate::connectors::KINDS;
use crate::data_dir::DataDir;
use crate::local::{Local, ack_level};
use crate::process_metrics;
use crate::screen::Screen;
use crate::signals::{Asked, Signals};
use crate::supervisor::Supervisor;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for {what}: {cause}")]
    Listen {
        /// What for: `mqtt` or `http`.
        what: &'static str,
        /// The address as configured.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The data folder cannot be used.
    #[error("cannot use the data folder `{}`: {cause}", dir.display())]
    Data {
        /// The folder.
        dir: PathBuf,
        /// Why.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The sessions and retained messages of an earlier run cannot be read.
    #[error("sessions and retained messages: {0}")]
    Sessions(#[from] broker::StoreError),
    /// `[rules] strict` is set, and a file has an error.
    #[error("`[rules] strict` is set and a rule or resource file has an error, so nothing was started")]
    Strict,
    /// Something that the system did not give: threads, signals, the watch over the files.
    #[error("the system did not give what is needed: {0}")]
    System(#[from] std::io::Error),
}

/// Part of the time to stop in which the connections of clients, or the link to the broker of local topics, may end.
const LOCAL_SHARE: u32 = 4;

/// Runs the server until it is told to stop, then ends it within `shutdown_timeout`.
///
/// Start order: sinks and rules, then listeners, then sources, so that whatever comes finds everything ready. Blocks.
pub fn run(config: &ServerConfig) -> Result<(), ServerError> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(config, runtime.handle().clone()));
    // Whatever still runs had its time.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

async fn serve(config: &ServerConfig, runtime: tokio::runtime::Handle) -> Result<(), ServerError> {
    let started_at = Instant::now();
    let mut signals = Signals::listen()?;
    let supervisor = Supervisor::from_env();
    let data = |cause| ServerError::Data { dir: config.data_dir.clone(), cause };
    let _data_dir = DataDir::open(&config.data_dir).map_err(|error| data(error.into()))?;
    let store = Store::open(&config.data_dir).map_err(|error| data(error.into()))?;

    let local = match &config.local {
        None => Local::Embedded(open_broker(config).await?),
        Some(local) => Local::link(local, &config.node_name, &runtime),
    };
    let engine_config = engine_config(config, store, local.publish(), runtime);
    let (engine, outcome) = start_engine(engine_config).await?;
    if outcome.refused {
        engine.stop(Instant::now()).await;
        return Err(ServerError::Strict);
    }

    let opened = open_listeners(config, &local, &engine).await;
    let (http, addresses) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            engine.stop(Instant::now()).await;
            return Err(error);
        }
    };
    engine.open_sources().await;
    let (stop_http, stopped) = watch::channel(());
    let context = api_context(config, &engine, &local, addresses, started_at);
    let http = tokio::spawn(api::serve(http, context, async move {
        let mut stopped = stopped;
        // Ends when it is told to, and also when nobody is left to tell it.
        let _ = stopped.changed().await;
    }));
    first_screen(config, &engine, addresses);
    supervisor.ready(&status_line(&engine));
    let watchdog = supervisor.watch();

    until_stopped(&mut signals, &engine, &supervisor).await;
    supervisor.stopping();
    tracing::info!("stopping, within {:?}", config.shutdown_timeout);
    let deadline = Instant::now() + config.shutdown_timeout;
    tokio::select! {
        () = stop(config, &local, &engine, deadline) => {}
        () = told_again(&mut signals) => tracing::warn!("stopped at once, since it was asked for twice"),
    }
    drop(stop_http);
    if tokio::time::timeout_at(deadline.into(), http).await.is_err() {
        tracing::warn!("HTTP requests were still under way");
    }
    if let Some(watchdog) = watchdog {
        watchdog.abort();
    }
    tracing::info!("stopped");
    Ok(())
}

/// Waits for a second signal to stop, from somebody who does not want to wait. One that comes with the first is no second
/// one: process managers tell a whole group, and wrappers pass on what they get.
async fn told_again(signals: &mut Signals) {
    const SAME_SIGNAL_WITHIN: Duration = Duration::from_secs(1);
    let first = Instant::now();
    loop {
        if signals.next().await == Asked::Stop && first.elapsed() >= SAME_SIGNAL_WITHIN {
            return;
        }
    }
}

/// Ends what takes messages in, then what sends them out.
async fn stop(config: &ServerConfig, local: &Local, engine: &Engine, deadline: Instant) {
    local.stop(config.shutdown_timeout / LOCAL_SHARE).await;
    engine.stop(deadline).await;
}

async fn until_stopped(signals: &mut Signals, engine: &Engine, supervisor: &Supervisor) {
    while signals.next().await == Asked::Reload {
        supervisor.reloading();
        tracing::info!("SIGHUP: reading the files anew");
        if let Ok(outcome) = engine.reload().await {
            let errors = outcome.findings.iter().filter(|finding| finding.diagnostic.is_error()).count();
            tracing::info!(
                generation = outcome.generation,
                rules = outcome.rules,
                changed = outcome.changed,
                errors,
                "reloaded"
            );
        }
        supervisor.ready(&status_line(engine));
    }
}

/// What `systemctl status` shows.
fn status_line(engine: &Engine) -> String {
    format!("generation {}, {} rules", engine.generation(), engine.rules().len())
}

/// Starting reads every file, which is no work for a thread that others wait on.
async fn start_engine(config: EngineConfig) -> Result<(Engine, engine::ReloadOutcome), ServerError> {
    let started = tokio::task::spawn_blocking(move || Engine::start(config)).await;
    Ok(started.map_err(std::io::Error::other)??)
}

/// The addresses that were bound.
#[derive(Clone, Copy)]
struct Addresses {
    /// The embedded broker, where there is one.
    mqtt: Option<SocketAddr>,
    http: SocketAddr,
}

/// Binds everything or nothing. Clients are let in from here on.
async fn open_listeners(
    config: &ServerConfig,
    local: &Local,
    engine: &Engine,
) -> Result<(TcpListener, Addresses), ServerError> {
    let address = config.http.listen;
    let failed = |cause| ServerError::Listen { what: "http", address, cause };
    let http = TcpListener::bind(address).await.map_err(failed)?;
    let bound = http.local_addr().map_err(failed)?;
    let mqtt = match local {
        Local::Embedded(broker) => {
            let address = config.mqtt.listen;
            let listener = broker::Listener { name: "mqtt".to_owned(), address, tls: None };
            let opened = broker.open(engine.dispatch(), &[listener]).await;
            let opened = opened.map_err(|cause| ServerError::Listen { what: "mqtt", address, cause })?;
            let mqtt = opened.first().map_or(address, |bound| bound.address);
            tracing::info!("listening mqtt {mqtt}");
            Some(mqtt)
        }
        Local::Remote(link) => {
            link.open(engine.dispatch());
            None
        }
    };
    tracing::info!("listening http {bound}");
    Ok((http, Addresses { mqtt, http: bound }))
}

/// Finds sessions and retained messages again, which reads files: no work for a thread that others wait on.
async fn open_broker(config: &ServerConfig) -> Result<Arc<Broker>, ServerError> {
    let settings = broker_config(&config.node_name, &config.mqtt);
    let Some(persistence) = &config.mqtt.sessions.persistence else { return Ok(Broker::new(settings)) };
    let persistence = Persistence {
        dir: config.data_dir.join("broker"),
        fsync: match persistence.fsync {
            config::server_file::Fsync::Always => Fsync::Always,
            config::server_file::Fsync::Interval(interval) => Fsync::Interval(interval),
            config::server_file::Fsync::Never => Fsync::Never,
        },
        bytes_max: persistence.bytes_max,
    };
    let opened = tokio::task::spawn_blocking(move || Broker::restore(settings, &persistence)).await;
    Ok(opened.map_err(std::io::Error::other)??)
}

fn broker_config(node: &str, mqtt: &MqttConfig) -> BrokerConfig {
    // On a loopback address everybody may connect; anything else was refused before, unless it was asked for.
    let auth = Users::new(true, []);
    BrokerConfig {
        packet_bytes_max: mqtt.packet_bytes_max,
        session_expiry_max: mqtt.sessions.expiry_max,
        session_messages_max: mqtt.sessions.messages_max,
        session_bytes_max: mqtt.sessions.bytes_max,
        retained_messages_max: mqtt.sessions.retained_messages_max,
        retained_bytes_max: mqtt.sessions.retained_bytes_max,
        sys_interval: mqtt.sessions.sys_interval,
        ack: mqtt.ack.map_or(event::AckLevel::Durable, ack_level),
        ..BrokerConfig::with_defaults(node, Arc::new(auth), Arc::new(AllowAll))
    }
}

fn engine_config(
    config: &ServerConfig,
    store: Store,
    local: Arc<dyn LocalPublish>,
    runtime: tokio::runtime::Handle,
) -> EngineConfig {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    EngineConfig {
        node: config.node_name.clone(),
        dirs: config.rules.dirs.clone(),
        watch: config.rules.watch,
        strict: config.rules.strict,
        store,
        data: DataConfig {
            dir: config.data_dir.clone(),
            dead_letter_bytes_max: config.dead_letter_bytes_max,
        },
        kinds: KINDS,
        local,
        surroundings: surroundings(),
        runtime,
        seed: since_epoch.as_nanos() as u64 ^ u64::from(std::process::id()),
    }
}

/// The variables that `getenv` may read: those whose names say that they are meant for rules.
fn surroundings() -> eval::Surroundings {
    const PREFIXES: [&str; 2] = ["EMQXVAR_", "SLUICEGATEVAR_"];
    let mut surroundings = eval::Surroundings::default();
    // Our own prefix comes last, and so wins.
    for prefix in PREFIXES {
        for (name, value) in std::env::vars_os() {
            let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
            if let Some(name) = name.strip_prefix(prefix) {
                surroundings.variables.insert(name.to_owned(), value);
            }
        }
    }
    surroundings
}

fn api_context(
    config: &ServerConfig,
    engine: &Engine,
    local: &Local,
    addresses: Addresses,
    started_at: Instant,
) -> api::Context {
    let keys = config.http.api_keys.iter().map(|key| api::ApiKey {
        key: key.key.clone(),
        secret: key.secret.clone(),
        role: match key.role {
            ApiRole::Administrator => api::Role::Administrator,
            ApiRole::Viewer => api::Role::Viewer,
        },
    });
    let listener = |name: &str, address: SocketAddr| api::Listener {
        name: name.to_owned(),
        address: address.to_string(),
    };
    let mqtt = addresses.mqtt.map(|address| listener("mqtt", address));
    let listeners: Vec<_> = mqtt.into_iter().chain([listener("http", addresses.http)]).collect();
    let (local, watched) = (local.clone(), engine.clone());
    api::Context {
        engine: engine.clone(),
        listeners: Arc::new(OnceLock::from(listeners)),
        broker: Arc::new(move || local.samples()),
        process: Arc::new(move || [certificates::samples(&watched), process_metrics::samples()].concat()),
        started_at,
        api_keys: Arc::new(api::ApiKeys::new(keys)),
    }
}

/// What a person sees first. Machines, who ask for JSON, get log lines alone.
fn first_screen(config: &ServerConfig, engine: &Engine, addresses: Addresses) {
    if config.log_format == config::server_file::LogFormat::Json {
        return;
    }
    let dirs: Vec<String> = config.rules.dirs.iter().map(|dir| dir.display().to_string()).collect();
    let screen = Screen {
        version: env!("CARGO_PKG_VERSION"),
        node: &config.node_name,
        mqtt: addresses.mqtt,
        local: config.local.as_ref().and_then(|local| local.server.as_str()),
        http: addresses.http,
        dirs: dirs.join(", "),
        rules: &engine.rules(),
    };
    // A closed standard error is no reason not to run.
    let _ = std::io::stderr().write_all(screen.text().as_bytes());
}

/// Takes as many file handles as the system allows: every connection is one.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_err() {
        tracing::warn!("the limit of open files could not be raised to {:?}", limit.maximum);
    }
}
