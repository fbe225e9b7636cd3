use std::fmt;
use std::num::NonZeroU16;

use event::Properties;

use crate::{
    Auth, ConnectAck, ConnectRequest, Disconnect, QoS, ReasonCode, Subscribe, SubscribeAck, Unsubscribe,
    UnsubscribeAck,
};

/// A packet identifier: 1 to 65,535.
pub type PacketId = NonZeroU16;

/// The version of the protocol that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1.
    V31,
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.
    V5,
}

impl Version {
    /// The protocol level in CONNECT: 3, 4 or 5.
    pub fn level(self) -> u8 {
        match self {
            Version::V31 => 3,
            Version::V311 => 4,
            Version::V5 => 5,
        }
    }

    /// The protocol name in CONNECT.
    pub fn name(self) -> &'static str {
        match self {
            Version::V31 => "MQIsdp",
            Version::V311 | Version::V5 => "MQTT",
        }
    }
}

/// One control packet of any version. What a version lacks is at its default after reading, and is left out on writing.
#[derive(Debug)]
pub enum Packet<'a> {
    /// A client wants to connect.
    Connect(Box<Connect>),
    /// The answer to it. The return codes of 3.1 and 3.1.1 appear as the reasons of MQTT 5 that mean the same.
    ConnectAck(Box<ConnectAck>),
    /// A message.
    Publish(Publish<'a>),
    /// A message of QoS 1 is taken over.
    PublishAck(Ack<'a>),
    /// A message of QoS 2 is taken over.
    PublishReceived(Ack<'a>),
    /// The packet id of a message of QoS 2 is given free.
    PublishRelease(Ack<'a>),
    /// The answer to it.
    PublishComplete(Ack<'a>),
    /// Filters to subscribe to.
    Subscribe(Box<Subscribe>),
    /// The answer to it, one reason a filter; 3.1 and 3.1.1 know one failure only.
    SubscribeAck(Box<SubscribeAck>),
    /// Filters to leave.
    Unsubscribe(Box<Unsubscribe>),
    /// The answer to it; without reasons before MQTT 5.
    UnsubscribeAck(Box<UnsubscribeAck>),
    /// Is anybody there?
    PingRequest,
    /// Yes.
    PingResponse,
    /// The last packet of a connection. Before MQTT 5 only clients send it, and without a reason.
    Disconnect(Box<Disconnect>),
    /// Extended authentication, MQTT 5 alone.
    Auth(Box<Auth>),
}

impl Packet<'_> {
    /// A short name for messages and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Packet::Connect(_) => "CONNECT",
            Packet::ConnectAck(_) => "CONNACK",
            Packet::Publish(_) => "PUBLISH",
            Packet::PublishAck(_) => "PUBACK",
            Packet::PublishReceived(_) => "PUBREC",
            Packet::PublishRelease(_) => "PUBREL",
            Packet::PublishComplete(_) => "PUBCOMP",
            Packet::Subscribe(_) => "SUBSCRIBE",
            Packet::SubscribeAck(_) => "SUBACK",
            Packet::Unsubscribe(_) => "UNSUBSCRIBE",
            Packet::UnsubscribeAck(_) => "UNSUBACK",
            Packet::PingRequest => "PINGREQ",
            Packet::PingResponse => "PINGRESP",
            Packet::Disconnect(_) => "DISCONNECT",
            Packet::Auth(_) => "AUTH",
        }
    }
}

/// CONNECT, with what the MQTT 5 form of it does not say. `Debug` shows neither password nor payload of the will.
#[derive(Clone)]
pub struct Connect {
    /// The version asked for.
    pub version: Version,
    /// Whether the client says that it is a bridge: the high bit of the protocol level, in 3.1 and 3.1.1.
    pub bridge: bool,
    /// Whether the will has a Message Expiry Interval of 0, which `request` cannot hold: then it has none there.
    pub will_expires_at_once: bool,
    /// The rest. `clean_start` is Clean Session before MQTT 5.
    pub request: ConnectRequest,
}

impl fmt::Debug for Connect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Connect")
            .field("version", &self.version)
            .field("bridge", &self.bridge)
            .field("client_id", &self.request.client_id)
            .field("clean_start", &self.request.clean_start)
            .field("keep_alive", &self.request.keep_alive)
            .field("username", &self.request.username)
            .field("has_password", &self.request.password.is_some())
            .field("has_will", &self.request.last_will.is_some())
            .finish_non_exhaustive()
    }
}

/// PUBLISH, borrowing from a read buffer, or from whatever is to be written.
///
/// The topic is UTF-8, not yet checked for wildcards and NUL, and empty where MQTT 5 gives a topic alias instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where to.
    pub topic: &'a str,
    /// The bytes.
    pub payload: &'a [u8],
    /// 0, 1 or 2.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// The DUP flag.
    pub dup: bool,
    /// Given exactly if `qos` is not 0.
    pub packet_id: Option<PacketId>,
    /// The MQTT 5 properties that travel with the message; `None` where there is none.
    pub properties: Option<&'a Properties>,
    /// MQTT 5 Subscription Identifiers, from a server to a client.
    pub subscription_ids: &'a [u32],
    /// The MQTT 5 Topic Alias; 0 is possible on reading, and an error of the sender.
    pub topic_alias: Option<u16>,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy)]
pub struct Ack<'a> {
    /// Of the PUBLISH.
    pub packet_id: PacketId,
    /// `Success` before MQTT 5.
    pub reason: ReasonCode,
    /// The MQTT 5 Reason String.
    pub reason_string: Option<&'a str>,
    /// The MQTT 5 User Properties; not written.
    pub user: &'a [(String, String)],
}

impl Ack<'_> {
    /// An acknowledgement without words.
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, reason_string: None, user: &[] }
    }
}
