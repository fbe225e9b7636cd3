use std::cell::Cell;

use value::json::{Items, JsonError, Outline, Place};
use value::path::{self, Step};
use value::{Arena, Value};

use crate::paths::{Node, PathStep, Union};

/// What one walk over a payload has found: for each node of a [`Union`], where its value stands in the text.
///
/// The whole document has been checked. Nothing is decoded until a rule reads it, and then only once.
pub(crate) struct Scan<'m> {
    outline: &'m Outline<'m>,
    nodes: &'m [Node],
    slots: &'m [Slot<'m>],
    arena: &'m Arena,
}

/// What has been found for a node.
struct Slot<'m> {
    place: Cell<Place>,
    /// Its value, once it has been read.
    value: Cell<Option<Value<'m>>>,
}

impl<'m> Slot<'m> {
    fn empty() -> Self {
        Slot { place: Cell::new(Place::NOWHERE), value: Cell::new(None) }
    }
}

impl<'m> Scan<'m> {
    /// Walks over a payload. Fails where it is not JSON, wherever in it that shows.
    pub(crate) fn new(payload: &'m [u8], union: &'m Union, arena: &'m Arena) -> Result<&'m Self, JsonError> {
        let scan = Self::over(arena.alloc(Outline::new(payload, arena)?), union.nodes(), arena);
        scan.walk(scan.outline.root(), 0);
        Ok(scan)
    }

    /// A scan of the same document that has seen nothing yet, for the elements of an array in it.
    pub(crate) fn of_elements(&self, union: &'m Union) -> &'m Self {
        Self::over(self.outline, union.nodes(), self.arena)
    }

    #[inline]
    fn over(outline: &'m Outline<'m>, nodes: &'m [Node], arena: &'m Arena) -> &'m Self {
        let slots = arena.bump().alloc_slice_fill_with(nodes.len(), |_| Slot::empty());
        arena.bump().alloc(Self { outline, nodes, slots, arena })
    }

    /// The elements of the array at a node; `None` if there is none, or only one in a string.
    pub(crate) fn elements(&self, at: u32) -> Option<Items<'m, 'm>> {
        let place = self.slots[at as usize].place.get();
        (self.outline.first_byte(place) == b'[').then(|| self.outline.items(place))
    }

    /// Forgets what was found, and walks over one element. Gives the place behind it, if that has come out.
    pub(crate) fn read(&self, element: Place) -> Option<usize> {
        for slot in self.slots {
            slot.place.set(Place::NOWHERE);
            slot.value.set(None);
        }
        // A loop may read nothing of its elements.
        if self.nodes.is_empty() { None } else { self.walk(element, 0) }
    }

    /// Walks over the value that belongs to node `at`. Recursion is as deep as the longest path. Gives the place behind
    /// the value, if that has come out.
    fn walk(&self, place: Place, at: u32) -> Option<usize> {
        self.slots[at as usize].place.set(place);
        let node = &self.nodes[at as usize];
        let mut end = None;
        if !node.keys.is_empty() {
            end = self.outline.find(place, &node.keys, |child, value| {
                // Of doubled keys the last wins.
                self.forget(child);
                self.step(value, child);
            });
        }
        if let Some(last) = node.indexes.iter().map(|(index, _)| *index).max() {
            for (index, item) in (1..=last).zip(self.outline.items(place)) {
                if let Some((_, child)) = node.indexes.iter().find(|(wanted, _)| *wanted == index) {
                    self.step(item, *child);
                }
            }
        }
        end
    }

    /// Goes on to a node below: most paths end there.
    #[inline]
    fn step(&self, place: Place, at: u32) {
        let node = &self.nodes[at as usize];
        if node.is_leaf() { self.slots[at as usize].place.set(place) } else { _ = self.walk(place, at) }
    }

    /// What an earlier entry has left below a node goes.
    #[inline]
    fn forget(&self, at: u32) {
        if !self.slots[at as usize].place.get().is_nowhere() {
            for slot in &self.slots[at as usize..self.nodes[at as usize].end as usize] {
                slot.place.set(Place::NOWHERE);
            }
        }
    }

    /// The value of a node; undefined where the payload has none.
    #[inline]
    pub(crate) fn get(&self, at: u32) -> Value<'m> {
        let slot = &self.slots[at as usize];
        if let Some(value) = slot.value.get() {
            return value;
        }
        let value = self.decode(at);
        slot.value.set(Some(value));
        value
    }

    fn decode(&self, at: u32) -> Value<'m> {
        let place = self.slots[at as usize].place.get();
        if !place.is_nowhere() {
            return self.outline.value(place, self.arena);
        }
        let node = &self.nodes[at as usize];
        let Some(step) = &node.step else { return Value::Undefined };
        // The walk does not look into strings. If there is one above, it may hold JSON that goes on from there.
        let above = self.slots[node.parent as usize].place.get();
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
