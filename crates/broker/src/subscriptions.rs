use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use mqtt::QoS;
use parking_lot::RwLock;
use rustc_hash::FxBuildHasher;
use topic::{Index, Subscription, TopicFilter};

use crate::groups::{Group, Groups};
use crate::message::{Delivery, SubscriptionIds};
use crate::session::Session;
use crate::shared::SharedMessage;

/// Who wants what: the subscriptions of all sessions, and routes made from them.
///
/// Changed in place under a lock that is held for one filter. Publishers hardly ever take it: they keep the
/// [`Route`] of a topic as long as [`Subscriptions::generation`] stays the same, which costs them one read of a
/// number that nobody writes while nobody subscribes.
#[derive(Default)]
pub(crate) struct Subscriptions {
    index: RwLock<Index<Entry>>,
    /// Subscriptions that the index does not count, since they are in a crowd, or among groups, with others. Changed under
    /// its lock.
    crowded: AtomicUsize,
    /// What the filters of all sessions take, as [`filter_bytes`] counts it.
    bytes: AtomicUsize,
    generation: AtomicU64,
}

enum Entry {
    One(Subscriber),
    /// Those that listen to one filter where they are very many: when thousands of clients come or go at the same time, each is
    /// found without a look at all the others.
    Crowd(Crowd),
    /// The share groups of one filter, all of them. Behind a pointer, so that the others take no more room for it.
    Shared(Box<Groups>),
}

/// Subscribers by the number of their session.
type Crowd = HashMap<u64, Subscriber, FxBuildHasher>;

/// So many subscribers of one filter are looked through for one of them; more are a crowd.
const CROWD_MIN: usize = 64;

/// One session's interest in one filter.
#[derive(Clone)]
pub(crate) struct Subscriber {
    pub(crate) session: Arc<Session>,
    pub(crate) options: Options,
}

impl Subscriber {
    /// A message of the group for this member of it.
    pub(crate) fn delivery(&self, message: &SharedMessage, group: &Arc<Group>) -> Delivery {
        let mut ids = SubscriptionIds::None;
        ids.add(self.options.id);
        let retain = message.retain && self.options.retain_as_published;
        Delivery { share: Some(Arc::clone(group)), ..Delivery::new(message, self.options.qos, retain, ids) }
    }
}

/// What a subscription takes in memory and on the disk, roughly (bytes): its text, several times, and a node of the index
/// for each level, which may be as short as nothing.
pub(crate) fn filter_bytes(text: &str) -> usize {
    const BYTES_A_LEVEL: usize = 64;
    text.len() + BYTES_A_LEVEL * topic::split_levels(text).count()
}

/// What a subscription asks for (MQTT 5.0 §3.8.3.1), without Retain Handling, which matters once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) id: Option<u32>,
}

/// Where the messages of one topic go.
#[derive(Default)]
pub(crate) struct Route {
    pub(crate) targets: Vec<Target>,
    /// The publisher itself, if it would be a target but for No Local.
    pub(crate) own: Option<Arc<Session>>,
}

/// One session, or one group of them.
pub(crate) enum Target {
    Session { session: Arc<Session>, qos: QoS, retain_as_published: bool, ids: SubscriptionIds },
    Group(Arc<Group>),
}

impl Subscriptions {
    /// Changes whenever a subscription does. Read it before [`Subscriptions::route`].
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The number of subscriptions, a group counted once a filter.
    pub(crate) fn len(&self) -> usize {
        self.index.read().len() + self.crowded.load(Ordering::Relaxed)
    }

    /// What the filters of all sessions take (bytes).
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Notes that one more filter takes so many bytes, unless all of them would take more than `bytes_max` then. Whether it
    /// did.
    pub(crate) fn reserve(&self, bytes: usize, bytes_max: usize) -> bool {
        let add = |taken: usize| Some(taken + bytes).filter(|taken| *taken <= bytes_max);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Gives back what filters took.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Adds a subscription, or changes the options of the one that is there. Gives the group that it is in.
    pub(crate) fn add(
        &self,
        subscription: &Subscription,
        session: &Arc<Session>,
        options: Options,
    ) -> Option<Arc<Group>> {
        let subscriber = Subscriber { session: Arc::clone(session), options };
        let mut index = self.index.write();
        let group = match &subscription.share {
            None => {
                self.add_one(&mut index, &subscription.filter, subscriber);
                None
            }
            Some(name) => {
                let group = self.group(&mut index, &subscription.filter, name);
                group.put(subscriber);
                Some(group)
            }
        };
        self.generation.fetch_add(1, Ordering::Release);
        group
    }

    /// Takes a subscription away.
    pub(crate) fn remove(&self, subscription: &Subscription, session: &Arc<Session>) {
        let mut index = self.index.write();
        match &subscription.share {
            None => self.remove_one(&mut index, &subscription.filter, session),
            Some(name) => self.remove_shared(&mut index, &subscription.filter, name, session),
        }
        self.generation.fetch_add(1, Ordering::Release);
    }

    fn add_one(&self, index: &mut Index<Entry>, filter: &TopicFilter, subscriber: Subscriber) {
        if let Some(crowd) = crowd(index, filter) {
            let before = crowd.insert(subscriber.session.number, subscriber);
            self.crowded.fetch_add(usize::from(before.is_none()), Ordering::Relaxed);
            return;
        }
        let mut ones = 0;
        for entry in index.get_mut(filter) {
            let Entry::One(there) = entry else { continue };
            if Arc::ptr_eq(&there.session, &subscriber.session) {
                there.options = subscriber.options;
                return;
            }
            ones += 1;
        }
        if ones < CROWD_MIN {
            return index.insert(filter, Entry::One(subscriber));
        }
        let mut crowd = Crowd::default();
        crowd.insert(subscriber.session.number, subscriber);
        while let Some(Entry::One(one)) = index.remove(filter, |entry| matches!(entry, Entry::One(_))) {
            crowd.insert(one.session.number, one);
        }
        self.crowded.fetch_add(crowd.len() - 1, Ordering::Relaxed);
        index.insert(filter, Entry::Crowd(crowd));
    }

    fn remove_one(&self, index: &mut Index<Entry>, filter: &TopicFilter, session: &Arc<Session>) {
        let Some(crowd) = crowd(index, filter) else {
            let is_it =
                |entry: &Entry| matches!(entry, Entry::One(one) if Arc::ptr_eq(&one.session, session));
            index.remove(filter, is_it);
            return;
        };
        if crowd.remove(&session.number).is_none() {
            return;
        }
        if crowd.is_empty() {
            index.remove(filter, |entry| matches!(entry, Entry::Crowd(_)));
            return;
        }
        if crowd.capacity() > CROWD_MIN + 4 * crowd.len() {
            crowd.shrink_to(2 * crowd.len());
        }
        self.crowded.fetch_sub(1, Ordering::Relaxed);
    }

    /// The group of this name, which is made if there is none yet.
    fn group(&self, index: &mut Index<Entry>, filter: &TopicFilter, name: &Arc<str>) -> Arc<Group> {
        let Some(groups) = groups(index, filter) else {
            let group = Arc::new(Group::new(Arc::clone(name)));
            let groups = Groups::from_iter([(Arc::clone(name), Arc::clone(&group))]);
            index.insert(filter, Entry::Shared(Box::new(groups)));
            return group;
        };
        let new = || {
            self.crowded.fetch_add(1, Ordering::Relaxed);
            Arc::new(Group::new(Arc::clone(name)))
        };
        Arc::clone(groups.entry(Arc::clone(name)).or_insert_with(new))
    }

    fn remove_shared(
        &self,
        index: &mut Index<Entry>,
        filter: &TopicFilter,
        name: &Arc<str>,
        session: &Arc<Session>,
    ) {
        let Some(groups) = groups(index, filter) else { return };
        if !groups.get(name).is_some_and(|group| group.remove(session)) {
            return;
        }
        groups.remove(name);
        if groups.is_empty() {
            index.remove(filter, |entry| matches!(entry, Entry::Shared(_)));
        } else {
            self.crowded.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Where messages to `topic` from `publisher` go. A session with several matching subscriptions is one target,
    /// with the highest QoS and every identifier of them [MQTT-3.3.4-2, MQTT-3.3.4-4].
    pub(crate) fn route(&self, topic: &str, publisher: Option<&Arc<Session>>, route: &mut Route) {
        route.targets.clear();
        route.own = None;
        let Route { targets, own } = route;
        let mut one = |Subscriber { session, options }: &Subscriber| {
            let is_own = publisher.is_some_and(|publisher| Arc::ptr_eq(publisher, session));
            if is_own && options.no_local {
                *own = Some(Arc::clone(session));
            } else {
                let mut ids = SubscriptionIds::None;
                ids.add(options.id);
                targets.push(Target::Session {
                    session: Arc::clone(session),
                    qos: options.qos,
                    retain_as_published: options.retain_as_published,
                    ids,
                });
            }
        };
        let (mut shared, mut entries) = (Vec::new(), 0);
        let nodes = self.index.read().matching(topic, |entry| match entry {
            Entry::One(subscriber) => {
                entries += 1;
                one(subscriber);
            }
            Entry::Crowd(crowd) => {
                entries += 1;
                crowd.values().for_each(&mut one);
            }
            Entry::Shared(groups) => shared.extend(groups.values().cloned().map(Target::Group)),
        });
        wake::spend(nodes + targets.len());
        // Nobody is twice in a crowd: where there is nothing else, as for many that listen to one filter, none is to be merged.
        if entries > 1 {
            merge(targets);
        }
        targets.append(&mut shared);
        let gets_it = |own: &mut Arc<Session>| {
            targets
                .iter()
                .any(|target| matches!(target, Target::Session { session, .. } if Arc::ptr_eq(session, own)))
        };
        own.take_if(gets_it);
    }
}

/// The crowd of a filter, if there is one.
fn crowd<'i>(index: &'i mut Index<Entry>, filter: &TopicFilter) -> Option<&'i mut Crowd> {
    index.get_mut(filter).iter_mut().find_map(|entry| match entry {
        Entry::Crowd(crowd) => Some(crowd),
        Entry::One(_) | Entry::Shared(_) => None,
    })
}

/// The groups of a filter, if there are any.
fn groups<'i>(index: &'i mut Index<Entry>, filter: &TopicFilter) -> Option<&'i mut Groups> {
    index.get_mut(filter).iter_mut().find_map(|entry| match entry {
        Entry::Shared(groups) => Some(&mut **groups),
        Entry::One(_) | Entry::Crowd(_) => None,
    })
}

/// Makes one target of those that are the same session.
fn merge(targets: &mut Vec<Target>) {
    let key = |target: &Target| match target {
        Target::Session { session, .. } => Arc::as_ptr(session) as usize,
        Target::Group(_) => 0,
    };
    targets.sort_by_key(key);
    targets.dedup_by(|later, first| match (later, first) {
        (
            Target::Session { session: one, qos, retain_as_published, ids },
            Target::Session { session: two, qos: highest, retain_as_published: any, ids: all },
        ) if Arc::ptr_eq(one, two) => {
            *highest = (*highest).max(*qos);
            *any |= *retain_as_published;
            ids.as_slice().iter().for_each(|id| all.add(Some(*id)));
            true
        }
        _ => false,
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::inbox::Inbox;

    const OPTIONS: Options =
        Options { qos: QoS::AtMostOnce, no_local: false, retain_as_published: false, id: None };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn who_listens_is_found_however_many_there_are(
            steps in proptest::collection::vec((0u64..150, any::<bool>(), 1u32..9), 0..600),
            all_at_first in 0u64..150,
        ) {
            let subscriptions = Subscriptions::default();
            let sessions: Vec<Arc<Session>> =
                (0..150).map(|number| Arc::new(Session::new("c".into(), number, Inbox::new(1, 1)))).collect();
            let parse = |text| Subscription::parse(text).expect("a filter");
            let plain = parse("a/+");
            let shared = ["$share/g/a/+", "$share/h/a/+", "$share/i/a/+"].map(parse);
            shared.iter().for_each(|shared| drop(subscriptions.add(shared, &sessions[0], OPTIONS)));
            subscriptions.remove(&shared[1], &sessions[0]);
            let mut expected = BTreeMap::new();
            let first = (0..all_at_first).map(|number| (number, true, 1));
            for (number, comes, id) in first.chain(steps) {
                let session = &sessions[number as usize];
                if comes {
                    subscriptions.add(&plain, session, Options { id: Some(id), ..OPTIONS });
                    expected.insert(number, id);
                } else {
                    subscriptions.remove(&plain, session);
                    expected.remove(&number);
                }
            }
            let (mut route, mut found, mut groups) = (Route::default(), BTreeMap::new(), 0);
            subscriptions.route("a/b", None, &mut route);
            for target in &route.targets {
                match target {
                    Target::Session { session, ids, .. } => {
                        let before = found.insert(session.number, ids.as_slice()[0]);
                        prop_assert!(before.is_none());
                    }
                    Target::Group(_) => groups += 1,
                }
            }
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!((groups, subscriptions.len()), (2, expected.len() + 2));
            expected.keys().for_each(|number| subscriptions.remove(&plain, &sessions[*number as usize]));
            prop_assert_eq!(subscriptions.len(), 2);
            shared.iter().for_each(|shared| subscriptions.remove(shared, &sessions[0]));
            prop_assert_eq!(subscriptions.len(), 0);
        }
    }
}
