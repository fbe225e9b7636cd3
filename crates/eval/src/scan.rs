use std::cell::Cell;

use value::json::{Items, JsonError, Outline, Place};
use value::path::{self, Step};
use value::{Arena, Value};

use crate::paths::{Node, PathStep, Union};

/// What one walk over a payload has found: for each node of a [`Union`], where its value stands in the text.
///
/// The whole document has been checked. Nothing is decoded until a rule reads it, and then only once.
pub(crate) struct Scan<'m> {
    outline: Outline<'m>,
    nodes: &'m [Node],
    slots: &'m [Cell<Slot<'m>>],
    arena: &'m Arena,
}

/// What has been found for a node.
#[derive(Clone, Copy)]
struct Slot<'m> {
    place: Place,
    /// Its value, once it has been read.
    value: Option<Value<'m>>,
}

impl<'m> Slot<'m> {
    const EMPTY: Self = Self::at(Place::NOWHERE);

    const fn at(place: Place) -> Self {
        Self { place, value: None }
    }
}

impl<'m> Scan<'m> {
    /// Walks over a payload. Fails where it is not JSON, wherever in it that shows.
    pub(crate) fn new(payload: &'m [u8], union: &'m Union, arena: &'m Arena) -> Result<&'m Self, JsonError> {
        let scan = Self::over(Outline::new(payload, arena)?, union.nodes(), arena);
        scan.walk(scan.outline.root(), 0);
        Ok(scan)
    }

    /// A scan of the same document that has seen nothing yet, for the elements of an array in it.
    pub(crate) fn of_elements(&self, union: &'m Union) -> &'m Self {
        Self::over(self.outline, union.nodes(), self.arena)
    }

    #[inline]
    fn over(outline: Outline<'m>, nodes: &'m [Node], arena: &'m Arena) -> &'m Self {
        let slots = arena.bump().alloc_slice_fill_copy(nodes.len(), Slot::EMPTY);
        let slots = Cell::from_mut(slots).as_slice_of_cells();
        arena.bump().alloc(Self { outline, nodes, slots, arena })
    }

    /// The elements of the array at a node; `None` if there is none, or only one in a string.
    pub(crate) fn elements(&'m self, at: u32) -> Option<Items<'m, 'm>> {
        let place = self.slots[at as usize].get().place;
        (self.outline.first_byte(place) == b'[').then(|| self.outline.items(place))
    }

    /// Forgets what was found, and walks over one element. Gives the place behind it, if that has come out.
    pub(crate) fn read(&self, element: Place) -> Option<usize> {
        for slot in self.slots {
            slot.set(Slot::EMPTY);
        }
        // A loop may read nothing of its elements.
        if self.nodes.is_empty() { None } else { self.walk(element, 0) }
    }

    /// Walks over the value that belongs to node `at`. Recursion is as deep as the longest path. Gives the place behind
    /// the value, if that has come out.
    fn walk(&self, place: Place, at: u32) -> Option<usize> {
        self.slots[at as usize].set(Slot::at(place));
        let node = &self.nodes[at as usize];
        if !node.indexes.is_empty() {
            self.walk_items(place, node);
        }
        if node.keys.is_empty() {
            return None;
        }
        // Of doubled keys the last wins.
        self.outline.find(place, &node.keys, |below, value| match below.is_leaf {
            true => self.slots[below.node as usize].set(Slot::at(value)),
            false => self.walk_again(value, below.node),
        })
    }

    /// Goes on to a node below which paths go on, and which an entry before may have led to.
    #[inline(never)]
    fn walk_again(&self, place: Place, at: u32) {
        self.forget(at);
        self.walk(place, at);
    }

    #[inline(never)]
    fn walk_items(&self, place: Place, node: &Node) {
        let last = node.indexes.iter().map(|(index, _)| *index).max().unwrap_or(0);
        for (index, item) in (1..=last).zip(self.outline.items(place)) {
            if let Some((_, child)) = node.indexes.iter().find(|(wanted, _)| *wanted == index) {
                self.walk(item, *child);
            }
        }
    }

    /// What an earlier entry has left below a node goes.
    fn forget(&self, at: u32) {
        if !self.slots[at as usize].get().place.is_nowhere() {
            for slot in &self.slots[at as usize..self.nodes[at as usize].end as usize] {
                slot.set(Slot::EMPTY);
            }
        }
    }

    /// The value of a node; undefined where the payload has none.
    #[inline]
    pub(crate) fn get(&self, at: u32) -> Value<'m> {
        match self.slots[at as usize].get().value {
            Some(value) => value,
            None => self.decode(at),
        }
    }

    #[inline(never)]
    fn decode(&self, at: u32) -> Value<'m> {
        let slot = &self.slots[at as usize];
        let place = slot.get().place;
        let value = match place.is_nowhere() {
            false => self.outline.value(place, self.arena),
            true => self.decode_within_string(at),
        };
        slot.set(Slot { place, value: Some(value) });
        value
    }

    /// The value of a node that the walk has not found. It does not look into strings: if there is one above, it may hold
    /// JSON that goes on from there.
    fn decode_within_string(&self, at: u32) -> Value<'m> {
        let node = &self.nodes[at as usize];
        let Some(step) = &node.step else { return Value::Undefined };
        let above = self.slots[node.parent as usize].get().place;
        if !above.is_nowhere() && self.outline.first_byte(above) != b'"' {
            return Value::Undefined;
        }
        path::get_step(self.get(node.parent), step.as_step(), self.arena)
    }
}

impl PathStep {
    /// The step as values follow it.
    pub(crate) fn as_step(&self) -> Step<'_> {
        match self {
            PathStep::Key(key) => Step::Key(key),
            PathStep::Index(index) => Step::Index(i64::from(*index)),
        }
    }
}
