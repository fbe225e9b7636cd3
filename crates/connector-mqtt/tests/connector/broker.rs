//! A remote whose every move is the test's.

use std::net::SocketAddr;
use std::time::Duration;

use event::Properties;
use mqtt::{
    Ack, Conn, Connect, ConnectAck, Disconnect, Packet, PacketId, Publish, QoS, Reading, ReasonCode, Stream,
    Subscribe, SubscribeAck, SubscribeAckReason, Unsubscribe,
};
use tokio::net::TcpListener;

/// How long a test waits for a packet before it gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Listens and lets the test speak.
pub(crate) struct Broker {
    listener: TcpListener,
}

/// One connection, as the remote has it.
pub(crate) struct Peer {
    pub(crate) connect: Connect,
    /// The MQTT 5 properties of the last PUBLISH that came.
    pub(crate) properties: Properties,
    conn: Conn,
}

/// A packet that came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Got {
    Publish { topic: String, payload: String, qos: u8, retain: bool, dup: bool, id: u16 },
    PublishAck(u16),
    PublishReceived(u16),
    PublishRelease(u16),
    PublishComplete(u16),
    Subscribe(Box<Subscribe>),
    Unsubscribe(Box<Unsubscribe>),
    Ping,
    Disconnect,
    Closed,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) async fn at(address: SocketAddr) -> Self {
        Self { listener: TcpListener::bind(address).await.unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection, with its CONNECT read and not answered.
    pub(crate) async fn accept(&self) -> Peer {
        let (tcp, _) =
            tokio::time::timeout(PATIENCE, self.listener.accept()).await.expect("a connection").unwrap();
        let mut conn = Conn::server(Stream::from(tcp), 1 << 28);
        let connect = loop {
            if let Some(Packet::Connect(connect)) = conn.input.next().unwrap() {
                break *connect;
            }
            let turn =
                tokio::time::timeout(PATIENCE, conn.turn(Reading::Wanted)).await.expect("CONNECT").unwrap();
            assert!(!turn.closed, "closed before CONNECT");
        };
        conn.output.set_version(connect.version);
        Peer { connect, properties: Properties::default(), conn }
    }

    /// The next connection, let in.
    pub(crate) async fn welcome(&self, session_present: bool) -> Peer {
        let mut peer = self.accept().await;
        peer.answer(ConnectAck { session_present, ..ConnectAck::default() }).await;
        peer
    }
}

impl Peer {
    pub(crate) fn clientid(&self) -> &str {
        &self.connect.request.client_id
    }

    pub(crate) async fn answer(&mut self, ack: ConnectAck) {
        self.put(&Packet::ConnectAck(Box::new(ack))).await;
    }

    pub(crate) async fn put(&mut self, packet: &Packet<'_>) {
        self.conn.output.put(packet).unwrap();
        self.conn.flush().await.unwrap();
    }

    pub(crate) async fn puback(&mut self, id: u16, reason: ReasonCode) {
        self.put(&Packet::PublishAck(Ack::new(packet_id(id), reason))).await;
    }

    pub(crate) async fn pubrec(&mut self, id: u16) {
        self.put(&Packet::PublishReceived(Ack::new(packet_id(id), ReasonCode::Success))).await;
    }

    pub(crate) async fn pubcomp(&mut self, id: u16) {
        self.put(&Packet::PublishComplete(Ack::new(packet_id(id), ReasonCode::Success))).await;
    }

    pub(crate) async fn pubrel(&mut self, id: u16) {
        self.put(&Packet::PublishRelease(Ack::new(packet_id(id), ReasonCode::Success))).await;
    }

    pub(crate) async fn disconnect(mut self, reason: mqtt::DisconnectReasonCode) {
        let disconnect = Disconnect { reason_code: reason, ..Disconnect::default() };
        self.put(&Packet::Disconnect(Box::new(disconnect))).await;
    }

    /// Sends a message of QoS 1, or of QoS 0 with an `id` of 0.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &str, id: u16, identifiers: &[u32]) {
        let qos = if id == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        self.put(&Packet::Publish(publish(topic, payload, qos, id, identifiers))).await;
    }

    /// Sends numbers as messages of QoS 0, all in one go, and closes.
    pub(crate) async fn publish_and_close(mut self, topic: &str, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let payload = number.to_string();
            let message = publish(topic, &payload, QoS::AtMostOnce, 0, &[]);
            self.conn.output.put(&Packet::Publish(message)).unwrap();
        }
        self.conn.close().await.unwrap();
    }

    /// Sends a message of QoS 1 with MQTT 5 properties.
    pub(crate) async fn publish_with(
        &mut self,
        topic: &str,
        payload: &str,
        id: u16,
        properties: &Properties,
    ) {
        let plain = publish(topic, payload, QoS::AtLeastOnce, id, &[]);
        self.put(&Packet::Publish(Publish { properties: Some(properties), ..plain })).await;
    }

    /// Sends a message of QoS 2 twice, as after a lost answer.
    pub(crate) async fn publish_twice(&mut self, topic: &str, payload: &str, id: u16) {
        let first = publish(topic, payload, QoS::ExactlyOnce, id, &[]);
        self.put(&Packet::Publish(first)).await;
        self.put(&Packet::Publish(Publish { dup: true, ..first })).await;
    }

    /// Waits for SUBSCRIBE and grants what it asks for.
    pub(crate) async fn grant(&mut self) -> Subscribe {
        self.answer_subscribe(SubscribeAckReason::GrantedQos1).await
    }

    pub(crate) async fn answer_subscribe(&mut self, reason: SubscribeAckReason) -> Subscribe {
        let Got::Subscribe(subscribe) = self.next().await else { panic!("no SUBSCRIBE") };
        let ack = SubscribeAck {
            packet_id: subscribe.packet_id,
            properties: Vec::new(),
            reason_string: None,
            status: vec![reason],
        };
        self.put(&Packet::SubscribeAck(Box::new(ack))).await;
        *subscribe
    }

    /// The next packet.
    pub(crate) async fn next(&mut self) -> Got {
        tokio::time::timeout(PATIENCE, self.wait()).await.expect("a packet")
    }

    /// The payload and the packet id of the next packet, which must be PUBLISH.
    pub(crate) async fn message(&mut self) -> (String, u16) {
        match self.next().await {
            Got::Publish { payload, id, .. } => (payload, id),
            other => panic!("no PUBLISH but {other:?}"),
        }
    }

    /// Acknowledges so many publishes and gives their payloads.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<String> {
        let mut payloads = Vec::new();
        while payloads.len() < count {
            let (payload, id) = self.message().await;
            if id > 0 {
                self.puback(id, ReasonCode::Success).await;
            }
            payloads.push(payload);
        }
        payloads
    }

    /// Whether nothing comes for a while. Only for what must not come; never to wait for something.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(150), self.wait()).await.is_err()
    }

    /// Whether nothing comes for a while; acknowledges and notes what does.
    pub(crate) async fn is_quiet_but(&mut self, payloads: &mut Vec<String>) -> bool {
        match tokio::time::timeout(Duration::from_millis(300), self.wait()).await {
            Err(_) => true,
            Ok(Got::Publish { payload, id, .. }) => {
                self.puback(id, ReasonCode::Success).await;
                payloads.push(payload);
                false
            }
            Ok(other) => panic!("no PUBLISH but {other:?}"),
        }
    }

    async fn wait(&mut self) -> Got {
        loop {
            match self.conn.input.next() {
                Ok(Some(packet)) => {
                    if let Packet::Publish(publish) = &packet {
                        self.properties = publish.properties.cloned().unwrap_or_default();
                    }
                    return got(packet);
                }
                Ok(None) => {}
                Err(error) => panic!("the client sent what is no MQTT: {error}"),
            }
            match self.conn.turn(Reading::Wanted).await {
                Ok(turn) if !turn.closed => {}
                Ok(_) | Err(_) => return Got::Closed,
            }
        }
    }
}

fn publish<'a>(topic: &'a str, payload: &'a str, qos: QoS, id: u16, identifiers: &'a [u32]) -> Publish<'a> {
    Publish {
        topic,
        payload: payload.as_bytes(),
        qos,
        retain: false,
        dup: false,
        packet_id: PacketId::new(id),
        properties: None,
        subscription_ids: identifiers,
        topic_alias: None,
    }
}

fn got(packet: Packet<'_>) -> Got {
    match packet {
        Packet::Publish(publish) => Got::Publish {
            topic: publish.topic.to_owned(),
            payload: String::from_utf8_lossy(publish.payload).into_owned(),
            qos: publish.qos.into(),
            retain: publish.retain,
            dup: publish.dup,
            id: publish.packet_id.map_or(0, PacketId::get),
        },
        Packet::PublishAck(ack) => Got::PublishAck(ack.packet_id.get()),
        Packet::PublishReceived(ack) => Got::PublishReceived(ack.packet_id.get()),
        Packet::PublishRelease(ack) => Got::PublishRelease(ack.packet_id.get()),
        Packet::PublishComplete(ack) => Got::PublishComplete(ack.packet_id.get()),
        Packet::Subscribe(subscribe) => Got::Subscribe(subscribe),
        Packet::Unsubscribe(unsubscribe) => Got::Unsubscribe(unsubscribe),
        Packet::PingRequest => Got::Ping,
        Packet::Disconnect(_) => Got::Disconnect,
        other => panic!("a client does not send {}", other.name()),
    }
}

fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}
