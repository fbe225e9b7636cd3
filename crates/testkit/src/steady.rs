//! A publisher and a subscriber that go on whatever happens to their connections, and know exactly what they were
//! promised: MQTT 3.1.1 at QoS 1, by hand, so that no client library decides what counts as sent.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::wait::wait_for;

/// Publishes the numbers from 0 on, one message each, at QoS 1 and to one topic; what is not acknowledged when a
/// connection ends is sent again, in order, on the next. Ends when it is dropped.
#[derive(Debug)]
pub struct SteadyPublisher {
    state: Arc<Mutex<Published>>,
    task: JoinHandle<()>,
}

/// How to publish.
#[derive(Debug, Clone)]
pub struct Pace {
    /// How many messages there are in all.
    pub count: u64,
    /// How many may be unacknowledged at once.
    pub window: usize,
    /// The pause between two messages.
    pub pause: Duration,
    /// How long each payload is at least (bytes): behind its number it is filled up.
    pub bytes: usize,
}

#[derive(Debug, Default)]
struct Published {
    acked: u64,
    resent: u64,
    connections: u64,
}

/// Subscribes at QoS 1 with a session that lasts, and writes down the numbers that come, by topic. Ends when it is
/// dropped.
#[derive(Debug)]
pub struct SteadySubscriber {
    state: Arc<Mutex<Received>>,
    task: JoinHandle<()>,
}

/// What has come, by topic.
#[derive(Debug, Clone, Default)]
struct Received {
    topics: BTreeMap<String, Series>,
    is_subscribed: bool,
}

/// What has come of one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// Every number from 0 up to this one, without it, has come.
    pub complete: u64,
    /// Numbers beyond that which have come.
    pub beyond: HashSet<u64>,
    /// What came more than once: how many messages too many.
    pub doubled: u64,
    /// Numbers that came for the first time when a higher one had come already.
    pub late: Vec<u64>,
    /// The number after the highest that has come.
    pub end: u64,
}

/// How long to wait before another attempt to connect.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a connection may be silent while something is expected of it before it is given up.
const SILENCE: Duration = Duration::from_secs(5);

impl SteadyPublisher {
    /// Begins to publish to `topic` at the broker at `address`.
    pub fn start(address: SocketAddr, clientid: &str, topic: &str, pace: Pace) -> Self {
        let state = Arc::new(Mutex::new(Published::default()));
        let task =
            tokio::spawn(publish(address, clientid.to_owned(), topic.to_owned(), pace, Arc::clone(&state)));
        Self { state, task }
    }

    /// How many are acknowledged: all numbers below this one.
    pub fn acked(&self) -> u64 {
        lock(&self.state).acked
    }

    /// How many messages were sent more than once, and how many connections there were.
    pub fn trouble(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.resent, state.connections)
    }

    /// Waits until so many are acknowledged.
    pub async fn wait_acked(&self, count: u64) {
        wait_for(&format!("{count} messages are acknowledged"), async || {
            let acked = self.acked();
            if acked >= count { Ok(()) } else { Err(format!("{acked} are")) }
        })
        .await;
    }
}

impl Drop for SteadyPublisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SteadySubscriber {
    /// Subscribes, and returns once the broker has agreed.
    pub async fn start(address: SocketAddr, clientid: &str, filter: &str) -> Self {
        let state = Arc::new(Mutex::new(Received::default()));
        let task =
            tokio::spawn(subscribe(address, clientid.to_owned(), filter.to_owned(), Arc::clone(&state)));
        let subscriber = Self { state, task };
        wait_for("the subscription is made", async || {
            if lock(&subscriber.state).is_subscribed { Ok(()) } else { Err(String::new()) }
        })
        .await;
        subscriber
    }

    /// What has come of a topic so far.
    pub fn series(&self, topic: &str) -> Series {
        lock(&self.state).topics.get(topic).cloned().unwrap_or_default()
    }
}

impl Drop for SteadySubscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Series {
    /// How many different numbers have come.
    pub fn distinct(&self) -> u64 {
        self.complete + self.beyond.len() as u64
    }

    fn came(&mut self, number: u64) {
        if number < self.complete || self.beyond.contains(&number) {
            self.doubled += 1;
            return;
        }
        if number < self.end {
            self.late.push(number);
        }
        self.end = self.end.max(number + 1);
        self.beyond.insert(number);
        while self.beyond.remove(&self.complete) {
            self.complete += 1;
        }
    }
}

fn lock<T>(state: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn publish(
    address: SocketAddr,
    clientid: String,
    topic: String,
    pace: Pace,
    state: Arc<Mutex<Published>>,
) {
    let mut next = 0;
    // Numbers that were sent and are not acknowledged.
    let mut open: VecDeque<u64> = VecDeque::new();
    while next < pace.count || !open.is_empty() {
        let Ok(stream) = connect(address, &clientid, true).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        lock(&state).connections += 1;
        // However it ends, there is more to do: another connection.
        let _ = publish_on(stream, &topic, &pace, &mut next, &mut open, &state).await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn publish_on(
    stream: TcpStream,
    topic: &str,
    pace: &Pace,
    next: &mut u64,
    open: &mut VecDeque<u64>,
    state: &Mutex<Published>,
) -> std::io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut packets = Packets::of(from);
    for number in open.iter() {
        to.write_all(&publish_packet(topic, *number, pace.bytes, true)).await?;
    }
    lock(state).resent += open.len() as u64;
    let mut due = tokio::time::Instant::now();
    loop {
        if *next >= pace.count && open.is_empty() {
            return Ok(());
        }
        let may_send = *next < pace.count && open.len() < pace.window;
        tokio::select! {
            packet = packets.next() => {
                let (kind, body) = packet?;
                if kind >> 4 == PUBACK {
                    acknowledge(u16::from_be_bytes([body[0], body[1]]), open, state);
                }
            }
            () = tokio::time::sleep_until(due), if may_send => {
                to.write_all(&publish_packet(topic, *next, pace.bytes, false)).await?;
                open.push_back(*next);
                *next += 1;
                due += pace.pause;
            }
            () = tokio::time::sleep(SILENCE), if !open.is_empty() => {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
        }
    }
}

/// Acknowledgements come in order [MQTT-4.6.0-2], so one that is for another than the oldest is a fault to be seen.
fn acknowledge(id: u16, open: &mut VecDeque<u64>, state: &Mutex<Published>) {
    let place = open.iter().position(|number| packet_id(*number) == id);
    assert!(place.is_none_or(|place| place == 0), "acknowledged out of order: {id} of {open:?}");
    if place.is_some() {
        open.pop_front();
        lock(state).acked += 1;
    }
}

async fn subscribe(address: SocketAddr, clientid: String, filter: String, state: Arc<Mutex<Received>>) {
    loop {
        if let Ok(stream) = connect(address, &clientid, false).await {
            // However it ends, there may be more to come: another connection.
            let _ = subscribe_on(stream, &filter, &state).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn subscribe_on(stream: TcpStream, filter: &str, state: &Mutex<Received>) -> std::io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut packets = Packets::of(from);
    let mut body = vec![0, 1];
    put_text(&mut body, filter);
    body.push(1);
    to.write_all(&packet(SUBSCRIBE << 4 | 2, &body)).await?;
    loop {
        let (kind, body) = match tokio::time::timeout(SILENCE, packets.next()).await {
            Ok(packet) => packet?,
            Err(_) => {
                to.write_all(&[PINGREQ << 4, 0]).await?;
                tokio::time::timeout(SILENCE, packets.next()).await??
            }
        };
        match kind >> 4 {
            SUBACK => lock(state).is_subscribed = true,
            PUBLISH => {
                let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8_lossy(&body[2..2 + length]).into_owned();
                let qos = kind >> 1 & 3;
                let (id, payload) = body[2 + length..].split_at(if qos > 0 { 2 } else { 0 });
                let text = String::from_utf8_lossy(payload);
                let number = text.trim_end().parse().unwrap_or_else(|_| panic!("`{text}` is no number"));
                lock(state).topics.entry(topic).or_default().came(number);
                if qos > 0 {
                    to.write_all(&packet(PUBACK << 4, id)).await?;
                }
            }
            _ => {}
        }
    }
}

const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;
const SUBACK: u8 = 9;
const PINGREQ: u8 = 12;

/// Connects and waits for the CONNACK.
async fn connect(address: SocketAddr, clientid: &str, clean: bool) -> std::io::Result<TcpStream> {
    let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let attempt = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut body = Vec::new();
        put_text(&mut body, "MQTT");
        // Level 4, the session as asked, no keep-alive.
        body.extend_from_slice(&[4, if clean { 2 } else { 0 }, 0, 0]);
        put_text(&mut body, clientid);
        stream.write_all(&packet(CONNECT << 4, &body)).await?;
        let (kind, body) = read_packet(&mut stream).await?;
        if kind >> 4 == CONNACK && body.get(1) == Some(&0) { Ok(stream) } else { Err(refused()) }
    };
    tokio::time::timeout(SILENCE, attempt).await.unwrap_or_else(|_| Err(refused()))
}

fn publish_packet(topic: &str, number: u64, bytes: usize, dup: bool) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, topic);
    body.extend_from_slice(&packet_id(number).to_be_bytes());
    body.extend_from_slice(format!("{number:<bytes$}").as_bytes());
    packet(PUBLISH << 4 | 2 | if dup { 8 } else { 0 }, &body)
}

/// Never 0, and different for all that can be unacknowledged at once.
fn packet_id(number: u64) -> u16 {
    (number % 65_535) as u16 + 1
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![head];
    let mut length = body.len();
    loop {
        let more = if length > 127 { 128 } else { 0 };
        out.push((length & 127) as u8 | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

/// The packets of a connection. A task of its own reads them, so that waiting for one can be broken off anywhere.
struct Packets {
    read: mpsc::UnboundedReceiver<(u8, Vec<u8>)>,
    task: JoinHandle<()>,
}

impl Packets {
    fn of(from: OwnedReadHalf) -> Self {
        let (put, read) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut from = BufReader::new(from);
            while let Ok(packet) = read_packet(&mut from).await
                && put.send(packet).is_ok()
            {}
        });
        Self { read, task }
    }

    async fn next(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        self.read.recv().await.ok_or_else(|| std::io::ErrorKind::ConnectionReset.into())
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The first byte of the next packet, and its body.
async fn read_packet(from: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let head = from.read_u8().await?;
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let byte = from.read_u8().await?;
        length |= usize::from(byte & 127) << shift;
        if byte & 128 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok((head, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Faults, Mosquitto, Proxy};

    #[test]
    fn a_series_knows_what_is_missing() {
        let mut series = Series::default();
        [0, 1, 1, 3, 4, 2, 4, 5, 8].into_iter().for_each(|number| series.came(number));
        let beyond = HashSet::from([8]);
        assert_eq!(series, Series { complete: 6, beyond, doubled: 2, late: vec![2], end: 9 });
        assert_eq!(series.distinct(), 7);
    }

    #[tokio::test]
    async fn goes_on_over_bad_network() {
        let mosquitto = Mosquitto::start().await;
        let (near, far) = (Proxy::to(mosquitto.address()).await, Proxy::to(mosquitto.address()).await);
        let subscriber = SteadySubscriber::start(far.address(), "reader", "t").await;
        let pace = Pace { count: 500, window: 20, pause: Duration::from_millis(1), bytes: 10 };
        let publisher = SteadyPublisher::start(near.address(), "writer", "t", pace);
        for acked in [50, 100, 150] {
            publisher.wait_acked(acked).await;
            near.cut();
            far.cut_after(100);
        }
        near.set(Faults { refuses: true, ..Faults::default() }).await;
        near.cut();
        near.set(Faults::default()).await;
        publisher.wait_acked(500).await;
        let series = wait_for("everything has come", async || {
            let series = subscriber.series("t");
            if series.complete == 500 { Ok(series) } else { Err(format!("{series:?}")) }
        })
        .await;
        assert_eq!(series.late, [0u64; 0]);
        let (resent, connections) = publisher.trouble();
        assert!(connections > 3 && series.doubled <= resent + 20 * 4, "{series:?} {resent} {connections}");
    }
}
