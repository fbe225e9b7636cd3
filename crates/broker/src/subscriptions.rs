use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use mqtt::QoS;
use parking_lot::RwLock;
use rustc_hash::FxBuildHasher;
use topic::{Index, Subscription, TopicFilter};

use crate::message::{Delivery, Message, SubscriptionIds};
use crate::session::Session;

/// Who wants what: the subscriptions of all sessions, and routes made from them.
///
/// Changed in place under a lock that is held for one filter. Publishers hardly ever take it: they keep the
/// [`Route`] of a topic as long as [`Subscriptions::generation`] stays the same, which costs them one read of a
/// number that nobody writes while nobody subscribes.
#[derive(Default)]
pub(crate) struct Subscriptions {
    index: RwLock<Index<Entry>>,
    /// Subscriptions that the index does not count, since they are in a crowd with others. Changed under its lock.
    crowded: AtomicUsize,
    generation: AtomicU64,
}

enum Entry {
    One(Subscriber),
    /// Those that listen to one filter where they are very many: when thousands of clients come or go at the same time, each is
    /// found without a look at all the others.
    Crowd(Crowd),
    Shared(Arc<Group>),
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
    pub(crate) fn delivery(&self, message: &Arc<Message>, group: &Arc<Group>) -> Delivery {
        let mut ids = SubscriptionIds::None;
        ids.add(self.options.id);
        let retain = message.retain && self.options.retain_as_published;
        Delivery { share: Some(Arc::clone(group)), ..Delivery::new(message, self.options.qos, retain, ids) }
    }
}

/// What a subscription asks for (MQTT 5.0 §3.8.3.1), without Retain Handling, which matters once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) id: Option<u32>,
}

/// Sessions that take turns at the messages of one filter.
pub(crate) struct Group {
    name: Arc<str>,
    members: RwLock<Vec<Subscriber>>,
    turn: AtomicUsize,
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

    /// Adds a subscription, or changes the options of the one that is there.
    pub(crate) fn add(&self, subscription: &Subscription, session: &Arc<Session>, options: Options) {
        let subscriber = Subscriber { session: Arc::clone(session), options };
        let mut index = self.index.write();
        match &subscription.share {
            None => self.add_one(&mut index, &subscription.filter, subscriber),
            Some(group) => add_shared(&mut index, &subscription.filter, group, subscriber),
        }
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Takes a subscription away.
    pub(crate) fn remove(&self, subscription: &Subscription, session: &Arc<Session>) {
        let mut index = self.index.write();
        match &subscription.share {
            None => self.remove_one(&mut index, &subscription.filter, session),
            Some(group) => remove_shared(&mut index, &subscription.filter, group, session),
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
        let mut groups = Vec::new();
        self.index.read().matching(topic, |entry| match entry {
            Entry::One(subscriber) => one(subscriber),
            Entry::Crowd(crowd) => crowd.values().for_each(&mut one),
            Entry::Shared(group) => groups.push(Target::Group(Arc::clone(group))),
        });
        targets.append(&mut groups);
        if targets.len() > 1 {
            merge(targets);
        }
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

fn add_shared(index: &mut Index<Entry>, filter: &TopicFilter, name: &Arc<str>, subscriber: Subscriber) {
    let there = index.get(filter).iter().find_map(|entry| match entry {
        Entry::Shared(group) if group.name == *name => Some(group),
        Entry::Shared(_) | Entry::One(_) | Entry::Crowd(_) => None,
    });
    let Some(group) = there else {
        let members = RwLock::new(vec![subscriber]);
        let group = Group { name: Arc::clone(name), members, turn: AtomicUsize::new(0) };
        index.insert(filter, Entry::Shared(Arc::new(group)));
        return;
    };
    let mut members = group.members.write();
    match members.iter_mut().find(|member| Arc::ptr_eq(&member.session, &subscriber.session)) {
        Some(member) => member.options = subscriber.options,
        None => members.push(subscriber),
    }
}

fn remove_shared(index: &mut Index<Entry>, filter: &TopicFilter, name: &Arc<str>, session: &Arc<Session>) {
    index.remove(filter, |entry| match entry {
        Entry::Shared(group) if group.name == *name => {
            let mut members = group.members.write();
            members.retain(|member| !Arc::ptr_eq(&member.session, session));
            members.is_empty()
        }
        Entry::Shared(_) | Entry::One(_) | Entry::Crowd(_) => false,
    });
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

impl std::fmt::Debug for Group {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Group").field(&self.name).finish()
    }
}

impl Group {
    /// Whose turn it is: the next member that is connected, or the next at all. `None` if all have left.
    pub(crate) fn next(&self) -> Option<Subscriber> {
        let members = self.members.read();
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = || (0..members.len()).map(|at| &members[start.wrapping_add(at) % members.len()]);
        in_turn()
            .find(|member| member.session.connected.load(Ordering::Relaxed))
            .or_else(|| in_turn().next())
            .cloned()
    }
}

/// The routes of the topics that one publisher used last.
///
/// A few places, chosen by the topic's hash; a client that publishes to more topics than there are places pays the
/// look-up for each.
#[derive(Default)]
pub(crate) struct RouteCache {
    places: Vec<Place>,
}

#[derive(Default)]
pub(crate) struct Place {
    topic: String,
    /// The topic for messages to share, once there is one.
    shared: Option<Arc<str>>,
    generation: Option<u64>,
    route: Route,
}

const PLACES: usize = 16;
/// A route to more sessions than this is made anew each time, so that idle publishers hold little memory.
const TARGETS_MAX: usize = 1024;

impl RouteCache {
    /// The route of a topic, as the subscriptions are now.
    pub(crate) fn get(
        &mut self,
        subscriptions: &Subscriptions,
        topic: &str,
        publisher: Option<&Arc<Session>>,
    ) -> &mut Place {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, Place::default);
        }
        let hash = std::hash::BuildHasher::hash_one(&rustc_hash::FxBuildHasher, topic);
        let place = &mut self.places[(hash >> 32) as usize % PLACES];
        let generation = Some(subscriptions.generation());
        if place.generation != generation || place.topic != topic {
            if place.topic != topic {
                place.topic.clear();
                place.topic.push_str(topic);
                place.shared = None;
            }
            subscriptions.route(topic, publisher, &mut place.route);
            place.generation = generation.filter(|_| place.route.targets.len() <= TARGETS_MAX);
        }
        place
    }

    /// Gives everything up: what an idle connection does.
    pub(crate) fn clear(&mut self) {
        self.places = Vec::new();
    }
}

impl Place {
    pub(crate) fn route(&self) -> &Route {
        &self.route
    }

    /// The topic, shared by the messages that go there.
    pub(crate) fn shared_topic(&mut self) -> Arc<str> {
        Arc::clone(self.shared.get_or_insert_with(|| self.topic.as_str().into()))
    }
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
            let (plain, shared) = (parse("a/+"), parse("$share/g/a/+"));
            subscriptions.add(&shared, &sessions[0], OPTIONS);
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
            prop_assert_eq!((groups, subscriptions.len()), (1, expected.len() + 1));
            expected.keys().for_each(|number| subscriptions.remove(&plain, &sessions[*number as usize]));
            prop_assert_eq!(subscriptions.len(), 1);
        }
    }
}
