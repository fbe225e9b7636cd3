//! Which filters a set of topics may meet, without looking at all of them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use crate::loops::graph::Graph;
use crate::loops::topics::{Level, Topics, overlap};

/// The filters that are listened to at one place, each once: a trie of their levels, so that a topic of which the first levels
/// are known is held only against what begins with the same; and one of their levels from behind, for topics of which the last
/// are.
///
/// A topic that ends in anything meets everything below some node. So nodes are vertices of the graph as filters are, and what
/// leads to a thousand filters below a node leads to the node.
#[derive(Default)]
pub(super) struct Ears {
    filters: Vec<Vec<Topics>>,
    numbers: HashMap<String, usize>,
    forth: Trie,
    /// Of the filters that do not end in `#`.
    back: Trie,
    /// The vertex of the first filter; the vertices of the nodes follow.
    first: usize,
    /// What was asked before: many rules publish to the same topics.
    known: HashMap<Vec<Topics>, usize>,
    steps: usize,
}

/// Filters by their levels.
struct Trie {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    children: BTreeMap<Box<[u8]>, usize>,
    plus: Option<usize>,
    /// Filters that end here.
    ends: Vec<usize>,
    /// Those that go on with `#`, and nothing but that.
    hashes: Vec<usize>,
    /// How many of the first there are here and below.
    ends_below: usize,
    /// How many of the second.
    hashes_below: usize,
}

/// What a node is in the graph. At the root, what begins with a dollar sign is left out: no wildcard matches it, and no
/// placeholder in front prints it (MQTT 5.0 §4.7.2).
#[derive(Clone, Copy)]
enum Reach {
    /// Every filter that ends here or below.
    All,
    /// Every filter that ends below, those with `#` right here among them.
    Below,
    /// Every filter with `#` here or below.
    Hashes,
}

/// What a walk has found.
#[derive(Default)]
struct Near {
    /// Filters that may match.
    filters: Vec<usize>,
    /// Nodes of which everything matches, to that reach.
    nodes: Vec<(usize, Reach)>,
    /// Nodes of which nothing more is known than that filters without `#` here or below may match.
    open: Vec<usize>,
}

/// Where one level may be anything, so many that are known are tried.
const TRIED_MAX: usize = 16;
/// What may be looked at for each filter and set of topics, on average. What may print nearly anything, and then something that
/// is known, has to be held against nearly all filters; a warning must not take minutes, so what comes after that is not
/// looked at.
const STEPS_EACH: usize = 128;

impl Ears {
    /// The number of a filter.
    pub(super) fn number(&mut self, filter: &str) -> usize {
        if let Some(number) = self.numbers.get(filter) {
            return *number;
        }
        let number = self.filters.len();
        self.filters.push(Topics::of_filter(filter));
        self.numbers.insert(filter.to_owned(), number);
        if let Ok(subscription) = topic::Subscription::parse(filter) {
            let levels: Vec<&str> = topic::split_levels(subscription.filter.as_str()).collect();
            self.forth.add(levels.iter().copied(), number);
            if levels.last() != Some(&"#") {
                self.back.add(levels.iter().rev().copied(), number);
            }
        }
        number
    }

    /// What a filter matches.
    pub(super) fn topics(&self, number: usize) -> &[Topics] {
        &self.filters[number]
    }

    /// What was looked at so far.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// Puts the filters into the graph, once all are there.
    pub(super) fn lay(&mut self, graph: &mut Graph) {
        self.first = graph.add(self.filters.len() + 3 * self.forth.nodes.len());
        for (number, node) in self.forth.nodes.iter().enumerate() {
            let [all, below, hashes] =
                [Reach::All, Reach::Below, Reach::Hashes].map(|reach| self.vertex_of(number, reach));
            node.ends.iter().for_each(|filter| graph.link(all, self.vertex(*filter)));
            graph.link(all, below);
            for filter in &node.hashes {
                graph.link(below, self.vertex(*filter));
                graph.link(hashes, self.vertex(*filter));
            }
            for child in self.forth.children(number, b"").chain(node.plus) {
                graph.link(below, self.vertex_of(child, Reach::All));
                graph.link(hashes, self.vertex_of(child, Reach::Hashes));
            }
        }
        self.steps += graph.len() - self.first;
    }

    /// The vertex of a filter, once the filters are in the graph.
    pub(super) fn vertex(&self, number: usize) -> usize {
        self.first + number
    }

    fn vertex_of(&self, node: usize, reach: Reach) -> usize {
        self.first + self.filters.len() + 3 * node + reach as usize
    }

    /// The vertex that leads to every filter that matches some topic of these sets.
    pub(super) fn hearing(&mut self, published: &[Topics], graph: &mut Graph) -> usize {
        self.steps += 1;
        if let Some(known) = self.known.get(published) {
            return *known;
        }
        let vertex = graph.add(1);
        self.known.insert(published.to_vec(), vertex);
        if self.steps >= STEPS_EACH * (self.filters.len() + self.known.len()) {
            return vertex;
        }
        let mut near = Near::default();
        for topics in published {
            let levels: Vec<Level> = topics.levels().collect();
            self.walk(&levels, &mut near);
        }
        near.nodes.iter().for_each(|(node, reach)| graph.link(vertex, self.vertex_of(*node, *reach)));
        near.filters.sort_unstable();
        near.filters.dedup();
        self.steps += near.filters.len() + near.nodes.len();
        near.filters.retain(|number| overlap(published, &self.filters[*number]));
        near.filters.iter().for_each(|filter| graph.link(vertex, self.vertex(*filter)));
        vertex
    }

    /// Collects what may match a topic of these levels.
    fn walk(&mut self, levels: &[Level], near: &mut Near) {
        self.steps += self.forth.walk(levels, near);
        let open = std::mem::take(&mut near.open);
        let count: usize = open.iter().map(|node| self.forth.nodes[*node].ends_below).sum();
        // From behind it may be fewer; if not, the look at it has cost no more than looking at all of them does.
        let mut behind = Vec::new();
        let reversed: Vec<&Level> = levels.iter().rev().collect();
        if let Some(steps) = self.back.walk_back(&reversed, count, &mut behind) {
            self.steps += steps;
            near.filters.append(&mut behind);
        } else {
            self.steps += 2 * count;
            open.iter().for_each(|node| self.forth.ends_below(*node, &mut near.filters));
        }
    }
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Trie {
    const ROOT: usize = 0;

    fn add<'t>(&mut self, levels: impl Iterator<Item = &'t str>, number: usize) {
        let (mut at, mut way) = (Self::ROOT, vec![Self::ROOT]);
        for level in levels {
            if level == "#" {
                self.nodes[at].hashes.push(number);
                return way.into_iter().for_each(|at| self.nodes[at].hashes_below += 1);
            }
            let new = self.nodes.len();
            let node = &mut self.nodes[at];
            at = match level {
                "+" => *node.plus.get_or_insert(new),
                text => *node.children.entry(text.as_bytes().into()).or_insert(new),
            };
            if at == new {
                self.nodes.push(Node::default());
            }
            way.push(at);
        }
        self.nodes[at].ends.push(number);
        way.into_iter().for_each(|at| self.nodes[at].ends_below += 1);
    }

    /// Collects what may match for all that is known of the first levels. Returns how many nodes were visited.
    fn walk(&self, levels: &[Level], near: &mut Near) -> usize {
        let is_dollar = match levels.first() {
            Some(Level::Text(text) | Level::Unknown { start: text, .. }) => text.starts_with(b"$"),
            Some(Level::Any) | None => false,
        };
        let mut steps = 0;
        let mut open = vec![(Self::ROOT, levels)];
        while let Some((at, levels)) = open.pop() {
            steps += 1;
            let node = &self.nodes[at];
            let takes_wildcards = at != Self::ROOT || !is_dollar;
            if takes_wildcards {
                near.filters.extend(&node.hashes);
            }
            let Some((level, rest)) = levels.split_first() else {
                near.filters.extend(&node.ends);
                continue;
            };
            let plus = node.plus.filter(|_| takes_wildcards);
            match level {
                Level::Text(text) => {
                    open.extend(
                        node.children.get(&**text).into_iter().chain(&plus).map(|child| (*child, rest)),
                    );
                }
                // Too many to try each; from behind more may be known.
                Level::Any if node.children.len() > TRIED_MAX => {
                    steps += node.hashes_below;
                    self.hashes_below(at, &mut near.filters);
                    near.open.push(at);
                }
                Level::Any => {
                    open.extend(self.children(at, b"").chain(plus).map(|child| (child, rest)));
                }
                Level::Unknown { start, is_text: true, is_last } if start.is_empty() => {
                    let ends_here = *is_last && rest.is_empty();
                    near.nodes.push((at, if ends_here { Reach::Below } else { Reach::Hashes }));
                    near.open.extend((!ends_here).then_some(at));
                }
                Level::Unknown { start, is_text, is_last } => {
                    for child in self.children(at, start).chain(plus) {
                        steps += 1;
                        match (*is_text, *is_last && rest.is_empty()) {
                            (true, true) => near.nodes.push((child, Reach::All)),
                            (true, false) => {
                                near.nodes.push((child, Reach::Hashes));
                                near.open.push(child);
                            }
                            (false, _) => {
                                steps += self.nodes[child].hashes_below;
                                self.hashes_below(child, &mut near.filters);
                                near.open.push(child);
                            }
                        }
                    }
                }
            }
        }
        steps
    }

    /// The children whose level begins like this, unless they are those of the server at the root.
    fn children<'t>(&'t self, at: usize, start: &'t [u8]) -> impl Iterator<Item = usize> + 't {
        let is_hidden =
            move |level: &[u8]| at == Self::ROOT && !start.starts_with(b"$") && level.starts_with(b"$");
        let range = self.nodes[at].children.range::<[u8], _>((Bound::Included(start), Bound::Unbounded));
        range
            .take_while(move |(level, _)| level.starts_with(start))
            .filter(move |(level, _)| !is_hidden(level))
            .map(|(_, child)| *child)
    }

    /// Collects what may match for all that is known of the last levels, in a trie of levels from behind. Returns how many steps
    /// that took; `None` where it would take more than these.
    fn walk_back(&self, levels: &[&Level], steps_max: usize, found: &mut Vec<usize>) -> Option<usize> {
        let mut steps = 0;
        let mut open = vec![(Self::ROOT, levels)];
        while let Some((at, levels)) = open.pop() {
            let node = &self.nodes[at];
            steps += 1;
            if steps > steps_max {
                return None;
            }
            let Some((level, rest)) = levels.split_first() else {
                found.extend(&node.ends);
                continue;
            };
            match level {
                Level::Text(text) => {
                    open.extend(
                        node.children.get(&**text).into_iter().chain(&node.plus).map(|child| (*child, rest)),
                    );
                }
                Level::Any => {
                    open.extend(node.children.values().chain(&node.plus).map(|child| (*child, rest)));
                }
                Level::Unknown { .. } => {
                    steps += node.ends_below;
                    if steps > steps_max {
                        return None;
                    }
                    self.ends_below(at, found);
                }
            }
        }
        Some(steps)
    }

    fn ends_below(&self, at: usize, found: &mut Vec<usize>) {
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            let node = &self.nodes[at];
            found.extend(&node.ends);
            open.extend(
                node.children.values().chain(&node.plus).filter(|child| self.nodes[**child].ends_below > 0),
            );
        }
    }

    fn hashes_below(&self, at: usize, found: &mut Vec<usize>) {
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            let node = &self.nodes[at];
            found.extend(&node.hashes);
            let children = node.children.values().chain(&node.plus);
            open.extend(children.filter(|child| self.nodes[**child].hashes_below > 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use template::Template;

    use super::*;

    /// The filters that a vertex leads to.
    fn heard(ears: &Ears, graph: &Graph, vertex: usize) -> Vec<usize> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![vertex]);
        while let Some(at) = open.pop() {
            if seen.insert(at) {
                open.extend(graph.next(at));
            }
        }
        (0..ears.filters.len()).filter(|number| seen.contains(&ears.vertex(*number))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn finds_what_holding_against_each_finds(
            filters in proptest::collection::vec(
                "(\\$share/g/|\\$queue/)?[$a-b+]?(/([ab+]|ab)?){0,3}(/#)?|#|\\$a/[+#]", 1..20
            ),
            heard_by in "[a-b+]?(/[ab+]?){0,2}(/#)?",
            template in "([ab$]|\\$\\{topic\\}|\\$\\{x\\})?(/([ab]?(\\$\\{x\\})?|\\$\\{topic\\}|\\$\\{x\\}b)){0,3}",
        ) {
            let mut ears = Ears::default();
            for filter in &filters {
                ears.number(filter);
            }
            let inputs = Topics::of_filter(&heard_by);
            let (template, _) = Template::parse(&template);
            let published = Topics::of_template(&template, &inputs);
            let naive: Vec<usize> = (0..ears.filters.len())
                .filter(|number| overlap(&published, ears.topics(*number)))
                .collect();
            let mut graph = Graph::default();
            ears.lay(&mut graph);
            let vertex = ears.hearing(&published, &mut graph);
            prop_assert_eq!(heard(&ears, &graph, vertex), naive);
            prop_assert_eq!(ears.hearing(&published, &mut graph), vertex, "and again");
        }
    }
}
