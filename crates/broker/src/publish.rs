//! One message through the broker: kept if it is to be retained, given to sessions, then to the rules.

use std::net::SocketAddr;
use std::sync::Arc;

use event::{Completion, Dispatch, Event, EventKind, MessageId, MessagePublish, Properties, Trail};
use mqtt::QoS;

use crate::Broker;
use crate::events;
use crate::inbox::Pushed;
use crate::message::{Delivery, Message, Now, Publisher, SubscriptionIds};
use crate::metrics::Tally;
use crate::session::Session;
use crate::subscriptions::{Place, Target};
use crate::wake;

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
    fn message(&self, topic: Arc<str>) -> Arc<Message> {
        Arc::new(Message {
            id: self.id,
            topic,
            payload: self.payload.into(),
            qos: self.qos,
            retain: self.retain,
            properties: self.properties.map(|properties| Box::new(properties.clone())),
            publisher: self.from.publisher(),
            received_at_ms: self.now.ms(),
            trail: self.trail.clone(),
        })
    }
}

impl Broker {
    /// Keeps a message if it is to be retained, and queues it to every session in `place`'s route. Returns how many
    /// took it.
    pub(crate) fn deliver(
        &self,
        place: &mut Place,
        publication: &Publication<'_>,
        rules: Option<&dyn Dispatch>,
        tally: &mut Tally,
    ) -> usize {
        if place.route().targets.is_empty() && !publication.retain {
            tally.dropped_no_subscribers += 1;
            events::message_dropped(self, rules, publication, "no_subscribers");
            return 0;
        }
        let message = publication.message(place.shared_topic());
        if publication.retain && !self.retained.set(&message) {
            tally.dropped_retained_full += 1;
        }
        let mut taken = 0;
        for target in &place.route().targets {
            let (session, qos, retain_as_published, ids) = match target {
                Target::Session { session, qos, retain_as_published, ids } => {
                    (session, *qos, *retain_as_published, ids.clone())
                }
                Target::Group(group) => {
                    let Some(member) = group.next() else { continue };
                    let mut ids = SubscriptionIds::None;
                    ids.add(member.options.id);
                    let delivery = Delivery {
                        qos: message.qos.min(member.options.qos),
                        retain: message.retain && member.options.retain_as_published,
                        message: Arc::clone(&message),
                        ids,
                    };
                    taken += usize::from(self.enqueue(&member.session, delivery, rules, tally));
                    continue;
                }
            };
            let delivery = Delivery {
                qos: message.qos.min(qos),
                retain: message.retain && retain_as_published,
                message: Arc::clone(&message),
                ids,
            };
            taken += usize::from(self.enqueue(session, delivery, rules, tally));
        }
        if place.route().targets.is_empty() {
            tally.dropped_no_subscribers += 1;
            events::message_dropped(self, rules, publication, "no_subscribers");
        }
        taken
    }

    /// Queues a delivery, wakes whoever sleeps on it, and counts what had no room. Returns whether it was taken.
    pub(crate) fn enqueue(
        &self,
        session: &Arc<Session>,
        delivery: Delivery,
        rules: Option<&dyn Dispatch>,
        tally: &mut Tally,
    ) -> bool {
        let mut lost = |delivery: &Delivery| {
            tally.dropped_queue_full += 1;
            events::delivery_dropped(self, rules, session, delivery, "queue_full");
        };
        match session.inbox.push(delivery) {
            Pushed::First => wake::wake(session),
            Pushed::Behind => {}
            Pushed::Displaced(displaced) => displaced.iter().for_each(lost),
            Pushed::Full(delivery) => {
                lost(&delivery);
                return false;
            }
            Pushed::Closed => return false,
        }
        true
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
