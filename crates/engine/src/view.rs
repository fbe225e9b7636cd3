//! What the engine shows of itself: plain data for whoever presents it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub use config::Category;
use config::{Section, SettingPath};
use connector::{ActionReading, HistogramReading, Status};
use diagnostic::{Code, Diagnostic, Source, Span};

use crate::metrics::{RateReading, RuleReading};

/// The id of a resource within its category: `mqtt:cloud`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId {
    /// The kind of connector it belongs to.
    pub kind: Arc<str>,
    /// Its name, unique among those of its kind.
    pub name: Arc<str>,
}

impl ResourceId {
    /// Puts the parts together.
    pub fn new(kind: &str, name: &str) -> Self {
        Self { kind: kind.into(), name: name.into() }
    }

    /// Reads `kind:name`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        (!kind.is_empty() && !name.is_empty()).then(|| Self::new(kind, name))
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.kind, self.name)
    }
}

/// Who may change an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManagedBy {
    /// The file that declares it.
    File(Arc<Path>),
    /// Whoever calls the REST API.
    Rest,
}

/// A diagnostic together with the text it points into.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The file, or the body of a request.
    pub source: Arc<Source>,
    /// What is wrong there.
    pub diagnostic: Diagnostic,
    /// Of what came over the API, the setting of the body that is at fault; then the diagnostic's own place is none.
    pub setting: Option<SettingPath>,
}

impl Finding {
    /// What is wrong in a text.
    pub fn new(source: Arc<Source>, diagnostic: Diagnostic) -> Finding {
        Finding { source, diagnostic, setting: None }
    }

    /// What is wrong with the body of a request, which the text of `section` says in other words: the path of the setting
    /// tells where, and there is no text to point into.
    pub(crate) fn of_body(diagnostics: Vec<Diagnostic>, section: &Section) -> Vec<Finding> {
        let source = Arc::new(Source::new("body", ""));
        let finding = |mut diagnostic: Diagnostic| {
            let setting = SettingPath::of(section, &diagnostic);
            diagnostic.span = Span::at(0);
            diagnostic.related.clear();
            Finding { source: Arc::clone(&source), diagnostic, setting }
        };
        diagnostics.into_iter().map(finding).collect()
    }
}

/// A rule as it runs, or why it does not.
#[derive(Debug, Clone)]
pub struct RuleView {
    /// Its id.
    pub id: Arc<str>,
    /// A name for people; may be empty.
    pub name: String,
    /// The SQL.
    pub sql: String,
    /// The FROM filters.
    pub from: Vec<String>,
    /// The actions as they are declared: `"type:name"` or `{function, args}`.
    pub actions: Vec<serde_json::Value>,
    /// Each declared action that is a resource, and how its connector is; `None` where it does not exist.
    pub action_details: Vec<(ResourceId, Option<Status>)>,
    /// Whether it is to run.
    pub enable: bool,
    /// Whether it does, in this version or its last good one.
    pub runs: bool,
    /// What it is for.
    pub description: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// When the file, or the stored object, was first seen.
    pub created_at: SystemTime,
    /// When it was last changed.
    pub last_modified_at: SystemTime,
    /// Who may change it.
    pub managed_by: ManagedBy,
    /// What is wrong with the newest version; the rule then runs in its last good one, or not at all.
    pub errors: Vec<Finding>,
}

/// A connector, source or action as it is.
#[derive(Debug, Clone)]
pub struct ResourceView {
    /// Which list it belongs to.
    pub category: Category,
    /// Its id.
    pub id: ResourceId,
    /// Whether it is to run.
    pub enable: bool,
    /// Its settings with defaults filled in and secrets hidden: a JSON object.
    pub settings: serde_json::Value,
    /// When the file that declares it was last changed.
    pub last_modified_at: SystemTime,
    /// How it is.
    pub status: Status,
    /// Who may change it.
    pub managed_by: ManagedBy,
    /// What is wrong with the newest version.
    pub errors: Vec<Finding>,
}

/// The metrics of a resource.
#[derive(Debug, Clone)]
pub enum ResourceReading {
    /// Of a connector: what those that are on it count together.
    Connector {
        /// Its actions.
        actions: ActionReading,
        /// Messages that its sources received.
        received: u64,
    },
    /// Of an action.
    Action {
        /// What was counted, and what it holds.
        reading: ActionReading,
        /// How fast `matched` rises.
        rate: RateReading,
        /// How long a sample of the requests took to be delivered.
        delivery: HistogramReading,
    },
    /// Of a source: messages received.
    Source {
        /// Messages received from the remote.
        received: u64,
        /// How fast that rises.
        rate: RateReading,
    },
}

/// The metrics of a rule.
#[derive(Debug, Clone)]
pub struct RuleMetricsView {
    /// Its id.
    pub id: Arc<str>,
    /// The reading.
    pub reading: RuleReading,
    /// How long evaluating took, of a sample of the events.
    pub evaluation: HistogramReading,
}

/// Messages on disk whose action is declared nowhere. They are sent when it is declared again.
#[derive(Debug, Clone)]
pub struct OrphanView {
    /// The id of the action.
    pub id: ResourceId,
    /// How many there are; `None` where the files cannot be read.
    pub messages: Option<u64>,
    /// What the files take (bytes).
    pub bytes: u64,
    /// Why they cannot be read.
    pub error: Option<String>,
}

/// What a reload did.
#[derive(Debug, Clone)]
pub struct ReloadOutcome {
    /// The generation that is live now.
    pub generation: u64,
    /// Rules that run.
    pub rules: usize,
    /// Whether anything changed.
    pub changed: bool,
    /// Whether nothing changed because `strict` forbids errors.
    pub refused: bool,
    /// Every problem of every file, errors and warnings.
    pub findings: Vec<Finding>,
}

/// Why a change over the API was not made.
#[derive(Debug, Clone)]
pub enum WriteError {
    /// Something of this id exists already.
    AlreadyExists,
    /// Nothing of this id exists.
    NotFound,
    /// It is declared by a file, which is where it must be changed.
    ManagedByFile(PathBuf),
    /// The id or name has characters that are not allowed.
    BadName(String),
    /// There is no such kind of connector.
    UnknownKind(String),
    /// Others still use it: their ids.
    InUse(Vec<String>),
    /// So many messages wait in its buffer, and would be discarded with it.
    Buffered(u64),
    /// The settings or the SQL are wrong.
    Invalid(Vec<Finding>),
    /// `[rules] strict` is set, and with the change there would be these errors, in whichever files.
    Strict(Vec<Finding>),
    /// The data folder could not be written.
    Storage(String),
    /// It broke off because of a mistake in the server; what was in force stays so.
    BrokeOff,
    /// The server is stopping.
    Closed,
}

/// What was created or replaced over the API.
#[derive(Debug, Clone)]
pub struct Written<V> {
    /// As it is now.
    pub view: V,
    /// What is probably not meant so, placed as errors would be.
    pub warnings: Vec<Finding>,
}

impl WriteError {
    /// A setting that must be there is missing from the body.
    pub(crate) fn missing(name: &str) -> Self {
        let diagnostic = Diagnostic::new(Code::MissingKey, Span::at(0), format!("`{name}` is missing"));
        WriteError::Invalid(Finding::of_body(vec![diagnostic.lacks(name)], &Section::default()))
    }
}

/// Why a resource was not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// Nothing of this id exists.
    NotFound,
    /// It is disabled, or its connector is: the id of what is.
    Disabled(ResourceId),
}

/// Why a probe did not succeed.
#[derive(Debug, Clone)]
pub enum ProbeError {
    /// There is no such kind of connector.
    UnknownKind(String),
    /// The settings are wrong.
    Invalid(Vec<Finding>),
    /// The far side cannot be used: the stage that failed, in words.
    Failed(String),
}
