//! A reload of many rules with one change, and what it does to messages meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use mqtt::{Packet, QoS};
use serde_json::{Value, json};
use testkit::Sluicegate;

use crate::load::{connect, message, put, subscribe, wait_packet};
use crate::plan::Plan;
use crate::process::CpuClock;
use crate::rules::elsewhere;
use crate::statistics::median;

const RULES: usize = 10_000;
const RELOADS: usize = 12;
/// Files younger than two seconds are read again, since the clock of a file system is coarse.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

pub(crate) async fn measure(plan: &Plan) -> Value {
    // Only told reloads: what the watch adds is known, since it waits until it is quiet.
    let gate = Sluicegate::builder(&plan.programs.sluicegate).config("[rules]\nwatch = false\n");
    let gate = (0..RULES).fold(gate, |gate, at| gate.rule(&format!("r{at}"), &elsewhere(at)));
    let gate = gate.rule("probe", "SELECT * FROM \"probe/#\" WHERE payload.temp > 100").start().await;
    tokio::time::sleep(SETTLED_AFTER).await;
    let stop = Arc::new(AtomicBool::new(false));
    let probe = tokio::spawn(probe(gate.mqtt(), Arc::clone(&stop)));
    let clock = CpuClock::start(gate.process().id());
    let (mut windows, mut cpu) = (Vec::new(), Vec::new());
    for at in 0..RELOADS {
        // As much time between them as outside of them, for what is usual.
        tokio::time::sleep(Duration::from_millis(400)).await;
        gate.write(&format!("r{at}.sql"), &elsewhere(at).replace("25", "26"));
        let (before, began) = (clock.seconds(), Instant::now());
        let answer = gate.http().post("/api/v5/reload", &json!({})).await.expect(200);
        windows.push((began, Instant::now()));
        assert_eq!(answer.at("/changed"), true, "{answer}");
        cpu.push((clock.seconds() - before) * 1e3);
    }
    stop.store(true, SeqCst);
    let trips = probe.await.expect("the probe ends in order");
    let (during, mut usual): (Vec<_>, Vec<_>) = trips
        .iter()
        .partition(|(at, took)| windows.iter().any(|(from, to)| at <= to && *at + *took >= *from));
    usual.sort_by_key(|(_, took)| *took);
    let p99 = usual.get(usual.len() * 99 / 100).map_or(0.0, |(_, took)| ms(*took));
    let slowest = windows.iter().map(|(from, to)| {
        let within = during.iter().filter(|(at, took)| at <= to && *at + *took >= *from);
        within.map(|(_, took)| ms(*took)).fold(0.0, f64::max)
    });
    let slowest: Vec<f64> = slowest.collect();
    let times: Vec<f64> = windows.iter().map(|(from, to)| ms(to.duration_since(*from))).collect();
    eprintln!("  {times:.1?} ms; slowest message of each {slowest:.2?} ms; p99 without {p99:.2} ms");
    json!({
        "rules": RULES + 1,
        "reload_ms": median(times),
        "reload_cpu_ms": median(cpu),
        "p99_ms": p99,
        "delay_ms": median(slowest.iter().map(|slowest| (slowest - p99).max(0.0))),
        "slowest_without_ms": usual.last().map_or(0.0, |(_, took)| ms(*took)),
        "slowest_during_ms": median(slowest.iter().copied()),
        "slowest_of_all_ms": slowest.iter().copied().fold(0.0, f64::max),
    })
}

/// One message after the other, there and back, about a thousand a second: when each was sent, and what it took.
async fn probe(address: SocketAddr, stop: Arc<AtomicBool>) -> Vec<(Instant, Duration)> {
    let mut conn = connect(address, "probe").await;
    subscribe(&mut conn, &["probe/#"], QoS::AtMostOnce).await;
    let mut trips = Vec::new();
    while !stop.load(SeqCst) {
        let sent = Instant::now();
        put(&mut conn, &Packet::Publish(message("probe/1", br#"{"temp": 31.5}"#)));
        conn.flush().await.expect("a connection");
        wait_packet(&mut conn).await;
        trips.push((sent, sent.elapsed()));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    trips
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
