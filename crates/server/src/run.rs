//! The life of the server: start, signals, end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use broker::{Bound, Broker, BrokerConfig, ListenError, Persistence};
use config::FileProblem;
use config::mqtt_config::{ListenerConfig, MqttConfig};
use config::server_file::{ApiRole, ServerConfig};
use config::ssrf::SsrfConfig;
use config::store::Store;
use connector::Guard;
use engine::{DataConfig, Engine, EngineConfig};
use event::LocalPublish;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::certificates;
use crate::connectors::KINDS;
use crate::data_dir::DataDir;
use crate::door::Door;
use crate::local::{Local, ack_level, check_link};
use crate::logging::Log;
use crate::process_metrics;
use crate::runtimes::Runtimes;
use crate::screen::Screen;
use crate::signals::{Asked, Signals};
use crate::supervisor::Supervisor;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A file that says who may come in has a mistake.
    #[error("{}", shown(_0))]
    Door(Vec<FileProblem>),
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
    /// A part that nothing works without has broken off.
    #[error(
        "{0} broke off in a panic, and nothing goes on without it; what is on disk is taken up at the next start"
    )]
    Lost(String),
    /// Something that the system did not give: threads, signals, the watch over the files.
    #[error("the system did not give what is needed: {0}")]
    System(#[from] std::io::Error),
}

/// Part of the time to stop in which the connections of clients, or the link to the broker of local topics, may end.
const LOCAL_SHARE: u32 = 4;
/// How long the end may take past its time after something was lost.
const LOST_GRACE: Duration = Duration::from_secs(1);

/// Runs the server until it is told to stop, then ends it within `shutdown_timeout`.
///
/// Start order: sinks and rules, then listeners, then sources, so that whatever comes finds everything ready. Blocks.
/// `signals` were made before anything else; whoever is told to stop while it starts lets nobody in.
pub fn run(config: &ServerConfig, log: &Log, signals: Signals) -> Result<(), ServerError> {
    supervise::tell_panics();
    raise_file_limit();
    let runtimes = Runtimes::start(config.worker_threads)?;
    let result = runtimes.messages.block_on(serve(config, log, signals, &runtimes));
    runtimes.stop();
    result
}

async fn serve(
    config: &ServerConfig,
    log: &Log,
    mut signals: Signals,
    runtimes: &Runtimes,
) -> Result<(), ServerError> {
    let runtime = runtimes.messages.handle().clone();
    let started_at = Instant::now();
    let supervisor = Supervisor::from_env();
    let data = |cause| ServerError::Data { dir: config.data_dir.clone(), cause };
    let _data_dir = DataDir::open(&config.data_dir).map_err(|error| data(error.into()))?;
    let store = Store::open(&config.data_dir).map_err(|error| data(error.into()))?;

    let local = match &config.local {
        None => {
            let door = Arc::new(Door::open(&config.mqtt).map_err(ServerError::Door)?);
            Local::Embedded(open_broker(config, &door).await?, door)
        }
        Some(local) => Local::link(local, &config.node_name, &runtime),
    };
    let engine_config = engine_config(config, store, local.publish(), runtime);
    let (engine, outcome) = start_engine(engine_config).await?;
    if outcome.refused {
        engine.stop(Instant::now()).await;
        return Err(ServerError::Strict);
    }
    if signals.stop_was_asked() {
        tracing::info!("told to stop before it had started");
        stop(config, &local, &engine, Instant::now() + config.shutdown_timeout).await;
        return Ok(());
    }

    let opened = open_listeners(config, runtimes, &local, &engine).await;
    let (http, addresses) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            engine.stop(Instant::now()).await;
            return Err(error);
        }
    };
    engine.open_sources().await;
    let watch = local.door().map(Door::watch).transpose()?;
    let minder = tokio::spawn({
        let (engine, door) = (engine.clone(), local.door().cloned());
        let mind = move || certificates::mind(engine.clone(), door.clone());
        supervise::restarting("the watch over certificates", mind)
    });
    let (stop_http, stopped) = watch::channel(());
    let context = api_context(config, &engine, &local, &addresses, started_at);
    let serve = api::serve(http, context, async move {
        let mut stopped = stopped;
        // Ends when it is told to, and also when nobody is left to tell it.
        let _ = stopped.changed().await;
    });
    let http = runtimes.http.spawn(async move {
        const WHAT: &str = "the listener `http`";
        if supervise::caught_in(WHAT, serve).await.is_err() {
            supervise::lose(WHAT);
        }
    });
    first_screen(config, log, &engine, &addresses);
    supervisor.ready(&status_line(&engine));
    let watchdog = supervisor.watch();

    let lost = tokio::select! {
        () = until_stopped(&mut signals, &engine, &local, &supervisor) => None,
        lost = supervise::lost() => Some(lost),
    };
    supervisor.stopping();
    if let Some(lost) = &lost {
        tracing::error!("{lost} is lost, and nothing goes on without it");
    }
    tracing::info!("stopping, within {:?}", config.shutdown_timeout);
    let deadline = Instant::now() + config.shutdown_timeout;
    // What is in order ends in time; where something is lost, others may wait for it in vain.
    let bound = lost.as_ref().map_or(Duration::MAX, |_| config.shutdown_timeout + LOST_GRACE);
    tokio::select! {
        stopped = tokio::time::timeout(bound, stop(config, &local, &engine, deadline)) => if stopped.is_err() {
            tracing::error!("not everything ended in time");
        },
        () = told_again(&mut signals) => tracing::warn!("stopped at once, since it was asked for twice"),
    }
    drop((stop_http, watch));
    minder.abort();
    if tokio::time::timeout_at(deadline.into(), http).await.is_err() {
        tracing::warn!("HTTP requests were still under way");
    }
    if let Some(watchdog) = watchdog {
        watchdog.abort();
    }
    tracing::info!("stopped");
    lost.map_or(Ok(()), |lost| Err(ServerError::Lost(lost)))
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

async fn until_stopped(signals: &mut Signals, engine: &Engine, local: &Local, supervisor: &Supervisor) {
    while signals.next().await == Asked::Reload {
        supervisor.reloading();
        tracing::info!("SIGHUP: reading the files anew");
        if let Some(door) = local.door().cloned() {
            // Reading files is no work for a thread that others wait on.
            let _ = tokio::task::spawn_blocking(move || drop(door.reload())).await;
        }
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
    format!("generation {}, {} rules", engine.generation(), engine.running_rules())
}

/// Starting reads every file, which is no work for a thread that others wait on.
async fn start_engine(config: EngineConfig) -> Result<(Engine, engine::ReloadOutcome), ServerError> {
    let started = tokio::task::spawn_blocking(move || Engine::start(config)).await;
    Ok(started.map_err(std::io::Error::other)??)
}

/// The addresses that were bound.
struct Addresses {
    /// The listeners of the embedded broker, where there is one.
    mqtt: Vec<Bound>,
    http: SocketAddr,
}

/// Binds everything or nothing. Clients are let in from here on.
async fn open_listeners(
    config: &ServerConfig,
    runtimes: &Runtimes,
    local: &Local,
    engine: &Engine,
) -> Result<(TcpListener, Addresses), ServerError> {
    let address = config.http.listen;
    let failed = |cause| ListenError { name: "http".to_owned(), address, cause };
    let http = runtimes.http.spawn(TcpListener::bind(address)).await.map_err(std::io::Error::other).flatten();
    let http = http.map_err(failed)?;
    let bound = http.local_addr().map_err(failed)?;
    let mqtt = match local {
        Local::Embedded(broker, door) => {
            let bound = broker.open(engine.dispatch(), &door.listeners).await?;
            for Bound { name, address } in &bound {
                tracing::info!("listening {name} {address}");
            }
            bound
        }
        Local::Remote(link, _) => {
            link.open(engine.dispatch());
            Vec::new()
        }
    };
    tracing::info!("listening http {bound}");
    Ok((http, Addresses { mqtt, http: bound }))
}

/// What is wrong with a configuration that reading it alone cannot tell: with the files that it names, and with the
/// settings of the link to a broker that runs already.
pub fn check(config: &ServerConfig) -> Vec<FileProblem> {
    match &config.local {
        None => Door::open(&config.mqtt).err().unwrap_or_default(),
        Some(_) => check_link(config),
    }
}

/// Problems as a person reads them, one after the other.
fn shown(problems: &[FileProblem]) -> String {
    let shown = problems.iter().map(|it| it.source().render(&it.diagnostic, diagnostic::Style::Plain));
    format!("the configuration of the broker has mistakes\n{}", shown.collect::<Vec<_>>().join("\n"))
}

/// Finds sessions and retained messages again, which reads files: no work for a thread that others wait on.
async fn open_broker(config: &ServerConfig, door: &Door) -> Result<Arc<Broker>, ServerError> {
    let settings = broker_config(&config.node_name, &config.mqtt, door);
    let Some(persistence) = &config.mqtt.sessions.persistence else { return Ok(Broker::new(settings)) };
    let persistence = Persistence {
        dir: config.data_dir.join("broker"),
        fsync: persistence.fsync,
        bytes_max: persistence.bytes_max,
    };
    let opened = tokio::task::spawn_blocking(move || Broker::restore(settings, &persistence)).await;
    Ok(opened.map_err(std::io::Error::other)??)
}

fn broker_config(node: &str, mqtt: &MqttConfig, door: &Door) -> BrokerConfig {
    BrokerConfig {
        limits: mqtt.limits.clone(),
        session_expiry_max: mqtt.sessions.expiry_max,
        sessions_max: mqtt.sessions.sessions_max,
        subscription_bytes_max: mqtt.sessions.subscription_bytes_max,
        will_bytes_max: mqtt.sessions.will_bytes_max,
        queued_bytes_max: mqtt.sessions.queued_bytes_max,
        retained_messages_max: mqtt.sessions.retained_messages_max,
        retained_bytes_max: mqtt.sessions.retained_bytes_max,
        sys_interval: mqtt.sessions.sys_interval,
        ack: mqtt.ack.map_or(event::AckLevel::Durable, ack_level),
        ..BrokerConfig::with_defaults(node, Arc::clone(&door.authenticator) as _, Arc::clone(&door.acl))
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
        guard: guard(&config.ssrf),
        seed: since_epoch.as_nanos() as u64 ^ u64::from(std::process::id()),
    }
}

fn guard(ssrf: &SsrfConfig) -> Guard {
    if !ssrf.enable {
        return Guard::default();
    }
    Guard::new(ssrf.allow_cidrs.clone(), ssrf.deny_cidrs.clone(), ssrf.deny_hosts.iter().cloned())
}

/// What rules see of the process, with the variables that `getenv` may read: those whose names say that they are meant for
/// rules.
pub fn surroundings() -> eval::Surroundings {
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
    addresses: &Addresses,
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
    let mut listeners: Vec<_> =
        addresses.mqtt.iter().map(|bound| listener(&bound.name, bound.address)).collect();
    listeners.push(listener("http", addresses.http));
    let (door, of_door, of_engine) = (local.door().cloned(), local.door().cloned(), engine.clone());
    let (broker, local, watched) = (local.clone(), local.clone(), engine.clone());
    api::Context {
        engine: engine.clone(),
        listeners: Arc::new(OnceLock::from(listeners)),
        broker: Arc::new(move || broker.samples()),
        local: Arc::new(move || local.link_status()),
        certificates: Arc::new(move || certificates::all(&of_engine, of_door.as_deref())),
        process: Arc::new(move || [certificates::samples(&watched), process_metrics::samples()].concat()),
        access: Arc::new(move || door.as_ref().map(|door| door.reload()).unwrap_or_default()),
        started_at,
        api_keys: Arc::new(api::ApiKeys::new(keys)),
    }
}

/// What a person sees first. Machines, who ask for JSON, get log lines alone.
fn first_screen(config: &ServerConfig, log: &Log, engine: &Engine, addresses: &Addresses) {
    if config.log_format == config::server_file::LogFormat::Json {
        return;
    }
    let dirs: Vec<String> = config.rules.dirs.iter().map(|dir| dir.display().to_string()).collect();
    let screen = Screen {
        version: env!("CARGO_PKG_VERSION"),
        node: &config.node_name,
        listeners: addresses
            .mqtt
            .iter()
            .zip(&config.mqtt.listeners)
            .map(|(bound, it)| url(it, bound))
            .collect(),
        plain: plain(config, addresses),
        local: config.local.as_ref().and_then(|local| local.server.as_str()),
        http: addresses.http,
        dirs: dirs.join(", "),
        rules: &engine.rules(),
    };
    log.print(&screen.text());
}

/// How clients write where a listener is.
fn url(listener: &ListenerConfig, bound: &Bound) -> String {
    let (scheme, path) = match (&listener.websocket, &listener.tls) {
        (None, None) => ("mqtt", ""),
        (None, Some(_)) => ("mqtts", ""),
        (Some(websocket), None) => ("ws", &*websocket.path),
        (Some(websocket), Some(_)) => ("wss", &*websocket.path),
    };
    format!("{scheme}://{}{path}", bound.address)
}

/// The first listener that any client can use without further ado.
fn plain(config: &ServerConfig, addresses: &Addresses) -> Option<SocketAddr> {
    let is_plain = |it: &ListenerConfig| it.websocket.is_none() && it.tls.is_none() && it.anonymous;
    let mut listeners = config.mqtt.listeners.iter().zip(&addresses.mqtt);
    listeners.find(|(listener, _)| is_plain(listener)).map(|(_, bound)| bound.address)
}

/// Takes as many file handles as the system allows: every connection is one.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_err() {
        tracing::warn!("the limit of open files could not be raised to {:?}", limit.maximum);
    }
}

#[cfg(test)]
mod tests {
    use config::server_file::{Overrides, load};

    use super::*;

    #[test]
    fn without_what_nothing_works_without_it_stops_in_order_and_says_so() {
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let flags = Overrides {
            rules: vec![dir.path().join("rules")],
            data: Some(dir.path().join("data")),
            mqtt_listen: Some("127.0.0.1:0".to_owned()),
            http_listen: Some("127.0.0.1:0".to_owned()),
            allow_anonymous: false,
        };
        let (config, problems) = load(None, [], &flags);
        assert!(problems.is_empty(), "{problems:?}");
        let log = Log::install("off", crate::LogFormat::Text).unwrap_or_else(|error| panic!("{error}"));
        supervise::lose("the log of something");
        let outcome = run(&config, &log, Signals::listen().expect("the system gives a pipe"))
            .map_err(|error| error.to_string());
        assert!(outcome.is_err_and(|error| error.starts_with("the log of something broke off in a panic")));
    }
}
