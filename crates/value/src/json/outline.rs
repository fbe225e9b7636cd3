//! The way through a document, found 64 bytes at a time.
//!
//! What makes text JSON is, but for nesting, a matter of neighbours: a value stands behind a colon, a comma or an opening
//! bracket and nowhere else; a key stands in an object behind its comma or bracket, and a colon behind it. With one bit for
//! each byte ([`Lanes`]) all neighbours of a block are compared at once, and a step over a run of white space or digits is
//! an addition, whose carry comes out behind the run. Only brackets, literals, escapes and odd numbers are looked
//! at one by one. (The bit masks are those of Langdale and Lemire, *Parsing Gigabytes of JSON per Second*; they
//! make a list of tokens of them, we stay with the masks.)
//!
//! A fault is only noticed here. What and where it is, the [`Cursor`] says, to which faulty documents go.

use bumpalo::collections::Vec;

use super::lanes::{Block, Lanes, Plain};
use super::{Cursor, DEPTH_MAX, JsonError, RawString};
use crate::Arena;

/// A document that has been checked from end to end, with what it takes to find one's way in it.
#[derive(Debug, Clone, Copy)]
pub struct Outline<'a> {
    bytes: &'a [u8],
    marks: &'a [Marks],
    escapes: bool,
    root: Place,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    start: u32,
    end: u32,
    /// How many arrays and objects it stands in.
    depth: u32,
}

/// What is remembered of a block, strings left out.
#[derive(Debug, Clone, Copy)]
struct Marks {
    /// Quotes at the ends of strings.
    quotes: u64,
    commas: u64,
    opening: u64,
    closing: u64,
    /// How many arrays and objects are open before the first byte.
    depth: u32,
    /// The fewest that are open behind any closing bracket; more than there can be if there is none.
    low: u32,
}

/// How many bytes a block has.
const WIDTH: usize = 64;

impl Place {
    /// Where nothing is.
    pub const NOWHERE: Place = Place { start: 0, end: 0, depth: 0 };

    /// Whether nothing is there.
    pub fn is_nowhere(self) -> bool {
        self.end == 0
    }
}

impl<'a> Outline<'a> {
    /// Checks a document, UTF-8 included, and finds the way through it.
    pub fn new(bytes: &'a [u8], arena: &'a Arena) -> Result<Self, JsonError> {
        if bytes.len() >= u32::MAX as usize {
            return Err(JsonError { at: u32::MAX as usize, reason: "the document is too long" });
        }
        let mut cursor = Cursor::new(bytes);
        match cursor.peek() {
            b'{' | b'[' => Self::nested(bytes, cursor.at(), arena).ok_or_else(|| fault(bytes)),
            _ => Self::scalar(bytes),
        }
    }

    fn scalar(bytes: &'a [u8]) -> Result<Self, JsonError> {
        check_utf8(bytes)?;
        let mut cursor = Cursor::new(bytes);
        cursor.peek();
        let start = cursor.at();
        let Some(text) = cursor.skip(0) else { return Err(cursor.error()) };
        let root = Place { start: start as u32, end: (start + text.len()) as u32, depth: 0 };
        cursor.end().ok_or_else(|| cursor.error())?;
        Ok(Self { bytes, marks: &[], escapes: true, root })
    }

    fn nested(bytes: &'a [u8], start: usize, arena: &'a Arena) -> Option<Self> {
        let mut walk = Walk::new(bytes, arena);
        let last = walk.run()?;
        let mut cursor = Cursor::within(bytes, last + 1);
        cursor.end()?;
        if walk.beyond_ascii && simdutf8::basic::from_utf8(bytes).is_err() {
            return None;
        }
        Some(Self {
            bytes,
            marks: walk.marks.into_bump_slice(),
            escapes: walk.escapes,
            root: Place { start: start as u32, end: last as u32 + 1, depth: 0 },
        })
    }

    /// The whole document.
    pub fn root(&self) -> Place {
        self.root
    }

    /// The text of a value.
    pub fn text(&self, place: Place) -> &'a [u8] {
        &self.bytes[place.start as usize..place.end as usize]
    }

    /// The entries of an object, doubled keys included; nothing for other values.
    #[inline]
    pub fn entries(&self, place: Place) -> Entries<'_, 'a> {
        Entries(self.inside(place, b'{'))
    }

    /// The elements of an array; nothing for other values.
    #[inline]
    pub fn items(&self, place: Place) -> Items<'_, 'a> {
        Items(self.inside(place, b'['))
    }

    #[inline]
    fn inside(&self, place: Place, bracket: u8) -> Inside<'_, 'a> {
        let at = place.start as usize;
        let inside = !place.is_nowhere() && self.bytes[at] == bracket;
        let mut inside = Inside { outline: self, at: at + 1, depth: place.depth + 1, more: inside };
        if inside.more && inside.peek() == bracket + 2 {
            inside.more = false;
        }
        inside
    }

    /// The first bit from `at` on in one of the masks.
    #[inline(always)]
    fn next(&self, at: usize, mask: impl Fn(&Marks) -> u64) -> usize {
        let mut block = at / WIDTH;
        let mut bits = self.marks.get(block).map_or(0, &mask) & !0 << (at % WIDTH);
        while bits == 0 {
            block += 1;
            match self.marks.get(block) {
                Some(marks) => bits = mask(marks),
                None => return self.bytes.len(),
            }
        }
        block * WIDTH + bits.trailing_zeros() as usize
    }

    /// The place behind the array or object that begins at `start`, where `depth` are open.
    #[inline]
    fn behind(&self, start: usize, depth: u32) -> usize {
        let mut block = start / WIDTH;
        let mut from = !0 << (start % WIDTH);
        let mut open = depth;
        while let Some(marks) = self.marks.get(block) {
            if marks.low <= depth {
                let mut brackets = (marks.opening | marks.closing) & from;
                while brackets != 0 {
                    let bit = brackets & brackets.wrapping_neg();
                    brackets ^= bit;
                    if marks.opening & bit != 0 {
                        open += 1;
                    } else {
                        open -= 1;
                        if open == depth {
                            return block * WIDTH + bit.trailing_zeros() as usize + 1;
                        }
                    }
                }
            }
            block += 1;
            from = !0;
            open = self.marks.get(block).map_or(0, |marks| marks.depth);
        }
        self.bytes.len()
    }
}

/// What is wrong with a document that is not well-formed.
#[cold]
fn fault(bytes: &[u8]) -> JsonError {
    if let Err(error) = check_utf8(bytes) {
        return error;
    }
    let mut cursor = Cursor::new(bytes);
    if cursor.skip(0).and_then(|_| cursor.end()).is_some() {
        cursor.fail::<()>("malformed");
    }
    cursor.error()
}

/// Checks that a document is UTF-8.
pub(super) fn check_utf8(bytes: &[u8]) -> Result<(), JsonError> {
    if simdutf8::basic::from_utf8(bytes).is_ok() {
        return Ok(());
    }
    // The fast check only says that there is a fault; the slow one says where.
    let at = std::str::from_utf8(bytes).err().map_or(0, |slow| slow.valid_up_to());
    Err(JsonError { at, reason: "not UTF-8" })
}

/// The way through one array or object. The document has been checked, so nothing is checked again.
#[derive(Debug, Clone)]
struct Inside<'o, 'a> {
    outline: &'o Outline<'a>,
    at: usize,
    /// How many arrays and objects the values stand in.
    depth: u32,
    more: bool,
}

impl<'a> Inside<'_, 'a> {
    /// The next byte that is no white space; the place moves to it.
    #[inline(always)]
    fn peek(&mut self) -> u8 {
        while let Some(byte) = self.outline.bytes.get(self.at) {
            if *byte > b' ' {
                return *byte;
            }
            self.at += 1;
        }
        0
    }

    /// Takes the key that comes next, and its colon.
    #[inline(always)]
    fn key(&mut self) -> RawString<'a> {
        self.peek();
        let start = self.at + 1;
        let end = self.outline.next(start, |marks| marks.quotes);
        let raw = &self.outline.bytes[start..end];
        self.at = end + 1;
        self.peek();
        self.at += 1;
        RawString { raw, escaped: self.outline.escapes }
    }

    /// Takes the value that comes next, and the comma behind it.
    #[inline(always)]
    fn value(&mut self) -> Place {
        let outline = self.outline;
        let (first, start) = (self.peek(), self.at);
        let end = match first {
            b'{' | b'[' => outline.behind(start, self.depth),
            b'"' => outline.next(start + 1, |marks| marks.quotes) + 1,
            _ => {
                let mut end = outline.next(start, |marks| marks.commas | marks.closing);
                while outline.bytes[end - 1] <= b' ' {
                    end -= 1;
                }
                end
            }
        };
        self.at = end;
        self.more = self.peek() == b',';
        self.at += 1;
        Place { start: start as u32, end: end as u32, depth: self.depth }
    }
}

/// The entries of an object.
#[derive(Debug, Clone)]
pub struct Entries<'o, 'a>(Inside<'o, 'a>);

impl<'a> Iterator for Entries<'_, 'a> {
    type Item = (RawString<'a>, Place);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if !self.0.more {
            return None;
        }
        let key = self.0.key();
        Some((key, self.0.value()))
    }
}

/// The elements of an array.
#[derive(Debug, Clone)]
pub struct Items<'o, 'a>(Inside<'o, 'a>);

impl Iterator for Items<'_, '_> {
    type Item = Place;

    #[inline]
    fn next(&mut self) -> Option<Place> {
        if self.0.more { Some(self.0.value()) } else { None }
    }
}

/// The check under way: what a block leaves for the next one.
struct Walk<'a> {
    bytes: &'a [u8],
    marks: Vec<'a, Marks>,
    /// How many arrays and objects are open.
    depth: u32,
    /// Which of the innermost are objects, the innermost in the lowest bit; those above 64 levels are put aside.
    objects: u64,
    aside: [u64; DEPTH_MAX / 64],
    /// All ones within a string.
    in_string: u64,
    /// 1 if the first byte that is no white space stands behind an opening bracket, and so on.
    after_open: u64,
    after_colon: u64,
    after_comma: u64,
    /// Behind the end of a key.
    after_key: u64,
    /// Within a key.
    key: bool,
    /// 1 if the last byte belongs to a number or literal.
    scalar: u64,
    /// The last byte belongs to a number, which has been checked.
    number: bool,
    /// The first bytes that belong to a literal which has been checked.
    literal: u64,
    /// 1 if the first byte is escaped.
    escaped: u64,
    /// Escapes before this place have been checked.
    escape_end: usize,
    escapes: bool,
    beyond_ascii: bool,
}

/// What the bytes of a block are, outside of strings.
#[derive(Clone, Copy)]
struct Classes {
    open: u64,
    close: u64,
    comma: u64,
    colon: u64,
    spaces: u64,
    /// Quotes that begin or end a string.
    quotes: u64,
    /// From the opening quote to the last byte before the closing one.
    in_string: u64,
}

/// What the brackets of a block say.
struct Paired {
    /// The bytes that stand directly in an object.
    object: u64,
    /// As in [`Marks`].
    low: u32,
    /// The bracket that closes the document.
    last: Option<u32>,
}

/// What is rare in a block.
#[derive(Clone, Copy, Default)]
struct Unusual {
    /// Bytes behind a backslash that counts.
    escaped: u64,
    /// White space other than blanks.
    spaces: u64,
    /// All bytes below 0x20.
    controls: u64,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8], arena: &'a Arena) -> Self {
        Self {
            bytes,
            marks: Vec::with_capacity_in(bytes.len() / WIDTH + 1, arena.bump()),
            depth: 0,
            objects: 0,
            aside: [0; DEPTH_MAX / 64],
            in_string: 0,
            after_open: 0,
            // As if a colon stood before the document: a value must follow.
            after_colon: 1,
            after_comma: 0,
            after_key: 0,
            key: false,
            scalar: 0,
            number: false,
            literal: 0,
            escaped: 0,
            escape_end: 0,
            escapes: false,
            beyond_ascii: false,
        }
    }

    /// Walks up to the bracket that closes the document, and gives its place.
    fn run(&mut self) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        {
            let fast = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("pclmulqdq");
            if fast {
                #[allow(unsafe_code)]
                // SAFETY: the processor has what the function is compiled for.
                return unsafe { self.run_avx2() };
            }
        }
        self.run_on::<Plain>()
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,pclmulqdq")]
    fn run_avx2(&mut self) -> Option<usize> {
        self.run_on::<super::lanes::Avx2>()
    }

    #[inline(always)]
    fn run_on<L: Lanes>(&mut self) -> Option<usize> {
        let mut rest = self.bytes;
        let mut base = 0;
        let mut padded = [b' '; WIDTH];
        while !rest.is_empty() {
            let (block, behind) = match rest.split_first_chunk::<WIDTH>() {
                Some(split) => split,
                None => {
                    padded[..rest.len()].copy_from_slice(rest);
                    (&padded, &[][..])
                }
            };
            if let Some(last) = self.block::<L>(base, block)? {
                return Some(last);
            }
            rest = behind;
            base += WIDTH;
        }
        None
    }

    /// Checks a block; gives the place of the last bracket if it is in there, and `None` if there is a fault.
    #[inline(always)]
    fn block<L: Lanes>(&mut self, base: usize, block: &Block) -> Option<Option<usize>> {
        let lanes = L::load(block);
        let classes = self.classes(lanes, base, block)?;
        let Classes { open, close, comma, colon, spaces, quotes, in_string } = classes;
        let depth = self.depth;
        let mut object = 0u64.wrapping_sub(self.objects & 1);
        let (mut low, mut last) = (u32::MAX, None);
        if open | close != 0 {
            let brackets = self.brackets(block, open, open | close)?;
            (object, low) = (brackets.object, brackets.low);
            last = brackets.last.map(|place| base + place as usize);
        }
        self.marks.push(Marks {
            quotes: quotes & !in_string,
            commas: comma,
            opening: open,
            closing: close,
            depth,
            low,
        });

        let (after_open, after_comma, after_colon);
        if spaces == 0 {
            after_open = next(open, &mut self.after_open);
            after_comma = next(comma, &mut self.after_comma);
            after_colon = next(colon, &mut self.after_colon);
        } else {
            after_open = behind(open, spaces, &mut self.after_open);
            after_comma = behind(comma, spaces, &mut self.after_comma);
            after_colon = behind(colon, spaces, &mut self.after_colon);
        }

        // Keys stand in objects, behind the bracket and behind each comma, and a colon stands behind each.
        let key_starts = (after_open | after_comma) & object & !close;
        let strings = quotes & in_string;
        let (sum, over) = in_string.overflowing_add(key_starts);
        let (sum, over_again) = sum.overflowing_add(u64::from(self.key));
        self.key = over | over_again;
        let after_key = match spaces {
            0 => next(sum & !in_string, &mut self.after_key),
            _ => behind(sum & !in_string, spaces, &mut self.after_key),
        };
        let mut faults = key_starts & !strings | after_key ^ colon;

        // Numbers and literals.
        let scalars = !(in_string | quotes | spaces | open | close | comma | colon);
        let starts = scalars & !(scalars << 1 | self.scalar);
        self.scalar = scalars >> 63;
        if scalars == 0 {
            self.number = false;
        } else {
            faults |= self.scalars(lanes, base, scalars, starts)?;
        }

        // Values stand behind brackets, commas and colons, and nowhere else; only an opening bracket may lack one.
        let values = strings | starts | open;
        faults |= ((after_open | after_comma | after_colon) ^ values) & !(close & after_open);
        if faults == 0 { Some(last) } else { None }
    }

    /// Tells the bytes of a block apart.
    #[inline(always)]
    fn classes<L: Lanes>(&mut self, lanes: L, base: usize, block: &Block) -> Option<Classes> {
        let mut quotes = lanes.eq(b'"');
        let mut spaces = lanes.eq(b' ');
        let mut unusual = Unusual::default();
        if lanes.is_unusual() || self.escaped != 0 {
            unusual = self.unusual(base, block)?;
            quotes &= !unusual.escaped;
            spaces |= unusual.spaces;
        }
        let in_string = L::parity(quotes) ^ self.in_string;
        self.in_string = (in_string as i64 >> 63) as u64;
        if unusual.controls & in_string != 0 {
            return None;
        }
        let folded = lanes.folded();
        Some(Classes {
            open: folded.eq(b'{') & !in_string,
            close: folded.eq(b'}') & !in_string,
            comma: lanes.eq(b',') & !in_string,
            colon: lanes.eq(b':') & !in_string,
            spaces: spaces & !in_string,
            quotes,
            in_string,
        })
    }

    /// Looks closely at a block with white space other than blanks, escapes, or bytes beyond ASCII.
    #[inline(never)]
    fn unusual(&mut self, base: usize, block: &Block) -> Option<Unusual> {
        let lanes = Plain::load(block);
        self.beyond_ascii |= lanes.is_beyond_ascii();
        Some(Unusual {
            escaped: self.escaped(lanes.eq(b'\\'), base)?,
            spaces: lanes.eq(b'\n') | lanes.eq(b'\t') | lanes.eq(b'\r'),
            controls: lanes.controls(),
        })
    }

    /// Checks the escapes of a block; gives the bytes that stand behind a backslash that counts. A backslash outside of
    /// a string is found to be part of no number and no literal.
    fn escaped(&mut self, backslashes: u64, base: usize) -> Option<u64> {
        let mut escaped = std::mem::take(&mut self.escaped);
        let mut rest = backslashes & !escaped;
        while rest != 0 {
            let place = rest.trailing_zeros();
            let behind = 2u64.checked_shl(place).unwrap_or(0);
            // A surrogate pair is one escape with two backslashes.
            if base + place as usize >= self.escape_end {
                self.escape_end = Cursor::within(self.bytes, base + place as usize).escape_end()?;
            }
            self.escapes = true;
            self.escaped = u64::from(place == 63);
            escaped |= behind;
            rest &= !(1 << place | behind);
        }
        Some(escaped)
    }

    /// Checks that the brackets of a block fit together.
    #[inline(always)]
    fn brackets(&mut self, block: &Block, open: u64, all: u64) -> Option<Paired> {
        let (mut depth, mut objects) = (self.depth, self.objects);
        let mut object = 0u64.wrapping_sub(objects & 1);
        let mut low = u32::MAX;
        let mut rest = all;
        while rest != 0 {
            let place = rest.trailing_zeros();
            rest &= rest - 1;
            let is_object = u64::from(block[place as usize % WIDTH] >> 5 & 1);
            let before = objects;
            if open >> place & 1 != 0 {
                if depth % 64 == 0 && depth > 0 {
                    if depth as usize == DEPTH_MAX {
                        return None;
                    }
                    self.aside[depth as usize / 64] = objects;
                }
                depth += 1;
                objects = objects << 1 | is_object;
            } else {
                if objects & 1 != is_object || depth == 0 {
                    return None;
                }
                depth -= 1;
                objects >>= 1;
                low = low.min(depth);
                if depth % 64 == 0 {
                    if depth == 0 {
                        return Some(Paired { object, low, last: Some(place) });
                    }
                    objects = self.aside[depth as usize / 64];
                }
            }
            // From the next byte on: an opening bracket itself stands in what is around it, a closing one in itself.
            object ^= 0u64.wrapping_sub((before ^ objects) & 1) << place << 1;
        }
        (self.depth, self.objects) = (depth, objects);
        Some(Paired { object, low, last: None })
    }

    /// Checks the numbers and literals of a block, of which `starts` are the first bytes; gives the faulty bytes.
    #[inline(always)]
    fn scalars<L: Lanes>(&mut self, lanes: L, base: usize, scalars: u64, starts: u64) -> Option<u64> {
        let literal_starts = starts & lanes.letters();
        let literals = std::mem::take(&mut self.literal) | self.literals(base, literal_starts)?;
        let mut numbers = scalars & !literals;
        let mut starts = starts & !literal_starts;
        if std::mem::take(&mut self.number) {
            // What goes on from the block before was checked there.
            self.number = numbers == !0;
            numbers &= numbers.wrapping_add(1);
        }
        if numbers >> 63 != 0 {
            // What goes on in the next block is checked now, one byte after the other.
            let start = 63 - starts.leading_zeros().min(63);
            if numbers | !(!0 << start) != !0 {
                return None;
            }
            self.number(base + start as usize)?;
            self.number = true;
            numbers &= !(!0 << start);
            starts &= !(1 << start);
        }
        if numbers == 0 {
            return Some(starts);
        }
        let digits = lanes.digits() & numbers;
        let minus = lanes.eq(b'-') & numbers;
        let dots = lanes.eq(b'.') & numbers;
        let others = numbers & !(digits | minus | dots);
        if others != 0 {
            self.odd_numbers(base, others, starts)?;
        }
        let signs = minus & starts;
        // A minus may stand in front, or in an exponent; a digit follows it.
        let mut faults = minus & !(starts | others << 1) | minus << 1 & !digits;
        // What is no literal begins with a digit or minus, and does not begin within something else.
        faults |= starts & !(digits | minus) | (numbers & !(numbers << 1)) ^ starts;
        // No digit behind a zero in front.
        let zeros = (starts | signs << 1) & lanes.eq(b'0');
        faults |= zeros << 1 & digits;
        // A dot stands between digits, and no other dot behind those that follow it.
        let fractions = dots << 1;
        faults |= dots & !(digits << 1) | fractions & !digits;
        faults |= digits.wrapping_add(fractions) & !digits & dots;
        Some(faults)
    }

    /// Checks the literals that begin at these bytes; gives the bytes that belong to them.
    #[inline(always)]
    fn literals(&mut self, base: usize, starts: u64) -> Option<u64> {
        let mut literals = 0;
        let mut rest = starts;
        while rest != 0 {
            let place = rest.trailing_zeros();
            rest &= rest - 1;
            let text = &self.bytes[base + place as usize..];
            let bits = match text.first_chunk::<4>()? {
                b"true" | b"null" => 0b1111u64,
                b"fals" if text.get(4) == Some(&b'e') => 0b1_1111,
                _ => return None,
            };
            literals |= bits << place;
            self.literal |= bits >> 1 >> (63 - place);
        }
        Some(literals)
    }

    /// Checks a number that begins at this place, byte by byte.
    #[inline(never)]
    fn number(&self, start: usize) -> Option<()> {
        let end = Cursor::within(self.bytes, start).number_end()?;
        // Brackets and quotes are found to stand where they must not.
        matches!(
            self.bytes.get(end),
            None | Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}' | b':' | b'"' | b'[' | b'{')
        )
        .then_some(())
    }

    /// Checks the numbers in which these bytes stand, which make an exponent or do not belong there.
    #[inline(never)]
    fn odd_numbers(&self, base: usize, others: u64, starts: u64) -> Option<()> {
        let mut rest = others;
        while rest != 0 {
            let place = rest.trailing_zeros();
            rest &= rest - 1;
            let before = starts & ((1 << place) - 1);
            if before == 0 {
                return None;
            }
            self.number(base + 63 - before.leading_zeros() as usize)?;
        }
        Some(())
    }
}

/// The bytes behind these. `pending` is 1 if the first byte of the block is one, and afterwards if that of the next is.
#[inline(always)]
fn next(these: u64, pending: &mut u64) -> u64 {
    these << 1 | std::mem::replace(pending, these >> 63)
}

/// The bytes that come next behind these, white space left out. `pending` is 1 if that is so for the first byte of the block,
/// and afterwards for that of the next.
#[inline(always)]
fn behind(these: u64, spaces: u64, pending: &mut u64) -> u64 {
    let next = these << 1 | *pending;
    // Where white space follows, the sum carries through the run of it.
    let (sum, over) = spaces.overflowing_add(next & spaces);
    *pending = these >> 63 | u64::from(over);
    (sum | next) & !spaces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Value, json};

    /// What the cursor, which goes byte by byte, says of a document.
    fn by_cursor(bytes: &[u8]) -> Result<(), JsonError> {
        check_utf8(bytes)?;
        let mut cursor = Cursor::new(bytes);
        cursor.skip(0).and_then(|_| cursor.end()).ok_or_else(|| cursor.error())
    }

    /// The document, read by following the outline alone.
    fn read<'a>(outline: &Outline<'a>, place: Place, arena: &'a Arena) -> String {
        let text = outline.text(place);
        match text[0] {
            b'{' => {
                let entries = outline.entries(place).map(|(key, value)| {
                    let mut name = std::vec::Vec::new();
                    key.unescape(|part| name.extend_from_slice(part));
                    let mut shown = std::vec::Vec::new();
                    json::write_string(&name, &mut shown);
                    format!("{}:{}", String::from_utf8(shown).expect("UTF-8"), read(outline, value, arena))
                });
                format!("{{{}}}", entries.collect::<std::vec::Vec<_>>().join(","))
            }
            b'[' => {
                let items = outline.items(place).map(|item| read(outline, item, arena));
                format!("[{}]", items.collect::<std::vec::Vec<_>>().join(","))
            }
            _ => shown(&json::parse(text, arena).expect("a scalar")),
        }
    }

    fn shown(value: &Value<'_>) -> String {
        let mut out = std::vec::Vec::new();
        json::write(value, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    /// Holds the walk of every machine against the cursor, and the way through the document against a full read.
    fn check(bytes: &[u8]) {
        let arena = Arena::new();
        let expected = by_cursor(bytes);
        let outline = Outline::new(bytes, &arena);
        assert_eq!(outline.map(|_| ()), expected, "{:?}", String::from_utf8_lossy(bytes));
        if let Ok(outline) = outline {
            // A reader that keeps doubled keys would be needed to compare documents that have some.
            let full = shown(&json::parse(bytes, &arena).expect("JSON"));
            let followed = read(&outline, outline.root(), &arena);
            let again = shown(&json::parse(followed.as_bytes(), &arena).expect("JSON"));
            assert_eq!(again, full);
        }
        if !matches!(Cursor::new(bytes).peek(), b'{' | b'[') {
            return;
        }
        let closes = |last: Option<usize>, walk: &Walk<'_>| {
            let whole = last.is_some_and(|last| Cursor::within(bytes, last + 1).end().is_some());
            whole && (!walk.beyond_ascii || std::str::from_utf8(bytes).is_ok())
        };
        let mut walk = Walk::new(bytes, &arena);
        let last = walk.run_on::<crate::json::lanes::Words>();
        assert_eq!(closes(last, &walk), expected.is_ok());
        #[cfg(target_arch = "x86_64")]
        {
            let mut walk = Walk::new(bytes, &arena);
            let last = walk.run_on::<crate::json::lanes::Sse2>();
            assert_eq!(closes(last, &walk), expected.is_ok());
        }
    }

    /// The same at every place within a block, and with white space of every sort between tokens.
    fn check_everywhere(text: &str) {
        for shift in 0..if cfg!(miri) { 3 } else { 70 } {
            check(format!("{}{text}", " ".repeat(shift)).as_bytes());
            check(format!("[\"{}\",{text}]", "x".repeat(shift)).as_bytes());
        }
        for space in
            [" ", "\n", "\t \r\n", "                                                                       "]
        {
            let spaced: String = text
                .chars()
                .flat_map(|char| match char {
                    '{' | '}' | '[' | ']' | ',' | ':' => {
                        vec![space.to_owned(), char.to_string(), space.to_owned()]
                    }
                    char => vec![char.to_string()],
                })
                .flat_map(|part| part.chars().collect::<std::vec::Vec<_>>())
                .collect();
            check(spaced.as_bytes());
        }
    }

    #[test]
    fn accepts_what_the_cursor_accepts() {
        for text in [
            "{}",
            "[]",
            "[[]]",
            "{\"a\":{}}",
            "{\"\":\"\"}",
            "[0,-0,1.5,-10.25,1e5,1E+5,1e-05,0e0,123456789012345678901234567890]",
            "[true,false,null]",
            "{\"a\":[1,{\"b\":null},\"c\"],\"d\":\"e,:{}[]\"}",
            "[\"\\\"\",\"\\\\\",\"\\\\\\\"\"]",
            "[\"\\u00e9\\ud83c\\udf21\\n\\/\"]",
            "{\"é\":\"🌡\"}",
            "[1.0,2.0]",
            "[\"a\",\"b\"]",
        ] {
            check_everywhere(text);
        }
    }

    #[test]
    fn refuses_what_the_cursor_refuses() {
        for text in [
            "[",
            "{",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1,,2]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "{1:2}",
            "{\"a\":1:2}",
            "[\"a\":1]",
            "[1:2]",
            "{\"a\",\"b\":1}",
            "[}",
            "{]",
            "[]]",
            "[][]",
            "[]1",
            "[],[]",
            "{}:1",
            "[1]\"\"",
            "[01]",
            "[-01]",
            "[-]",
            "[--1]",
            "[1-1]",
            "[1.]",
            "[.5]",
            "[1.2.3]",
            "[1..2]",
            "[1e]",
            "[1e+]",
            "[1e5.5]",
            "[1e999]",
            "[+1]",
            "[1+1]",
            "[e5]",
            "[tru]",
            "[truee]",
            "[true1]",
            "[1true]",
            "[truefalse]",
            "[nul,l]",
            "[True]",
            "[NaN]",
            "[\"a]",
            "[\"a\"\"b\"]",
            "[\"a\"1]",
            "[1\"a\"]",
            "[true\"a\"]",
            "[\"\\x\"]",
            "[\"\\u12\"]",
            "[\"\\ud83c\"]",
            "[\"\\udf21\"]",
            "[\\n]",
            "[\"\n\"]",
            "[\"\u{1}\"]",
            "[\u{1}]",
            "[é]",
            "[1\u{a0}]",
            "[#]",
            "[1/2]",
            "['a']",
            "[1]//",
            "[\\\"a\"]",
            "[\\]",
            "[a]",
            "[@]",
            "[1_000]",
        ] {
            check_everywhere(text);
        }
        check(b"[\"\xff\"]");
        check(b"{\"a\":\"\xc3\"}");
    }

    #[test]
    fn bounds_depth_as_the_cursor_does() {
        for levels in [63, 64, 65, DEPTH_MAX - 1, DEPTH_MAX, DEPTH_MAX + 1, 5000] {
            check(format!("{}{}", "[".repeat(levels), "]".repeat(levels)).as_bytes());
            check(format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels)).as_bytes());
        }
    }

    #[test]
    fn takes_numbers_of_any_length_as_the_cursor_does() {
        for digits in [60, 62, 63, 64, 65, 127, 128, 129, 300, 301, 400, 20_000] {
            for text in [
                "1".repeat(digits),
                format!("-{}", "1".repeat(digits)),
                format!("0.{}", "1".repeat(digits)),
                format!("{}.5", "1".repeat(digits)),
                format!("{}.5.5", "1".repeat(digits)),
                format!("{}e5", "1".repeat(digits)),
                format!("0{}", "1".repeat(digits)),
            ] {
                check(format!("[{text}]").as_bytes());
                check(format!("[{text},{text}, 1]").as_bytes());
                check(format!("[\"{}\",{text}]", "x".repeat(digits % 64)).as_bytes());
            }
        }
    }

    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => proptest::sample::select(vec!["{", "}", "[", "]", ",", ":", "\"a\"", "\"b\":", "1", "-2.5"]),
            1 => proptest::sample::select(vec![
                " ", "\n", "\"\"", "true", "false", "null", "0", "1e5", "1e-05", "\"", "\\", "\\\"", ".", "-", "é", "\"\\u0061\"", "e",
                "[1,2]", "{\"k\":[]}", "                                                            ",
            ]),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    fn documents() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Into::into),
            "[ -~é\\n\"\\\\]{0,80}".prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 60, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                proptest::collection::hash_map("[a-c\"\\\\]{0,3}", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 1024 }))]

        #[test]
        fn agrees_on_anything(text in pieces()) {
            check(text.as_bytes());
            check(format!("[{text}]").as_bytes());
            check(format!("{{\"a\":[{text}]}}").as_bytes());
        }

        #[test]
        fn agrees_on_documents_with_a_fault(
            document in documents(),
            pretty in any::<bool>(),
            at in any::<proptest::sample::Index>(),
            byte in proptest::sample::select(b"{}[],:\"\\0123456789-+.eE tfn\n\x01\xc3".to_vec()),
            cut in any::<bool>(),
        ) {
            let text = if pretty { format!("{document:#}") } else { document.to_string() };
            check(text.as_bytes());
            prop_assert!(Outline::new(text.as_bytes(), &Arena::new()).is_ok());
            let mut broken = text.into_bytes();
            let at = at.index(broken.len());
            broken[at] = byte;
            check(&broken);
            if cut {
                broken.truncate(at);
                check(&broken);
            }
        }

        #[test]
        fn agrees_with_an_independent_reader(text in pieces()) {
            // It knows neither our bound on depth nor refuses large exponents otherwise than we do.
            let independent = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(Outline::new(text.as_bytes(), &Arena::new()).is_ok(), independent, "{}", text);
        }
    }
}
