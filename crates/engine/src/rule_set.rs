//! The rules of one generation, and which of them an event concerns.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eval::{FromClass, Union};
use event::{Event, EventKind};
use rustc_hash::{FxHashMap, FxHashSet};
use topic::Index;

use crate::rule::Rule;

/// All enabled rules, immutable: the whole set is replaced by one swap.
///
/// Most of them are in a part that the next set shares if a single rule has changed: those that are not as they were there
/// are in a small part of their own.
pub(crate) struct RuleSet {
    /// Unlike that of every other set of the process: what threads remember of this one is worth nothing for the next.
    stamp: u64,
    settled: Arc<Indexed>,
    /// The places of those that are there no more, or are in `recent` as they are now.
    gone: FxHashSet<u32>,
    /// Their places follow those of `settled`.
    recent: Indexed,
    /// A bit for each kind of event that any rule could match; perhaps of one that has gone, too.
    wanted: u64,
}

/// Rules that are found by what they listen to.
#[derive(Default)]
struct Indexed {
    rules: Vec<Arc<Rule>>,
    by_id: FxHashMap<Arc<str>, u32>,
    /// The filters of FROM, by what they are about; the values are places in `rules`.
    publishes: Index<u32>,
    events: Index<u32>,
    sources: Index<u32>,
    wanted: u64,
}

/// The rules that one event concerns, with their payload paths joined.
pub(crate) struct MatchSet {
    pub(crate) rules: Box<[Arc<Rule>]>,
    pub(crate) union: Union,
}

impl Indexed {
    fn new(rules: Vec<Arc<Rule>>) -> Self {
        let mut set = Self::default();
        for (rule, at) in rules.iter().zip(0..) {
            set.by_id.insert(Arc::clone(&rule.id), at);
            for from in rule.program.from() {
                set.index_mut(from.class).insert(&from.filter, at);
                for spec in event::EVENTS.iter().filter(|spec| from.concerns(spec.kind)) {
                    let named = spec.from.iter().any(|name| topic::matches(from.filter.as_str(), name));
                    set.wanted |= u64::from(named || spec.from.is_empty()) << spec.kind as u32;
                }
            }
        }
        set.rules = rules;
        set
    }

    fn index_mut(&mut self, class: FromClass) -> &mut Index<u32> {
        match class {
            FromClass::Publish => &mut self.publishes,
            FromClass::Event => &mut self.events,
            FromClass::Source => &mut self.sources,
        }
    }

    fn index(&self, kind: EventKind) -> &Index<u32> {
        match kind {
            EventKind::MessagePublish => &self.publishes,
            EventKind::Source => &self.sources,
            _ => &self.events,
        }
    }
}

impl RuleSet {
    /// How many rules may have changed before all are put together anew, and to which part of all that is held: among few
    /// rules every time.
    const RECENT_MAX: usize = 128;
    const RECENT_SHARE: usize = 16;

    pub(crate) fn new(rules: Vec<Arc<Rule>>) -> Self {
        Self::of(Arc::new(Indexed::new(rules)), FxHashSet::default(), Indexed::default())
    }

    fn of(settled: Arc<Indexed>, gone: FxHashSet<u32>, recent: Indexed) -> Self {
        static STAMPS: AtomicU64 = AtomicU64::new(1);
        let (stamp, wanted) = (STAMPS.fetch_add(1, Ordering::Relaxed), settled.wanted | recent.wanted);
        Self { stamp, settled, gone, recent, wanted }
    }

    /// The set with `rule` in place of the one of this id, or without it.
    pub(crate) fn with(&self, id: &str, rule: Option<Arc<Rule>>) -> Self {
        let mut gone = self.gone.clone();
        gone.extend(self.settled.by_id.get(id));
        let others = self.recent.rules.iter().filter(|other| *other.id != *id);
        let recent: Vec<_> = others.cloned().chain(rule).collect();
        let most = Self::RECENT_MAX.min(self.settled.rules.len() / Self::RECENT_SHARE);
        if gone.len().max(recent.len()) <= most {
            return Self::of(Arc::clone(&self.settled), gone, Indexed::new(recent));
        }
        let stays = |(_, at): &(&Arc<Rule>, u32)| !gone.contains(at);
        let settled = self.settled.rules.iter().zip(0..).filter(stays).map(|(rule, _)| Arc::clone(rule));
        Self::new(settled.chain(recent).collect())
    }

    /// The number of rules.
    pub(crate) fn len(&self) -> usize {
        self.settled.rules.len() - self.gone.len() + self.recent.rules.len()
    }

    /// All rules.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let settled = self.settled.rules.iter().zip(0..).filter(|(_, at)| !self.gone.contains(at));
        settled.map(|(rule, _)| rule).chain(&self.recent.rules)
    }

    /// The filters of FROM that are about published messages.
    pub(crate) fn publish_filters(&self) -> impl Iterator<Item = &str> {
        let from = self.rules().flat_map(|rule| rule.program.from());
        from.filter(|from| from.class == FromClass::Publish).map(|from| from.filter.as_str())
    }

    /// What tells this set from every other.
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The kinds of events that any rule could match, a bit for each.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// Puts the places of the rules that an event concerns into `places`, ascending, each once.
    fn places(&self, event: &Event<'_>, places: &mut Vec<u32>) {
        places.clear();
        let (settled, recent) = (self.settled.index(event.kind), self.recent.index(event.kind));
        let first_recent = self.settled.rules.len() as u32;
        for name in event.from.iter().filter(|name| !name.is_empty()) {
            let mut nodes = settled.matching(name, |place| {
                if !self.gone.contains(place) {
                    places.push(*place);
                }
            });
            nodes += recent.matching(name, |place| places.push(first_recent + place));
            wake::spend(nodes);
        }
        places.sort_unstable();
        places.dedup();
    }

    fn match_set(&self, places: &[u32]) -> MatchSet {
        let rule = |place: &u32| {
            let at = *place as usize;
            let settled = &self.settled.rules;
            Arc::clone(settled.get(at).unwrap_or_else(|| &self.recent.rules[at - settled.len()]))
        };
        let rules: Box<[_]> = places.iter().map(rule).collect();
        let programs: Vec<_> = rules.iter().map(|rule| &*rule.program).collect();
        MatchSet { union: Union::of(&programs), rules }
    }
}

/// What one thread remembers of a rule set: which rules a topic concerns.
///
/// Topics far outnumber the sets of rules they lead to, so both are kept: a topic that is new costs a walk over the index,
/// a set of rules that is new also the join of their paths.
#[derive(Default)]
pub(crate) struct Matches {
    stamp: u64,
    by_name: Recent,
    /// Bounded, and begins anew when it is full.
    by_places: FxHashMap<Box<[u32]>, Rc<MatchSet>>,
    places: Vec<u32>,
}

impl Matches {
    const SETS_MAX: usize = 1024;

    /// The rules that an event concerns, if that is remembered of the rule set with this stamp.
    #[inline]
    pub(crate) fn remembered(&mut self, event: &Event<'_>, stamp: u64) -> Option<Rc<MatchSet>> {
        if self.stamp == stamp && is_remembered(event) { self.by_name.get(event.from[0]) } else { None }
    }

    /// The rules that an event concerns, which is remembered from then on.
    pub(crate) fn find(&mut self, event: &Event<'_>, rules: &RuleSet) -> Rc<MatchSet> {
        if self.stamp != rules.stamp {
            *self = Self { stamp: rules.stamp, places: std::mem::take(&mut self.places), ..Self::default() };
        }
        rules.places(event, &mut self.places);
        let found = self.by_places(rules);
        if is_remembered(event) {
            self.by_name.keep(event.from[0].into(), Rc::clone(&found));
        }
        found
    }

    fn by_places(&mut self, rules: &RuleSet) -> Rc<MatchSet> {
        if let Some(found) = self.by_places.get(&*self.places) {
            return Rc::clone(found);
        }
        if self.by_places.len() >= Self::SETS_MAX {
            self.by_places.clear();
        }
        let made = Rc::new(rules.match_set(&self.places));
        self.by_places.insert(self.places.as_slice().into(), Rc::clone(&made));
        made
    }
}

/// The names that were met last. Those that were not met while as many others came are forgotten, so that topics that come
/// round in their thousands do not all begin anew when there is no room for one more.
#[derive(Default)]
struct Recent {
    young: FxHashMap<Box<str>, Rc<MatchSet>>,
    old: FxHashMap<Box<str>, Rc<MatchSet>>,
}

impl Recent {
    /// The most in each half.
    const NAMES_MAX: usize = 8192;

    fn get(&mut self, name: &str) -> Option<Rc<MatchSet>> {
        if let Some(found) = self.young.get(name) {
            return Some(Rc::clone(found));
        }
        let (name, found) = self.old.remove_entry(name)?;
        self.keep(name, Rc::clone(&found));
        Some(found)
    }

    fn keep(&mut self, name: Box<str>, found: Rc<MatchSet>) {
        if self.young.len() >= Self::NAMES_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, found);
    }
}

/// Longer names are looked up each time (bytes), so that what publishers make up costs a bounded memory.
const NAME_BYTES_MAX: usize = 512;

/// Whether what an event concerns is remembered by its name. Names of different classes differ, but for a client that
/// publishes to `$events/…`.
fn is_remembered(event: &Event<'_>) -> bool {
    let name = event.from[0];
    name.len() <= NAME_BYTES_MAX && (event.kind != EventKind::MessagePublish || !name.starts_with('$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_use_are_remembered_and_others_forgotten() {
        let found = Rc::new(MatchSet { rules: Box::default(), union: Union::default() });
        let mut recent = Recent::default();
        for at in 0..5 * Recent::NAMES_MAX {
            recent.keep(format!("t/{at}").into(), Rc::clone(&found));
            assert!(recent.get("t/0").is_some(), "it is asked for all the time");
        }
        assert!(recent.get("t/1").is_none());
        assert!(recent.young.len() + recent.old.len() <= 2 * Recent::NAMES_MAX);
    }
}
