use crate::packet::{Ack, Packet, Publish, Version};
use crate::properties::Scratch;
use crate::received::Received;
use crate::wire::{self, Reader, first};
use crate::{PacketId, QoS, ReasonCode, rare};

/// Why what came is no packet. Whatever the variant, the connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Larger than allowed. Known from the first bytes, before the rest has come.
    #[error("a packet of {bytes} bytes, where {max} are allowed")]
    TooLarge {
        /// The whole packet.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// The bytes do not follow the format.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// The bytes follow the format, and break a rule of the protocol.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// CONNECT asks for a version that is neither 3.1, 3.1.1 nor 5.
    #[error("protocol level {0} is not supported")]
    UnsupportedVersion(u8),
    /// CONNECT of 3.1 or 3.1.1 without a client id that also wants a session kept.
    #[error("a client id is needed where the session is to be kept")]
    ClientIdNeeded,
}

impl DecodeError {
    /// What CONNACK or DISCONNECT says about it.
    pub fn reason(&self) -> ReasonCode {
        match self {
            DecodeError::TooLarge { .. } => ReasonCode::PacketTooLarge,
            DecodeError::Malformed(_) => ReasonCode::MalformedPacket,
            DecodeError::Protocol(_) => ReasonCode::ProtocolError,
            DecodeError::UnsupportedVersion(_) => ReasonCode::UnsupportedProtocolVersion,
            DecodeError::ClientIdNeeded => ReasonCode::ClientIdentifierNotValid,
        }
    }
}

/// What has been read from a connection, and the packets in it.
#[derive(Debug)]
pub struct Input {
    received: Received,
    /// Bytes of the packet that waits first, as far as its first bytes have told; 0 if unknown.
    needed: usize,
    version: Option<Version>,
    packet_bytes_max: usize,
    /// Made for the first packet that has properties.
    scratch: Option<Box<Scratch>>,
}

impl Input {
    /// Without a version, the first packet must be CONNECT, and tells it.
    pub(crate) fn new(version: Option<Version>, packet_bytes_max: u32) -> Self {
        Self {
            received: Received::default(),
            needed: 0,
            version,
            packet_bytes_max: packet_bytes_max as usize,
            scratch: None,
        }
    }

    /// An input to which these bytes have come, and nothing more will: to look at what was recorded.
    pub fn holding(version: Option<Version>, packet_bytes_max: u32, bytes: &[u8]) -> Self {
        Self { received: Received::holding(bytes), ..Self::new(version, packet_bytes_max) }
    }

    /// The version in which packets are read; `None` before CONNECT has come.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Sets what the peer may send (bytes, whole packet), from the next packet on.
    pub(crate) fn set_packet_bytes_max(&mut self, packet_bytes_max: u32) {
        self.packet_bytes_max = packet_bytes_max as usize;
    }

    /// The number of bytes that have come and are not taken yet.
    pub fn buffered_bytes(&self) -> usize {
        self.received.waiting().len()
    }

    /// Takes the next packet if all of it has come. It borrows from the buffer until the next call; to call it until there is
    /// none is also what gives the buffer back.
    #[allow(clippy::should_implement_trait)] // a lending iterator, which std has no trait for
    pub fn next(&mut self) -> Result<Option<Packet<'_>>, DecodeError> {
        let Some(Frame { header, bytes }) = self.frame()? else {
            self.received.rest();
            return Ok(None);
        };
        self.needed = 0;
        if let Some(scratch) = &mut self.scratch {
            scratch.clear();
        }
        let frame = self.received.take(bytes);
        let version = match self.version {
            Some(version) => version,
            None => {
                let version = rare::version_asked_for(frame[0], &frame[header..])?;
                self.version = Some(version);
                version
            }
        };
        decode(frame, header, version, &mut self.scratch).map(Some)
    }

    /// The packet that waits first, if all of it has come.
    fn frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        let waiting = self.received.waiting();
        if waiting.len() < 2.max(self.needed) {
            return Ok(None);
        }
        let Some((length, taken)) = wire::length(&waiting[1..])? else { return Ok(None) };
        let bytes = 1 + taken + length;
        if bytes > self.packet_bytes_max {
            return Err(DecodeError::TooLarge { bytes, max: self.packet_bytes_max });
        }
        if waiting.len() < bytes {
            self.needed = bytes;
            return Ok(None);
        }
        Ok(Some(Frame { header: 1 + taken, bytes }))
    }

    /// Room to read into, at least one byte.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.received.room(self.needed)
    }

    /// `count` bytes were read into the room.
    pub(crate) fn filled(&mut self, count: usize) {
        self.received.filled(count);
    }

    /// Nothing was read into the room: it is given back.
    pub(crate) fn rest(&mut self) {
        self.received.rest();
    }

    /// Gives memory back that nothing waits in.
    pub(crate) fn trim(&mut self) {
        self.received.trim();
        self.scratch = None;
    }
}

/// Where a packet is whose bytes have all come: at the front, so many bytes, of which the first are its fixed header.
struct Frame {
    header: usize,
    bytes: usize,
}

fn decode<'a>(
    frame: &'a [u8],
    header: usize,
    version: Version,
    scratch: &'a mut Option<Box<Scratch>>,
) -> Result<Packet<'a>, DecodeError> {
    let body = Reader(&frame[header..]);
    match frame[0] {
        flags if flags & 0xF0 == first::PUBLISH => {
            publish(flags, body, version, scratch).map(Packet::Publish)
        }
        first::PUBACK => ack(body, version, scratch).map(Packet::PublishAck),
        first::PUBREC => ack(body, version, scratch).map(Packet::PublishReceived),
        first::PUBREL => ack(body, version, scratch).map(Packet::PublishRelease),
        first::PUBCOMP => ack(body, version, scratch).map(Packet::PublishComplete),
        first::PINGREQ if body.is_empty() => Ok(Packet::PingRequest),
        first::PINGRESP if body.is_empty() => Ok(Packet::PingResponse),
        _ => rare::decode(frame, header, version),
    }
}

fn publish<'a>(
    flags: u8,
    mut body: Reader<'a>,
    version: Version,
    scratch: &'a mut Option<Box<Scratch>>,
) -> Result<Publish<'a>, DecodeError> {
    let qos = match flags >> 1 & 3 {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        2 => QoS::ExactlyOnce,
        _ => return Err(DecodeError::Malformed("a QoS of 3")),
    };
    let dup = flags & 8 != 0;
    if dup && qos == QoS::AtMostOnce {
        return Err(DecodeError::Malformed("a DUP flag at QoS 0"));
    }
    let topic = body.string()?;
    let packet_id = match qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce | QoS::ExactlyOnce => Some(packet_id(&mut body)?),
    };
    let mut travels = false;
    if version == Version::V5 {
        let length = body.length()?;
        if length > 0 {
            travels = scratch.get_or_insert_default().read_publish(Reader(body.take(length)?))?;
        }
    }
    let scratch = scratch.as_deref();
    Ok(Publish {
        topic,
        payload: body.0,
        qos,
        retain: flags & 1 != 0,
        dup,
        packet_id,
        properties: scratch.filter(|_| travels).map(|scratch| &scratch.message),
        subscription_ids: scratch.map_or(&[], |scratch| &scratch.subscription_ids),
        topic_alias: scratch.and_then(|scratch| scratch.topic_alias),
    })
}

fn ack<'a>(
    mut body: Reader<'a>,
    version: Version,
    scratch: &'a mut Option<Box<Scratch>>,
) -> Result<Ack<'a>, DecodeError> {
    let packet_id = packet_id(&mut body)?;
    let mut reason = ReasonCode::Success;
    if version == Version::V5 && !body.is_empty() {
        reason =
            ReasonCode::from_byte(body.byte()?).ok_or(DecodeError::Malformed("an unknown reason code"))?;
        if !body.is_empty() {
            let length = body.length()?;
            scratch.get_or_insert_default().read_ack(Reader(body.take(length)?))?;
        }
    }
    if !body.is_empty() {
        return Err(DecodeError::Malformed("bytes after the end of an acknowledgement"));
    }
    let scratch = scratch.as_deref();
    Ok(Ack {
        packet_id,
        reason,
        reason_string: scratch.and_then(|scratch| scratch.reason_string.as_deref()),
        user: scratch.map_or(&[], |scratch| &scratch.message.user),
    })
}

fn packet_id(body: &mut Reader<'_>) -> Result<PacketId, DecodeError> {
    PacketId::new(body.u16()?).ok_or(DecodeError::Malformed("a packet identifier of 0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Connect, ConnectRequest, Output, rare};
    use bytes::BytesMut;
    use event::Properties;
    use proptest::prelude::*;
    use rmqtt_codec::v5;
    use tokio_util::codec::{Decoder, Encoder};

    const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

    fn fill(input: &mut Input, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = input.room();
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            input.filled(count);
            bytes = &bytes[count..];
        }
    }

    fn written(version: Version, packet: &Packet<'_>) -> Vec<u8> {
        let mut output = Output::new(version);
        output.put(packet).unwrap();
        output.pending().to_vec()
    }

    /// What one packet looks like after a journey over the wire.
    fn journey(version: Version, packet: &Packet<'_>) -> String {
        let mut input = Input::new(Some(version), 1 << 20);
        fill(&mut input, &written(version, packet));
        let arrived = format!("{:?}", input.next().unwrap().unwrap());
        assert_eq!(input.buffered_bytes(), 0);
        arrived
    }

    fn properties() -> impl Strategy<Value = Option<Properties>> {
        let text = "[a-zä]{0,9}";
        proptest::option::of(
            (
                proptest::option::of(0u8..2),
                proptest::option::of(any::<u32>()),
                proptest::option::of(text),
                proptest::option::of(text),
                proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)),
                proptest::collection::vec((text, text), 0..4),
            )
                .prop_map(|(payload_format_indicator, expiry, content_type, response_topic, data, user)| {
                    Properties {
                        payload_format_indicator,
                        message_expiry_interval: expiry,
                        content_type,
                        response_topic,
                        correlation_data: data,
                        user,
                    }
                })
                .prop_filter("at least one", |properties| !properties.is_empty()),
        )
    }

    fn codec_publish(publish: &Publish<'_>) -> v5::Packet {
        let none = Properties::default();
        let from = publish.properties.unwrap_or(&none);
        let user_properties =
            from.user.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
        v5::Packet::Publish(Box::new(rmqtt_codec::types::Publish {
            dup: publish.dup,
            retain: publish.retain,
            qos: publish.qos,
            topic: publish.topic.into(),
            packet_id: publish.packet_id,
            payload: publish.payload.to_vec().into(),
            properties: Some(v5::PublishProperties {
                topic_alias: publish.topic_alias.and_then(|alias| alias.try_into().ok()),
                correlation_data: from.correlation_data.clone().map(Into::into),
                message_expiry_interval: from.message_expiry_interval.and_then(|secs| secs.try_into().ok()),
                content_type: from.content_type.as_deref().map(Into::into),
                user_properties,
                is_utf8_payload: from.payload_format_indicator == Some(1),
                response_topic: from.response_topic.as_deref().map(Into::into),
                subscription_ids: publish
                    .subscription_ids
                    .iter()
                    .filter_map(|id| (*id).try_into().ok())
                    .collect(),
            }),
        }))
    }

    proptest! {
        #[test]
        fn publishes_go_round_and_the_codec_agrees(
            topic in "[a-z/ä]{1,20}",
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            qos in 0u8..3, retain: bool, dup: bool, packet_id in 1u16..,
            properties in properties(),
            ids in proptest::collection::vec(1u32..268_435_456, 0..3),
            alias in proptest::option::of(1u16..),
            version in 0usize..3,
        ) {
            let version = VERSIONS[version];
            let v5 = version == Version::V5;
            let publish = Publish {
                topic: &topic,
                payload: &payload,
                qos: qos.try_into().unwrap(),
                retain,
                dup: dup && qos > 0,
                packet_id: (qos > 0).then(|| packet_id.try_into().unwrap()),
                properties: properties.as_ref().filter(|_| v5),
                subscription_ids: if v5 { &ids } else { &[] },
                topic_alias: alias.filter(|_| v5),
            };
            prop_assert_eq!(journey(version, &Packet::Publish(publish)), format!("{:?}", Packet::Publish(publish)));

            // The codec cannot say an expiry of 0, nor tell an indicator of 0 from none.
            let sayable = properties.as_ref().is_none_or(|properties| {
                properties.message_expiry_interval != Some(0) && properties.payload_format_indicator != Some(0)
            });
            if v5 && sayable {
                let ours = written(version, &Packet::Publish(publish));
                let theirs = v5::Codec::default().decode(&mut BytesMut::from(&ours[..])).unwrap().unwrap().0;
                prop_assert_eq!(&theirs, &codec_publish(&publish));
                let mut again = BytesMut::new();
                v5::Codec::default().encode(theirs, &mut again).unwrap();
                let mut input = Input::new(Some(version), 1 << 20);
                fill(&mut input, &again);
                prop_assert_eq!(format!("{:?}", input.next().unwrap().unwrap()), format!("{:?}", Packet::Publish(publish)));
            }
        }

        #[test]
        fn any_bytes_give_packets_or_an_error_and_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            kind in 0u8..=255,
            version in 0usize..4,
        ) {
            let mut input = Input::new(VERSIONS.get(version).copied(), 100_000);
            let mut framed = vec![kind];
            wire::put_length(&mut framed, bytes.len());
            framed.extend_from_slice(&bytes);
            fill(&mut input, &framed);
            while let Ok(Some(_)) = input.next() {}
            let mut input = Input::new(VERSIONS.get(version).copied(), 100_000);
            fill(&mut input, &bytes);
            while let Ok(Some(_)) = input.next() {}
        }

        /// Damaged CONNECTs reach further than random bytes do.
        #[test]
        fn damaged_packets_never_panic(at in 0usize..80, byte: u8, cut in 0usize..80, version in 0usize..3) {
            let connect = Packet::Connect(Box::new(Connect {
                version: VERSIONS[version],
                bridge: false,
                will_expires_at_once: false,
                request: ConnectRequest {
                    client_id: "client".into(),
                    username: Some("user".into()),
                    password: Some("password".into()),
                    last_will: Some(crate::LastWill {
                        qos: QoS::AtLeastOnce,
                        retain: true,
                        topic: "will".into(),
                        message: "gone".into(),
                        will_delay_interval_sec: Some(5),
                        correlation_data: None,
                        message_expiry_interval: None,
                        content_type: None,
                        user_properties: vec![("a".into(), "b".into())],
                        is_utf8_payload: None,
                        response_topic: None,
                    }),
                    ..Default::default()
                },
            }));
            let mut bytes = rare::encode(&connect, VERSIONS[version]).unwrap().to_vec();
            let count = bytes.len();
            bytes[at % count] = byte;
            bytes.truncate(count - cut % count);
            let length = bytes.len().saturating_sub(2);
            if length < 128 && bytes.len() > 1 {
                bytes[1] = length as u8;
            }
            let mut input = Input::new(None, 100_000);
            fill(&mut input, &bytes);
            while let Ok(Some(_)) = input.next() {}
        }

        #[test]
        fn packets_come_out_whole_however_the_bytes_are_cut(
            sizes in proptest::collection::vec(0usize..5_000, 1..30),
            cut in 1usize..3_000,
        ) {
            let mut output = Output::new(Version::V311);
            let payload = vec![7; 200_000];
            let sizes: Vec<usize> = sizes.iter().map(|size| if size % 97 == 0 { size * 30 } else { *size }).collect();
            for size in &sizes {
                output.put(&Packet::Publish(message(&payload[..*size]))).unwrap();
            }
            let mut input = Input::new(Some(Version::V311), 1 << 20);
            let mut arrived = Vec::new();
            for piece in output.pending().chunks(cut) {
                fill(&mut input, piece);
                while let Some(packet) = input.next().unwrap() {
                    let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
                    arrived.push(publish.payload.len());
                }
            }
            prop_assert_eq!(arrived, sizes);
        }
    }

    fn message(payload: &[u8]) -> Publish<'_> {
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

    #[test]
    fn connect_says_its_version_and_whether_it_is_a_bridge() {
        for (version, bridge, level) in [
            (Version::V31, false, 3),
            (Version::V31, true, 0x83),
            (Version::V311, true, 0x84),
            (Version::V5, false, 5),
        ] {
            let request = ConnectRequest { client_id: "c".into(), clean_start: true, ..Default::default() };
            let packet =
                Packet::Connect(Box::new(Connect { version, bridge, will_expires_at_once: false, request }));
            let bytes = written(version, &packet);
            assert_eq!(bytes[4 + version.name().len()], level);
            let mut input = Input::new(None, 1 << 20);
            fill(&mut input, &bytes);
            let Packet::Connect(sent) = packet else { unreachable!() };
            match input.next() {
                Ok(Some(Packet::Connect(got))) => assert_eq!(
                    (got.version, got.bridge, got.request),
                    (sent.version, sent.bridge, sent.request)
                ),
                other => panic!("{other:?}"),
            }
            assert_eq!(input.version(), Some(version));
        }
    }

    #[test]
    fn an_empty_client_id_needs_clean_session_before_mqtt_5() {
        for (version, fine) in [(Version::V311, false), (Version::V5, true)] {
            let request = ConnectRequest { clean_start: false, ..Default::default() };
            let bytes = written(
                version,
                &Packet::Connect(Box::new(Connect {
                    version,
                    bridge: false,
                    will_expires_at_once: false,
                    request,
                })),
            );
            let mut input = Input::new(None, 1 << 20);
            fill(&mut input, &bytes);
            match input.next() {
                Ok(Some(Packet::Connect(connect))) => assert!(fine && !connect.request.clean_start),
                Err(error) => assert!(!fine && error == DecodeError::ClientIdNeeded),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_will_may_expire_at_once() {
        let read = |properties: &[u8]| {
            let mut body = b"\x00\x04MQTT\x05\x06\x00\x3c\x00\x00\x01c".to_vec();
            body.push(properties.len() as u8);
            body.extend_from_slice(properties);
            body.extend_from_slice(b"\x00\x01w\x00\x02\x00\x00");
            let mut bytes = vec![0x10, body.len() as u8];
            bytes.extend_from_slice(&body);
            let mut input = Input::new(None, 1 << 20);
            fill(&mut input, &bytes);
            match input.next() {
                Ok(Some(Packet::Connect(connect))) => {
                    let will = connect.request.last_will.unwrap();
                    assert_eq!(&will.message[..], [0, 0]);
                    Ok((connect.will_expires_at_once, will.message_expiry_interval.map(u32::from)))
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => Err(error.reason()),
            }
        };
        assert_eq!(read(&[]), Ok((false, None)));
        assert_eq!(read(&[0x02, 0, 0, 0, 7]), Ok((false, Some(7))));
        assert_eq!(read(&[0x02, 0, 0, 0, 0]), Ok((true, None)));
        let all = b"\x01\x01\x18\x00\x00\x00\x00\x03\x00\x01t\x26\x00\x01a\x00\x01b\x02\x00\x00\x00\x00\x09\x00\x01\x00";
        assert_eq!(read(all), Ok((true, None)));
        assert!(read(&[0x02, 0, 0, 0, 0, 0x02, 0, 0, 0, 0]).is_err(), "only once");
        assert_eq!(read(&[0x02, 0, 0]), Err(ReasonCode::MalformedPacket));
    }

    #[test]
    fn what_breaks_the_format_is_refused_with_its_reason() {
        let refused = |version: Option<Version>, bytes: &[u8]| {
            let mut input = Input::new(version, 1000);
            fill(&mut input, bytes);
            input.next().map(|packet| format!("{packet:?}")).unwrap_err().reason()
        };
        let v311 = Some(Version::V311);
        assert_eq!(refused(v311, &[0x30, 0xFF, 0xFF, 0x7F]), ReasonCode::PacketTooLarge);
        assert_eq!(refused(v311, &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1]), ReasonCode::MalformedPacket);
        assert_eq!(refused(v311, &[0x36, 5, 0, 1, b'a', 0, 1]), ReasonCode::MalformedPacket);
        assert_eq!(refused(v311, &[0x38, 3, 0, 1, b'a']), ReasonCode::MalformedPacket);
        assert_eq!(refused(v311, &[0x32, 5, 0, 1, b'a', 0, 0]), ReasonCode::MalformedPacket);
        assert_eq!(refused(v311, &[0x82, 6, 0, 1, 0, 1, b'a', 0x41]), ReasonCode::MalformedPacket);
        assert_eq!(refused(v311, &[0x60, 2, 0, 1]), ReasonCode::MalformedPacket);
        assert_eq!(refused(v311, &[0xC0, 1, 0]), ReasonCode::MalformedPacket);
        assert_eq!(refused(None, &[0xC0, 0]), ReasonCode::ProtocolError);
        assert_eq!(
            refused(None, &[0x10, 10, 0, 4, b'M', b'Q', b'T', b'T', 6, 0, 0, 0]),
            ReasonCode::UnsupportedProtocolVersion
        );
        let twice = [0x30, 8, 0, 1, b'a', 4, 1, 0, 1, 0];
        assert_eq!(refused(Some(Version::V5), &twice), ReasonCode::ProtocolError);
    }

    #[test]
    fn acknowledgements_say_no_more_than_their_version_can() {
        let id = PacketId::new(258).unwrap();
        let ack = Ack { reason_string: Some("no"), ..Ack::new(id, ReasonCode::QuotaExceeded) };
        assert_eq!(written(Version::V311, &Packet::PublishAck(ack)), [0x40, 2, 1, 2]);
        assert_eq!(
            written(Version::V5, &Packet::PublishRelease(Ack::new(id, ReasonCode::Success))),
            [0x62, 2, 1, 2]
        );
        assert_eq!(
            journey(Version::V5, &Packet::PublishReceived(ack)),
            format!("{:?}", Packet::PublishReceived(ack))
        );
    }
}
