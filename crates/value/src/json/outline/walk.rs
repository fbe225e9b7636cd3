//! The check, 64 bytes at a time.
//!
//! What makes text JSON is, but for nesting, a matter of neighbours: a value stands behind a colon, a comma or an opening
//! bracket and nowhere else; a key stands in an object behind its comma or bracket, and a colon behind it. With one bit for
//! each byte ([`Lanes`]) all neighbours of a block are compared at once, and a step over a run of white space or digits is
//! an addition, whose carry comes out behind the run. Only brackets, literals, signs, escapes and exponents are looked
//! at one by one. (The bit masks are those of Langdale and Lemire, *Parsing Gigabytes of JSON per Second*; they
//! make a list of tokens of them, we stay with the masks.)

use super::WIDTH;
use super::marks::Marks;
use super::nesting::{NOT_YET, Nesting};
use super::numbers::{Scalars, Unfinished, behind};
use crate::json::Cursor;
use crate::json::lanes::{Block, Lanes, Plain};

/// The check under way: what is rare in documents.
pub(super) struct Walk<'a> {
    pub(super) bytes: &'a [u8],
    /// Escapes before this place have been checked.
    escape_end: usize,
    /// Numbers before this place have been checked one by one, if they must be.
    pub(super) number_end: usize,
    /// Whether there are escapes in keys.
    pub(super) escaped_keys: bool,
    pub(super) beyond_ascii: bool,
}

/// What a block leaves for the next one. Of masks, the last bit counts.
struct State {
    nesting: Nesting,
    /// All ones within a string.
    in_string: u64,
    /// 1 if the first byte is escaped.
    escaped: u64,
    /// What a value must follow, white space aside: opening brackets, commas and colons.
    leads: u64,
    /// What a key must follow in an object: the same without colons.
    members: u64,
    /// The ends of keys, which a colon must follow.
    key_ends: u64,
    /// 1 if the first byte stands in a key.
    key: u64,
    /// Bytes of numbers and literals.
    scalars: u64,
    unfinished: Unfinished,
}

/// Where the strings of a block are.
#[derive(Clone, Copy)]
struct Strings {
    /// White space outside of them.
    spaces: u64,
    /// Quotes that begin or end one.
    quotes: u64,
    /// From the opening quote to the last byte before the closing one.
    in_string: u64,
    /// Bytes behind a backslash.
    escaped: u64,
}

/// What is rare in a block.
#[derive(Clone, Copy, Default)]
struct Unusual {
    /// Bytes behind a backslash that counts, and whether the first byte of the next block is one.
    escaped: u64,
    escaped_next: u64,
    /// White space other than blanks.
    spaces: u64,
    /// All bytes below 0x20.
    controls: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, escape_end: 0, number_end: 0, escaped_keys: false, beyond_ascii: false }
    }

    /// Walks up to the bracket that closes the document, and gives its place. There are marks for each block.
    pub(super) fn run(&mut self, marks: &mut [Marks]) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        {
            let fast = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("pclmulqdq");
            if fast {
                #[allow(unsafe_code)]
                // SAFETY: the processor has what the function is compiled for.
                return unsafe { self.run_avx2(marks) };
            }
        }
        self.run_on::<Plain>(marks)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,pclmulqdq")]
    fn run_avx2(&mut self, marks: &mut [Marks]) -> Option<usize> {
        self.run_on::<crate::json::lanes::Avx2>(marks)
    }

    #[inline(always)]
    pub(super) fn run_on<L: Lanes>(&mut self, marks: &mut [Marks]) -> Option<usize> {
        let (blocks, rest) = self.bytes.as_chunks::<WIDTH>();
        let mut padded = [b' '; WIDTH];
        padded[..rest.len()].copy_from_slice(rest);
        let mut state = State::new();
        for (at, marks) in marks.iter_mut().enumerate() {
            let block = blocks.get(at).unwrap_or(&padded);
            let last = self.block::<L>(at * WIDTH, block, &mut state, marks)?;
            if last != NOT_YET {
                return Some(at * WIDTH + last as usize);
            }
        }
        None
    }

    /// Checks a block; gives the place of the last bracket in it, if it is there, and `None` if there is a fault.
    #[inline(always)]
    fn block<L: Lanes>(
        &mut self,
        base: usize,
        block: &Block,
        state: &mut State,
        marks: &mut Marks,
    ) -> Option<u32> {
        let lanes = L::load(block);
        let Strings { spaces, quotes, in_string, escaped } = self.strings(lanes, base, block, state)?;
        let depth = state.nesting.depth;
        if !in_string | quotes == 0 {
            // Nothing but the inside of one string: what must follow is what had to follow before.
            self.escaped_keys |= escaped != 0 && state.key != 0;
            *marks = Marks { depth, low: u32::MAX, ..Marks::default() };
            return Some(NOT_YET);
        }
        let folded = lanes.folded();
        let open = folded.eq(b'{') & !in_string;
        let close = folded.eq(b'}') & !in_string;
        let mut object = state.nesting.object();
        let (mut low, mut last) = (u32::MAX, NOT_YET);
        if open | close != 0 {
            let paired = state.nesting.pair(open, close, lanes.curly())?;
            // From the next byte on: an opening bracket itself stands in what is around it, a closing one in itself.
            object ^= L::parity(paired.toggles) << 1;
            low = paired.low;
            last = paired.last;
        }
        let strings = quotes & in_string;
        let comma = lanes.eq(b',') & !in_string;
        let colon = lanes.eq(b':') & !in_string;
        let members = open | comma;
        let leads = members | colon;
        let (after_lead, after_member) = match spaces {
            0 => (next(leads, &mut state.leads), next(members, &mut state.members)),
            _ => (next_but(spaces, leads, &mut state.leads), next_but(spaces, members, &mut state.members)),
        };

        // Keys stand in objects, behind the bracket and behind each comma, and a colon stands behind each.
        let key_starts = after_member & object & !close;
        // The sum carries through the string of each. Within a key that has begun before, no other can begin at once.
        let (sum, over) = in_string.overflowing_add(key_starts | state.key);
        state.key = u64::from(over);
        if escaped != 0 {
            self.escaped_keys |= escaped & in_string & !sum != 0;
        }
        *marks = Marks { keys: key_starts, brackets: open | close, ends: comma | close, depth, low };
        let key_ends = sum & !in_string;
        let after_key = match spaces {
            0 => next(key_ends, &mut state.key_ends),
            _ => next_but(spaces, key_ends, &mut state.key_ends),
        };
        let mut faults = key_starts & !strings | after_key ^ colon;

        let scalars = !(in_string | quotes | spaces | leads | close);
        let starts = scalars & !behind(scalars, state.scalars);
        state.scalars = scalars;
        faults |= match scalars {
            0 => state.unfinished.none()?,
            all => {
                let digits = lanes.digits();
                let (zeros, dots) = (lanes.eq(b'0'), lanes.eq(b'.'));
                state.unfinished.check(self, base, Scalars { all, starts, digits, zeros, dots })?
            }
        };

        // Values stand behind brackets, commas and colons, and nowhere else; only an opening bracket may lack one.
        let values = strings | starts | open;
        let lacking = after_lead ^ values;
        if lacking != 0 {
            faults |= lacking & !close;
            self.empties(base, lacking & close)?;
        }
        if faults == 0 { Some(last) } else { None }
    }

    /// Tells the strings of a block from what is around them.
    #[inline(always)]
    fn strings<L: Lanes>(
        &mut self,
        lanes: L,
        base: usize,
        block: &Block,
        state: &mut State,
    ) -> Option<Strings> {
        let mut quotes = lanes.eq(b'"');
        let mut spaces = lanes.eq(b' ');
        let (mut controls, mut escaped) = (0, 0);
        if lanes.unusual() | state.escaped != 0 {
            let unusual = self.unusual(base, block, state.escaped)?;
            state.escaped = unusual.escaped_next;
            escaped = unusual.escaped;
            quotes &= !escaped;
            spaces |= unusual.spaces;
            controls = unusual.controls;
        }
        let in_string = L::parity(quotes) ^ state.in_string;
        state.in_string = (in_string as i64 >> 63) as u64;
        if controls & in_string != 0 {
            return None;
        }
        Some(Strings { spaces: spaces & !in_string, quotes, in_string, escaped })
    }

    /// Looks closely at a block with white space other than blanks, escapes, or bytes beyond ASCII.
    #[inline(never)]
    fn unusual(&mut self, base: usize, block: &Block, escaped: u64) -> Option<Unusual> {
        let lanes = Plain::load(block);
        self.beyond_ascii |= lanes.is_beyond_ascii();
        let (escaped, escaped_next) = self.escaped(lanes.eq(b'\\'), base, escaped)?;
        Some(Unusual {
            escaped,
            escaped_next,
            spaces: lanes.eq(b'\n') | lanes.eq(b'\t') | lanes.eq(b'\r'),
            controls: lanes.controls(),
        })
    }

    /// Checks the escapes of a block; gives the bytes that stand behind a backslash that counts. A backslash outside of
    /// a string is found to be part of no number and no literal.
    fn escaped(&mut self, backslashes: u64, base: usize, first: u64) -> Option<(u64, u64)> {
        let (mut escaped, mut next) = (first, 0);
        let mut rest = backslashes & !escaped;
        while rest != 0 {
            let place = rest.trailing_zeros();
            let behind = 2u64.checked_shl(place).unwrap_or(0);
            // A surrogate pair is one escape with two backslashes.
            if base + place as usize >= self.escape_end {
                self.escape_end = Cursor::within(self.bytes, base + place as usize).escape_end()?;
            }
            next = u64::from(place == 63);
            escaped |= behind;
            rest &= !(1 << place | behind);
        }
        Some((escaped, next))
    }

    /// Checks that the brackets that close here, behind something a value must follow, close what is empty.
    #[inline(never)]
    fn empties(&self, base: usize, closing: u64) -> Option<()> {
        let mut rest = closing;
        while rest != 0 {
            let before = &self.bytes[..base + rest.trailing_zeros() as usize];
            rest &= rest - 1;
            let lead = before.iter().rfind(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
            if !matches!(lead, Some(b'{' | b'[')) {
                return None;
            }
        }
        Some(())
    }
}

impl State {
    fn new() -> Self {
        Self {
            nesting: Nesting::none(),
            in_string: 0,
            escaped: 0,
            // As if a colon stood before the document: a value must follow.
            leads: !0,
            members: 0,
            key_ends: 0,
            key: 0,
            scalars: 0,
            unfinished: Unfinished::default(),
        }
    }
}

/// The bytes behind these. `before` is the same in the block before, and becomes that of this one.
#[inline(always)]
fn next(these: u64, before: &mut u64) -> u64 {
    behind(these, std::mem::replace(before, these))
}

/// The bytes that come next behind these, white space left out.
#[inline(always)]
fn next_but(spaces: u64, these: u64, before: &mut u64) -> u64 {
    let next = behind(these, *before);
    // Where white space follows, the sum carries through the run of it; past the end, this is as if one of these stood there.
    let (sum, over) = spaces.overflowing_add(next & spaces);
    *before = these | u64::from(over) << 63;
    (sum | next) & !spaces
}
