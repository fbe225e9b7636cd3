use super::{DEPTH_MAX, JsonError};
use crate::number::{self, DIGITS_MAX};

/// Walks over JSON text and checks it, token by token, without building anything.
///
/// The text must be valid UTF-8 as a whole, which the caller has checked; the cursor then only looks at structure.
/// Steps give `None` at the first fault, and [`Cursor::error`] then says what it was: this way nothing larger than
/// the token itself is handed around.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    fault: &'static str,
}

/// A string as it stands in the document, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawString<'a> {
    /// The text between the quotes.
    pub raw: &'a [u8],
    /// Whether there may be a backslash in it.
    pub escaped: bool,
}

/// What a value begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer, as it is written.
    Int(&'a [u8]),
    /// A number with a fraction or an exponent, as it is written.
    Float(&'a [u8]),
    /// A string.
    Str(RawString<'a>),
    /// `[`
    Array,
    /// `{`
    Object,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of the text.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, fault: "" }
    }

    /// A cursor that begins at a place within the text.
    pub(super) fn within(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, fault: "" }
    }

    /// The offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The fault at which a step has stopped.
    #[cold]
    pub fn error(&self) -> JsonError {
        JsonError { at: self.at, reason: self.fault }
    }

    /// Stops here.
    #[cold]
    pub fn fail<T>(&mut self, fault: &'static str) -> Option<T> {
        self.fault = fault;
        None
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        byte_at(self.bytes, at)
    }

    /// The next byte that is no white space, which stays where it is; 0 at the end.
    #[inline(always)]
    pub fn peek(&mut self) -> u8 {
        self.at = after_space(self.bytes, self.at);
        self.byte(self.at)
    }

    /// Takes the next byte that is no white space if it is this one.
    #[inline(always)]
    pub fn eat(&mut self, byte: u8) -> bool {
        // Not `self.at += usize::from(found)`: rustc 1.95 drops that step when it optimises (MIR jump threading).
        if self.peek() != byte {
            return false;
        }
        self.at += 1;
        true
    }

    /// Checks that only white space is left.
    pub fn end(&mut self) -> Option<()> {
        self.peek();
        if self.at < self.bytes.len() { self.fail("expected the end") } else { Some(()) }
    }

    /// Takes the beginning of a value; scalars wholly, of arrays and objects the bracket.
    #[inline]
    pub fn token(&mut self) -> Option<Token<'a>> {
        let byte = self.peek();
        let start = self.at;
        Some(match byte {
            b'"' => Token::Str(self.string()?),
            b'{' => {
                self.at += 1;
                Token::Object
            }
            b'[' => {
                self.at += 1;
                Token::Array
            }
            b'-' | b'0'..=b'9' => {
                let whole = self.number()?;
                let text = &self.bytes[start..self.at];
                if whole { Token::Int(text) } else { Token::Float(text) }
            }
            b't' => self.word(b"true", Token::Bool(true))?,
            b'f' => self.word(b"false", Token::Bool(false))?,
            b'n' => self.word(b"null", Token::Null)?,
            _ => return self.fail("expected a value"),
        })
    }

    /// Takes a key and its colon.
    #[inline]
    pub fn key(&mut self) -> Option<RawString<'a>> {
        if self.peek() != b'"' {
            return self.fail("expected a key");
        }
        let key = self.string()?;
        if !self.eat(b':') {
            return self.fail("expected `:`");
        }
        Some(key)
    }

    /// After an element: whether another one follows; takes the comma or the closing bracket.
    #[inline]
    pub fn more(&mut self, close: u8) -> Option<bool> {
        let byte = self.peek();
        if byte == b',' || byte == close {
            self.at += 1;
            return Some(byte == b',');
        }
        self.fail("expected `,` or the closing bracket")
    }

    /// Takes a whole value, checks it, and gives its text.
    ///
    /// Nesting is followed by a bit per level rather than by recursion: `depth` levels are open already, and
    /// `DEPTH_MAX` is the most.
    pub fn skip(&mut self, depth: usize) -> Option<&'a [u8]> {
        let byte = self.peek();
        let start = self.at;
        match byte {
            b'{' | b'[' => self.nested(depth)?,
            byte => self.scalar(byte)?,
        }
        Some(&self.bytes[start..self.at])
    }

    /// Takes a value that is neither array nor object.
    #[inline(always)]
    fn scalar(&mut self, byte: u8) -> Option<()> {
        match byte {
            b'"' => _ = self.string()?,
            b'-' | b'0'..=b'9' => _ = self.number()?,
            b't' => self.word(b"true", ())?,
            b'f' => self.word(b"false", ())?,
            b'n' => self.word(b"null", ())?,
            _ => return self.fail("expected a value"),
        }
        Some(())
    }

    /// Takes an array or object with everything in it.
    ///
    /// This is where the time of an evaluation goes, so the place is kept in a local and the common cases are spelled
    /// out; whatever is unusual is left to the other methods.
    fn nested(&mut self, depth: usize) -> Option<()> {
        let bytes = self.bytes;
        let mut at = self.at;
        let mut objects = [0u64; DEPTH_MAX / 64];
        let mut open = 0;
        // Whether the innermost open level is an object.
        let mut object = false;
        loop {
            // A value begins here.
            at = after_space(bytes, at);
            match byte_at(bytes, at) {
                b'"' => at = self.string_at(at)?,
                b'-' | b'0'..=b'9' => at = self.number_at(at)?,
                bracket @ (b'{' | b'[') => {
                    self.at = at;
                    self.descend(depth + open)?;
                    object = bracket == b'{';
                    let (word, bit) = (open / 64, 1 << (open % 64));
                    objects[word] = objects[word] & !bit | if object { bit } else { 0 };
                    open += 1;
                    at = after_space(bytes, at + 1);
                    if byte_at(bytes, at) != bracket + 2 {
                        if object {
                            at = self.key_at(at)?;
                        }
                        continue;
                    }
                    // An empty one: its closing bracket ends it below.
                }
                byte => {
                    self.at = at;
                    self.scalar(byte)?;
                    at = self.at;
                }
            }
            // A value ends here.
            loop {
                at = after_space(bytes, at);
                let byte = byte_at(bytes, at);
                if byte == b',' {
                    at += 1;
                    break;
                }
                if byte != if object { b'}' } else { b']' } {
                    self.at = at;
                    return self.fail("expected `,` or the closing bracket");
                }
                at += 1;
                open -= 1;
                if open == 0 {
                    self.at = at;
                    return Some(());
                }
                object = objects[(open - 1) / 64] & 1 << ((open - 1) % 64) != 0;
            }
            if object {
                at = self.key_at(after_space(bytes, at))?;
            }
        }
    }

    /// Takes the string at a place; gives the place behind it.
    #[inline(always)]
    fn string_at(&mut self, at: usize) -> Option<usize> {
        let end = plain_end(self.bytes, at + 1);
        if byte_at(self.bytes, end) == b'"' {
            return Some(end + 1);
        }
        self.at = end;
        self.string_rest(at + 1)?;
        Some(self.at)
    }

    /// Takes the key at a place, and its colon; gives the place behind it.
    #[inline(always)]
    fn key_at(&mut self, at: usize) -> Option<usize> {
        if byte_at(self.bytes, at) == b'"' {
            let end = after_space(self.bytes, self.string_at(at)?);
            if byte_at(self.bytes, end) == b':' {
                return Some(end + 1);
            }
        }
        self.at = at;
        self.key()?;
        Some(self.at)
    }

    /// Takes the number at a place; gives the place behind it.
    #[inline(always)]
    fn number_at(&mut self, at: usize) -> Option<usize> {
        let first = byte_at(self.bytes, at);
        let mut end = at + 1;
        while byte_at(self.bytes, end).is_ascii_digit() {
            end += 1;
        }
        // An integer of few digits that does not begin with 0; anything else is looked at closely.
        let plain = matches!(first, b'1'..=b'9') && end - at < 20;
        if plain && !matches!(byte_at(self.bytes, end), b'.' | b'e' | b'E') {
            return Some(end);
        }
        self.at = at;
        self.number()?;
        Some(self.at)
    }

    /// Checks that one more level may be opened when `depth` are.
    #[inline]
    pub fn descend(&mut self, depth: usize) -> Option<()> {
        if depth >= DEPTH_MAX { self.fail("nested too deeply") } else { Some(()) }
    }

    #[inline(always)]
    fn word<T>(&mut self, word: &'static [u8], token: T) -> Option<T> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Some(token)
        } else {
            self.fail("expected a value")
        }
    }

    #[inline(always)]
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.byte(self.at).is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start { self.fail("expected a digit") } else { Some(()) }
    }

    /// Takes a number; gives whether it is whole, without fraction and exponent.
    #[inline]
    fn number(&mut self) -> Option<bool> {
        let start = self.at;
        if self.byte(self.at) == b'-' {
            self.at += 1;
        }
        if self.byte(self.at) == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut whole = true;
        if self.byte(self.at) == b'.' {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        let exponent = self.byte(self.at) | 0x20 == b'e';
        if exponent {
            whole = false;
            self.at += 1;
            if matches!(self.byte(self.at), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        // Only an exponent, or very many digits, can take a number out of range.
        if exponent || self.at - start > 300 {
            self.in_range(start, whole)?;
        }
        Some(whole)
    }

    #[cold]
    fn in_range(&mut self, start: usize, whole: bool) -> Option<()> {
        let text = &self.bytes[start..self.at];
        if whole && text.len() > DIGITS_MAX {
            return self.fail("the integer has too many digits");
        }
        if !whole && number::parse_float(text).is_none() {
            return self.fail("the number is out of range");
        }
        Some(())
    }

    /// Takes a string with its quotes.
    #[inline(always)]
    fn string(&mut self) -> Option<RawString<'a>> {
        let start = self.at + 1;
        let end = plain_end(self.bytes, start);
        if self.byte(end) == b'"' {
            self.at = end + 1;
            return Some(RawString { raw: &self.bytes[start..end], escaped: false });
        }
        self.at = end;
        self.string_rest(start)
    }

    /// The rest of a string in which something is to be looked at closely.
    fn string_rest(&mut self, start: usize) -> Option<RawString<'a>> {
        let mut escaped = false;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let raw = &self.bytes[start..self.at];
                    self.at += 1;
                    return Some(RawString { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.fail("control characters in a string must be escaped"),
                None => return self.fail("the string does not end"),
            }
            self.at = plain_end(self.bytes, self.at);
        }
    }

    /// The end of the number that begins here.
    pub(super) fn number_end(mut self) -> Option<usize> {
        self.number()?;
        Some(self.at)
    }

    /// The end of the string that begins here.
    pub(super) fn string_end(mut self) -> Option<usize> {
        self.string()?;
        Some(self.at)
    }

    /// The end of the escape that begins here; two units that make a pair are one.
    pub(super) fn escape_end(mut self) -> Option<usize> {
        self.escape()?;
        Some(self.at)
    }

    fn escape(&mut self) -> Option<()> {
        match self.byte(self.at + 1) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => match self.unicode_unit(self.at)? {
                0xd800..=0xdbff => match self.unicode_unit(self.at + 6)? {
                    0xdc00..=0xdfff => self.at += 12,
                    _ => return self.fail("half of a surrogate pair"),
                },
                0xdc00..=0xdfff => return self.fail("half of a surrogate pair"),
                _ => self.at += 6,
            },
            _ => return self.fail("unknown escape"),
        }
        Some(())
    }

    /// The code unit of the `\uXXXX` at `at`.
    fn unicode_unit(&mut self, at: usize) -> Option<u32> {
        let text = self.bytes.get(at..at + 6).filter(|text| text.starts_with(b"\\u"));
        match text.and_then(|text| hex4(&text[2..])) {
            Some(unit) => Some(unit),
            None => self.fail("expected `\\u` and four hexadecimal digits"),
        }
    }
}

/// The byte at a place; 0, which stands nowhere in JSON, behind the end.
#[inline(always)]
fn byte_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The first place from `at` on that is no white space.
#[inline(always)]
fn after_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(byte_at(bytes, at), b' ' | b'\t' | b'\n' | b'\r') {
        at += 1;
    }
    at
}

fn hex4(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// Where the run of bytes from `at` on ends that a string may hold as they are.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    // Eight at a time: a high bit marks a quote, a backslash or a control character; the lowest one is exact.
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let marks = marks(u64::from_le_bytes(*chunk));
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\') {
        at += 1;
    }
    at
}

/// The high bits of the bytes that a string may not hold as they are, exact up to the lowest.
#[inline(always)]
fn marks(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let slash = slash.wrapping_sub(ONES) & !slash;
    (control | quote | slash) & HIGHS
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Whether eight bytes are ASCII without anything that must be escaped.
#[inline(always)]
pub(super) fn is_plain_word(word: u64) -> bool {
    marks(word) | word & HIGHS == 0
}

/// Whether text is ASCII without anything that must be escaped.
#[inline(always)]
pub(super) fn is_plain_ascii(text: &[u8]) -> bool {
    // A byte beyond ASCII can hide marks above it, but is a reason itself.
    let found = |chunk: &[u8; 8]| {
        let word = u64::from_le_bytes(*chunk);
        marks(word) | word & HIGHS
    };
    let Some(last) = text.last_chunk::<8>() else {
        let usual = |byte: &u8| *byte >= 0x20 && *byte < 0x80 && *byte != b'"' && *byte != b'\\';
        return text.iter().all(usual);
    };
    let (chunks, _) = text.as_chunks::<8>();
    // The last chunk may cover some bytes a second time.
    chunks.iter().fold(found(last), |all, chunk| all | found(chunk)) == 0
}

impl RawString<'_> {
    /// Whether the text, its escapes resolved, is this one.
    #[inline]
    pub fn is(&self, text: &[u8]) -> bool {
        if !self.escaped || !self.raw.contains(&b'\\') {
            // Most keys differ in their first byte, which is cheaper to see than to ask for a comparison.
            return self.raw.first() == text.first() && self.raw == text;
        }
        let mut rest = Some(text);
        self.unescape(|part| rest = rest.and_then(|rest| rest.strip_prefix(part)));
        rest.is_some_and(<[u8]>::is_empty)
    }

    /// Writes the text with its escapes resolved. The cursor has checked them.
    pub fn unescape(&self, mut out: impl FnMut(&[u8])) {
        let mut rest = self.raw;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
            out(&rest[..at]);
            let taken = match rest.get(at + 1) {
                Some(b'b') => escape(&mut out, b"\x08"),
                Some(b'f') => escape(&mut out, b"\x0c"),
                Some(b'n') => escape(&mut out, b"\n"),
                Some(b'r') => escape(&mut out, b"\r"),
                Some(b't') => escape(&mut out, b"\t"),
                Some(b'u') => unicode(&mut out, &rest[at..]),
                Some(byte) => escape(&mut out, &[*byte]),
                None => 1,
            };
            rest = rest.get(at + taken..).unwrap_or_default();
        }
        out(rest);
    }
}

fn escape(out: &mut impl FnMut(&[u8]), text: &[u8]) -> usize {
    out(text);
    2
}

fn unicode(out: &mut impl FnMut(&[u8]), text: &[u8]) -> usize {
    let unit = |at: usize| text.get(at + 2..at + 6).and_then(hex4);
    let high = unit(0).unwrap_or_default();
    let (code, taken) = match (high, unit(6)) {
        (0xd800..=0xdbff, Some(low)) => (0x10000 + ((high & 0x3ff) << 10 | low & 0x3ff), 12),
        _ => (high, 6),
    };
    let mut buffer = [0; 4];
    out(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut buffer).as_bytes());
    taken
}
