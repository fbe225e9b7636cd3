use crate::packet::{Ack, Packet, Publish, Version};
use crate::properties::Scratch;
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
    /// Read and not yet taken: `buffer[start..end]`. Beyond `end` is room to read into.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the packet at `start`, as far as its first bytes have told; 0 if unknown.
    needed: usize,
    version: Option<Version>,
    packet_bytes_max: usize,
    scratch: Scratch,
}

/// Room for the first read, and after [`Input::trim`].
const ROOM_MIN: usize = 1024;
/// Room for one read at the most, unless a single packet needs more.
const ROOM_MAX: usize = 64 * 1024;

impl Input {
    /// Without a version, the first packet must be CONNECT, and tells it.
    pub(crate) fn new(version: Option<Version>, packet_bytes_max: u32) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            needed: 0,
            version,
            packet_bytes_max: packet_bytes_max as usize,
            scratch: Scratch::default(),
        }
    }

    /// The version in which packets are read; `None` before CONNECT has come.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The number of bytes that have come and are not taken yet.
    pub fn buffered_bytes(&self) -> usize {
        self.end - self.start
    }

    /// Takes the next packet if all of it has come. It borrows from the buffer until the next call.
    #[allow(clippy::should_implement_trait)] // a lending iterator, which std has no trait for
    pub fn next(&mut self) -> Result<Option<Packet<'_>>, DecodeError> {
        let waiting = &self.buffer[self.start..self.end];
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
        let at = self.start;
        self.start += bytes;
        self.needed = 0;
        self.scratch.clear();
        let frame = &self.buffer[at..at + bytes];
        let version = match self.version {
            Some(version) => version,
            None => {
                let version = rare::version_asked_for(frame[0], &frame[1 + taken..])?;
                self.version = Some(version);
                version
            }
        };
        decode(frame, 1 + taken, version, &mut self.scratch).map(Some)
    }

    /// Room to read into, at least one byte, after as little moving and allocating as possible.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let waiting = self.end - self.start;
        if waiting == 0 {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.buffer.len() - self.end < self.buffer.len() / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, waiting);
        }
        if self.end == self.buffer.len() || self.needed > self.buffer.len() {
            // A packet that says it is large gets its room in steps, so that a length alone costs nothing.
            let wanted = self.needed.min(4 * self.end.max(ROOM_MAX)).max(self.end + ROOM_MIN);
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// `count` bytes were read into the room. A full room is followed by a larger one.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end += count;
        if self.end == self.buffer.len() && self.buffer.len() < ROOM_MAX {
            self.buffer.resize((2 * self.buffer.len()).max(ROOM_MIN), 0);
        }
    }

    /// Gives memory back that nothing waits in.
    pub(crate) fn trim(&mut self) {
        if self.start == self.end && self.buffer.len() > ROOM_MIN {
            self.buffer = Vec::new();
            (self.start, self.end) = (0, 0);
        }
    }
}

fn decode<'a>(
    frame: &'a [u8],
    header: usize,
    version: Version,
    scratch: &'a mut Scratch,
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
    scratch: &'a mut Scratch,
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
            travels = scratch.read_publish(Reader(body.take(length)?))?;
        }
    }
    let scratch = &*scratch;
    Ok(Publish {
        topic,
        payload: body.0,
        qos,
        retain: flags & 1 != 0,
        dup,
        packet_id,
        properties: travels.then_some(&scratch.message),
        subscription_ids: &scratch.subscription_ids,
        topic_alias: scratch.topic_alias,
    })
}

fn ack<'a>(mut body: Reader<'a>, version: Version, scratch: &'a mut Scratch) -> Result<Ack<'a>, DecodeError> {
    let packet_id = packet_id(&mut body)?;
    let mut reason = ReasonCode::Success;
    if version == Version::V5 && !body.is_empty() {
        reason =
            ReasonCode::from_byte(body.byte()?).ok_or(DecodeError::Malformed("an unknown reason code"))?;
        if !body.is_empty() {
            let length = body.length()?;
            scratch.read_ack(Reader(body.take(length)?))?;
        }
    }
    if !body.is_empty() {
        return Err(DecodeError::Malformed("bytes after the end of an acknowledgement"));
    }
    let scratch = &*scratch;
    Ok(Ack {
        packet_id,
        reason,
        reason_string: scratch.reason_string.as_deref(),
        user: &scratch.message.user,
    })
}

fn packet_id(body: &mut Reader<'_>) -> Result<PacketId, DecodeError> {
    PacketId::new(body.u16()?).ok_or(DecodeError::Malformed("a packet identifier of 0"))
}
