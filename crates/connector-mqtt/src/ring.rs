//! Publishes of QoS 1 and 2 that the remote has not acknowledged yet, in the order in which they were sent.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use mqtt::{PacketId, QoS};

/// Packet ids go round in sequence, so a packet id is a position: no map, no search.
///
/// A slot whose publish is done stays until it is at the front. The ring is full when the ids are used up, which takes
/// one publish that stays unacknowledged while 65,000 others pass it.
#[derive(Debug)]
pub(crate) struct Ring {
    slots: VecDeque<Slot>,
    /// The packet id of the first slot, less one.
    front: u16,
    /// Slots that are not done.
    open: usize,
}

/// One publish.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Which sink it came from.
    pub(crate) sink: usize,
    pub(crate) lane: u8,
    pub(crate) seq: u64,
    pub(crate) request: Bytes,
    /// 1 or 2.
    pub(crate) qos: QoS,
    pub(crate) state: State,
    /// When it was first sent on the present connection.
    pub(crate) since: Instant,
    /// When it was last sent.
    pub(crate) sent_at: Instant,
}

/// What a slot waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// PUBACK or PUBREC.
    Publish,
    /// PUBCOMP.
    Release,
    /// Nothing.
    Done,
}

/// Packet ids that publishes use: 1 to this. Those above are for SUBSCRIBE and UNSUBSCRIBE.
pub(crate) const PUBLISH_IDS: u16 = 65_000;

impl Ring {
    pub(crate) fn new() -> Self {
        Self { slots: VecDeque::new(), front: 0, open: 0 }
    }

    /// The number of slots, done ones between others included.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Publishes that are not done.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    pub(crate) fn is_full(&self) -> bool {
        self.slots.len() == usize::from(PUBLISH_IDS)
    }

    /// Appends a slot to a ring that is not full.
    pub(crate) fn push(&mut self, slot: Slot) -> PacketId {
        debug_assert!(!self.is_full(), "the caller has looked");
        self.open += 1;
        self.slots.push_back(slot);
        self.id(self.slots.len() - 1)
    }

    /// The packet id of the slot at `index`; one past the last it is that of the next to be pushed.
    pub(crate) fn id(&self, index: usize) -> PacketId {
        let zero_based = (usize::from(self.front) + index) % usize::from(PUBLISH_IDS);
        PacketId::MIN.saturating_add(zero_based as u16)
    }

    /// Where the slot of this packet id is, unless it is done.
    pub(crate) fn find(&self, id: PacketId) -> Option<usize> {
        if id.get() > PUBLISH_IDS {
            return None;
        }
        let ids = usize::from(PUBLISH_IDS);
        let index = (usize::from(id.get() - 1) + ids - usize::from(self.front)) % ids;
        self.slots.get(index).filter(|slot| slot.state != State::Done).map(|_| index)
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Slot> {
        self.slots.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Slot> {
        self.slots.get_mut(index)
    }

    /// Ends the publish at `index`; returns how many slots went from the front.
    pub(crate) fn finish(&mut self, index: usize) -> usize {
        if let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.state != State::Done) {
            slot.state = State::Done;
            slot.request = Bytes::new();
            self.open -= 1;
        }
        let mut gone = 0;
        while self.slots.front().is_some_and(|slot| slot.state == State::Done) {
            self.slots.pop_front();
            self.front = (self.front + 1) % PUBLISH_IDS;
            gone += 1;
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(seq: u64) -> Slot {
        let now = Instant::now();
        Slot {
            sink: 0,
            lane: 0,
            seq,
            request: Bytes::new(),
            qos: QoS::AtLeastOnce,
            state: State::Publish,
            since: now,
            sent_at: now,
        }
    }

    #[test]
    fn ids_go_round_and_are_found_again() {
        let mut ring = Ring::new();
        for seq in 0..200_000 {
            let (first, second) = (ring.push(slot(seq)), ring.push(slot(seq)));
            assert!(first != second && first.get() <= PUBLISH_IDS);
            let index = ring.find(second).unwrap();
            assert_eq!((index, ring.id(index)), (1, second));
            assert_eq!(ring.finish(index), 0);
            assert_eq!(ring.find(second), None);
            assert_eq!(ring.finish(ring.find(first).unwrap()), 2);
            assert_eq!((ring.len(), ring.open()), (0, 0));
        }
    }

    #[test]
    fn one_late_acknowledgement_fills_the_ring_and_no_more() {
        let mut ring = Ring::new();
        let late = ring.push(slot(0));
        while !ring.is_full() {
            let id = ring.push(slot(1));
            assert_ne!(id, late);
            ring.finish(ring.find(id).unwrap());
        }
        assert_eq!(ring.open(), 1);
        ring.finish(ring.find(late).unwrap());
        assert_eq!(ring.len(), 0);
    }
}
