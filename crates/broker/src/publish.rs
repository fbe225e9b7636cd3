//! One message through the broker: kept if it is to be retained, given to sessions, then to the rules.

use std::net::SocketAddr;
use std::sync::Arc;

use event::{Completion, Dispatch, Event, EventKind, MessageId, MessagePublish, Part, Properties, Trail};
use mqtt::QoS;

use crate::Broker;
use crate::events;
use crate::inbox::Pushed;
use crate::message::{Delivery, Message, Now, Publisher, SubscriptionIds};
use crate::metrics::Tally;
use crate::route_cache::Place;
use crate::session::Session;
use crate::shared::SharedMessage;
use crate::store::Change;
use crate::subscriptions::{Route, Target};
use crate::sys;

/// A message that may be published: its topic is valid, and its publisher may.
#[derive(Clone, Copy)]
pub(crate) struct Publication<'a> {
    pub(crate) id: MessageId,
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) properties: Option<&'a Properties>,
    pub(crate) from: From<'a>,
    pub(crate) now: Now,
    pub(crate) trail: &'a Trail,
}

/// Who publishes.
#[derive(Clone, Copy)]
pub(crate) enum From<'a> {
    /// A client.
    Client(&'a Arc<Publisher>),
    /// The server itself, under this name.
    Server { clientid: &'a str, username: Option<&'a str> },
}

impl<'a> From<'a> {
    pub(crate) fn clientid(self) -> &'a str {
        match self {
            From::Client(publisher) => &publisher.clientid,
            From::Server { clientid, .. } => clientid,
        }
    }

    pub(crate) fn username(self) -> Option<&'a str> {
        match self {
            From::Client(publisher) => publisher.username.as_deref(),
            From::Server { username, .. } => username,
        }
    }

    pub(crate) fn peername(self) -> Option<SocketAddr> {
        match self {
            From::Client(publisher) => publisher.peername,
            From::Server { .. } => None,
        }
    }

    fn publisher(self) -> Arc<Publisher> {
        match self {
            From::Client(publisher) => Arc::clone(publisher),
            From::Server { clientid, username } => Arc::new(Publisher {
                clientid: clientid.into(),
                username: username.map(Into::into),
                peername: None,
            }),
        }
    }
}

impl Publication<'_> {
    /// The message that sessions share. The one copy of the payload that a message costs.
    fn message(&self, topic: Arc<str>) -> SharedMessage {
        SharedMessage::new(self.payload, |payload| Message {
            id: self.id,
            topic,
            payload,
            qos: self.qos,
            retain: self.retain,
            properties: self.properties.map(|properties| Box::new(properties.clone())),
            publisher: self.from.publisher(),
            received_at_ms: self.now.ms(),
            trail: self.trail.clone(),
            written: Default::default(),
            room: Default::default(),
        })
    }
}

/// What the store is to get of one publication, and what is to be done once it has it.
#[derive(Default)]
pub(crate) struct Safekeeping {
    changes: Vec<Change>,
    deliveries: Vec<(Arc<Session>, Delivery)>,
}

impl Safekeeping {
    /// Adds what belongs to the publication besides its deliveries.
    pub(crate) fn add(&mut self, change: Change) {
        self.changes.push(change);
    }
}

impl Broker {
    /// Keeps a message if it is to be retained, and queues it to every session in `place`'s route. Returns how many
    /// took it. `keeping` may hold what is to be stored along with it, and is empty afterwards; `part` makes the parts
    /// that are settled when all of it is stored.
    pub(crate) fn deliver(
        &self,
        place: &mut Place,
        publication: &Publication<'_>,
        rules: Option<&dyn Dispatch>,
        tally: &mut Tally,
        keeping: &mut Safekeeping,
        part: &mut dyn FnMut() -> Option<Part>,
    ) -> usize {
        let is_alone = place.route().targets.is_empty();
        if is_alone && !publication.topic.starts_with(sys::PREFIX) {
            tally.dropped_no_subscribers += 1;
            events::message_dropped(self, rules, publication, "no_subscribers");
        }
        let mut taken = 0;
        if !is_alone || publication.retain || place.route().own.is_some() {
            let message = publication.message(place.shared_topic());
            if publication.retain && !self.retained.set(&message, self.store(), &mut *part) {
                tally.dropped_retained_full += 1;
            }
            taken = self.queue(place, &message, rules, tally, keeping);
        }
        if let Some(store) = self.store().filter(|_| !keeping.changes.is_empty()) {
            store.submit(&mut keeping.changes, part());
            for (session, delivery) in keeping.deliveries.drain(..) {
                self.enqueue(&session, delivery, rules, tally);
            }
        }
        taken
    }

    /// Queues a message to those in a route. What is to be stored before that is left in `keeping`.
    fn queue(
        &self,
        place: &Place,
        message: &SharedMessage,
        rules: Option<&dyn Dispatch>,
        tally: &mut Tally,
        keeping: &mut Safekeeping,
    ) -> usize {
        let Route { targets, own } = place.route();
        if let Some(own) = own {
            let delivery = Delivery::new(message, message.qos, false, SubscriptionIds::None);
            events::delivery_dropped(self, rules, own, &delivery, "no_local");
        }
        wake::spend(targets.len());
        let mut taken = 0;
        for target in targets {
            let (session, delivery) = match target {
                Target::Session { session, qos, retain_as_published, ids } => {
                    let retain = message.retain && *retain_as_published;
                    (session, Delivery::new(message, *qos, retain, ids.clone()))
                }
                Target::Group(group) => {
                    let Some(member) = group.next() else { continue };
                    taken += usize::from(self.offer(
                        &member.session,
                        member.delivery(message, group),
                        rules,
                        tally,
                        keeping,
                    ));
                    continue;
                }
            };
            taken += usize::from(self.offer(session, delivery, rules, tally, keeping));
        }
        taken
    }

    /// Queues a delivery now, or leaves it in `keeping` if it is to be stored first. Returns whether it is taken, as far
    /// as is known.
    pub(crate) fn offer(
        &self,
        session: &Arc<Session>,
        mut delivery: Delivery,
        rules: Option<&dyn Dispatch>,
        tally: &mut Tally,
        keeping: &mut Safekeeping,
    ) -> bool {
        let Some(store) = self.store().filter(|_| delivery.qos != QoS::AtMostOnce && session.is_stored())
        else {
            return self.enqueue(session, delivery, rules, tally);
        };
        if store.is_full() {
            self.lost(session, &delivery, rules, tally);
            return false;
        }
        delivery.number = session.next_delivery();
        keeping.changes.push(Change::Queued { session: session.number, delivery: delivery.clone() });
        keeping.deliveries.push((Arc::clone(session), delivery));
        true
    }

    /// Stores and queues what was offered beside any publication of a client.
    pub(crate) fn keep(&self, keeping: &mut Safekeeping, rules: Option<&dyn Dispatch>, tally: &mut Tally) {
        if let Some(store) = self.store() {
            store.submit(&mut keeping.changes, None);
        }
        for (session, delivery) in keeping.deliveries.drain(..) {
            self.enqueue(&session, delivery, rules, tally);
        }
    }

    /// Queues a delivery, wakes whoever sleeps on it, and counts what had no room. Returns whether it was taken.
    pub(crate) fn enqueue(
        &self,
        session: &Arc<Session>,
        delivery: Delivery,
        rules: Option<&dyn Dispatch>,
        tally: &mut Tally,
    ) -> bool {
        let part = self.part_of_session();
        match session.inbox.push(delivery, part) {
            Pushed::First => session.notify(),
            Pushed::Behind => {}
            Pushed::Displaced(displaced) => {
                if part.is_some() {
                    self.tell_crowded(displaced.len());
                }
                displaced.iter().for_each(|delivery| self.lost(session, delivery, rules, tally));
            }
            Pushed::Full(delivery) => {
                if part.is_some() {
                    self.tell_crowded(1);
                }
                self.lost(session, &delivery, rules, tally);
                return false;
            }
            Pushed::Closed => return false,
        }
        true
    }

    /// There is no room for a delivery.
    fn lost(&self, session: &Session, delivery: &Delivery, rules: Option<&dyn Dispatch>, tally: &mut Tally) {
        tally.dropped_queue_full += 1;
        self.forget(session, delivery.number);
        events::delivery_dropped(self, rules, session, delivery, "queue_full");
    }

    /// Nothing more is to be done for a delivery.
    pub(crate) fn forget(&self, session: &Session, number: u64) {
        if let Some(store) = self.store().filter(|_| number != 0) {
            store.note(Change::Done { session: session.number, number });
        }
    }

    /// Lets the rules see a message.
    pub(crate) fn judge(
        &self,
        publication: &Publication<'_>,
        rules: &dyn Dispatch,
        completion: Option<&Completion>,
    ) {
        let columns = MessagePublish {
            id: publication.id,
            clientid: publication.from.clientid(),
            username: publication.from.username(),
            peername: publication.from.peername(),
            topic: publication.topic,
            qos: publication.qos.into(),
            retain: publication.retain,
            dup: publication.dup,
            payload: publication.payload,
            properties: publication.properties,
            received_at_ms: publication.now.ms(),
            node: &self.config.node,
        };
        let event = Event {
            kind: EventKind::MessagePublish,
            from: [publication.topic, ""],
            timestamp_ms: publication.now.ms(),
            columns: &columns,
            trail: publication.trail,
        };
        rules.dispatch(&event, completion);
    }
}
