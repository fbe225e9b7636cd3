use value::json::Name;

use crate::Program;

/// One step of a payload path that the scan can follow by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathStep {
    /// What an object holds under this key.
    Key(Box<[u8]>),
    /// The element of an array at this place, from 1.
    Index(u32),
}

/// The payload paths that a program reads, each once.
#[derive(Debug, Clone, Default)]
pub(crate) struct PathSet(Vec<Box<[PathStep]>>);

impl PathSet {
    /// The place of a path in the set, which it joins if it is new.
    pub(crate) fn place(&mut self, path: Vec<PathStep>) -> u32 {
        let path = path.into_boxed_slice();
        let at = self.0.iter().position(|known| *known == path).unwrap_or_else(|| {
            self.0.push(path);
            self.0.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// Whether the program reads nothing inside of the payload.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The path at a place.
    pub(crate) fn path(&self, place: u32) -> &[PathStep] {
        self.0.get(place as usize).map_or(&[], |path| path)
    }
}

/// The payload paths of several programs as one trie, so that a message's payload is scanned once for all of them.
///
/// Built once for each set of programs that match a topic, and kept as long as they run. Nodes are numbered from the
/// root, parents before children, so that what lies below a node is a range.
#[derive(Debug, Default)]
pub struct Union {
    nodes: Vec<Node>,
    /// For each program, the node at the end of each of its paths.
    programs: Vec<Box<[u32]>>,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    /// One past the last node below this one.
    pub(crate) end: u32,
    /// The node above; the root is its own.
    pub(crate) parent: u32,
    /// What leads here from above; for the root an index that is never met.
    pub(crate) step: Option<PathStep>,
    pub(crate) keys: Box<[(Name, Below)]>,
    pub(crate) indexes: Box<[(u32, u32)]>,
}

/// A node below another one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Below {
    pub(crate) node: u32,
    /// Whether no path goes on from there.
    pub(crate) is_leaf: bool,
}

/// A node while the trie grows, in the order of insertion.
#[derive(Default)]
struct Growing {
    step: Option<PathStep>,
    children: Vec<usize>,
}

impl Union {
    /// The union of what these programs read. Their places in the list are how [`crate::Message::run`] knows them.
    pub fn of(programs: &[&Program]) -> Self {
        Self::of_sets(programs.iter().map(|program| program.paths()))
    }

    /// The union of these paths, each set in the place of a program.
    pub(crate) fn of_sets<'s>(sets: impl IntoIterator<Item = &'s PathSet>) -> Self {
        let mut growing = vec![Growing::default()];
        let mut ends = Vec::new();
        for set in sets {
            ends.push(set.0.iter().map(|path| insert(&mut growing, path)).collect::<Vec<_>>());
        }
        if ends.iter().all(Vec::is_empty) {
            return Self { nodes: Vec::new(), programs: ends.into_iter().map(|_| Box::default()).collect() };
        }
        let mut nodes = Vec::with_capacity(growing.len());
        let mut numbers = vec![0; growing.len()];
        number(&growing, 0, 0, &mut nodes, &mut numbers);
        let programs =
            ends.into_iter().map(|ends| ends.into_iter().map(|end| numbers[end]).collect()).collect();
        Self { nodes, programs }
    }

    /// Whether any of the programs reads inside of the payload.
    pub fn needs_scan(&self) -> bool {
        !self.nodes.is_empty()
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes of one program's paths; empty for a program that does not belong to the union.
    pub(crate) fn program(&self, place: usize) -> &[u32] {
        self.programs.get(place).map_or(&[], |nodes| nodes)
    }
}

fn insert(growing: &mut Vec<Growing>, path: &[PathStep]) -> usize {
    let mut at = 0;
    for step in path {
        let known =
            growing[at].children.iter().copied().find(|child| growing[*child].step.as_ref() == Some(step));
        at = known.unwrap_or_else(|| {
            growing.push(Growing { step: Some(step.clone()), children: Vec::new() });
            let child = growing.len() - 1;
            growing[at].children.push(child);
            child
        });
    }
    at
}

/// Copies a node and what lies below it. Recursion is as deep as the longest path, which the parser bounds.
fn number(growing: &[Growing], at: usize, parent: u32, nodes: &mut Vec<Node>, numbers: &mut [u32]) {
    let own = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    numbers[at] = own;
    nodes.push(Node { parent, step: growing[at].step.clone(), ..Node::default() });
    let (mut keys, mut indexes) = (Vec::new(), Vec::new());
    for child in &growing[at].children {
        number(growing, *child, own, nodes, numbers);
        match growing[*child].step.clone() {
            Some(PathStep::Key(key)) => {
                let below = Below { node: numbers[*child], is_leaf: growing[*child].children.is_empty() };
                keys.push((Name::new(&key), below));
            }
            Some(PathStep::Index(index)) => indexes.push((index, numbers[*child])),
            None => {}
        }
    }
    let end = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    let node = &mut nodes[own as usize];
    (node.end, node.keys, node.indexes) = (end, keys.into(), indexes.into());
}
