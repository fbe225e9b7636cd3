//! Acknowledgements that we owe the remote for what a source received.

use std::collections::VecDeque;
use std::sync::Arc;

use connector::Wake;
use event::{Acker, Outcome};
use mqtt::{PacketId, QoS};
use parking_lot::Mutex;

/// What one client owes its remote: acknowledged in receive order, each once its event is settled.
///
/// A ticket is a running number, so what belongs to an earlier connection is known by being too small: its packet id
/// means nothing any more. The lock is there because events settle on any thread; nothing is called under it.
#[derive(Debug)]
pub(crate) struct Acks {
    state: Mutex<State>,
    pub(crate) wake: Arc<Wake>,
}

#[derive(Debug, Default)]
struct State {
    /// What the present connection owes, in receive order. The first has the ticket `first`.
    owed: VecDeque<Owed>,
    first: u64,
    /// Tickets of any connection that are not settled.
    unsettled: usize,
    abandoned: bool,
}

#[derive(Debug)]
struct Owed {
    id: PacketId,
    qos: QoS,
    due: bool,
}

impl Acks {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), wake: Arc::default() })
    }

    /// A message came: its ticket.
    pub(crate) fn owe(&self, id: PacketId, qos: QoS) -> u64 {
        let mut state = self.state.lock();
        state.owed.push_back(Owed { id, qos, due: false });
        state.unsettled += 1;
        state.first + state.owed.len() as u64 - 1
    }

    /// The message of this ticket is settled.
    pub(crate) fn settle(&self, ticket: u64) {
        self.settled(ticket, Outcome::Settled);
    }

    /// Takes the acknowledgements that may go out, in receive order.
    pub(crate) fn take_due(&self, mut put: impl FnMut(PacketId, QoS)) {
        let mut state = self.state.lock();
        while let Some(owed) = state.owed.pop_front_if(|owed| owed.due) {
            state.first += 1;
            put(owed.id, owed.qos);
        }
    }

    /// Whether [`Acks::take_due`] would find something, or something was abandoned.
    pub(crate) fn is_due(&self) -> bool {
        let state = self.state.lock();
        state.abandoned || state.owed.front().is_some_and(|owed| owed.due)
    }

    /// Whether this packet id is owed an acknowledgement.
    pub(crate) fn is_owed(&self, id: PacketId) -> bool {
        self.state.lock().owed.iter().any(|owed| owed.id == id)
    }

    /// How many messages of the present connection are unacknowledged.
    pub(crate) fn owed(&self) -> usize {
        self.state.lock().owed.len()
    }

    /// How many messages of any connection are not settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.state.lock().unsettled
    }

    /// Whether a message was given up unsettled since the last call: only a new connection brings it again.
    pub(crate) fn take_abandoned(&self) -> bool {
        std::mem::take(&mut self.state.lock().abandoned)
    }

    /// Another connection: what the last one owed is owed no more.
    pub(crate) fn begin(&self) {
        let mut state = self.state.lock();
        state.first += state.owed.len() as u64;
        state.owed.clear();
        state.abandoned = false;
    }
}

impl Acker for Acks {
    fn settled(&self, ticket: u64, outcome: Outcome) {
        let mut state = self.state.lock();
        state.unsettled -= 1;
        let unsettled = state.unsettled;
        let owed = ticket.checked_sub(state.first).and_then(|index| state.owed.get_mut(index as usize));
        match (owed, outcome) {
            (Some(owed), Outcome::Settled) => owed.due = true,
            (Some(_), Outcome::Abandoned) => state.abandoned = true,
            (None, _) => {}
        }
        let wake = unsettled == 0 || state.abandoned || state.owed.front().is_some_and(|owed| owed.due);
        drop(state);
        if wake {
            self.wake.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn due(acks: &Acks) -> Vec<u16> {
        let mut due = Vec::new();
        acks.take_due(|id, _| due.push(id.get()));
        due
    }

    #[test]
    fn acknowledgements_go_out_in_receive_order() {
        let acks = Acks::new();
        let tickets: Vec<u64> = (1..=3).map(|number| acks.owe(id(number), QoS::AtLeastOnce)).collect();
        acks.settle(tickets[1]);
        assert!(!acks.is_due() && due(&acks).is_empty());
        acks.settle(tickets[0]);
        assert_eq!(due(&acks), [1, 2]);
        acks.settle(tickets[2]);
        assert_eq!(due(&acks), [3]);
        assert_eq!((acks.owed(), acks.unsettled()), (0, 0));
    }

    #[test]
    fn what_an_earlier_connection_owed_is_dropped() {
        let acks = Acks::new();
        let stale = acks.owe(id(1), QoS::AtLeastOnce);
        acks.begin();
        let fresh = acks.owe(id(1), QoS::AtLeastOnce);
        acks.settle(stale);
        assert!(due(&acks).is_empty());
        assert_eq!(acks.unsettled(), 1);
        acks.settle(fresh);
        assert_eq!(due(&acks), [1]);
    }

    #[test]
    fn what_is_abandoned_holds_back_what_came_after_it() {
        let acks = Acks::new();
        let (first, second) = (acks.owe(id(1), QoS::AtLeastOnce), acks.owe(id(2), QoS::AtLeastOnce));
        acks.settled(first, Outcome::Abandoned);
        acks.settle(second);
        assert!(due(&acks).is_empty() && acks.is_due());
        assert!(acks.take_abandoned() && !acks.take_abandoned());
    }
}
