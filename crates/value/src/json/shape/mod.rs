//! The shapes of documents: one that has been checked is remembered, and another one that differs from it in
//! nothing but its scalar values needs no check of its own.
//!
//! Devices send the same keys in the same order with the same white space over and over. A [`Shape`] is such a document with a
//! lower and an upper bound for each byte: a digit may be any digit, text in a string any text, and everything else
//! is as it was. So 32 bytes at a time are compared ([`Window`]), as long as values are as long as they were. Where one
//! is not, it is looked at by itself, and the comparison goes on behind it, with the rest of the document shifted. What is
//! the same but for scalars is JSON if those are, nests alike, and has its values in the same order; so the places that were
//! looked up in the first are known in the other by that shift.
//!
//! *Invariant:* [`Shape::fit`] takes no document that the full check refuses. It refuses many that are in order.

mod learn;
#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
use std::sync::LazyLock;

use super::windows::{Bytes, Plain, WIDTH, Window};
use super::{Cursor, Document, Place};
use crate::Arena;

/// What a document has been found to look like, with the places in it that were asked for.
#[derive(Debug)]
pub struct Shape {
    /// The least that each byte may be, and behind those the most, each with room for a window before and behind.
    bounds: Box<[u8]>,
    /// How many bytes the document had.
    length: usize,
    /// Its scalar values, but for keys, in their order.
    holes: Box<[Hole]>,
    /// For each window's width of the document, the first hole that does not end before it.
    first_holes: Box<[u16]>,
    /// The places that were asked for.
    places: Box<[Place]>,
    /// Those that are somewhere, in the order of the document.
    order: Box<[u32]>,
}

/// Where a scalar value was.
#[derive(Debug, Clone, Copy)]
struct Hole {
    start: u32,
    end: u32,
}

/// A document that has a shape.
#[derive(Debug, Clone, Copy)]
pub struct Fit<'a> {
    /// The document, which is JSON.
    pub document: Document<'a>,
    /// Where the values are that the shape was asked for, in the same order.
    pub places: &'a [Place],
    /// How much work it was to see that (windows that were compared, and as many as that is like).
    pub cost: u32,
}

/// A document that has not a shape, or not so that it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit {
    /// How much work it was to see that, as in [`Fit`].
    pub cost: u32,
}

/// What it costs to begin, and what a value costs that is looked at by itself, in windows.
const BASE_COST: u32 = 5;
const VALUE_COST: u32 = 7;

/// Whether the processor has AVX2 and what comes with it. Three questions, so they are asked once.
#[cfg(target_arch = "x86_64")]
static HAS_AVX2: LazyLock<bool> = LazyLock::new(|| {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2")
});

impl Shape {
    /// Whether a document is the one that was learned but for its scalar values.
    #[inline(always)]
    pub fn fit<'a>(&'a self, bytes: &'a [u8], arena: &'a Arena) -> Result<Fit<'a>, Misfit> {
        #[cfg(target_arch = "x86_64")]
        if *HAS_AVX2 {
            #[allow(unsafe_code)]
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { self.fit_avx2(bytes, arena) };
        }
        self.fit_on::<Plain>(bytes, arena)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn fit_avx2<'a>(&'a self, bytes: &'a [u8], arena: &'a Arena) -> Result<Fit<'a>, Misfit> {
        self.fit_on::<super::windows::Avx2>(bytes, arena)
    }

    #[inline(always)]
    fn fit_on<'a, W: Window>(&'a self, bytes: &'a [u8], arena: &'a Arena) -> Result<Fit<'a>, Misfit> {
        let mut padded = [0; WIDTH];
        let text = Text { bytes, last: last_of(bytes, &mut padded) };
        // The place that comes next, here and in what was learned.
        let (mut at, mut known) = (0, 0);
        let mut moving = Moving::new(self);
        let mut hole = 0;
        let mut cost = BASE_COST;
        // Places are as wide as that.
        if bytes.len() >= u32::MAX as usize {
            return Err(Misfit { cost });
        }
        loop {
            let (misfits, length) = self.compare::<W>(text, at, known);
            cost += 1 + length as u32 / WIDTH as u32;
            (at, known) = (at + length, known + length);
            if misfits == 0 {
                if (at, known) != (bytes.len(), self.length) {
                    return Err(Misfit { cost });
                }
                let places = moving.end(at.wrapping_sub(known) as u32, arena);
                return Ok(Fit { document: Document { bytes }, places, cost });
            }
            let misfit = known + misfits.trailing_zeros() as usize;
            let Some(found) = self.hole_at(misfit, hole) else { return Err(Misfit { cost }) };
            let Hole { start, end } = self.holes[found];
            hole = found + 1;
            cost += VALUE_COST;
            let shift = at.wrapping_sub(known);
            let value = (start as usize).wrapping_add(shift);
            let Some(behind) = text.value_end::<W>(value) else { return Err(Misfit { cost }) };
            if start >= moving.next {
                moving.up_to(start, shift as u32, arena);
            }
            (at, known) = (behind, end as usize);
        }
    }

    /// Compares what comes from `at` on with what was learned from `known` on, up to a window in which something does not fit.
    /// Gives what, and how many bytes lie before that window; or 0, and how many bytes there were to compare.
    #[inline(always)]
    fn compare<W: Window>(&self, text: Text<'_>, at: usize, known: usize) -> (u64, usize) {
        let misfits = |bytes: &Bytes, low: &Bytes, high: &Bytes| {
            u64::from(W::load(bytes).misfits(W::load(low), W::load(high)))
        };
        let both = (text.bytes.len() - at).min(self.length - known);
        let size = self.length + 2 * WIDTH;
        let (low, high) = (&self.bounds[..size], &self.bounds[size..][..size]);
        // The bytes before the document's begin are room, as are those behind.
        let windows = text.bytes[at..at + both].as_chunks().0.iter();
        let lows = low[known + WIDTH..][..both].as_chunks().0.iter();
        let highs = high[known + WIDTH..][..both].as_chunks().0.iter();
        let mut length = 0;
        for ((window, low), high) in windows.zip(lows).zip(highs) {
            let found = misfits(window, low, high);
            if found != 0 {
                return (found, length);
            }
            length += WIDTH;
        }
        // The last bytes come with some before them, which need not fit.
        let (window, skipped) = text.window(at + length);
        let from = known + length + WIDTH - skipped;
        let (Some(low), Some(high)) = (low[from..].first_chunk(), high[from..].first_chunk()) else {
            return (0, 0);
        };
        let found = misfits(window, low, high) >> skipped;
        (found, if found == 0 { both } else { length })
    }

    /// The first hole from `next` on that begins before or at this place, and does not end before it.
    #[inline(always)]
    fn hole_at(&self, place: usize, next: usize) -> Option<usize> {
        let first = usize::from(*self.first_holes.get(place / WIDTH)?);
        let mut at = first.max(next);
        loop {
            let hole = self.holes.get(at)?;
            if hole.end as usize >= place {
                return (hole.start as usize <= place).then_some(at);
            }
            at += 1;
        }
    }

    /// How much memory it takes (bytes).
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + self.bounds.len()
            + size_of_val(&*self.holes)
            + size_of_val(&*self.first_holes)
            + size_of_val(&*self.places)
            + size_of_val(&*self.order)
    }
}

/// The places of a document in which some values are longer or shorter than they were.
struct Moving<'a> {
    shape: &'a Shape,
    /// A copy of the shape's places, once one of them is elsewhere.
    moved: Option<&'a mut [Place]>,
    /// So many of the shape's order are done.
    done: usize,
    /// Where the next one was; behind all places if there is none.
    next: u32,
}

impl<'a> Moving<'a> {
    #[inline(always)]
    fn new(shape: &'a Shape) -> Self {
        Self { shape, moved: None, done: 0, next: 0 }
    }

    /// Moves those that are not done yet and were not behind this place.
    #[inline(always)]
    fn up_to(&mut self, last: u32, shift: u32, arena: &'a Arena) {
        let Shape { places, order, .. } = self.shape;
        self.next = u32::MAX;
        for at in &order[self.done..] {
            let start = places[*at as usize].start;
            if start > last {
                self.next = start;
                break;
            }
            self.done += 1;
            if shift != 0 {
                let moved = self.moved.get_or_insert_with(|| arena.bump().alloc_slice_copy(places));
                moved[*at as usize].start = start.wrapping_add(shift);
            }
        }
    }

    /// All places, when the end has been reached.
    #[inline(always)]
    fn end(mut self, shift: u32, arena: &'a Arena) -> &'a [Place] {
        if shift != 0 && self.next < u32::MAX {
            self.up_to(u32::MAX - 1, shift, arena);
        }
        match self.moved {
            Some(moved) => moved,
            None => &self.shape.places,
        }
    }
}

/// The bytes of a document, of which a window can be taken at any place.
#[derive(Clone, Copy)]
struct Text<'t> {
    bytes: &'t [u8],
    /// The last window's width of them, zeros before them if there are fewer.
    last: &'t Bytes,
}

#[inline(always)]
fn last_of<'t>(bytes: &'t [u8], padded: &'t mut Bytes) -> &'t Bytes {
    match bytes.last_chunk() {
        Some(last) => last,
        None => {
            padded[WIDTH - bytes.len()..].copy_from_slice(bytes);
            padded
        }
    }
}

impl Text<'_> {
    /// The window in which the byte at a place stands, and how many stand before it there: none if there are as many bytes
    /// from there on.
    #[inline(always)]
    fn window(&self, at: usize) -> (&Bytes, usize) {
        let rest = self.bytes.get(at..).unwrap_or_default();
        match rest.first_chunk() {
            Some(window) => (window, 0),
            None => self.last_window(rest.len()),
        }
    }

    /// Only at the end of a document, so that elsewhere it does not cost anything.
    #[cold]
    fn last_window(&self, left: usize) -> (&Bytes, usize) {
        (self.last, WIDTH - left)
    }

    /// The end of the scalar that begins at a place; `None` if there is none, or a faulty one.
    #[inline(always)]
    fn value_end<W: Window>(&self, start: usize) -> Option<usize> {
        match self.bytes.get(start)? {
            b'"' => self.string_end::<W>(start),
            b'-' | b'0'..=b'9' => self.number_end::<W>(start),
            _ => match self.bytes[start..].first_chunk::<4>()? {
                b"true" | b"null" => Some(start + 4),
                b"fals" if self.bytes.get(start + 4) == Some(&b'e') => Some(start + 5),
                _ => None,
            },
        }
    }

    #[inline(always)]
    fn string_end<W: Window>(&self, start: usize) -> Option<usize> {
        let mut at = start + 1;
        loop {
            let (window, skipped) = self.window(at);
            let ends = u64::from(W::load(window).ends_of_text()) >> skipped;
            if ends != 0 {
                at += ends.trailing_zeros() as usize;
                break;
            }
            at += WIDTH - skipped;
            if skipped > 0 {
                return None;
            }
        }
        match self.bytes.get(at) {
            Some(b'"') => Some(at + 1),
            _ => self.unusual_string_end(start),
        }
    }

    /// The end of a string with escapes or beyond ASCII. What is around it is ASCII, so it is UTF-8 by itself if it is.
    #[inline(never)]
    fn unusual_string_end(&self, start: usize) -> Option<usize> {
        let end = Cursor::within(self.bytes, start).string_end()?;
        let text = &self.bytes[start..end];
        (text.is_ascii() || simdutf8::basic::from_utf8(text).is_ok()).then_some(end)
    }

    #[inline(always)]
    fn number_end<W: Window>(&self, start: usize) -> Option<usize> {
        let byte = |at: usize| self.bytes.get(at).copied().unwrap_or(0);
        let first = start + usize::from(self.bytes[start] == b'-');
        let (window, skipped) = self.window(first);
        let digits = u64::from(W::load(window).digits()) >> skipped;
        let mut length = digits.trailing_ones() as usize;
        if length == 0 || length > 1 && self.bytes[first] == b'0' {
            return self.unusual_number_end(start);
        }
        let mut behind = byte(first + length);
        if behind == b'.' {
            let fraction = (digits >> length >> 1).trailing_ones() as usize;
            if fraction == 0 {
                return self.unusual_number_end(start);
            }
            length += 1 + fraction;
            behind = byte(first + length);
        }
        // As long as a window, it may go on behind it.
        if length >= WIDTH || behind | 0x20 == b'e' {
            return self.unusual_number_end(start);
        }
        Some(first + length)
    }

    #[inline(never)]
    fn unusual_number_end(&self, start: usize) -> Option<usize> {
        Cursor::within(self.bytes, start).number_end()
    }
}
