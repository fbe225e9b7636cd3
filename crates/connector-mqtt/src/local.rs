//! Local topics on a broker that the user already runs: what its clients publish are events, and republish publishes
//! there.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use config::{Node, NodeValue, Section, Settings};
use connector::{
    ActionQueue, ActionReading, BoxFuture, Connector, Context, QueueOptions, SourceMetrics, Status,
};
use diagnostic::{Code, Diagnostic};
use event::{
    AckLevel, Completion, Dispatch, Event, EventKind, LocalMessage, LocalPublish, MessagePublish,
    PublishError,
};
use mqtt::{QoS, Version};
use parking_lot::Mutex;
use tokio::sync::Notify;
use topic::{Subscription, TopicName};

use crate::action::REQUEST_BYTES_MAX;
use crate::connector::Pool;
use crate::request;
use crate::settings::{self, SourceOptions};
use crate::subscriptions::SourceEntry;

/// How local topics are shared and acknowledged.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// The share group of the subscriptions, so that several nodes take turns.
    pub share_group: Option<String>,
    /// When the broker hears that a message is safe.
    pub ack: AckLevel,
}

/// The link to the broker of local topics.
///
/// The topic filters of the rules become subscriptions ([`LocalPublish::listen`]). What a rule publishes goes to the broker
/// and, as with the embedded one, to the rules at once; when it comes back from the broker it is known by its origin and
/// left out, so MQTT 5 is needed.
pub struct LocalLink {
    pool: Pool,
    queue: Arc<ActionQueue>,
    options: LocalOptions,
    received: Arc<SourceMetrics>,
    dispatch: Arc<Late>,
    /// What is subscribed to. A lock, since reloads and the end may come together; held for a moment only.
    filters: Mutex<BTreeSet<String>>,
    closed: AtomicBool,
}

/// The rules, which are made after the link that they publish to.
#[derive(Default)]
struct Late(OnceLock<Arc<dyn Dispatch>>);

impl Dispatch for Late {
    fn dispatch(&self, event: &Event<'_>, completion: Option<&Completion>) {
        match self.0.get() {
            Some(rules) => rules.dispatch(event, completion),
            // A part that nobody settles: the broker is to send it again.
            None => drop(completion.map(Completion::part)),
        }
    }

    fn wants(&self, kind: EventKind) -> bool {
        self.0.get().is_some_and(|rules| rules.wants(kind))
    }
}

/// The settings of the link: those of a connector, of which some have other defaults, since there is nobody else to keep
/// a message while we are away, and the origin of messages must be known.
pub fn local_section(server: Node, given: &Section) -> Section {
    let mut section = given.clone();
    section.set("server", server);
    for (name, value) in [
        ("proto_ver", NodeValue::Str("v5".to_owned())),
        ("clean_start", NodeValue::Bool(false)),
        ("pool_size", NodeValue::Int(1)),
    ] {
        if section.get(name).is_none() {
            section.set(name, Node::new(value));
        }
    }
    section
}

/// What fields alone cannot say about the settings of the link.
pub fn check_local(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    if settings::version(settings) != Version::V5 {
        let message = "the broker of local topics must speak MQTT 5: `proto_ver` is `v5`";
        diagnostics.push(Diagnostic::new(Code::InvalidValue, settings.span("proto_ver"), message));
    }
}

impl LocalLink {
    /// Connects. Nothing is subscribed to before [`LocalLink::open`].
    pub fn new(
        settings: Settings,
        node: &str,
        runtime: tokio::runtime::Handle,
        options: LocalOptions,
    ) -> Arc<Self> {
        let dispatch = Arc::new(Late::default());
        let rules: Arc<dyn Dispatch> = Arc::<Late>::clone(&dispatch);
        let (name, node_name) = ("local".into(), node.into());
        let broken = Arc::new(Notify::new());
        runtime.spawn({
            let broken = Arc::clone(&broken);
            async move {
                broken.notified().await;
                // Nothing local would come or go any more, and who depends on it would not know.
                supervise::lose("the link to the broker of local topics");
            }
        });
        let guard = Arc::default();
        let context = Context { name, node: node_name, dispatch: rules, runtime, guard, broken };
        // Nodes that share messages share their origin: what one of them publishes, none of them hears.
        let origin = format!("local/{}", options.share_group.as_deref().unwrap_or(node));
        let pool = Pool::local(settings, &context, origin.into());
        let bounds = QueueOptions::bounded(256 << 20);
        let queue = ActionQueue::in_memory("republish", bounds);
        pool.serve(&queue);
        Arc::new(Self {
            pool,
            queue,
            options,
            received: Arc::default(),
            dispatch,
            filters: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// Gives messages to `rules` from now on.
    pub fn open(&self, rules: Arc<dyn Dispatch>) {
        // Called once, like the broker's.
        let _ = self.dispatch.0.set(rules);
    }

    /// How the connection to the broker is.
    pub fn status(&self) -> Status {
        self.pool.status()
    }

    /// Messages that have come from the broker.
    pub fn received(&self) -> u64 {
        self.received.received()
    }

    /// What was published to the broker, and what waits for it.
    pub fn published(&self) -> ActionReading {
        self.queue.reading(Instant::now())
    }

    /// Takes nothing in any more, sends what rules have published until `deadline`, and leaves; the session stays.
    pub fn stop(&self, deadline: Instant) -> BoxFuture<'_, ()> {
        self.closed.store(true, Ordering::Release);
        self.pool.stop(deadline)
    }

    fn source(&self, filter: &str) -> Option<SourceEntry> {
        let text = match &self.options.share_group {
            Some(group) => format!("$share/{group}/{filter}"),
            None => filter.to_owned(),
        };
        let options = SourceOptions {
            subscription: Subscription::parse(&text).ok()?,
            filter: text.as_str().into(),
            qos: QoS::ExactlyOnce,
            no_local: true,
            retain_as_published: true,
            // Rules judge what happens, not what has happened before they were there.
            retained: false,
            ack: self.options.ack,
        };
        Some(SourceEntry::new(filter.into(), options, Arc::clone(&self.received)))
    }

    /// Lets the rules see what one of them has published.
    fn judge(&self, message: &LocalMessage<'_>, completion: Option<&Completion>) {
        if !self.dispatch.wants(EventKind::MessagePublish) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = now.as_millis() as i64;
        let house = self.pool.house();
        let columns = MessagePublish {
            id: house.message_id(now.as_micros() as u64),
            clientid: message.clientid,
            username: message.username,
            peername: None,
            topic: message.topic,
            qos: message.qos,
            retain: message.retain,
            dup: false,
            payload: message.payload,
            properties: message.properties,
            received_at_ms: now_ms,
            node: &house.node,
        };
        let event = Event {
            kind: EventKind::MessagePublish,
            from: [message.topic, ""],
            timestamp_ms: now_ms,
            columns: &columns,
            trail: &message.trail,
        };
        self.dispatch.dispatch(&event, completion);
    }
}

impl LocalPublish for LocalLink {
    fn publish(
        &self,
        message: &LocalMessage<'_>,
        completion: Option<&Completion>,
    ) -> Result<usize, PublishError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(PublishError::Closed);
        }
        TopicName::parse(message.topic).map_err(|_| PublishError::InvalidTopic)?;
        let mut bytes = Vec::with_capacity(message.topic.len() + message.payload.len() + 16);
        request::begin(&mut bytes, message.qos.min(2), message.retain && !message.direct);
        bytes.extend_from_slice(message.topic.as_bytes());
        request::end_topic(&mut bytes, 0);
        request::put_hops(&mut bytes, 0, message.trail.hops());
        if let Some(properties) = message.properties {
            if properties.message_expiry_interval.is_some() {
                request::put_time(&mut bytes, 0, crate::sending::now_ms());
            }
            request::put_properties(&mut bytes, 0, properties);
        }
        bytes.extend_from_slice(message.payload);
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(PublishError::TooLarge);
        }
        let mut key = DefaultHasher::new();
        (message.clientid, message.topic).hash(&mut key);
        self.queue.push(key.finish(), &bytes, completion, Instant::now());
        if !message.direct {
            self.judge(message, completion);
        }
        // How many sessions take it, the broker alone knows.
        Ok(1)
    }

    fn listen(&self, filters: &mut dyn Iterator<Item = &str>) {
        let wanted: BTreeSet<String> = filters.map(str::to_owned).collect();
        let mut filters = self.filters.lock();
        // New ones first, so that what both an old and a new filter match is heard throughout.
        for filter in wanted.difference(&filters) {
            if let Some(entry) = self.source(filter) {
                self.pool.put_source(entry);
            }
        }
        for filter in filters.difference(&wanted) {
            self.pool.remove_source(filter);
        }
        *filters = wanted;
    }
}
