//! Share groups (MQTT 5.0 §4.8.2): sessions that take turns at the messages of one filter.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use rustc_hash::FxBuildHasher;

use crate::session::Session;
use crate::subscriptions::Subscriber;

/// The groups of one filter, by name. Clients choose the names, so the hash is one that they cannot foresee.
pub(crate) type Groups = HashMap<Arc<str>, Arc<Group>>;

/// Sessions that take turns.
pub(crate) struct Group {
    name: Arc<str>,
    /// A lock, since members come, go, connect and leave while publishers look whose turn it is; held for one of these.
    members: RwLock<Members>,
    turn: AtomicUsize,
}

/// Each step here costs the same however many members there are.
#[derive(Default)]
struct Members {
    /// Those that are connected come first.
    all: Vec<Subscriber>,
    connected: usize,
    /// Where each is, by the number of its session.
    places: HashMap<u64, usize, FxBuildHasher>,
}

impl Group {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self { name, members: RwLock::default(), turn: AtomicUsize::new(0) }
    }

    /// Whose turn it is: the next member that is connected, or the next at all. `None` if all have left.
    pub(crate) fn next(&self) -> Option<Subscriber> {
        let members = self.members.read();
        let candidates = match members.connected {
            0 => members.all.as_slice(),
            connected => &members.all[..connected],
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        candidates.get(turn.checked_rem(candidates.len())?).cloned()
    }

    /// Takes a member in, or changes what it asks for.
    pub(crate) fn put(&self, subscriber: Subscriber) {
        let mut members = self.members.write();
        if let Some(place) = members.places.get(&subscriber.session.number).copied() {
            members.all[place].options = subscriber.options;
            return;
        }
        let (place, number) = (members.all.len(), subscriber.session.number);
        let is_connected = subscriber.session.connected.load(Ordering::Relaxed);
        members.all.push(subscriber);
        members.places.insert(number, place);
        members.set_connected(number, is_connected);
    }

    /// Lets a member go. Whether none is left.
    pub(crate) fn remove(&self, session: &Session) -> bool {
        let mut members = self.members.write();
        // To the end of the list, over the border between those that are connected and the others.
        members.set_connected(session.number, false);
        if let Some(place) = members.places.get(&session.number).copied() {
            let last = members.all.len() - 1;
            members.swap(place, last);
            members.all.pop();
            members.places.remove(&session.number);
        }
        members.all.is_empty()
    }

    /// Notes that a member has a connection, or has none any more.
    pub(crate) fn set_connected(&self, session: &Session, is_connected: bool) {
        self.members.write().set_connected(session.number, is_connected);
    }
}

impl Members {
    fn set_connected(&mut self, number: u64, is_connected: bool) {
        let Some(place) = self.places.get(&number).copied() else { return };
        if is_connected && place >= self.connected {
            self.swap(place, self.connected);
            self.connected += 1;
        } else if !is_connected && place < self.connected {
            self.connected -= 1;
            self.swap(place, self.connected);
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.all.swap(one, other);
        for place in [one, other] {
            self.places.insert(self.all[place].session.number, place);
        }
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Group").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mqtt::QoS;
    use proptest::prelude::*;

    use super::*;
    use crate::inbox::Inbox;
    use crate::subscriptions::Options;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Join,
        Leave,
        Connect,
        Disconnect,
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn who_is_connected_takes_turns(steps in proptest::collection::vec(
            (0u64..8, prop_oneof![
                Just(Step::Join), Just(Step::Leave), Just(Step::Connect), Just(Step::Disconnect),
            ]),
            0..80,
        )) {
            let group = Group::new("g".into());
            let sessions: Vec<Arc<Session>> =
                (0..8).map(|number| Arc::new(Session::new("c".into(), number, Inbox::new(1, 1)))).collect();
            let options =
                Options { qos: QoS::AtMostOnce, no_local: false, retain_as_published: false, id: None };
            let mut members = BTreeMap::new();
            for (number, step) in steps {
                let session = &sessions[number as usize];
                match step {
                    Step::Join => {
                        group.put(Subscriber { session: Arc::clone(session), options });
                        members.entry(number).or_insert_with(|| session.connected.load(Ordering::Relaxed));
                    }
                    Step::Leave => {
                        let is_empty = group.remove(session);
                        members.remove(&number);
                        prop_assert_eq!(is_empty, members.is_empty());
                    }
                    Step::Connect | Step::Disconnect => {
                        let is_connected = matches!(step, Step::Connect);
                        session.connected.store(is_connected, Ordering::Relaxed);
                        group.set_connected(session, is_connected);
                        members.entry(number).and_modify(|now| *now = is_connected);
                    }
                }
                let any = members.values().any(|is_connected| *is_connected);
                let expected: Vec<u64> =
                    members.iter().filter(|(_, now)| **now || !any).map(|(number, _)| *number).collect();
                // In as many turns as there are candidates, each has one.
                let mut got: Vec<u64> =
                    expected.iter().filter_map(|_| Some(group.next()?.session.number)).collect();
                got.sort_unstable();
                prop_assert_eq!(got, expected);
            }
        }
    }
}
