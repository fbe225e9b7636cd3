//! The properties of MQTT 5 in PUBLISH and its acknowledgements.

use event::Properties;

use crate::DecodeError;
use crate::wire::{Reader, length_size, put_bytes, put_length};

/// Property identifiers (MQTT 5.0 §2.2.2.2).
mod id {
    pub(super) const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
    pub(super) const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
    pub(super) const CONTENT_TYPE: u8 = 0x03;
    pub(super) const RESPONSE_TOPIC: u8 = 0x08;
    pub(super) const CORRELATION_DATA: u8 = 0x09;
    pub(super) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
    pub(super) const REASON_STRING: u8 = 0x1F;
    pub(super) const TOPIC_ALIAS: u8 = 0x23;
    pub(super) const USER_PROPERTY: u8 = 0x26;
}

const TWICE: DecodeError = DecodeError::Protocol("a property that stands twice");
const FOREIGN: DecodeError = DecodeError::Malformed("a property that does not belong there");

/// What properties are read into; kept between packets, so that its memory is used again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) message: Properties,
    pub(crate) subscription_ids: Vec<u32>,
    pub(crate) topic_alias: Option<u16>,
    pub(crate) reason_string: Option<String>,
    used: bool,
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), DecodeError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(TWICE),
    }
}

fn owned(text: &str) -> Result<String, DecodeError> {
    if text.contains('\0') {
        return Err(DecodeError::Malformed("a string with a NUL character"));
    }
    Ok(text.to_owned())
}

impl Scratch {
    /// Forgets what was read before. Costs nothing for packets without properties.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.used) {
            let mut subscription_ids = std::mem::take(&mut self.subscription_ids);
            subscription_ids.clear();
            *self = Self { subscription_ids, ..Self::default() };
        }
    }

    /// Reads the properties of a PUBLISH. Returns whether any of them travels with the message.
    pub(crate) fn read_publish(&mut self, mut from: Reader<'_>) -> Result<bool, DecodeError> {
        let mut travels = false;
        self.used = true;
        while !from.is_empty() {
            let property = from.byte()?;
            travels |= !matches!(property, id::TOPIC_ALIAS | id::SUBSCRIPTION_IDENTIFIER);
            let message = &mut self.message;
            match property {
                id::PAYLOAD_FORMAT_INDICATOR => {
                    let indicator = from.byte()?;
                    if indicator > 1 {
                        return Err(DecodeError::Protocol("a payload format indicator above 1"));
                    }
                    once(&mut message.payload_format_indicator, indicator)?;
                }
                id::MESSAGE_EXPIRY_INTERVAL => once(&mut message.message_expiry_interval, from.u32()?)?,
                id::CONTENT_TYPE => once(&mut message.content_type, owned(from.string()?)?)?,
                id::RESPONSE_TOPIC => {
                    let topic = owned(from.string()?)?;
                    if topic.contains(['+', '#']) {
                        return Err(DecodeError::Protocol("a response topic with wildcards"));
                    }
                    once(&mut message.response_topic, topic)?;
                }
                id::CORRELATION_DATA => once(&mut message.correlation_data, from.bytes()?.to_vec())?,
                id::USER_PROPERTY => message.user.push((owned(from.string()?)?, owned(from.string()?)?)),
                id::TOPIC_ALIAS => once(&mut self.topic_alias, from.u16()?)?,
                id::SUBSCRIPTION_IDENTIFIER => match from.length()? {
                    0 => return Err(DecodeError::Protocol("a subscription identifier of 0")),
                    identifier => self.subscription_ids.push(identifier as u32),
                },
                _ => return Err(FOREIGN),
            }
        }
        Ok(travels)
    }

    /// Reads the properties of PUBACK, PUBREC, PUBREL or PUBCOMP.
    pub(crate) fn read_ack(&mut self, mut from: Reader<'_>) -> Result<(), DecodeError> {
        self.used = true;
        while !from.is_empty() {
            match from.byte()? {
                id::REASON_STRING => once(&mut self.reason_string, owned(from.string()?)?)?,
                id::USER_PROPERTY => {
                    self.message.user.push((owned(from.string()?)?, owned(from.string()?)?));
                }
                _ => return Err(FOREIGN),
            }
        }
        Ok(())
    }
}

/// The bytes that the properties of a PUBLISH take, without the length before them.
pub(crate) fn publish_size(
    properties: Option<&Properties>,
    subscription_ids: &[u32],
    topic_alias: Option<u16>,
) -> usize {
    let mut size = topic_alias.map_or(0, |_| 3);
    size += subscription_ids.iter().map(|id| 1 + length_size(*id as usize)).sum::<usize>();
    let Some(properties) = properties else { return size };
    size += properties.payload_format_indicator.map_or(0, |_| 2);
    size += properties.message_expiry_interval.map_or(0, |_| 5);
    size += properties.content_type.as_ref().map_or(0, |text| 3 + text.len());
    size += properties.response_topic.as_ref().map_or(0, |text| 3 + text.len());
    size += properties.correlation_data.as_ref().map_or(0, |data| 3 + data.len());
    size + properties.user.iter().map(|(key, value)| 5 + key.len() + value.len()).sum::<usize>()
}

/// Whether every string and every data fits the two bytes of its length.
pub(crate) fn fits(properties: &Properties) -> bool {
    let texts = [&properties.content_type, &properties.response_topic];
    let user = properties.user.iter().all(|(key, value)| key.len() <= 0xFFFF && value.len() <= 0xFFFF);
    user && texts.iter().all(|text| text.as_ref().is_none_or(|text| text.len() <= 0xFFFF))
        && properties.correlation_data.as_ref().is_none_or(|data| data.len() <= 0xFFFF)
}

/// Appends the properties of a PUBLISH, without the length before them.
pub(crate) fn put_publish(
    out: &mut Vec<u8>,
    properties: Option<&Properties>,
    subscription_ids: &[u32],
    topic_alias: Option<u16>,
) {
    if let Some(alias) = topic_alias {
        out.push(id::TOPIC_ALIAS);
        out.extend_from_slice(&alias.to_be_bytes());
    }
    for identifier in subscription_ids {
        out.push(id::SUBSCRIPTION_IDENTIFIER);
        put_length(out, *identifier as usize);
    }
    let Some(properties) = properties else { return };
    if let Some(indicator) = properties.payload_format_indicator {
        out.extend_from_slice(&[id::PAYLOAD_FORMAT_INDICATOR, indicator]);
    }
    if let Some(seconds) = properties.message_expiry_interval {
        out.push(id::MESSAGE_EXPIRY_INTERVAL);
        out.extend_from_slice(&seconds.to_be_bytes());
    }
    if let Some(text) = &properties.content_type {
        put(out, id::CONTENT_TYPE, text.as_bytes());
    }
    if let Some(text) = &properties.response_topic {
        put(out, id::RESPONSE_TOPIC, text.as_bytes());
    }
    if let Some(data) = &properties.correlation_data {
        put(out, id::CORRELATION_DATA, data);
    }
    for (key, value) in &properties.user {
        put(out, id::USER_PROPERTY, key.as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

fn put(out: &mut Vec<u8>, id: u8, bytes: &[u8]) {
    out.push(id);
    put_bytes(out, bytes);
}

/// The bytes that a reason string takes among the properties of an acknowledgement.
pub(crate) fn reason_string_size(text: &str) -> usize {
    3 + text.len()
}

/// Appends a reason string among the properties of an acknowledgement.
pub(crate) fn put_reason_string(out: &mut Vec<u8>, text: &str) {
    put(out, id::REASON_STRING, text.as_bytes());
}
