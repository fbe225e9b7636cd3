use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use value::json::Name;

use crate::Program;
use crate::program::Shape;

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
    /// Unlike that of every other one of the process: what is remembered for this one is worth nothing for any other. 0 where
    /// nothing is.
    id: u64,
    nodes: Vec<Node>,
    programs: Vec<Reads>,
    loops: Vec<ElementLoop>,
}

/// What a program reads of the payload.
#[derive(Debug)]
pub(crate) struct Reads {
    /// The node at the end of each of its paths.
    pub(crate) nodes: Vec<u32>,
    /// The number of its loop, if that goes over an array where it stands in the payload.
    pub(crate) element_loop: Option<u32>,
}

/// A loop over an array of the payload.
#[derive(Debug)]
pub(crate) struct ElementLoop {
    /// The node of the array.
    pub(crate) array: u32,
    /// What is read of each element.
    pub(crate) elements: Arc<Union>,
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
        static IDS: AtomicU64 = AtomicU64::new(1);
        let mut union = Self::of_sets(programs.iter().map(|program| program.paths()));
        if union.needs_scan() {
            union.id = IDS.fetch_add(1, Relaxed);
        }
        for (program, reads) in programs.iter().zip(&mut union.programs) {
            if let Shape::Foreach(foreach) = &program.shape
                && let Some(array) = foreach.array_path.and_then(|path| reads.nodes.get(path as usize))
            {
                reads.element_loop = u32::try_from(union.loops.len()).ok();
                union.loops.push(ElementLoop { array: *array, elements: Arc::clone(&foreach.element_union) });
            }
        }
        union
    }

    /// The union of these paths, each set in the place of a program.
    pub(crate) fn of_sets<'s>(sets: impl IntoIterator<Item = &'s PathSet>) -> Self {
        let mut growing = vec![Growing::default()];
        let mut ends = Vec::new();
        for set in sets {
            ends.push(set.0.iter().map(|path| insert(&mut growing, path)).collect::<Vec<_>>());
        }
        let mut nodes = Vec::new();
        let mut numbers = vec![0; growing.len()];
        if !ends.iter().all(Vec::is_empty) {
            number(&growing, 0, 0, &mut nodes, &mut numbers);
        }
        let reads = |ends: Vec<usize>| Reads {
            nodes: ends.into_iter().map(|end| numbers[end]).collect(),
            element_loop: None,
        };
        Self { id: 0, nodes, programs: ends.into_iter().map(reads).collect(), loops: Vec::new() }
    }

    /// What tells this one from every other; 0 where nothing is read of a payload.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether any of the programs reads inside of the payload.
    pub fn needs_scan(&self) -> bool {
        !self.nodes.is_empty()
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What one program reads; nothing for a program that does not belong to the union.
    pub(crate) fn program(&self, place: usize) -> &Reads {
        static NOTHING: Reads = Reads { nodes: Vec::new(), element_loop: None };
        self.programs.get(place).unwrap_or(&NOTHING)
    }

    /// All loops over arrays of the payload, by their numbers.
    pub(crate) fn loops(&self) -> &[ElementLoop] {
        &self.loops
    }

    /// The loop with this number, which must be one of its programs'.
    pub(crate) fn element_loop(&self, number: u32) -> &ElementLoop {
        &self.loops[number as usize]
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
