use super::{DEPTH_MAX, JsonError};
use crate::number::{self, DIGITS_MAX};

/// Walks over JSON text and checks it, token by token, without building anything.
///
/// The text must be valid UTF-8 as a whole, which the caller has checked; the cursor then only looks at structure.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A string as it stands in the document, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawString<'a> {
    /// The text between the quotes.
    pub raw: &'a [u8],
    /// Whether there is a backslash in it.
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
        Self { bytes, at: 0 }
    }

    /// The offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// An error at the current offset.
    #[cold]
    pub fn error(&self, reason: &'static str) -> JsonError {
        JsonError { at: self.at, reason }
    }

    /// The next byte that is no white space, which stays where it is.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(byte) => return Some(*byte),
                None => return None,
            }
        }
    }

    /// Takes the next byte that is no white space if it is this one.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Checks that only white space is left.
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("expected the end")),
        }
    }

    /// Takes the beginning of a value; scalars wholly, of arrays and objects the bracket.
    #[inline]
    pub fn token(&mut self) -> Result<Token<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(Token::Str(self.string_rest()?))
            }
            Some(b'{') => {
                self.at += 1;
                Ok(Token::Object)
            }
            Some(b'[') => {
                self.at += 1;
                Ok(Token::Array)
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Token::Bool(true)),
            Some(b'f') => self.word(b"false", Token::Bool(false)),
            Some(b'n') => self.word(b"null", Token::Null),
            _ => Err(self.error("expected a value")),
        }
    }

    /// Takes a key and its colon.
    #[inline]
    pub fn key(&mut self) -> Result<RawString<'a>, JsonError> {
        if !self.eat(b'"') {
            return Err(self.error("expected a key"));
        }
        let key = self.string_rest()?;
        if !self.eat(b':') {
            return Err(self.error("expected `:`"));
        }
        Ok(key)
    }

    /// After an element: whether another one follows; takes the comma or the closing bracket.
    #[inline]
    pub fn more(&mut self, close: u8) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.error("expected `,` or the closing bracket")),
        }
    }

    /// Takes a whole value, checks it, and gives its text.
    ///
    /// Nesting is followed by a bit per level rather than by recursion: `depth` levels are open already, and
    /// `DEPTH_MAX` is the most.
    pub fn skip(&mut self, depth: usize) -> Result<&'a [u8], JsonError> {
        self.peek();
        let start = self.at;
        let mut objects = [0u64; DEPTH_MAX / 64];
        let mut open = 0;
        loop {
            let closed = match self.token()? {
                Token::Object => {
                    self.descend(depth + open)?;
                    if self.eat(b'}') {
                        true
                    } else {
                        objects[open / 64] |= 1 << (open % 64);
                        open += 1;
                        self.key()?;
                        false
                    }
                }
                Token::Array => {
                    self.descend(depth + open)?;
                    if self.eat(b']') {
                        true
                    } else {
                        objects[open / 64] &= !(1 << (open % 64));
                        open += 1;
                        false
                    }
                }
                _ => true,
            };
            if !closed {
                continue;
            }
            loop {
                if open == 0 {
                    return Ok(&self.bytes[start..self.at]);
                }
                let object = objects[(open - 1) / 64] & 1 << ((open - 1) % 64) != 0;
                if self.more(if object { b'}' } else { b']' })? {
                    if object {
                        self.key()?;
                    }
                    break;
                }
                open -= 1;
            }
        }
    }

    /// Checks that one more level may be opened when `depth` are.
    pub fn descend(&self, depth: usize) -> Result<(), JsonError> {
        if depth >= DEPTH_MAX { Err(self.error("nested too deeply")) } else { Ok(()) }
    }

    fn word(&mut self, word: &'static [u8], token: Token<'a>) -> Result<Token<'a>, JsonError> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(token)
        } else {
            Err(self.error("expected a value"))
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.bytes.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Token<'a>, JsonError> {
        let start = self.at;
        self.at += usize::from(self.bytes[self.at] == b'-');
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut whole = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = &self.bytes[start..self.at];
        if whole {
            if text.len() > DIGITS_MAX {
                return Err(self.error("the integer has too many digits"));
            }
            return Ok(Token::Int(text));
        }
        // Only an exponent, or very many digits, can take a number out of range.
        let risky = text.len() > 300 || text.iter().any(|byte| matches!(byte, b'e' | b'E'));
        if risky && number::parse_float(text).is_none() {
            return Err(self.error("the number is out of range"));
        }
        Ok(Token::Float(text))
    }

    /// The rest of a string whose opening quote has been taken.
    #[inline]
    fn string_rest(&mut self) -> Result<RawString<'a>, JsonError> {
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_run(&self.bytes[self.at..]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let raw = &self.bytes[start..self.at];
                    self.at += 1;
                    return Ok(RawString { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.error("control characters in a string must be escaped")),
                None => return Err(self.error("the string does not end")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = self.unicode_unit(self.at)?;
                match unit {
                    0xd800..=0xdbff => match self.unicode_unit(self.at + 6) {
                        Ok(0xdc00..=0xdfff) => self.at += 12,
                        _ => return Err(self.error("half of a surrogate pair")),
                    },
                    0xdc00..=0xdfff => return Err(self.error("half of a surrogate pair")),
                    _ => self.at += 6,
                }
            }
            _ => return Err(self.error("unknown escape")),
        }
        Ok(())
    }

    /// The code unit of the `\uXXXX` at `at`.
    fn unicode_unit(&self, at: usize) -> Result<u32, JsonError> {
        self.bytes
            .get(at..at + 6)
            .filter(|text| text.starts_with(b"\\u"))
            .and_then(|text| hex4(&text[2..]))
            .ok_or(JsonError { at, reason: "expected `\\u` and four hexadecimal digits" })
    }
}

fn hex4(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// The number of leading bytes that a string may hold as they are.
#[inline]
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut run = 0;
    // Eight at a time: a high bit marks a quote, a backslash or a control character; the lowest one is exact.
    for chunk in bytes.chunks_exact(8) {
        let word = u64::from_le_bytes([
            chunk[0], chunk[1], chunk[2], chunk[3], chunk[4], chunk[5], chunk[6], chunk[7],
        ]);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        let marks = (word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash);
        let marks = marks & HIGHS;
        if marks != 0 {
            return run + marks.trailing_zeros() as usize / 8;
        }
        run += 8;
    }
    while bytes.get(run).is_some_and(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\') {
        run += 1;
    }
    run
}

impl RawString<'_> {
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
