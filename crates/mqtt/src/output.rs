use crate::packet::{Ack, Packet, Publish, Version};
use crate::received::{LARGE, ROOM};
use crate::wire::{LENGTH_MAX, first, length_size, put_bytes, put_length};
use crate::{QoS, properties, rare};

/// Why a packet cannot be written. Nothing of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Larger than the peer takes, or than the protocol can say.
    #[error("a packet of {bytes} bytes, where {max} are allowed")]
    TooLarge {
        /// The whole packet.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// A string or data of more than 65,535 bytes, a packet that the version does not have, or a packet identifier
    /// without QoS or QoS without packet identifier.
    #[error("a packet that cannot be written in this version")]
    Invalid,
}

/// Packets that are to be written to a connection, in one buffer.
#[derive(Debug)]
pub struct Output {
    /// Not yet written: `buffer[sent..]`.
    buffer: Vec<u8>,
    sent: usize,
    version: Version,
    packet_bytes_max: usize,
}

impl Output {
    pub(crate) fn new(version: Version) -> Self {
        Self { buffer: Vec::new(), sent: 0, version, packet_bytes_max: 1 + 4 + LENGTH_MAX }
    }

    /// The version in which packets are written; 3.1.1 until it was set.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Sets the version: a server does so when CONNECT has told it.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Sets the peer's Maximum Packet Size (bytes, whole packet).
    pub fn set_packet_bytes_max(&mut self, packet_bytes_max: u32) {
        self.packet_bytes_max = packet_bytes_max as usize;
    }

    /// The number of bytes that wait to be written: what a sender looks at before it puts in more.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// Appends a packet.
    pub fn put(&mut self, packet: &Packet<'_>) -> Result<(), EncodeError> {
        match packet {
            Packet::Publish(publish) => self.put_publish(publish),
            Packet::PublishAck(ack) => self.put_ack(first::PUBACK, ack),
            Packet::PublishReceived(ack) => self.put_ack(first::PUBREC, ack),
            Packet::PublishRelease(ack) => self.put_ack(first::PUBREL, ack),
            Packet::PublishComplete(ack) => self.put_ack(first::PUBCOMP, ack),
            Packet::PingRequest => self.put_bare(first::PINGREQ),
            Packet::PingResponse => self.put_bare(first::PINGRESP),
            Packet::Connect(_)
            | Packet::ConnectAck(_)
            | Packet::Subscribe(_)
            | Packet::SubscribeAck(_)
            | Packet::Unsubscribe(_)
            | Packet::UnsubscribeAck(_)
            | Packet::Disconnect(_)
            | Packet::Auth(_) => {
                let bytes = rare::encode(packet, self.version)?;
                self.check_size(bytes.len())?;
                self.buffer.extend_from_slice(&bytes);
                Ok(())
            }
        }
    }

    /// Appends a PUBLISH. Before MQTT 5 its properties, identifiers and alias are left out.
    pub fn put_publish(&mut self, publish: &Publish<'_>) -> Result<(), EncodeError> {
        let Publish { topic, payload, properties, subscription_ids, topic_alias, .. } = *publish;
        let v5 = self.version == Version::V5;
        if topic.len() > 0xFFFF
            || publish.packet_id.is_some() == (publish.qos == QoS::AtMostOnce)
            || (v5 && properties.is_some_and(|properties| !properties::fits(properties)))
        {
            return Err(EncodeError::Invalid);
        }
        let mut length = 2 + topic.len() + payload.len() + publish.packet_id.map_or(0, |_| 2);
        let mut properties_length = 0;
        if v5 {
            properties_length = properties::publish_size(properties, subscription_ids, topic_alias);
            length += length_size(properties_length) + properties_length;
        }
        self.check_size(1 + length_size(length) + length)?;

        let out = &mut self.buffer;
        out.reserve(5 + length);
        let flags = u8::from(publish.dup) << 3 | u8::from(publish.qos) << 1 | u8::from(publish.retain);
        out.push(first::PUBLISH | flags);
        put_length(out, length);
        put_bytes(out, topic.as_bytes());
        if let Some(packet_id) = publish.packet_id {
            out.extend_from_slice(&packet_id.get().to_be_bytes());
        }
        if v5 {
            put_length(out, properties_length);
            properties::put_publish(out, properties, subscription_ids, topic_alias);
        }
        out.extend_from_slice(payload);
        Ok(())
    }

    fn put_ack(&mut self, first: u8, ack: &Ack<'_>) -> Result<(), EncodeError> {
        let id = ack.packet_id.get().to_be_bytes();
        let words = ack.reason_string.filter(|words| words.len() <= 0xFFFF);
        let code = ack.reason.byte();
        match (self.version, words) {
            (Version::V31 | Version::V311, _) => self.buffer.extend_from_slice(&[first, 2, id[0], id[1]]),
            (Version::V5, None) if code == 0 => self.buffer.extend_from_slice(&[first, 2, id[0], id[1]]),
            (Version::V5, None) => self.buffer.extend_from_slice(&[first, 3, id[0], id[1], code]),
            (Version::V5, Some(words)) => {
                let size = properties::reason_string_size(words);
                let length = 3 + length_size(size) + size;
                self.check_size(1 + length_size(length) + length)?;
                self.buffer.push(first);
                put_length(&mut self.buffer, length);
                self.buffer.extend_from_slice(&[id[0], id[1], code]);
                put_length(&mut self.buffer, size);
                properties::put_reason_string(&mut self.buffer, words);
            }
        }
        Ok(())
    }

    fn put_bare(&mut self, first: u8) -> Result<(), EncodeError> {
        self.buffer.extend_from_slice(&[first, 0]);
        Ok(())
    }

    fn check_size(&self, bytes: usize) -> Result<(), EncodeError> {
        let max = self.packet_bytes_max;
        if bytes > max { Err(EncodeError::TooLarge { bytes, max }) } else { Ok(()) }
    }

    /// What is to be written next.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    /// `count` bytes were written.
    pub(crate) fn written(&mut self, count: usize) {
        self.sent += count;
        let pending = self.pending_bytes();
        if pending == 0 {
            self.buffer.clear();
            self.sent = 0;
            if self.buffer.capacity() > LARGE {
                self.buffer = Vec::new();
            }
        } else if self.sent >= ROOM.max(pending) {
            // A peer that is slower than what comes for it may never have all of it: what it has must not stay. Costs no more
            // than was written since the last time.
            self.buffer.copy_within(self.sent.., 0);
            self.buffer.truncate(pending);
            self.sent = 0;
        }
    }

    /// Gives memory back that nothing waits in.
    pub(crate) fn trim(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn publish(payload: &[u8]) -> Publish<'_> {
        Publish {
            topic: "t",
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            packet_id: None,
            properties: None,
            subscription_ids: &[],
            topic_alias: None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_peer_that_never_has_all_of_it_costs_what_it_has_not(
            steps in proptest::collection::vec((1usize..40_000, 1usize..100), 1..400),
        ) {
            let mut output = Output::new(Version::V311);
            let (mut whole, mut gone, mut most) = (Vec::new(), 0, 0);
            for (number, (bytes, percent)) in steps.into_iter().enumerate() {
                let payload = vec![number as u8; bytes];
                let publish = publish(&payload);
                let before = output.pending_bytes();
                // No more is put in than a sender with a bound of its own would.
                if before < ROOM {
                    output.put_publish(&publish).unwrap();
                    whole.extend_from_slice(&output.pending()[before..]);
                }
                most = most.max(output.pending_bytes());
                // Never all of it.
                let count = (output.pending_bytes() * percent / 100).min(output.pending_bytes() - 1);
                output.written(count);
                gone += count;
                prop_assert_eq!(output.pending(), &whole[gone..]);
                prop_assert!(output.buffer.len() <= 2 * most.max(ROOM), "{} for {}", output.buffer.len(), most);
            }
            output.written(output.pending_bytes());
            prop_assert_eq!(output.pending_bytes(), 0);
        }
    }

    #[test]
    fn what_a_large_packet_took_is_given_back_once_it_is_written() {
        let mut output = Output::new(Version::V311);
        let payload = vec![0; 2 * LARGE];
        output.put_publish(&publish(&payload)).unwrap();
        output.written(output.pending_bytes());
        assert_eq!(output.buffer.capacity(), 0);
    }
}
