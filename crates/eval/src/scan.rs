use std::cell::Cell;

use value::json::{self, Cursor, JsonError, Outline, Place};
use value::path::{self, Step};
use value::{Arena, Value};

use crate::paths::{Node, PathStep, Union};

/// What one walk over a payload has found: for each node of a [`Union`], where its value stands in the text.
///
/// The whole document has been checked. Nothing is decoded until a rule reads it, and then only once.
#[derive(Clone, Copy)]
pub(crate) struct Scan<'m> {
    outline: &'m Outline<'m>,
    nodes: &'m [Node],
    found: &'m [Cell<Place>],
    decoded: &'m [Cell<Option<Value<'m>>>],
    arena: &'m Arena,
}

impl<'m> Scan<'m> {
    /// Walks over a payload. Fails where it is not JSON, wherever in it that shows.
    pub(crate) fn new(payload: &'m [u8], union: &'m Union, arena: &'m Arena) -> Result<Self, JsonError> {
        let outline = arena.alloc(Outline::new(payload, arena)?);
        let scan = Self::over(outline, union.nodes(), arena);
        scan.walk(outline.root(), 0);
        Ok(scan)
    }

    /// A scan of the same document that has seen nothing yet, for the elements of an array in it.
    pub(crate) fn of_elements(&self, union: &'m Union) -> Self {
        Self::over(self.outline, union.nodes(), self.arena)
    }

    fn over(outline: &'m Outline<'m>, nodes: &'m [Node], arena: &'m Arena) -> Self {
        let bump = arena.bump();
        Self {
            outline,
            nodes,
            found: bump.alloc_slice_fill_with(nodes.len(), |_| Cell::new(Place::NOWHERE)),
            decoded: bump.alloc_slice_fill_with(nodes.len(), |_| Cell::new(None)),
            arena,
        }
    }

    /// The elements of the array at a node; `None` if there is none, or only one in a string.
    pub(crate) fn elements(&self, at: u32) -> Option<impl Iterator<Item = Place> + use<'m>> {
        let place = self.found[at as usize].get();
        let is_array = self.outline.text(place).first() == Some(&b'[');
        is_array.then(|| self.outline.items(place))
    }

    /// Forgets what was found, and walks over one element.
    pub(crate) fn read(&self, element: Place) {
        self.found.iter().for_each(|found| found.set(Place::NOWHERE));
        self.decoded.iter().for_each(|decoded| decoded.set(None));
        // A loop may read nothing of its elements.
        if !self.nodes.is_empty() {
            self.walk(element, 0);
        }
    }

    /// Walks over the value that belongs to node `at`. Recursion is as deep as the longest path.
    fn walk(&self, place: Place, at: u32) {
        self.found[at as usize].set(place);
        let node = &self.nodes[at as usize];
        if !node.keys.is_empty() {
            for (key, value) in self.outline.entries(place) {
                if let Some((_, child)) = node.keys.iter().find(|(name, _)| key.is(name)) {
                    self.forget(*child);
                    self.step(value, *child);
                }
            }
        }
        if let Some(last) = node.indexes.iter().map(|(index, _)| *index).max() {
            for (index, item) in (1..=last).zip(self.outline.items(place)) {
                if let Some((_, child)) = node.indexes.iter().find(|(wanted, _)| *wanted == index) {
                    self.step(item, *child);
                }
            }
        }
    }

    /// Goes on to a node below: most paths end there.
    #[inline]
    fn step(&self, place: Place, at: u32) {
        let node = &self.nodes[at as usize];
        if node.keys.is_empty() && node.indexes.is_empty() {
            self.found[at as usize].set(place);
        } else {
            self.walk(place, at);
        }
    }

    /// Of doubled keys the last wins: what an earlier one has left below the node goes.
    fn forget(&self, at: u32) {
        if !self.found[at as usize].get().is_nowhere() {
            for found in &self.found[at as usize..self.nodes[at as usize].end as usize] {
                found.set(Place::NOWHERE);
            }
        }
    }

    /// The value of a node; undefined where the payload has none.
    pub(crate) fn get(&self, at: u32) -> Value<'m> {
        let decoded = &self.decoded[at as usize];
        if let Some(value) = decoded.get() {
            return value;
        }
        let value = self.decode(at);
        decoded.set(Some(value));
        value
    }

    fn decode(&self, at: u32) -> Value<'m> {
        let place = self.found[at as usize].get();
        if !place.is_nowhere() {
            // The text has been checked, so this cannot fail.
            return json::parse_at(&mut Cursor::new(self.outline.text(place)), self.arena)
                .unwrap_or_default();
        }
        let node = &self.nodes[at as usize];
        let Some(step) = &node.step else { return Value::Undefined };
        // The walk does not look into strings. If there is one above, it may hold JSON that goes on from there.
        let above = self.found[node.parent as usize].get();
        if !above.is_nowhere() && self.outline.text(above)[0] != b'"' {
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
