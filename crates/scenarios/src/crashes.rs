//! The server is killed.

use std::time::Duration;

use testkit::{Proxy, Sluicegate};

use crate::Day;
use crate::house::{self, DEVICES, Devices, UNDER_WAY};
use crate::outages;
use crate::tally::Outcome;

const BYTES: usize = 100;

/// The remote goes, then the server is killed again and again while publishers go on; then the remote comes back.
pub(crate) async fn killed_in_an_outage(day: &Day) -> Outcome {
    const RATE: u64 = 5000;
    const KILLS: u32 = 3;
    let mut far = house::remote().await;
    let reader = house::reader(&far).await;
    let mut gate = house::uplink(day, far.address(), outages::DISK).await;
    let front = Proxy::to(gate.mqtt()).await;
    let pause = day.seconds(5);
    let seconds = (pause * (KILLS + 2)).as_secs_f64();
    let each = (seconds * RATE as f64) as u64 / DEVICES;
    let devices = Devices::start(front.address(), "local", each, RATE, BYTES);
    tokio::time::sleep(pause).await;
    far.stop().await;
    let mut acked = 0;
    for _ in 0..KILLS {
        tokio::time::sleep(pause).await;
        gate.kill().await;
        acked = devices.acked();
        come_back(&mut gate, &front).await;
    }
    let found = house::metric(&gate, "queuing").await;
    devices.wait_acked(devices.sent()).await;
    far.resume().await;
    let mut outcome = devices.tally(&reader, devices.sent(), UNDER_WAY).await;
    outcome.dropped = outages::dropped(&gate).await;
    outcome.notes.push(format!(
        "killed {KILLS} times; {acked} were acknowledged at the last kill, {found} were waiting after it"
    ));
    outcome
}

/// Source → rule → sink between two mosquittos, the server killed ten times at random.
pub(crate) async fn relay(day: &Day, buffer: &str) -> Outcome {
    const MESSAGES: u64 = 100_000;
    const RATE: u64 = 2500;
    const KILLS: u64 = 10;
    /// What the near mosquitto may have unacknowledged at the server: the Receive Maximum of a source.
    const NEAR_WINDOW: u64 = 1000;
    let near = house::remote().await;
    let far = house::remote().await;
    let reader = house::reader(&far).await;
    // What is on disk need not come from the source again.
    let ack = if buffer == outages::DISK { "stored" } else { "delivered" };
    let source = format!(
        "[connectors.mqtt.near]\nserver = \"{}\"\npool_size = 1\nproto_ver = \"v5\"\nclean_start = false\n\
         [sources.mqtt.in]\nconnector = \"near\"\nparameters = {{ topic = \"in/#\", qos = 1 }}\n\
         ack = \"{ack}\"\n",
        near.address()
    );
    let mut gate = Sluicegate::builder(&day.program)
        .file("cloud.toml", &house::cloud(far.address(), house::MAX_INFLIGHT, buffer))
        .file("near.toml", &source)
        .rule("relay", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"$bridges/mqtt:in\"")
        .start()
        .await;
    near.wait_subscribed("in/#").await;
    let devices = Devices::start(near.address(), "in", day.count(MESSAGES) / DEVICES, RATE, BYTES);
    let mut random = Random(day.seed);
    let mut moments = Vec::new();
    for _ in 0..KILLS {
        // In all about as long as the publishers take.
        let pause = random.below(day.seconds(6).as_millis() as u64).max(50);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        gate.kill().await;
        moments.push(devices.acked());
        gate.resume().await;
    }
    devices.wait_acked(devices.sent()).await;
    let mut outcome = devices.tally(&reader, devices.sent(), KILLS * (NEAR_WINDOW + UNDER_WAY)).await;
    outcome.dropped = outages::dropped(&gate).await;
    outcome.notes.push(format!("killed after {moments:?} were published"));
    outcome
}

async fn come_back(gate: &mut Sluicegate, front: &Proxy) {
    gate.resume().await;
    // The old connections lead nowhere any more.
    front.lead_to(gate.mqtt());
    front.cut();
}

/// SplitMix64: when it is killed follows from the seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }
}
