//! What a worker remembers of the shapes of payloads, so that the next payload of the same shape is neither checked nor
//! searched.
//!
//! For each [`Union`] a few shapes are kept, by its id, which no other union ever has; nothing here keeps rules alive. To learn
//! a shape costs as much as some walks, and to try one in vain a little, so both are done only as far as that has paid
//! or may: who never sends the same shape twice pays next to nothing.

mod seat;
#[cfg(test)]
mod tests;

use std::cell::{Cell, OnceCell};
use std::ops::Range;

use seat::Seat;
use value::Arena;
use value::json::{Place, Shape};

use crate::paths::Union;
use crate::scan::Scan;

/// The memory of one worker.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    /// None before anything has been learned, then [`SEATS`].
    seats: Vec<Seat>,
    /// What the message under way has taught; it is put into its seat before the next one.
    lesson: OnceCell<Box<Lesson>>,
    /// Whether a payload has been walked over.
    walked: Cell<bool>,
    /// How much memory all shapes take (bytes).
    size: usize,
}

/// So many unions are remembered at a time.
const SEATS: usize = 128;
/// More memory than this is not used by a worker; when it is full, all is forgotten (bytes).
const SIZE_MAX: usize = 1 << 20;

/// What fits at more than half the cost of a walk, as values are of other lengths than were learned, may cost so many lessons
/// before the shape is learned anew from what comes now, and twice as many the next time.
const EXCESS_MIN: i64 = 4;
const EXCESS_MAX: i64 = 64;

/// A shape with where in its places the elements of each loop are.
#[derive(Debug)]
pub(crate) struct Remembered {
    shape: Shape,
    loops: Box<[KnownElements]>,
    /// How often it has fitted; what is long ago counts less.
    hits: Cell<u64>,
    /// What may be lost on values of other lengths until it is learned anew, in the units of [`value::json::Fit::cost`], and how many lessons that
    /// was in the beginning.
    excess_left: Cell<i64>,
    excess: i64,
    /// Whether nothing was left before this payload: the one that has used it up is longer or shorter than most.
    is_worn: Cell<bool>,
}

/// What is known of the elements of a loop's array; none where there is no array.
#[derive(Debug, Default)]
pub(crate) struct KnownElements {
    pub(crate) count: u32,
    /// Of the shape's places those of the elements: for each as many as its union has nodes.
    pub(crate) places: Range<usize>,
}

#[derive(Debug)]
struct Lesson {
    union: u64,
    /// Nothing if the payload could not be learned.
    learned: Option<Remembered>,
    /// The place of the shape that it replaces, if that has the same but for lengths.
    instead_of: Option<usize>,
}

impl Shapes {
    /// Puts what the message before has taught where it is found.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if let Some(lesson) = self.lesson.take() {
            self.put(*lesson);
        }
    }

    #[cold]
    fn put(&mut self, Lesson { union, learned, instead_of }: Lesson) {
        if self.seats.is_empty() {
            self.seats.resize_with(SEATS, Seat::default);
        }
        let added = learned.as_ref().map_or(0, Remembered::size);
        if self.size + added > SIZE_MAX {
            self.seats.iter_mut().for_each(|seat| seat.shapes.clear());
            self.size = 0;
        }
        let seat = &mut self.seats[union as usize % SEATS];
        if let Some(at) = instead_of {
            // It is where it was, unless all has just been forgotten.
            if let Some(old) = seat.shapes.get_mut(at) {
                let before = old.size();
                old.renew(learned);
                self.size = self.size + old.size() - before;
            }
            return;
        }
        if learned.is_some() {
            self.size = self.size + added - seat.make_room(union);
        }
        seat.take_up(learned);
    }

    fn seat(&self, union: &Union) -> Option<&Seat> {
        self.seats.get(union.id() as usize % SEATS)
    }

    /// What is known of a payload that came under this name, if it has a shape that is remembered.
    #[inline]
    pub(crate) fn find<'m>(
        &'m self,
        payload: &'m [u8],
        name: &str,
        union: &'m Union,
        arena: &'m Arena,
    ) -> Option<&'m Scan<'m>> {
        let seat = self.seat(union)?;
        if seat.union != union.id() || seat.rests() {
            return None;
        }
        let (remembered, fit) = seat.find(payload, name, arena)?;
        let scan = Scan::remembered(remembered, fit, union, arena);
        if remembered.excess_left.get() < 0 && remembered.is_worn.replace(true) {
            self.renew(seat, remembered, scan, union);
        }
        Some(scan)
    }

    /// Learns from a payload that had to be walked over, if it is time to.
    #[inline]
    pub(crate) fn walked<'m>(&self, scan: &'m Scan<'m>, union: &'m Union, arena: &Arena) {
        let is_due = match self.seat(union) {
            Some(seat) => seat.is_due(),
            None => self.walked.replace(true),
        };
        if is_due {
            self.learn(scan, union, arena);
        }
    }

    #[cold]
    fn learn<'m>(&self, scan: &'m Scan<'m>, union: &'m Union, arena: &Arena) {
        if let Some(seat) = self.seat(union)
            && seat.union == union.id()
            && seat.knows(scan.document().bytes(), arena)
        {
            // It was not tried.
            return seat.postpone();
        }
        self.teach(Lesson { union: union.id(), learned: Remembered::new(scan, union), instead_of: None });
    }

    /// Learns a shape anew, so that values are as long in it as they have become.
    #[cold]
    fn renew<'m>(&self, seat: &Seat, remembered: &Remembered, scan: &'m Scan<'m>, union: &'m Union) {
        let learned = Remembered::new(scan, union);
        let instead_of = seat.shapes.iter().position(|known| std::ptr::eq(known, remembered));
        self.teach(Lesson { union: union.id(), learned, instead_of });
    }

    fn teach(&self, lesson: Lesson) {
        // There is one payload for each message.
        _ = self.lesson.set(Box::new(lesson));
    }
}

impl Remembered {
    /// The shape of a payload that has been walked over; `None` if it is more than is kept.
    fn new<'m>(scan: &'m Scan<'m>, union: &'m Union) -> Option<Self> {
        let mut places: Vec<Place> = scan.places().collect();
        let mut loops = Vec::with_capacity(union.loops().len());
        for number in (0..).take(union.loops().len()) {
            let (start, mut count) = (places.len(), 0);
            if let Some(mut elements) = scan.elements(number) {
                while elements.advance() {
                    count += 1;
                    places.extend(elements.element().places());
                    if places.len() > Shape::PLACES_MAX {
                        return None;
                    }
                }
            }
            loops.push(KnownElements { count, places: start..places.len() });
        }
        let shape = Shape::new(scan.document(), places)?;
        let lesson = lesson_cost(&shape);
        Some(Self {
            shape,
            loops: loops.into(),
            hits: Cell::default(),
            excess_left: Cell::new(EXCESS_MIN * lesson),
            excess: EXCESS_MIN,
            is_worn: Cell::default(),
        })
    }

    /// Becomes what has been learned anew, unless that has become more than is kept, and then stays for longer.
    fn renew(&mut self, new: Option<Self>) {
        if let Some(new) = new {
            (self.shape, self.loops) = (new.shape, new.loops);
        }
        self.excess = (self.excess * 2).min(EXCESS_MAX);
        self.excess_left.set(self.excess * lesson_cost(&self.shape));
        self.is_worn.set(false);
    }

    /// What is known of the elements of the loop with this number.
    pub(crate) fn elements(&self, number: u32) -> &KnownElements {
        &self.loops[number as usize]
    }

    fn size(&self) -> usize {
        self.shape.size() + size_of_val(&*self.loops)
    }
}

/// About what it costs to learn a shape, in the units of [`value::json::Fit::cost`].
fn lesson_cost(shape: &Shape) -> i64 {
    shape.size() as i64
}
