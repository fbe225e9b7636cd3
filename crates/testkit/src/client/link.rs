use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes as v5bytes;
use rumqttc::v5::mqttbytes::v5;
use rumqttc::{Outgoing, QoS};

use super::inbox::Inbox;
use super::{ClientBuilder, Message, Publish, Version};

const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Requests that may wait in front of the connection.
const QUEUE: usize = 64;
const PACKET_BYTES_MAX: usize = 1 << 20;
const SESSION_EXPIRY_SECONDS: u32 = 3600;
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// The sending half of rumqttc, for either version.
#[derive(Debug)]
pub(super) enum Link {
    V4(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

/// The half of rumqttc that must be polled.
pub(super) enum Events {
    V4(Box<rumqttc::EventLoop>),
    V5(Box<rumqttc::v5::EventLoop>),
}

impl Link {
    pub(super) fn new(builder: &ClientBuilder, address: SocketAddr) -> (Self, Events) {
        let (host, port) = (address.ip().to_string(), address.port());
        match builder.version {
            Version::V4 => {
                let url = builder.websocket.as_ref().map(|path| format!("ws://{address}{path}"));
                let mut options = rumqttc::MqttOptions::new(&builder.id, url.as_ref().unwrap_or(&host), port);
                if url.is_some() {
                    options.set_transport(rumqttc::Transport::Ws);
                }
                options.set_keep_alive(KEEP_ALIVE).set_clean_session(!builder.keeps_session);
                options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
                if let Some((name, password)) = &builder.user {
                    options.set_credentials(name, password);
                }
                let (client, events) = rumqttc::AsyncClient::new(options, QUEUE);
                (Self::V4(client), Events::V4(Box::new(events)))
            }
            Version::V5 => {
                let mut options = rumqttc::v5::MqttOptions::new(&builder.id, host, port);
                options.set_keep_alive(KEEP_ALIVE).set_clean_start(!builder.keeps_session);
                if builder.keeps_session {
                    options.set_session_expiry_interval(Some(SESSION_EXPIRY_SECONDS));
                }
                if let Some((name, password)) = &builder.user {
                    options.set_credentials(name, password);
                }
                let (client, events) = rumqttc::v5::AsyncClient::new(options, QUEUE);
                (Self::V5(client), Events::V5(Box::new(events)))
            }
        }
    }

    pub(super) async fn subscribe(&self, filter: &str, qos: u8) {
        match self {
            Self::V4(client) => client.subscribe(filter, qos_v4(qos)).await.expect("the link is driven"),
            Self::V5(client) => client.subscribe(filter, qos_v5(qos)).await.expect("the link is driven"),
        }
    }

    pub(super) async fn publish(&self, publish: Publish) {
        let Publish { topic, payload, qos, retain, properties } = publish;
        match self {
            Self::V4(client) => {
                client.publish(topic, qos_v4(qos), retain, payload).await.expect("the link is driven");
            }
            Self::V5(client) => {
                let properties = properties.unwrap_or_default();
                let sent =
                    client.publish_with_properties(topic, qos_v5(qos), retain, payload, properties).await;
                sent.expect("the link is driven");
            }
        }
    }

    pub(super) async fn disconnect(&self) {
        // It may be disconnected already.
        match self {
            Self::V4(client) => drop(client.disconnect().await),
            Self::V5(client) => drop(client.disconnect().await),
        }
    }
}

/// Polls until the client is closed, and connects again whenever the connection breaks.
pub(super) async fn drive(mut events: Events, inbox: Arc<Inbox>) {
    loop {
        let polled = match &mut events {
            Events::V4(events) => {
                events.poll().await.map(|event| on_v4(&inbox, event)).map_err(|e| e.to_string())
            }
            Events::V5(events) => {
                events.poll().await.map(|event| on_v5(&inbox, event)).map_err(|e| e.to_string())
            }
        };
        if let Err(trouble) = polled {
            if inbox.closing() {
                return;
            }
            inbox.on_trouble(trouble);
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }
}

fn on_v4(inbox: &Inbox, event: rumqttc::Event) {
    use rumqttc::{Event, Packet, SubscribeReasonCode};
    match event {
        Event::Incoming(Packet::ConnAck(_)) => inbox.on_connected(),
        Event::Incoming(Packet::Publish(publish)) => inbox.on_message(Message {
            topic: publish.topic,
            payload: publish.payload.to_vec(),
            qos: publish.qos as u8,
            retain: publish.retain,
            dup: publish.dup,
            properties: None,
        }),
        Event::Incoming(Packet::PubAck(ack)) => inbox.on_ack(ack.pkid),
        Event::Incoming(Packet::PubComp(ack)) => inbox.on_ack(ack.pkid),
        Event::Incoming(Packet::SubAck(ack)) => {
            let refused = ack.return_codes.contains(&SubscribeReasonCode::Failure);
            inbox.on_suback(refused.then(|| format!("{:?}", ack.return_codes)));
        }
        Event::Outgoing(Outgoing::Publish(packet)) => inbox.on_sent(packet),
        _ => {}
    }
}

fn on_v5(inbox: &Inbox, event: rumqttc::v5::Event) {
    use rumqttc::v5::Event;
    match event {
        Event::Incoming(v5::Packet::ConnAck(_)) => inbox.on_connected(),
        Event::Incoming(v5::Packet::Publish(publish)) => inbox.on_message(Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos as u8,
            retain: publish.retain,
            dup: publish.dup,
            properties: publish.properties,
        }),
        Event::Incoming(v5::Packet::PubAck(ack)) => inbox.on_ack(ack.pkid),
        Event::Incoming(v5::Packet::PubComp(ack)) => inbox.on_ack(ack.pkid),
        Event::Incoming(v5::Packet::SubAck(ack)) => {
            let agreed = |code: &v5::SubscribeReasonCode| matches!(code, v5::SubscribeReasonCode::Success(_));
            let refused = !ack.return_codes.iter().all(agreed);
            inbox.on_suback(refused.then(|| format!("{:?}", ack.return_codes)));
        }
        Event::Incoming(v5::Packet::Disconnect(packet)) => {
            inbox.on_trouble(format!("the broker says goodbye: {:?}", packet.reason_code));
        }
        Event::Outgoing(Outgoing::Publish(packet)) => inbox.on_sent(packet),
        _ => {}
    }
}

fn qos_v4(qos: u8) -> QoS {
    rumqttc::qos(qos).expect("a QoS is 0, 1 or 2")
}

fn qos_v5(qos: u8) -> v5bytes::QoS {
    v5bytes::qos(qos).expect("a QoS is 0, 1 or 2")
}
