use std::cell::Cell;

use value::json::{Document, Fit, Items, JsonError, Outline, Place, Read};
use value::path::{self, Step};
use value::{Arena, Value};

use crate::paths::{Node, PathStep, Union};
use crate::shapes::Remembered;

/// What is known of a payload: for each node of a [`Union`], where its value stands in the text.
///
/// The whole document has been checked. Nothing is decoded until a rule reads it, and then only once.
pub(crate) struct Scan<'m> {
    document: Document<'m>,
    way: Way<'m>,
    union: &'m Union,
    slots: &'m [Cell<Slot<'m>>],
    arena: &'m Arena,
}

/// How the places were found.
#[derive(Clone, Copy)]
enum Way<'m> {
    /// By a walk, which can be gone again.
    Walked(Outline<'m>),
    /// By a shape that the payload has, with all the places that it knows.
    Remembered(&'m Remembered, &'m [Place]),
}

/// What has been found for a node.
#[derive(Clone, Copy)]
struct Slot<'m> {
    place: Place,
    /// What stands there, once it has been read.
    read: Option<Read<'m>>,
}

impl<'m> Slot<'m> {
    const EMPTY: Self = Self::at(Place::NOWHERE);

    const fn at(place: Place) -> Self {
        Self { place, read: None }
    }
}

impl<'m> Scan<'m> {
    /// Walks over a payload. Fails where it is not JSON, wherever in it that shows.
    pub(crate) fn new(payload: &'m [u8], union: &'m Union, arena: &'m Arena) -> Result<&'m Self, JsonError> {
        let outline = Outline::new(payload, arena)?;
        let slots = arena.bump().alloc_slice_fill_copy(union.nodes().len(), Slot::EMPTY);
        let scan = Self::over(outline.document(), Way::Walked(outline), union, slots, arena);
        scan.walk(&outline, outline.root(), 0);
        Ok(scan)
    }

    /// The same for a payload that has a shape, which was learned of another one for this union.
    pub(crate) fn remembered(
        remembered: &'m Remembered,
        fit: Fit<'m>,
        union: &'m Union,
        arena: &'m Arena,
    ) -> &'m Self {
        let places = &fit.places[..union.nodes().len()];
        let slots = arena.bump().alloc_slice_fill_with(places.len(), |at| Slot::at(places[at]));
        Self::over(fit.document, Way::Remembered(remembered, fit.places), union, slots, arena)
    }

    #[inline]
    fn over(
        document: Document<'m>,
        way: Way<'m>,
        union: &'m Union,
        slots: &'m mut [Slot<'m>],
        arena: &'m Arena,
    ) -> &'m Self {
        arena.bump().alloc(Self {
            document,
            way,
            union,
            slots: Cell::from_mut(slots).as_slice_of_cells(),
            arena,
        })
    }

    /// The payload.
    pub(crate) fn document(&self) -> Document<'m> {
        self.document
    }

    /// Where the value of each node is.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.slots.iter().map(|slot| slot.get().place)
    }

    /// Whether there is an array, and not only one in a string, for the loop with this number.
    pub(crate) fn is_loop_over_array(&self, number: u32) -> bool {
        let array = self.union.element_loop(number).array;
        self.document.first_byte(self.slots[array as usize].get().place) == b'['
    }

    /// The elements of the array that the loop with this number goes over; `None` if there is none, or only one in a string.
    pub(crate) fn elements(&'m self, number: u32) -> Option<Elements<'m>> {
        if !self.is_loop_over_array(number) {
            return None;
        }
        let of = self.union.element_loop(number);
        let rest = match &self.way {
            Way::Walked(outline) => {
                Rest::Walked(outline, outline.items(self.slots[of.array as usize].get().place))
            }
            Way::Remembered(remembered, places) => {
                let elements = remembered.elements(number);
                let places = places.get(elements.places.clone()).unwrap_or_default();
                Rest::Remembered { count: elements.count, places }
            }
        };
        let nodes = of.elements.nodes().len();
        let slots = self.arena.bump().alloc_slice_fill_copy(nodes, Slot::EMPTY);
        let element = Self::over(self.document, self.way, &of.elements, slots, self.arena);
        Some(Elements { element, rest })
    }

    /// Walks over the value that belongs to node `at`. Recursion is as deep as the longest path. Gives the place behind
    /// the value, if that has come out.
    fn walk(&self, outline: &Outline<'m>, place: Place, at: u32) -> Option<usize> {
        self.slots[at as usize].set(Slot::at(place));
        let node = self.node(at);
        if !node.indexes.is_empty() {
            self.walk_items(outline, place, node);
        }
        if node.keys.is_empty() {
            return None;
        }
        // Of doubled keys the last wins.
        outline.find(place, &node.keys, |below, value| match below.is_leaf {
            true => self.slots[below.node as usize].set(Slot::at(value)),
            false => self.walk_again(outline, value, below.node),
        })
    }

    /// Walks over the next element of an array; whether there is one.
    #[inline(never)]
    fn walk_item(&self, outline: &Outline<'m>, items: &mut Items<'m, 'm>) -> bool {
        let Some(place) = items.peek() else { return false };
        self.slots.iter().for_each(|slot| slot.set(Slot::EMPTY));
        // A loop may read nothing of its elements.
        items.pass(if self.slots.is_empty() { None } else { self.walk(outline, place, 0) });
        true
    }

    #[inline]
    fn node(&self, at: u32) -> &'m Node {
        &self.union.nodes()[at as usize]
    }

    /// Goes on to a node below which paths go on, and which an entry before may have led to.
    #[inline(never)]
    fn walk_again(&self, outline: &Outline<'m>, place: Place, at: u32) {
        self.forget(at);
        self.walk(outline, place, at);
    }

    #[inline(never)]
    fn walk_items(&self, outline: &Outline<'m>, place: Place, node: &Node) {
        let last = node.indexes.iter().map(|(index, _)| *index).max().unwrap_or(0);
        for (index, item) in (1..=last).zip(outline.items(place)) {
            if let Some((_, child)) = node.indexes.iter().find(|(wanted, _)| *wanted == index) {
                self.walk(outline, item, *child);
            }
        }
    }

    /// What an earlier entry has left below a node goes.
    fn forget(&self, at: u32) {
        if !self.slots[at as usize].get().place.is_nowhere() {
            for slot in &self.slots[at as usize..self.node(at).end as usize] {
                slot.set(Slot::EMPTY);
            }
        }
    }

    /// The value of a node, undefined where the payload has none, with its text.
    #[inline(always)]
    pub(crate) fn get(&self, at: u32) -> Read<'m> {
        let slot = &self.slots[at as usize];
        if slot.get().read.is_none() {
            self.decode(slot, at);
        }
        slot.get().read.unwrap_or_default()
    }

    #[inline(never)]
    fn decode(&self, slot: &Cell<Slot<'m>>, at: u32) {
        let place = slot.get().place;
        let read = match place.is_nowhere() {
            false => self.document.read(place, self.arena),
            true => Read::from(self.decode_within_string(at)),
        };
        slot.set(Slot { place, read: Some(read) });
    }

    /// The value of a node that the walk has not found. It does not look into strings: if there is one above, it may hold
    /// JSON that goes on from there.
    #[inline(never)]
    fn decode_within_string(&self, at: u32) -> Value<'m> {
        let node = self.node(at);
        let Some(step) = &node.step else { return Value::Undefined };
        let above = self.slots[node.parent as usize].get().place;
        if !above.is_nowhere() && self.document.first_byte(above) != b'"' {
            return Value::Undefined;
        }
        path::get_step(self.get(node.parent).value, step.as_step(), self.arena)
    }
}

/// The elements of an array in the payload, one after the other.
pub(crate) struct Elements<'m> {
    /// The one that they have come to.
    element: &'m Scan<'m>,
    rest: Rest<'m>,
}

enum Rest<'m> {
    Walked(&'m Outline<'m>, Items<'m, 'm>),
    /// So many are left, with the places of what is read of each.
    Remembered {
        count: u32,
        places: &'m [Place],
    },
}

impl<'m> Elements<'m> {
    /// The element that they have come to; nothing in it before the first.
    pub(crate) fn element(&self) -> &'m Scan<'m> {
        self.element
    }

    /// Goes on to the next one; whether there is one.
    #[inline]
    pub(crate) fn advance(&mut self) -> bool {
        let Scan { slots, .. } = self.element;
        match &mut self.rest {
            Rest::Remembered { count: 0, .. } => return false,
            Rest::Remembered { count, places } => {
                *count -= 1;
                let (own, rest) = places.split_at_checked(slots.len()).unwrap_or_default();
                *places = rest;
                slots.iter().zip(own).for_each(|(slot, place)| slot.set(Slot::at(*place)));
            }
            Rest::Walked(outline, items) => return self.element.walk_item(outline, items),
        }
        true
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
