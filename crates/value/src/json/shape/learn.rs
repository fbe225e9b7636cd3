use super::{Hole, Shape};
use crate::json::windows::{TEXT, WIDTH};
use crate::json::{Cursor, Document, Place};

impl Shape {
    /// Documents longer than this are not learned (bytes).
    pub const BYTES_MAX: usize = 8 << 10;
    /// No more places than these are kept.
    pub const PLACES_MAX: usize = 4 << 10;

    /// The shape of an array or object, with the places of values in it that are to be known in others. `None` if it is more
    /// than is kept, or a scalar, which has none.
    pub fn new(document: Document<'_>, places: Vec<Place>) -> Option<Self> {
        let bytes = document.bytes;
        let is_scalar = !matches!(Cursor::new(bytes).peek(), b'{' | b'[');
        if is_scalar || bytes.len() > Self::BYTES_MAX || places.len() > Self::PLACES_MAX {
            return None;
        }
        let mut learner = Learner { low: bytes.to_vec(), high: bytes.to_vec(), holes: Vec::new() };
        learner.document(bytes)?;
        let Learner { low, high, holes } = learner;
        let room = [0; WIDTH];
        let bounds = [&room, &*low, &room, &room, &*high, &room].concat();
        let firsts = (0..=bytes.len() / WIDTH).map(|at| {
            // There are fewer holes than bytes.
            holes.partition_point(|hole| (hole.end as usize) < at * WIDTH) as u16
        });
        let mut order: Vec<u32> = (0..).take(places.len()).collect();
        order.retain(|at| !places[*at as usize].is_nowhere());
        order.sort_by_key(|at| places[*at as usize].start);
        Some(Self {
            bounds: bounds.into(),
            length: bytes.len(),
            first_holes: firsts.collect(),
            holes: holes.into(),
            places: places.into(),
            order: order.into(),
        })
    }
}

struct Learner {
    /// What each byte may be: what it is, unless it is part of a value in which it is one of many.
    low: Vec<u8>,
    high: Vec<u8>,
    holes: Vec<Hole>,
}

impl Learner {
    /// Goes through a document, which has been checked.
    fn document(&mut self, bytes: &[u8]) -> Option<()> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            at = match byte {
                b'"' => self.string(bytes, at)?,
                b'-' | b'0'..=b'9' => self.number(bytes, at)?,
                b't' | b'n' => self.hole(at, at + 4),
                b'f' => self.hole(at, at + 5),
                _ => at + 1,
            };
        }
        Some(())
    }

    fn hole(&mut self, start: usize, end: usize) -> usize {
        self.holes.push(Hole { start: start as u32, end: end as u32 });
        end
    }

    fn bound(&mut self, at: usize, low: u8, high: u8) {
        (self.low[at], self.high[at]) = (low, high);
    }

    fn string(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        let end = Cursor::within(bytes, start).string_end()?;
        // Keys, which a colon follows, stay as they are.
        if Cursor::within(bytes, end).peek() == b':' {
            return Some(end);
        }
        let mut at = start + 1;
        while at < end - 1 {
            at = match bytes[at] {
                b'\\' => Cursor::within(bytes, at).escape_end()?,
                // Escapes and what is beyond ASCII stay as they are.
                0x80.. => at + 1,
                _ => {
                    self.bound(at, b' ', TEXT);
                    at + 1
                }
            };
        }
        Some(self.hole(start, end))
    }

    fn number(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        let end = Cursor::within(bytes, start).number_end()?;
        let text = &bytes[start..end];
        // Where an exponent or many digits can take it out of range, it stays as it is.
        if text.len() < WIDTH && !text.iter().any(|byte| matches!(byte, b'e' | b'E')) {
            let first = start + usize::from(text[0] == b'-');
            for at in (first..end).filter(|at| bytes[*at] != b'.') {
                self.bound(at, b'0', b'9');
            }
            // No other digit stands behind a zero in front.
            if bytes[first..end].get(1).is_some_and(u8::is_ascii_digit) {
                self.bound(first, b'1', b'9');
            }
        }
        Some(self.hole(start, end))
    }
}
