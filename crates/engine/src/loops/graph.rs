//! What leads where, as numbers, and the ways round in it.

use std::collections::{HashMap, VecDeque};

/// A directed graph. The first of its vertices are rules; what lies between them may be shared by any number of rules, so that
/// the graph grows with the rules and not with their square.
#[derive(Default)]
pub(super) struct Graph {
    next: Vec<Vec<usize>>,
    edges: usize,
}

/// A way from a rule back to it: its vertices, the rule first and not repeated at the end.
pub(super) type Ring = Vec<usize>;

impl Graph {
    pub(super) fn with_rules(rules: usize) -> Self {
        Self { next: vec![Vec::new(); rules], edges: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.next.len()
    }

    /// How large it is: vertices and edges.
    pub(super) fn size(&self) -> usize {
        self.next.len() + self.edges
    }

    /// Adds so many vertices; the number of the first.
    pub(super) fn add(&mut self, count: usize) -> usize {
        let first = self.next.len();
        self.next.resize(first + count, Vec::new());
        first
    }

    pub(super) fn link(&mut self, from: usize, to: usize) {
        self.next[from].push(to);
        self.edges += 1;
    }

    #[cfg(test)]
    pub(super) fn next(&self, vertex: usize) -> &[usize] {
        &self.next[vertex]
    }

    /// For each rule that leads round to itself, in their order, the way with the fewest rules, unless the rule is on one
    /// that was found before. Where very many rules lead round to each other, at least one of those is found, and of the others
    /// as many as can be in a time that grows with the graph. Adds what was looked at to `steps`.
    pub(super) fn rings(&mut self, rules: usize, steps: &mut usize) -> Vec<Ring> {
        self.next.iter_mut().for_each(|next| next.sort_unstable());
        let knots = self.knots();
        *steps += self.size();
        let mut sizes: HashMap<usize, usize> = HashMap::new();
        knots.iter().for_each(|knot| *sizes.entry(*knot).or_default() += 1);
        let mut patience = PATIENCE * self.size();
        let (mut is_told, mut is_begun) = (vec![false; rules], vec![false; self.len()]);
        let mut found = Vec::new();
        for start in (0..rules).filter(|rule| sizes[&knots[*rule]] > 1) {
            let is_first = !std::mem::replace(&mut is_begun[knots[start]], true);
            if is_told[start] || (!is_first && patience == 0) {
                continue;
            }
            let mut taken = 0;
            if let Some(ring) = self.shortest_ring(start, rules, &knots, &mut taken) {
                ring.iter().filter(|vertex| **vertex < rules).for_each(|rule| is_told[*rule] = true);
                found.push(ring);
            }
            *steps += taken;
            if !is_first {
                patience = patience.saturating_sub(taken);
            }
        }
        found
    }

    /// For each vertex the number of its knot: those that lead to each other have the same (strongly connected components, by
    /// Tarjan's algorithm, without recursion since ways may be long).
    fn knots(&self) -> Vec<usize> {
        const UNSEEN: usize = usize::MAX;
        let count = self.len();
        let (mut seen_as, mut low, mut knot) = (vec![UNSEEN; count], vec![0; count], vec![UNSEEN; count]);
        let (mut open, mut way, mut clock, mut knots) = (Vec::new(), Vec::new(), 0, 0);
        for root in 0..count {
            if seen_as[root] == UNSEEN {
                way.push((root, 0));
            }
            while let Some((vertex, at)) = way.pop() {
                if at == 0 {
                    (seen_as[vertex], low[vertex]) = (clock, clock);
                    clock += 1;
                    open.push(vertex);
                } else {
                    // Back from the one before.
                    low[vertex] = low[vertex].min(low[self.next[vertex][at - 1]]);
                }
                let mut rest = self.next[vertex].iter().enumerate().skip(at);
                let unseen = rest.find(|(_, to)| {
                    if seen_as[**to] != UNSEEN && knot[**to] == UNSEEN {
                        low[vertex] = low[vertex].min(seen_as[**to]);
                    }
                    seen_as[**to] == UNSEEN
                });
                if let Some((at, to)) = unseen {
                    way.push((vertex, at + 1));
                    way.push((*to, 0));
                } else if low[vertex] == seen_as[vertex] {
                    while let Some(member) = open.pop() {
                        knot[member] = knots;
                        if member == vertex {
                            break;
                        }
                    }
                    knots += 1;
                }
            }
        }
        knot
    }

    /// The way with the fewest rules from a rule back to it, within its knot.
    fn shortest_ring(&self, start: usize, rules: usize, knots: &[usize], steps: &mut usize) -> Option<Ring> {
        let mut came_from: HashMap<usize, usize> = HashMap::new();
        let mut round = vec![start];
        while !round.is_empty() {
            let mut next_round = Vec::new();
            for rule in round {
                let mut queue = VecDeque::from([rule]);
                while let Some(at) = queue.pop_front() {
                    if self.next[at].binary_search(&start).is_ok() {
                        let back = std::iter::successors(Some(at), |vertex| came_from.get(vertex).copied());
                        let mut ring: Ring = back.collect();
                        ring.reverse();
                        return Some(ring);
                    }
                    for to in self.next[at].iter().filter(|to| knots[**to] == knots[start]) {
                        *steps += 1;
                        if came_from.contains_key(to) {
                            continue;
                        }
                        came_from.insert(*to, at);
                        if *to < rules { next_round.push(*to) } else { queue.push_back(*to) }
                    }
                }
            }
            round = next_round;
        }
        None
    }
}

/// How often the whole graph may be looked at for further ways round among rules of which one is told already.
const PATIENCE: usize = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graph(count: usize, edges: &[(usize, usize)]) -> Graph {
        let mut graph = Graph::with_rules(count);
        edges.iter().for_each(|(from, to)| graph.link(from % count, to % count));
        graph
    }

    proptest! {
        #[test]
        fn rings_are_what_trying_every_way_finds(
            count in 1usize..9,
            rules in 1usize..9,
            edges in proptest::collection::vec((0usize..9, 0usize..9), 0..20),
        ) {
            let rules = rules.min(count);
            // No vertex but a rule leads to itself, and rules not directly.
            let edges: Vec<_> = edges.into_iter().filter(|(from, to)| from % count != to % count).collect();
            let mut graph = graph(count, &edges);
            let mut leads = vec![vec![false; count]; count];
            edges.iter().for_each(|(from, to)| leads[from % count][to % count] = true);
            for by in 0..count {
                for from in 0..count {
                    for to in 0..count {
                        leads[from][to] |= leads[from][by] && leads[by][to];
                    }
                }
            }
            let rings = graph.rings(rules, &mut 0);
            let told = |rule: usize| rings.iter().any(|ring| ring.contains(&rule));
            for (rule, leads) in leads.iter().enumerate().take(rules) {
                prop_assert_eq!(told(rule), leads[rule], "{}", rule);
            }
            for ring in &rings {
                prop_assert!(ring[0] < rules);
                for (at, from) in ring.iter().enumerate() {
                    let to = ring[(at + 1) % ring.len()];
                    prop_assert!(graph.next(*from).contains(&to), "{:?}", ring);
                }
            }
        }
    }

    #[test]
    fn a_way_may_be_very_long_and_a_shorter_one_is_preferred() {
        const LONG: usize = 50_000;
        let mut edges: Vec<_> = (0..LONG).map(|at| (at, (at + 1) % LONG)).collect();
        assert_eq!(graph(LONG, &edges).rings(LONG, &mut 0)[0].len(), LONG);
        edges.push((3, 0));
        assert_eq!(graph(LONG, &edges).rings(LONG, &mut 0)[0], [0, 1, 2, 3]);
    }

    #[test]
    fn where_all_lead_to_all_the_search_ends() {
        const SPOKES: usize = 20_000;
        let mut graph = Graph::with_rules(SPOKES + 1);
        let hub = graph.add(SPOKES);
        for spoke in 0..SPOKES {
            // A rule that leads to every other, each of which leads back to it.
            graph.link(0, hub + spoke);
            graph.link(hub + spoke, spoke + 1);
            graph.link(spoke + 1, 0);
        }
        let mut steps = 0;
        let rings = graph.rings(SPOKES + 1, &mut steps);
        assert_eq!(rings[0], [0, hub, 1]);
        assert!(rings.len() > 1 && steps <= (PATIENCE + 4) * graph.size(), "{steps}");
    }
}
