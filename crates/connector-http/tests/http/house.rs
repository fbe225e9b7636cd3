//! What stands in for the engine: opens connectors, renders rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Field, Settings};
use connector::testing::{self, Fixed};
use connector::{ActionQueue, ActionReading, Connector, Context, Guard, QueueOptions, Render, Row, State};
use event::{Completion, Dispatch, Event, EventKind};
use testkit::wait_for;
use value::{Arena, Entry, Value};

/// HTTP connectors have no sources.
struct NoEvents;

impl Dispatch for NoEvents {
    fn dispatch(&self, _: &Event<'_>, _: Option<&Completion>) {
        panic!("an HTTP connector gives no events");
    }

    fn wants(&self, _: EventKind) -> bool {
        false
    }
}

pub(crate) fn context(guard: Guard) -> Context {
    Context {
        name: "cloud".into(),
        node: "abc".into(),
        dispatch: Arc::new(NoEvents),
        runtime: tokio::runtime::Handle::current(),
        guard: Arc::new(guard),
        broken: Arc::default(),
    }
}

pub(crate) fn settings(toml: &str, fields: &'static [Field]) -> Settings {
    testing::settings(toml, fields, |_, _| {})
}

/// A connector with the settings of a test.
pub(crate) fn open(toml: &str) -> Arc<dyn Connector> {
    open_guarded(toml, Guard::default())
}

pub(crate) fn open_guarded(toml: &str, guard: Guard) -> Arc<dyn Connector> {
    (connector_http::KIND.open)(settings(toml, connector_http::KIND.fields), context(guard))
}

/// Waits until the status is so, and gives the reason.
pub(crate) async fn status(connector: &Arc<dyn Connector>, state: State, reason: &str) {
    wait_for(&format!("the status is {state} because of {reason:?}"), async || {
        let status = connector.status();
        if status.state == state && status.reason.contains(reason) {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
}

/// An action with its queue: sends `${body}` to `/${topic}` unless it is told otherwise.
pub(crate) struct Action {
    pub(crate) queue: Arc<ActionQueue>,
    pub(crate) settings: Settings,
    render: Box<dyn Render>,
}

impl Action {
    pub(crate) fn new(parameters: &str, resource_opts: &str) -> Self {
        Self::named("http:test", parameters, resource_opts)
    }

    /// One beside others: its name tells it from them.
    pub(crate) fn named(id: &str, parameters: &str, resource_opts: &str) -> Self {
        let toml = format!(
            "connector = \"c\"\nparameters = {{ path = \"/${{topic}}\", body = \"${{body}}\"{parameters} }}\n\
             resource_opts = {{ {resource_opts} }}"
        );
        let (render, settings) = testing::compiled(&connector_http::KIND, &toml).unwrap();
        let options = QueueOptions {
            request_ttl: None,
            ..connector::options::queue_options(settings.table("resource_opts"))
        };
        Self { queue: ActionQueue::in_memory(id, options), settings, render }
    }

    /// One that is served by this connector.
    pub(crate) fn served(connector: &Arc<dyn Connector>, parameters: &str, resource_opts: &str) -> Self {
        let action = Self::new(parameters, resource_opts);
        connector.attach(&action.queue, &action.settings);
        action
    }

    pub(crate) fn send(&self, topic: &str, body: &str) {
        let row = [
            Entry { key: b"topic", value: Value::text(topic) },
            Entry { key: b"body", value: Value::text(body) },
        ];
        let (arena, mut request) = (Arena::new(), Vec::new());
        self.render
            .render(&Row { scope: &Fixed(&row), properties: None, hops: 0, at_ms: 0 }, &arena, &mut request)
            .unwrap();
        let key = topic.bytes().fold(7u64, |key, byte| key.wrapping_mul(31).wrapping_add(u64::from(byte)));
        self.queue.push(key, &request, None, Instant::now());
    }

    pub(crate) fn reading(&self) -> ActionReading {
        let reading = self.queue.reading(Instant::now());
        assert!(reading.balances(), "{reading:?}");
        reading
    }

    /// Waits until nothing is queued or in flight.
    pub(crate) async fn drained(&self) -> ActionReading {
        wait_for("the queue is empty", async || {
            let reading = self.reading();
            if reading.fill.queuing + reading.fill.inflight == 0 {
                Ok(reading)
            } else {
                Err(format!("{reading:?}"))
            }
        })
        .await
    }
}

/// A moment that leaves enough time for everything.
pub(crate) fn later() -> Instant {
    Instant::now() + Duration::from_secs(10)
}
