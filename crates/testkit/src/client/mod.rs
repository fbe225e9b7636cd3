//! An MQTT client that shares no code with the server: rumqttc, in both of its versions, behind one face.

mod inbox;
mod link;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use crate::PATIENCE;
use inbox::Inbox;
use link::Link;

pub use rumqttc::v5::mqttbytes::v5::PublishProperties;

/// The version of the protocol that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// MQTT 3.1.1.
    #[default]
    V4,
    /// MQTT 5.
    V5,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic it was published to.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Its quality of service: 0, 1 or 2.
    pub qos: u8,
    /// Whether it came as a retained one.
    pub retain: bool,
    /// Whether it was sent before.
    pub dup: bool,
    /// What MQTT 5 says besides.
    pub properties: Option<PublishProperties>,
}

/// A message to send.
#[derive(Debug, Clone, Default)]
pub struct Publish {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The quality of service: 0, 1 or 2.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// What MQTT 5 says besides; nothing of it reaches an MQTT 3.1.1 broker.
    pub properties: Option<PublishProperties>,
}

/// The acknowledgement of one publish, still to come.
#[derive(Debug)]
#[must_use = "the acknowledgement is only known once this was waited for"]
pub struct Receipt {
    what: String,
    acked: oneshot::Receiver<()>,
}

/// A connected client. It connects again when its connection breaks, and is gone when it is dropped.
#[derive(Debug)]
pub struct Client {
    link: Link,
    inbox: Arc<Inbox>,
    /// Keeps the order in which receipts wait that in which requests are sent.
    turn: Mutex<()>,
    driver: JoinHandle<()>,
}

/// How a [`Client`] is to connect.
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    id: String,
    version: Version,
    keeps_session: bool,
    user: Option<(String, String)>,
    websocket: Option<String>,
}

impl Client {
    /// Connects by MQTT 3.1.1, with a clean session and no password.
    pub async fn connect(address: SocketAddr, id: &str) -> Self {
        Self::builder(id).connect(address).await
    }

    /// Connects by MQTT 5, with a clean session and no password.
    pub async fn connect_v5(address: SocketAddr, id: &str) -> Self {
        Self::builder(id).version(Version::V5).connect(address).await
    }

    /// For one that is to be different.
    pub fn builder(id: &str) -> ClientBuilder {
        ClientBuilder {
            id: id.to_owned(),
            version: Version::V4,
            keeps_session: false,
            user: None,
            websocket: None,
        }
    }

    /// Subscribes and waits until the broker has agreed.
    pub async fn subscribe(&self, filter: &str, qos: u8) {
        let (done, agreed) = oneshot::channel();
        {
            let _turn = self.turn.lock().await;
            self.inbox.expect_suback(done);
            self.link.subscribe(filter, qos).await;
        }
        let what = format!("the subscription to `{filter}`");
        let refusal = self.answer(&what, agreed).await;
        assert!(refusal.is_none(), "{what} was refused: {}", refusal.unwrap_or_default());
    }

    /// Publishes and waits for the acknowledgement; at QoS 0 until it is on its way.
    pub async fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>, qos: u8) {
        self.send(Publish { topic: topic.to_owned(), payload: payload.into(), qos, ..Publish::default() })
            .await
            .wait(self)
            .await;
    }

    /// Publishes with everything that can be said, without waiting for the acknowledgement.
    pub async fn send(&self, publish: Publish) -> Receipt {
        let what = format!("the acknowledgement of a publish to `{}`", publish.topic);
        let (done, acked) = oneshot::channel();
        let _turn = self.turn.lock().await;
        self.inbox.expect_ack(done);
        self.link.publish(publish).await;
        Receipt { what, acked }
    }

    /// The next message whose topic matches `filter`; what matches another is left for later.
    pub async fn next(&self, filter: &str) -> Message {
        match tokio::time::timeout(PATIENCE, self.inbox.next(filter)).await {
            Ok(message) => message,
            Err(_) => panic!("no message for `{filter}` {}", self.inbox.report()),
        }
    }

    /// The next `count` messages whose topics match `filter`.
    pub async fn take(&self, filter: &str, count: usize) -> Vec<Message> {
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            messages.push(self.next(filter).await);
        }
        messages
    }

    /// What has come for `filter` and was not asked for yet, without waiting.
    pub fn waiting(&self, filter: &str) -> Vec<Message> {
        self.inbox.waiting(filter)
    }

    /// Asserts that nothing has come for `filter`, once everything sent before has: publishes a message to itself by
    /// way of the same broker and waits for that one.
    pub async fn nothing(&self, filter: &str) {
        let topic = format!("testkit/fence/{}", self.inbox.fence());
        self.subscribe(&topic, 1).await;
        self.publish(&topic, "", 1).await;
        self.next(&topic).await;
        let waiting = self.waiting(filter);
        assert!(waiting.is_empty(), "nothing should have come for `{filter}`, but: {waiting:#?}");
    }

    /// How often it has been connected so far.
    pub fn connections(&self) -> usize {
        self.inbox.connections()
    }

    /// Says goodbye and waits until the connection is closed.
    pub async fn disconnect(mut self) {
        self.inbox.close();
        self.link.disconnect().await;
        // Its end is what is wanted; how it ends is told by the inbox.
        let _ = tokio::time::timeout(PATIENCE, &mut self.driver).await;
    }

    async fn answer<T>(&self, what: &str, answer: oneshot::Receiver<T>) -> T {
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => panic!("{what} never came; {}", self.inbox.report()),
        }
    }
}

impl Receipt {
    /// Waits for the PUBACK or PUBCOMP; at QoS 0 until the message is on its way.
    pub async fn wait(self, client: &Client) {
        client.answer(&self.what, self.acked).await;
    }

    /// Whether it has come already.
    pub fn came(&mut self) -> bool {
        self.acked.try_recv().is_ok()
    }
}

impl ClientBuilder {
    /// The version to speak.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Finds its session again when it connects again: a session that outlives the connection.
    #[must_use]
    pub fn keeps_session(mut self) -> Self {
        self.keeps_session = true;
        self
    }

    /// Says who it is.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.user = Some((name.to_owned(), password.to_owned()));
        self
    }

    /// Speaks MQTT 3.1.1 in a WebSocket at this path.
    #[must_use]
    pub fn websocket(mut self, path: &str) -> Self {
        self.websocket = Some(path.to_owned());
        self
    }

    /// Connects, and panics with the reason if that does not succeed.
    pub async fn connect(self, address: SocketAddr) -> Client {
        let inbox = Arc::new(Inbox::default());
        let (link, events) = Link::new(&self, address);
        let driver = tokio::spawn(link::drive(events, Arc::clone(&inbox)));
        let client = Client { link, inbox, turn: Mutex::new(()), driver };
        match tokio::time::timeout(PATIENCE, client.inbox.connected()).await {
            Ok(Ok(())) => {}
            Ok(Err(trouble)) => panic!("`{}` cannot connect to {address}: {trouble}", self.id),
            Err(_) => panic!("`{}` cannot connect to {address} in {PATIENCE:?}", self.id),
        }
        client
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
