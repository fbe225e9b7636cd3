//! The shapes of one union, and what is spent on them.

use std::cell::Cell;
use std::hash::Hasher as _;

use rustc_hash::FxHasher;
use value::Arena;
use value::json::Fit;

use super::Remembered;

/// So many shapes of a union are remembered.
pub(super) const SHAPES_MAX: usize = 8;

/// Where a union is remembered; those whose ids are a multiple of [`super::SEATS`] apart share one, and the last that learned has it.
#[derive(Debug, Default)]
pub(super) struct Seat {
    pub(super) union: u64,
    pub(super) shapes: Vec<Remembered>,
    /// Which of several fitted last to what came under a name, by its hash: a device has one topic, and one shape.
    guesses: Box<[Cell<u8>]>,
    /// What may be spent on trying, in the units of [`Fit::cost`]. What fits earns more.
    credit: Cell<i64>,
    /// So many messages go without trying, and so many the next time that trying has not paid.
    pause: Cell<u32>,
    next_pause: Cell<u32>,
    /// So many payloads that do not fit are let pass before one is learned, and so many the next time.
    until_lesson: Cell<u32>,
    next_wait: Cell<u32>,
}

/// How many guesses there are once there is more than one shape.
const GUESSES: usize = 1024;
/// What there is to spend after a pause; with a lesson comes as much for each shape, so that the new one has its turn.
const CREDIT_MIN: i64 = 64;
const CREDIT_MAX: i64 = 4096;
const PAUSE_MIN: u32 = 16;
const PAUSE_MAX: u32 = 1024;
/// The wait for a lesson doubles with each, less one, so that it does not go in step with devices that take turns, and halves
/// when a shape has fitted so often that it has paid for itself.
const WAIT_MIN: u32 = 2;
pub(super) const WAIT_MAX: u32 = 1021;
const HITS_THAT_PAY: u64 = 64;
impl Seat {
    /// Whether nothing is tried for now.
    #[inline]
    pub(super) fn rests(&self) -> bool {
        let pause = self.pause.get();
        self.pause.set(pause.saturating_sub(1));
        pause > 0
    }

    /// The shape that a payload has. What came under the same name before has the first guess.
    #[inline]
    pub(super) fn find<'m>(
        &'m self,
        payload: &'m [u8],
        name: &str,
        arena: &'m Arena,
    ) -> Option<(&'m Remembered, Fit<'m>)> {
        if !self.guesses.is_empty() {
            return self.find_among(payload, name, arena);
        }
        let only = self.shapes.first()?;
        match only.shape.fit(payload, arena) {
            Ok(fit) => {
                self.hit(only, payload, fit.cost, 0);
                Some((only, fit))
            }
            Err(misfit) => {
                self.spend(i64::from(misfit.cost));
                None
            }
        }
    }

    #[inline(never)]
    fn find_among<'m>(
        &'m self,
        payload: &'m [u8],
        name: &str,
        arena: &'m Arena,
    ) -> Option<(&'m Remembered, Fit<'m>)> {
        let mut hasher = FxHasher::default();
        hasher.write(name.as_bytes());
        let guess = &self.guesses[hasher.finish() as usize % GUESSES];
        let first = usize::from(guess.get());
        let mut spent = 0;
        let others = (0..self.shapes.len()).filter(|at| *at != first);
        for at in std::iter::once(first).chain(others) {
            let Some(remembered) = self.shapes.get(at) else { continue };
            if spent > self.credit.get() {
                break;
            }
            match remembered.shape.fit(payload, arena) {
                Ok(fit) => {
                    guess.set(at as u8);
                    self.hit(remembered, payload, fit.cost, spent);
                    return Some((remembered, fit));
                }
                Err(misfit) => spent += i64::from(misfit.cost),
            }
        }
        self.spend(spent);
        None
    }

    /// Notes that a shape has fitted, and at what cost, that of others that were tried in vain apart.
    #[inline]
    fn hit(&self, remembered: &Remembered, payload: &[u8], cost: u32, spent: i64) {
        // What a walk over it, and a look for some keys, would have cost.
        let walk = (payload.len() / 8 * 3) as i64 + 16;
        let cost = i64::from(cost);
        let saved = walk - cost - spent;
        if saved > 0 {
            self.credit.set((self.credit.get() + saved).min(CREDIT_MAX));
            self.next_pause.set((self.next_pause.get() / 2).max(PAUSE_MIN));
        } else {
            self.spend(-saved);
        }
        let excess = cost - walk / 2;
        if excess > 0 {
            remembered.excess_left.set(remembered.excess_left.get() - excess);
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

    /// Whether a payload has a shape that is remembered.
    pub(super) fn knows(&self, payload: &[u8], arena: &Arena) -> bool {
        self.shapes.iter().any(|remembered| remembered.shape.fit(payload, arena).is_ok())
    }

    /// Whether it is time to learn, now that another payload had to be walked over.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        let left = self.until_lesson.get().saturating_sub(1);
        self.until_lesson.set(left);
        left == 0
    }

    /// Puts the lesson that is due off.
    pub(super) fn postpone(&self) {
        self.until_lesson.set(self.next_wait.get());
    }

    /// Makes the seat that of a union, with room for a shape. Gives how much memory comes free.
    pub(super) fn make_room(&mut self, union: u64) -> usize {
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
        if self.shapes.len() >= SHAPES_MAX {
            let least = (0..self.shapes.len()).min_by_key(|at| self.shapes[*at].hits.get()).unwrap_or(0);
            freed += self.shapes.swap_remove(least).size();
        }
        freed
    }

    /// Takes up a shape, and waits longer for the next.
    pub(super) fn take_up(&mut self, learned: Option<Remembered>) {
        let wait = self.next_wait.get().max(WAIT_MIN);
        self.until_lesson.set(wait);
        self.next_wait.set((wait * 2 - 1).min(WAIT_MAX));
        if let Some(remembered) = learned {
            self.shapes.iter().for_each(|known| known.hits.set(known.hits.get().div_ceil(2)));
            self.shapes.push(remembered);
            if self.shapes.len() > 1 && self.guesses.is_empty() {
                self.guesses = vec![Cell::default(); GUESSES].into();
            }
            self.credit.set(self.credit.get().max(CREDIT_MIN * self.shapes.len() as i64));
            self.pause.set(0);
        }
    }
}
