use super::walk::Walk;
use crate::json::Cursor;

/// What the numbers and literals of a block leave for the next one.
#[derive(Clone, Copy, Default)]
pub(super) struct Unfinished {
    /// The digits, dots, and zeros in front of the block before: of each only the last bit counts.
    digits: u64,
    dots: u64,
    zeros: u64,
    /// 1 if the block before ended in digits behind a dot.
    fraction: u64,
    /// The first bytes, which belong to a literal that has been checked.
    literal: u64,
}

/// The numbers and literals of a block.
#[derive(Clone, Copy)]
pub(super) struct Scalars {
    /// The bytes that belong to one.
    pub(super) all: u64,
    /// The first bytes.
    pub(super) starts: u64,
    pub(super) digits: u64,
    /// All zeros of the block.
    pub(super) zeros: u64,
    /// All dots of the block.
    pub(super) dots: u64,
}

impl Unfinished {
    /// Checks the numbers and literals of a block; gives the faulty bytes, or `None` if there is a fault.
    ///
    /// Signs, literals and exponents are looked at one by one, and so is a number that fills a whole block, since it may
    /// be longer than numbers are.
    #[inline(always)]
    pub(super) fn check(&mut self, walk: &mut Walk<'_>, base: usize, scalars: Scalars) -> Option<u64> {
        let Scalars { all, starts, .. } = scalars;
        let digits = scalars.digits & all;
        // No digit behind a zero in front.
        let zeros = starts & scalars.zeros;
        let mut faults = behind(zeros, self.zeros) & digits;
        self.zeros = zeros;
        let dots = scalars.dots & all;
        let odd = all & !(digits | dots) & !std::mem::take(&mut self.literal);
        if odd != 0 || all == !0 {
            self.literal = walk.odd(base, odd, starts, all)?;
            if all == !0 {
                walk.number_around(base)?;
            }
        }
        // A dot stands between digits, and no other dot behind those that follow it: the sum carries through them.
        let fractions = behind(dots, self.dots);
        faults |= dots & !behind(digits, self.digits) | fractions & !digits;
        let (sum, over) = digits.overflowing_add(fractions | self.fraction);
        faults |= sum & !digits & dots;
        (self.digits, self.dots, self.fraction) = (digits, dots, u64::from(over));
        Some(faults)
    }

    /// Notes that a block has none. What was unfinished has ended.
    #[inline(always)]
    pub(super) fn none(&mut self) -> Option<u64> {
        // A dot must not end a number.
        let dot = self.dots >> 63;
        *self = Self::default();
        Some(dot)
    }
}

/// The bytes behind these; of `before`, the same in the block before, the last one counts.
#[inline(always)]
pub(super) fn behind(these: u64, before: u64) -> u64 {
    these << 1 | before >> 63
}

impl Walk<'_> {
    /// Checks what is neither digit nor dot in numbers and literals. Gives the first bytes of the next block that belong
    /// to a literal.
    #[inline(always)]
    fn odd(&mut self, base: usize, odd: u64, starts: u64, all: u64) -> Option<u64> {
        let mut literals = 0;
        let mut rest = odd;
        while rest != 0 {
            let place = rest.trailing_zeros();
            let at = base + place as usize;
            if starts >> place & 1 == 0 {
                self.number_around(at)?;
                rest &= rest - 1;
                continue;
            }
            let text = &self.bytes[at..];
            let bits = match text.first_chunk::<4>() {
                Some(b"true" | b"null") => 0b1111,
                Some(b"fals") if text.get(4) == Some(&b'e') => 0b1_1111,
                _ => {
                    sign(text)?;
                    rest &= rest - 1;
                    continue;
                }
            };
            // What is next to it must not belong to it; brackets and quotes are found to stand where they must not.
            literals = bits >> 1 >> (63 - place);
            let whole = bits << place;
            let next = if whole >> 63 == 0 {
                (whole << 1) & !whole & all != 0
            } else {
                !ends(&text[bits.count_ones() as usize..])
            };
            if next {
                return None;
            }
            rest &= !whole;
        }
        Some(literals)
    }

    /// Checks the number in which this byte stands, byte by byte, unless that has been done.
    #[inline(never)]
    fn number_around(&mut self, at: usize) -> Option<()> {
        if at < self.number_end {
            return Some(());
        }
        let belongs = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let start = self.bytes[..at].iter().rposition(|byte| !belongs(byte)).map_or(0, |before| before + 1);
        let end = Cursor::within(self.bytes, start).number_end()?;
        self.number_end = end;
        (end > at && ends(&self.bytes[end..])).then_some(())
    }
}

/// Whether a number or literal may end before these bytes. Brackets and quotes are found to stand where they must not.
#[inline(always)]
fn ends(behind: &[u8]) -> bool {
    matches!(
        behind.first(),
        None | Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}' | b':' | b'"' | b'[' | b'{')
    )
}

/// Checks that a minus, and a digit behind it, begin a number, without a zero too much.
#[inline(never)]
fn sign(text: &[u8]) -> Option<()> {
    match text {
        [b'-', b'0', b'0'..=b'9', ..] => None,
        [b'-', b'0'..=b'9', ..] => Some(()),
        _ => None,
    }
}
