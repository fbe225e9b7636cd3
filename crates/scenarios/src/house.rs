//! Who takes part: publishers, the server, the remotes, and the reader at the far end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::{Mosquitto, Pace, Sluicegate, SteadyPublisher, SteadySubscriber, wait_within};

use crate::Day;
use crate::tally::Outcome;

/// Publishers, each with a topic of its own.
pub(crate) const DEVICES: u64 = 10;
/// What each of them may have unacknowledged.
pub(crate) const WINDOW: usize = 100;
/// Clients of the connector that the action uses, and what each may have unacknowledged.
pub(crate) const POOL: u64 = 4;
pub(crate) const MAX_INFLIGHT: u64 = 32;
/// What the far mosquitto may have unacknowledged at its reader.
pub(crate) const FAR_WINDOW: u64 = 20;
/// What the server may have under way to the far end at one moment.
pub(crate) const UNDER_WAY: u64 = POOL * MAX_INFLIGHT + FAR_WINDOW;

/// With nothing new for so long, nothing more will come.
const STALLED: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(20);

/// Publishers of numbers, all to one broker.
#[derive(Debug)]
pub(crate) struct Devices {
    publishers: Vec<(SteadyPublisher, String)>,
    each: u64,
}

impl Devices {
    /// Lets them publish `each` messages of `bytes` bytes to `{folder}/{number}`, `rate` a second in all.
    pub(crate) fn start(address: SocketAddr, folder: &str, each: u64, rate: u64, bytes: usize) -> Self {
        let pause = Duration::from_nanos(1_000_000_000 * DEVICES / rate);
        let pace = Pace { count: each, window: WINDOW, pause, bytes };
        let one = |number| {
            let topic = format!("{folder}/{number}");
            let clientid = format!("{folder}-{number}");
            (SteadyPublisher::start(address, &clientid, &topic, pace.clone()), topic)
        };
        Self { publishers: (0..DEVICES).map(one).collect(), each }
    }

    /// How many messages there are in all.
    pub(crate) fn sent(&self) -> u64 {
        self.each * self.publishers.len() as u64
    }

    pub(crate) fn acked(&self) -> u64 {
        self.publishers.iter().map(|(publisher, _)| publisher.acked()).sum()
    }

    /// What they sent more than once.
    pub(crate) fn resent(&self) -> u64 {
        self.publishers.iter().map(|(publisher, _)| publisher.trouble().0).sum()
    }

    /// Waits until so many are acknowledged, or nothing moves any more.
    pub(crate) async fn wait_acked(&self, count: u64) {
        settle(count, || self.acked()).await;
    }

    /// Waits until `count` of their messages have come, or nothing moves any more, and counts. `doubled_max` is the bound
    /// without what they sent again themselves.
    pub(crate) async fn tally(&self, reader: &SteadySubscriber, count: u64, doubled_max: u64) -> Outcome {
        let all = || self.publishers.iter().map(|(_, topic)| reader.series(&format!("out/{topic}")));
        settle(count, || all().map(|series| series.distinct()).sum()).await;
        let mut outcome = Outcome { sent: self.sent(), acked: self.acked(), ..Outcome::default() };
        outcome.doubled_max = doubled_max + self.resent();
        for series in all() {
            outcome.delivered += series.distinct();
            outcome.doubled += series.doubled;
            outcome.disordered += series.late.len() as u64;
        }
        outcome
    }
}

/// Waits until `now` gives `count`, or has given the same for long.
async fn settle(count: u64, mut now: impl FnMut() -> u64) {
    let (mut last, mut moved) = (now(), Instant::now());
    while last < count && moved.elapsed() < STALLED {
        tokio::time::sleep(GLANCE).await;
        let seen = now();
        if seen != last {
            (last, moved) = (seen, Instant::now());
        }
    }
}

/// A mosquitto that forgets nothing when it stops.
pub(crate) async fn remote() -> Mosquitto {
    Mosquitto::builder().keeps().start().await
}

/// The reader at the far end.
pub(crate) async fn reader(far: &Mosquitto) -> SteadySubscriber {
    SteadySubscriber::start(far.address(), "reader", "out/#").await
}

/// A server that sends everything below `local/` to the remote at `far`, from a buffer with these options.
pub(crate) async fn uplink(day: &Day, far: SocketAddr, buffer: &str) -> Sluicegate {
    let gate = Sluicegate::builder(&day.program)
        .file("cloud.toml", &cloud(far, MAX_INFLIGHT, buffer))
        .rule("uplink", "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"local/#\"")
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    gate
}

/// The connector `cloud`, each of whose clients may have so many messages unacknowledged, and its action `uplink`.
pub(crate) fn cloud(far: SocketAddr, max_inflight: u64, buffer: &str) -> String {
    format!(
        "[connectors.mqtt.cloud]\nserver = \"{far}\"\npool_size = {POOL}\nproto_ver = \"v5\"\nmax_inflight = {max_inflight}\n\
         [actions.mqtt.uplink]\nconnector = \"cloud\"\n\
         parameters = {{ topic = \"out/${{topic}}\", qos = 1, payload = \"${{payload}}\" }}\n\
         resource_opts = {{ {buffer}, request_ttl = \"infinity\" }}\n"
    )
}

/// A counter of the action `uplink`.
pub(crate) async fn metric(gate: &Sluicegate, name: &str) -> u64 {
    let answer = gate.http().get("/api/v5/actions/mqtt:uplink/metrics").await.json();
    answer["metrics"][name].as_u64().unwrap_or_else(|| panic!("there is no `{name}` in {answer}"))
}

/// Waits until the action `uplink` has nothing to send any more.
pub(crate) async fn wait_empty(gate: &Sluicegate) {
    wait_within(Duration::from_secs(120), "nothing waits any more", async || {
        let waiting = metric(gate, "queuing").await + metric(gate, "inflight").await;
        if waiting == 0 { Ok(()) } else { Err(format!("{waiting} wait")) }
    })
    .await;
}

/// The status of the connector `cloud`.
pub(crate) async fn status(gate: &Sluicegate) -> String {
    let answer = gate.http().get("/api/v5/connectors/mqtt:cloud").await.json();
    answer["status"].as_str().unwrap_or_default().to_owned()
}
