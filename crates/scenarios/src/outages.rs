//! A remote that is away, and one that is there and says nothing.

use std::time::{Duration, Instant};

use testkit::{Faults, Proxy, wait_for, wait_within};

use crate::Day;
use crate::house::{self, Devices, UNDER_WAY};
use crate::process;
use crate::tally::Outcome;

/// How messages a second are meant here.
const RATE: u64 = 5000;
/// Short payloads, as sensors send them (bytes).
const BYTES: usize = 100;
/// Before and after the trouble (seconds).
const CALM: u64 = 5;
/// How long the trouble lasts (seconds).
const TROUBLE: u64 = 30;
/// How soon a remote that says nothing must be noticed: the pause before a ping, and `ping_timeout`.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);

pub(crate) const DISK: &str = "buffer_mode = \"disk\", max_buffer_bytes = \"1GB\"";
pub(crate) const MEMORY: &str = "buffer_mode = \"memory\", max_buffer_bytes = \"1GB\"";

/// How a remote hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hang {
    /// It accepts connections and says nothing.
    FromTheStart,
    /// It stops reading on the connections that it has.
    InTheMiddle,
}

/// Numbers from [`house::DEVICES`] for as long as calm, trouble and calm last.
fn devices(day: &Day, address: std::net::SocketAddr) -> Devices {
    let seconds = day.seconds(2 * CALM + TROUBLE).as_secs_f64();
    let each = (seconds * RATE as f64) as u64 / house::DEVICES;
    Devices::start(address, "local", each, RATE, BYTES)
}

/// The remote is stopped under load, and comes back.
pub(crate) async fn remote_down(day: &Day, buffer: &str) -> Outcome {
    let mut far = house::remote().await;
    let reader = house::reader(&far).await;
    let gate = house::uplink(day, far.address(), buffer).await;
    let devices = devices(day, gate.mqtt());
    tokio::time::sleep(day.seconds(CALM)).await;
    far.stop().await;
    let before = devices.acked();
    tokio::time::sleep(day.seconds(TROUBLE)).await;
    let rate = (devices.acked() - before) as f64 / day.seconds(TROUBLE).as_secs_f64();
    let (waiting, rss) = (house::metric(&gate, "queuing").await, process::rss_mib(gate.process().id()));
    far.resume().await;
    let back = Instant::now();
    devices.wait_acked(devices.sent()).await;
    let mut outcome = devices.tally(&reader, devices.sent(), UNDER_WAY).await;
    outcome.dropped = dropped(&gate).await;
    outcome.notes.push(format!(
        "{rate:.0}/s acknowledged while it was down; {waiting} waited then, {rss} MiB resident; all of it there {:.1} s after \
         its return",
        back.elapsed().as_secs_f64()
    ));
    outcome
}

/// The remote stays connected, or lets us connect, and nothing comes back.
pub(crate) async fn hangs(day: &Day, how: Hang) -> Outcome {
    let far = house::remote().await;
    let reader = house::reader(&far).await;
    let proxy = Proxy::to(far.address()).await;
    let gate = house::uplink(day, proxy.address(), DISK).await;
    let devices = devices(day, gate.mqtt());
    tokio::time::sleep(day.seconds(CALM)).await;
    proxy.set(Faults { hangs: true, ..Faults::default() }).await;
    if how == Hang::FromTheStart {
        proxy.cut();
    }
    let begun = Instant::now();
    wait_for("the server notices", async || {
        let status = house::status(&gate).await;
        if status == "connected" { Err(status) } else { Ok(()) }
    })
    .await;
    let noticed = begun.elapsed();
    let before = devices.acked();
    // Long enough for several attempts, whatever the size of the day.
    let trouble = day.seconds(TROUBLE).max(Duration::from_secs(12));
    tokio::time::sleep(trouble.saturating_sub(begun.elapsed())).await;
    let stored = devices.acked() - before;
    proxy.set(Faults::default()).await;
    let back = Instant::now();
    wait_within(Duration::from_secs(60), "it is connected again", async || {
        let status = house::status(&gate).await;
        if status == "connected" { Ok(()) } else { Err(status) }
    })
    .await;
    let connected = back.elapsed();
    devices.wait_acked(devices.sent()).await;
    // What the stalled connections still hold may arrive when the stall is over, and is sent anew as well.
    let mut outcome = devices.tally(&reader, devices.sent(), UNDER_WAY * proxy.connections()).await;
    outcome.dropped = dropped(&gate).await;
    outcome.promise(noticed <= NOTICED_WITHIN, format!("noticed after {:.1} s", noticed.as_secs_f64()));
    outcome.notes.push(format!(
        "{stored} acknowledged meanwhile; connected again {:.1} s after the end of it, {} connections in all",
        connected.as_secs_f64(),
        proxy.connections()
    ));
    outcome
}

/// Everything that the action says it dropped.
pub(crate) async fn dropped(gate: &testkit::Sluicegate) -> u64 {
    house::metric(gate, "dropped").await
}
