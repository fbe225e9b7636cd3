//! The pool of clients behind one connector.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Settings;
use connector::{ActionQueue, BoxFuture, Connector, Context, ProbeError, Source, Status, Wake};
use mqtt::{Disconnect, Packet};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::{Client, Command, View};
use crate::inflow::House;
use crate::link::{self, Session};
use crate::settings::{Login, Logins, Options, SourceOptions};
use crate::subscriptions::SourceEntry;

/// Opens a connector: every client begins to connect.
#[allow(clippy::needless_pass_by_value)] // the contract is the same for connectors that keep them
pub(crate) fn open(settings: Settings, context: Context) -> Arc<dyn Connector> {
    let connector = match Options::read(&settings, &context) {
        Some(options) => Pool::start(options, &context),
        None => Pool::broken(&context),
    };
    Arc::new(connector)
}

/// The clients of a connector.
struct Pool {
    context: Context,
    /// `None` where the settings are broken, so that there are no clients.
    options: Option<Arc<Options>>,
    house: Arc<House>,
    /// A lock because the engine, the API and the shutdown talk to it; held for a moment only.
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    /// Clients that publish; with static ids they receive too.
    sinks: Vec<Member>,
    /// Clients that only receive, made as sources need them.
    sources: Vec<Member>,
    queues: HashMap<String, Arc<ActionQueue>>,
    /// On how many clients each source is.
    spread: HashMap<Arc<str>, usize>,
}

/// A client that runs.
struct Member {
    commands: mpsc::UnboundedSender<Command>,
    view: Arc<View>,
    wake: Arc<Wake>,
    task: Option<JoinHandle<()>>,
}

/// What a client may take to end after its deadline, before its task is taken away.
const GRACE: Duration = Duration::from_secs(1);

impl Pool {
    fn start(options: Options, context: &Context) -> Self {
        let house =
            House::new(Arc::clone(&context.dispatch), Arc::clone(&context.node), options.server.to_string());
        let pool = Self {
            context: context.clone(),
            options: Some(Arc::new(options)),
            house: Arc::new(house),
            members: Mutex::default(),
        };
        let logins = pool.options.as_ref().map(|options| options.sinks()).unwrap_or_default();
        pool.members.lock().sinks = logins.into_iter().filter_map(|login| pool.spawn(login, true)).collect();
        pool
    }

    fn broken(context: &Context) -> Self {
        let house = House::new(Arc::clone(&context.dispatch), Arc::clone(&context.node), String::new());
        Self { context: context.clone(), options: None, house: Arc::new(house), members: Mutex::default() }
    }

    fn spawn(&self, login: Login, publishes: bool) -> Option<Member> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let client = Client::new(self.options.as_ref()?, login, publishes, inbox, &self.house);
        let (view, wake) = (Arc::clone(&client.view), Arc::clone(&client.outflow.wake));
        let task = Some(self.context.runtime.spawn(client.run()));
        Some(Member { commands, view, wake, task })
    }

    /// The clients that carry sources, at least so many of them if there can be.
    fn receivers<'m>(&self, members: &'m mut Members, count: usize) -> &'m [Member] {
        let Some(options) = &self.options else { return &[] };
        if matches!(options.logins, Logins::Static(_)) {
            return &members.sinks;
        }
        let missing = options.sources(count).into_iter().skip(members.sources.len());
        let new: Vec<Member> = missing.filter_map(|login| self.spawn(login, false)).collect();
        members.sources.extend(new);
        &members.sources
    }

    /// The clients on which a source is.
    fn carriers<'m>(&self, members: &'m Members, name: &str) -> Option<&'m [Member]> {
        let count = *members.spread.get(name)?;
        let is_static =
            self.options.as_ref().is_some_and(|options| matches!(options.logins, Logins::Static(_)));
        let all = if is_static { &members.sinks } else { &members.sources };
        Some(&all[..count.min(all.len())])
    }

    /// Why there is no client, where that is so.
    fn without_clients(&self) -> Status {
        Status::disconnected(match &self.options {
            None => "settings: `server` is no address".to_owned(),
            Some(_) => format!("no client ids are assigned to the node `{}`", self.context.node),
        })
    }
}

impl Connector for Pool {
    fn status(&self) -> Status {
        let members = self.members.lock();
        if members.sinks.is_empty() {
            return self.without_clients();
        }
        Status::worst(members.sinks.iter().chain(&members.sources).map(|member| member.view.status()))
    }

    fn attach(&self, queue: &Arc<ActionQueue>) {
        let mut members = self.members.lock();
        let before = members.queues.insert(queue.id().to_owned(), Arc::clone(queue));
        if before.is_some_and(|before| Arc::ptr_eq(&before, queue)) {
            return;
        }
        let count = members.sinks.len();
        for (number, member) in members.sinks.iter().enumerate() {
            member.tell(Command::Detach(queue.id().into()));
            member.tell(Command::Attach(queue.reader(number, count, &member.wake)));
        }
    }

    fn detach(&self, id: &str) {
        let mut members = self.members.lock();
        if members.queues.remove(id).is_some() {
            members.sinks.iter().for_each(|member| member.tell(Command::Detach(id.into())));
        }
    }

    fn add_source(&self, source: Source) {
        self.remove_source(&source.name);
        let Some(options) = SourceOptions::read(&source.settings) else { return };
        let mut members = self.members.lock();
        let pool = members.sinks.len();
        let count = if options.subscription.share.is_some() { pool } else { 1.min(pool) };
        members.spread.insert(Arc::clone(&source.name), count);
        let entry = Arc::new(SourceEntry::new(source.name, options, source.metrics));
        for member in self.receivers(&mut members, count).iter().take(count) {
            member.tell(Command::AddSource(Arc::clone(&entry)));
        }
    }

    fn remove_source(&self, name: &str) {
        let mut members = self.members.lock();
        for member in self.carriers(&members, name).unwrap_or_default() {
            member.tell(Command::RemoveSource(name.into()));
        }
        members.spread.remove(name);
    }

    fn source_status(&self, name: &str) -> Option<Status> {
        let members = self.members.lock();
        let carriers = self.carriers(&members, name)?;
        if carriers.is_empty() {
            return Some(self.without_clients());
        }
        Some(Status::worst(carriers.iter().map(|member| member.view.source_status(name))))
    }

    fn stop(&self, deadline: Instant) -> BoxFuture<'_, ()> {
        let tasks: Vec<JoinHandle<()>> = {
            let mut members = self.members.lock();
            let Members { sinks, sources, .. } = &mut *members;
            let all = sinks.iter_mut().chain(sources.iter_mut());
            all.filter_map(|member| {
                member.tell(Command::Stop { deadline });
                member.task.take()
            })
            .collect()
        };
        Box::pin(async move {
            let end = tokio::time::Instant::from_std(deadline.max(Instant::now()) + GRACE);
            for mut task in tasks {
                match tokio::time::timeout_at(end, &mut task).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::error!("a client of `{}` ended in a panic: {error}", self.context.name)
                    }
                    Err(_) => task.abort(),
                }
            }
        })
    }
}

impl Member {
    /// A client that has ended hears nothing, and needs to hear nothing.
    fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

/// Connects once, with a client id that nobody else uses, and leaves.
pub(crate) fn probe(
    settings: Settings,
    context: Context,
    within: Duration,
) -> BoxFuture<'static, Result<(), ProbeError>> {
    Box::pin(async move {
        let Some(mut options) = Options::read(&settings, &context) else {
            return Err(ProbeError { stage: "settings", reason: "`server` is no address".to_owned() });
        };
        options.connect_timeout = options.connect_timeout.min(within);
        // A static id is all there is: the remote may know no other. Its session is treated as it will be.
        let (login, clean_start) = match (options.probe(), options.sinks().into_iter().next()) {
            (Some(login), _) => (login, true),
            (None, Some(login)) => (login, options.clean_start),
            (None, None) => {
                let reason = format!("no client ids are assigned to the node `{}`", context.node);
                return Err(ProbeError { stage: "settings", reason });
            }
        };
        options.clean_start = clean_start;
        let session = Session { clean_start, receive_max: 1 };
        let mut link = link::open(&options, &login, session)
            .await
            .map_err(|error| ProbeError { stage: error.stage.name(), reason: error.reason })?;
        // It let us in, and that is the answer; how the farewell goes does not matter.
        let _ = link.conn.output.put(&Packet::Disconnect(Box::<Disconnect>::default()));
        let _ = tokio::time::timeout(GRACE, link.conn.close()).await;
        Ok(())
    })
}
