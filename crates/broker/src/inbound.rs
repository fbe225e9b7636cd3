//! Messages from the client.

use std::sync::Arc;

use ::config::acl::DenyAction;
use event::{AckLevel, Acker, Completion, EventKind, Trail};
use mqtt::{Ack, Output, Packet, PacketId, Publish, QoS, ReasonCode, Version};
use topic::{TopicName, split_levels};

use crate::acks::{AckKind, AckState};
use crate::acl::Access;
use crate::connect::TOPIC_ALIAS_MAX;
use crate::connection::Link;
use crate::end::End;
use crate::message::Now;
use crate::publish::{From, Publication};
use crate::session::{Incoming, Kept, Session};
use crate::store::Change;

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
        let is_known = match self.repetition(publish) {
            Repetition::None => false,
            Repetition::Whole => return Ok(()),
            Repetition::ForRules => true,
        };
        self.check_receive_max(publish)?;
        if !publish.subscription_ids.is_empty() {
            return Err(End::Fault(ReasonCode::ProtocolError));
        }
        let topic = TopicName::parse(topic).map_err(|_| End::Fault(ReasonCode::TopicNameInvalid))?;
        self.keep_pace();
        if let Some(reason) = self.objection(topic, publish)? {
            self.owe(publish, 0, AckState::Ready(reason));
            return Ok(());
        }
        let Self { broker, rules, client, publisher, numbers, session, kept, keeping, routes, tally, .. } =
            self;
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
        let wanted = rules.wants(EventKind::MessagePublish);
        let is_owed = publish.qos != QoS::AtMostOnce;
        let mut owing = Owing { session, level: broker.config.ack, kept, ticket: 0, completion: None };
        if !is_known {
            if let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id)
                && session.is_stored()
            {
                keeping.add(Change::Taken { session: session.number, packet_id, is_settled: !wanted });
            }
            let place = routes.get(&broker.subscriptions, topic.as_str(), Some(session));
            let mut part = || is_owed.then(|| owing.completion().part());
            broker.deliver(place, &publication, Some(&**rules), tally, keeping, &mut part);
        }
        if wanted {
            let completion = if is_owed { Some(owing.completion()) } else { None };
            broker.judge(&publication, &**rules, completion);
        }
        let (ticket, is_settled) = owing.release();
        let state = if is_settled { AckState::Ready(ReasonCode::Success) } else { AckState::Waiting };
        self.owe(publish, ticket, state);
        if is_settled
            && wanted
            && let Some(packet_id) = publish.packet_id
        {
            self.note_settled(packet_id, ticket);
        }
        Ok(())
    }

    /// Why a message is not published; the connection ends if the ACL says so.
    fn objection(&mut self, topic: TopicName<'_>, publish: &Publish<'_>) -> Result<Option<ReasonCode>, End> {
        if split_levels(topic.as_str()).nth(self.gate.limits().topic_levels_max).is_some() {
            self.tally.dropped_topic_too_deep += 1;
            return Ok(Some(ReasonCode::TopicNameInvalid));
        }
        let access = Access::Publish { topic: topic.as_str(), qos: publish.qos, retain: publish.retain };
        let verdict = self.may(access);
        if verdict.is_allowed() {
            return Ok(None);
        }
        self.tally.dropped_not_authorized += 1;
        match verdict.deny_action {
            DenyAction::Ignore => Ok(Some(ReasonCode::NotAuthorized)),
            DenyAction::Disconnect => Err(End::Fault(ReasonCode::NotAuthorized)),
        }
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
                if !matches!(state, AckState::Ready(reason) if reason.is_error()) {
                    let is_settled = state != AckState::Waiting;
                    self.kept.take_in(packet_id, Incoming { ticket, is_settled });
                }
                self.acks.owe(ticket, packet_id, AckKind::PubRec, state);
            }
            (QoS::AtMostOnce, _) | (_, None) => {}
        }
    }

    /// Whether a message of QoS 2 has come before, and its packet id is not free yet: it is neither published nor
    /// judged again, only acknowledged again, when the rules are done with the first [MQTT-4.3.3-10].
    fn repetition(&mut self, publish: &Publish<'_>) -> Repetition {
        if publish.qos != QoS::ExactlyOnce {
            return Repetition::None;
        }
        let known = publish.packet_id.and_then(|id| Some((id, *self.kept.incoming.get(&id)?)));
        let Some((packet_id, Incoming { ticket, is_settled })) = known else { return Repetition::None };
        if ticket == Incoming::FORGOTTEN && !is_settled {
            self.kept.free(packet_id);
            return Repetition::ForRules;
        }
        if !self.acks.owes_pubrec(packet_id) {
            let state = if is_settled { AckState::Ready(ReasonCode::Success) } else { AckState::Waiting };
            self.acks.owe(ticket, packet_id, AckKind::PubRec, state);
        }
        Repetition::Whole
    }

    /// The rules are done with a message of QoS 2: the store is told, if it has it.
    pub(crate) fn note_settled(&mut self, packet_id: PacketId, ticket: u64) {
        let is_it = |incoming: &Incoming| incoming.ticket == ticket && incoming.is_settled;
        if self.kept.incoming.get(&packet_id).is_some_and(is_it) {
            self.note(|session| Change::Taken { session, packet_id, is_settled: true });
        }
    }

    /// A client that sends more than our Receive Maximum at a time breaks the protocol [MQTT-3.3.4-9].
    fn check_receive_max(&self, publish: &Publish<'_>) -> Result<(), End> {
        let unacknowledged = self.acks.pubacks() + self.kept.incoming.len();
        let max = usize::from(self.gate.limits().receive_max);
        if self.client.version == Version::V5 && publish.qos != QoS::AtMostOnce && unacknowledged >= max {
            return Err(End::Fault(ReasonCode::ReceiveMaximumExceeded));
        }
        Ok(())
    }

    /// The client gives the packet id of a message of QoS 2 free.
    pub(crate) fn on_pubrel(&mut self, ack: &Ack<'_>, output: &mut Output) -> Result<(), End> {
        let packet_id = ack.packet_id;
        let reason = match self.kept.free(packet_id) {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        if reason == ReasonCode::Success {
            self.note(|session| Change::Freed { session, packet_id });
        }
        self.answer(Packet::PublishComplete(Ack::new(packet_id, reason)), output);
        Ok(())
    }
}

/// The acknowledgement of one message, if it must wait for anything.
struct Owing<'a> {
    session: &'a Arc<Session>,
    level: AckLevel,
    kept: &'a mut Kept,
    ticket: u64,
    completion: Option<Completion>,
}

impl Owing<'_> {
    /// The token, made when it is first needed.
    fn completion(&mut self) -> &Completion {
        self.completion.get_or_insert_with(|| {
            self.ticket = self.kept.ticket();
            Completion::new(Arc::clone(self.session) as Arc<dyn Acker>, self.ticket, self.level)
        })
    }

    /// Lets go of it: its ticket, and whether there is nothing left to wait for.
    fn release(self) -> (u64, bool) {
        match self.completion {
            Some(completion) => (self.ticket, completion.release()),
            None => (self.kept.ticket(), true),
        }
    }
}

/// Whether a message has come before.
enum Repetition {
    /// It has not.
    None,
    /// It has, and is known well.
    Whole,
    /// Its sessions have it, from an earlier process that may have ended before the rules were done.
    ForRules,
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
