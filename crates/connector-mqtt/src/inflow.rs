//! From the wire to the rules.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use event::{
    AckLevel, Acker, Completion, Dispatch, Event, EventKind, MessageId, MessagePublish, SourceMessage, Trail,
};
use mqtt::{Ack, Output, Packet, PacketId, Publish, QoS, ReasonCode};
use sha1::{Digest, Sha1};
use topic::TopicName;

use crate::acks::Acks;
use crate::sending::Origin;
use crate::subscriptions::{SourceEntry, Subscriptions};

/// What the clients of a connector share: where messages go and what they are called.
pub(crate) struct House {
    pub(crate) dispatch: Arc<dyn Dispatch>,
    pub(crate) node: Arc<str>,
    /// The remote as columns show it, `host:port`.
    pub(crate) server: String,
    pub(crate) origin: Arc<Origin>,
    /// Whether the remote is where local topics live, so that its messages are no source's but everybody's.
    pub(crate) is_local: bool,
    node_hash: u32,
    message: AtomicU32,
}

impl House {
    pub(crate) fn new(
        dispatch: Arc<dyn Dispatch>,
        node: Arc<str>,
        server: String,
        origin: Arc<Origin>,
        is_local: bool,
    ) -> Self {
        let digest = Sha1::digest(node.as_bytes());
        let node_hash = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Self { dispatch, node, server, origin, is_local, node_hash, message: AtomicU32::new(0) }
    }

    /// The identity of a message that came at this moment.
    pub(crate) fn message_id(&self, micros: u64) -> MessageId {
        MessageId::new(micros, self.node_hash, self.message.fetch_add(1, Ordering::Relaxed))
    }
}

/// The moment at which a batch of packets was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    micros: u64,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { micros: since.as_micros() as u64 }
    }

    fn millis(self) -> i64 {
        (self.micros / 1000) as i64
    }
}

/// What one client receives.
pub(crate) struct Inflow {
    house: Arc<House>,
    pub(crate) acks: Arc<Acks>,
    pub(crate) subscriptions: Subscriptions,
    /// Packet ids of QoS 2 between their PUBLISH and their PUBREL: whether PUBREC was sent. A repeated one runs no rule.
    exactly_once: HashMap<PacketId, bool>,
}

impl Inflow {
    pub(crate) fn new(house: Arc<House>, clean_start: bool, seed: u64) -> Self {
        Self {
            house,
            acks: Acks::new(),
            subscriptions: Subscriptions::new(clean_start, seed),
            exactly_once: HashMap::new(),
        }
    }

    /// A connection is up.
    pub(crate) fn connected(&mut self, session_present: bool) {
        self.acks.begin();
        self.subscriptions.connected(session_present);
        // What has no PUBREC yet is sent again by the remote, and is a message of this connection then.
        self.exactly_once.retain(|_, received| session_present && *received);
    }

    /// A message came: shows it to the rules, and owes its acknowledgement.
    pub(crate) fn receive(
        &mut self,
        publish: &Publish<'_>,
        moment: Moment,
        output: &mut Output,
    ) -> Result<(), String> {
        TopicName::parse(publish.topic)
            .map_err(|error| format!("the remote sent a message to no topic: {error}"))?;
        let is_ours = self.house.origin.is_of(publish.properties);
        self.subscriptions.find(publish.topic, publish.subscription_ids);
        // A local message is one event, whatever filters it matches, and however many copies the broker sends.
        let count = match self.house.is_local {
            false => usize::MAX,
            true => usize::from(self.subscriptions.is_first_copy(publish.topic, publish.subscription_ids)),
        };
        let sources = self.subscriptions.found();
        let sources = sources.filter(|source| !(is_ours && source.options.no_local)).take(count);
        let Some(id) = publish.packet_id else {
            sources.for_each(|source| self.dispatch(source, publish, moment, None));
            return Ok(());
        };
        if publish.qos == QoS::ExactlyOnce {
            if let Some(received) = self.exactly_once.get(&id) {
                if *received {
                    put(output, &Packet::PublishReceived(Ack::new(id, ReasonCode::Success)));
                }
                return Ok(());
            }
        } else if publish.dup && self.acks.is_owed(id) {
            // A 3.1 or 3.1.1 remote that is impatient: the first one is still on its way.
            return Ok(());
        }
        let levels = sources.clone().map(|source| source.options.ack);
        let level = levels.max_by_key(|level| carefulness(*level)).unwrap_or(AckLevel::Received);
        let ticket = self.acks.owe(id, publish.qos);
        let acker: Arc<dyn Acker> = Arc::clone(&self.acks) as Arc<dyn Acker>;
        let completion = Completion::new(acker, ticket, level);
        sources.for_each(|source| self.dispatch(source, publish, moment, Some(&completion)));
        if completion.release() {
            self.acks.settle(ticket);
        }
        if publish.qos == QoS::ExactlyOnce {
            self.exactly_once.insert(id, false);
        }
        Ok(())
    }

    /// PUBREL: the remote lets go of a packet id.
    pub(crate) fn release(&mut self, ack: &Ack<'_>, output: &mut Output) {
        let known = self.exactly_once.remove(&ack.packet_id).is_some();
        let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        put(output, &Packet::PublishComplete(Ack::new(ack.packet_id, reason)));
    }

    /// Puts the acknowledgements that may go out, in receive order.
    pub(crate) fn acknowledge(&mut self, output: &mut Output) {
        let exactly_once = &mut self.exactly_once;
        self.acks.take_due(|id, qos| {
            let ack = Ack::new(id, ReasonCode::Success);
            if qos == QoS::ExactlyOnce {
                exactly_once.insert(id, true);
                put(output, &Packet::PublishReceived(ack));
            } else {
                put(output, &Packet::PublishAck(ack));
            }
        });
    }

    fn dispatch(
        &self,
        source: &SourceEntry,
        publish: &Publish<'_>,
        moment: Moment,
        completion: Option<&Completion>,
    ) {
        let house = &*self.house;
        source.metrics.count_received();
        if house.is_local {
            return self.dispatch_local(publish, moment, completion);
        }
        let message = SourceMessage {
            id: house.message_id(moment.micros),
            event: &source.from[0],
            server: &house.server,
            topic: publish.topic,
            qos: publish.qos.into(),
            retain: publish.retain,
            dup: publish.dup,
            payload: publish.payload,
            properties: publish.properties,
            received_at_ms: moment.millis(),
            node: &house.node,
        };
        let event = Event {
            kind: EventKind::Source,
            from: [&source.from[0], &source.from[1]],
            timestamp_ms: moment.millis(),
            columns: &message,
            trail: &Trail::arrived(publish.properties, true),
        };
        house.dispatch.dispatch(&event, completion);
    }
}

impl Inflow {
    /// Shows a local message to the rules. Who published it, the broker does not say.
    fn dispatch_local(&self, publish: &Publish<'_>, moment: Moment, completion: Option<&Completion>) {
        let house = &*self.house;
        let message = MessagePublish {
            id: house.message_id(moment.micros),
            clientid: "",
            username: None,
            peername: None,
            topic: publish.topic,
            qos: publish.qos.into(),
            retain: publish.retain,
            dup: publish.dup,
            payload: publish.payload,
            properties: publish.properties,
            received_at_ms: moment.millis(),
            node: &house.node,
        };
        let event = Event {
            kind: EventKind::MessagePublish,
            from: [publish.topic, ""],
            timestamp_ms: moment.millis(),
            columns: &message,
            trail: &Trail::arrived(publish.properties, false),
        };
        house.dispatch.dispatch(&event, completion);
    }
}

/// One message has one acknowledgement: the source that asks for most decides.
fn carefulness(level: AckLevel) -> u8 {
    match level {
        AckLevel::Received => 0,
        AckLevel::Durable => 1,
        AckLevel::Stored => 2,
        AckLevel::Delivered => 3,
    }
}

fn put(output: &mut Output, packet: &Packet<'_>) {
    // Acknowledgements of four or five bytes fit every limit.
    let _ = output.put(packet);
}
