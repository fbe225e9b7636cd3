//! What one client has subscribed to, and for which sources.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::{Backoff, SourceMetrics, Status};
use mqtt::{
    ByteString, Output, Packet, PacketId, QoS, ReasonCode, RetainHandling, Subscribe, SubscribeAck,
    SubscriptionOptions, Unsubscribe,
};
use rustc_hash::FxBuildHasher;
use topic::Index;

use crate::link::Limits;
use crate::ring::PUBLISH_IDS;
use crate::settings::SourceOptions;

/// A source as its clients know it.
#[derive(Debug)]
pub(crate) struct SourceEntry {
    pub(crate) name: Arc<str>,
    /// Both spellings of what FROM says.
    pub(crate) from: [String; 2],
    pub(crate) options: SourceOptions,
    pub(crate) metrics: Arc<SourceMetrics>,
}

impl SourceEntry {
    pub(crate) fn new(name: Arc<str>, options: SourceOptions, metrics: Arc<SourceMetrics>) -> Self {
        let from = [format!("$bridges/mqtt:{name}"), format!("$sources/mqtt:{name}")];
        Self { name, from, options, metrics }
    }

    /// Whether there is nothing to tell a client about the difference.
    pub(crate) fn is_same(&self, other: &SourceEntry) -> bool {
        self.name == other.name && self.options == other.options && Arc::ptr_eq(&self.metrics, &other.metrics)
    }
}

/// The subscriptions of one client. Sources with the same filter share one, since to the remote it would be the same.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    groups: Vec<Group>,
    /// Where in `groups` a message finds its own; made when the first message comes after they have changed.
    finder: Option<Finder>,
    /// The groups that the message is for that is being looked at, in their order; kept for its memory.
    found: Vec<usize>,
    /// Filters to leave as soon as there is a connection.
    forgotten: Vec<Arc<str>>,
    next_id: u16,
    clean_start: bool,
    /// The remote has refused them, though it did not say so beforehand.
    without_identifiers: bool,
    seed: u64,
}

/// Places in the list of groups. A message looks at those that it is for, however many there are, and whatever number of
/// identifiers the remote puts into it.
#[derive(Debug, Default)]
struct Finder {
    /// Two filters may share one.
    by_identifier: HashMap<u32, Vec<usize>, FxBuildHasher>,
    by_topic: Index<usize>,
}

/// One filter.
#[derive(Debug)]
struct Group {
    /// As the remote sees it, with `$share/…`.
    filter: Arc<str>,
    /// The MQTT 5 Subscription Identifier. Made of the filter, so that it is the same after a restart, when the remote
    /// may already be sending.
    identifier: NonZeroU32,
    sources: Vec<Arc<SourceEntry>>,
    state: State,
    /// Whether the remote has accepted it since the process started.
    granted_before: bool,
    backoff: Backoff,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// SUBSCRIBE is to be sent, not before this moment if there is one; with the reason why the last one failed.
    Due(Option<(Instant, String)>),
    /// SUBSCRIBE was sent.
    Asked(PacketId),
    /// The remote has said beforehand that it does not do such a thing, and this is what.
    Impossible(&'static str),
    /// The remote sends what matches.
    Granted,
}

impl Subscriptions {
    pub(crate) fn new(clean_start: bool, seed: u64) -> Self {
        Self {
            groups: Vec::new(),
            finder: None,
            found: Vec::new(),
            forgotten: Vec::new(),
            next_id: 0,
            clean_start,
            without_identifiers: false,
            seed,
        }
    }

    /// Adds a source, or replaces the one of its name.
    pub(crate) fn add(&mut self, source: Arc<SourceEntry>) {
        let filter = Arc::clone(&source.options.filter);
        let before = self.groups.iter().find(|group| group.filter == filter).map(Group::wanted);
        self.take_out(&source.name, Some(&filter));
        self.forgotten.retain(|forgotten| *forgotten != filter);
        let group = match self.groups.iter_mut().position(|group| group.filter == filter) {
            Some(at) => &mut self.groups[at],
            None => {
                self.groups.push(Group::new(filter, self.seed));
                let last = self.groups.len() - 1;
                &mut self.groups[last]
            }
        };
        group.sources.push(source);
        // What the remote knows already is not told again: it would send the retained messages once more.
        if before != Some(group.wanted()) {
            group.state = State::Due(None);
        }
    }

    /// Whether nothing is received for anybody.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Takes a source out; what nobody else wants is unsubscribed.
    pub(crate) fn remove(&mut self, name: &str) {
        self.take_out(name, None);
    }

    fn take_out(&mut self, name: &str, stays: Option<&Arc<str>>) {
        self.finder = None;
        for group in &mut self.groups {
            group.sources.retain(|source| &*source.name != name);
        }
        let forgotten = &mut self.forgotten;
        self.groups.retain(|group| {
            let kept = !group.sources.is_empty() || stays == Some(&group.filter);
            if !kept {
                forgotten.push(Arc::clone(&group.filter));
            }
            kept
        });
    }

    /// A connection is up. Subscribes again where the session is gone, or has not been asked since the process started.
    pub(crate) fn connected(&mut self, session_present: bool) {
        if !session_present {
            self.forgotten.clear();
        }
        self.without_identifiers = false;
        for group in &mut self.groups {
            if !(session_present && group.granted_before && group.state == State::Granted) {
                group.state = State::Due(None);
            }
        }
    }

    /// Puts what is to be subscribed and unsubscribed now.
    pub(crate) fn fill(&mut self, output: &mut Output, limits: &Limits, now: Instant) {
        if !self.forgotten.is_empty() {
            let filters = self.forgotten.drain(..).map(|filter| ByteString::from(&*filter)).collect();
            let packet_id = next_id(&mut self.next_id);
            let unsubscribe = Unsubscribe { packet_id, user_properties: Vec::new(), topic_filters: filters };
            // One that is too large for the remote leaves subscriptions that nobody reads: not worth a failure.
            let _ = output.put(&Packet::Unsubscribe(Box::new(unsubscribe)));
        }
        let identifiers = limits.subscription_ids && !self.without_identifiers;
        for group in &mut self.groups {
            match &group.state {
                State::Due(Some((at, _))) if now < *at => {}
                State::Due(_) if !limits.wildcards && group.has_wildcard() => {
                    group.state = State::Impossible("wildcards");
                }
                State::Due(_) if !limits.shared && group.is_shared() => {
                    group.state = State::Impossible("shared subscriptions");
                }
                State::Due(_) => {
                    let packet_id = next_id(&mut self.next_id);
                    group.state = match output.put(&group.packet(packet_id, identifiers, self.clean_start)) {
                        Ok(()) => State::Asked(packet_id),
                        Err(error) => State::Due(Some((now + group.backoff.delay(), error.to_string()))),
                    };
                }
                State::Asked(_) | State::Impossible(_) | State::Granted => {}
            }
        }
    }

    /// SUBACK.
    pub(crate) fn acknowledged(&mut self, ack: &SubscribeAck, now: Instant) {
        let asked = State::Asked(ack.packet_id);
        let Some(group) = self.groups.iter_mut().find(|group| group.state == asked) else { return };
        let reason =
            ack.status.first().map_or(ReasonCode::UnspecifiedError, |status| ReasonCode::from(*status));
        if reason == ReasonCode::SubscriptionIdentifiersNotSupported && !self.without_identifiers {
            self.without_identifiers = true;
            group.state = State::Due(None);
        } else if reason.is_error() {
            let words = ack.reason_string.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
            let reason = format!("the remote refused to subscribe to `{}`: {reason}{words}", group.filter);
            tracing::warn!("{reason}");
            group.state = State::Due(Some((now + group.backoff.delay(), reason)));
        } else {
            if reason == ReasonCode::Success && group.wanted().qos != QoS::AtMostOnce {
                tracing::warn!("the remote grants QoS 0 alone for `{}`: messages may be lost", group.filter);
            }
            group.state = State::Granted;
            group.granted_before = true;
            group.backoff.reset();
        }
    }

    /// When something is to be tried again.
    pub(crate) fn next_attempt(&self) -> Option<Instant> {
        let attempts = self.groups.iter().filter_map(|group| match &group.state {
            State::Due(Some((at, _))) => Some(*at),
            _ => None,
        });
        attempts.min()
    }

    /// How each source is, on a connection that is up.
    pub(crate) fn statuses(&self) -> Vec<(Arc<str>, Status)> {
        let status = |group: &Group| match &group.state {
            State::Granted => Status::connected(),
            State::Asked(_) | State::Due(None) => {
                Status::connecting("the subscription is not acknowledged yet")
            }
            State::Due(Some((_, reason))) => Status::disconnected(reason.clone()),
            State::Impossible(what) => Status::disconnected(format!(
                "the remote has no {what}, so `{}` cannot be subscribed to",
                group.filter
            )),
        };
        let each = |group| Group::sources(group).map(move |source| (Arc::clone(&source.name), status(group)));
        self.groups.iter().flat_map(each).collect()
    }

    /// Finds the sources that a message is for: by subscription identifier where the remote gives one that is ours,
    /// otherwise by filter.
    pub(crate) fn find(&mut self, topic: &str, identifiers: &[u32]) {
        let finder = self.finder.get_or_insert_with(|| Finder::of(&self.groups));
        self.found.clear();
        for identifier in identifiers {
            self.found.extend(finder.by_identifier.get(identifier).into_iter().flatten());
        }
        if self.found.is_empty() {
            finder.by_topic.matching(topic, |group| self.found.push(*group));
        }
        self.found.sort_unstable();
        self.found.dedup();
    }

    /// The sources that were found last.
    pub(crate) fn found(&self) -> impl Iterator<Item = &SourceEntry> + Clone {
        self.found.iter().flat_map(|group| self.groups[*group].sources()).map(|source| &**source)
    }
}

impl Finder {
    fn of(groups: &[Group]) -> Self {
        let mut finder = Self::default();
        for (place, group) in groups.iter().enumerate() {
            finder.by_identifier.entry(group.identifier.get()).or_default().push(place);
            if let Some(source) = group.sources.first() {
                finder.by_topic.insert(&source.options.subscription.filter, place);
            }
        }
        finder
    }
}

/// What is the same for all sources of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    qos: QoS,
    no_local: bool,
    retain_as_published: bool,
    retained: bool,
}

impl Subscriptions {
    /// Whether this is the one of perhaps several copies of a message that counts: where its subscriptions overlap, a
    /// broker may send one for each. It is that for the first filter that matches, on every node the same.
    pub(crate) fn is_first_copy(&mut self, topic: &str, identifiers: &[u32]) -> bool {
        let Self { groups, finder, .. } = self;
        let finder = finder.get_or_insert_with(|| Finder::of(groups));
        let mut first: Option<&Group> = None;
        finder.by_topic.matching(topic, |place| {
            let group = &groups[*place];
            if first.is_none_or(|first| group.filter < first.filter) {
                first = Some(group);
            }
        });
        let Some(first) = first else { return false };
        let mut is_said = false;
        for identifier in identifiers {
            if *identifier == first.identifier.get() {
                return true;
            }
            is_said |= finder.by_identifier.contains_key(identifier);
        }
        !is_said
    }
}

impl Group {
    fn new(filter: Arc<str>, seed: u64) -> Self {
        Self {
            identifier: identifier(&filter),
            filter,
            sources: Vec::new(),
            state: State::Due(None),
            granted_before: false,
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60), seed),
        }
    }

    fn sources(&self) -> std::slice::Iter<'_, Arc<SourceEntry>> {
        self.sources.iter()
    }

    fn is_shared(&self) -> bool {
        self.sources.first().is_some_and(|source| source.options.subscription.share.is_some())
    }

    fn has_wildcard(&self) -> bool {
        self.sources.first().is_some_and(|source| source.options.subscription.filter.has_wildcard())
    }

    /// What the remote is asked for: what satisfies every source.
    fn wanted(&self) -> Wanted {
        let qos = self.sources.iter().map(|source| source.options.qos).max_by_key(|qos| u8::from(*qos));
        Wanted {
            qos: qos.unwrap_or(QoS::AtMostOnce),
            // On a shared subscription it is a protocol error [MQTT-3.8.3-4].
            no_local: !self.is_shared() && self.sources.iter().all(|source| source.options.no_local),
            retain_as_published: self.sources.iter().any(|source| source.options.retain_as_published),
            retained: self.sources.iter().any(|source| source.options.retained),
        }
    }

    fn packet(&self, packet_id: PacketId, identifiers: bool, clean_start: bool) -> Packet<'static> {
        let Wanted { qos, no_local, retain_as_published, retained } = self.wanted();
        let options = SubscriptionOptions {
            qos,
            no_local,
            retain_as_published,
            // A session that was to last and is lost has a gap, which retained messages help to fill. One that is new
            // with every connection would replay them with every connection.
            retain_handling: if !retained || self.granted_before && clean_start {
                RetainHandling::NoAtSubscribe
            } else {
                RetainHandling::AtSubscribeNew
            },
        };
        Packet::Subscribe(Box::new(Subscribe {
            packet_id,
            id: Some(self.identifier).filter(|_| identifiers),
            user_properties: Vec::new(),
            topic_filters: vec![(ByteString::from(&*self.filter), options)],
        }))
    }
}

/// FNV-1a, folded to the 28 bits that an identifier has.
fn identifier(filter: &str) -> NonZeroU32 {
    let hash = filter.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let folded = (hash ^ (hash >> 28) ^ (hash >> 56)) as u32 & 0x0FFF_FFFF;
    NonZeroU32::new(folded).unwrap_or(NonZeroU32::MIN)
}

/// The next of the packet ids that publishes do not use.
fn next_id(last: &mut u16) -> PacketId {
    *last = (*last + 1) % (u16::MAX - PUBLISH_IDS);
    PacketId::MIN.saturating_add(PUBLISH_IDS + *last)
}

#[cfg(test)]
mod tests {
    use event::AckLevel;
    use topic::Subscription;

    use super::*;

    fn source(name: &str, filter: &str) -> Arc<SourceEntry> {
        let options = SourceOptions {
            subscription: Subscription::parse(filter).unwrap(),
            filter: filter.into(),
            qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: true,
            retained: true,
            ack: AckLevel::Delivered,
        };
        Arc::new(SourceEntry::new(name.into(), options, Arc::default()))
    }

    fn names(subscriptions: &mut Subscriptions, topic: &str, identifiers: &[u32]) -> Vec<String> {
        subscriptions.find(topic, identifiers);
        subscriptions.found().map(|source| source.name.to_string()).collect()
    }

    #[test]
    fn messages_find_their_sources() {
        let mut subscriptions = Subscriptions::new(true, 0);
        for (name, filter) in [("a", "t/#"), ("b", "t/1"), ("c", "t/#"), ("d", "$share/g/t/+")] {
            subscriptions.add(source(name, filter));
        }
        assert_eq!(names(&mut subscriptions, "t/1", &[]), ["a", "c", "b", "d"]);
        assert_eq!(names(&mut subscriptions, "t/1", &[identifier("t/1").get()]), ["b"]);
        assert_eq!(
            names(&mut subscriptions, "t/1", &[77]),
            ["a", "c", "b", "d"],
            "an identifier of somebody else"
        );
        subscriptions.add(source("a", "u"));
        subscriptions.remove("b");
        assert_eq!(names(&mut subscriptions, "t/1", &[]), ["c", "d"]);
        assert_eq!(subscriptions.forgotten, ["t/1".into()]);
    }

    #[test]
    fn of_very_many_a_message_looks_at_its_own() {
        const SOURCES: usize = 20_000;
        let groups: Vec<Group> = (0..SOURCES)
            .map(|n| {
                let filter = format!("t/{n}/#");
                let mut group = Group::new(filter.as_str().into(), 0);
                group.sources.push(source(&n.to_string(), &filter));
                group
            })
            .collect();
        let mut subscriptions = Subscriptions { groups, ..Subscriptions::new(true, 0) };
        let mine = identifier("t/7/#").get();
        // As many as a packet has room for: those of others, and the same again and again.
        let many: Vec<u32> = (0..50_000).map(|n| if n % 2 == 0 { mine } else { 300_000_000 + n }).collect();
        for identifiers in [&[][..], &[mine], &many, &[300_000_000]] {
            for _ in 0..20 {
                assert_eq!(names(&mut subscriptions, "t/7/x", identifiers), ["7"]);
                assert!(subscriptions.is_first_copy("t/7/x", identifiers));
                assert!(subscriptions.finder.is_some() && subscriptions.found.len() == 1);
            }
        }
        subscriptions.remove("7");
        assert!(subscriptions.finder.is_none(), "made anew for the next message");
        assert_eq!(names(&mut subscriptions, "t/7/x", &[mine]), [""; 0]);
    }

    #[test]
    fn of_overlapping_copies_one_counts() {
        let mut subscriptions = Subscriptions::new(true, 0);
        for filter in ["b/#", "a/+", "+/1"] {
            subscriptions.add(source(filter, filter));
        }
        let mut counts = |filters: &[&str]| {
            let identifiers: Vec<u32> = filters.iter().map(|filter| identifier(filter).get()).collect();
            subscriptions.is_first_copy("a/1", &identifiers)
        };
        assert!(counts(&["+/1"]) && !counts(&["a/+"]), "one for each");
        assert!(counts(&["a/+", "+/1"]), "one for both");
        assert!(counts(&[]), "a broker that says nothing sends but one");
        assert!(!subscriptions.is_first_copy("c", &[]), "nobody has asked for this");
    }

    #[test]
    fn identifiers_are_legal_and_differ() {
        assert!(identifier("a").get() <= 268_435_455);
        assert_ne!(identifier("a"), identifier("b"));
    }
}
