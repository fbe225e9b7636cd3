use hashbrown::HashMap;

use crate::name::{TopicFilter, split_levels};

/// Many filters with their values, asked which of them match one topic.
///
/// A trie: levels are interned to numbers, edges live in one hash table keyed by (node, level), `+` is an edge of its
/// own and `#` a list of values at the node above it. One look-up costs one hash of each level and one probe per node
/// that can still match; it allocates nothing. Built once for a rule set, or changed in place for subscriptions: nodes
/// and levels without use are taken back.
///
/// Several values may stand under one filter, also equal ones; they come out in the order in which they went in.
#[derive(Debug, Clone)]
pub struct Index<T> {
    levels: HashMap<Box<str>, Level>,
    level_next: u32,
    level_free: Vec<u32>,
    edges: HashMap<(u32, u32), u32>,
    nodes: Vec<Node<T>>,
    node_free: Vec<u32>,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    id: u32,
    edges: u32,
}

#[derive(Debug, Clone)]
struct Node<T> {
    /// The node above and the level that leads here; for taking empty branches back.
    parent: u32,
    level: u32,
    /// Where `+` leads.
    plus: u32,
    /// Edges out of this node other than `+`.
    edges: u32,
    /// Values of filters that end here.
    here: Vec<T>,
    /// Values of filters that end in `#` below here.
    below: Vec<T>,
}

const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;
const PLUS: u32 = u32::MAX;

/// Level numbers that are kept at hand while a look-up follows several branches; deeper ones are looked up again.
const KEPT: usize = 12;

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Index<T> {
    /// An index without filters.
    pub fn new() -> Self {
        Self {
            levels: HashMap::new(),
            level_next: 0,
            level_free: Vec::new(),
            edges: HashMap::new(),
            nodes: vec![Node::new(NONE, NONE)],
            node_free: Vec::new(),
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
        let node = &mut self.nodes[node as usize];
        if below {
            node.below.push(value)
        } else {
            node.here.push(value)
        }
        self.len += 1;
    }

    /// Takes out the first value under exactly this filter that `is` picks.
    pub fn remove(&mut self, filter: &TopicFilter, is: impl FnMut(&T) -> bool) -> Option<T> {
        let (node, below) = self.find(filter)?;
        let values = self.values_mut(node, below);
        let at = values.iter().position(is)?;
        let value = values.remove(at);
        if values.is_empty() {
            *values = Vec::new();
        }
        self.len -= 1;
        self.prune(node, filter);
        Some(value)
    }

    /// The values under exactly this filter.
    pub fn get(&self, filter: &TopicFilter) -> &[T] {
        match self.find(filter) {
            None => &[],
            Some((node, true)) => &self.nodes[node as usize].below,
            Some((node, false)) => &self.nodes[node as usize].here,
        }
    }

    /// The values under exactly this filter, to be changed in place.
    pub fn get_mut(&mut self, filter: &TopicFilter) -> &mut [T] {
        match self.find(filter) {
            None => &mut [],
            Some((node, below)) => self.values_mut(node, below),
        }
    }

    /// Calls `visit` with every value whose filter matches `topic`, by the rules of [`crate::matches`]. The order of
    /// filters is not specified.
    pub fn matching<'a>(&'a self, topic: &str, mut visit: impl FnMut(&'a T)) {
        if self.len == 0 {
            return;
        }
        let mut levels = Levels::of(topic);
        let root = &self.nodes[ROOT as usize];
        if topic.starts_with('$') {
            // Neither `#` nor `+` at the start matches a name of the server's own.
            let level = levels.id(0, &self.levels);
            if let Some(&node) = level.and_then(|level| self.edges.get(&(ROOT, level))) {
                self.walk(node, 1, &mut levels, &mut visit);
            }
        } else {
            root.below.iter().for_each(&mut visit);
            if let Some(next) = self.branch(root, ROOT, 0, &mut levels, &mut visit) {
                self.walk(next, 1, &mut levels, &mut visit);
            }
        }
    }

    /// Visits what ends at `node`, reached after `depth` levels, and goes on below it.
    fn walk<'a>(
        &'a self,
        mut node: u32,
        mut depth: usize,
        levels: &mut Levels<'_>,
        visit: &mut impl FnMut(&'a T),
    ) {
        loop {
            let at = &self.nodes[node as usize];
            at.below.iter().for_each(&mut *visit);
            if !levels.reach(depth) {
                at.here.iter().for_each(&mut *visit);
                return;
            }
            match self.branch(at, node, depth, levels, visit) {
                Some(next) => (node, depth) = (next, depth + 1),
                None => return,
            }
        }
    }

    /// Follows `+` to its end, which nests at most [`crate::LEVELS_MAX`] calls, and gives where the name itself leads.
    fn branch<'a>(
        &'a self,
        at: &Node<T>,
        node: u32,
        depth: usize,
        levels: &mut Levels<'_>,
        visit: &mut impl FnMut(&'a T),
    ) -> Option<u32> {
        let literal = if at.edges == 0 {
            None
        } else {
            levels.id(depth, &self.levels).and_then(|level| self.edges.get(&(node, level)).copied())
        };
        match (at.plus, literal) {
            (NONE, literal) => literal,
            (plus, None) => Some(plus),
            (plus, literal) => {
                self.walk(plus, depth + 1, levels, visit);
                literal
            }
        }
    }

    fn find(&self, filter: &TopicFilter) -> Option<(u32, bool)> {
        let (path, below) = split_filter(filter);
        let mut node = ROOT;
        for level in path {
            node = if level == "+" {
                Some(self.nodes[node as usize].plus).filter(|plus| *plus != NONE)?
            } else {
                *self.edges.get(&(node, self.levels.get(level)?.id))?
            };
        }
        Some((node, below))
    }

    fn values_mut(&mut self, node: u32, below: bool) -> &mut Vec<T> {
        let node = &mut self.nodes[node as usize];
        if below { &mut node.below } else { &mut node.here }
    }

    fn child_or_new(&mut self, parent: u32, level: &str) -> u32 {
        if level == "+" {
            let plus = self.nodes[parent as usize].plus;
            if plus != NONE {
                return plus;
            }
            let node = self.new_node(parent, PLUS);
            self.nodes[parent as usize].plus = node;
            return node;
        }
        let id = self.intern(level);
        if let Some(&node) = self.edges.get(&(parent, id)) {
            return node;
        }
        let node = self.new_node(parent, id);
        self.edges.insert((parent, id), node);
        self.nodes[parent as usize].edges += 1;
        if let Some(level) = self.levels.get_mut(level) {
            level.edges += 1;
        }
        node
    }

    fn intern(&mut self, level: &str) -> u32 {
        if let Some(level) = self.levels.get(level) {
            return level.id;
        }
        let id = self.level_free.pop().unwrap_or_else(|| {
            self.level_next += 1;
            self.level_next - 1
        });
        self.levels.insert(level.into(), Level { id, edges: 0 });
        id
    }

    fn new_node(&mut self, parent: u32, level: u32) -> u32 {
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
            if !self.nodes[node as usize].is_bare() {
                return;
            }
            let Node { parent, level: id, .. } = self.nodes[node as usize];
            if id == PLUS {
                self.nodes[parent as usize].plus = NONE;
            } else {
                self.edges.remove(&(parent, id));
                self.nodes[parent as usize].edges -= 1;
                self.release(level);
            }
            self.node_free.push(node);
            node = parent;
        }
    }

    /// One edge of this level is gone; with the last the level is forgotten.
    fn release(&mut self, level: &str) {
        if let Some(kept) = self.levels.get_mut(level) {
            kept.edges -= 1;
            if kept.edges == 0 {
                self.level_free.push(kept.id);
                self.levels.remove(level);
            }
        }
    }
}

impl<T> Node<T> {
    fn new(parent: u32, level: u32) -> Self {
        Self { parent, level, plus: NONE, edges: 0, here: Vec::new(), below: Vec::new() }
    }

    fn is_bare(&self) -> bool {
        self.plus == NONE && self.edges == 0 && self.here.is_empty() && self.below.is_empty()
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

/// The levels of the topic of one look-up, taken from the front as the search goes down.
struct Levels<'t> {
    /// What is not cut yet; `None` after the last level.
    rest: Option<&'t str>,
    /// The number of levels cut.
    cut: usize,
    /// The first levels: their text, and their number once it was asked for.
    kept: [(&'t str, Option<u32>, bool); KEPT],
    topic: &'t str,
}

impl<'t> Levels<'t> {
    fn of(topic: &'t str) -> Self {
        Self { rest: Some(topic), cut: 0, kept: [("", None, false); KEPT], topic }
    }

    /// Whether the topic has a level at `depth`.
    fn reach(&mut self, depth: usize) -> bool {
        while self.cut <= depth {
            let Some(rest) = self.rest else { return false };
            let end = rest.bytes().position(|byte| byte == b'/');
            let (level, rest) = match end {
                Some(end) => (&rest[..end], Some(&rest[end + 1..])),
                None => (rest, None),
            };
            if let Some(kept) = self.kept.get_mut(self.cut) {
                kept.0 = level;
            }
            self.rest = rest;
            self.cut += 1;
        }
        true
    }

    /// The number of the level at `depth`; `None` where no filter has such a level, or the topic none at all.
    fn id(&mut self, depth: usize, levels: &HashMap<Box<str>, Level>) -> Option<u32> {
        if !self.reach(depth) {
            return None;
        }
        let number = |text: &str| levels.get(text).map(|level| level.id);
        match self.kept.get_mut(depth) {
            Some((_, id, true)) => *id,
            Some((text, id, asked)) => {
                *asked = true;
                *id = number(text);
                *id
            }
            None => split_levels(self.topic).nth(depth).and_then(number),
        }
    }
}

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
                prop_assert!(index.is_empty() && index.edges.is_empty() && index.levels.is_empty());
                prop_assert_eq!(index.nodes.len() - index.node_free.len(), 1);
                prop_assert_eq!(index.level_free.len(), index.level_next as usize);
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
