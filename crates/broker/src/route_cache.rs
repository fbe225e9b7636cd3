use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::session::Session;
use crate::subscriptions::{Route, Subscriptions};

/// The routes of the topics that one publisher used last.
///
/// A topic has its place in a group of four, chosen by its hash. A device that has a topic or two needs one group; a gateway whose
/// topics come round gets more, until all of them find room. Topics that never come again make no difference.
pub(crate) struct RouteCache {
    places_max: usize,
    /// None while it is idle.
    places: Option<Box<Places>>,
}

#[derive(Default)]
struct Places {
    places_max: usize,
    /// A power of two of groups, or none yet.
    places: Vec<Place>,
    /// The hashes of their topics.
    hashes: Vec<u32>,
    /// The hashes of topics that had to make room, once one had to.
    displaced: Box<[u32]>,
    /// How many of those have come again since there was room for more.
    returned: usize,
    /// Who makes room next in a group that is full.
    turn: usize,
    /// For what has no place.
    aside: Place,
}

/// A topic, and where its messages go.
#[derive(Default)]
pub(crate) struct Place {
    topic: String,
    /// The topic for messages to share, once there is one.
    shared: Option<Arc<str>>,
    /// Of the subscriptions from which the route was made; `None` if nobody is here.
    generation: Option<u64>,
    route: Route,
}

const GROUP: usize = 4;
/// For a client: some 40 KiB of routes to one subscriber each, until it is idle.
const PLACES_MAX: usize = 256;
/// What all routes of a cache may lead to together, and how long a topic may be (bytes): what is beyond is made anew each time, so that
/// publishers hold little memory.
const TARGETS_MAX: usize = 16 * 1024;
const TOPIC_BYTES_MAX: usize = 512;

impl Default for RouteCache {
    fn default() -> Self {
        Self::with_places_max(PLACES_MAX)
    }
}

impl RouteCache {
    /// One that grows up to so many places, a power of two.
    pub(crate) fn with_places_max(places_max: usize) -> Self {
        Self { places_max, places: None }
    }

    /// The route of a topic, as the subscriptions are now.
    pub(crate) fn get(
        &mut self,
        subscriptions: &Subscriptions,
        topic: &str,
        publisher: Option<&Arc<Session>>,
    ) -> &mut Place {
        let places_max = self.places_max;
        let new = || Box::new(Places { places_max, ..Places::default() });
        self.places.get_or_insert_with(new).get(subscriptions, topic, publisher)
    }

    /// Gives everything up: what an idle connection does.
    pub(crate) fn clear(&mut self) {
        self.places = None;
    }
}

impl Places {
    fn get(
        &mut self,
        subscriptions: &Subscriptions,
        topic: &str,
        publisher: Option<&Arc<Session>>,
    ) -> &mut Place {
        // The upper half is the better one.
        let hash = (FxBuildHasher.hash_one(topic) >> 32) as u32;
        let generation = subscriptions.generation();
        if let Some(at) = self.find(topic, hash)
            && self.places[at].generation == Some(generation)
        {
            return &mut self.places[at];
        }
        let targets_max = TARGETS_MAX / self.places.len().max(GROUP);
        self.aside.trim(targets_max);
        self.aside.fill(subscriptions, topic, publisher);
        if self.aside.route.targets.len() > targets_max || topic.len() > TOPIC_BYTES_MAX {
            return &mut self.aside;
        }
        let at = self.find(topic, hash).unwrap_or_else(|| self.make_place(hash));
        self.hashes[at] = hash;
        let place = &mut self.places[at];
        std::mem::swap(place, &mut self.aside);
        place.generation = Some(generation);
        place
    }

    /// The places where a topic may be.
    fn group(&self, hash: u32) -> Range<usize> {
        let first = hash as usize & self.places.len().saturating_sub(GROUP) & !(GROUP - 1);
        first..(first + GROUP).min(self.places.len())
    }

    fn find(&self, topic: &str, hash: u32) -> Option<usize> {
        self.group(hash).find(|at| self.hashes[*at] == hash && self.places[*at].topic == topic)
    }

    /// Makes a place for a topic that has none: a free one of its group, or somebody else's.
    fn make_place(&mut self, hash: u32) -> usize {
        if self.places.is_empty() {
            self.resize(GROUP);
        }
        let mut free = self.free(hash);
        if free.is_none() && self.has_returned(hash) && self.places.len() < self.places_max {
            self.grow();
            free = self.free(hash);
        }
        free.unwrap_or_else(|| self.displace(hash))
    }

    fn free(&self, hash: u32) -> Option<usize> {
        self.group(hash).find(|at| self.places[*at].generation.is_none())
    }

    /// Whether this topic had to make room before, and so many others too that there should be more room.
    fn has_returned(&mut self, hash: u32) -> bool {
        let is_back =
            self.displaced.get(hash as usize & self.displaced.len().saturating_sub(1)) == Some(&hash);
        self.returned += usize::from(is_back);
        is_back && self.returned >= self.places.len()
    }

    /// Takes a place from a topic of a group that is full.
    fn displace(&mut self, hash: u32) -> usize {
        if self.displaced.is_empty() {
            self.displaced = vec![0; self.places_max].into();
        }
        let at = self.group(hash).start + self.turn % GROUP;
        self.turn += 1;
        let gone = self.hashes[at];
        self.displaced[gone as usize & (self.places_max - 1)] = gone;
        at
    }

    fn grow(&mut self) {
        self.returned = 0;
        let (places, hashes) = (std::mem::take(&mut self.places), std::mem::take(&mut self.hashes));
        self.resize(2 * places.len());
        for (place, hash) in places.into_iter().zip(hashes).filter(|(place, _)| place.generation.is_some()) {
            // There is room: each group becomes two.
            if let Some(at) = self.free(hash) {
                (self.places[at], self.hashes[at]) = (place, hash);
            }
        }
    }

    fn resize(&mut self, places: usize) {
        self.places.resize_with(places, Place::default);
        self.hashes.resize(places, 0);
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

    /// Gives the room back of what was too much to keep.
    fn trim(&mut self, targets_max: usize) {
        if self.topic.capacity() > TOPIC_BYTES_MAX {
            self.topic = String::new();
        }
        if self.route.targets.capacity() > targets_max {
            self.route.targets = Vec::new();
        }
    }

    fn fill(&mut self, subscriptions: &Subscriptions, topic: &str, publisher: Option<&Arc<Session>>) {
        self.topic.clear();
        self.topic.push_str(topic);
        (self.shared, self.generation) = (None, None);
        subscriptions.route(topic, publisher, &mut self.route);
    }
}

#[cfg(test)]
mod tests {
    use mqtt::QoS;
    use topic::Subscription;

    use super::*;
    use crate::inbox::Inbox;
    use crate::subscriptions::Options;

    /// Somebody who listens to everything below `a`.
    fn subscribed() -> (Subscriptions, Arc<Session>) {
        let subscriptions = Subscriptions::default();
        let session = Arc::new(Session::new("c".into(), 1, Inbox::new(1, 1)));
        let options = Options { qos: QoS::AtMostOnce, no_local: false, retain_as_published: false, id: None };
        subscriptions.add(&Subscription::parse("a/#").expect("a filter"), &session, options);
        (subscriptions, session)
    }

    /// Asks for so many topics in turn, so often. The number of places afterwards.
    fn ask(cache: &mut RouteCache, subscriptions: &Subscriptions, topics: usize, rounds: usize) -> usize {
        for _ in 0..rounds {
            for number in 0..topics {
                let place = cache.get(subscriptions, &format!("a/{number}"), None);
                assert_eq!(place.route().targets.len(), 1);
                assert_eq!(*place.shared_topic(), format!("a/{number}"));
            }
        }
        cache.places.as_ref().map_or(0, |places| places.places.len())
    }

    #[test]
    fn topics_that_come_round_get_places_and_others_do_not() {
        let (subscriptions, _) = subscribed();
        let mut cache = RouteCache::default();
        assert_eq!(ask(&mut cache, &subscriptions, 1, 1_000), GROUP);
        assert_eq!(ask(&mut cache, &subscriptions, 50_000, 1), GROUP, "none of them came again");
        assert!(ask(&mut cache, &subscriptions, 100, 20) >= 100);
        let mut cache = RouteCache::default();
        assert_eq!(ask(&mut cache, &subscriptions, 250, 50), PLACES_MAX);
        cache.clear();
        assert!(cache.places.is_none());
    }

    #[test]
    fn a_place_is_as_the_subscriptions_are_now() {
        let (subscriptions, session) = subscribed();
        let mut cache = RouteCache::default();
        ask(&mut cache, &subscriptions, 100, 20);
        subscriptions.remove(&Subscription::parse("a/#").expect("a filter"), &session);
        for number in 0..100 {
            assert!(cache.get(&subscriptions, &format!("a/{number}"), None).route().targets.is_empty());
        }
    }

    #[test]
    fn long_topics_are_not_kept() {
        let (subscriptions, _) = subscribed();
        let mut cache = RouteCache::default();
        let long = format!("a/{}", "x".repeat(TOPIC_BYTES_MAX));
        let place = cache.get(&subscriptions, &long, None);
        assert_eq!((place.generation, place.route().targets.len()), (None, 1));
        assert_eq!(*place.shared_topic(), long);
        assert!(cache.get(&subscriptions, "a/b", None).generation.is_some());
        let places = cache.places.expect("it was asked").places;
        assert!(places.iter().all(|place| place.topic.capacity() <= TOPIC_BYTES_MAX));
    }
}
