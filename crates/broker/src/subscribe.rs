//! SUBSCRIBE and UNSUBSCRIBE.

use std::sync::Arc;

use ::config::acl::DenyAction;
use event::{EventKind, Properties};
use mqtt::{
    Output, Packet, QoS, RetainHandling, Subscribe, SubscribeAck, SubscribeAckReason, SubscriptionOptions,
    Unsubscribe, UnsubscribeAck, UnsubscribeAckReason,
};
use topic::{Subscription, split_levels};

use crate::acl::Access;
use crate::connection::Link;
use crate::end::End;
use crate::events;
use crate::retained::Feed;
use crate::session::{Kept, Subscribed};
use crate::store::Change;
use crate::subscriptions::{Options, filter_bytes};

impl Link {
    pub(crate) fn on_subscribe(&mut self, subscribe: &Subscribe, output: &mut Output) -> Result<(), End> {
        let properties = events::user_properties(&subscribe.user_properties);
        let id = subscribe.id.map(Into::into);
        let mut status = Vec::with_capacity(subscribe.topic_filters.len());
        // A packet has room for a hundred times as many filters as a client may have, and each takes a look at the access list.
        let mut looks = self.gate.limits().subscriptions_max;
        for (text, asked) in &subscribe.topic_filters {
            status.push(match self.subscribe(text, asked, id, &mut looks) {
                Ok(()) => {
                    let kind = EventKind::SessionSubscribed;
                    self.tell_subscription(kind, text, asked.qos, id, &properties);
                    match asked.qos {
                        QoS::AtMostOnce => SubscribeAckReason::GrantedQos0,
                        QoS::AtLeastOnce => SubscribeAckReason::GrantedQos1,
                        QoS::ExactlyOnce => SubscribeAckReason::GrantedQos2,
                    }
                }
                Err(Refused::Because(reason)) => reason,
                Err(Refused::AndEnd(end)) => return Err(end),
            });
        }
        let ack = SubscribeAck {
            packet_id: subscribe.packet_id,
            properties: Vec::new(),
            reason_string: None,
            status,
        };
        self.answer(Packet::SubscribeAck(Box::new(ack)), output);
        Ok(())
    }

    /// Adds a subscription to the session, and what it is to get of retained messages. `looks` is how often the access list may
    /// still be asked.
    fn subscribe(
        &mut self,
        text: &str,
        asked: &SubscriptionOptions,
        id: Option<u32>,
        looks: &mut usize,
    ) -> Result<(), Refused> {
        let refused = |reason| Err(Refused::Because(reason));
        let Ok(subscription) = Subscription::parse(text) else {
            return refused(SubscribeAckReason::TopicFilterInvalid);
        };
        if subscription.share.is_some() && asked.no_local {
            // [MQTT-3.8.3-4]
            return Err(Refused::AndEnd(End::Fault(mqtt::ReasonCode::ProtocolError)));
        }
        let limits = self.gate.limits();
        let subscriptions_max = limits.subscriptions_max;
        if split_levels(subscription.filter.as_str()).nth(limits.topic_levels_max).is_some() {
            return refused(SubscribeAckReason::TopicFilterInvalid);
        }
        let before = self.kept.subscriptions.get(text);
        let (was, is_new) = (before.map(|before| before.options), before.is_none());
        if *looks == 0 || is_new && self.kept.subscriptions.len() >= subscriptions_max {
            self.tally.subscriptions_refused += 1;
            return refused(SubscribeAckReason::QuotaExceeded);
        }
        *looks -= 1;
        let verdict = self.may(Access::Subscribe { filter: subscription.filter.as_str(), qos: asked.qos });
        if !verdict.is_allowed() {
            return match verdict.deny_action {
                DenyAction::Ignore => refused(SubscribeAckReason::NotAuthorized),
                DenyAction::Disconnect => Err(Refused::AndEnd(End::Fault(mqtt::ReasonCode::NotAuthorized))),
            };
        }
        let bytes = filter_bytes(text);
        if is_new && !self.has_room(bytes) {
            return refused(SubscribeAckReason::QuotaExceeded);
        }
        let options = Options {
            qos: asked.qos,
            no_local: asked.no_local,
            retain_as_published: asked.retain_as_published,
            id,
        };
        let mut group = None;
        if was != Some(options) {
            group = self.broker.subscriptions.add(&subscription, &self.session, options);
            self.note(|session| Change::Subscribed { session, filter: text.into(), options });
        }
        let feed = is_retained_wanted(&subscription, asked.retain_handling, is_new)
            .then(|| Feed::new(subscription.clone(), asked.qos, id));
        let Kept { subscriptions, subscription_bytes, feeds, .. } = &mut *self.kept;
        match (subscriptions.get_mut(text), feed) {
            (Some(there), feed) => {
                there.options = options;
                if feed.is_some() && std::mem::replace(&mut there.feed, feed).is_none() {
                    feeds.push_back(text.into());
                }
            }
            (None, feed) => {
                if feed.is_some() {
                    feeds.push_back(text.into());
                }
                *subscription_bytes += bytes;
                subscriptions.insert(text.into(), Subscribed { subscription, options, group, feed });
            }
        }
        Ok(())
    }

    /// Whether one more filter of so many bytes has room, for this client and for all; it is counted among them then.
    fn has_room(&mut self, bytes: usize) -> bool {
        let (of_client, of_all) =
            (self.gate.limits().subscription_bytes_max, self.broker.config.subscription_bytes_max);
        let has_room = self.kept.subscription_bytes + bytes <= of_client
            && self.broker.subscriptions.reserve(bytes, of_all);
        if !has_room {
            self.tally.subscriptions_refused += 1;
            tracing::debug!(
                clientid = &*self.client.clientid,
                bytes,
                "a subscription is refused: the filters of the client, or of all clients, take as much as they may"
            );
        }
        has_room
    }

    pub(crate) fn on_unsubscribe(
        &mut self,
        unsubscribe: &Unsubscribe,
        output: &mut Output,
    ) -> Result<(), End> {
        let properties = events::user_properties(&unsubscribe.user_properties);
        let mut status = Vec::with_capacity(unsubscribe.topic_filters.len());
        for text in &unsubscribe.topic_filters {
            status.push(match self.kept.subscriptions.remove(&**text) {
                Some(subscribed) => {
                    self.broker.subscriptions.remove(&subscribed.subscription, &self.session);
                    let bytes = filter_bytes(text);
                    self.broker.subscriptions.give_back(bytes);
                    self.kept.subscription_bytes -= bytes;
                    self.note(|session| Change::Unsubscribed { session, filter: Arc::from(&**text) });
                    let kind = EventKind::SessionUnsubscribed;
                    self.tell_subscription(kind, text, subscribed.options.qos, None, &properties);
                    UnsubscribeAckReason::Success
                }
                None => UnsubscribeAckReason::NoSubscriptionExisted,
            });
        }
        let ack = UnsubscribeAck {
            packet_id: unsubscribe.packet_id,
            properties: Vec::new(),
            reason_string: None,
            status,
        };
        self.answer(Packet::UnsubscribeAck(Box::new(ack)), output);
        Ok(())
    }

    fn tell_subscription(
        &self,
        kind: EventKind,
        filter: &str,
        qos: QoS,
        id: Option<u32>,
        properties: &Properties,
    ) {
        let told = events::Subscription { filter, qos, id, properties };
        events::subscription(&self.broker, &*self.rules, kind, &self.client, &told);
    }
}

/// Why there is no subscription.
enum Refused {
    /// SUBACK says so.
    Because(SubscribeAckReason),
    /// The connection ends.
    AndEnd(End),
}

/// Retain Handling (MQTT 5.0 §3.8.3.1); shared subscriptions get no retained messages.
fn is_retained_wanted(subscription: &Subscription, handling: RetainHandling, is_new: bool) -> bool {
    subscription.share.is_none()
        && match handling {
            RetainHandling::AtSubscribe => true,
            RetainHandling::AtSubscribeNew => is_new,
            RetainHandling::NoAtSubscribe => false,
        }
}
