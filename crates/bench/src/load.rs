//! The load itself: publishers, subscribers, and what they see.

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mqtt::{
    Ack, Conn, Connect, ConnectRequest, Packet, PacketId, Publish, QoS, Reading, ReasonCode, Stream,
    Subscribe, SubscriptionOptions, Version,
};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::process::CpuClock;
use crate::tally::{Stamp, Tally};

/// Nothing more is waited for once nothing has come for so long.
const SILENCE: Duration = Duration::from_secs(5);
/// What one publisher sends ahead of its acknowledgements at most. With QoS 2 mosquitto closes on whoever sends more
/// than it keeps in flight, 20 by default.
const fn unacknowledged_max(qos: QoS) -> u64 {
    if matches!(qos, QoS::ExactlyOnce) { 20 } else { 500 }
}

/// What to send, where, and how fast.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) publish_at: SocketAddr,
    pub(crate) subscribe_at: SocketAddr,
    pub(crate) qos: QoS,
    /// In all; each subscriber gets every one.
    pub(crate) messages: u64,
    pub(crate) publishers: u64,
    /// How many topics each publisher takes in turn.
    pub(crate) topics: u64,
    /// With none, what is measured ends with the last acknowledgement, so QoS 0 makes no sense.
    pub(crate) subscribers: u64,
    pub(crate) bytes: usize,
    pub(crate) pace: Pace,
}

/// How fast to send.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As long as fewer messages than this have not arrived.
    Full { ahead: u64 },
    /// So many messages a second, whatever arrives.
    Rate(u64),
}

/// What came of a load.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) disordered: u64,
    pub(crate) seconds: f64,
    /// Of the process that was watched.
    pub(crate) cpu_seconds: Option<f64>,
    /// From when a message was sent, or due, to its arrival (microseconds).
    pub(crate) latency: Histogram<u64>,
}

impl Report {
    /// CPU seconds for a million messages that arrived.
    pub(crate) fn cpu_per_million(&self) -> Option<f64> {
        Some(self.cpu_seconds? / self.received.max(1) as f64 * 1e6)
    }

    /// Messages a second that arrived.
    pub(crate) fn rate(&self) -> f64 {
        self.received as f64 / self.seconds.max(1e-6)
    }

    /// How late a message came at this quantile (milliseconds).
    pub(crate) fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { sent, received, lost, doubled, disordered, .. } = self;
        write!(
            out,
            "{sent} sent, {received} received, {lost} lost, {doubled} doubled, {disordered} disordered; "
        )?;
        let (p50, p99, p999) = (self.latency_ms(0.5), self.latency_ms(0.99), self.latency_ms(0.999));
        write!(out, "{:.0} messages/s; p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms", self.rate())?;
        match self.cpu_per_million() {
            Some(cpu) => write!(out, "; {cpu:.2} CPU s per million"),
            None => Ok(()),
        }
    }
}

/// What publishers and subscribers share.
struct Shared {
    start: Instant,
    /// Messages that were sent and have not reached all subscribers.
    ahead: AtomicI64,
    fewer: Notify,
}

impl Load {
    /// A load of the usual sort: 200 bytes from four publishers, to one subscriber.
    pub(crate) fn new(publish_at: SocketAddr, subscribe_at: SocketAddr) -> Self {
        Self {
            publish_at,
            subscribe_at,
            qos: QoS::AtMostOnce,
            messages: 200_000,
            publishers: 4,
            topics: 1,
            subscribers: 1,
            bytes: 200,
            pace: Pace::Full { ahead: 1_000 },
        }
    }

    /// Sends everything, waits until it has arrived or nothing comes any more, and counts. Without subscribers, what is
    /// acknowledged has arrived.
    pub(crate) async fn run(&self, pid: Option<u32>) -> Report {
        assert!(self.subscribers > 0 || self.qos != QoS::AtMostOnce, "nobody would tell when it is over");
        let shared =
            Arc::new(Shared { start: Instant::now(), ahead: AtomicI64::new(0), fewer: Notify::new() });
        let each = self.messages / self.publishers;
        let mut receivers = JoinSet::new();
        for number in 0..self.subscribers {
            let conn = self.subscribe(number).await;
            receivers.spawn(receive(conn, each * self.publishers, Arc::clone(&shared)));
        }
        let mut senders = JoinSet::new();
        let mut conns = Vec::new();
        for number in 0..self.publishers {
            conns.push(connect(self.publish_at, &format!("load-{number}")).await);
        }
        let (clock, start) = (pid.map(CpuClock::start), Instant::now());
        for (conn, number) in conns.into_iter().zip(0..) {
            senders.spawn(publish(conn, number, each, self.clone(), Arc::clone(&shared)));
        }
        let mut report = Report {
            sent: each * self.publishers,
            received: 0,
            lost: 0,
            doubled: 0,
            disordered: 0,
            seconds: 0.0,
            cpu_seconds: None,
            latency: histogram(),
        };
        while let Some(received) = receivers.join_next().await {
            let (tally, latency, last) = received.expect("the receiver ends in order");
            report.received += tally.received;
            report.lost += report.sent - tally.distinct();
            report.doubled += tally.doubled;
            report.disordered += tally.disordered;
            report.seconds = report.seconds.max(last.duration_since(start).as_secs_f64());
            report.latency.add(latency).expect("histograms of one shape");
        }
        if self.subscribers == 0 {
            senders.join_all().await;
            (report.received, report.seconds) = (report.sent, start.elapsed().as_secs_f64());
            report.cpu_seconds = clock.map(|clock| clock.seconds());
            return report;
        }
        report.cpu_seconds = clock.map(|clock| clock.seconds());
        senders.shutdown().await;
        report
    }

    async fn subscribe(&self, number: u64) -> Conn {
        let mut conn = connect(self.subscribe_at, &format!("load-subscriber-{number}")).await;
        // Behind a bridge or rule the topic may have a level in front.
        subscribe(&mut conn, &["load/#", "+/load/#"], self.qos).await;
        conn
    }
}

/// Sends a message now and then until one has arrived: whatever lies between is ready from then on. What is still on its way
/// carries no stamp, and counts for nobody.
pub(crate) async fn warm_up(publish_at: SocketAddr, subscribe_at: SocketAddr) {
    const PATIENCE: Duration = Duration::from_secs(30);
    let way = async {
        let mut subscriber = Load::new(publish_at, subscribe_at).subscribe(0).await;
        let mut publisher = connect(publish_at, "load-warm").await;
        loop {
            put(&mut publisher, &Packet::Publish(message("load/warm", br#"{"temp": 31.5}"#)));
            publisher.flush().await.expect("a connection");
            if tokio::time::timeout(Duration::from_millis(50), wait_packet(&mut subscriber)).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, way).await.expect("a message arrives");
}

/// A message of QoS 0.
pub(crate) fn message<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        topic,
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

/// Up to a minute, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("good bounds")
}

/// A client in the clear with a clean session.
pub(crate) async fn connect(address: SocketAddr, id: &str) -> Conn {
    let stream = TcpStream::connect(address).await.expect("a server listens");
    stream.set_nodelay(true).expect("a socket");
    connect_over(stream.into(), id, true).await
}

/// A client on a stream that is there.
pub(crate) async fn connect_over(stream: Stream, id: &str, clean_start: bool) -> Conn {
    let mut conn = Conn::client(stream, Version::V311, 1 << 20);
    // Longer than anything here is silent; there are servers that refuse those without.
    let keep_alive = 10_000;
    let request = ConnectRequest { client_id: id.into(), clean_start, keep_alive, ..Default::default() };
    put(
        &mut conn,
        &Packet::Connect(Box::new(Connect {
            version: Version::V311,
            bridge: false,
            will_expires_at_once: false,
            request,
        })),
    );
    wait_packet(&mut conn).await;
    conn
}

/// Asks for what `filters` match, and waits for the answer.
pub(crate) async fn subscribe(conn: &mut Conn, filters: &[&str], qos: QoS) {
    let options = SubscriptionOptions { qos, ..Default::default() };
    let subscribe = Subscribe {
        packet_id: PacketId::MIN,
        id: None,
        user_properties: Vec::new(),
        topic_filters: filters.iter().map(|filter| ((*filter).into(), options)).collect(),
    };
    put(conn, &Packet::Subscribe(Box::new(subscribe)));
    wait_packet(conn).await;
}

pub(crate) fn put(conn: &mut Conn, packet: &Packet<'_>) {
    conn.output.put(packet).expect("a packet that can be written");
}

async fn turn(conn: &mut Conn) {
    assert!(!conn.turn(Reading::Wanted).await.expect("a connection").closed, "the server has closed");
}

/// Waits for one packet, of whatever sort.
pub(crate) async fn wait_packet(conn: &mut Conn) {
    while conn.input.next().expect("a packet").is_none() {
        turn(conn).await;
    }
}

async fn publish(mut conn: Conn, publisher: usize, messages: u64, load: Load, shared: Arc<Shared>) {
    let topics: Vec<String> = match load.topics {
        0 | 1 => vec![format!("load/{publisher}")],
        topics => (0..topics).map(|topic| format!("load/{publisher}/{topic}")).collect(),
    };
    let mut payload = Vec::new();
    let (mut number, mut unacknowledged, mut id) = (0, 0, 0u16);
    let begin = shared.start.elapsed();
    // At a rate, publishers take turns.
    let due = |number: u64| match load.pace {
        Pace::Full { .. } => None,
        Pace::Rate(rate) => {
            let nth = number * load.publishers + publisher as u64;
            Some(begin + Duration::from_nanos(nth * 1_000_000_000 / rate))
        }
    };
    loop {
        // Taken before looking, so that no news is missed between looking and waiting.
        let mut fewer = pin!(shared.fewer.notified());
        fewer.as_mut().enable();
        while let Some(packet) = conn.input.next().expect("a packet") {
            match packet {
                Packet::PublishAck(_) | Packet::PublishComplete(_) => unacknowledged -= 1,
                Packet::PublishReceived(ack) => {
                    let release = Packet::PublishRelease(Ack::new(ack.packet_id, ReasonCode::Success));
                    conn.output.put(&release).expect("a packet that can be written");
                }
                other => panic!("{other:?}"),
            }
        }
        while number < messages
            && unacknowledged < unacknowledged_max(load.qos)
            && conn.output.pending_bytes() < 32 << 10
        {
            let now = shared.start.elapsed();
            let ready = match (load.pace, due(number)) {
                (Pace::Full { ahead }, _) => shared.ahead.load(SeqCst) < ahead as i64,
                (_, due) => due.is_none_or(|due| due <= now),
            };
            if !ready {
                break;
            }
            shared.ahead.fetch_add(load.subscribers as i64, SeqCst);
            let at_ns = due(number).unwrap_or(now).as_nanos() as u64;
            Stamp { publisher, number, at_ns }.write(load.bytes, &mut payload);
            id = id % 60_000 + 1;
            let with_id = load.qos != QoS::AtMostOnce;
            unacknowledged += u64::from(with_id);
            let publish = Publish {
                qos: load.qos,
                packet_id: PacketId::new(id).filter(|_| with_id),
                ..message(&topics[number as usize % topics.len()], &payload)
            };
            conn.output.put_publish(&publish).expect("a packet that can be written");
            number += 1;
        }
        if load.subscribers == 0 && number == messages && unacknowledged == 0 {
            return;
        }
        let wait = due(number).filter(|_| number < messages);
        let wait = wait.map_or(Duration::from_secs(3600), |due| due.saturating_sub(shared.start.elapsed()));
        tokio::select! {
            turn = conn.turn(Reading::Wanted) => {
                assert!(!turn.expect("a connection").closed, "the server has closed");
            }
            () = fewer => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Takes what comes until everything is there or nothing comes any more; gives also when the last came.
async fn receive(mut conn: Conn, messages: u64, shared: Arc<Shared>) -> (Tally, Histogram<u64>, Instant) {
    let (mut tally, mut latency, mut last) = (Tally::default(), histogram(), Instant::now());
    while tally.distinct() < messages {
        match tokio::time::timeout(SILENCE, conn.turn(Reading::Wanted)).await {
            Ok(turn) => assert!(!turn.expect("a connection").closed, "the server has closed"),
            Err(_) => break,
        }
        last = Instant::now();
        let now = shared.start.elapsed().as_nanos() as u64;
        let before = tally.received;
        while let Some(packet) = conn.input.next().expect("a packet") {
            let answer = match packet {
                Packet::Publish(publish) => {
                    if let Some(stamp) = Stamp::read(publish.payload) {
                        tally.count(stamp);
                        latency.saturating_record((now.saturating_sub(stamp.at_ns) / 1000).max(1));
                    }
                    match (publish.qos, publish.packet_id) {
                        (QoS::AtLeastOnce, Some(id)) => Packet::PublishAck(Ack::new(id, ReasonCode::Success)),
                        (QoS::ExactlyOnce, Some(id)) => {
                            Packet::PublishReceived(Ack::new(id, ReasonCode::Success))
                        }
                        _ => continue,
                    }
                }
                Packet::PublishRelease(ack) => {
                    Packet::PublishComplete(Ack::new(ack.packet_id, ReasonCode::Success))
                }
                _ => continue,
            };
            conn.output.put(&answer).expect("a packet that can be written");
        }
        shared.ahead.fetch_sub((tally.received - before) as i64, SeqCst);
        shared.fewer.notify_waiters();
    }
    // The last acknowledgements still go out.
    let _ = tokio::time::timeout(Duration::from_secs(1), conn.flush()).await;
    (tally, latency, last)
}
