//! An engine in a temporary folder, and what it is connected to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use config::store::Store;
use config::{Field, FieldDefault, FieldKind, field};
use connector::options::{ACTION_RESOURCE_OPTS, CONNECTOR, ENABLE, FALLBACK_ACTIONS};
use connector::publish::PublishTemplates;
use connector::{
    ActionQueue, BoxFuture, Connector, ConnectorKind, Context, Render, RenderError, Row, Source, Status,
    Taken, Verdict, Wake,
};
use engine::{DataConfig, Engine, EngineConfig, ReloadOutcome};
use event::{
    Acker, Column, Columns, Completion, Event, EventKind, LocalMessage, LocalPublish, MessageId,
    MessagePublish, Outcome, PublishError, Trail,
};
use parking_lot::Mutex;
use tempfile::TempDir;
use template::{Missing, Template};
use value::{Arena, Value};

/// A running engine.
pub(crate) struct House {
    pub(crate) dir: TempDir,
    pub(crate) engine: Engine,
    pub(crate) local: Arc<Local>,
}

impl House {
    /// Starts on the files given as (name, text).
    pub(crate) fn open(files: &[(&str, &str)]) -> (House, ReloadOutcome) {
        House::over(folder(files))
    }

    /// Starts on these files with `[rules] strict`.
    pub(crate) fn strict(files: &[(&str, &str)]) -> House {
        House::start(folder(files), true).0
    }

    /// Starts on a folder that is there, as after a restart.
    pub(crate) fn over(dir: TempDir) -> (House, ReloadOutcome) {
        House::start(dir, false)
    }

    fn start(dir: TempDir, strict: bool) -> (House, ReloadOutcome) {
        let local = Arc::new(Local::default());
        let (engine, outcome) = Engine::start(EngineConfig {
            node: "test@127.0.0.1".into(),
            dirs: vec![dir.path().join("rules")],
            watch: false,
            strict,
            store: Store::open(&dir.path().join("data")).unwrap(),
            data: DataConfig { dir: dir.path().join("data"), dead_letter_bytes_max: 1 << 20 },
            kinds: KINDS,
            local: Arc::clone(&local) as Arc<dyn LocalPublish>,
            surroundings: eval::Surroundings::default(),
            runtime: tokio::runtime::Handle::current(),
            guard: connector::Guard::default(),
            seed: 1,
        })
        .unwrap();
        *local.dispatch.lock() = Some(engine.dispatch());
        (House { dir, engine, local }, outcome)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        write(self.dir.path(), name, text);
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("rules").join(name)
    }

    /// Publishes a message as a client would.
    pub(crate) fn publish(&self, topic: &str, payload: &str) {
        self.local.emit(topic, payload.as_bytes(), &Trail::empty(), None);
    }

    /// What was published locally since the last call, as `topic payload`.
    pub(crate) fn published(&self) -> Vec<String> {
        std::mem::take(&mut *self.local.published.lock())
    }

    pub(crate) async fn reload(&self) -> ReloadOutcome {
        self.engine.reload().await.unwrap()
    }

    /// The messages of everything that was found, without warnings.
    pub(crate) fn errors(outcome: &ReloadOutcome) -> Vec<String> {
        let errors = outcome.findings.iter().filter(|finding| finding.diagnostic.is_error());
        errors.map(|finding| finding.diagnostic.message.clone()).collect()
    }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("rules")).unwrap();
    for (name, text) in files {
        write(dir.path(), name, text);
    }
    dir
}

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join("rules").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A local broker that remembers, and lets the rules see what is published.
#[derive(Default)]
pub(crate) struct Local {
    pub(crate) published: Mutex<Vec<String>>,
    breaks_listening: std::sync::atomic::AtomicBool,
    breaks_reading: Mutex<Option<Column>>,
    dispatch: Mutex<Option<Arc<dyn event::Dispatch>>>,
}

impl Local {
    /// Whether being told what rules listen to is to end in a panic.
    pub(crate) fn breaks_listening(&self, breaks: bool) {
        self.breaks_listening.store(breaks, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whoever reads this column of a message ends in a panic.
    pub(crate) fn breaks_reading(&self, column: Option<Column>) {
        *self.breaks_reading.lock() = column;
    }

    pub(crate) fn emit(&self, topic: &str, payload: &[u8], trail: &Trail, completion: Option<&Completion>) {
        let message = MessagePublish {
            id: MessageId::default(),
            clientid: "c1",
            username: None,
            peername: None,
            topic,
            qos: 1,
            retain: false,
            dup: false,
            payload,
            properties: None,
            received_at_ms: 1_700_000_000_000,
            node: "test@127.0.0.1",
        };
        let columns = Faulty { message: &message, breaks_reading: *self.breaks_reading.lock() };
        let event = Event {
            kind: EventKind::MessagePublish,
            from: [topic, ""],
            timestamp_ms: 1_700_000_000_000,
            columns: &columns,
            trail,
        };
        let dispatch = self.dispatch.lock().clone();
        dispatch.unwrap().dispatch(&event, completion);
    }
}

/// A message, one column of which nobody can read.
struct Faulty<'m> {
    message: &'m MessagePublish<'m>,
    breaks_reading: Option<Column>,
}

impl Columns for Faulty<'_> {
    fn get<'a>(&'a self, column: Column, arena: &'a Arena) -> Value<'a> {
        assert_ne!(Some(column), self.breaks_reading, "as bugs do");
        self.message.get(column, arena)
    }
}

impl LocalPublish for Local {
    fn publish(
        &self,
        message: &LocalMessage<'_>,
        completion: Option<&Completion>,
    ) -> Result<usize, PublishError> {
        assert_ne!(message.topic, "breaks publishing", "as bugs do");
        let text = format!("{} {}", message.topic, String::from_utf8_lossy(message.payload));
        self.published.lock().push(text);
        self.emit(message.topic, message.payload, &message.trail, completion);
        Ok(1)
    }

    fn listen(&self, _: &mut dyn Iterator<Item = &str>) {
        assert!(!self.breaks_listening.load(std::sync::atomic::Ordering::Relaxed), "as bugs do");
    }
}

/// Hears of acknowledgements.
#[derive(Default)]
pub(crate) struct Acks(pub(crate) Mutex<Vec<(u64, Outcome)>>);

impl Acker for Acks {
    fn settled(&self, ticket: u64, outcome: Outcome) {
        self.0.lock().push((ticket, outcome));
    }
}

pub(crate) static KINDS: engine::Kinds = &[&FAKE];

const CONNECTOR_FIELDS: &[Field] =
    &[ENABLE, field("server", FieldKind::Str, FieldDefault::Required, "Where it is.")];
const SOURCE_FIELDS: &[Field] = &[ENABLE, CONNECTOR];
const ACTION_FIELDS: &[Field] = &[
    ENABLE,
    CONNECTOR,
    field("topic", FieldKind::Template, FieldDefault::Required, "Where to."),
    field("qos", FieldKind::IntTemplate { min: 0, max: 2 }, FieldDefault::Int(1), "How."),
    field("retain", FieldKind::BoolTemplate, FieldDefault::Bool(false), "Whether it stays."),
    field("payload", FieldKind::Template, FieldDefault::Text(""), "What."),
    FALLBACK_ACTIONS,
    ACTION_RESOURCE_OPTS,
];

/// A kind of connector whose far side takes everything.
static FAKE: ConnectorKind = ConnectorKind {
    name: "fake",
    summary: "For tests.",
    fields: CONNECTOR_FIELDS,
    source_fields: SOURCE_FIELDS,
    action_fields: ACTION_FIELDS,
    check: |settings, _| assert_ne!(settings.str("server"), "breaks check", "as bugs do"),
    source: |_, _| {},
    action: |settings, diagnostics| {
        let templates = PublishTemplates::compile(settings, Missing::Empty, diagnostics)?;
        Some(Box::new(FakeRender { templates, topic: settings.str("topic").to_owned() }))
    },
    open,
    probe: |settings: config::Settings, _: Context, _| {
        Box::pin(async move {
            match settings.str("server") {
                "down" => Err(connector::ProbeError { stage: "TCP", reason: "refused".into() }),
                _ => Ok(()),
            }
        })
    },
    reach: connector::Reach::NOTHING,
};

/// How often the server of each name has been opened.
pub(crate) static OPENED: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[allow(clippy::needless_pass_by_value)] // the contract is the same for connectors that keep them
fn open(settings: config::Settings, context: Context) -> Arc<dyn Connector> {
    let server = settings.str("server").to_owned();
    let is_first = {
        let mut opened = OPENED.lock();
        opened.push(server.clone());
        opened.iter().filter(|other| **other == server).count() == 1
    };
    assert!(server != "breaks open" || !is_first, "as bugs do");
    if server == "breaks task" && is_first {
        drop(context.spawn(async { panic!("as bugs do") }));
    }
    Arc::new(Fake { server })
}

struct FakeRender {
    templates: PublishTemplates,
    /// As it is declared: with some of them it breaks.
    topic: String,
}

impl Render for FakeRender {
    fn render(&self, row: &Row<'_>, arena: &Arena, out: &mut Vec<u8>) -> Result<(), RenderError> {
        assert_ne!(self.topic, "breaks rendering", "as bugs do");
        self.templates.render_topic(row, arena, out)?;
        out.push(b' ');
        self.templates.render_payload(row, arena, out);
        Ok(())
    }

    fn describe(&self, request: &[u8]) -> serde_json::Value {
        String::from_utf8_lossy(request).into()
    }

    fn templates(&self) -> Vec<(&'static str, &Template)> {
        assert_ne!(self.topic, "breaks assembling", "as bugs do");
        self.templates.templates()
    }
}

/// Sends nothing by itself: tests do, by [`sent`].
struct Fake {
    server: String,
}

/// Takes everything out of a queue and says that it arrived. Must not be called while a connector has the queue.
pub(crate) fn sent(queue: &Arc<ActionQueue>) -> Vec<String> {
    let mut reader = queue.reader(0, 1, &Arc::new(Wake::default()));
    let mut taken: Vec<Taken> = Vec::new();
    reader.take(usize::MAX, Instant::now(), &mut taken);
    for one in &taken {
        reader.settle(one.lane, one.seq, Verdict::Success);
    }
    taken.iter().map(|one| String::from_utf8_lossy(&one.request).into_owned()).collect()
}

/// The queues that a fake connector of this name has been given.
pub(crate) static QUEUES: Mutex<Vec<(String, Arc<ActionQueue>)>> = Mutex::new(Vec::new());

impl Connector for Fake {
    fn status(&self) -> Status {
        if self.server == "down" { Status::disconnected("TCP: refused") } else { Status::connected() }
    }

    fn attach(&self, queue: &Arc<ActionQueue>, _: &config::Settings) {
        let mut queues = QUEUES.lock();
        if !queues.iter().any(|(_, known)| Arc::ptr_eq(known, queue)) {
            queues.push((self.server.clone(), Arc::clone(queue)));
        }
    }

    fn detach(&self, id: &str) {
        QUEUES.lock().retain(|(server, queue)| *server != self.server || queue.id() != id);
    }

    fn add_source(&self, _source: Source) {}

    fn remove_source(&self, _name: &str) {}

    fn source_status(&self, _name: &str) -> Option<Status> {
        Some(self.status())
    }

    fn stop(&self, _deadline: Instant) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// The queue that a connector to `server` was given, once it was.
pub(crate) async fn queue_of(server: &str) -> Arc<ActionQueue> {
    for _ in 0..1000 {
        if let Some((_, queue)) = QUEUES.lock().iter().find(|(name, _)| name == server) {
            return Arc::clone(queue);
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    panic!("no queue was attached to `{server}`");
}
