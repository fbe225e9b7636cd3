//! One client: the task that connects, serves the connection, and connects again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::{Backoff, Reader, Status};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use crate::inflow::{House, Inflow};
use crate::link::{self, Limits, Link, LinkError, Session};
use crate::outflow::Outflow;
use crate::sending::Sender;
use crate::serve::{End, Serving};
use crate::settings::{Login, Options};
use crate::subscriptions::SourceEntry;

/// What a client is told.
pub(crate) enum Command {
    Attach(Reader),
    Detach(Arc<str>),
    AddSource(Arc<SourceEntry>),
    RemoveSource(Arc<str>),
    /// Take nothing more from the queues, and tell when nothing is in flight.
    Hold(oneshot::Sender<()>),
    /// Take from the queues again.
    GoOn,
    /// Other settings, of which none concerns how a connection is made.
    Options(Arc<Options>),
    Stop {
        deadline: Instant,
    },
}

/// What others see of a client.
#[derive(Debug)]
pub(crate) struct View {
    status: Mutex<Shown>,
}

#[derive(Debug)]
struct Shown {
    status: Status,
    sources: Vec<(Arc<str>, Status)>,
}

impl View {
    pub(crate) fn new(status: Status) -> Self {
        Self { status: Mutex::new(Shown { status, sources: Vec::new() }) }
    }

    /// How the client is.
    pub(crate) fn status(&self) -> Status {
        self.status.lock().status.clone()
    }

    /// How a source is on this client.
    pub(crate) fn source_status(&self, name: &str) -> Status {
        let shown = self.status.lock();
        let source = shown.sources.iter().find(|(source, _)| **source == *name);
        let source =
            source.map_or_else(|| Status::connecting("it is being added"), |(_, status)| status.clone());
        Status::worst([shown.status.clone(), source])
    }

    pub(crate) fn set(&self, status: Status) {
        self.status.lock().status = status;
    }

    pub(crate) fn set_sources(&self, sources: Vec<(Arc<str>, Status)>) {
        self.status.lock().sources = sources;
    }
}

/// A client and all that it owns. Its state survives connections.
pub(crate) struct Client {
    pub(crate) options: Arc<Options>,
    pub(crate) login: Login,
    /// Whether it also publishes, so that its connection must always be read.
    pub(crate) publishes: bool,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) view: Arc<View>,
    pub(crate) outflow: Outflow,
    pub(crate) inflow: Inflow,
    pub(crate) backoff: Backoff,
    /// Set once it was told to stop.
    pub(crate) deadline: Option<Instant>,
    /// Whether unsettled messages of sources must be waited for before it connects again.
    crowded: bool,
}

/// The shortest and the longest pause between two attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));
/// A connection that lasted so long was a good one: the next attempt comes soon.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);
/// How often the queues are looked through for expired requests while there is no connection.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// How many messages of sources may be unacknowledged at once: what MQTT 5 calls Receive Maximum.
pub(crate) const RECEIVE_MAX: u16 = 1000;

impl Client {
    pub(crate) fn new(
        options: &Arc<Options>,
        login: Login,
        publishes: bool,
        commands: mpsc::UnboundedReceiver<Command>,
        house: &Arc<House>,
    ) -> Self {
        let seed = seed(&login.clientid);
        let view = View::new(Status::connecting(format!("connecting to {}", options.server)));
        let limits = Limits::unknown(options.keepalive);
        Self {
            options: Arc::clone(options),
            login,
            publishes,
            commands,
            view: Arc::new(view),
            outflow: Outflow::new(
                options.max_inflight,
                Sender::new(limits, options.max_hops, Arc::clone(&house.origin)),
                seed,
            ),
            inflow: Inflow::new(Arc::clone(house), options.clean_start, seed),
            backoff: Backoff::new(PAUSE.0, PAUSE.1, seed),
            deadline: None,
            crowded: false,
        }
    }

    /// Connects and serves until it is told to stop, or its connector is gone.
    pub(crate) async fn run(mut self) {
        while self.deadline.is_none() {
            if !self.connect_and_serve().await {
                break;
            }
        }
        self.view.set(Status::stopped());
    }

    /// One attempt, the connection that comes of it, and the pause after it. Returns whether to go on.
    async fn connect_and_serve(&mut self) -> bool {
        let Some(link) = self.connect().await else { return false };
        let failure = match link {
            Err(error) => Status::disconnected(error.to_string()),
            Ok(link) => {
                let begun = Instant::now();
                let end = Serving::new(self, link, begun).run().await;
                self.view.set_sources(Vec::new());
                if begun.elapsed() >= GOOD_CONNECTION || self.outflow.was_acked() {
                    self.backoff.reset();
                }
                self.outflow.disconnected(matches!(end, End::ByRemote(_)));
                match end {
                    End::Left => return false,
                    End::Crowded => {
                        self.crowded = true;
                        let reason = "messages were passed over while too many of its sources waited for their actions";
                        Status::connecting(format!("connecting again: {reason}"))
                    }
                    End::ByRemote(reason) | End::ByUs(reason) => Status::disconnected(reason),
                }
            }
        };
        if self.view.status() != failure {
            tracing::warn!(clientid = self.login.clientid, "{}", failure.reason);
        }
        self.view.set(failure);
        if self.deadline.is_some() {
            return false;
        }
        let pause = self.backoff.delay();
        let drained = std::mem::take(&mut self.crowded);
        let acks = Arc::clone(&self.inflow.acks);
        tokio::select! {
            () = async {
                tokio::time::sleep(pause).await;
                while drained && acks.unsettled() > 0 {
                    acks.wake.wait(|| acks.unsettled() == 0).await;
                }
            } => true,
            () = self.idle() => false,
        }
    }

    /// Tries to connect. `None` if it was told to stop before that, unless something is queued that can still be sent.
    async fn connect(&mut self) -> Option<Result<Link, LinkError>> {
        let (options, login) = (Arc::clone(&self.options), self.login.clone());
        let session = Session { clean_start: options.clean_start, receive_max: RECEIVE_MAX };
        let link = link::open(&options, &login, session);
        tokio::pin!(link);
        tokio::select! {
            link = &mut link => return Some(link),
            () = self.idle() => {}
        }
        let deadline = self.deadline.filter(|_| !self.outflow.is_idle())?;
        tokio::time::timeout_at(deadline.into(), link).await.ok()
    }

    /// Does what it is told while there is no connection; returns when it is to stop.
    async fn idle(&mut self) {
        loop {
            self.outflow.tell_held(false);
            tokio::select! {
                command = self.commands.recv() => {
                    if !self.obey(command) {
                        return;
                    }
                }
                () = sleep_until((Instant::now() + EXPIRY_INTERVAL).into()) => self.outflow.expire(Instant::now()),
            }
        }
    }

    /// Does what it is told; false if it is to stop, or nobody is left who could tell it anything.
    pub(crate) fn obey(&mut self, command: Option<Command>) -> bool {
        match command {
            Some(Command::Attach(reader)) => self.outflow.attach(reader),
            Some(Command::Detach(id)) => self.outflow.detach(&id),
            Some(Command::AddSource(source)) => self.inflow.subscriptions.add(source),
            Some(Command::RemoveSource(name)) => self.inflow.subscriptions.remove(&name),
            Some(Command::Hold(done)) => self.outflow.hold(done),
            Some(Command::GoOn) => self.outflow.go_on(),
            Some(Command::Options(options)) => {
                self.outflow.max_inflight = options.max_inflight;
                self.outflow.sender.max_hops = options.max_hops;
                self.options = options;
            }
            Some(Command::Stop { deadline }) => {
                self.deadline = Some(deadline);
                return false;
            }
            None => {
                self.deadline = Some(Instant::now());
                return false;
            }
        }
        true
    }
}

/// Randomness for pauses: differs from client to client and from start to start.
fn seed(clientid: &str) -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(clientid)
}
