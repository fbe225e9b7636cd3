//! What stands in for the engine: opens connectors, renders rows, takes events.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use config::Settings;
use connector::testing::{self, Fixed};
use connector::{
    ActionQueue, ActionReading, Connector, Context, QueueOptions, Render, Row, Source, SourceMetrics, State,
};
use event::{AckLevel, Column, Completion, Dispatch, Event, EventKind, Part, Properties};
use testkit::wait_for;
use value::{Arena, Entry, Value};

/// A connector with the settings of a test.
pub(crate) fn open(toml: &str, house: &Arc<House>) -> Arc<dyn Connector> {
    (connector_mqtt::KIND.open)(settings(toml), house.context())
}

pub(crate) fn settings(toml: &str) -> Settings {
    testing::settings(toml, connector_mqtt::KIND.fields, connector_mqtt::KIND.check)
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

pub(crate) async fn source_status(connector: &Arc<dyn Connector>, name: &str, state: State, reason: &str) {
    wait_for(&format!("the source is {state} because of {reason:?}"), async || {
        match connector.source_status(name) {
            Some(status) if status.state == state && status.reason.contains(reason) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// An action with its queue.
pub(crate) struct Action {
    pub(crate) queue: Arc<ActionQueue>,
    pub(crate) settings: Settings,
    render: Box<dyn Render>,
}

impl Action {
    /// One that publishes to the topic and with the payload that [`Action::send`] gives it.
    pub(crate) fn new(qos: u8) -> Self {
        Self::with(qos, QueueOptions::bounded(64 << 20))
    }

    pub(crate) fn with(qos: u8, options: QueueOptions) -> Self {
        let toml = format!(
            "connector = \"c\"\nparameters = {{ topic = \"${{topic}}\", payload = \"${{payload}}\", qos = {qos} }}"
        );
        let (render, settings) = testing::compiled(&connector_mqtt::KIND, &toml).unwrap();
        Self { queue: ActionQueue::in_memory("mqtt:test", options), settings, render }
    }

    pub(crate) fn send(&self, topic: &str, payload: &str) {
        self.send_for(topic, payload, None);
    }

    pub(crate) fn send_for(&self, topic: &str, payload: &str, completion: Option<&Completion>) {
        let from = From { properties: None, hops: 0, at_ms: 0 };
        self.send_from(topic, payload, completion, &from);
    }

    /// Sends on what came in such a way.
    pub(crate) fn send_from(
        &self,
        topic: &str,
        payload: &str,
        completion: Option<&Completion>,
        from: &From<'_>,
    ) {
        let row = [
            Entry { key: b"topic", value: Value::text(topic) },
            Entry { key: b"payload", value: Value::text(payload) },
        ];
        let (arena, mut request) = (Arena::new(), Vec::new());
        let From { properties, hops, at_ms } = *from;
        let row = Row { scope: &Fixed(&row), properties, hops, at_ms };
        self.render.render(&row, &arena, &mut request).unwrap();
        let key = topic.bytes().fold(7u64, |key, byte| key.wrapping_mul(31).wrapping_add(u64::from(byte)));
        self.queue.push(key, &request, completion, Instant::now());
    }

    /// Sends the numbers of a range as payloads to one topic.
    pub(crate) fn send_numbers(&self, numbers: std::ops::Range<usize>) {
        numbers.for_each(|number| self.send("t", &number.to_string()));
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

/// How a message came that is sent on.
pub(crate) struct From<'a> {
    pub(crate) properties: Option<&'a Properties>,
    pub(crate) hops: u8,
    pub(crate) at_ms: i64,
}

/// Takes the events of sources.
#[derive(Default)]
pub(crate) struct House {
    /// Whether to keep a part of every event, as an action does that has not delivered yet.
    pub(crate) holds: bool,
    /// How much work each event makes.
    pub(crate) cost: usize,
    seen: Mutex<Vec<Seen>>,
    parts: Mutex<Vec<Part>>,
}

/// An event that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) from: String,
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) server: String,
    pub(crate) level: Option<AckLevel>,
    /// Bridges crossed.
    pub(crate) hops: u8,
}

impl House {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Each event makes as much work as one may do before others have their turn.
    pub(crate) fn busy() -> Arc<Self> {
        Arc::new(Self { cost: wake::SHARE, ..Self::default() })
    }

    pub(crate) fn holding() -> Arc<Self> {
        Arc::new(Self { holds: true, ..Self::default() })
    }

    pub(crate) fn context(self: &Arc<Self>) -> Context {
        Context {
            name: "cloud".into(),
            node: "abc".into(),
            dispatch: Arc::clone(self) as Arc<dyn Dispatch>,
            runtime: tokio::runtime::Handle::current(),
            guard: Arc::default(),
            broken: Arc::default(),
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn payloads(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.payload).collect()
    }

    /// Waits until so many events have come.
    pub(crate) async fn wait_seen(&self, count: usize) -> Vec<Seen> {
        wait_for(&format!("{count} events have come"), async || {
            let seen = self.seen();
            if seen.len() >= count { Ok(seen) } else { Err(format!("{} have", seen.len())) }
        })
        .await
    }

    /// Takes the parts that are held, oldest first.
    pub(crate) fn take_parts(&self) -> Vec<Part> {
        std::mem::take(&mut *self.parts.lock().unwrap())
    }
}

impl Dispatch for House {
    fn dispatch(&self, event: &Event<'_>, completion: Option<&Completion>) {
        assert_eq!(event.kind, EventKind::Source);
        wake::spend(self.cost);
        let arena = Arena::new();
        let text = |column| match event.columns.get(column, &arena) {
            Value::Str(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{column:?} is {other:?}"),
        };
        if self.holds {
            self.parts.lock().unwrap().extend(completion.map(Completion::part));
        }
        self.seen.lock().unwrap().push(Seen {
            from: event.from.join(" "),
            topic: text(Column::Topic),
            payload: text(Column::Payload),
            server: text(Column::Server),
            level: completion.map(Completion::level),
            hops: event.trail.hops(),
        });
    }

    fn wants(&self, _kind: EventKind) -> bool {
        true
    }
}

/// A source with these settings beside `connector`.
pub(crate) fn source(name: &str, toml: &str) -> Source {
    let toml = format!("connector = \"c\"\n{toml}");
    let settings = testing::settings(&toml, connector_mqtt::KIND.source_fields, connector_mqtt::KIND.source);
    Source { name: name.into(), settings, metrics: Arc::new(SourceMetrics::default()) }
}

/// A moment that leaves enough time for everything.
pub(crate) fn later() -> Instant {
    Instant::now() + Duration::from_secs(10)
}
