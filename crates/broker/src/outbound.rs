//! Messages to the client.

use event::{EventKind, Properties};
use mqtt::{Ack, EncodeError, Output, Packet, PacketId, Publish, QoS, ReasonCode};

use crate::acks;
use crate::aliases::Alias;
use crate::connection::Link;
use crate::crowd::INFLIGHT_MAX;
use crate::end::End;
use crate::events;
use crate::inflight::{Finished, Slot};
use crate::message::{Delivery, Now, SubscriptionIds};
use crate::store::Change;

/// Bytes that may wait in the output before the inbox is left alone: enough for a large write, and no more than a
/// slow client may cost.
const OUTPUT_BYTES: usize = 64 * 1024;
/// How often one turn looks for retained messages.
const FEEDS_MAX: usize = 4;

impl Link {
    /// Puts into the output what waits for the client, as far as there is room and the client takes it: first what an
    /// earlier connection has left unacknowledged, in the order in which it was sent [MQTT-4.4.0-1, MQTT-4.6.0-1].
    pub(crate) fn deliver(&mut self, output: &mut Output, now: Now) {
        while self.resent < self.kept.inflight.len() {
            if output.pending_bytes() >= OUTPUT_BYTES || self.window() == 0 {
                return;
            }
            self.resend(output, now);
        }
        let mut fed = 0;
        loop {
            let room = OUTPUT_BYTES.saturating_sub(output.pending_bytes());
            if room == 0 {
                return;
            }
            let mut batch = std::mem::take(&mut self.batch);
            let more = self.session.inbox.take(&mut batch, room, self.window());
            let is_done = !more || batch.is_empty();
            for delivery in batch.drain(..) {
                self.send(&delivery, output, now);
            }
            self.batch = batch;
            if is_done && (more || self.kept.feeds.is_empty() || self.owes_answers()) {
                return;
            }
            if is_done {
                if fed == FEEDS_MAX {
                    // Others want this thread too.
                    return self.session.notify();
                }
                self.feed(now);
                fed += 1;
            }
        }
    }

    /// Queues the next retained messages that a subscription has yet to get. The queue is empty.
    fn feed(&mut self, now: Now) {
        let Some(text) = self.kept.feeds.pop_front() else { return };
        // Gone with its subscription, perhaps.
        let subscribed = self.kept.subscriptions.get_mut(&text);
        let Some(mut feed) = subscribed.and_then(|subscribed| subscribed.feed.take()) else { return };
        let mut found = Vec::new();
        let more = self.broker.retained.next(&mut feed, now.ms(), &mut found);
        let Self { broker, session, rules, tally, keeping, .. } = self;
        for message in found {
            let mut ids = SubscriptionIds::None;
            ids.add(feed.id);
            let delivery = Delivery::new(&message, feed.qos, true, ids);
            broker.offer(session, delivery, Some(&**rules), tally, keeping);
        }
        broker.keep(keeping, Some(&**rules), tally);
        if let Some(subscribed) = self.kept.subscriptions.get_mut(&text).filter(|_| more) {
            subscribed.feed = Some(feed);
            self.kept.feeds.push_front(text);
        }
    }

    /// How many more messages of QoS 1 and 2 may be under way.
    fn window(&self) -> usize {
        if self.kept.inflight.is_full() {
            return 0;
        }
        let most = usize::from(self.gate.limits().inflight_max.min(self.client.receive_max));
        let most = if self.broker.is_crowded() { most.min(INFLIGHT_MAX) } else { most };
        most.saturating_sub(self.unacked)
    }

    fn send(&mut self, delivery: &Delivery, output: &mut Output, now: Now) {
        if delivery.message.is_expired(now.ms()) {
            self.tally.dropped_expired += 1;
            events::delivery_dropped(&self.broker, Some(&*self.rules), &self.session, delivery, "expired");
            self.note_done(delivery.number);
            return;
        }
        if delivery.qos == QoS::AtMostOnce {
            self.put_publish(delivery, None, false, output, now);
            self.tell_delivered(delivery);
            return;
        }
        let packet_id = self.kept.inflight.push(delivery.clone());
        self.resent = self.kept.inflight.len();
        self.unacked += 1;
        if delivery.number != 0 {
            let number = delivery.number;
            self.note(|session| Change::Sent { session, number, packet_id });
        }
        if self.put_publish(delivery, Some(packet_id), false, output, now) {
            self.tell_delivered(delivery);
        } else {
            self.finish(packet_id);
        }
    }

    fn tell_delivered(&self, delivery: &Delivery) {
        events::delivered(&self.broker, &*self.rules, &self.client, delivery);
    }

    /// Sends the next of what an earlier connection has left again.
    fn resend(&mut self, output: &mut Output, now: Now) {
        let Some((packet_id, slot)) = self.kept.inflight.at(self.resent) else { return };
        let delivery = match slot {
            Slot::Gap => None,
            Slot::Released(_) => {
                acks::put(output, &Packet::PublishRelease(Ack::new(packet_id, ReasonCode::Success)));
                self.unacked += 1;
                None
            }
            Slot::Published(delivery) => Some(delivery.clone()),
        };
        self.resent += 1;
        let Some(delivery) = delivery else { return };
        self.unacked += 1;
        if !self.put_publish(&delivery, Some(packet_id), true, output, now) {
            self.finish(packet_id);
        }
    }

    /// Encodes a message. Returns whether it went; one that is larger than the client takes is dropped
    /// [MQTT-3.1.2-25].
    fn put_publish(
        &mut self,
        delivery: &Delivery,
        packet_id: Option<PacketId>,
        dup: bool,
        output: &mut Output,
        now: Now,
    ) -> bool {
        let message = &*delivery.message;
        let alias = self.topic_aliases.as_mut().map_or(Alias::None, |aliases| aliases.of(&message.topic));
        let adjusted = message.expires().then(|| Properties {
            message_expiry_interval: message.expiry_left(now.ms()),
            ..message.properties.as_deref().cloned().unwrap_or_default()
        });
        let publish = Publish {
            topic: if let Alias::Known(_) = alias { "" } else { &message.topic },
            payload: &message.payload,
            qos: delivery.qos,
            retain: delivery.retain,
            dup,
            packet_id,
            properties: adjusted.as_ref().or(message.properties.as_deref()),
            subscription_ids: delivery.ids.as_slice(),
            topic_alias: match alias {
                Alias::None => None,
                Alias::Known(alias) | Alias::New(alias) => Some(alias),
            },
        };
        match output.put_publish(&publish) {
            Ok(()) => {
                self.tally.messages_sent += 1;
                if let (Alias::New(alias), Some(aliases)) = (alias, &mut self.topic_aliases) {
                    aliases.given(alias, &message.topic);
                }
                true
            }
            Err(EncodeError::TooLarge { .. } | EncodeError::Invalid) => {
                self.tally.dropped_too_large += 1;
                events::delivery_dropped(
                    &self.broker,
                    Some(&*self.rules),
                    &self.session,
                    delivery,
                    "too_large",
                );
                false
            }
        }
    }

    /// It is over with a packet id. Returns what was under way with it.
    fn finish(&mut self, packet_id: PacketId) -> Option<Slot> {
        let Finished { slot, place, gone } = self.kept.inflight.finish(packet_id)?;
        if place < self.resent {
            self.unacked -= 1;
        }
        self.resent = self.resent.saturating_sub(gone);
        match &slot {
            Slot::Published(delivery) => self.note_done(delivery.number),
            Slot::Released(number) => self.note_done(*number),
            Slot::Gap => {}
        }
        Some(slot)
    }

    /// Nothing more is to be done for a delivery.
    fn note_done(&mut self, number: u64) {
        if number != 0 {
            self.note(|session| Change::Done { session, number });
        }
    }

    /// The client has a message of QoS 1.
    pub(crate) fn on_puback(&mut self, ack: &Ack<'_>) -> Result<(), End> {
        // What acknowledges nothing is ignored: after a session was lost, clients send such.
        let qos_1 =
            |slot: &Slot| matches!(slot, Slot::Published(delivery) if delivery.qos == QoS::AtLeastOnce);
        if self.kept.inflight.get(ack.packet_id).is_some_and(qos_1)
            && let Some(Slot::Published(delivery)) = self.finish(ack.packet_id)
        {
            self.tell_acked(&delivery, ack);
        }
        Ok(())
    }

    /// The client has a message of QoS 2, or does not want it.
    pub(crate) fn on_pubrec(&mut self, ack: &Ack<'_>, output: &mut Output) -> Result<(), End> {
        let id = ack.packet_id;
        let reason = match self.kept.inflight.get(id) {
            Some(Slot::Published(delivery)) if delivery.qos == QoS::ExactlyOnce => {
                if ack.reason.is_error() {
                    self.finish(id);
                    return Ok(());
                }
                if let Some(delivery) = self.kept.inflight.release(id) {
                    if delivery.number != 0 {
                        let number = delivery.number;
                        self.note(|session| Change::Released { session, number, packet_id: id });
                    }
                    self.tell_acked(&delivery, ack);
                }
                ReasonCode::Success
            }
            Some(Slot::Released(_)) => ReasonCode::Success,
            Some(Slot::Published(_) | Slot::Gap) | None => ReasonCode::PacketIdentifierNotFound,
        };
        if !ack.reason.is_error() {
            // Should the server end before this is stored, the client would get the message again.
            self.answer(Packet::PublishRelease(Ack::new(id, reason)), output);
        }
        Ok(())
    }

    /// The client has given the packet id of a message of QoS 2 free.
    pub(crate) fn on_pubcomp(&mut self, ack: &Ack<'_>) -> Result<(), End> {
        if let Some(Slot::Released(_)) = self.kept.inflight.get(ack.packet_id) {
            self.finish(ack.packet_id);
        }
        Ok(())
    }

    fn tell_acked(&self, delivery: &Delivery, ack: &Ack<'_>) {
        if self.rules.wants(EventKind::MessageAcked) {
            events::acked(&self.broker, &*self.rules, &self.client, delivery, ack);
        }
    }
}
