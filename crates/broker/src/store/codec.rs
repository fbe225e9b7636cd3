//! Changes as bytes.
//!
//! ```text
//! payload = record*                  record = kind:u8 fields
//! number  = LEB128                   text, bytes = length:number …          option = 0 | 1 …
//! ```
//!
//! A message stands once, before the first record that names it, and is named by its identity from there on.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use event::{MessageId, Properties, Trail};
use mqtt::{PacketId, QoS};
use rustc_hash::FxHasher;

use super::Change;
use crate::held::Place;
use crate::message::{Delivery, Message, Publisher, SubscriptionIds};
use crate::shared::SharedMessage;
use crate::subscriptions::Options;
use crate::will::Will;

/// First bytes of records. A released number is never used for anything else.
mod kind {
    pub(super) const MESSAGE: u8 = 1;
    pub(super) const OPENED: u8 = 2;
    pub(super) const LEFT: u8 = 3;
    pub(super) const ENDED: u8 = 4;
    pub(super) const SUBSCRIBED: u8 = 5;
    pub(super) const UNSUBSCRIBED: u8 = 6;
    pub(super) const QUEUED: u8 = 7;
    pub(super) const SENT: u8 = 8;
    pub(super) const RELEASED: u8 = 9;
    pub(super) const DONE: u8 = 10;
    pub(super) const TAKEN: u8 = 11;
    pub(super) const FREED: u8 = 12;
    pub(super) const RETAINED: u8 = 13;
    pub(super) const CLEARED: u8 = 14;
}

/// Appends records to a payload.
pub(super) struct Encoder<'a>(pub(super) &'a mut Vec<u8>);

impl Encoder<'_> {
    /// A message, which records behind it may name.
    pub(super) fn message(&mut self, message: &Message) {
        self.byte(kind::MESSAGE);
        self.0.extend_from_slice(&message.id.0.to_le_bytes());
        self.bytes(message.topic.as_bytes());
        self.bytes(&message.payload);
        self.byte(u8::from(message.qos) | u8::from(message.retain) << 2);
        self.option(message.properties.as_deref(), Self::properties);
        self.publisher(&message.publisher);
        self.number(message.received_at_ms as u64);
        let rules: Vec<&Arc<str>> = message.trail.rules().collect();
        self.number(rules.len() as u64);
        rules.iter().for_each(|rule| self.bytes(rule.as_bytes()));
        self.byte(message.trail.hops());
    }

    /// A change; the messages it names stand before it.
    pub(super) fn change(&mut self, change: &Change) {
        match change {
            Change::Opened { session, clientid, expiry_secs, will } => {
                self.record(kind::OPENED, *session);
                self.bytes(clientid.as_bytes());
                self.number((*expiry_secs).into());
                self.option(will.as_deref(), Self::will);
            }
            Change::Left { session, at_ms, expiry_secs, with_will } => {
                self.record(kind::LEFT, *session);
                self.number(*at_ms as u64);
                self.number((*expiry_secs).into());
                self.byte((*with_will).into());
            }
            Change::Ended { session } => self.record(kind::ENDED, *session),
            Change::Subscribed { session, filter, options } => {
                self.record(kind::SUBSCRIBED, *session);
                self.bytes(filter.as_bytes());
                let Options { qos, no_local, retain_as_published, id } = *options;
                let flags = u8::from(no_local) << 2 | u8::from(retain_as_published) << 3;
                self.byte(u8::from(qos) | flags);
                self.number(id.unwrap_or(0).into());
            }
            Change::Unsubscribed { session, filter } => {
                self.record(kind::UNSUBSCRIBED, *session);
                self.bytes(filter.as_bytes());
            }
            Change::Queued { session, delivery } => {
                self.record(kind::QUEUED, *session);
                self.number(delivery.number);
                self.0.extend_from_slice(&delivery.message.id.0.to_le_bytes());
                self.byte(u8::from(delivery.qos) | u8::from(delivery.retain) << 2);
                let ids = delivery.ids.as_slice();
                self.number(ids.len() as u64);
                ids.iter().for_each(|id| self.number((*id).into()));
            }
            Change::Sent { session, number, packet_id } => {
                self.record(kind::SENT, *session);
                self.number(*number);
                self.number(packet_id.get().into());
            }
            Change::Released { session, number, packet_id } => {
                self.record(kind::RELEASED, *session);
                self.number(*number);
                self.number(packet_id.get().into());
            }
            Change::Done { session, number } => {
                self.record(kind::DONE, *session);
                self.number(*number);
            }
            Change::Taken { session, packet_id, is_settled } => {
                self.record(kind::TAKEN, *session);
                self.number(packet_id.get().into());
                self.byte((*is_settled).into());
            }
            Change::Freed { session, packet_id } => {
                self.record(kind::FREED, *session);
                self.number(packet_id.get().into());
            }
            Change::Retained(message) => {
                self.byte(kind::RETAINED);
                self.0.extend_from_slice(&message.id.0.to_le_bytes());
            }
            Change::Cleared(topic) => {
                self.byte(kind::CLEARED);
                self.bytes(topic.as_bytes());
            }
        }
    }

    fn record(&mut self, kind: u8, session: u64) {
        self.byte(kind);
        self.number(session);
    }

    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, mut number: u64) {
        while number > 0x7F {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn option<T: ?Sized>(&mut self, value: Option<&T>, put: impl FnOnce(&mut Self, &T)) {
        self.byte(value.is_some().into());
        if let Some(value) = value {
            put(self, value);
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn properties(&mut self, properties: &Properties) {
        let Properties {
            payload_format_indicator,
            message_expiry_interval,
            content_type,
            response_topic,
            correlation_data,
            user,
        } = properties;
        self.option(payload_format_indicator.as_ref(), |out, byte| out.byte(*byte));
        self.option(message_expiry_interval.as_ref(), |out, secs| out.number((*secs).into()));
        self.option(content_type.as_deref(), Self::text);
        self.option(response_topic.as_deref(), Self::text);
        self.option(correlation_data.as_deref(), Self::bytes);
        self.number(user.len() as u64);
        for (key, value) in user {
            self.text(key);
            self.text(value);
        }
    }

    fn publisher(&mut self, publisher: &Publisher) {
        self.text(&publisher.clientid);
        self.option(publisher.username.as_deref(), Self::text);
        self.option(publisher.peername.map(|peer| peer.to_string()).as_deref(), Self::text);
    }

    fn will(&mut self, will: &Will) {
        self.text(&will.topic);
        self.bytes(&will.payload);
        self.byte(u8::from(will.qos) | u8::from(will.retain) << 2);
        self.option(will.properties.as_ref(), Self::properties);
        self.number(will.delay.as_secs());
        self.publisher(&will.publisher);
    }
}

/// Reads payloads, and remembers the messages in them for those that follow.
#[derive(Default)]
pub(super) struct Decoder {
    messages: HashMap<MessageId, SharedMessage, BuildHasherDefault<FxHasher>>,
    /// The publisher of the last message: most messages in a row have the same.
    publisher: Option<Arc<Publisher>>,
}

impl Decoder {
    /// Gives every change in a payload to `apply`. Returns whether all of it could be read. A record that names a message
    /// that is nowhere is left out: it stands in what is left of a part of the log that has been rewritten.
    pub(super) fn read(&mut self, payload: &[u8], mut apply: impl FnMut(Change)) -> bool {
        let mut from = Reader(payload);
        while !from.0.is_empty() {
            match self.record(&mut from) {
                Some(Record::Change(change)) => apply(change),
                Some(Record::Nothing) => {}
                None => return false,
            }
        }
        true
    }

    fn record(&mut self, from: &mut Reader<'_>) -> Option<Record> {
        let kind = from.byte()?;
        match kind {
            kind::MESSAGE => {
                let message = self.message(from)?;
                self.messages.insert(message.id, message);
                return Some(Record::Nothing);
            }
            kind::RETAINED => {
                let message = self.messages.get(&from.id()?).cloned();
                return Some(
                    message.map_or(Record::Nothing, |message| Record::Change(Change::Retained(message))),
                );
            }
            kind::CLEARED => return Some(Record::Change(Change::Cleared(from.text()?.into()))),
            _ => {}
        }
        let session = from.number()?;
        Some(Record::Change(match kind {
            kind::OPENED => Change::Opened {
                session,
                clientid: from.text()?.into(),
                expiry_secs: from.u32()?,
                will: from.option(|from| self.will(from).map(Arc::new))?,
            },
            kind::LEFT => Change::Left {
                session,
                at_ms: from.number()? as i64,
                expiry_secs: from.u32()?,
                with_will: from.byte()? == 1,
            },
            kind::ENDED => Change::Ended { session },
            kind::SUBSCRIBED => {
                let filter = from.text()?.into();
                let (qos, flags) = from.qos_and_flags()?;
                let id = Some(from.u32()?).filter(|id| *id > 0);
                let options =
                    Options { qos, no_local: flags & 1 != 0, retain_as_published: flags & 2 != 0, id };
                Change::Subscribed { session, filter, options }
            }
            kind::UNSUBSCRIBED => Change::Unsubscribed { session, filter: from.text()?.into() },
            kind::QUEUED => {
                let number = from.number()?;
                let message = self.messages.get(&from.id()?).cloned();
                let (qos, flags) = from.qos_and_flags()?;
                let mut ids = SubscriptionIds::None;
                for _ in 0..from.number()? {
                    ids.add(Some(from.u32()?));
                }
                let Some(message) = message else { return Some(Record::Nothing) };
                let delivery = Delivery {
                    number,
                    message,
                    qos,
                    retain: flags & 1 != 0,
                    ids,
                    share: None,
                    _place: Place::new(),
                };
                Change::Queued { session, delivery }
            }
            kind::SENT => Change::Sent { session, number: from.number()?, packet_id: from.packet_id()? },
            kind::RELEASED => {
                Change::Released { session, number: from.number()?, packet_id: from.packet_id()? }
            }
            kind::DONE => Change::Done { session, number: from.number()? },
            kind::TAKEN => {
                Change::Taken { session, packet_id: from.packet_id()?, is_settled: from.byte()? == 1 }
            }
            kind::FREED => Change::Freed { session, packet_id: from.packet_id()? },
            _ => return None,
        }))
    }

    fn message(&mut self, from: &mut Reader<'_>) -> Option<SharedMessage> {
        let id = from.id()?;
        let topic = from.text()?.into();
        let payload = from.bytes()?;
        let (qos, flags) = from.qos_and_flags()?;
        let properties = from.option(Reader::properties)?.map(Box::new);
        let publisher = self.publisher(from)?;
        let received_at_ms = from.number()? as i64;
        let mut rules: Vec<Arc<str>> = Vec::new();
        for _ in 0..from.number()? {
            rules.push(from.text()?.into());
        }
        let trail = Trail::restored(&rules, from.byte()?);
        Some(SharedMessage::new(payload, |payload| Message {
            id,
            topic,
            payload,
            qos,
            retain: flags & 1 != 0,
            properties,
            publisher,
            received_at_ms,
            trail,
            written: Default::default(),
            room: Default::default(),
        }))
    }

    fn will(&mut self, from: &mut Reader<'_>) -> Option<Will> {
        let topic = from.text()?.to_owned();
        let payload = from.bytes()?.to_vec();
        let (qos, flags) = from.qos_and_flags()?;
        Some(Will {
            room: None,
            topic,
            payload,
            qos,
            retain: flags & 1 != 0,
            properties: from.option(Reader::properties)?,
            delay: Duration::from_secs(from.number()?),
            publisher: self.publisher(from)?,
        })
    }

    fn publisher(&mut self, from: &mut Reader<'_>) -> Option<Arc<Publisher>> {
        let clientid = from.text()?;
        let username = from.option(Reader::text)?;
        let peername: Option<SocketAddr> = from.option(Reader::text)?.and_then(|text| text.parse().ok());
        let known = self.publisher.as_ref().filter(|known| {
            (&*known.clientid, known.username.as_deref(), known.peername) == (clientid, username, peername)
        });
        let publisher = known.cloned().unwrap_or_else(|| {
            Arc::new(Publisher { clientid: clientid.into(), username: username.map(Into::into), peername })
        });
        self.publisher = Some(Arc::clone(&publisher));
        Some(publisher)
    }
}

enum Record {
    Change(Change),
    /// What has no effect by itself.
    Nothing,
}

/// What is left of a payload. `None` where it is shorter than it says, or says what cannot be.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn u32(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn id(&mut self) -> Option<MessageId> {
        Some(MessageId(u128::from_le_bytes(*self.take(16)?.first_chunk()?)))
    }

    fn packet_id(&mut self) -> Option<PacketId> {
        u16::try_from(self.number()?).ok()?.try_into().ok()
    }

    fn qos_and_flags(&mut self) -> Option<(QoS, u8)> {
        let byte = self.byte()?;
        Some((QoS::try_from(byte & 3).ok()?, byte >> 2))
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    fn string(&mut self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    fn properties(&mut self) -> Option<Properties> {
        Some(Properties {
            payload_format_indicator: self.option(Self::byte)?,
            message_expiry_interval: self.option(Self::u32)?,
            content_type: self.option(Self::string)?,
            response_topic: self.option(Self::string)?,
            correlation_data: self.option(|from| from.bytes().map(<[u8]>::to_vec))?,
            user: {
                let mut user = Vec::new();
                for _ in 0..self.number()? {
                    user.push((self.string()?, self.string()?));
                }
                user
            },
        })
    }
}
