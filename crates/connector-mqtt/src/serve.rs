//! One connection from its CONNACK to its end.

use std::sync::Arc;
use std::time::Instant;

use connector::Status;
use mqtt::{Conn, Disconnect, Gather, Overdue, Packet, Reading, ReasonCode, Turn, Version};
use tokio::time::{Duration, sleep};
use wake::Courtesy;

use crate::client::{Client, RECEIVE_MAX};
use crate::inflow::Moment;
use crate::link::{Limits, Link};
use crate::pulse::{Beat, Pulse};

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// We were told to stop, and have left.
    Left,
    /// From there, as brokers also do that refuse a message.
    ByRemote(String),
    /// From here.
    ByUs(String),
    /// From here, so that the remote sends again what was passed over while too much was on the way.
    Crowded,
}

/// The client with its connection.
pub(crate) struct Serving<'c> {
    client: &'c mut Client,
    conn: Conn,
    limits: Limits,
    pulse: Pulse,
    /// Bytes written since the connection began.
    written: u64,
    /// Whether the status says that there are doubts.
    doubtful: bool,
    /// Whether messages are passed over, since sources have as many on the way as may be and this connection must be read.
    crowded: bool,
    gather: Gather,
    courtesy: Courtesy,
    /// Whether requests are to be taken from the queues, and not left there until more have gathered.
    takes: bool,
    /// Whether packets have come that were left for after the others' turn.
    has_more: bool,
}

/// How often acknowledgements are looked at while many come: nobody but the next requests waits for them.
const ACKNOWLEDGEMENTS: Duration = Duration::from_millis(2);
/// When the remote is asked for what it may hold back, as long as nothing is sent to it.
const ASK_AFTER: Duration = Duration::from_millis(1);
/// How often messages are looked at while many come.
const MESSAGES: Duration = Duration::from_micros(500);
/// How long the last words may take once the deadline has come.
const LAST_WORDS: Duration = Duration::from_millis(250);

impl<'c> Serving<'c> {
    pub(crate) fn new(client: &'c mut Client, link: Link, now: Instant) -> Self {
        let Link { conn, session_present, limits } = link;
        client.outflow.connected(limits, session_present);
        client.inflow.connected(session_present);
        client.view.set(Status::connected());
        tracing::info!(
            clientid = client.login.clientid,
            session_present,
            "connected to {}",
            client.options.server
        );
        limits.log(&client.login.clientid);
        let pulse = Pulse::new(limits.keepalive, client.options.ping_timeout, now);
        let gather = Gather::new(if client.publishes { ACKNOWLEDGEMENTS } else { MESSAGES }, ASK_AFTER, now);
        Self {
            client,
            conn,
            limits,
            pulse,
            written: 0,
            doubtful: false,
            crowded: false,
            gather,
            courtesy: Courtesy::default(),
            takes: true,
            has_more: false,
        }
    }

    /// Serves the connection until it ends. Reads, writes, new work, due acknowledgements, commands and clocks are all
    /// waited for together, and each turn moves whole batches.
    pub(crate) async fn run(mut self) -> End {
        let work = Arc::clone(&self.client.outflow.wake);
        let acks = Arc::clone(&self.client.inflow.acks);
        let timer = sleep(Duration::ZERO);
        tokio::pin!(timer);
        // What came together with CONNACK is read already.
        if let Some(end) = self.packets(Instant::now()) {
            return self.end(end).await;
        }
        loop {
            let now = Instant::now();
            if let Some(end) = self.prepare(now) {
                return self.end(end).await;
            }
            let reading = if self.has_more { Reading::Paused } else { self.reading() };
            let next = self.next(now);
            // A timer that rings early does no harm; moving it with every turn would.
            if timer.is_elapsed() || timer.deadline() > next.into() {
                timer.as_mut().reset(next.into());
            }
            let takes = self.takes && self.client.outflow.may_take(&self.conn.output, now);
            if !takes {
                work.rest();
            }
            let outflow = &self.client.outflow;
            tokio::select! {
                biased;
                // First, so that no flood from the remote keeps it from being heard.
                command = self.client.commands.recv(), if self.client.deadline.is_none() => {
                    self.client.obey(command);
                    self.pulse.set_timeout(self.client.options.ping_timeout);
                    self.client.view.set_sources(self.client.inflow.subscriptions.statuses());
                }
                turn = self.conn.turn(reading) => {
                    if let Some(end) = self.turned(turn) {
                        return self.end(end).await;
                    }
                }
                () = acks.wake.wait(|| acks.is_due()) => {}
                () = work.wait(|| outflow.is_ready()), if takes => self.let_others_first().await,
                () = &mut timer => {}
                () = tokio::task::yield_now(), if self.has_more => {
                    if let Some(end) = self.packets(Instant::now()) {
                        return self.end(end).await;
                    }
                }
            }
        }
    }

    /// Lets publishers go first whose messages have come at the same time, if that has paid of late: what they have goes out
    /// in the same write.
    async fn let_others_first(&mut self) {
        if self.courtesy.pays() {
            let outflow = &self.client.outflow;
            let before = outflow.lanes_ready();
            tokio::task::yield_now().await;
            self.courtesy.learn(outflow.lanes_ready() > before);
        }
    }

    /// Puts everything that may go out now. Gives the end if there is a reason to end.
    fn prepare(&mut self, now: Instant) -> Option<End> {
        let Self { client, conn, limits, .. } = self;
        client.inflow.acknowledge(&mut conn.output);
        if client.inflow.acks.take_abandoned() && client.deadline.is_none() {
            let reason = "a message of a source could not be kept; the remote is to send it again";
            return Some(End::ByUs(reason.to_owned()));
        }
        if client.deadline.is_none() {
            client.inflow.subscriptions.fill(&mut conn.output, limits, now);
        }
        if client.options.version < Version::V5
            && let Some(before) = now.checked_sub(client.options.retry_interval)
            && client.outflow.oldest_sent().is_some_and(|at| at <= before)
        {
            client.outflow.send_old_again(before, &mut conn.output, now);
        }
        match self.gather.overdue(now) {
            Overdue::No => {}
            Overdue::Ask => conn.confirm(),
            Overdue::InVain => self.takes = true,
        }
        if self.takes {
            client.outflow.fill(&mut conn.output, self.written, now);
        }
        client.outflow.tell_held(true);
        if self.crowded && client.inflow.acks.owed() == 0 {
            return Some(End::Crowded);
        }
        if client.outflow.is_stuck() {
            return Some(End::ByUs("the remote has left one publish unacknowledged for too long".to_owned()));
        }
        if let Some(deadline) = client.deadline
            && (now >= deadline || self.has_nothing_left())
        {
            return Some(End::Left);
        }
        self.let_gather(now);
        self.beat(now)
    }

    /// Lets acknowledgements, or messages of sources, gather while many of them come.
    fn let_gather(&mut self, now: Instant) {
        /// Fewer bytes than this are not worth to be waited for: eight acknowledgements, or as many messages as come where
        /// a look for each would no longer leave time for others.
        const BYTES_MIN: (usize, usize) = (32, 4096);
        /// An acknowledgement has four bytes; half of those that are still to come are waited for at most.
        const HALF_AN_ACK: usize = 2;
        let Self { client, conn, gather, .. } = self;
        let awaited = match (client.publishes, client.inflow.subscriptions.is_empty()) {
            _ if client.deadline.is_some() => 0,
            (true, true) => gather.awaited(BYTES_MIN.0, client.outflow.unacked() * HALF_AN_ACK, now),
            // Then acknowledgements are among what comes, or messages among acknowledgements.
            (true, false) => 0,
            (false, _) => gather.awaited(BYTES_MIN.1, usize::MAX, now),
        };
        conn.read_from(u32::try_from(awaited).unwrap_or(1));
        // What has no room now goes as soon as it has some.
        self.takes = awaited == 0 || !client.outflow.may_take(&conn.output, now);
    }

    fn has_nothing_left(&self) -> bool {
        let Client { outflow, inflow, .. } = &*self.client;
        outflow.is_idle() && inflow.acks.unsettled() == 0 && self.conn.output.pending_bytes() == 0
    }

    /// Looks at the clocks.
    fn beat(&mut self, now: Instant) -> Option<End> {
        self.pulse.pending(self.conn.output.pending_bytes(), now);
        if self.pulse.is_idle(now) {
            self.conn.trim();
        }
        let overdue = self.client.outflow.oldest_since();
        let timeout = self.client.options.ping_timeout;
        self.doubt(overdue.filter(|since| now >= *since + timeout), now);
        match self.pulse.beat(overdue, self.reading() == Reading::Wanted, now) {
            Beat::Rest => None,
            Beat::Ping => {
                // Two bytes fit every limit.
                let _ = self.conn.output.put(&Packet::PingRequest);
                self.pulse.pinged(self.written + self.conn.output.pending_bytes() as u64);
                None
            }
            Beat::Silent => Some(End::ByUs(format!("the remote has left a ping unanswered for {timeout:?}"))),
            Beat::Stalled => Some(End::ByUs(format!("the remote has taken nothing for {:?}", timeout * 2))),
        }
    }

    /// Lets the status say whether publishes stay unacknowledged.
    fn doubt(&mut self, overdue: Option<Instant>, now: Instant) {
        if self.doubtful == overdue.is_some() {
            return;
        }
        self.doubtful = overdue.is_some();
        self.client.view.set(match overdue {
            None => Status::connected(),
            Some(since) => {
                let seconds = now.duration_since(since).as_secs();
                Status::connecting(format!("publishes stay unacknowledged, the oldest for {seconds}s"))
            }
        });
    }

    /// Whether to read. A client that only receives pushes back by not reading: before MQTT 5 there is no other way, and
    /// some brokers send more than the Receive Maximum when they resume a session.
    fn reading(&self) -> Reading {
        let client = &*self.client;
        let leaving = client.deadline.is_some();
        let full = client.inflow.acks.owed() >= usize::from(RECEIVE_MAX);
        if !client.publishes && (leaving || full) { Reading::Paused } else { Reading::Wanted }
    }

    /// When the clocks are to be looked at again.
    fn next(&self, now: Instant) -> Instant {
        let Client { outflow, inflow, options, deadline, .. } = &*self.client;
        let mut next = self.pulse.next(outflow.oldest_since(), self.reading() == Reading::Wanted, now);
        let mut sooner = |at: Option<Instant>| next = at.map_or(next, |at| next.min(at));
        sooner(*deadline);
        sooner(self.gather.waits_until());
        sooner(inflow.subscriptions.next_attempt());
        sooner(outflow.paused_until().filter(|until| *until > now));
        if !self.doubtful {
            sooner(outflow.oldest_since().map(|since| since + options.ping_timeout));
        }
        if options.version < Version::V5 {
            sooner(outflow.oldest_sent().map(|at| at + options.retry_interval));
        }
        // What is overdue is done already; without this a clock that stands still would spin.
        next.max(now + Duration::from_millis(1))
    }

    fn turned(&mut self, turn: std::io::Result<Turn>) -> Option<End> {
        let turn = match turn {
            Ok(turn) => turn,
            Err(error) => return Some(End::ByRemote(tls::in_words(&error))),
        };
        let now = Instant::now();
        self.written += turn.written_bytes as u64;
        self.client.outflow.written(self.written);
        self.pulse.moved(
            turn.read_bytes,
            turn.written_bytes,
            self.written,
            self.conn.output.pending_bytes(),
            now,
        );
        if turn.read_bytes > 0 {
            self.gather.read(turn.read_bytes, now);
            self.takes = true;
        }
        let ended = if turn.read_bytes > 0 { self.packets(now) } else { None };
        ended.or_else(|| turn.closed.then(|| End::ByRemote("the remote closed the connection".to_owned())))
    }

    /// Takes in the packets that have come, as one batch: whom they concern hears of it at its end. Where they make more work
    /// than is fair to the others, the rest is left.
    fn packets(&mut self, now: Instant) -> Option<End> {
        wake::batched(|| {
            let end = self.take_packets(now);
            self.has_more = end.is_none() && wake::is_spent();
            self.client.outflow.settle_delivered();
            end
        })
    }

    fn take_packets(&mut self, now: Instant) -> Option<End> {
        let Self { client, conn: Conn { input, output, .. }, pulse, crowded, .. } = self;
        let Client { outflow, inflow, view, deadline, publishes, .. } = &mut **client;
        let moment = Moment::now();
        loop {
            if wake::is_spent() {
                return None;
            }
            let packet = match input.next() {
                Ok(Some(packet)) => packet,
                Ok(None) => return None,
                Err(error) => return Some(End::ByUs(format!("the remote sent what is no MQTT: {error}"))),
            };
            match packet {
                Packet::PublishAck(ack) => outflow.publish_ack(&ack, now),
                Packet::PublishReceived(ack) => outflow.publish_received(&ack, output, now),
                Packet::PublishComplete(ack) => outflow.publish_complete(&ack),
                // Once it is to stop it takes nothing in: what it does not acknowledge comes again.
                Packet::Publish(_) if deadline.is_some() => {}
                Packet::Publish(publish) => {
                    // A client that only receives takes the rest of a batch whose beginning has filled the window, and
                    // reads no further.
                    let full = inflow.acks.owed() >= usize::from(RECEIVE_MAX);
                    *crowded |= full && *publishes && publish.packet_id.is_some();
                    if *crowded && publish.packet_id.is_some() {
                        continue;
                    }
                    if let Err(reason) = inflow.receive(&publish, moment, output) {
                        return Some(End::ByUs(reason));
                    }
                }
                Packet::PublishRelease(ack) => inflow.release(&ack, output),
                Packet::SubscribeAck(ack) => {
                    inflow.subscriptions.acknowledged(&ack, now);
                    view.set_sources(inflow.subscriptions.statuses());
                }
                Packet::UnsubscribeAck(_) => {}
                Packet::PingResponse => pulse.answered(now),
                Packet::Disconnect(disconnect) => return Some(End::ByRemote(farewell(&disconnect))),
                other => {
                    return Some(End::ByUs(format!(
                        "the remote sent {}, which no server does",
                        other.name()
                    )));
                }
            }
        }
    }

    /// The last words, under a time limit. Never an UNSUBSCRIBE: a lasting session is to go on collecting.
    async fn end(mut self, end: End) -> End {
        self.client.outflow.wake.rise();
        if matches!(end, End::Left | End::Crowded | End::ByUs(_)) {
            self.client.inflow.acknowledge(&mut self.conn.output);
            // DISCONNECT of two bytes fits every limit, and a remote that is gone does not need it.
            let _ = self.conn.output.put(&Packet::Disconnect(Box::<Disconnect>::default()));
            if let Ok(Ok(())) = tokio::time::timeout(LAST_WORDS, self.conn.close()).await {
                self.client.outflow.written(u64::MAX);
            }
        }
        end
    }
}

fn farewell(disconnect: &Disconnect) -> String {
    let words = disconnect.reason_string.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
    format!("the remote disconnected: {}{words}", ReasonCode::from(disconnect.reason_code))
}
