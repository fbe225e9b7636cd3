//! The rules of one generation, and which of them an event concerns.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eval::{FromClass, Union};
use event::{Event, EventKind};
use rustc_hash::FxHashMap;
use topic::Index;

use crate::rule::Rule;

/// All enabled rules, immutable: the whole set is replaced by one swap.
pub(crate) struct RuleSet {
    /// Unlike that of every other set of the process: what threads remember of this one is worth nothing for the next.
    stamp: u64,
    rules: Vec<Arc<Rule>>,
    /// The filters of FROM, by what they are about; the values are places in `rules`.
    publishes: Index<u32>,
    events: Index<u32>,
    sources: Index<u32>,
    /// A bit for each kind of event that any rule could match.
    wanted: u64,
}

/// The rules that one event concerns, with their payload paths joined.
pub(crate) struct MatchSet {
    pub(crate) rules: Box<[Arc<Rule>]>,
    pub(crate) union: Union,
}

impl RuleSet {
    pub(crate) fn new(rules: Vec<Arc<Rule>>) -> Self {
        static STAMPS: AtomicU64 = AtomicU64::new(1);
        let mut set = Self {
            stamp: STAMPS.fetch_add(1, Ordering::Relaxed),
            publishes: Index::new(),
            events: Index::new(),
            sources: Index::new(),
            wanted: 0,
            rules: Vec::new(),
        };
        for (at, rule) in rules.iter().enumerate() {
            for from in rule.program.from() {
                set.index(from.class).insert(&from.filter, at as u32);
                for spec in event::EVENTS.iter().filter(|spec| from.concerns(spec.kind)) {
                    let named = spec.from.iter().any(|name| topic::matches(from.filter.as_str(), name));
                    set.wanted |= u64::from(named || spec.from.is_empty()) << spec.kind as u32;
                }
            }
        }
        set.rules = rules;
        set
    }

    pub(crate) fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The filters of FROM that are about published messages.
    pub(crate) fn publish_filters(&self) -> impl Iterator<Item = &str> {
        let from = self.rules.iter().flat_map(|rule| rule.program.from());
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
        let index = match event.kind {
            EventKind::MessagePublish => &self.publishes,
            EventKind::Source => &self.sources,
            _ => &self.events,
        };
        for name in event.from.iter().filter(|name| !name.is_empty()) {
            let nodes = index.matching(name, |place| places.push(*place));
            wake::spend(nodes);
        }
        places.sort_unstable();
        places.dedup();
    }

    fn match_set(&self, places: &[u32]) -> MatchSet {
        let rules: Box<[_]> = places.iter().map(|place| Arc::clone(&self.rules[*place as usize])).collect();
        let programs: Vec<_> = rules.iter().map(|rule| &*rule.program).collect();
        MatchSet { union: Union::of(&programs), rules }
    }

    fn index(&mut self, class: FromClass) -> &mut Index<u32> {
        match class {
            FromClass::Publish => &mut self.publishes,
            FromClass::Event => &mut self.events,
            FromClass::Source => &mut self.sources,
        }
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
