//! A client that writes and reads bytes, and knows no more than it must: what it sends may be wrong on purpose.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(10);

/// A CONNECT in the making.
#[derive(Clone)]
pub struct Hello {
    pub level: u8,
    pub id: String,
    pub flags: u8,
    pub keep_alive: u16,
    pub properties: Vec<u8>,
    /// Will and credentials, after the client id.
    pub rest: Vec<u8>,
}

impl Hello {
    fn new(level: u8, id: &str) -> Self {
        Self { level, id: id.into(), flags: 2, keep_alive: 0, properties: vec![], rest: vec![] }
    }

    pub fn v31(id: &str) -> Self {
        Self::new(3, id)
    }

    pub fn v311(id: &str) -> Self {
        Self::new(4, id)
    }

    pub fn v5(id: &str) -> Self {
        Self::new(5, id)
    }

    /// Without Clean Start, with a session that outlives the connection.
    pub fn kept(mut self) -> Self {
        self.flags &= !2;
        if self.level == 5 {
            self.properties.extend([0x11, 0, 0, 1, 0]);
        }
        self
    }

    pub fn property(mut self, bytes: &[u8]) -> Self {
        self.properties.extend_from_slice(bytes);
        self
    }

    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    pub fn will(mut self, topic: &str, payload: &str, flags: u8, properties: &[u8]) -> Self {
        self.flags |= 4 | flags;
        if self.level == 5 {
            self.rest.push(properties.len() as u8);
            self.rest.extend_from_slice(properties);
        }
        self.rest.extend(string(topic));
        self.rest.extend(string(payload));
        self
    }

    pub fn login(mut self, username: &str, password: &str) -> Self {
        self.flags |= 0xC0;
        self.rest.extend(string(username));
        self.rest.extend(string(password));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut body = string(if self.level == 3 { "MQIsdp" } else { "MQTT" });
        body.extend([self.level, self.flags]);
        body.extend(self.keep_alive.to_be_bytes());
        if self.level >= 5 {
            body.push(self.properties.len() as u8);
            body.extend_from_slice(&self.properties);
        }
        body.extend(string(&self.id));
        body.extend_from_slice(&self.rest);
        frame(0x10, &body)
    }
}

pub fn string(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(length(body));
    bytes.extend_from_slice(body);
    bytes
}

/// The length of something, as many bytes as it needs.
fn length(of: &[u8]) -> Vec<u8> {
    let (mut bytes, mut length) = (Vec::new(), of.len());
    while length > 127 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes
}

/// A PUBLISH in the making, or one that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: String,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    pub id: u16,
    pub properties: Vec<u8>,
}

pub fn message(topic: &str, payload: &str) -> Message {
    Message {
        topic: topic.into(),
        payload: payload.into(),
        qos: 0,
        retain: false,
        dup: false,
        id: 0,
        properties: vec![],
    }
}

impl Message {
    pub fn qos(mut self, qos: u8, id: u16) -> Self {
        (self.qos, self.id) = (qos, id);
        self
    }

    pub fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    pub fn again(mut self) -> Self {
        self.dup = true;
        self
    }

    pub fn property(mut self, bytes: &[u8]) -> Self {
        self.properties.extend_from_slice(bytes);
        self
    }

    pub fn bytes(&self, level: u8) -> Vec<u8> {
        let first = 0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        let mut body = string(&self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        if level == 5 {
            body.extend(length(&self.properties));
            body.extend_from_slice(&self.properties);
        }
        body.extend_from_slice(self.payload.as_bytes());
        frame(first, &body)
    }

    fn read(first: u8, body: &[u8], level: u8) -> Self {
        let (topic, mut rest) = take_string(body);
        let qos = first >> 1 & 3;
        let mut id = 0;
        if qos > 0 {
            id = u16::from_be_bytes([rest[0], rest[1]]);
            rest = &rest[2..];
        }
        let mut properties = vec![];
        if level == 5 {
            let length = usize::from(rest[0]);
            properties = rest[1..=length].to_vec();
            rest = &rest[1 + length..];
        }
        let payload = String::from_utf8(rest.to_vec()).unwrap();
        Self { topic, payload, qos, retain: first & 1 != 0, dup: first & 8 != 0, id, properties }
    }
}

fn take_string(bytes: &[u8]) -> (String, &[u8]) {
    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    (String::from_utf8(bytes[2..2 + length].to_vec()).unwrap(), &bytes[2 + length..])
}

pub struct ConnAck {
    pub present: bool,
    pub code: u8,
    pub properties: Vec<u8>,
}

pub struct Client {
    stream: TcpStream,
    level: u8,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn open(address: SocketAddr, level: u8) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), level, buffer: vec![] }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends what may meet a closed connection.
    pub async fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub async fn publish(&mut self, message: &Message) {
        let bytes = message.bytes(self.level);
        self.send(&bytes).await;
    }

    /// Whether all that was sent before has been handled.
    pub async fn ping(&mut self) {
        self.send(&[0xC0, 0]).await;
        assert_eq!(self.frame().await, (0xD0, vec![]));
    }

    /// The next packet: its first byte and its body.
    pub async fn frame(&mut self) -> (u8, Vec<u8>) {
        self.next().await.expect("the connection is closed")
    }

    /// The next packet, or `None` at the end.
    pub async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(taken) = self.take() {
                return Some(taken);
            }
            let mut bytes = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await;
            match read.expect("nothing has come for ten seconds") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
            }
        }
    }

    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut length = 0;
        for at in 1.. {
            let byte = *self.buffer.get(at)?;
            length |= usize::from(byte & 0x7F) << (7 * (at - 1));
            if byte & 0x80 == 0 {
                let end = at + 1 + length;
                let body = self.buffer.get(at + 1..end)?.to_vec();
                let first = self.buffer[0];
                self.buffer.drain(..end);
                return Some((first, body));
            }
        }
        None
    }

    /// Nothing comes for a moment.
    pub async fn silence(&mut self) {
        let mut bytes = [0; 1];
        assert!(self.buffer.is_empty(), "{:?}", self.buffer);
        let read = tokio::time::timeout(Duration::from_millis(50), self.stream.read(&mut bytes)).await;
        assert!(read.is_err(), "{read:?} {bytes:?}");
    }

    pub async fn connack(&mut self) -> ConnAck {
        let (first, body) = self.frame().await;
        assert_eq!(first, 0x20);
        ConnAck {
            present: body[0] == 1,
            code: body[1],
            properties: body.get(3..).unwrap_or_default().to_vec(),
        }
    }

    pub async fn message(&mut self) -> Message {
        let (first, body) = self.frame().await;
        assert_eq!(first & 0xF0, 0x30, "{first:x} {body:?}");
        Message::read(first, &body, self.level)
    }

    /// The payload of the next message.
    pub async fn payload(&mut self) -> String {
        self.message().await.payload
    }

    /// Subscribes with packet id 9, and gives the codes of SUBACK.
    pub async fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        self.subscribe_with(filters, &[]).await
    }

    pub async fn subscribe_with(&mut self, filters: &[(&str, u8)], properties: &[u8]) -> Vec<u8> {
        let mut body = vec![0, 9];
        if self.level == 5 {
            body.push(properties.len() as u8);
            body.extend_from_slice(properties);
        }
        for (filter, options) in filters {
            body.extend(string(filter));
            body.push(*options);
        }
        self.send(&frame(0x82, &body)).await;
        self.codes(0x90).await
    }

    pub async fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let mut body = vec![0, 9];
        if self.level == 5 {
            body.push(0);
        }
        for filter in filters {
            body.extend(string(filter));
        }
        self.send(&frame(0xA2, &body)).await;
        self.codes(0xB0).await
    }

    async fn codes(&mut self, expected: u8) -> Vec<u8> {
        let (first, body) = self.frame().await;
        assert_eq!((first, &body[..2]), (expected, &[0, 9][..]));
        body[if self.level == 5 { 3 } else { 2 }..].to_vec()
    }

    /// PUBACK, PUBREC, PUBREL (0x62) or PUBCOMP for a packet id.
    pub async fn ack(&mut self, first: u8, id: u16) {
        let id = id.to_be_bytes();
        self.send(&[first, 2, id[0], id[1]]).await;
    }

    /// The next packet is this acknowledgement of this packet id; gives its reason code.
    pub async fn acked(&mut self, first: u8, id: u16) -> u8 {
        let (got, body) = self.frame().await;
        assert_eq!((got, &body[..2]), (first, &id.to_be_bytes()[..]), "{body:?}");
        body.get(2).copied().unwrap_or(0)
    }

    /// The connection ends: with this reason code in MQTT 5, without a word before.
    pub async fn ended(&mut self, code: u8) {
        if self.level == 5 {
            let (first, body) = self.frame().await;
            assert_eq!((first, body[0]), (0xE0, code));
        }
        assert_eq!(self.next().await, None);
    }

    pub async fn disconnect(mut self) {
        self.send(&[0xE0, 0]).await;
        assert_eq!(self.next().await, None);
    }
}
