//! The pool of clients behind one connector.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use config::Settings;
use connector::{ActionQueue, BoxFuture, Connector, Context, ProbeError, Source, Status, Wake};
use mqtt::{Disconnect, Packet};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::client::{Client, Command, View};
use crate::fields;
use crate::inflow::House;
use crate::link::{self, Session};
use crate::sending::Origin;
use crate::settings::{Login, Options, SourceOptions};
use crate::subscriptions::SourceEntry;

/// Opens a connector: every client begins to connect.
#[allow(clippy::needless_pass_by_value)] // the contract is the same for connectors that keep them
pub(crate) fn open(settings: Settings, context: Context) -> Arc<dyn Connector> {
    Arc::new(Pool::start(settings, &context))
}

/// The clients of a connector.
pub(crate) struct Pool {
    context: Context,
    house: Arc<House>,
    /// A lock because the engine, the API and the shutdown talk to it; held for a moment only.
    members: Mutex<Members>,
}

struct Members {
    settings: Settings,
    /// `None` where the settings are broken, so that there are no clients.
    options: Option<Arc<Options>>,
    /// Clients that publish; with static ids they receive too.
    sinks: Vec<Member>,
    /// Clients that only receive, made as sources need them.
    sources: Vec<Member>,
    queues: HashMap<String, Arc<ActionQueue>>,
    /// What is received, and by whom: the client ids.
    spread: HashMap<Arc<str>, Spread>,
}

/// A source, and the clients that carry it.
struct Spread {
    entry: Arc<SourceEntry>,
    carriers: Vec<String>,
}

/// A client that runs.
struct Member {
    login: Login,
    commands: mpsc::UnboundedSender<Command>,
    view: Arc<View>,
    wake: Arc<Wake>,
    task: Option<JoinHandle<()>>,
}

/// What a client may take to end after its deadline, before its task is taken away.
const GRACE: Duration = Duration::from_secs(1);
/// How long the clients of a pool that changes its size may take to have everything acknowledged that is in flight. What
/// is not by then is sent again by whoever gets it.
const REDEAL_WITHIN: Duration = Duration::from_secs(2);

impl Pool {
    fn start(settings: Settings, context: &Context) -> Self {
        let options = Options::read(&settings, context).map(Arc::new);
        let origin = options.as_ref().map(|options| options.origin()).unwrap_or_default();
        Self::with(settings, options, context, origin, false)
    }

    /// The pool of the broker where local topics live.
    pub(crate) fn local(settings: Settings, context: &Context, origin: Arc<str>) -> Self {
        let options = Options::read(&settings, context).map(Arc::new);
        Self::with(settings, options, context, origin, true)
    }

    fn with(
        settings: Settings,
        options: Option<Arc<Options>>,
        context: &Context,
        origin: Arc<str>,
        is_local: bool,
    ) -> Self {
        let server = options.as_ref().map_or_else(String::new, |options| options.server.to_string());
        let (dispatch, node) = (Arc::clone(&context.dispatch), Arc::clone(&context.node));
        let house = Arc::new(House::new(dispatch, node, server, Arc::new(Origin::new(origin)), is_local));
        let logins = options.as_ref().map(|options| options.sinks()).unwrap_or_default();
        let mut members = Members {
            settings,
            options,
            sinks: Vec::new(),
            sources: Vec::new(),
            queues: HashMap::new(),
            spread: HashMap::new(),
        };
        let pool = Self { context: context.clone(), house, members: Mutex::default() };
        members.sinks = logins.into_iter().filter_map(|login| pool.spawn(&members, login, true)).collect();
        *pool.members.lock() = members;
        pool
    }

    /// What the clients share.
    pub(crate) fn house(&self) -> &House {
        &self.house
    }

    /// Begins to receive, or goes on with other options.
    pub(crate) fn put_source(&self, entry: SourceEntry) {
        self.spread(&mut self.members.lock(), Arc::new(entry));
    }

    fn spawn(&self, members: &Members, login: Login, publishes: bool) -> Option<Member> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let client = Client::new(members.options.as_ref()?, login.clone(), publishes, inbox, &self.house);
        let (view, wake) = (Arc::clone(&client.view), Arc::clone(&client.outflow.wake));
        let task = Some(self.context.spawn(client.run()));
        Some(Member { login, commands, view, wake, task })
    }

    /// Makes sure that there are so many clients that carry sources, if there can be, and gives their ids.
    fn receivers(&self, members: &mut Members, count: usize) -> Vec<String> {
        let Some(options) = members.options.clone() else { return Vec::new() };
        if !options.is_static() {
            for login in options.sources(count).into_iter().skip(members.sources.len()) {
                if let Some(member) = self.spawn(members, login, false) {
                    members.sources.push(member);
                }
            }
        }
        let carriers = members.receiving().take(count);
        carriers.map(|member| member.login.clientid.clone()).collect()
    }

    /// Puts a source onto the clients that are to carry it, and takes it from those that are not.
    fn spread(&self, members: &mut Members, entry: Arc<SourceEntry>) {
        let pool = members.sinks.len();
        let count = if entry.options.subscription.share.is_some() { pool } else { 1.min(pool) };
        let carriers = self.receivers(members, count);
        let before = members.spread.get(&entry.name);
        let changed = before.is_none_or(|before| !before.entry.is_same(&entry));
        for member in members.receiving() {
            let carried = before.is_some_and(|before| before.carriers.contains(&member.login.clientid));
            let carries = carriers.contains(&member.login.clientid);
            if carries && (changed || !carried) {
                member.tell(Command::AddSource(Arc::clone(&entry)));
            } else if carried && !carries {
                member.tell(Command::RemoveSource(Arc::clone(&entry.name)));
            }
        }
        members.spread.insert(Arc::clone(&entry.name), Spread { entry, carriers });
        self.say_origin(members);
    }

    /// Whether messages must be known again depends on the sources.
    fn say_origin(&self, members: &Members) {
        let asked = members.spread.values().any(|spread| spread.entry.options.no_local);
        self.house.origin.is_said.store(asked, Ordering::Relaxed);
    }

    /// Deals the lanes and sources out to other clients: first nobody takes anything more, then, when everything that is
    /// in flight is acknowledged, each lane goes to whom it belongs from now on. So nothing is doubled and nothing overtakes.
    async fn redeal(&self, wanted: Vec<Login>) {
        let held: Vec<_> = {
            let members = self.members.lock();
            let hold = |member: &Member| {
                let (done, held) = oneshot::channel();
                member.tell(Command::Hold(done));
                held
            };
            members.sinks.iter().map(hold).collect()
        };
        let all_held = async {
            for held in held {
                // A client that has ended holds nothing.
                let _ = held.await;
            }
        };
        if tokio::time::timeout(REDEAL_WITHIN, all_held).await.is_err() {
            tracing::info!("`{}`: what is in flight may be sent twice", self.context.name);
        }
        let gone = {
            let mut members = self.members.lock();
            let mut before = std::mem::take(&mut members.sinks);
            for login in wanted {
                let kept = before.iter().position(|member| member.login == login);
                let member = match kept {
                    Some(at) => Some(before.swap_remove(at)),
                    None => self.spawn(&members, login, true),
                };
                members.sinks.extend(member);
            }
            for queue in members.queues.values() {
                members.deal(queue);
            }
            members.sinks.iter().for_each(|member| member.tell(Command::GoOn));
            let entries: Vec<_> = members.spread.values().map(|spread| Arc::clone(&spread.entry)).collect();
            entries.into_iter().for_each(|entry| self.spread(&mut members, entry));
            before.extend(members.take_idle_sources());
            // A source that has moved is not to be collected for somebody who never comes back.
            for member in &before {
                members.spread.keys().for_each(|name| member.tell(Command::RemoveSource(Arc::clone(name))));
            }
            before
        };
        self.end(gone, Instant::now() + REDEAL_WITHIN).await;
    }

    /// Stops clients and waits for their end.
    async fn end(&self, members: Vec<Member>, deadline: Instant) {
        let end = tokio::time::Instant::from_std(deadline.max(Instant::now()) + GRACE);
        members.iter().for_each(|member| member.tell(Command::Stop { deadline }));
        for mut task in members.into_iter().filter_map(|mut member| member.task.take()) {
            match tokio::time::timeout_at(end, &mut task).await {
                // A panic is told where it is caught.
                Ok(_) => {}
                Err(_) => task.abort(),
            }
        }
    }

    /// Why there is no client, where that is so.
    fn without_clients(&self, members: &Members) -> Status {
        Status::disconnected(match &members.options {
            None => "settings: `server` is no address".to_owned(),
            Some(_) => format!("no client ids are assigned to the node `{}`", self.context.node),
        })
    }
}

impl Members {
    fn is_static(&self) -> bool {
        self.options.as_ref().is_some_and(|options| options.is_static())
    }

    /// The clients that carry sources.
    fn receiving(&self) -> impl Iterator<Item = &Member> {
        if self.is_static() { self.sinks.iter() } else { self.sources.iter() }
    }

    /// The clients on which a source is.
    fn carriers(&self, name: &str) -> Option<Vec<&Member>> {
        let carriers = &self.spread.get(name)?.carriers;
        Some(self.receiving().filter(|member| carriers.contains(&member.login.clientid)).collect())
    }

    /// Deals the lanes of an action out.
    fn deal(&self, queue: &Arc<ActionQueue>) {
        for (number, member) in self.sinks.iter().enumerate() {
            member.tell(Command::Detach(queue.id().into()));
            member.tell(Command::Attach(queue.reader(number, self.sinks.len(), &member.wake)));
        }
    }

    /// Takes out the clients for sources alone that none is on any more.
    fn take_idle_sources(&mut self) -> Vec<Member> {
        let used = |member: &Member| {
            self.spread.values().any(|spread| spread.carriers.contains(&member.login.clientid))
        };
        let used = self.sources.iter().take_while(|member| used(member)).count();
        self.sources.split_off(used)
    }

    /// How these settings can be taken over with the connections that are there; `None` where they cannot.
    fn plan(&self, settings: &Settings, context: &Context) -> Option<Arc<Options>> {
        let lives = |field: &&config::Field| !fields::CHANGE_LIVE.contains(&field.name);
        let mut fixed = settings.fields().iter().filter(lives);
        if !fixed.all(|field| self.settings.agrees(settings, field.name)) {
            return None;
        }
        let before = self.options.as_ref()?;
        let options = Options::read(settings, context)?;
        // One id cannot have two connections, the old login and the new one.
        let with_other_login = |login: &Login| {
            before.sinks().iter().any(|other| other.clientid == login.clientid && other != login)
        };
        let agrees = options.is_static() == before.is_static();
        (agrees && !options.sinks().iter().any(with_other_login)).then(|| Arc::new(options))
    }
}

impl Default for Members {
    fn default() -> Self {
        Self {
            settings: Settings::empty(),
            options: None,
            sinks: Vec::new(),
            sources: Vec::new(),
            queues: HashMap::new(),
            spread: HashMap::new(),
        }
    }
}

impl Pool {
    /// Begins to send what is in a queue.
    pub(crate) fn serve(&self, queue: &Arc<ActionQueue>) {
        let mut members = self.members.lock();
        let before = members.queues.insert(queue.id().to_owned(), Arc::clone(queue));
        if before.is_none_or(|before| !Arc::ptr_eq(&before, queue)) {
            members.deal(queue);
        }
    }
}

impl Connector for Pool {
    fn status(&self) -> Status {
        let members = self.members.lock();
        if members.sinks.is_empty() {
            return self.without_clients(&members);
        }
        Status::worst(members.sinks.iter().chain(&members.sources).map(|member| member.view.status()))
    }

    fn update<'c>(&'c self, settings: &Settings) -> BoxFuture<'c, bool> {
        let wanted = {
            let mut members = self.members.lock();
            let Some(options) = members.plan(settings, &self.context) else {
                return Box::pin(std::future::ready(false));
            };
            let all = members.sinks.iter().chain(&members.sources);
            all.for_each(|member| member.tell(Command::Options(Arc::clone(&options))));
            members.settings = settings.clone();
            let wanted = options.sinks();
            members.options = Some(options);
            let stays = wanted.iter().eq(members.sinks.iter().map(|member| &member.login));
            (!stays).then_some(wanted)
        };
        Box::pin(async move {
            if let Some(wanted) = wanted {
                self.redeal(wanted).await;
            }
            true
        })
    }

    fn attach(&self, queue: &Arc<ActionQueue>, _: &Settings) {
        self.serve(queue);
    }

    fn detach(&self, id: &str) {
        let mut members = self.members.lock();
        if members.queues.remove(id).is_some() {
            members.sinks.iter().for_each(|member| member.tell(Command::Detach(id.into())));
        }
    }

    fn add_source(&self, source: Source) {
        let Some(options) = SourceOptions::read(&source.settings) else { return };
        self.put_source(SourceEntry::new(source.name, options, source.metrics));
    }

    fn remove_source(&self, name: &str) {
        let mut members = self.members.lock();
        for member in members.carriers(name).unwrap_or_default() {
            member.tell(Command::RemoveSource(name.into()));
        }
        members.spread.remove(name);
        self.say_origin(&members);
    }

    fn source_status(&self, name: &str) -> Option<Status> {
        let members = self.members.lock();
        let carriers = members.carriers(name)?;
        if carriers.is_empty() {
            return Some(self.without_clients(&members));
        }
        Some(Status::worst(carriers.iter().map(|member| member.view.source_status(name))))
    }

    fn stop(&self, deadline: Instant) -> BoxFuture<'_, ()> {
        let all = {
            let mut members = self.members.lock();
            let take = |member: &mut Member| Member {
                login: member.login.clone(),
                commands: member.commands.clone(),
                view: Arc::clone(&member.view),
                wake: Arc::clone(&member.wake),
                task: member.task.take(),
            };
            let Members { sinks, sources, .. } = &mut *members;
            sinks.iter_mut().chain(sources.iter_mut()).map(take).collect()
        };
        Box::pin(self.end(all, deadline))
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
