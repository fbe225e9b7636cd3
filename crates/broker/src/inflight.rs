use std::collections::VecDeque;

use mqtt::PacketId;

use crate::message::Delivery;

/// Messages of QoS 1 and 2 that are under way to a client, by packet id, in the order of their sending.
///
/// Packet ids are given out in a ring, so the id tells the place: no search and no hashing. A message that is
/// acknowledged out of order leaves a gap until those before it are.
#[derive(Debug)]
pub(crate) struct Inflight {
    slots: VecDeque<Slot>,
    /// The packet id of the front slot, or of the next one if there is none: 1 to 65,535.
    first: u16,
}

/// How far one message under way is.
#[derive(Debug)]
pub(crate) enum Slot {
    /// PUBLISH is out, PUBACK or PUBREC is awaited.
    Published(Delivery),
    /// PUBREC has come, and PUBCOMP is awaited; with the number of the delivery in the store.
    Released(u64),
    /// Over.
    Gap,
}

/// What is no longer under way.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) slot: Slot,
    /// Where it stood.
    pub(crate) place: usize,
    /// How many places, all of them gaps by now, went from the front.
    pub(crate) gone: usize,
}

/// The number of packet ids.
const IDS: usize = 65_535;

impl Inflight {
    pub(crate) fn new() -> Self {
        Self { slots: VecDeque::new(), first: 1 }
    }

    /// What an earlier process had under way, in the order of its sending; with it packet ids go on where they were.
    pub(crate) fn restore(entries: impl IntoIterator<Item = (PacketId, Slot)>) -> Self {
        let mut inflight = Self::new();
        for (id, slot) in entries {
            if inflight.slots.is_empty() {
                inflight.first = id.get();
            }
            let place = inflight.place(id);
            // Whatever stands in the way is no order that this type gives ids out in; the id is what counts.
            if place < inflight.slots.len() {
                inflight.slots[place] = slot;
                continue;
            }
            inflight.slots.resize_with(place, || Slot::Gap);
            inflight.slots.push_back(slot);
        }
        inflight
    }

    /// What is under way, from the front.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Slot> {
        self.slots.drain(..)
    }

    /// The number of slots, gaps included: places for [`Inflight::at`].
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether every packet id is in use or lies between two that are.
    pub(crate) fn is_full(&self) -> bool {
        self.slots.len() == IDS
    }

    /// Adds a message at the end; the caller has seen that it is not full.
    pub(crate) fn push(&mut self, delivery: Delivery) -> PacketId {
        let id = self.id(self.slots.len());
        self.slots.push_back(Slot::Published(delivery));
        id
    }

    /// The slot at a place, with its packet id.
    pub(crate) fn at(&self, place: usize) -> Option<(PacketId, &Slot)> {
        self.slots.get(place).map(|slot| (self.id(place), slot))
    }

    /// The slot of a packet id; `None` if nothing is under way with it.
    pub(crate) fn get(&self, id: PacketId) -> Option<&Slot> {
        self.slots.get(self.place(id)).filter(|slot| !matches!(slot, Slot::Gap))
    }

    /// PUBREC has come: only the packet id is still under way. Returns the message, or `None` if it was not.
    pub(crate) fn release(&mut self, id: PacketId) -> Option<Delivery> {
        let place = self.place(id);
        match self.slots.get_mut(place)? {
            slot @ Slot::Published(_) => match std::mem::replace(slot, Slot::Gap) {
                Slot::Published(delivery) => {
                    *slot = Slot::Released(delivery.number);
                    Some(delivery)
                }
                Slot::Released(_) | Slot::Gap => None,
            },
            Slot::Released(_) | Slot::Gap => None,
        }
    }

    /// It is over with this packet id; `None` if nothing is under way with it.
    pub(crate) fn finish(&mut self, id: PacketId) -> Option<Finished> {
        let place = self.place(id);
        let slot = self.slots.get_mut(place).filter(|slot| !matches!(slot, Slot::Gap))?;
        let slot = std::mem::replace(slot, Slot::Gap);
        let mut gone = 0;
        while let Some(Slot::Gap) = self.slots.front() {
            self.first = self.id(1).get();
            self.slots.pop_front();
            gone += 1;
        }
        Some(Finished { slot, place, gone })
    }

    fn id(&self, place: usize) -> PacketId {
        let zero_based = (usize::from(self.first) - 1 + place) % IDS;
        PacketId::MIN.saturating_add(zero_based as u16)
    }

    fn place(&self, id: PacketId) -> usize {
        (usize::from(id.get()) + IDS - usize::from(self.first)) % IDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::SubscriptionIds;
    use crate::shared::SharedMessage;
    use mqtt::QoS;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn delivery(number: u128) -> Delivery {
        let message = SharedMessage::example(number, "t", QoS::AtLeastOnce, b"");
        Delivery::new(&message, QoS::AtLeastOnce, false, SubscriptionIds::None)
    }

    fn number(slot: Slot) -> u128 {
        match slot {
            Slot::Published(delivery) => delivery.message.id.0,
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(start in 1u16.., steps in proptest::collection::vec(0usize..6, 1..400)) {
            let mut inflight = Inflight { first: start, ..Inflight::new() };
            let mut model: BTreeMap<u128, PacketId> = BTreeMap::new();
            for (at, step) in steps.into_iter().enumerate() {
                if step < 3 || model.is_empty() {
                    let id = inflight.push(delivery(at as u128));
                    prop_assert!(!model.values().any(|other| *other == id));
                    model.insert(at as u128, id);
                } else {
                    let (which, id) = model.iter().nth(step % model.len()).map(|(n, id)| (*n, *id)).unwrap();
                    prop_assert_eq!(number(inflight.finish(id).unwrap().slot), which);
                    prop_assert!(inflight.get(id).is_none() && inflight.finish(id).is_none());
                    model.remove(&which);
                }
                let order: Vec<_> = (0..inflight.len())
                    .filter_map(|place| inflight.at(place))
                    .filter(|(_, slot)| !matches!(slot, Slot::Gap))
                    .map(|(id, _)| id)
                    .collect();
                prop_assert_eq!(order, model.values().copied().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_packet_id_that_is_released_waits_for_its_end() {
        let mut inflight = Inflight::new();
        let id = inflight.push(delivery(1));
        assert!(inflight.release(id).is_some() && inflight.release(id).is_none());
        assert!(matches!(inflight.finish(id), Some(Finished { slot: Slot::Released(0), gone: 1, .. })));
        assert!(inflight.finish(id).is_none());
    }
}
