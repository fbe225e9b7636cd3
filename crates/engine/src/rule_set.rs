//! The rules of one generation, and which of them an event concerns.

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
    wanted: [bool; EventKind::COUNT],
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
            wanted: [false; EventKind::COUNT],
            rules: Vec::new(),
        };
        for (at, rule) in rules.iter().enumerate() {
            for from in rule.program.from() {
                set.index(from.class).insert(&from.filter, at as u32);
                for spec in event::EVENTS.iter().filter(|spec| from.concerns(spec.kind)) {
                    let named = spec.from.iter().any(|name| topic::matches(from.filter.as_str(), name));
                    set.wanted[spec.kind as usize] |= named || spec.from.is_empty();
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

    /// Whether any rule could match an event of this kind.
    pub(crate) fn wants(&self, kind: EventKind) -> bool {
        self.wanted[kind as usize]
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
            index.matching(name, |place| places.push(*place));
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
/// a set of rules that is new also the join of their paths. Each map is bounded and begins anew when it is full.
#[derive(Default)]
pub(crate) struct Matches {
    stamp: u64,
    by_name: FxHashMap<Box<str>, Arc<MatchSet>>,
    by_places: FxHashMap<Box<[u32]>, Arc<MatchSet>>,
    places: Vec<u32>,
}

impl Matches {
    const NAMES_MAX: usize = 4096;
    const SETS_MAX: usize = 1024;

    /// The rules that an event concerns.
    pub(crate) fn of(&mut self, event: &Event<'_>, rules: &RuleSet) -> Arc<MatchSet> {
        if self.stamp != rules.stamp {
            *self = Self { stamp: rules.stamp, places: std::mem::take(&mut self.places), ..Self::default() };
        }
        // Names of different classes differ, but for a client that publishes to `$events/…`: that is not remembered.
        let name = event.from[0];
        let remembered = event.kind != EventKind::MessagePublish || !is_reserved(name);
        if remembered && let Some(found) = self.by_name.get(name) {
            return Arc::clone(found);
        }
        rules.places(event, &mut self.places);
        let found = self.by_places(rules);
        if remembered {
            if self.by_name.len() >= Self::NAMES_MAX {
                self.by_name.clear();
            }
            self.by_name.insert(name.into(), Arc::clone(&found));
        }
        found
    }

    fn by_places(&mut self, rules: &RuleSet) -> Arc<MatchSet> {
        if let Some(found) = self.by_places.get(&*self.places) {
            return Arc::clone(found);
        }
        if self.by_places.len() >= Self::SETS_MAX {
            self.by_places.clear();
        }
        let made = Arc::new(rules.match_set(&self.places));
        self.by_places.insert(self.places.as_slice().into(), Arc::clone(&made));
        made
    }
}

/// Whether a name could be that of an event or a source.
fn is_reserved(name: &str) -> bool {
    name.starts_with('$')
}
