use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use event::{Completion, Dispatch, EventKind, LocalMessage, LocalPublish, MessageId, PublishError, Trail};
use executor::Executor;
use mqtt::QoS;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio_util::task::TaskTracker;
use topic::TopicName;

use crate::acl::Permissions;
use crate::admission;
use crate::config::{Bound, BrokerConfig, Listener};
use crate::crowd::Crowd;
use crate::gate::{Gate, ListenerMetrics};
use crate::inbox::Inbox;
use crate::inflight::Slot;
use crate::janitor::Janitor;
use crate::listener::{self, ListenError};
use crate::message::{Now, Numbers};
use crate::metrics::{Counters, Metrics, Tally};
use crate::publish::{From, Publication, Safekeeping};
use crate::retained::Retained;
use crate::route_cache::RouteCache;
use crate::session::{Kept, Session};
use crate::store::{Change, Persistence, Store, StoreError};
use crate::subscriptions::Subscriptions;
use crate::sys;
use crate::will::{Will, Wills};

/// The embedded broker.
///
/// [`Broker::new`] makes one that routes what the server itself publishes; [`Broker::open`] gives it its rules and lets
/// clients in.
pub struct Broker {
    pub(crate) config: BrokerConfig,
    /// The part of message ids that tells nodes apart.
    pub(crate) node_hash: u32,
    /// Hands out blocks of message numbers.
    pub(crate) numbers: AtomicU32,
    pub(crate) sessions: DashMap<Arc<str>, Arc<Session>>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) wills: Wills,
    pub(crate) retained: Retained,
    pub(crate) crowd: Crowd,
    pub(crate) counters: Counters,
    /// The listeners, once they are open.
    gates: OnceLock<Vec<Arc<Gate>>>,
    /// Clients connected.
    pub(crate) clients: AtomicUsize,
    pub(crate) janitor: Janitor,
    /// When the broker was made.
    pub(crate) started: Instant,
    pub(crate) store: Option<Arc<Store>>,
    /// The number of the session that was begun last.
    pub(crate) session_last: AtomicU64,
    /// Tasks of listeners and connections: awaited by [`Broker::shutdown`].
    pub(crate) tasks: TaskTracker,
    /// Empty before `open` and after `shutdown`, which breaks the circle of rules that publish to this broker.
    rules: ArcSwapOption<Rules>,
    phase: watch::Sender<Phase>,
    /// Routes for what the server publishes. A lock, since any thread may; who does not get it goes without.
    local: Mutex<Local>,
}

struct Local {
    routes: RouteCache,
    numbers: Numbers,
}

impl Default for Local {
    fn default() -> Self {
        // Of all rules and sources together.
        Self { routes: RouteCache::with_places_max(4096), numbers: Numbers::default() }
    }
}

struct Rules(Arc<dyn Dispatch>);

/// How far a broker is with closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It is not.
    Open,
    /// It takes no new connections.
    Deaf,
    /// Every connection is to end.
    Closing,
}

/// A session that a connection has, until it lets go of `kept`.
pub(crate) struct Claimed {
    pub(crate) session: Arc<Session>,
    pub(crate) claim: u64,
    pub(crate) kept: OwnedMutexGuard<Kept>,
}

impl Broker {
    /// A broker without listeners and rules.
    pub fn new(config: BrokerConfig) -> Arc<Self> {
        Arc::new(Self::with_store(config, None))
    }

    /// A broker whose persistent sessions and retained messages are kept on the disk, and what an earlier one has left
    /// there. Blocks while it reads.
    pub fn restore(config: BrokerConfig, persistence: &Persistence) -> Result<Arc<Self>, StoreError> {
        let (store, image) = Store::open(persistence)?;
        let broker = Arc::new(Self::with_store(config, Some(Arc::new(store))));
        broker.take_over(image);
        Ok(broker)
    }

    fn with_store(config: BrokerConfig, store: Option<Arc<Store>>) -> Self {
        Self {
            node_hash: (rustc_hash::FxBuildHasher.hash_one(&config.node) >> 32) as u32,
            numbers: AtomicU32::new(0),
            sessions: DashMap::new(),
            subscriptions: Subscriptions::default(),
            wills: Wills::default(),
            retained: Retained::new(config.retained_messages_max, config.retained_bytes_max),
            crowd: Crowd::default(),
            counters: Counters::default(),
            gates: OnceLock::new(),
            clients: AtomicUsize::new(0),
            janitor: Janitor::default(),
            started: Instant::now(),
            store,
            session_last: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            rules: ArcSwapOption::empty(),
            phase: watch::Sender::new(Phase::Open),
            local: Mutex::default(),
            config,
        }
    }

    /// Gives events to `rules` from now on, and lets clients in at every listener. Returns the addresses bound, in
    /// order; if one cannot be bound, none is. Call it once, on a runtime.
    pub async fn open(
        self: &Arc<Self>,
        rules: Arc<dyn Dispatch>,
        listeners: &[Listener],
    ) -> Result<Vec<Bound>, ListenError> {
        let sockets = listener::bind(listeners).await?;
        self.rules.store(Some(Arc::new(Rules(rules))));
        let broker = Arc::clone(self);
        self.tasks.spawn(async move {
            let work = || broker.janitor.work(&broker, broker.reached(Phase::Closing));
            supervise::restarting("the janitor of sessions", work).await
        });
        if let Some(interval) = self.config.sys_interval {
            let broker = Arc::clone(self);
            self.tasks.spawn(async move {
                supervise::restarting("the publisher of `$SYS`", || sys::publish(&broker, interval)).await
            });
        }
        let executor = Executor::start(&Handle::current());
        let (mut bound, mut gates) = (Vec::new(), Vec::new());
        for (gate, socket, address) in sockets {
            let gate = Arc::new(gate);
            bound.push(Bound { name: gate.listener.name.clone(), address });
            gates.push(Arc::clone(&gate));
            let (broker, executor) = (Arc::clone(self), executor.clone());
            self.tasks.spawn(async move {
                let what = format!("the listener `{}`", gate.listener.name);
                supervise::restarting(what, || listener::listen(&broker, &gate, &socket, &executor)).await
            });
        }
        let _ = self.gates.set(gates);
        Ok(bound)
    }

    /// Takes no new connections from now on. Those that are there stay.
    pub fn stop_listening(&self) {
        self.phase
            .send_if_modified(|phase| std::mem::replace(phase, (*phase).max(Phase::Deaf)) < Phase::Deaf);
    }

    /// Ends every connection (in MQTT 5 with `server shutting down`), publishes no wills, and waits until all tasks are
    /// done or `deadline` has passed. Returns whether all were done. Publishing fails from now on.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        self.phase.send_replace(Phase::Closing);
        for session in &self.sessions {
            session.stop();
        }
        self.tasks.close();
        let done = tokio::time::timeout(deadline, self.tasks.wait()).await.is_ok();
        self.rules.store(None);
        if let Some(store) = self.store.clone() {
            // Its thread may have to write, which is nothing to wait for on this one.
            let _ = tokio::task::spawn_blocking(move || store.close()).await;
        }
        done
    }

    /// The counters at this moment.
    pub fn metrics(&self) -> Metrics {
        Metrics {
            connections: self.clients.load(Ordering::Relaxed),
            sessions: self.sessions.len(),
            subscriptions: self.subscriptions.len(),
            subscription_bytes: self.subscriptions.bytes(),
            will_bytes: self.wills.bytes(),
            retained: self.retained.len(),
            queued_bytes: self.queued_bytes(),
            is_crowded: self.is_crowded(),
            store_bytes: self.store().map_or(0, Store::log_bytes),
            store_healthy: self.store().is_none_or(Store::is_healthy),
            ..self.counters.snapshot()
        }
    }

    /// The counters of each listener at this moment.
    pub fn listener_metrics(&self) -> Vec<ListenerMetrics> {
        self.gates.get().into_iter().flatten().map(|gate| gate.metrics()).collect()
    }

    /// Waits until closing has come this far.
    pub(crate) async fn reached(&self, phase: Phase) {
        // The sender lives as long as the broker: there is no other way to fail.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.phase.borrow() == Phase::Closing
    }

    /// The rules, once there are any.
    pub(crate) fn rules(&self) -> Option<Arc<dyn Dispatch>> {
        self.rules.load().as_ref().map(|rules| Arc::clone(&rules.0))
    }

    /// Gets a session for a connection: the one of this client id, or a new one. Whoever has it is told to end, and is
    /// waited for. `None` if yet another connection has asked for it in the meantime, or the broker closes.
    pub(crate) async fn claim(&self, clientid: &Arc<str>, clean_start: bool) -> Option<Claimed> {
        loop {
            let session = Arc::clone(
                self.sessions
                    .entry(Arc::clone(clientid))
                    .or_insert_with(|| Arc::new(self.new_session(Arc::clone(clientid))))
                    .value(),
            );
            let claim = session.claim(clean_start);
            let mut kept = Arc::clone(&session.kept).lock_owned().await;
            if kept.is_over {
                continue;
            }
            if !session.is_latest(claim) || self.is_closing() {
                return None;
            }
            if clean_start && kept.is_old {
                self.end_session(&session, &mut kept);
                continue;
            }
            self.janitor.forget(&session, &mut kept);
            return Some(Claimed { session, claim, kept });
        }
    }

    /// Whether this client would have to get a new session that is kept, and there are too many.
    pub(crate) fn is_full_for(&self, clientid: &str) -> bool {
        self.sessions.len() >= self.config.sessions_max && !self.sessions.contains_key(clientid)
    }

    fn new_session(&self, clientid: Arc<str>) -> Session {
        let number = self.session_last.fetch_add(1, Ordering::Relaxed) + 1;
        Session::new(clientid, number, self.new_inbox())
    }

    pub(crate) fn new_inbox(&self) -> Inbox {
        let limits = &self.config.limits;
        Inbox::new(limits.session_messages_max, limits.session_bytes_max)
    }

    /// The store, if sessions and retained messages are to outlive the process.
    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_deref()
    }

    /// Forgets a session. A will that was delayed goes out now [MQTT-3.1.3-9].
    pub(crate) fn end_session(&self, session: &Arc<Session>, kept: &mut Kept) {
        kept.is_over = true;
        self.janitor.forget(session, kept);
        self.sessions.remove_if(&session.clientid, |_, there| Arc::ptr_eq(there, session));
        for subscribed in std::mem::take(&mut kept.subscriptions).into_values() {
            self.subscriptions.remove(&subscribed.subscription, session);
        }
        self.subscriptions.give_back(std::mem::take(&mut kept.subscription_bytes));
        // In this order: what others are to get is stored for them before it goes with the session.
        self.hand_on(session, kept);
        if let Some(store) = self.store().filter(|_| session.is_stored()) {
            store.note(Change::Ended { session: session.number });
        }
        self.publish_will(kept.will.take().as_deref());
    }

    /// Gives what came through share groups, and this session has not got, to other members [MQTT-4.8.2-4]. A message of
    /// QoS 2 that is under way goes to nobody else [MQTT-4.8.2-5].
    fn hand_on(&self, session: &Session, kept: &mut Kept) {
        let under_way = kept.inflight.drain().filter_map(|slot| match slot {
            Slot::Published(delivery) if delivery.qos == QoS::AtLeastOnce => Some(delivery),
            Slot::Published(_) | Slot::Released(_) | Slot::Gap => None,
        });
        let waiting = session.inbox.close();
        let rules = self.rules();
        let (mut tally, mut keeping) = (Tally::default(), Safekeeping::default());
        for delivery in under_way.chain(waiting) {
            let Some(group) = &delivery.share else { continue };
            let Some(member) = group.next() else { continue };
            let delivery = member.delivery(&delivery.message, group);
            self.offer(&member.session, delivery, rules.as_deref(), &mut tally, &mut keeping);
        }
        self.keep(&mut keeping, rules.as_deref(), &mut tally);
        self.counters.add(&mut tally);
    }

    /// Publishes a will, if there is one, and if its client still may: the access list may have changed since CONNECT.
    pub(crate) fn publish_will(&self, will: Option<&Will>) {
        let Some(will) = will else { return };
        let rules = self.rules();
        if !self.may_publish(will, rules.as_deref()) {
            tracing::debug!(
                clientid = &*will.publisher.clientid,
                topic = will.topic,
                "a will may not be published"
            );
            self.counters.add(&mut Tally { dropped_not_authorized: 1, ..Tally::default() });
            return;
        }
        let now = Now::read();
        let publication = Publication {
            id: self.next_id(now),
            topic: &will.topic,
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            dup: false,
            properties: will.properties.as_ref(),
            from: From::Client(&will.publisher),
            now,
            trail: &Trail::empty(),
        };
        self.publish_own(&publication, rules, None);
    }

    /// What the access list says of a will. Tells those rules that want to know.
    fn may_publish(&self, will: &Will, rules: Option<&dyn Dispatch>) -> bool {
        let who = will.publisher.who();
        let verdict = Permissions::of(&self.config.acl, &who).check(&self.config.acl, &who, will.access());
        if let Some(rules) = rules {
            admission::authorized(self, rules, &who, will.access(), verdict);
        }
        verdict.is_allowed()
    }

    /// Publishes what no connection reads at the moment: routed through the broker's own routes if they are free.
    pub(crate) fn publish_own(
        &self,
        publication: &Publication<'_>,
        rules: Option<Arc<dyn Dispatch>>,
        completion: Option<&Completion>,
    ) -> usize {
        let mut tally = Tally::default();
        let mut deliver = |routes: &mut RouteCache| {
            let place = routes.get(&self.subscriptions, publication.topic, None);
            let mut part = || completion.map(Completion::part);
            let mut keeping = Safekeeping::default();
            self.deliver(place, publication, rules.as_deref(), &mut tally, &mut keeping, &mut part)
        };
        let taken = match self.local.try_lock() {
            Some(mut local) => deliver(&mut local.routes),
            None => deliver(&mut RouteCache::default()),
        };
        self.counters.add(&mut tally);
        if let Some(rules) = rules.filter(|rules| rules.wants(EventKind::MessagePublish)) {
            self.judge(publication, &*rules, completion);
        }
        taken
    }

    pub(crate) fn next_id(&self, now: Now) -> MessageId {
        match self.local.try_lock() {
            Some(mut local) => local.numbers.next_id(now, self.node_hash, &self.numbers),
            None => Numbers::default().next_id(now, self.node_hash, &self.numbers),
        }
    }
}

impl LocalPublish for Broker {
    fn publish(
        &self,
        message: &LocalMessage<'_>,
        completion: Option<&Completion>,
    ) -> Result<usize, PublishError> {
        if self.is_closing() {
            return Err(PublishError::Closed);
        }
        let topic = TopicName::parse(message.topic).map_err(|_| PublishError::InvalidTopic)?;
        if message.payload.len() + message.topic.len() > self.config.limits.packet_bytes_max as usize {
            return Err(PublishError::TooLarge);
        }
        let now = Now::read();
        let publication = Publication {
            id: self.next_id(now),
            topic: topic.as_str(),
            payload: message.payload,
            qos: QoS::try_from(message.qos).unwrap_or(QoS::ExactlyOnce),
            retain: message.retain && !message.direct,
            dup: false,
            properties: message.properties,
            from: From::Server { clientid: message.clientid, username: message.username },
            now,
            trail: &message.trail,
        };
        self.counters.add(&mut Tally { messages_republished: 1, ..Tally::default() });
        let rules = if message.direct { None } else { self.rules() };
        Ok(self.publish_own(&publication, rules, completion))
    }
}
