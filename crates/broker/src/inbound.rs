//! Messages from the client.

use std::sync::Arc;

use event::{Acker, Completion, EventKind, Trail};
use mqtt::{Ack, Output, Packet, Publish, QoS, ReasonCode, Version};
use topic::TopicName;

use crate::access::Who;
use crate::acks::{self, AckKind, AckState};
use crate::connect::TOPIC_ALIAS_MAX;
use crate::connection::{End, Link};
use crate::message::Now;
use crate::publish::{From, Publication};
use crate::session::Incoming;

impl Link {
    /// A message has come: check it, deliver it, let the rules judge it, and owe its acknowledgement.
    pub(crate) fn on_publish(
        &mut self,
        publish: &Publish<'_>,
        output: &mut Output,
        now: Now,
    ) -> Result<(), End> {
        self.tally.messages_received += 1;
        // Taken out for as long as the topic is borrowed from them.
        let mut aliases = std::mem::take(&mut self.aliases);
        let published = match resolve(publish, &mut aliases) {
            Ok(topic) => self.publish(topic, publish, now),
            Err(end) => Err(end),
        };
        self.aliases = aliases;
        published?;
        self.acks.put(output)
    }

    fn publish(&mut self, topic: &str, publish: &Publish<'_>, now: Now) -> Result<(), End> {
        if publish.qos == QoS::ExactlyOnce && self.is_repeated(publish) {
            return Ok(());
        }
        self.check_receive_max(publish)?;
        if !publish.subscription_ids.is_empty() {
            return Err(End::Fault(ReasonCode::ProtocolError));
        }
        let topic = TopicName::parse(topic).map_err(|_| End::Fault(ReasonCode::TopicNameInvalid))?;
        let Self { broker, rules, client, publisher, numbers, .. } = self;
        let who = Who {
            clientid: &client.clientid,
            username: client.username.as_deref(),
            peername: client.peername,
        };
        if !broker.config.acl.may_publish(&who, topic.as_str()) {
            self.tally.dropped_not_authorized += 1;
            self.owe(publish, 0, AckState::Ready(ReasonCode::NotAuthorized));
            return Ok(());
        }
        let publication = Publication {
            id: numbers.next_id(now, broker.node_hash, &broker.numbers),
            topic: topic.as_str(),
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            properties: publish.properties,
            from: From::Client(publisher),
            now,
            trail: &Trail::arrived(publish.properties, client.bridge),
        };
        let place = self.routes.get(&broker.subscriptions, topic.as_str(), Some(&self.session));
        broker.deliver(place, &publication, Some(&**rules), &mut self.tally);

        let wanted = rules.wants(EventKind::MessagePublish);
        let mut ticket = 0;
        let mut state = AckState::Ready(ReasonCode::Success);
        if publish.qos == QoS::AtMostOnce {
            if wanted {
                broker.judge(&publication, &**rules, None);
            }
        } else {
            ticket = self.kept.ticket();
            if wanted {
                let acker = Arc::clone(&self.session) as Arc<dyn Acker>;
                let completion = Completion::new(acker, ticket, broker.config.ack);
                broker.judge(&publication, &**rules, Some(&completion));
                if !completion.release() {
                    state = AckState::Waiting;
                }
            }
        }
        self.owe(publish, ticket, state);
        Ok(())
    }

    /// Owes the acknowledgement of a message of QoS 1 or 2.
    fn owe(&mut self, publish: &Publish<'_>, ticket: u64, mut state: AckState) {
        if self.client.version != Version::V5 && matches!(state, AckState::Ready(_)) {
            // Before MQTT 5 there is no way to say no but to close: a message that may not be published is
            // acknowledged and not published.
            state = AckState::Ready(ReasonCode::Success);
        }
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(packet_id)) => self.acks.owe(ticket, packet_id, AckKind::PubAck, state),
            (QoS::ExactlyOnce, Some(packet_id)) => {
                if state != AckState::Ready(ReasonCode::NotAuthorized) {
                    let is_settled = state != AckState::Waiting;
                    self.kept.incoming.insert(packet_id, Incoming { ticket, is_settled });
                }
                self.acks.owe(ticket, packet_id, AckKind::PubRec, state);
            }
            (QoS::AtMostOnce, _) | (_, None) => {}
        }
    }

    /// Whether a message of QoS 2 has come before, and its packet id is not free yet: it is neither published nor
    /// judged again, only acknowledged again, when the rules are done with the first [MQTT-4.3.3-10].
    fn is_repeated(&mut self, publish: &Publish<'_>) -> bool {
        let Some(packet_id) = publish.packet_id else { return false };
        let Some(incoming) = self.kept.incoming.get(&packet_id) else { return false };
        if !self.acks.owes_pubrec(packet_id) {
            let is_settled = incoming.is_settled;
            let state = if is_settled { AckState::Ready(ReasonCode::Success) } else { AckState::Waiting };
            self.acks.owe(incoming.ticket, packet_id, AckKind::PubRec, state);
        }
        true
    }

    /// A client that sends more than our Receive Maximum at a time breaks the protocol [MQTT-3.3.4-9].
    fn check_receive_max(&self, publish: &Publish<'_>) -> Result<(), End> {
        let unacknowledged = self.acks.pubacks() + self.kept.incoming.len();
        let max = usize::from(self.broker.config.receive_max);
        if self.client.version == Version::V5 && publish.qos != QoS::AtMostOnce && unacknowledged >= max {
            return Err(End::Fault(ReasonCode::ReceiveMaximumExceeded));
        }
        Ok(())
    }

    /// The client gives the packet id of a message of QoS 2 free.
    pub(crate) fn on_pubrel(&mut self, ack: &Ack<'_>, output: &mut Output) -> Result<(), End> {
        let reason = match self.kept.incoming.remove(&ack.packet_id) {
            Some(_) => ReasonCode::Success,
            None => ReasonCode::PacketIdentifierNotFound,
        };
        acks::put(output, &Packet::PublishComplete(Ack::new(ack.packet_id, reason)));
        Ok(())
    }
}

/// The topic of a PUBLISH, by its alias if it has one [MQTT-3.3.2-8 to 12].
fn resolve<'a>(publish: &Publish<'a>, aliases: &'a mut Vec<String>) -> Result<&'a str, End> {
    let Some(alias) = publish.topic_alias else { return Ok(publish.topic) };
    if alias == 0 || alias > TOPIC_ALIAS_MAX {
        return Err(End::Fault(ReasonCode::TopicAliasInvalid));
    }
    let place = usize::from(alias) - 1;
    if publish.topic.is_empty() {
        // An alias that was not set names the empty topic.
        return match aliases.get(place) {
            Some(topic) if !topic.is_empty() => Ok(topic),
            Some(_) | None => Err(End::Fault(ReasonCode::ProtocolError)),
        };
    }
    if aliases.len() <= place {
        aliases.resize(place + 1, String::new());
    }
    publish.topic.clone_into(&mut aliases[place]);
    Ok(publish.topic)
}
