//! A router with an engine behind it, over a rules folder of its own.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use api::{ApiKey, ApiKeys, Context, FilesOutcome, FilesReload, Listener, MetricKind, Role, Sample};
use axum::body::Body;
use axum::http::Request;
use config::store::Store;
use config::{FileProblem, Secret};
use diagnostic::{Code, Diagnostic, Span};
use engine::{Category, DataConfig, Engine, EngineConfig, Kinds, ResourceView, State};
use event::{Completion, LocalMessage, LocalPublish, PublishError};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::far;
use crate::script::{Answer, Step};

pub(crate) struct Gate {
    context: Context,
    router: axum::Router,
    folder: TempDir,
}

/// An administrator `ops:s3cret` and a viewer `eye:look`.
pub(crate) fn keys() -> ApiKeys {
    let key = |key: &str, secret: &str, role| ApiKey { key: key.into(), secret: Secret::new(secret), role };
    ApiKeys::new([key("ops", "s3cret", Role::Administrator), key("eye", "look", Role::Viewer)])
}

impl Gate {
    pub(crate) async fn start(files: &[(String, String)], keys: ApiKeys) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["rules", "data"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        for (name, text) in files {
            std::fs::write(folder.path().join("rules").join(name), text).unwrap();
        }
        let listener = |name: &str, address: &str| Listener { name: name.into(), address: address.into() };
        let listeners = vec![listener("mqtt", "127.0.0.1:1883"), listener("http", "127.0.0.1:18083")];
        let context = Context {
            engine: start_engine(&folder).await,
            listeners: Arc::new(OnceLock::from(listeners)),
            broker: Arc::new(broker),
            local: Arc::new(|| None),
            certificates: Arc::new(Vec::new),
            process: Arc::new(Vec::new),
            access: Arc::new(access),
            started_at: Instant::now(),
            api_keys: Arc::new(keys),
        };
        Self { router: api::router(context.clone()), context, folder }
    }

    pub(crate) fn context(&self) -> Context {
        self.context.clone()
    }

    /// The same engine behind a server whose process cannot be asked without a panic.
    pub(crate) fn broken(&self) -> axum::Router {
        api::router(Context { process: Arc::new(|| panic!("as bugs do")), ..self.context() })
    }

    pub(crate) fn folder(&self) -> String {
        self.folder.path().display().to_string()
    }

    pub(crate) async fn ask(&self, step: &Step) -> Answer {
        let mut request = Request::builder().method(step.method.as_str()).uri(&step.path);
        for (name, value) in &step.headers {
            request = request.header(name, value);
        }
        self.send(request.body(Body::from(step.body.clone())).unwrap()).await
    }

    async fn settled(&self) {
        for category in Category::ALL {
            let moves = |view: &ResourceView| view.status.state == State::Connecting;
            while self.context.engine.resources(category).iter().any(moves) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Sends a request once every connector has become what it was told to be.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.settled().await;
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let body = axum::body::to_bytes(response.into_body(), 16 << 20).await.unwrap();
        Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }
}

/// One group of files that is well, and one with a mistake.
fn access() -> Vec<FilesReload> {
    let diagnostic = Diagnostic::new(Code::InvalidValue, Span::new(0, 3), "`dny` is no permission");
    let problem = FileProblem { path: "acl.toml".into(), text: "dny = 1".to_owned(), diagnostic };
    let read = |what: &str, file: &str, outcome, problems| FilesReload {
        what: what.to_owned(),
        files: vec![file.into()],
        outcome,
        problems,
    };
    vec![
        read("users and tokens", "users", FilesOutcome::Reloaded, Vec::new()),
        read("access list", "acl.toml", FilesOutcome::Failed, vec![problem]),
    ]
}

fn broker() -> Vec<Sample> {
    let sample = |name, help, kind, value| Sample { name, help, kind, labels: Vec::new(), value };
    vec![
        sample("mqtt_connections", "Open connections.", MetricKind::Gauge, 3.0),
        sample("mqtt_received_bytes", "Bytes read.", MetricKind::Counter, 4096.0),
    ]
}

static KINDS: Kinds = &[&far::KIND];

async fn start_engine(folder: &TempDir) -> Engine {
    let config = EngineConfig {
        node: "sluicegate@127.0.0.1".to_owned(),
        dirs: vec![folder.path().join("rules")],
        watch: false,
        strict: false,
        store: Store::open(&folder.path().join("data")).unwrap(),
        data: DataConfig { dir: folder.path().join("data"), dead_letter_bytes_max: 1 << 20 },
        kinds: KINDS,
        local: Arc::new(Nobody),
        surroundings: eval::Surroundings::default(),
        runtime: tokio::runtime::Handle::current(),
        guard: connector::Guard::default(),
        seed: 1,
    };
    let (engine, _) = tokio::task::spawn_blocking(|| Engine::start(config)).await.unwrap().unwrap();
    engine
}

/// A local broker without subscribers.
struct Nobody;

impl LocalPublish for Nobody {
    fn publish(&self, _: &LocalMessage<'_>, _: Option<&Completion>) -> Result<usize, PublishError> {
        Ok(0)
    }
}
