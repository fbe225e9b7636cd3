//! The packets that a connection sees now and then, through `rmqtt-codec`.
//!
//! Its MQTT 5 types serve 3.1 and 3.1.1 too. What it gets wrong or lets through is mended here: the protocol level of
//! MQTT 3.1 and of bridges, an empty client id with Clean Start 0 and a will that expires at once in MQTT 5, flags and trailing bytes of CONNECT,
//! reserved bits in SUBSCRIBE, and what is a protocol error rather than malformed there.

use bytes::BytesMut;
use rmqtt_codec::error::DecodeError as CodecError;
use rmqtt_codec::types::Protocol;
use rmqtt_codec::{v3, v5};
use tokio_util::codec::{Decoder, Encoder};

use crate::packet::{Connect, Packet, Version};
use crate::wire::{self, Reader, first};
use crate::{
    ConnectAckReason, DecodeError, EncodeError, PacketId, QoS, SubscribeAckReason, SubscriptionOptions,
};

/// The high bit of the protocol level, by which bridges make themselves known in 3.1 and 3.1.1.
const BRIDGE: u8 = 0x80;
/// The flag of CONNECT that says that there is a will.
const WILL: u8 = 0x04;

/// The version that CONNECT asks for; an error for every other packet.
pub(crate) fn version_asked_for(first_byte: u8, body: &[u8]) -> Result<Version, DecodeError> {
    if first_byte != first::CONNECT {
        return Err(DecodeError::Protocol("the first packet is not CONNECT"));
    }
    let mut body = Reader(body);
    let name = body.bytes()?;
    let level = body.byte()?;
    match (name, level, level & !BRIDGE) {
        (b"MQIsdp", _, 3) => Ok(Version::V31),
        (b"MQTT", _, 4) => Ok(Version::V311),
        (b"MQTT", 5, _) => Ok(Version::V5),
        (b"MQIsdp" | b"MQTT", level, _) => Err(DecodeError::UnsupportedVersion(level)),
        _ => Err(DecodeError::Malformed("a protocol name that is not `MQTT`")),
    }
}

/// Reads a packet from the whole of its bytes, of which the first `header` are type and length.
pub(crate) fn decode(frame: &[u8], header: usize, version: Version) -> Result<Packet<'static>, DecodeError> {
    let mut bytes = BytesMut::from(frame);
    if frame[0] == first::CONNECT {
        return connect(&mut bytes, header, version);
    }
    match version {
        Version::V5 => {
            if frame[0] & 0xF0 == 0x80 {
                check_subscribe_v5(&frame[header..])?;
            }
            from_v5(decode_v5(&mut bytes)?)
        }
        Version::V31 | Version::V311 => {
            if frame[0] & 0xF0 == 0x80 {
                check_requested_qos(&frame[header..])?;
            }
            from_v3(v3::Codec::default().decode(&mut bytes).map_err(|error| self::error(&error))?)
        }
    }
}

fn decode_v5(bytes: &mut BytesMut) -> Result<Option<(v5::Packet, u32)>, DecodeError> {
    v5::Codec::default().decode(bytes).map_err(|error| self::error(&error))
}

const NOT_HERE: DecodeError = DecodeError::Malformed("a packet type or flags that do not exist");

fn from_v5(packet: Option<(v5::Packet, u32)>) -> Result<Packet<'static>, DecodeError> {
    Ok(match packet {
        Some((v5::Packet::ConnectAck(ack), _)) => Packet::ConnectAck(ack),
        Some((v5::Packet::Subscribe(subscribe), _)) => Packet::Subscribe(Box::new(subscribe)),
        Some((v5::Packet::SubscribeAck(ack), _)) => Packet::SubscribeAck(Box::new(ack)),
        Some((v5::Packet::Unsubscribe(unsubscribe), _)) => Packet::Unsubscribe(Box::new(unsubscribe)),
        Some((v5::Packet::UnsubscribeAck(ack), _)) => Packet::UnsubscribeAck(Box::new(ack)),
        Some((v5::Packet::Disconnect(disconnect), _)) => Packet::Disconnect(Box::new(disconnect)),
        Some((v5::Packet::Auth(auth), _)) => Packet::Auth(Box::new(auth)),
        Some(_) | None => return Err(NOT_HERE),
    })
}

fn from_v3(packet: Option<(v3::Packet, u32)>) -> Result<Packet<'static>, DecodeError> {
    Ok(match packet {
        Some((v3::Packet::ConnectAck(ack), _)) => Packet::ConnectAck(Box::new(v5::ConnectAck {
            session_present: ack.session_present,
            reason_code: connect_reason(ack.return_code),
            ..Default::default()
        })),
        Some((v3::Packet::Subscribe { packet_id, topic_filters }, _)) => {
            let option = |qos| SubscriptionOptions { qos, ..Default::default() };
            let topic_filters =
                topic_filters.into_iter().map(|(filter, qos)| (filter, option(qos))).collect();
            Packet::Subscribe(Box::new(v5::Subscribe {
                packet_id,
                id: None,
                user_properties: Vec::new(),
                topic_filters,
            }))
        }
        Some((v3::Packet::SubscribeAck { packet_id, status }, _)) => {
            Packet::SubscribeAck(Box::new(v5::SubscribeAck {
                packet_id,
                properties: Vec::new(),
                reason_string: None,
                status: status.into_iter().map(subscribe_reason).collect(),
            }))
        }
        Some((v3::Packet::Unsubscribe { packet_id, topic_filters }, _)) => {
            Packet::Unsubscribe(Box::new(v5::Unsubscribe {
                packet_id,
                user_properties: Vec::new(),
                topic_filters,
            }))
        }
        Some((v3::Packet::UnsubscribeAck { packet_id }, _)) => unsubscribe_ack(packet_id),
        Some((v3::Packet::Disconnect, 0)) => Packet::Disconnect(Box::default()),
        Some(_) | None => return Err(NOT_HERE),
    })
}

fn unsubscribe_ack(packet_id: PacketId) -> Packet<'static> {
    Packet::UnsubscribeAck(Box::new(v5::UnsubscribeAck {
        packet_id,
        properties: Vec::new(),
        reason_string: None,
        status: Vec::new(),
    }))
}

fn connect(bytes: &mut BytesMut, header: usize, version: Version) -> Result<Packet<'static>, DecodeError> {
    let level_at = header + 2 + version.name().len();
    let flags_at = level_at + 1;
    if bytes.len() <= flags_at {
        return Err(DecodeError::Malformed("a packet that is shorter than it says"));
    }
    let flags = bytes[flags_at];
    let clean_start = flags & 0x02 != 0;
    check_connect_flags(flags, version)?;
    if goes_on_after_connect(&bytes[flags_at + 1..], flags, version) == Some(true) {
        return Err(DecodeError::Malformed("bytes after the last field of CONNECT"));
    }
    let bridge = bytes[level_at] & BRIDGE != 0;
    bytes[level_at] &= !BRIDGE;
    let mut will_expires_at_once = false;
    let request = match version {
        Version::V5 => {
            // The codec refuses an empty client id with Clean Start 0, which MQTT 5 allows.
            bytes[flags_at] |= 0x02;
            // Nor does it know a Message Expiry Interval of 0, in whose place it reads 1.
            let zero = if flags & WILL != 0 { will_expiry_of_zero(&bytes[flags_at + 1..]) } else { None };
            if let Some(at) = zero {
                bytes[flags_at + 1 + at + 3] = 1;
                will_expires_at_once = true;
            }
            match decode_v5(bytes)? {
                Some((v5::Packet::Connect(mut request), _)) => {
                    if let (true, Some(will)) = (will_expires_at_once, &mut request.last_will) {
                        will.message_expiry_interval = None;
                    }
                    v5::Connect { clean_start, ..*request }
                }
                Some(_) | None => return Err(NOT_HERE),
            }
        }
        Version::V31 | Version::V311 => {
            match v3::Codec::default().decode(bytes).map_err(|error| self::error(&error))? {
                Some((v3::Packet::Connect(request), _)) => connect_from_v3(*request),
                Some(_) | None => return Err(NOT_HERE),
            }
        }
    };
    Ok(Packet::Connect(Box::new(Connect { version, bridge, will_expires_at_once, request })))
}

/// Where the will's Message Expiry Interval stands in what follows the flags of CONNECT in MQTT 5, if it is 0. What breaks
/// the format is the codec's to tell.
fn will_expiry_of_zero(after_flags: &[u8]) -> Option<usize> {
    let mut body = Reader(after_flags);
    body.u16().ok()?;
    let length = body.length().ok()?;
    body.take(length).ok()?;
    body.bytes().ok()?;
    let length = body.length().ok()?;
    let mut properties = Reader(body.take(length).ok()?);
    // What comes after the properties stays as it is.
    let end = after_flags.len() - body.0.len();
    while !properties.is_empty() {
        match properties.byte().ok()? {
            will::MESSAGE_EXPIRY_INTERVAL => {
                let at = end - properties.0.len();
                if properties.u32().ok()? == 0 {
                    return Some(at);
                }
            }
            will::PAYLOAD_FORMAT_INDICATOR => drop(properties.byte().ok()?),
            will::WILL_DELAY_INTERVAL => drop(properties.u32().ok()?),
            will::USER_PROPERTY => {
                properties.bytes().ok()?;
                properties.bytes().ok()?;
            }
            will::CONTENT_TYPE | will::RESPONSE_TOPIC | will::CORRELATION_DATA => {
                properties.bytes().ok()?;
            }
            _ => return None,
        }
    }
    None
}

/// The properties of a will (MQTT 5.0 §3.1.3.2).
mod will {
    pub(super) const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
    pub(super) const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
    pub(super) const CONTENT_TYPE: u8 = 0x03;
    pub(super) const RESPONSE_TOPIC: u8 = 0x08;
    pub(super) const CORRELATION_DATA: u8 = 0x09;
    pub(super) const WILL_DELAY_INTERVAL: u8 = 0x18;
    pub(super) const USER_PROPERTY: u8 = 0x26;
}

/// Whether something stands behind all that the flags of CONNECT announce, in what follows them, which the codec passes over.
/// `None` where the format is broken, which is the codec's to tell.
fn goes_on_after_connect(after_flags: &[u8], flags: u8, version: Version) -> Option<bool> {
    let mut body = Reader(after_flags);
    let properties = |body: &mut Reader<'_>| {
        if version == Version::V5 {
            let length = body.length().ok()?;
            body.take(length).ok()?;
        }
        Some(())
    };
    body.u16().ok()?;
    properties(&mut body)?;
    body.bytes().ok()?;
    if flags & WILL != 0 {
        properties(&mut body)?;
        body.bytes().ok()?;
        body.bytes().ok()?;
    }
    for field in [0x80, 0x40] {
        if flags & field != 0 {
            body.bytes().ok()?;
        }
    }
    Some(!body.is_empty())
}

fn check_connect_flags(flags: u8, version: Version) -> Result<(), DecodeError> {
    let (user_name, password, will_retain, will_qos, will) =
        (flags & 0x80, flags & 0x40, flags & 0x20, flags & 0x18, flags & 0x04);
    if flags & 0x01 != 0 {
        return Err(DecodeError::Malformed("a reserved flag in CONNECT"));
    }
    if will_qos == 0x18 || (will == 0 && (will_qos != 0 || will_retain != 0)) {
        return Err(DecodeError::Malformed("will flags in CONNECT that contradict each other"));
    }
    if version != Version::V5 && user_name == 0 && password != 0 {
        return Err(DecodeError::Malformed("a password without a user name"));
    }
    Ok(())
}

/// Filters of SUBSCRIBE before MQTT 5: the upper six bits of each requested QoS are reserved [MQTT-3.8.3-4].
fn check_requested_qos(body: &[u8]) -> Result<(), DecodeError> {
    let mut body = Reader(body);
    body.u16()?;
    while !body.is_empty() {
        body.bytes()?;
        if body.byte()? > 2 {
            return Err(DecodeError::Malformed("a requested QoS above 2"));
        }
    }
    Ok(())
}

/// SUBSCRIBE of MQTT 5: the codec calls values malformed that are protocol errors (MQTT 5.0 §3.8.2.1.2, §3.8.3.1).
/// Everything else about the packet is left to it.
fn check_subscribe_v5(body: &[u8]) -> Result<(), DecodeError> {
    const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
    let mut body = Reader(body);
    body.u16()?;
    let length = body.length()?;
    let mut properties = Reader(body.take(length)?);
    while !properties.is_empty() {
        if properties.byte()? != SUBSCRIPTION_IDENTIFIER {
            // The only other one is a user property.
            properties.bytes()?;
            properties.bytes()?;
        } else if properties.length()? == 0 {
            return Err(DecodeError::Protocol("a subscription identifier of 0"));
        }
    }
    while !body.is_empty() {
        body.bytes()?;
        let options = body.byte()?;
        if options & 0xC0 != 0 {
            return Err(DecodeError::Malformed("reserved bits in the options of a subscription"));
        }
        if options & 0x03 == 3 || options & 0x30 == 0x30 {
            return Err(DecodeError::Protocol("a QoS or a retain handling of 3"));
        }
    }
    Ok(())
}

fn connect_from_v3(request: v3::Connect) -> v5::Connect {
    v5::Connect {
        clean_start: request.clean_session,
        keep_alive: request.keep_alive,
        // Before MQTT 5 a session that is to be kept is kept for ever.
        session_expiry_interval_secs: if request.clean_session { 0 } else { u32::MAX },
        last_will: request.last_will.map(|will| v5::LastWill {
            qos: will.qos,
            retain: will.retain,
            topic: will.topic,
            message: will.message,
            will_delay_interval_sec: None,
            correlation_data: None,
            message_expiry_interval: None,
            content_type: None,
            user_properties: Vec::new(),
            is_utf8_payload: None,
            response_topic: None,
        }),
        client_id: request.client_id,
        username: request.username,
        password: request.password,
        ..Default::default()
    }
}

fn connect_to_v3(connect: &Connect) -> v3::Connect {
    let request = connect.request.clone();
    v3::Connect {
        protocol: Protocol(connect.version.level()),
        clean_session: request.clean_start,
        keep_alive: request.keep_alive,
        last_will: request.last_will.map(|will| v3::LastWill {
            qos: will.qos,
            retain: will.retain,
            topic: will.topic,
            message: will.message,
        }),
        client_id: request.client_id,
        username: request.username,
        password: request.password,
        cert: None,
    }
}

fn connect_reason(code: v3::ConnectAckReason) -> ConnectAckReason {
    match code {
        v3::ConnectAckReason::ConnectionAccepted => ConnectAckReason::Success,
        v3::ConnectAckReason::UnacceptableProtocolVersion => ConnectAckReason::UnsupportedProtocolVersion,
        v3::ConnectAckReason::IdentifierRejected => ConnectAckReason::ClientIdentifierNotValid,
        v3::ConnectAckReason::ServiceUnavailable => ConnectAckReason::ServerUnavailable,
        v3::ConnectAckReason::BadUserNameOrPassword => ConnectAckReason::BadUserNameOrPassword,
        v3::ConnectAckReason::NotAuthorized => ConnectAckReason::NotAuthorized,
        v3::ConnectAckReason::Reserved => ConnectAckReason::UnspecifiedError,
    }
}

fn connect_code(reason: ConnectAckReason) -> v3::ConnectAckReason {
    match reason {
        ConnectAckReason::Success => v3::ConnectAckReason::ConnectionAccepted,
        ConnectAckReason::UnsupportedProtocolVersion => v3::ConnectAckReason::UnacceptableProtocolVersion,
        ConnectAckReason::ClientIdentifierNotValid => v3::ConnectAckReason::IdentifierRejected,
        ConnectAckReason::BadUserNameOrPassword | ConnectAckReason::BadAuthenticationMethod => {
            v3::ConnectAckReason::BadUserNameOrPassword
        }
        ConnectAckReason::NotAuthorized | ConnectAckReason::Banned => v3::ConnectAckReason::NotAuthorized,
        _ => v3::ConnectAckReason::ServiceUnavailable,
    }
}

fn subscribe_reason(code: v3::SubscribeReturnCode) -> SubscribeAckReason {
    match code {
        v3::SubscribeReturnCode::Success(QoS::AtMostOnce) => SubscribeAckReason::GrantedQos0,
        v3::SubscribeReturnCode::Success(QoS::AtLeastOnce) => SubscribeAckReason::GrantedQos1,
        v3::SubscribeReturnCode::Success(QoS::ExactlyOnce) => SubscribeAckReason::GrantedQos2,
        v3::SubscribeReturnCode::Failure => SubscribeAckReason::UnspecifiedError,
    }
}

fn subscribe_code(reason: SubscribeAckReason) -> v3::SubscribeReturnCode {
    match reason {
        SubscribeAckReason::GrantedQos0 => v3::SubscribeReturnCode::Success(QoS::AtMostOnce),
        SubscribeAckReason::GrantedQos1 => v3::SubscribeReturnCode::Success(QoS::AtLeastOnce),
        SubscribeAckReason::GrantedQos2 => v3::SubscribeReturnCode::Success(QoS::ExactlyOnce),
        _ => v3::SubscribeReturnCode::Failure,
    }
}

fn error(error: &CodecError) -> DecodeError {
    match error {
        CodecError::InvalidClientId => DecodeError::ClientIdNeeded,
        CodecError::InvalidTopicFilter => DecodeError::Protocol("no topic filter, or an empty one"),
        CodecError::UnsupportedPacketType => NOT_HERE,
        CodecError::Utf8Error => DecodeError::Malformed("a string that is not UTF-8"),
        CodecError::ConnAckReservedFlagSet => DecodeError::Malformed("a reserved flag in CONNACK"),
        CodecError::PacketIdRequired => DecodeError::Malformed("a packet identifier of 0"),
        CodecError::InvalidLength => DecodeError::Malformed("a length that does not fit"),
        CodecError::InvalidProtocol
        | CodecError::MalformedPacket
        | CodecError::UnsupportedProtocolLevel
        | CodecError::ConnectReservedFlagSet
        | CodecError::InvalidConnectFlags
        | CodecError::MaxSizeExceeded { .. }
        | CodecError::InvalidTopicName
        | CodecError::Io(_) => DecodeError::Malformed("a packet that does not follow the format"),
    }
}

/// The bytes of a packet.
pub(crate) fn encode(packet: &Packet<'_>, version: Version) -> Result<BytesMut, EncodeError> {
    let mut out = BytesMut::new();
    if let Packet::Connect(connect) = packet {
        encode_connect(connect, &mut out)?;
        return Ok(out);
    }
    match version {
        Version::V5 => v5::Codec::default().encode(to_v5(packet)?, &mut out),
        Version::V31 | Version::V311 => v3::Codec::default().encode(to_v3(packet, version)?, &mut out),
    }
    .map_err(|_| EncodeError::Invalid)?;
    Ok(out)
}

fn encode_connect(connect: &Connect, out: &mut BytesMut) -> Result<(), EncodeError> {
    if connect.version == Version::V5 {
        let packet = v5::Packet::Connect(Box::new(connect.request.clone()));
        return v5::Codec::default().encode(packet, out).map_err(|_| EncodeError::Invalid);
    }
    let packet = v3::Packet::Connect(Box::new(connect_to_v3(connect)));
    v3::Codec::default().encode(packet, out).map_err(|_| EncodeError::Invalid)?;
    // The codec writes level 4 whatever the version.
    let header = 1 + wire::length(&out[1..]).ok().flatten().map_or(1, |(_, taken)| taken);
    let level_at = header + 2 + connect.version.name().len();
    out[level_at] = connect.version.level() | if connect.bridge { BRIDGE } else { 0 };
    Ok(())
}

fn to_v5(packet: &Packet<'_>) -> Result<v5::Packet, EncodeError> {
    Ok(match packet {
        Packet::ConnectAck(ack) => v5::Packet::ConnectAck(ack.clone()),
        Packet::Subscribe(subscribe) => v5::Packet::Subscribe((**subscribe).clone()),
        Packet::SubscribeAck(ack) => v5::Packet::SubscribeAck((**ack).clone()),
        Packet::Unsubscribe(unsubscribe) => v5::Packet::Unsubscribe((**unsubscribe).clone()),
        Packet::UnsubscribeAck(ack) => v5::Packet::UnsubscribeAck((**ack).clone()),
        Packet::Disconnect(disconnect) => v5::Packet::Disconnect((**disconnect).clone()),
        Packet::Auth(auth) => v5::Packet::Auth((**auth).clone()),
        _ => return Err(EncodeError::Invalid),
    })
}

fn to_v3(packet: &Packet<'_>, version: Version) -> Result<v3::Packet, EncodeError> {
    Ok(match packet {
        Packet::ConnectAck(ack) => v3::Packet::ConnectAck(v3::ConnectAck {
            return_code: connect_code(ack.reason_code),
            // MQTT 3.1 has no such flag: the byte is reserved.
            session_present: ack.session_present && version != Version::V31,
        }),
        Packet::Subscribe(subscribe) => v3::Packet::Subscribe {
            packet_id: subscribe.packet_id,
            topic_filters: subscribe
                .topic_filters
                .iter()
                .map(|(filter, how)| (filter.clone(), how.qos))
                .collect(),
        },
        Packet::SubscribeAck(ack) => v3::Packet::SubscribeAck {
            packet_id: ack.packet_id,
            status: ack.status.iter().copied().map(subscribe_code).collect(),
        },
        Packet::Unsubscribe(unsubscribe) => v3::Packet::Unsubscribe {
            packet_id: unsubscribe.packet_id,
            topic_filters: unsubscribe.topic_filters.clone(),
        },
        Packet::UnsubscribeAck(ack) => v3::Packet::UnsubscribeAck { packet_id: ack.packet_id },
        Packet::Disconnect(_) => v3::Packet::Disconnect,
        _ => return Err(EncodeError::Invalid),
    })
}
