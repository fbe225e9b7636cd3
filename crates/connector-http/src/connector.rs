//! The pool of workers behind one connector.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Settings;
use connector::{ActionQueue, Backoff, BoxFuture, Connector, Context, ProbeError, Source, Status, Wake};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::send::Sender;
use crate::settings::{Options, SinkOptions};
use crate::worker::{Command, View, Worker};

/// Opens a connector: workers begin, and the server is looked at.
#[allow(clippy::needless_pass_by_value)] // the contract is the same for connectors that keep them
pub(crate) fn open(settings: Settings, context: Context) -> Arc<dyn Connector> {
    Arc::new(Pool::start(&settings, &context))
}

struct Pool {
    view: Arc<View>,
    /// A lock because the engine, the API and the shutdown talk to it; held for a moment only.
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    workers: Vec<Member>,
    queues: HashMap<String, Attached>,
    /// Looks at the server while nothing is sent.
    watch: Option<JoinHandle<()>>,
}

struct Attached {
    queue: Arc<ActionQueue>,
    options: SinkOptions,
}

/// A worker that runs.
struct Member {
    commands: mpsc::UnboundedSender<Command>,
    wake: Arc<Wake>,
    task: Option<JoinHandle<()>>,
}

/// What a worker may take to end after its deadline, before its task is taken away.
const GRACE: Duration = Duration::from_secs(1);
/// The first pause after a look at the server that failed.
const PAUSE: Duration = Duration::from_millis(500);

impl Pool {
    fn start(settings: &Settings, context: &Context) -> Self {
        let name = Arc::clone(&context.name);
        let Some(options) = Options::read(settings, context) else {
            let broken = Status::disconnected("settings: `url` is no address");
            let view = Arc::new(View::new(name, broken));
            return Self { view, members: Mutex::default() };
        };
        let options = Arc::new(options);
        let connecting = Status::connecting(format!("connecting to {}", options.base));
        let view = Arc::new(View::new(name, connecting));
        let sender = Sender::new(&options);
        let workers = (0..options.pool_size)
            .map(|_| {
                let (commands, inbox) = mpsc::unbounded_channel();
                let worker =
                    Worker::new(Arc::clone(&sender), Arc::clone(&view), inbox, options.pipelining, seed());
                let wake = Arc::clone(&worker.wake);
                Member { commands, wake, task: Some(context.spawn(worker.run())) }
            })
            .collect();
        let watch = watch(sender, Arc::clone(&view), options.health_check_interval);
        let watch = Some(context.spawn(watch));
        Self { view, members: Mutex::new(Members { workers, queues: HashMap::new(), watch }) }
    }
}

/// Looks at the server now and then, so that the status is true before the first message and after the last.
async fn watch(sender: Arc<Sender>, view: Arc<View>, interval: Duration) {
    let mut backoff = Backoff::new(PAUSE.min(interval), interval, seed());
    loop {
        let pause = match sender.try_out().await {
            Ok(()) => {
                view.set(Status::connected());
                backoff.reset();
                interval
            }
            Err(error) => {
                view.set(Status::disconnected(error.to_string()));
                backoff.delay()
            }
        };
        tokio::time::sleep(pause).await;
    }
}

impl Connector for Pool {
    fn status(&self) -> Status {
        self.view.status()
    }

    fn attach(&self, queue: &Arc<ActionQueue>, settings: &Settings) {
        let options = SinkOptions::read(settings);
        let attached = Attached { queue: Arc::clone(queue), options: options.clone() };
        let mut members = self.members.lock();
        let before = members.queues.insert(queue.id().to_owned(), attached);
        let change = || Command::Change(queue.id().into(), Box::new(options.clone()));
        match before.filter(|before| Arc::ptr_eq(&before.queue, queue)) {
            Some(before) if before.options == options => {}
            Some(_) => members.workers.iter().for_each(|worker| worker.tell(change())),
            None => {
                let count = members.workers.len();
                for (number, worker) in members.workers.iter().enumerate() {
                    worker.tell(Command::Detach(queue.id().into()));
                    let reader = queue.reader(number, count, &worker.wake);
                    worker.tell(Command::Attach(reader, Box::new(options.clone())));
                }
            }
        }
    }

    fn detach(&self, id: &str) {
        let mut members = self.members.lock();
        if members.queues.remove(id).is_some() {
            members.workers.iter().for_each(|worker| worker.tell(Command::Detach(id.into())));
        }
    }

    fn add_source(&self, _: Source) {}

    fn remove_source(&self, _: &str) {}

    fn source_status(&self, _: &str) -> Option<Status> {
        None
    }

    fn stop(&self, deadline: Instant) -> BoxFuture<'_, ()> {
        let tasks: Vec<JoinHandle<()>> = {
            let mut members = self.members.lock();
            if let Some(watch) = members.watch.take() {
                watch.abort();
            }
            let stopped = members.workers.iter_mut().filter_map(|worker| {
                worker.tell(Command::Stop { deadline });
                worker.task.take()
            });
            stopped.collect()
        };
        Box::pin(async move {
            let end = tokio::time::Instant::from_std(deadline.max(Instant::now()) + GRACE);
            for mut task in tasks {
                match tokio::time::timeout_at(end, &mut task).await {
                    // A panic is told where it is caught.
                    Ok(_) => {}
                    Err(_) => task.abort(),
                }
            }
            self.view.set(Status::stopped());
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(watch) = self.members.get_mut().watch.take() {
            watch.abort();
        }
    }
}

impl Member {
    /// A worker that has ended hears nothing, and needs to hear nothing.
    fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

/// Connects once, and fetches a token where one is needed.
#[allow(clippy::needless_pass_by_value)] // the contract is the same for connectors that keep them
pub(crate) fn probe(
    settings: Settings,
    context: Context,
    within: Duration,
) -> BoxFuture<'static, Result<(), ProbeError>> {
    Box::pin(async move {
        let Some(mut options) = Options::read(&settings, &context) else {
            return Err(ProbeError { stage: "settings", reason: "`url` is no address".to_owned() });
        };
        options.connect_timeout = options.connect_timeout.min(within);
        let sender = Sender::new(&Arc::new(options));
        match tokio::time::timeout(within, sender.try_out()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ProbeError { stage: error.stage, reason: error.reason }),
            Err(_) => Err(ProbeError { stage: "OAuth 2.0", reason: format!("no answer within {within:?}") }),
        }
    })
}

/// Randomness for pauses: differs from worker to worker and from start to start.
fn seed() -> u64 {
    std::hash::RandomState::new().hash_one(0)
}
