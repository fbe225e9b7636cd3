//! What a kind of connector declares, and what an open connector can do.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Field, Settings};
use diagnostic::{Diagnostic, Span};
use event::Dispatch;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::guard::Guard;
use crate::metrics::SourceMetrics;
use crate::queue::ActionQueue;
use crate::render::Render;
use crate::status::Status;

/// A future behind a pointer: what a trait object answers with.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Compiles the templates of an action from its checked section.
pub type CompileAction = fn(&Settings, &mut Vec<Diagnostic>) -> Option<Box<dyn Render>>;

/// One kind of connector, declared once: checks, defaults, docs and the API derive from it.
///
/// The three lists of fields declare whole sections, common settings and tables included, in the order of the docs.
#[derive(Debug)]
pub struct ConnectorKind {
    /// The type in `connectors.TYPE.NAME` and in `TYPE:NAME`.
    pub name: &'static str,
    /// One sentence for the docs.
    pub summary: &'static str,
    /// `connectors.TYPE.NAME`.
    pub fields: &'static [Field],
    /// `sources.TYPE.NAME`; empty where there are no sources.
    pub source_fields: &'static [Field],
    /// `actions.TYPE.NAME`; empty where there are no actions.
    pub action_fields: &'static [Field],
    /// What the fields of a connector cannot say alone.
    pub check: fn(&Settings, &mut Vec<Diagnostic>),
    /// What the fields of a source cannot say alone.
    pub source: fn(&Settings, &mut Vec<Diagnostic>),
    /// Compiles the templates of an action; `None` if a diagnostic is an error.
    pub action: CompileAction,
    /// Opens a connector. Returns at once: connecting goes on in tasks of its own, and shows in the status.
    pub open: fn(Settings, Context) -> Arc<dyn Connector>,
    /// Whether the far side can be reached and lets us in, within the time given.
    pub probe: fn(Settings, Context, Duration) -> BoxFuture<'static, Result<(), ProbeError>>,
    /// What its settings say about the far side, for checks over several connectors.
    pub reach: Reach,
}

/// What can be read from checked settings without connecting.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// The far side of a connector: two connectors with the same one reach the same broker.
    pub place: fn(&Settings) -> Option<String>,
    /// The topic filter of a source.
    pub source_filter: fn(&Settings) -> Option<String>,
    /// Whether a source, given with its connector, leaves out what that connector has published.
    pub leaves_out_own: fn(&Settings, &Settings) -> bool,
    /// What of the far side a connector alone may use, in words, and where that is said.
    pub claims: fn(&Settings) -> Vec<(String, Span)>,
}

impl Reach {
    /// Of a kind about which there is nothing to say.
    pub const NOTHING: Reach = Reach {
        place: |_| None,
        source_filter: |_| None,
        leaves_out_own: |_, _| false,
        claims: |_| Vec::new(),
    };
}

/// What a connector needs of the house.
#[derive(Clone)]
pub struct Context {
    /// The name of the connector.
    pub name: Arc<str>,
    /// The name of this node.
    pub node: Arc<str>,
    /// Where the messages of its sources go.
    pub dispatch: Arc<dyn Dispatch>,
    /// Where its tasks run.
    pub runtime: tokio::runtime::Handle,
    /// Where it may connect to; for connectors whose far side a REST client or a rule can choose.
    pub guard: Arc<Guard>,
    /// Told when one of its tasks ends in a panic.
    pub broken: Arc<Notify>,
}

impl Context {
    /// Runs a task of the connector. If it ends in a panic, the connector is opened anew, with all its tasks.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let (what, broken) = (format!("a task of the connector `{}`", self.name), Arc::clone(&self.broken));
        self.runtime.spawn(async move {
            if supervise::caught_in(what, task).await.is_err() {
                broken.notify_one();
            }
        })
    }
}

/// A connector that is open. Nothing here waits for the far side, except [`Connector::stop`] until its deadline.
pub trait Connector: Send + Sync {
    /// How it is: the worst of its connections.
    fn status(&self) -> Status;

    /// Takes other settings over with the connections that are there, as far as that can be done: waits a few seconds at
    /// most, and never for a far side that is away. `false` if it cannot, and then nothing has changed: it is to be opened
    /// anew.
    fn update<'c>(&'c self, _settings: &Settings) -> BoxFuture<'c, bool> {
        Box::pin(std::future::ready(false))
    }

    /// Begins to send what is in an action's queue, as its checked section says. A queue that is attached already stays so,
    /// with what it has under way; the section may have changed.
    fn attach(&self, queue: &Arc<ActionQueue>, settings: &Settings);

    /// Stops sending for the action of this id. What is unacknowledged is queued again.
    fn detach(&self, id: &str);

    /// Begins to receive. A source of this name that is there already is replaced.
    fn add_source(&self, source: Source);

    /// Stops receiving for good: the far side is told to forget the subscription.
    fn remove_source(&self, name: &str);

    /// How a source is: its connections, and whether the far side has accepted the subscription. `None` where there is
    /// no such source.
    fn source_status(&self, name: &str) -> Option<Status>;

    /// Stops taking messages in, sends what is queued and waits for its acknowledgements until `deadline`, then leaves
    /// politely. What is unacknowledged is queued again; what is not settled of sources stays unacknowledged.
    /// Subscriptions of lasting sessions stay.
    fn stop(&self, deadline: Instant) -> BoxFuture<'_, ()>;
}

/// A source that is to be received.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub name: Arc<str>,
    /// Its checked section.
    pub settings: Settings,
    /// Where it counts.
    pub metrics: Arc<SourceMetrics>,
}

/// Why a far side cannot be used, as far as one attempt can tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {reason}")]
pub struct ProbeError {
    /// How far the attempt came.
    pub stage: &'static str,
    /// What happened there.
    pub reason: String,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Context")
            .field("name", &self.name)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}
