//! Load with churn for as long as one likes, and whether memory grows meanwhile.
//!
//! Four publishers send through a rule to a remote mosquitto at a steady rate. Around them clients come and go with and
//! without sessions, retained messages are set and cleared, rules are edited, added and removed, the connector is changed,
//! and somebody reads everything over HTTP. All of it comes round again and again, so what is there at a time is bounded,
//! and memory that goes on growing after the first third is a leak, or fragments.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mqtt::{Conn, Packet, PacketId, Publish, QoS, Reading};
use serde_json::json;
use testkit::Sluicegate;
use tokio::net::TcpStream;

use crate::load::{Load, Pace, Report, connect_over, message, put, subscribe};
use crate::plan::Plan;
use crate::process::{CpuClock, machine, raise_file_limit, rss_kib};
use crate::rules::{elsewhere, filter};
use crate::server::{connector, mosquitto, out_action, out_rule};
use crate::statistics::slope;

/// Messages a second of the steady flow.
const RATE: u64 = 1_000;
/// Clients that come round; two of three have sessions that wait for them.
const CLIENTS: u64 = 200;
/// Topics of theirs, a quarter of which retain.
const TOPICS: u64 = 40;
/// Rules that come round.
const RULES: u64 = 200;

/// How often what has come round.
#[derive(Debug, Default)]
struct Counts {
    clients: AtomicU64,
    messages: AtomicU64,
    edits: AtomicU64,
    connector_edits: AtomicU64,
    questions: AtomicU64,
    stop: AtomicBool,
}

/// Runs for so many minutes; prints what came of it, and as its last line the same as JSON.
pub(crate) async fn run(minutes: f64, plan: &Plan) {
    raise_file_limit();
    let remote = mosquitto().start().await;
    let there = remote.address();
    let gate = Sluicegate::builder(&plan.programs.sluicegate)
        .file("remote.toml", &remote_file(there, 0))
        .rule("out", &out_rule());
    let gate = (0..RULES).fold(gate, |gate, at| gate.rule(&format!("r{at}"), &elsewhere(at as usize)));
    let gate = gate.start().await;
    gate.wait_status("/connectors/mqtt:remote", "connected").await;

    let (counts, pid) = (Counts::default(), gate.process().id());
    let mut load = Load::new(gate.mqtt(), there);
    (load.qos, load.pace) = (QoS::AtLeastOnce, Pace::Rate(RATE));
    load.messages = (minutes * 60.0 * RATE as f64) as u64;
    let clock = CpuClock::start(pid);
    let flow = async {
        let report = load.run(Some(pid)).await;
        counts.stop.store(true, Relaxed);
        report
    };
    let (report, samples, ..) = tokio::join!(
        flow,
        sample(pid, &counts),
        come_and_go(gate.mqtt(), &counts),
        edit_rules(&gate, &counts),
        edit_connector(&gate, there, &counts),
        ask(&gate, &counts),
    );
    tell(minutes, &report, &samples, &counts, clock.seconds());
}

fn tell(minutes: f64, report: &Report, samples: &[(f64, f64)], counts: &Counts, cpu_seconds: f64) {
    // The first third fills what is kept.
    let settled = &samples[samples.len() / 3..];
    let growth = slope(settled) * 3600.0;
    let count = |of: &AtomicU64| of.load(Relaxed);
    let kib = |at: Option<&(f64, f64)>| at.map_or(0.0, |(_, kib)| *kib);
    println!("{report}");
    let result = json!({
        "machine": machine(),
        "minutes": minutes,
        "start_kib": kib(samples.first()),
        "settled_kib": kib(settled.first()),
        "end_kib": kib(samples.last()),
        "growth_kib_per_hour": growth,
        "lost": report.lost,
        "doubled": report.doubled,
        "disordered": report.disordered,
        "messages": report.received,
        "clients": count(&counts.clients),
        "messages_of_clients": count(&counts.messages),
        "rule_edits": count(&counts.edits),
        "connector_edits": count(&counts.connector_edits),
        "questions": count(&counts.questions),
        "cpu_seconds": cpu_seconds,
    });
    println!("{result}");
}

fn remote_file(there: SocketAddr, edit: u64) -> String {
    // In place, and every fifth time with new connections.
    let (window, keepalive) = (50 + edit % 3, 60 + edit / 5);
    let resources = format!("{}max_inflight = {window}\nkeepalive = \"{keepalive}s\"\n", connector(there));
    format!("{resources}{}", out_action(""))
}

/// Memory once a second (seconds, KiB), told now and then.
async fn sample(pid: u32, counts: &Counts) -> Vec<(f64, f64)> {
    let (began, mut samples) = (Instant::now(), Vec::new());
    while !counts.stop.load(Relaxed) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let kib = rss_kib(pid);
        if samples.len().is_multiple_of(30) {
            eprintln!("  {:>5.0} s: {kib} KiB, {counts:?}", began.elapsed().as_secs_f64());
        }
        samples.push((began.elapsed().as_secs_f64(), kib as f64));
    }
    samples
}

async fn come_and_go(address: SocketAddr, counts: &Counts) {
    while !counts.stop.load(Relaxed) {
        let number = counts.clients.fetch_add(1, Relaxed);
        let stream = TcpStream::connect(address).await.expect("a server listens");
        let id = format!("churn-{}", number % CLIENTS);
        let mut conn = connect_over(stream.into(), &id, number.is_multiple_of(3)).await;
        subscribe(&mut conn, &[&format!("churn/{}/#", number % CLIENTS % TOPICS)], QoS::AtLeastOnce).await;
        for nth in 0..10u64 {
            let topic = format!("churn/{}/{}", (number + nth) % TOPICS, nth % 4);
            // Retained ones are cleared the next time round.
            let clears = number / TOPICS % 2 == 1;
            let retain = nth.is_multiple_of(4);
            let publish = Publish {
                qos: QoS::AtLeastOnce,
                packet_id: PacketId::new(nth as u16 + 10),
                retain,
                ..message(&topic, if retain && clears { b"" } else { br#"{"temp": 31.5, "of": "churn"}"# })
            };
            put(&mut conn, &Packet::Publish(publish));
        }
        counts.messages.fetch_add(10, Relaxed);
        listen(&mut conn).await;
        if number.is_multiple_of(2) {
            put(&mut conn, &Packet::Disconnect(Box::default()));
            // Others are simply gone.
            let _ = conn.flush().await;
        }
    }
}

/// Takes and acknowledges what comes, until nothing does for a moment.
async fn listen(conn: &mut Conn) {
    while let Ok(Ok(turn)) = tokio::time::timeout(Duration::from_millis(20), conn.turn(Reading::Wanted)).await
    {
        let mut acks = Vec::new();
        while let Some(packet) = conn.input.next().expect("a packet") {
            if let Packet::Publish(Publish { packet_id: Some(id), .. }) = packet {
                acks.push(id);
            }
        }
        for id in acks {
            put(conn, &Packet::PublishAck(mqtt::Ack::new(id, mqtt::ReasonCode::Success)));
        }
        if turn.closed {
            return;
        }
    }
}

async fn edit_rules(gate: &Sluicegate, counts: &Counts) {
    while !counts.stop.load(Relaxed) {
        let edit = counts.edits.fetch_add(1, Relaxed);
        let limit = 25 + edit / RULES % 2;
        let text = elsewhere((edit % RULES) as usize).replace("> 25", &format!("> {limit}"));
        gate.write(&format!("r{}.sql", edit % RULES), &text);
        // Further ones on the flow itself come, and go 20 edits later. None passes a message on: that would double it.
        gate.write(&format!("more/e{}.sql", edit % 40), &filter(edit as usize % 40));
        if edit >= 20 {
            gate.remove(&format!("more/e{}.sql", (edit - 20) % 40));
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

async fn edit_connector(gate: &Sluicegate, there: SocketAddr, counts: &Counts) {
    while !counts.stop.load(Relaxed) {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let edit = counts.connector_edits.fetch_add(1, Relaxed);
        gate.write("remote.toml", &remote_file(there, edit + 1));
    }
}

async fn ask(gate: &Sluicegate, counts: &Counts) {
    let paths =
        ["/metrics", "/api/v5/rules?limit=100", "/api/v5/connectors", "/api/v5/actions/mqtt:out/metrics"];
    while !counts.stop.load(Relaxed) {
        let question = counts.questions.fetch_add(1, Relaxed) as usize;
        gate.http().get(paths[question % paths.len()]).await.expect(200);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
