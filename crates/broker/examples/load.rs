//! CPU per message of a broker under load: this one, or any other that listens somewhere.
//!
//! ```text
//! cargo run --release -p broker --example load -- serve 18830 &
//! cargo run --release -p broker --example load -- drive 127.0.0.1:18830 PID QOS [MESSAGES [PUBLISHERS [AHEAD [AT]]]]
//! ```
//!
//! Publishers send 200 bytes of JSON as long as fewer than AHEAD messages have not reached the one subscriber, which is
//! at the address AT if that is given: behind a bridge. What counts is the CPU time that the process PID takes
//! meanwhile.

#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use broker::{AccessList, Acl, Broker, BrokerConfig, Everybody, Limits, Listener};
use event::{Completion, Dispatch, Event, EventKind};
use mqtt::{
    Ack, Conn, Connect, ConnectRequest, Packet, PacketId, Publish, QoS, Reading, ReasonCode, Subscribe,
    SubscriptionOptions, Version,
};
use tokio::net::TcpStream;
use tokio::sync::Notify;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, or: u64| arguments.get(at).map_or(or, |text| text.parse().expect("a number"));
    match arguments.first().map(String::as_str) {
        Some("serve") => serve(number(1, 18830) as u16).await,
        Some("drive") => {
            let qos = QoS::try_from(number(3, 0) as u8).expect("a QoS");
            let load = Load {
                qos,
                messages: number(4, 1_000_000),
                publishers: number(5, 4),
                ahead: number(6, 2_000),
            };
            let at = arguments.get(7).unwrap_or(&arguments[1]);
            drive(&arguments[1], at, number(2, 0), load).await;
        }
        _ => eprintln!("load serve PORT | load drive ADDRESS PID QOS [MESSAGES [PUBLISHERS [AHEAD [AT]]]]"),
    }
}

/// Rules that want every message and take nothing.
struct Nothing;

impl Dispatch for Nothing {
    fn dispatch(&self, _: &Event<'_>, _: Option<&Completion>) {}

    fn wants(&self, kind: EventKind) -> bool {
        kind == EventKind::MessagePublish
    }
}

async fn serve(port: u16) {
    let acl = AccessList::new(Acl::open());
    let broker = Broker::new(BrokerConfig::with_defaults("load", Arc::new(Everybody), acl));
    let listener = Listener::tcp("tcp", ([127, 0, 0, 1], port).into(), Limits::DEFAULT);
    broker.open(Arc::new(Nothing), &[listener]).await.expect("a free port");
    loop {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}

#[derive(Clone, Copy)]
struct Load {
    qos: QoS,
    messages: u64,
    publishers: u64,
    ahead: u64,
}

/// Messages that were published and have not arrived.
#[derive(Default)]
struct Ahead {
    count: AtomicI64,
    fewer: Notify,
}

async fn drive(address: &str, at: &str, pid: u64, load: Load) {
    let ahead = Arc::new(Ahead::default());
    let mut subscriber = connect(at, "load-subscriber").await;
    let subscribe = Subscribe {
        packet_id: PacketId::MIN,
        id: None,
        user_properties: Vec::new(),
        topic_filters: ["load/#", "+/load/#"]
            .map(|filter| (filter.into(), SubscriptionOptions { qos: load.qos, ..Default::default() }))
            .into(),
    };
    subscriber.output.put(&Packet::Subscribe(Box::new(subscribe))).unwrap();
    next(&mut subscriber).await;
    let (cpu, start) = (cpu_seconds(pid), Instant::now());
    let mut tasks = Vec::new();
    for number in 0..load.publishers {
        let conn = connect(address, &format!("load-{number}")).await;
        tasks.push(tokio::spawn(publish(conn, number, load, Arc::clone(&ahead))));
    }
    receive(subscriber, load, &ahead).await;
    let (cpu, wall) = (cpu_seconds(pid) - cpu, start.elapsed().as_secs_f64());
    let millions = load.messages as f64 / 1e6;
    println!(
        "QoS {}: {:.2} CPU s per million, {:.0} messages/s",
        u8::from(load.qos),
        cpu / millions,
        load.messages as f64 / wall
    );
    for task in tasks {
        task.abort();
    }
}

async fn connect(address: &str, id: &str) -> Conn {
    let stream = TcpStream::connect(address).await.expect("a broker");
    stream.set_nodelay(true).unwrap();
    let mut conn = Conn::client(stream.into(), Version::V311, 1 << 20);
    let request = ConnectRequest { client_id: id.into(), clean_start: true, ..Default::default() };
    conn.output
        .put(&Packet::Connect(Box::new(Connect { version: Version::V311, bridge: false, request })))
        .unwrap();
    next(&mut conn).await;
    conn
}

/// Waits for one packet.
async fn next(conn: &mut Conn) {
    while conn.input.next().unwrap().is_none() {
        assert!(!conn.turn(Reading::Wanted).await.unwrap().closed, "closed");
    }
}

async fn publish(mut conn: Conn, number: u64, load: Load, ahead: Arc<Ahead>) {
    let topic = format!("load/{number}");
    let payload = format!(r#"{{"temp": 31.5, "pad": "{}"}}"#, "x".repeat(174)).into_bytes();
    let mut left = load.messages / load.publishers;
    let (mut id, mut unacknowledged) = (0u16, 0);
    loop {
        while let Some(packet) = conn.input.next().unwrap() {
            match packet {
                Packet::PublishAck(_) | Packet::PublishComplete(_) => unacknowledged -= 1,
                Packet::PublishReceived(ack) => {
                    conn.output
                        .put(&Packet::PublishRelease(Ack::new(ack.packet_id, ReasonCode::Success)))
                        .unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        while left > 0 && unacknowledged < 500 && conn.output.pending_bytes() < 32 * 1024 {
            if ahead.count.load(SeqCst) >= load.ahead as i64 {
                break;
            }
            ahead.count.fetch_add(1, SeqCst);
            left -= 1;
            id = id % 60_000 + 1;
            let with_id = load.qos != QoS::AtMostOnce;
            unacknowledged += u64::from(with_id);
            let publish = Publish {
                topic: &topic,
                payload: &payload,
                qos: load.qos,
                retain: false,
                dup: false,
                packet_id: PacketId::new(id).filter(|_| with_id),
                properties: None,
                subscription_ids: &[],
                topic_alias: None,
            };
            conn.output.put_publish(&publish).unwrap();
        }
        tokio::select! {
            turn = conn.turn(Reading::Wanted) => assert!(!turn.unwrap().closed, "closed"),
            () = ahead.fewer.notified() => {}
        }
    }
}

async fn receive(mut conn: Conn, load: Load, ahead: &Ahead) {
    let mut left = load.messages / load.publishers * load.publishers;
    while left > 0 {
        assert!(!conn.turn(Reading::Wanted).await.unwrap().closed, "closed");
        let mut got = 0;
        while let Some(packet) = conn.input.next().unwrap() {
            let answer = match packet {
                Packet::Publish(publish) => {
                    got += 1;
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
                other => panic!("{other:?}"),
            };
            conn.output.put(&answer).unwrap();
        }
        left -= got;
        ahead.count.fetch_sub(got as i64, SeqCst);
        ahead.fewer.notify_waiters();
    }
}

/// User and system time of a process.
fn cpu_seconds(pid: u64) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
