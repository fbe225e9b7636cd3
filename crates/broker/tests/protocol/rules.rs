//! Rules that write down what they see, and hold back acknowledgements when told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use event::{Column, Completion, Dispatch, Event, EventKind, Part};
use value::{Arena, Value};
use wake::Wake;

#[derive(Default)]
pub struct Rules {
    seen: Mutex<Vec<Seen>>,
    parts: Mutex<Vec<Part>>,
    hold: AtomicBool,
    breaks: AtomicBool,
    pings: AtomicBool,
    /// Where messages go.
    sink: Wake,
}

#[derive(Debug, Clone)]
pub struct Seen {
    pub kind: EventKind,
    pub from: String,
    pub columns: BTreeMap<&'static str, String>,
}

impl Rules {
    /// From now on every message with a completion is held until [`Rules::settle`] or [`Rules::abandon`].
    pub fn hold(&self) {
        self.hold.store(true, Ordering::SeqCst);
    }

    /// Whether a message ends in a panic from now on.
    pub fn breaks(&self, breaks: bool) {
        self.breaks.store(breaks, Ordering::SeqCst);
    }

    /// From now on messages go where they are looked at later, as to a remote that has enough to do.
    pub fn rest(&self) {
        self.sink.rest();
    }

    /// From now on pings are written down too: some tests send millions of them.
    pub fn see_pings(&self) {
        self.pings.store(true, Ordering::SeqCst);
    }

    pub fn held(&self) -> usize {
        self.parts.lock().unwrap().len()
    }

    /// Settles the held message at this place.
    pub fn settle(&self, at: usize) {
        let part = self.parts.lock().unwrap().remove(at);
        part.settle();
    }

    pub fn abandon(&self, at: usize) {
        drop(self.parts.lock().unwrap().remove(at));
    }

    pub fn seen(&self, kind: EventKind) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.kind == kind).cloned().collect()
    }

    /// The payloads of the messages that were judged.
    pub fn payloads(&self) -> Vec<String> {
        self.seen(EventKind::MessagePublish).iter().map(|seen| seen.columns["payload"].clone()).collect()
    }
}

impl Dispatch for Rules {
    fn dispatch(&self, event: &Event<'_>, completion: Option<&Completion>) {
        if event.kind == EventKind::MessagePublish {
            assert!(!self.breaks.load(Ordering::SeqCst), "as bugs do");
            self.sink.wake();
        }
        let arena = Arena::new();
        let columns = Column::ALL
            .iter()
            .map(|column| (column.name(), event.columns.get(*column, &arena)))
            .filter(|(_, value)| !value.is_undefined())
            .map(|(name, value)| (name, show(&value)))
            .collect();
        self.seen.lock().unwrap().push(Seen { kind: event.kind, from: event.from[0].to_owned(), columns });
        if let Some(completion) = completion
            && self.hold.load(Ordering::SeqCst)
        {
            self.parts.lock().unwrap().push(completion.part());
        }
    }

    fn wants(&self, kind: EventKind) -> bool {
        kind != EventKind::ClientPing || self.pings.load(Ordering::SeqCst)
    }
}

fn show(value: &Value<'_>) -> String {
    match value {
        Value::Str(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Atom(name) => (*name).to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Map(map) => {
            let entries = map
                .entries()
                .iter()
                .map(|entry| format!("{}:{}", String::from_utf8_lossy(entry.key), show(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(",")),
        other => format!("{other:?}"),
    }
}
