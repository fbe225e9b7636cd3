//! More than fits, and more than the far end can take.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::{Faults, Proxy, Sluicegate, SteadySubscriber};

use crate::Day;
use crate::house::{self, DEVICES, Devices, UNDER_WAY};
use crate::outages;
use crate::process;
use crate::tally::Outcome;

/// What the far end of an overload can take (messages a second), and what each of them is on its way (bytes).
const CAPACITY: u64 = 2000;
const PAYLOAD_BYTES: usize = 1000;
const PACKET_BYTES: u64 = 1050;
/// What a measured rate may be below another and still be the same.
const LOSS_MAX: f64 = 0.1;

/// Where messages wait while too many come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buffer {
    /// In memory, where the oldest give way.
    Memory,
    /// On disk, where their publishers are held back.
    Disk,
}

impl Buffer {
    /// Small, so that it is full at once.
    fn options(self) -> &'static str {
        match self {
            Self::Memory => "buffer_mode = \"memory\", max_buffer_bytes = \"2MB\"",
            Self::Disk => "buffer_mode = \"disk\", max_buffer_bytes = \"2MB\"",
        }
    }
}

/// Sixty megabytes for a buffer of sixteen, while nobody takes anything.
pub(crate) async fn flooded(day: &Day) -> Outcome {
    const BYTES: usize = 1000;
    const MESSAGES: u64 = 60_000;
    const BUFFER_MIB: u64 = 16;
    let mut far = house::remote().await;
    let reader = house::reader(&far).await;
    let gate = house::uplink(day, far.address(), "max_buffer_bytes = \"16MB\"").await;
    far.stop().await;
    let before = process::rss_mib(gate.process().id());
    let devices = Devices::start(gate.mqtt(), "local", MESSAGES / DEVICES, 10_000, BYTES);
    let mut most = before;
    while devices.acked() < devices.sent() {
        most = most.max(process::rss_mib(gate.process().id()));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (waiting, bytes) =
        (house::metric(&gate, "queuing").await, house::metric(&gate, "queuing_bytes").await);
    far.resume().await;
    let mut outcome = devices.tally(&reader, waiting, UNDER_WAY).await;
    outcome.dropped = outages::dropped(&gate).await;
    outcome.promise(
        bytes <= BUFFER_MIB << 20,
        format!("{waiting} waited, {:.1} of {BUFFER_MIB} MiB", bytes as f64 / f64::from(1 << 20)),
    );
    outcome.promise(
        most - before <= 3 * BUFFER_MIB,
        format!("resident {before} MiB before, {most} MiB at most"),
    );
    outcome
}

/// Messages come at half of what the far end can take, at just that, at twice and at four times as much: what arrives must not
/// become less.
pub(crate) async fn overload(day: &Day, buffer: Buffer) -> Outcome {
    let far = house::remote().await;
    let reader = house::reader(&far).await;
    let proxy = Proxy::to(far.address()).await;
    let gate = house::uplink(day, proxy.address(), buffer.options()).await;
    // The clients of the pool share the work, and each has a connection of its own.
    let bytes_per_second = Some((CAPACITY * PACKET_BYTES / house::POOL) as u32);
    proxy.set(Faults { bytes_per_second, ..Faults::default() }).await;
    let mut outcome = Outcome { doubled_max: UNDER_WAY, ..Outcome::default() };
    let mut rates = Vec::new();
    for (name, rate) in
        [("half", CAPACITY / 2), ("one", CAPACITY), ("two", 2 * CAPACITY), ("four", 4 * CAPACITY)]
    {
        let (phase, arrived) = offer(day, &gate, &reader, name, rate).await;
        outcome += phase;
        rates.push(arrived);
    }
    let [half, one, two, four] = rates[..] else { return outcome };
    outcome.promise(
        two.min(four) >= one * (1.0 - LOSS_MAX),
        format!(
            "{half:.0}/s arrived of {}/s offered, {one:.0} of {CAPACITY}, {two:.0} of {}, {four:.0} of {}",
            CAPACITY / 2,
            2 * CAPACITY,
            4 * CAPACITY
        ),
    );
    outcome
}

/// Offers `rate` messages a second for a while. What came of them, and how many a second arrived meanwhile.
async fn offer(
    day: &Day,
    gate: &Sluicegate,
    reader: &SteadySubscriber,
    name: &str,
    rate: u64,
) -> (Outcome, f64) {
    let dropped = outages::dropped(gate).await;
    let (warm_up, measured) = (day.seconds(5), day.seconds(15));
    let each = ((warm_up + measured).as_secs_f64() * rate as f64) as u64 / DEVICES;
    let devices = Devices::start(gate.mqtt(), &format!("local/{name}"), each, rate, PAYLOAD_BYTES);
    tokio::time::sleep(warm_up).await;
    let (before, begun) = (house::metric(gate, "success").await, Instant::now());
    tokio::time::sleep(measured).await;
    let arrived = house::metric(gate, "success").await - before;
    let arrived = arrived as f64 / begun.elapsed().as_secs_f64();
    devices.wait_acked(devices.sent()).await;
    house::wait_empty(gate).await;
    let dropped = outages::dropped(gate).await - dropped;
    let mut outcome = devices.tally(reader, devices.sent() - dropped, 0).await;
    outcome.dropped = dropped;
    (outcome, arrived)
}

/// A million messages wait on disk, and then a remote comes that takes them as fast as they come: another of our servers, which
/// counts them with a rule.
pub(crate) async fn drain(day: &Day) -> Outcome {
    const MESSAGES: u64 = 1_000_000;
    const BYTES: usize = 100;
    /// What a client may have unacknowledged.
    const WINDOW: u64 = 1000;
    /// A rate that nobody reaches.
    const AT_ONCE: u64 = 1_000_000_000;
    let far = Sluicegate::builder(&day.program).rule("count", "SELECT qos FROM \"out/#\"").start().await;
    let cloud = |server: SocketAddr| house::cloud(server, WINDOW, outages::DISK);
    let nowhere = ([127, 0, 0, 1], testkit::free_port()).into();
    let gate = Sluicegate::builder(&day.program)
        .file("cloud.toml", &cloud(nowhere))
        .rule("uplink", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"local/#\"")
        .start()
        .await;
    let filling = Instant::now();
    let devices = Devices::start(gate.mqtt(), "local", day.count(MESSAGES) / DEVICES, AT_ONCE, BYTES);
    devices.wait_acked(devices.sent()).await;
    let filled = filling.elapsed().as_secs_f64();
    let rss = process::rss_mib(gate.process().id());
    gate.write("cloud.toml", &cloud(far.mqtt()));
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let (waiting, begun) = (house::metric(&gate, "queuing").await, Instant::now());
    house::wait_empty(&gate).await;
    let rate = waiting as f64 / begun.elapsed().as_secs_f64();
    let came = far.http().get("/api/v5/rules/count/metrics").await.json();
    let came = came["metrics"]["matched"].as_u64().unwrap_or_default();
    let (sent, acked) = (devices.sent(), devices.acked());
    let mut outcome = Outcome {
        sent,
        acked,
        delivered: came.min(sent),
        doubled: came.saturating_sub(sent),
        ..Outcome::default()
    };
    outcome.doubled_max = devices.resent();
    outcome.dropped = outages::dropped(&gate).await;
    outcome.notes.push(format!(
        "stored at {:.0}/s, {rss} MiB resident with all of it waiting; sent at {rate:.0}/s, over {} clients",
        sent as f64 / filled,
        house::POOL
    ));
    outcome
}
