//! Memory at the start, and of connections that do nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mqtt::{Conn, Stream};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use testkit::{Certificates, Sluicegate, tls_client_config};
use tokio::net::TcpStream;

use crate::load::{connect, connect_over};
use crate::plan::Plan;
use crate::process::{anonymous_kib, rss_kib};
use crate::server::mosquitto;

/// Connections in the clear; memory is read at half of them too.
const PLAIN: u64 = 10_000;
const TLS: u64 = 2_000;

pub(crate) async fn measure(plan: &Plan) -> Value {
    let program = &plan.programs.sluicegate;
    let plain = Sluicegate::builder(program).start().await;
    let our_start = start(plain.process().id()).await;
    drop(plain);
    let plain = mosquitto().start().await;
    let their_start = start(plain.process().id()).await;
    drop(plain);
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let certificates = Certificates::write(home.path());
    let config = format!(
        "[[mqtt.listeners]]\ntype = \"tls\"\nlisten = \"127.0.0.1:0\"\ncertfile = {:?}\nkeyfile = {:?}\n",
        certificates.certificate, certificates.key
    );
    let gate = Sluicegate::builder(program).config(&config).start().await;
    let tls = (gate.listener("tls").await, Arc::new(tls_client_config(&certificates.ca)));
    let ours = connections(plan, gate.process().id(), gate.mqtt(), tls).await;
    drop(gate);
    let peer = mosquitto().tls().start().await;
    let (address, ca) = peer.tls();
    let tls = (address, Arc::new(tls_client_config(ca)));
    let theirs = connections(plan, peer.process().id(), peer.address(), tls).await;
    json!({ "sluicegate": merged(our_start, ours), "mosquitto": merged(their_start, theirs) })
}

/// A server as it comes, that has nothing to do.
async fn start(pid: u32) -> Value {
    settle().await;
    json!({ "start_kib": rss_kib(pid), "start_anonymous_kib": anonymous_kib(pid) })
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}

async fn connections(
    plan: &Plan,
    pid: u32,
    plain: SocketAddr,
    (tls, config): (SocketAddr, Arc<rustls::ClientConfig>),
) -> Value {
    settle().await;
    let start = rss_kib(pid);
    let half = (plan.scaled(PLAIN) / 2).max(1_000);
    let mut conns = Vec::new();
    let mut each = Vec::new();
    for number in 0..2 * half {
        conns.push(connect(plain, &format!("idle-{number}")).await);
        if (conns.len() as u64).is_multiple_of(half) {
            settle().await;
            each.push((conns.len(), per_connection(pid, start, conns.len())));
        }
    }
    let before = rss_kib(pid);
    let mut encrypted: Vec<Conn> = Vec::new();
    for number in 0..plan.scaled(TLS).max(500) {
        let tcp = TcpStream::connect(tls).await.expect("a server listens");
        let name = ServerName::IpAddress(tls.ip().into());
        let stream =
            Stream::tls_client(tcp, Arc::clone(&config), name).await.expect("the handshake succeeds");
        encrypted.push(connect_over(stream, &format!("tls-{number}"), true).await);
    }
    settle().await;
    let tls_each = per_connection(pid, before, encrypted.len());
    eprintln!(
        "  {start} KiB at the start with a TLS listener, {each:?} in the clear, {tls_each:.2} KiB with TLS"
    );
    json!({
        "start_with_tls_kib": start,
        "connections": each[1].0,
        "connection_kib_at_half": each[0].1,
        "connection_kib": each[1].1,
        "tls_connections": encrypted.len(),
        "tls_connection_kib": tls_each,
    })
}

fn per_connection(pid: u32, before: u64, connections: usize) -> f64 {
    rss_kib(pid).saturating_sub(before) as f64 / connections as f64
}

/// What the server gives back after a while is not counted.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}

/// Takes so many connections, and tells what each of them takes of the server's memory (KiB).
pub(crate) async fn idle(address: SocketAddr, connections: usize, pid: Option<u32>) -> f64 {
    let before = pid.map_or(0, rss_kib);
    let mut conns = Vec::with_capacity(connections);
    for number in 0..connections {
        conns.push(connect(address, &format!("idle-{number}")).await);
    }
    settle().await;
    pid.map_or(0.0, |pid| per_connection(pid, before, connections))
}
