//! From the queues of the actions to the wire, and the acknowledgements back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::{Backoff, Reader, Taken, Verdict, Wake};
use mqtt::{Ack, EncodeError, Output, Packet, PacketId, QoS, ReasonCode};
use tokio::sync::oneshot;

use crate::link::Limits;
use crate::request::Request;
use crate::ring::{Ring, Slot, State};
use crate::sending::{Sender, Unsent};

/// What one client has to send: its share of the lanes of every action, and what is unacknowledged.
///
/// Survives connections: what was not acknowledged on one is sent again, first and in order, on the next.
#[derive(Debug)]
pub(crate) struct Outflow {
    /// By number; the slots of the ring name it. A place whose action was detached is free for the next.
    sinks: Vec<Option<Reader>>,
    /// Which sink is asked first, so that none starves behind another.
    turn: usize,
    ring: Ring,
    /// Slots from the front that were sent on the present connection.
    sent: usize,
    /// Those of them that are not done.
    unacked: usize,
    /// QoS 0: what counts as sent when so many bytes of the present connection are written.
    unwritten: VecDeque<Unwritten>,
    /// What the remote has by its own word, and the queues are yet to hear of.
    delivered: Delivered,
    /// What was taken and did not fit the window, because other QoS came than was hoped.
    taken: VecDeque<(usize, Taken)>,
    batch: Vec<Taken>,
    pub(crate) max_inflight: usize,
    pub(crate) sender: Sender,
    session_present: bool,
    refusals: Refusals,
    /// The remote has asked for time: nothing new before this.
    paused_until: Option<Instant>,
    pause: Backoff,
    hold: Hold,
    pub(crate) wake: Arc<Wake>,
}

/// Whether new requests are left in their queues, because the lanes are about to be dealt out anew.
#[derive(Debug)]
enum Hold {
    No,
    /// Told once nothing is in flight any more.
    Asked(oneshot::Sender<()>),
    Yes,
}

/// Places in the queues of sinks.
#[derive(Debug, Default)]
struct Delivered {
    sinks: Vec<Sink>,
}

#[derive(Debug)]
struct Sink {
    number: usize,
    places: Vec<(u8, u64)>,
}

impl Delivered {
    fn add(&mut self, sink: usize, lane: u8, seq: u64) {
        let known = self.sinks.iter().position(|known| known.number == sink);
        let at = known.unwrap_or_else(|| {
            self.sinks.push(Sink { number: sink, places: Vec::new() });
            self.sinks.len() - 1
        });
        self.sinks[at].places.push((lane, seq));
    }
}

#[derive(Debug)]
struct Unwritten {
    sink: usize,
    lane: u8,
    seq: u64,
    mark: u64,
}

/// How a broker without reason codes refuses: it closes. Which message it meant can only be tried out.
#[derive(Debug, Default)]
struct Refusals {
    /// Closes in a row without an acknowledgement between.
    closes: u32,
    /// Whether the oldest message is being sent alone.
    alone: bool,
    acked: bool,
}

impl Refusals {
    const CLOSES_MAX: u32 = 5;
}

impl Outflow {
    /// What may wait in the output buffer before more is put there (bytes).
    const OUTPUT_BYTES: usize = 128 << 10;
    /// What is taken from a sink in one go.
    const BATCH: usize = 256;

    pub(crate) fn new(max_inflight: usize, sender: Sender, seed: u64) -> Self {
        Self {
            sinks: Vec::new(),
            turn: 0,
            ring: Ring::new(),
            sent: 0,
            unacked: 0,
            unwritten: VecDeque::new(),
            delivered: Delivered::default(),
            taken: VecDeque::new(),
            batch: Vec::new(),
            max_inflight,
            sender,
            session_present: false,
            refusals: Refusals::default(),
            paused_until: None,
            pause: Backoff::new(Duration::from_millis(100), Duration::from_secs(10), seed),
            hold: Hold::No,
            wake: Arc::new(Wake::default()),
        }
    }

    /// Begins to serve an action.
    pub(crate) fn attach(&mut self, reader: Reader) {
        match self.sinks.iter_mut().find(|sink| sink.is_none()) {
            Some(place) => *place = Some(reader),
            None => self.sinks.push(Some(reader)),
        }
    }

    /// Stops serving an action; what is unacknowledged goes back into its queue.
    pub(crate) fn detach(&mut self, id: &str) {
        let found =
            self.sinks.iter().position(|sink| sink.as_ref().is_some_and(|sink| sink.queue().id() == id));
        let Some(number) = found else { return };
        self.taken.retain(|(sink, _)| *sink != number);
        self.unwritten.retain(|unwritten| unwritten.sink != number);
        for index in (0..self.ring.len()).rev() {
            if self.ring.get(index).is_some_and(|slot| slot.sink == number && slot.state != State::Done) {
                self.finish(index);
            }
        }
        self.sinks[number] = None;
    }

    /// Takes nothing more until it is let go on, and tells `done` when nothing is in flight any more, or no connection
    /// is there on which it could be.
    pub(crate) fn hold(&mut self, done: oneshot::Sender<()>) {
        for (sink, taken) in std::mem::take(&mut self.taken) {
            self.settle(sink, taken.lane, taken.seq, Verdict::Retry);
        }
        self.hold = Hold::Asked(done);
    }

    /// Takes requests again.
    pub(crate) fn go_on(&mut self) {
        self.hold = Hold::No;
    }

    /// Tells whoever waits for it that nothing is in flight, if that is so.
    pub(crate) fn tell_held(&mut self, connected: bool) {
        let in_flight = connected && (self.ring.open() > 0 || !self.unwritten.is_empty());
        if in_flight || !matches!(self.hold, Hold::Asked(_)) {
            return;
        }
        if let Hold::Asked(done) = std::mem::replace(&mut self.hold, Hold::Yes) {
            // Whoever asked may have lost patience.
            let _ = done.send(());
        }
    }

    /// A connection is up.
    pub(crate) fn connected(&mut self, limits: Limits, session_present: bool) {
        self.sender.connected(limits);
        self.session_present = session_present;
        self.refusals.acked = false;
        if !session_present {
            // The remote has forgotten what it had received: begin again with each.
            for index in 0..self.ring.len() {
                if let Some(slot) = self.ring.get_mut(index).filter(|slot| slot.state == State::Release) {
                    slot.state = State::Publish;
                }
            }
        }
    }

    /// The connection is gone. `by_remote`: it was closed from there, as brokers do that refuse a message.
    pub(crate) fn disconnected(&mut self, by_remote: bool) {
        for unwritten in std::mem::take(&mut self.unwritten) {
            self.settle(unwritten.sink, unwritten.lane, unwritten.seq, Verdict::Retry);
        }
        for (sink, taken) in std::mem::take(&mut self.taken) {
            self.settle(sink, taken.lane, taken.seq, Verdict::Retry);
        }
        let front_was_sent = self.sent > 0;
        (self.sent, self.unacked) = (0, 0);
        if !by_remote || !front_was_sent || self.refusals.acked {
            return;
        }
        self.refusals.closes += 1;
        if self.refusals.alone {
            let reason = "the remote closed the connection each time it was sent";
            self.refusals = Refusals::default();
            self.conclude(0, Verdict::Final(reason));
        } else if self.refusals.closes >= Refusals::CLOSES_MAX {
            self.refusals.alone = true;
        }
    }

    /// Puts into `output` what may be sent now. `written` is the number of bytes that the connection has written.
    pub(crate) fn fill(&mut self, output: &mut Output, written: u64, now: Instant) {
        self.send_again(output, now);
        if self.sent < self.ring.len() || self.refusals.alone || self.is_paused(now) || self.is_held() {
            return;
        }
        while self.has_room(output) {
            let Some((sink, taken)) = self.next_taken(now) else { return };
            self.send(sink, taken, output, written, now);
        }
    }

    /// Whether [`Outflow::fill`] may find something, so that it is worth to be woken for it.
    pub(crate) fn may_take(&self, output: &Output, now: Instant) -> bool {
        self.sent == self.ring.len()
            && !self.refusals.alone
            && !self.is_paused(now)
            && !self.is_held()
            && self.has_room(output)
    }

    /// Whether there is something to take.
    pub(crate) fn is_ready(&self) -> bool {
        !self.taken.is_empty() || self.sinks.iter().flatten().any(Reader::is_ready)
    }

    /// How many lanes have something to take.
    pub(crate) fn lanes_ready(&self) -> u32 {
        self.sinks.iter().flatten().map(Reader::lanes_ready).sum()
    }

    /// Whether nothing is waiting and nothing unacknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.ring.open() == 0 && self.unwritten.is_empty() && !self.is_ready()
    }

    /// So many bytes of the present connection are written: what was QoS 0 among them is done.
    pub(crate) fn written(&mut self, written: u64) {
        while let Some(unwritten) = self.unwritten.pop_front_if(|unwritten| unwritten.mark <= written) {
            self.delivered.add(unwritten.sink, unwritten.lane, unwritten.seq);
        }
        self.settle_delivered();
    }

    /// Tells the queues of everything that [`Outflow::publish_ack`] and [`Outflow::publish_complete`] have taken in: once a
    /// batch, and before anything else is done with it.
    pub(crate) fn settle_delivered(&mut self) {
        let Self { delivered, sinks, .. } = self;
        for Sink { number, places } in &mut delivered.sinks {
            if let Some(Some(reader)) = sinks.get(*number) {
                reader.settle_delivered(places);
            }
            places.clear();
        }
    }

    /// PUBACK.
    pub(crate) fn publish_ack(&mut self, ack: &Ack<'_>, now: Instant) {
        if let Some(index) = self.awaiting(ack.packet_id, QoS::AtLeastOnce, State::Publish) {
            self.answered(index, ack, now);
        }
    }

    /// PUBREC.
    pub(crate) fn publish_received(&mut self, ack: &Ack<'_>, output: &mut Output, now: Instant) {
        self.refusals.acked = true;
        match self.awaiting(ack.packet_id, QoS::ExactlyOnce, State::Publish) {
            Some(index) if ack.reason.is_error() => self.answered(index, ack, now),
            Some(index) => {
                if let Some(slot) = self.ring.get_mut(index) {
                    slot.state = State::Release;
                }
                put_release(output, ack.packet_id, ReasonCode::Success);
            }
            None if self.awaiting(ack.packet_id, QoS::ExactlyOnce, State::Release).is_some() => {
                put_release(output, ack.packet_id, ReasonCode::Success);
            }
            // Of a session from before: the remote is to forget it.
            None => put_release(output, ack.packet_id, ReasonCode::PacketIdentifierNotFound),
        }
    }

    /// PUBCOMP.
    pub(crate) fn publish_complete(&mut self, ack: &Ack<'_>) {
        if let Some(index) = self.awaiting(ack.packet_id, QoS::ExactlyOnce, State::Release) {
            self.progress();
            self.deliver(index);
        }
    }

    /// The number of publishes of the present connection that are not acknowledged.
    pub(crate) fn unacked(&self) -> usize {
        self.unacked
    }

    /// Since when the oldest publish of the present connection is unacknowledged.
    pub(crate) fn oldest_since(&self) -> Option<Instant> {
        self.ring.get(0).filter(|_| self.sent > 0).map(|slot| slot.since)
    }

    /// When the oldest publish was last sent.
    pub(crate) fn oldest_sent(&self) -> Option<Instant> {
        self.ring.get(0).filter(|_| self.sent > 0).map(|slot| slot.sent_at)
    }

    /// Until when the remote has asked for time.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Whether anything was acknowledged on the present connection.
    pub(crate) fn was_acked(&self) -> bool {
        self.refusals.acked
    }

    /// Whether one late acknowledgement keeps everything else waiting.
    pub(crate) fn is_stuck(&self) -> bool {
        self.ring.is_full()
    }

    /// Sends again what was last sent before `before`, on a live connection: MQTT 3.1 and 3.1.1 allow it.
    pub(crate) fn send_old_again(&mut self, before: Instant, output: &mut Output, now: Instant) {
        for index in 0..self.sent {
            let old = self.ring.get(index).filter(|slot| slot.state != State::Done && slot.sent_at <= before);
            let Some(slot) = old else { continue };
            if let Some(Some(reader)) = self.sinks.get(slot.sink) {
                reader.count_retried(slot.lane, slot.seq);
            }
            // What does not fit is too large for this connection, and was refused when it was first sent.
            let _ = self.put(index, true, output);
            if let Some(slot) = self.ring.get_mut(index) {
                slot.sent_at = now;
            }
        }
    }

    /// Drops what has waited too long while nothing is sent.
    pub(crate) fn expire(&self, now: Instant) {
        self.sinks.iter().flatten().for_each(|sink| sink.queue().expire(now));
    }

    fn window(&self) -> usize {
        if self.refusals.alone { 1 } else { self.max_inflight.min(self.sender.receive_max()) }
    }

    fn is_held(&self) -> bool {
        !matches!(self.hold, Hold::No)
    }

    fn has_room(&self, output: &Output) -> bool {
        self.unacked < self.window() && !self.ring.is_full() && output.pending_bytes() < Self::OUTPUT_BYTES
    }

    fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    /// Sends what was unacknowledged on the last connection, in the old order and with the old packet ids: as
    /// duplicates if the session is still there, as new if not.
    fn send_again(&mut self, output: &mut Output, now: Instant) {
        while self.sent < self.ring.len()
            && self.unacked < self.window()
            && output.pending_bytes() < Self::OUTPUT_BYTES
        {
            let index = self.sent;
            let Some(slot) = self.ring.get_mut(index) else { return };
            (slot.since, slot.sent_at) = (now, now);
            let (sink, lane, seq, done) = (slot.sink, slot.lane, slot.seq, slot.state == State::Done);
            self.sent += 1;
            if done {
                continue;
            }
            self.unacked += 1;
            if let Some(Some(reader)) = self.sinks.get(sink) {
                reader.count_retried(lane, seq);
            }
            if let Err(unsent) = self.put(index, self.session_present, output) {
                unsent.settle(|verdict| self.conclude(index, verdict));
            }
        }
    }

    /// The next request that was taken, or takes more.
    fn next_taken(&mut self, now: Instant) -> Option<(usize, Taken)> {
        if self.taken.is_empty() {
            let room = (self.window() - self.unacked).min(Self::BATCH);
            for step in 0..self.sinks.len() {
                let number = (self.turn + step) % self.sinks.len();
                let Some(reader) = &mut self.sinks[number] else { continue };
                if reader.take(room - self.taken.len(), now, &mut self.batch) > 0 {
                    self.taken.extend(self.batch.drain(..).map(|taken| (number, taken)));
                }
                if self.taken.len() == room {
                    break;
                }
            }
            self.turn = (self.turn + 1) % self.sinks.len().max(1);
        }
        self.taken.pop_front()
    }

    fn send(&mut self, sink: usize, taken: Taken, output: &mut Output, written: u64, now: Instant) {
        let Taken { lane, seq, request, .. } = taken;
        let Some(read) = Request::read(&request) else {
            return self.settle(sink, lane, seq, Verdict::Final("the queue held bytes that are no message"));
        };
        let qos = self.sender.qos(read.qos);
        let packet_id = (qos != QoS::AtMostOnce).then(|| self.ring.id(self.ring.len()));
        if let Err(unsent) = self.sender.put(read, qos, packet_id, false, output) {
            return unsent.settle(|verdict| self.settle(sink, lane, seq, verdict));
        }
        if qos == QoS::AtMostOnce {
            let mark = written + output.pending_bytes() as u64;
            self.unwritten.push_back(Unwritten { sink, lane, seq, mark });
            return;
        }
        self.ring.push(Slot {
            sink,
            lane,
            seq,
            request,
            qos,
            state: State::Publish,
            since: now,
            sent_at: now,
        });
        self.sent += 1;
        self.unacked += 1;
    }

    /// Puts what the slot at `index` is waiting to have answered.
    fn put(&mut self, index: usize, dup: bool, output: &mut Output) -> Result<(), Unsent> {
        let Some(slot) = self.ring.get(index) else { return Ok(()) };
        let id = self.ring.id(index);
        match slot.state {
            State::Done => Ok(()),
            State::Release => {
                put_release(output, id, ReasonCode::Success);
                Ok(())
            }
            State::Publish => match Request::read(&slot.request) {
                Some(read) => self.sender.put(read, slot.qos, Some(id), dup, output),
                None => Err(EncodeError::Invalid.into()),
            },
        }
    }

    /// The slot of this id, if it was sent and waits for this.
    fn awaiting(&self, id: PacketId, qos: QoS, state: State) -> Option<usize> {
        let index = self.ring.find(id).filter(|index| *index < self.sent)?;
        self.ring.get(index).filter(|slot| slot.qos == qos && slot.state == state).map(|_| index)
    }

    /// The remote has answered a publish for good.
    fn answered(&mut self, index: usize, ack: &Ack<'_>, now: Instant) {
        self.progress();
        match class_of(ack.reason) {
            Class::Success => {
                self.pause.reset();
                self.deliver(index);
            }
            Class::Retry => {
                self.paused_until = Some(now + self.pause.delay());
                self.conclude(index, Verdict::Later(&refusal(ack)));
            }
            Class::Final => self.conclude(index, Verdict::Final(&refusal(ack))),
        }
    }

    fn progress(&mut self) {
        self.refusals = Refusals { acked: true, ..Refusals::default() };
    }

    /// The remote has what is in the slot at `index`: gives its packet id free.
    fn deliver(&mut self, index: usize) {
        let Some(slot) = self.ring.get(index) else { return };
        self.delivered.add(slot.sink, slot.lane, slot.seq);
        self.finish(index);
    }

    /// Settles the slot at `index` and gives its packet id free.
    fn conclude(&mut self, index: usize, verdict: Verdict<'_>) {
        let Some(slot) = self.ring.get(index) else { return };
        self.settle(slot.sink, slot.lane, slot.seq, verdict);
        self.finish(index);
    }

    fn finish(&mut self, index: usize) {
        if index < self.sent {
            self.unacked -= 1;
        }
        let gone = self.ring.finish(index);
        self.sent = self.sent.saturating_sub(gone);
    }

    fn settle(&self, sink: usize, lane: u8, seq: u64, verdict: Verdict<'_>) {
        if let Some(Some(reader)) = self.sinks.get(sink) {
            reader.settle(lane, seq, verdict);
        }
    }
}

/// A refusal in words.
fn refusal(ack: &Ack<'_>) -> String {
    let words = ack.reason_string.map(|words| format!(": {words}")).unwrap_or_default();
    format!("the remote refused it: {}{words}", ack.reason)
}

/// What an answer means for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Success,
    Retry,
    Final,
}

/// Success and nobody there are fine; what may pass is tried again; the rest is final.
fn class_of(reason: ReasonCode) -> Class {
    match reason {
        ReasonCode::Success | ReasonCode::NoMatchingSubscribers => Class::Success,
        ReasonCode::UnspecifiedError
        | ReasonCode::ImplementationSpecificError
        | ReasonCode::PacketIdentifierInUse
        | ReasonCode::QuotaExceeded => Class::Retry,
        _ => Class::Final,
    }
}

fn put_release(output: &mut Output, id: PacketId, reason: ReasonCode) {
    // Four bytes fit every limit.
    let _ = output.put(&Packet::PublishRelease(Ack::new(id, reason)));
}
