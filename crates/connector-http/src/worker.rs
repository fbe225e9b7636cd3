//! One worker: the task that takes requests, sends them side by side, and says what became of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::{Reader, Status, Wake};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinSet};

use crate::send::{Outcome, Sender};
use crate::settings::SinkOptions;
use crate::sink::Sink;

/// What a worker is told.
pub(crate) enum Command {
    Attach(Reader, Box<SinkOptions>),
    /// The same action with other settings.
    Change(Arc<str>, Box<SinkOptions>),
    Detach(Arc<str>),
    Stop {
        deadline: Instant,
    },
}

/// What others see of a connector: what the last exchange, or the last look at the server, has shown.
pub(crate) struct View {
    name: Arc<str>,
    /// A lock since workers write and the API reads; held for a moment only.
    status: Mutex<Status>,
}

impl View {
    pub(crate) fn new(name: Arc<str>, status: Status) -> Self {
        Self { name, status: Mutex::new(status) }
    }

    pub(crate) fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// Shows a status, and logs it if it is another than before.
    pub(crate) fn set(&self, status: Status) {
        let mut shown = self.status.lock();
        if *shown == status {
            return;
        }
        let news = (!status.reason.is_empty() && shown.state != status.state).then(|| status.reason.clone());
        *shown = status;
        drop(shown);
        if let Some(reason) = news {
            tracing::warn!(connector = &*self.name, "{reason}");
        }
    }
}

/// A worker and all that it owns.
pub(crate) struct Worker {
    pub(crate) sender: Arc<Sender>,
    pub(crate) view: Arc<View>,
    pub(crate) wake: Arc<Wake>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    /// How many requests may be unanswered at once.
    pub(crate) pipelining: usize,
    pub(crate) seed: u64,
    sinks: Vec<Option<Sink>>,
    exchanges: JoinSet<Outcome>,
    flights: HashMap<Id, Flight>,
    deadline: Option<Instant>,
    /// Whose turn it is to send first: one that has much to send does not keep the others from it.
    turn: usize,
    expire_at: Instant,
}

/// A batch under way.
struct Flight {
    sink: usize,
    parts: Vec<(usize, usize)>,
    handle: AbortHandle,
}

/// How often the queues are looked through for expired requests.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

impl Worker {
    pub(crate) fn new(
        sender: Arc<Sender>,
        view: Arc<View>,
        commands: mpsc::UnboundedReceiver<Command>,
        pipelining: usize,
        seed: u64,
    ) -> Self {
        Self {
            sender,
            view,
            wake: Arc::default(),
            commands,
            pipelining,
            seed,
            sinks: Vec::new(),
            exchanges: JoinSet::new(),
            flights: HashMap::new(),
            deadline: None,
            turn: 0,
            expire_at: Instant::now(),
        }
    }

    /// Works until it is told to stop, or its connector is gone.
    pub(crate) async fn run(mut self) {
        while !self.is_done() {
            let now = Instant::now();
            self.send(now);
            let has_room = self.flights.len() < self.pipelining;
            let timer = self.next_due(now, has_room);
            let sinks = &self.sinks;
            tokio::select! {
                biased;
                // First: what was said before a request came counts for that request.
                command = self.commands.recv(), if self.deadline.is_none() => self.obey(command),
                Some(exchange) = self.exchanges.join_next_with_id() => match exchange {
                    Ok((id, outcome)) => self.landed(id, &outcome),
                    Err(error) => self.landed(error.id(), &Outcome::Lost(format!("the exchange broke off: {error}"))),
                },
                () = self.wake.wait(|| sinks.iter().flatten().any(Sink::is_ready)), if has_room => {}
                () = tokio::time::sleep_until(timer.into()) => {}
            }
        }
    }

    fn is_done(&self) -> bool {
        self.deadline.is_some_and(|deadline| {
            let is_idle = self.flights.is_empty() && self.sinks.iter().flatten().all(Sink::is_idle);
            is_idle || deadline <= Instant::now()
        })
    }

    /// Starts what may be sent now.
    fn send(&mut self, now: Instant) {
        // One batch of each in turn, until there is no room or nobody has more.
        let mut resting = 0;
        while resting < self.sinks.len() && self.flights.len() < self.pipelining {
            let number = self.turn % self.sinks.len();
            self.turn = number + 1;
            resting += 1;
            let Some(sink) = &mut self.sinks[number] else { continue };
            sink.take(now);
            if let Some(batch) = sink.next_batch() {
                resting = 0;
                let (sender, options) = (Arc::clone(&self.sender), sink.options.clone());
                let content = batch.content;
                let handle = self.exchanges.spawn(async move { sender.send(&content, &options).await });
                self.flights.insert(handle.id(), Flight { sink: number, parts: batch.parts, handle });
            }
        }
    }

    fn landed(&mut self, id: Id, outcome: &Outcome) {
        // Of an action that was detached meanwhile nothing is known any more.
        let Some(flight) = self.flights.remove(&id) else { return };
        self.view.set(match outcome {
            Outcome::Done | Outcome::Refused(_) => Status::connected(),
            Outcome::Later(reason, _) => Status::connecting(reason.clone()),
            Outcome::Lost(reason) => Status::disconnected(reason.clone()),
        });
        if let Some(Some(sink)) = self.sinks.get_mut(flight.sink) {
            sink.settle(&flight.parts, outcome, Instant::now());
        }
    }

    /// When there is something to do though nothing comes. Without room for it only an answer changes anything.
    fn next_due(&mut self, now: Instant, has_room: bool) -> Instant {
        if self.expire_at <= now {
            self.sinks.iter().flatten().for_each(|sink| sink.expire(now));
            self.expire_at = now + EXPIRY_INTERVAL;
        }
        let sinks = self.sinks.iter().flatten().filter_map(Sink::next_due).filter(|_| has_room);
        sinks.chain(self.deadline).fold(self.expire_at, Instant::min)
    }

    fn obey(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Attach(reader, options)) => {
                let sink = Some(Sink::new(reader, *options, self.seed));
                match self.sinks.iter_mut().find(|sink| sink.is_none()) {
                    Some(place) => *place = sink,
                    None => self.sinks.push(sink),
                }
            }
            Some(Command::Change(id, options)) => {
                if let Some(sink) = self.sinks.iter_mut().flatten().find(|sink| *sink.id() == *id) {
                    sink.options = *options;
                }
            }
            Some(Command::Detach(id)) => self.detach(&id),
            Some(Command::Stop { deadline }) => self.deadline = Some(deadline),
            None => self.deadline = Some(Instant::now()),
        }
    }

    /// Stops serving an action. What is under way is called back, as far as that is possible; all of it is queued again.
    fn detach(&mut self, id: &str) {
        let found = self.sinks.iter().position(|sink| sink.as_ref().is_some_and(|sink| sink.id() == id));
        let Some(number) = found else { return };
        for (_, flight) in self.flights.extract_if(|_, flight| flight.sink == number) {
            flight.handle.abort();
        }
        self.sinks[number] = None;
    }
}
