//! A broker on a free port with rules that only watch.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker::{AccessList, Acl, Broker, BrokerConfig, Everybody, Fsync, Limits, Listener, Persistence};

use crate::raw::{Client, Hello};
use crate::rules::Rules;

pub struct Server {
    pub broker: Arc<Broker>,
    pub rules: Arc<Rules>,
    pub address: SocketAddr,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let mut config =
            BrokerConfig::with_defaults("node@test", Arc::new(Everybody), AccessList::new(Acl::open()));
        change(&mut config);
        let limits = config.limits.clone();
        Self::open(Broker::new(config), limits).await
    }

    /// With sessions and retained messages in this folder.
    pub async fn stored(dir: &Path, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let mut config =
            BrokerConfig::with_defaults("node@test", Arc::new(Everybody), AccessList::new(Acl::open()));
        change(&mut config);
        let persistence = Persistence {
            dir: dir.to_owned(),
            fsync: Fsync::Interval(Duration::from_millis(10)),
            bytes_max: 64 << 20,
        };
        let limits = config.limits.clone();
        Self::open(Broker::restore(config, &persistence).unwrap(), limits).await
    }

    /// Ends as a server does that is told to stop.
    pub async fn stop(self) {
        assert!(self.broker.shutdown(Duration::from_secs(10)).await);
    }

    async fn open(broker: Arc<Broker>, limits: Limits) -> Self {
        let listener = Listener::tcp("tcp:default", ([127, 0, 0, 1], 0).into(), limits);
        let rules = Arc::new(Rules::default());
        let bound = broker.open(Arc::clone(&rules) as _, &[listener]).await.unwrap();
        Self { broker, rules, address: bound[0].address }
    }

    /// A connected client with this id: MQTT 5, Clean Start.
    pub async fn client(&self, id: &str) -> Client {
        self.connect(Hello::v5(id)).await
    }

    pub async fn connect(&self, hello: Hello) -> Client {
        let (client, ack) = self.try_connect(hello).await;
        assert_eq!(ack.code, 0, "refused");
        client
    }

    pub async fn try_connect(&self, hello: Hello) -> (Client, crate::raw::ConnAck) {
        let mut client = Client::open(self.address, hello.level).await;
        client.send(&hello.bytes()).await;
        let ack = client.connack().await;
        (client, ack)
    }
}

/// Waits until something is so.
pub async fn until(mut so: impl FnMut() -> bool, what: &str) {
    for _ in 0..2_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("still not so after ten seconds: {what}");
}
