//! Random faults, and nothing lost: the server is killed, its connections are cut, stalled and refused, remotes restart,
//! files are edited, all while messages flow; afterwards every message that was acknowledged has arrived, in order. Every
//! third round speaks TLS with the remotes, and bits flip on the way.
//!
//! A round follows from its seed. `cargo xtask torture` runs rounds for as long as it is told.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use testkit::{Faults, Mosquitto, Pace, Proxy, Sluicegate, SteadyPublisher, SteadySubscriber, wait_for};

use crate::gate;

/// What keeps the promise in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    /// Publishers are acknowledged when their messages are on disk.
    Disk,
    /// Publishers are acknowledged when their messages are delivered.
    Delivery,
}

/// Publishers of each kind: into the server itself, and into the remote that it reads.
const PUBLISHERS: usize = 2;
/// What each of them may have unacknowledged.
const WINDOW: usize = 50;
/// What the server may have unacknowledged on one connection.
const MAX_INFLIGHT: usize = 32;
/// What the server lets the remote that it reads have unacknowledged: its Receive Maximum, and what one read brings after
/// it, since mosquitto does not always keep to it.
const SOURCE_WINDOW: usize = 2000;
/// What the far mosquitto may have unacknowledged.
const FAR_WINDOW: usize = 20;

#[tokio::test]
async fn nothing_is_lost_with_a_disk_buffer() {
    round(1, Keeper::Disk, 4000).await;
}

#[tokio::test]
async fn nothing_is_lost_when_acknowledged_means_delivered() {
    round(2, Keeper::Delivery, 4000).await;
}

/// One round, or as many as fit into the time that `SLUICEGATE_TORTURE_SECONDS` gives.
#[tokio::test]
async fn soak() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(number("SLUICEGATE_TORTURE_SECONDS").unwrap_or(0));
    let first = number("SLUICEGATE_TORTURE_SEED").unwrap_or(3);
    let begun = Instant::now();
    for seed in first.. {
        let keeper = if seed.is_multiple_of(2) { Keeper::Delivery } else { Keeper::Disk };
        eprintln!("{}", round(seed, keeper, 4000).await);
        if begun.elapsed() >= time {
            break;
        }
    }
}

/// What came of a round.
struct Tally {
    seed: u64,
    keeper: Keeper,
    faults: Vec<String>,
    sent: u64,
    doubled: u64,
    resent: u64,
    took: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, keeper, sent, doubled, resent, took, faults } = self;
        write!(
            out,
            "round {seed} ({keeper:?}): {sent} sent, {sent} delivered, 0 lost, {doubled} doubled ({resent} by their \
             publishers), {} faults in {took:.1?}",
            faults.len()
        )
    }
}

/// Everything that takes part.
struct House {
    gate: Sluicegate,
    far: Mosquitto,
    /// From devices to the server.
    front: Proxy,
    remotes: Remotes,
    keeper: Keeper,
    random: Random,
    edits: u64,
}

/// The ways from the server to its remotes.
struct Remotes {
    /// To the one it writes.
    up: Proxy,
    /// To the one it reads.
    down: Proxy,
    /// With TLS, whom to trust there.
    trusts: Option<[PathBuf; 2]>,
}

async fn round(seed: u64, keeper: Keeper, count: u64) -> Tally {
    let begun = Instant::now();
    let is_tls = seed.is_multiple_of(3);
    let broker = || if is_tls { Mosquitto::builder().keeps().tls() } else { Mosquitto::builder().keeps() };
    let (near, far) = (broker().start().await, broker().start().await);
    let led_to = |broker: &Mosquitto| if is_tls { broker.tls().0 } else { broker.address() };
    let remotes = Remotes {
        up: Proxy::to(led_to(&far)).await,
        down: Proxy::to(led_to(&near)).await,
        trusts: is_tls.then(|| [far.tls().1.to_owned(), near.tls().1.to_owned()]),
    };
    let gate = gate()
        .file("cloud.toml", &remotes.resources(keeper, 0))
        .rule("local", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"local/#\"")
        .rule("relay", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"$bridges/mqtt:in\"")
        .config(match keeper {
            Keeper::Disk => "",
            Keeper::Delivery => "[mqtt]\nack = \"delivered\"\n",
        })
        .start()
        .await;
    let front = Proxy::to(gate.mqtt()).await;
    near.wait_subscribed("in/#").await;
    let reader = SteadySubscriber::start(far.address(), "reader", "out/#").await;
    let mut house = House { gate, far, front, remotes, keeper, random: Random(seed), edits: 0 };

    let pace = Pace { count, window: WINDOW, pause: Duration::from_millis(2), bytes: 1 };
    let mut publishers = Vec::new();
    for number in 0..PUBLISHERS {
        for (address, folder) in [(house.front.address(), "local"), (near.address(), "in")] {
            let topic = format!("{folder}/{number}");
            let clientid = format!("{folder}-{number}");
            publishers.push((SteadyPublisher::start(address, &clientid, &topic, pace.clone()), topic));
        }
    }
    let mut faults = Vec::new();
    while publishers.iter().any(|(publisher, _)| publisher.acked() < count) {
        house.pause(50, 500).await;
        let fault = house.fault().await;
        faults.push(fault);
        // Publishers that get nowhere any more would wait for ever; so many faults are enough.
        if faults.len() >= 40 {
            break;
        }
    }
    house.mend().await;
    let mut tally = Tally { seed, keeper, faults, sent: 0, doubled: 0, resent: 0, took: Duration::ZERO };
    for (publisher, topic) in &publishers {
        publisher.wait_acked(count).await;
        let what = format!("round {seed}: everything of {topic} has arrived, after {:?}", tally.faults);
        let series = wait_for(&what, async || {
            let series = reader.series(&format!("out/{topic}"));
            if series.complete == count { Ok(series) } else { Err(format!("{series:?}")) }
        })
        .await;
        let faults = &tally.faults;
        assert!(series.late.is_empty(), "round {seed}: {topic} came out of order: {series:?} {faults:?}");
        let (resent, _) = publisher.trouble();
        tally.sent += count;
        tally.doubled += series.doubled;
        tally.resent += resent;
    }
    // Each fault may double what was under way at that moment, on every stretch: from the publishers, from the remote we
    // read, from us, and from the far broker.
    let windows = PUBLISHERS * WINDOW + SOURCE_WINDOW + 4 * MAX_INFLIGHT + FAR_WINDOW;
    let bound = tally.resent + (tally.faults.len() * windows) as u64;
    assert!(tally.doubled <= bound, "round {seed}: {} doubled, {bound} at most", tally.doubled);
    tally.took = begun.elapsed();
    tally
}

impl Remotes {
    fn resources(&self, keeper: Keeper, edit: u64) -> String {
        let buffer = match keeper {
            Keeper::Disk => "buffer_mode = \"disk\", request_ttl = \"infinity\"",
            Keeper::Delivery => "request_ttl = \"infinity\"",
        };
        let version = if edit.is_multiple_of(2) { "v5" } else { "v4" };
        let ssl = |place: usize| {
            let trusts = self.trusts.as_ref().map(|trusts| trusts[place].display());
            trusts
                .map_or_else(String::new, |ca| format!("ssl = {{ enable = true, cacertfile = \"{ca}\" }}\n"))
        };
        format!(
            "[connectors.mqtt.cloud]\nserver = \"{}\"\npool_size = 4\nproto_ver = \"{version}\"\n\
         max_inflight = {MAX_INFLIGHT}\nping_timeout = \"500ms\"\n{}\
         [connectors.mqtt.near]\nserver = \"{}\"\npool_size = 1\nproto_ver = \"v5\"\nclean_start = false\n\
         ping_timeout = \"500ms\"\n{}\
         [sources.mqtt.in]\nconnector = \"near\"\nparameters = {{ topic = \"in/#\", qos = 1 }}\n\
         [actions.mqtt.uplink]\nconnector = \"cloud\"\ndescription = \"edit {edit}\"\n\
         parameters = {{ topic = \"out/${{topic}}\", qos = 1, payload = \"${{payload}}\" }}\n\
         resource_opts = {{ {buffer} }}\n",
            self.up.address(),
            ssl(0),
            self.down.address(),
            ssl(1)
        )
    }
}

impl House {
    async fn pause(&mut self, least: u64, most: u64) {
        let millis = least + self.random.below(most - least);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// Does something bad, and tells what.
    async fn fault(&mut self) -> String {
        let stretch = self.random.below(3);
        let name = ["front", "up", "down"][stretch as usize];
        // Without TLS a flipped bit would be taken for what was sent.
        let kinds = if self.remotes.trusts.is_some() { 12 } else { 10 };
        match self.random.below(kinds) {
            0 | 1 => {
                self.gate.kill().await;
                self.come_back().await;
                "the server is killed".to_owned()
            }
            2 => {
                assert!(self.gate.terminate().await.success());
                self.come_back().await;
                "the server is stopped".to_owned()
            }
            3 => {
                self.proxy(stretch).cut();
                format!("{name} is cut")
            }
            4 => {
                let bytes = self.random.below(4000);
                self.proxy(stretch).cut_after(bytes);
                format!("{name} is cut after {bytes} bytes")
            }
            5 => {
                self.proxy(stretch).set(Faults { hangs: true, ..Faults::default() }).await;
                self.pause(100, 2500).await;
                self.proxy(stretch).set(Faults::default()).await;
                format!("{name} hangs")
            }
            6 => {
                self.proxy(stretch).set(Faults { refuses: true, ..Faults::default() }).await;
                self.proxy(stretch).cut();
                self.pause(50, 800).await;
                self.proxy(stretch).set(Faults::default()).await;
                format!("{name} refuses")
            }
            7 => {
                let delay = Duration::from_millis(self.random.below(30));
                self.proxy(stretch).set(Faults { delay, ..Faults::default() }).await;
                format!("{name} is slower by {delay:?}")
            }
            8 => {
                self.far.stop().await;
                self.pause(0, 500).await;
                self.far.resume().await;
                "the remote restarts".to_owned()
            }
            9 => {
                self.edits += 1;
                self.gate.write("cloud.toml", &self.remotes.resources(self.keeper, self.edits));
                "the files are edited".to_owned()
            }
            _ => {
                let stretch = 1 + self.random.below(2);
                let every = 500 + self.random.below(20_000);
                self.proxy(stretch).set(Faults { flips_every: Some(every), ..Faults::default() }).await;
                self.pause(100, 1500).await;
                self.proxy(stretch).set(Faults::default()).await;
                format!("{} flips a bit of every {every} bytes", ["front", "up", "down"][stretch as usize])
            }
        }
    }

    fn proxy(&self, stretch: u64) -> &Proxy {
        match stretch {
            0 => &self.front,
            1 => &self.remotes.up,
            _ => &self.remotes.down,
        }
    }

    async fn come_back(&mut self) {
        self.gate.resume().await;
        // The old connections lead nowhere any more.
        self.front.lead_to(self.gate.mqtt());
        self.front.cut();
    }

    async fn mend(&mut self) {
        for proxy in [&self.front, &self.remotes.up, &self.remotes.down] {
            proxy.set(Faults::default()).await;
        }
    }
}

/// SplitMix64: what a round does follows from its seed.
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
