use std::collections::VecDeque;

use event::Outcome;
use mqtt::{Ack, Output, Packet, PacketId, ReasonCode};

use crate::end::End;

/// Acknowledgements that a connection owes its client, in the order in which the messages came: PUBACK for QoS 1,
/// PUBREC for QoS 2. One that is not settled holds back those behind it.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    owed: VecDeque<Owed>,
    /// How many of them are PUBACKs.
    pubacks: usize,
}

#[derive(Debug)]
struct Owed {
    ticket: u64,
    packet_id: PacketId,
    kind: AckKind,
    state: AckState,
}

/// Which packet acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckKind {
    /// QoS 1.
    PubAck,
    /// QoS 2.
    PubRec,
}

/// Whether an acknowledgement may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckState {
    /// The rules are not done.
    Waiting,
    /// It may, with this reason.
    Ready(ReasonCode),
    /// It never may: the connection ends, so that the client sends the message again.
    Abandoned,
}

impl Acks {
    /// The number owed.
    pub(crate) fn len(&self) -> usize {
        self.owed.len()
    }

    /// The number of PUBACKs owed.
    pub(crate) fn pubacks(&self) -> usize {
        self.pubacks
    }

    /// Whether a PUBREC for this packet id is owed.
    pub(crate) fn owes_pubrec(&self, packet_id: PacketId) -> bool {
        self.owed.iter().any(|owed| owed.kind == AckKind::PubRec && owed.packet_id == packet_id)
    }

    /// One more message has come. Call [`Acks::put`] when it may be ready.
    pub(crate) fn owe(&mut self, ticket: u64, packet_id: PacketId, kind: AckKind, state: AckState) {
        self.pubacks += usize::from(kind == AckKind::PubAck);
        self.owed.push_back(Owed { ticket, packet_id, kind, state });
    }

    /// The rules are done with a message. Returns how it is acknowledged; `None` if this connection does not owe it.
    pub(crate) fn settle(&mut self, ticket: u64, outcome: Outcome) -> Option<AckKind> {
        // Messages settle more or less in the order in which they came: the first is nearly always the one.
        let owed = self.owed.iter_mut().find(|owed| owed.ticket == ticket)?;
        owed.state = match outcome {
            Outcome::Settled => AckState::Ready(ReasonCode::Success),
            Outcome::Abandoned => AckState::Abandoned,
        };
        Some(owed.kind)
    }

    /// Puts every acknowledgement into the output that may go out now.
    pub(crate) fn put(&mut self, output: &mut Output) -> Result<(), End> {
        while let Some(first) = self.owed.front() {
            match first.state {
                AckState::Waiting => return Ok(()),
                AckState::Abandoned => return Err(End::Abandoned),
                AckState::Ready(reason) => {
                    let ack = Ack::new(first.packet_id, reason);
                    match first.kind {
                        AckKind::PubAck => {
                            self.pubacks -= 1;
                            put(output, &Packet::PublishAck(ack));
                        }
                        AckKind::PubRec => put(output, &Packet::PublishReceived(ack)),
                    }
                    self.owed.pop_front();
                }
            }
        }
        Ok(())
    }
}

/// Packets that answer the client and wait until what they say is stored, in the order of what they answer: each with its
/// ticket, which never is less than that before it, and whether it may go out.
#[derive(Debug, Default)]
pub(crate) struct Answers(VecDeque<(u64, bool, Packet<'static>)>);

impl Answers {
    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts one behind the others, to go out when its ticket is settled; one without ticket when those before it have.
    pub(crate) fn owe(&mut self, ticket: Option<u64>, packet: Packet<'static>) {
        let before = self.0.back().map_or(0, |(ticket, ..)| *ticket);
        self.0.push_back((ticket.unwrap_or(before), ticket.is_none(), packet));
    }

    /// What has this ticket is stored, or, if it was abandoned, never will be. Returns whether any has it.
    pub(crate) fn settle(&mut self, ticket: u64, outcome: Outcome) -> Result<bool, End> {
        let first = self.0.partition_point(|(theirs, ..)| *theirs < ticket);
        let its = self.0.range_mut(first..).take_while(|(theirs, ..)| *theirs == ticket);
        let mut is_one = false;
        for (_, is_ready, _) in its.filter(|(_, is_ready, _)| !is_ready) {
            (is_one, *is_ready) = (true, true);
        }
        if is_one && outcome == Outcome::Abandoned {
            return Err(End::Abandoned);
        }
        Ok(is_one)
    }

    /// Puts everything into the output that may go out now.
    pub(crate) fn put(&mut self, output: &mut Output) {
        while let Some((_, true, packet)) = self.0.front() {
            put(output, packet);
            self.0.pop_front();
        }
    }
}

/// Puts a small packet into the output: one that always fits, or that its client has said it does not take.
pub(crate) fn put(output: &mut Output, packet: &Packet<'_>) {
    if let Err(error) = output.put(packet) {
        tracing::debug!(packet = packet.name(), %error, "packet left out");
    }
}
