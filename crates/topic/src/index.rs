use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::name::{TopicFilter, split_levels};

/// Many filters with their values, asked which of them match one topic.
///
/// A trie whose edges live in one hash table: the hash of a level is computed once a look-up and mixed with the node
/// that an edge leaves, so that one look-up costs one hash of each level and one probe per node that can still match.
/// `+` is an edge of its own, and `#` a list of values at the node above it. A look-up allocates nothing. Built once
/// for a rule set, or changed in place for subscriptions: nodes without use are taken back.
///
/// Several values may stand under one filter, also equal ones; they come out in the order in which they went in.
#[derive(Debug, Clone)]
pub struct Index<T> {
    /// The nodes that a level leads to, all but those that `+` does; found by [`edge_hash`].
    edges: HashTable<u32>,
    nodes: Vec<Node<T>>,
    node_free: Vec<u32>,
    /// Seeded at random, so that nobody can choose levels that collide.
    hasher: DefaultHashBuilder,
    len: usize,
}

/// Where values are as small as a place in a list, one cache line: following an edge then touches memory twice, in the
/// table and here.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Node<T> {
    /// The node above; with `level`, what an edge is recognised by.
    parent: u32,
    /// Where `+` leads.
    plus: u32,
    /// Edges out of this node other than `+`.
    edges: u32,
    level: LevelText,
    /// The values of filters that end here.
    here: Few<T>,
    /// The values of filters that end in `#` below here.
    below: Few<T>,
}

/// A list that seldom has more than one entry.
#[derive(Debug, Clone, Default)]
enum Few<T> {
    #[default]
    None,
    One(T),
    /// A pointer to a pointer, so that it takes no more room than one entry.
    #[expect(clippy::box_collection, reason = "see above")]
    Many(Box<Vec<T>>),
}

/// The text of a level: within the node if it is short, as nearly all are.
#[derive(Debug, Clone)]
enum LevelText {
    Short {
        length: u8,
        bytes: [u8; LevelText::SHORT],
    },
    /// A pointer to a pointer, so that it takes no more room than a short one.
    Long(Box<Box<str>>),
}

const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;

/// Levels that are kept at hand while a look-up follows several branches; deeper ones are cut out again.
const KEPT: usize = 8;

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Index<T> {
    /// An index without filters.
    pub fn new() -> Self {
        Self {
            edges: HashTable::new(),
            nodes: vec![Node::new(NONE, "")],
            node_free: Vec::new(),
            hasher: DefaultHashBuilder::default(),
            len: 0,
        }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a value under a filter, after those that stand there already.
    pub fn insert(&mut self, filter: &TopicFilter, value: T) {
        let (path, below) = split_filter(filter);
        let mut node = ROOT;
        for level in path {
            node = self.child_or_new(node, level);
        }
        self.nodes[node as usize].values_mut(below).push(value);
        self.len += 1;
    }

    /// Takes out the first value under exactly this filter that `is` picks.
    pub fn remove(&mut self, filter: &TopicFilter, is: impl FnMut(&T) -> bool) -> Option<T> {
        let (node, below) = self.find(filter)?;
        let value = self.nodes[node as usize].values_mut(below).remove(is)?;
        self.len -= 1;
        self.prune(node, filter);
        Some(value)
    }

    /// The values under exactly this filter.
    pub fn get(&self, filter: &TopicFilter) -> &[T] {
        let Some((node, below)) = self.find(filter) else { return &[] };
        let node = &self.nodes[node as usize];
        if below { node.below.as_slice() } else { node.here.as_slice() }
    }

    /// The values under exactly this filter, to be changed in place.
    pub fn get_mut(&mut self, filter: &TopicFilter) -> &mut [T] {
        let Some((node, below)) = self.find(filter) else { return &mut [] };
        self.nodes[node as usize].values_mut(below).as_mut_slice()
    }

    /// Calls `visit` with every value whose filter matches `topic`, by the rules of [`crate::matches`]. The order of
    /// filters is not specified. Gives the number of nodes that were looked at: one for each way that filters can begin as
    /// the topic does, which may be many where very many filters have `+` in all places.
    pub fn matching<'a>(&'a self, topic: &str, mut visit: impl FnMut(&'a T)) -> usize {
        if self.len == 0 {
            return 0;
        }
        let mut levels = Levels::of(topic);
        if topic.starts_with('$') {
            // Neither `#` nor `+` at the start matches a name of the server's own.
            if let Some(node) = self.literal(ROOT, 0, &mut levels) {
                self.walk(node, 1, &mut levels, &mut visit);
            }
            return levels.nodes;
        }
        self.walk(ROOT, 0, &mut levels, &mut visit);
        levels.nodes
    }

    /// Visits what ends at `node`, reached after `depth` levels, and goes on below it. Nests once for each `+` that
    /// stands beside a level of the name, at most [`crate::LEVELS_MAX`] times.
    fn walk<'a>(
        &'a self,
        mut node: u32,
        mut depth: usize,
        levels: &mut Levels<'_>,
        visit: &mut impl FnMut(&'a T),
    ) {
        loop {
            levels.nodes += 1;
            let at = &self.nodes[node as usize];
            at.below.as_slice().iter().for_each(&mut *visit);
            if !levels.reach(depth) {
                at.here.as_slice().iter().for_each(&mut *visit);
                return;
            }
            let literal = if at.edges == 0 { None } else { self.literal(node, depth, levels) };
            node = match (at.plus, literal) {
                (NONE, None) => return,
                (NONE, Some(literal)) => literal,
                (plus, None) => plus,
                (plus, Some(literal)) => {
                    self.walk(plus, depth + 1, levels, visit);
                    literal
                }
            };
            depth += 1;
        }
    }

    /// Where the level at `depth` leads from `node`.
    fn literal(&self, node: u32, depth: usize, levels: &mut Levels<'_>) -> Option<u32> {
        let (level, hash) = levels.level(depth, &self.hasher)?;
        self.child(node, level, hash)
    }

    fn child(&self, parent: u32, level: &str, level_hash: u64) -> Option<u32> {
        let is_edge = |node: &u32| {
            let node = &self.nodes[*node as usize];
            node.parent == parent && node.level.is(level)
        };
        self.edges.find(edge_hash(parent, level_hash), is_edge).copied()
    }

    fn find(&self, filter: &TopicFilter) -> Option<(u32, bool)> {
        let (path, below) = split_filter(filter);
        let mut node = ROOT;
        for level in path {
            node = if level == "+" {
                Some(self.nodes[node as usize].plus).filter(|plus| *plus != NONE)?
            } else {
                self.child(node, level, self.hasher.hash_one(level.as_bytes()))?
            };
        }
        Some((node, below))
    }

    fn child_or_new(&mut self, parent: u32, level: &str) -> u32 {
        if level == "+" {
            if self.nodes[parent as usize].plus == NONE {
                self.nodes[parent as usize].plus = self.new_node(parent, level);
            }
            return self.nodes[parent as usize].plus;
        }
        let hash = self.hasher.hash_one(level.as_bytes());
        if let Some(child) = self.child(parent, level, hash) {
            return child;
        }
        let child = self.new_node(parent, level);
        let Self { edges, nodes, hasher, .. } = self;
        edges.insert_unique(edge_hash(parent, hash), child, |node| {
            let node = &nodes[*node as usize];
            edge_hash(node.parent, hasher.hash_one(node.level.as_bytes()))
        });
        self.nodes[parent as usize].edges += 1;
        child
    }

    fn new_node(&mut self, parent: u32, level: &str) -> u32 {
        let node = Node::new(parent, level);
        match self.node_free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        }
    }

    /// Takes back `node`, where `filter` ends, and those above it, as far as nothing hangs on them.
    fn prune(&mut self, mut node: u32, filter: &TopicFilter) {
        let (path, _) = split_filter(filter);
        for level in path.rev() {
            let Node { parent, plus, edges, ref here, ref below, .. } = self.nodes[node as usize];
            if plus != NONE || edges > 0 || !here.as_slice().is_empty() || !below.as_slice().is_empty() {
                return;
            }
            if level == "+" {
                self.nodes[parent as usize].plus = NONE;
            } else {
                let hash = edge_hash(parent, self.hasher.hash_one(level.as_bytes()));
                if let Ok(edge) = self.edges.find_entry(hash, |child| *child == node) {
                    edge.remove();
                }
                self.nodes[parent as usize].edges -= 1;
            }
            self.nodes[node as usize].level = LevelText::of("");
            self.node_free.push(node);
            node = parent;
        }
    }
}

/// The hash of an edge, from that of its level.
fn edge_hash(parent: u32, level_hash: u64) -> u64 {
    // The table takes places from the low bits and tags from the high ones: both must feel the parent.
    let mixed = (level_hash ^ u64::from(parent)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ mixed >> 32
}

impl<T> Node<T> {
    fn new(parent: u32, level: &str) -> Self {
        let (here, below) = (Few::None, Few::None);
        Self { parent, plus: NONE, edges: 0, level: LevelText::of(level), here, below }
    }

    fn values_mut(&mut self, below: bool) -> &mut Few<T> {
        if below { &mut self.below } else { &mut self.here }
    }
}

impl<T> Few<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Few::None => &[],
            Few::One(value) => std::slice::from_ref(value),
            Few::Many(values) => values,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Few::None => &mut [],
            Few::One(value) => std::slice::from_mut(value),
            Few::Many(values) => values,
        }
    }

    fn push(&mut self, value: T) {
        *self = match std::mem::take(self) {
            Few::None => Few::One(value),
            Few::One(first) => Few::Many(Box::new(vec![first, value])),
            Few::Many(mut values) => {
                values.push(value);
                Few::Many(values)
            }
        };
    }

    /// Takes out the first value that `is` picks.
    fn remove(&mut self, is: impl FnMut(&T) -> bool) -> Option<T> {
        let at = self.as_slice().iter().position(is)?;
        let (value, rest) = match std::mem::take(self) {
            Few::None => return None,
            Few::One(value) => (value, Few::None),
            Few::Many(mut values) => {
                let value = values.remove(at);
                let rest = match values.len() {
                    1 => values.pop().map_or(Few::None, Few::One),
                    _ => Few::Many(values),
                };
                (value, rest)
            }
        };
        *self = rest;
        Some(value)
    }
}

impl LevelText {
    const SHORT: usize = 14;

    fn of(text: &str) -> Self {
        if text.len() > Self::SHORT {
            return LevelText::Long(Box::new(text.into()));
        }
        let mut bytes = [0; Self::SHORT];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        LevelText::Short { length: text.len() as u8, bytes }
    }

    fn is(&self, text: &str) -> bool {
        self.as_bytes() == text.as_bytes()
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            LevelText::Short { length, bytes } => &bytes[..usize::from(*length)],
            LevelText::Long(text) => text.as_bytes(),
        }
    }
}

/// The levels down to the node that holds a filter's values, and whether it ends in `#`.
fn split_filter(filter: &TopicFilter) -> (std::str::Split<'_, char>, bool) {
    let mut path = split_levels(filter.as_str());
    let below = filter.as_str() == "#" || filter.as_str().ends_with("/#");
    if below {
        path.next_back();
    }
    (path, below)
}

/// The levels of the topic of one look-up, cut from the front as the search goes down.
struct Levels<'t> {
    topic: &'t str,
    /// What is not cut yet; `None` after the last level.
    rest: Option<&'t str>,
    /// The number of levels cut.
    cut: usize,
    /// The number of nodes that the search has come to.
    nodes: usize,
    /// The first levels, with their hash once it was asked for.
    kept: [Level<'t>; KEPT],
}

#[derive(Clone, Copy)]
struct Level<'t> {
    text: &'t str,
    /// 0 is not asked for yet; a level whose hash is 0 is hashed again, which is no harm.
    hash: u64,
}

impl<'t> Levels<'t> {
    fn of(topic: &'t str) -> Self {
        Self { topic, rest: Some(topic), cut: 0, nodes: 0, kept: [Level { text: "", hash: 0 }; KEPT] }
    }

    /// Whether the topic has a level at `depth`.
    fn reach(&mut self, depth: usize) -> bool {
        while self.cut <= depth {
            let Some(rest) = self.rest else { return false };
            let (level, rest) = match rest.bytes().position(|byte| byte == b'/') {
                Some(end) => (&rest[..end], Some(&rest[end + 1..])),
                None => (rest, None),
            };
            if let Some(kept) = self.kept.get_mut(self.cut) {
                kept.text = level;
            }
            self.rest = rest;
            self.cut += 1;
        }
        true
    }

    /// The level at `depth` with its hash; `None` if the topic has none.
    fn level(&mut self, depth: usize, hasher: &DefaultHashBuilder) -> Option<(&'t str, u64)> {
        if !self.reach(depth) {
            return None;
        }
        let Some(kept) = self.kept.get_mut(depth) else {
            let text = split_levels(self.topic).nth(depth)?;
            return Some((text, hasher.hash_one(text.as_bytes())));
        };
        if kept.hash == 0 {
            kept.hash = hasher.hash_one(kept.text.as_bytes());
        }
        Some((kept.text, kept.hash))
    }
}

const _: () = assert!(size_of::<Node<u32>>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matches;
    use proptest::prelude::*;

    fn found(index: &Index<usize>, topic: &str) -> Vec<usize> {
        let mut found = Vec::new();
        index.matching(topic, |value| found.push(*value));
        found.sort_unstable();
        found
    }

    /// Few distinct levels, so that filters and topics meet often.
    fn text(levels: &'static str) -> impl Strategy<Value = String> {
        proptest::string::string_regex(levels).unwrap()
    }

    fn filters() -> impl Strategy<Value = Vec<TopicFilter>> {
        let filter = text("(\\$?[ab]?|\\+)(/([abc]?|\\+)){0,15}(/#)?|#")
            .prop_filter_map("a filter", |text| TopicFilter::parse(&text).ok());
        proptest::collection::vec(filter, 0..40)
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_matcher(
            filters in filters(),
            gone in proptest::collection::vec(any::<bool>(), 40),
            topics in proptest::collection::vec(text("\\$?[abd]?(/[abc]?){0,16}"), 1..20),
        ) {
            let mut index = Index::new();
            for (at, filter) in filters.iter().enumerate() {
                index.insert(filter, at);
            }
            for (at, filter) in filters.iter().enumerate().filter(|(at, _)| gone[*at]) {
                prop_assert_eq!(index.remove(filter, |value| *value == at), Some(at));
            }
            prop_assert_eq!(index.len(), (0..filters.len()).filter(|at| !gone[*at]).count());
            for topic in topics.iter().filter(|topic| !topic.is_empty()) {
                let naive: Vec<usize> = (0..filters.len())
                    .filter(|at| !gone[*at] && matches(filters[*at].as_str(), topic))
                    .collect();
                prop_assert_eq!(found(&index, topic), naive, "{}", topic);
            }
        }

        #[test]
        fn an_emptied_index_holds_nothing(filters in filters()) {
            let mut index = Index::new();
            for round in 0..2 {
                for (at, filter) in filters.iter().enumerate() {
                    index.insert(filter, at + round);
                }
                for (at, filter) in filters.iter().enumerate() {
                    prop_assert_eq!(index.remove(filter, |value| *value == at + round), Some(at + round));
                }
                prop_assert!(index.is_empty() && index.edges.is_empty());
                prop_assert_eq!(index.nodes.len() - index.node_free.len(), 1);
            }
        }
    }

    #[test]
    fn values_under_one_filter_keep_their_order() {
        let filter = TopicFilter::parse("a/+").unwrap();
        let mut index = Index::new();
        index.insert(&filter, 1);
        index.insert(&filter, 2);
        index.get_mut(&filter)[0] = 3;
        assert_eq!(index.get(&filter), [3, 2]);
        assert_eq!(index.remove(&filter, |value| *value == 9), None);
        assert_eq!(index.remove(&TopicFilter::parse("a/#").unwrap(), |_| true), None);
        assert_eq!(found(&index, "a/b"), [2, 3]);
        assert_eq!(index.remove(&filter, |value| *value == 3), Some(3));
        index.insert(&filter, 4);
        index.insert(&filter, 5);
        assert_eq!(index.get(&filter), [2, 4, 5]);
    }

    #[test]
    fn a_deep_filter_and_a_deeper_topic_are_no_trouble() {
        let mut index = Index::new();
        let deep = format!("{}#", "+/".repeat(crate::LEVELS_MAX - 1));
        index.insert(&TopicFilter::parse(&deep).unwrap(), 1);
        index.insert(&TopicFilter::parse("#").unwrap(), 2);
        assert_eq!(found(&index, &"/".repeat(65_535)), [1, 2]);
    }
}
