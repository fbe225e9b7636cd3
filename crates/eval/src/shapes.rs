//! What a worker remembers of the shapes of payloads, so that the next payload of the same shape is neither checked nor
//! searched.
//!
//! For each [`Union`] a few shapes are kept, by its id, which no other union ever has; nothing here keeps rules alive. To learn
//! a shape costs as much as some walks, and to try one in vain a little, so both are done only as far as that has paid
//! or may: who never sends the same shape twice pays next to nothing.

use std::cell::{Cell, OnceCell};
use std::ops::Range;

use value::Arena;
use value::json::{Fit, Misfit, Place, Shape};

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
/// So many shapes of each.
const SHAPES_MAX: usize = 8;
/// More memory than this is not used by a worker; when it is full, all is forgotten (bytes).
const SIZE_MAX: usize = 1 << 20;

/// Where a union is remembered; those whose ids are a multiple of [`SEATS`] apart share one, and the last that learned has it.
#[derive(Debug, Default)]
struct Seat {
    union: u64,
    shapes: Vec<Remembered>,
    /// The one that fitted last.
    last: Cell<usize>,
    /// What may be spent on trying, in the units of [`Fit::cost`]. What fits earns more.
    credit: Cell<i64>,
    /// So many messages go without trying, and so many the next time that trying has not paid.
    pause: Cell<u32>,
    next_pause: Cell<u32>,
    /// So many payloads that do not fit are let pass before one is learned, and so many the next time.
    until_lesson: Cell<u32>,
    next_wait: Cell<u32>,
}

/// What there is to spend after a pause; with a lesson comes as much for each shape, so that the new one has its turn.
const CREDIT_MIN: i64 = 64;
const CREDIT_MAX: i64 = 4096;
const PAUSE_MIN: u32 = 16;
const PAUSE_MAX: u32 = 1024;
/// The wait for a lesson doubles with each, less one, so that it does not go in step with devices that take turns, and halves
/// when a shape has fitted so often that it has paid for itself.
const WAIT_MIN: u32 = 2;
const WAIT_MAX: u32 = 1021;
const HITS_THAT_PAY: u32 = 64;

/// A shape with where in its places the elements of each loop are.
#[derive(Debug)]
pub(crate) struct Remembered {
    shape: Shape,
    loops: Box<[KnownElements]>,
    /// How often it has fitted; what is long ago counts less.
    hits: Cell<u32>,
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
    fn put(&mut self, Lesson { union, learned }: Lesson) {
        if self.seats.is_empty() {
            self.seats.resize_with(SEATS, Seat::default);
        }
        let added = learned.as_ref().map_or(0, Remembered::size);
        if self.size + added > SIZE_MAX {
            self.seats.iter_mut().for_each(|seat| seat.shapes.clear());
            self.size = 0;
        }
        let seat = &mut self.seats[union as usize % SEATS];
        if learned.is_some() {
            self.size = self.size + added - seat.make_room(union);
        }
        seat.take_up(learned);
    }

    fn seat(&self, union: &Union) -> Option<&Seat> {
        self.seats.get(union.id() as usize % SEATS)
    }

    /// What is known of a payload, if it has a shape that is remembered.
    #[inline]
    pub(crate) fn find<'m>(
        &'m self,
        payload: &'m [u8],
        union: &'m Union,
        arena: &'m Arena,
    ) -> Option<&'m Scan<'m>> {
        let seat = self.seat(union)?;
        if seat.union != union.id() || seat.rests() {
            return None;
        }
        let (remembered, fit) = seat.find(payload, arena)?;
        Some(Scan::remembered(remembered, fit, union, arena))
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
            return seat.until_lesson.set(seat.next_wait.get());
        }
        let lesson = Lesson { union: union.id(), learned: Remembered::new(scan, union) };
        // There is one walk for each message.
        _ = self.lesson.set(Box::new(lesson));
    }
}

impl Seat {
    /// Whether nothing is tried for now.
    #[inline]
    fn rests(&self) -> bool {
        let pause = self.pause.get();
        self.pause.set(pause.saturating_sub(1));
        pause > 0
    }

    /// The shape that a payload has, that which fitted last before all others.
    #[inline]
    fn find<'m>(&'m self, payload: &'m [u8], arena: &'m Arena) -> Option<(&'m Remembered, Fit<'m>)> {
        let remembered = self.shapes.get(self.last.get())?;
        match remembered.shape.fit(payload, arena) {
            Ok(fit) => {
                self.hit(remembered, payload, fit.cost);
                Some((remembered, fit))
            }
            Err(misfit) => self.find_other(payload, arena, misfit),
        }
    }

    #[inline(never)]
    fn find_other<'m>(
        &'m self,
        payload: &'m [u8],
        arena: &'m Arena,
        first: Misfit,
    ) -> Option<(&'m Remembered, Fit<'m>)> {
        let last = self.last.get();
        let mut spent = u64::from(first.cost);
        for (at, remembered) in self.shapes.iter().enumerate().filter(|(at, _)| *at != last) {
            if spent as i64 > self.credit.get() {
                break;
            }
            match remembered.shape.fit(payload, arena) {
                Ok(fit) => {
                    self.last.set(at);
                    self.hit(remembered, payload, fit.cost);
                    return Some((remembered, fit));
                }
                Err(misfit) => spent += u64::from(misfit.cost),
            }
        }
        self.spend(spent as i64);
        None
    }

    /// Notes that a shape has fitted, and at what cost.
    #[inline]
    fn hit(&self, remembered: &Remembered, payload: &[u8], cost: u32) {
        // What a walk over it, and a look for some keys, would have cost.
        let saved = (payload.len() / 8 * 3) as i64 + 16 - i64::from(cost);
        if saved > 0 {
            self.credit.set((self.credit.get() + saved).min(CREDIT_MAX));
            self.next_pause.set(PAUSE_MIN);
        } else {
            self.spend(-saved);
        }
        let hits = remembered.hits.get() + 1;
        remembered.hits.set(hits);
        if hits.is_multiple_of(HITS_THAT_PAY) {
            self.next_wait.set((self.next_wait.get() / 2).max(WAIT_MIN));
        }
    }

    /// Notes what trying has cost beyond what it saved.
    #[cold]
    fn spend(&self, spent: i64) {
        let credit = self.credit.get() - spent;
        self.credit.set(credit);
        if credit < 0 {
            self.credit.set(CREDIT_MIN);
            self.pause.set(self.next_pause.get());
            self.next_pause.set((self.next_pause.get() * 2).min(PAUSE_MAX));
        }
    }

    fn knows(&self, payload: &[u8], arena: &Arena) -> bool {
        self.shapes.iter().any(|remembered| remembered.shape.fit(payload, arena).is_ok())
    }

    /// Whether it is time to learn, now that another payload had to be walked over.
    #[inline]
    fn is_due(&self) -> bool {
        let left = self.until_lesson.get().saturating_sub(1);
        self.until_lesson.set(left);
        left == 0
    }

    /// Makes the seat that of a union, with room for a shape. Gives how much memory comes free.
    fn make_room(&mut self, union: u64) -> usize {
        let mut freed = 0;
        if self.union != union {
            freed = self.shapes.drain(..).map(|remembered| remembered.size()).sum();
            *self = Self { union, next_wait: self.next_wait.clone(), ..Self::default() };
            self.next_pause.set(PAUSE_MIN);
        }
        // What has not fitted until now need not be tried for much longer.
        freed += self
            .shapes
            .extract_if(.., |known| known.hits.get() == 0)
            .map(|known| known.size())
            .sum::<usize>();
        self.last.set(0);
        if self.shapes.len() >= SHAPES_MAX {
            let least = (0..self.shapes.len()).min_by_key(|at| self.shapes[*at].hits.get()).unwrap_or(0);
            freed += self.shapes.swap_remove(least).size();
        }
        freed
    }

    /// Takes up a shape, and waits longer for the next.
    fn take_up(&mut self, learned: Option<Remembered>) {
        let wait = self.next_wait.get().max(WAIT_MIN);
        self.until_lesson.set(wait);
        self.next_wait.set((wait * 2 - 1).min(WAIT_MAX));
        if let Some(remembered) = learned {
            self.shapes.iter().for_each(|known| known.hits.set(known.hits.get().div_ceil(2)));
            self.last.set(self.shapes.len());
            self.shapes.push(remembered);
            self.credit.set(self.credit.get().max(CREDIT_MIN * self.shapes.len() as i64));
            self.pause.set(0);
        }
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
        Some(Self { shape, loops: loops.into(), hits: Cell::default() })
    }

    /// What is known of the elements of the loop with this number.
    pub(crate) fn elements(&self, number: u32) -> &KnownElements {
        &self.loops[number as usize]
    }

    fn size(&self) -> usize {
        self.shape.size() + size_of_val(&*self.loops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Program;

    /// A memory, with what its messages have come to.
    struct Trial {
        shapes: Shapes,
        arena: Arena,
        program: Program,
        union: Union,
    }

    impl Trial {
        fn new(sql: &str) -> Self {
            let program = crate::prepare(sql, 0, "r").0.expect("the rule is good");
            let union = Union::of(&[&program]);
            Self { shapes: Shapes::default(), arena: Arena::new(), program, union }
        }

        /// Reads a payload as a worker does; whether it was remembered.
        fn read(&mut self, payload: &str) -> bool {
            self.arena.reset();
            self.shapes.settle();
            let (payload, union) = (payload.as_bytes(), &self.union);
            let found = self.shapes.find(payload, union, &self.arena);
            if found.is_none() {
                let scan = Scan::new(payload, union, &self.arena).expect("JSON");
                self.shapes.walked(scan, union, &self.arena);
            }
            found.is_some()
        }

        fn known(&self) -> usize {
            self.shapes.seats.iter().map(|seat| seat.shapes.len()).sum()
        }

        /// How many of these are learned.
        fn lessons(&mut self, payloads: impl Iterator<Item = String>) -> usize {
            payloads.filter(|payload| !self.read(payload) && self.shapes.lesson.get().is_some()).count()
        }
    }

    fn trial() -> Trial {
        Trial::new("SELECT payload.a AS a FROM \"#\"")
    }

    #[test]
    fn the_second_payload_is_learned_and_the_third_remembered() {
        let mut trial = trial();
        let read = [1, 22, 333, 4].map(|value| trial.read(&format!("{{\"a\":{value}}}")));
        assert_eq!(read, [false, false, true, true]);
        assert!(!trial.read("{\"a\":[1]}"));
        assert!(trial.read("{\"a\":null}"));
    }

    #[test]
    fn devices_of_several_models_are_remembered_at_a_time() {
        let mut trial = trial();
        let payload = |at: usize| format!("{{\"a\":{at},\"model{}\":{{}}}}", at % 5);
        (0..500).for_each(|at| _ = trial.read(&payload(at)));
        assert_eq!(trial.known(), 5);
        assert!((0..100).all(|at| trial.read(&payload(at * 7))));
    }

    #[test]
    fn a_fleet_of_as_many_models_as_there_is_room_for_is_known() {
        let mut trial = trial();
        let order = functions::Random::new(7);
        let payload = |at: usize| {
            let (model, list) = (order.next() % SHAPES_MAX as u64, ["1", "20", "300"].join(",\"x\","));
            format!("{{\"ts\":17000000{at},\"a\":{at},\"values\":[{list}],\"model{model}\":{{}}}}")
        };
        (0..5000).for_each(|at| _ = trial.read(&payload(at)));
        let found = (0..1000).filter(|at| trial.read(&payload(*at))).count();
        assert!(found > 900, "{found}");
    }

    #[test]
    fn what_costs_more_than_it_saves_is_given_up() {
        let mut trial = trial();
        let payload =
            |length: usize| format!("{{\"a\":[{}1]}}", format!("{},", "1".repeat(length)).repeat(50));
        (0..100).for_each(|at| _ = trial.read(&payload(1 + at % 2)));
        let found = (0..10_000).filter(|at| trial.read(&payload(1 + at % 2))).count();
        assert!((1..6000).contains(&found), "{found}");
    }

    #[test]
    fn shapes_that_never_come_again_are_seldom_learned() {
        let mut trial = trial();
        let lessons = trial.lessons((0..20_000).map(|at| format!("{{\"a\":1,\"k{at}\":{at}}}")));
        assert!((5..40).contains(&lessons), "{lessons}");
        assert_eq!(trial.known(), 1);
        // What comes then, and stays, is found all the same.
        let mut same = (0..10_000).map(|at| format!("{{\"a\":{at},\"b\":\"x\"}}"));
        assert!(same.any(|payload| trial.read(&payload)));
        assert!(same.take(1000).all(|payload| trial.read(&payload)));
    }

    #[test]
    fn a_shape_among_many_that_never_come_again_is_found() {
        for turn in 0..2 {
            let mut trial = trial();
            let payload = |at: usize| match at % 2 {
                own if own == turn => {
                    format!("{{\"a\":{at},\"unit\":\"C\",\"ts\":1700000000000,\"ok\":true}}")
                }
                _ => format!("{{\"a\":1,\"unit\":\"C\",\"k{at}\":{at},\"ok\":true}}"),
            };
            (0..2000).for_each(|at| _ = trial.read(&payload(at)));
            let found = (2000..3000).filter(|at| trial.read(&payload(*at))).count();
            assert_eq!(found, 500, "{turn}");
        }
    }

    #[test]
    fn another_union_finds_nothing_of_the_one_before() {
        let mut trial = trial();
        (0..5).for_each(|_| _ = trial.read("{\"a\":1}"));
        for _ in 0..2 * SEATS {
            let before = trial.union.id();
            trial.union = Union::of(&[&trial.program]);
            assert!(trial.union.id() > before);
            assert!(!trial.read("{\"a\":1}"));
        }
        let read: Vec<bool> = (0..WAIT_MAX).map(|_| trial.read("{\"a\":1}")).collect();
        assert!(read.ends_with(&[true]));
    }

    #[test]
    fn memory_is_bounded() {
        let mut trial = trial();
        let padding = "x".repeat(Shape::BYTES_MAX - 100);
        for at in 0..100 {
            trial.union = Union::of(&[&trial.program]);
            for key in 0..8 {
                // Each once as a lesson, whatever the time.
                let payload = format!("{{\"a\":{at},\"k{key}\":\"{padding}\"}}");
                trial.read(&payload);
                let scan = Scan::new(payload.as_bytes(), &trial.union, &trial.arena).expect("JSON");
                let learned = Remembered::new(scan, &trial.union);
                assert!(learned.is_some());
                trial.shapes.put(Lesson { union: trial.union.id(), learned });
                let size: usize =
                    trial.shapes.seats.iter().flat_map(|seat| &seat.shapes).map(Remembered::size).sum();
                assert_eq!(trial.shapes.size, size);
                assert!(size <= SIZE_MAX);
            }
        }
        assert!(!trial.read(&format!("{{\"a\":1,\"b\":\"{}\"}}", "x".repeat(Shape::BYTES_MAX))));
    }

    #[test]
    fn elements_of_loops_are_remembered() {
        let mut trial =
            Trial::new("FOREACH payload.l AS e DO e.n AS n, e.m.k AS k INCASE e.n > 1 FROM \"#\"");
        let element = |at: i32| format!("{{\"m\":{{\"k\":\"{}\"}},\"n\":{at}}}", "x".repeat(at as usize % 7));
        let payload = |at: i32| format!("{{\"l\":[{},{{}},5,{}]}}", element(at), element(at + 100));
        assert!((0..3).map(|at| trial.read(&payload(at))).eq([false, false, true]));
        let payload = payload(9);
        let scan =
            trial.shapes.find(payload.as_bytes(), &trial.union, &trial.arena).expect("it is remembered");
        let walked = Scan::new(payload.as_bytes(), &trial.union, &trial.arena).expect("JSON");
        let (mut found, mut all) = (scan.elements(0).expect("a list"), walked.elements(0).expect("a list"));
        let mut count = 0;
        while all.advance() {
            assert!(found.advance());
            assert!(found.element().places().eq(all.element().places()));
            count += 1;
        }
        assert!(!found.advance());
        assert_eq!(count, 4);
    }
}
