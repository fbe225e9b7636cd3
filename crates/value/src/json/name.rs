/// A name that the keys of documents are held against.
///
/// Nearly all keys differ from it in their first eight bytes, the quote at the end included, which are compared at once.
#[derive(Debug, Clone)]
pub struct Name {
    /// The first eight bytes of the key with its closing quote, and which of them count.
    head: u64,
    mask: u64,
    text: Box<[u8]>,
}

/// How many bytes are compared at once.
const WIDTH: usize = 8;

impl Name {
    /// The name of this text.
    pub fn new(text: &[u8]) -> Self {
        let as_it_is = text.iter().all(|byte| *byte >= 0x20 && !matches!(byte, b'"' | b'\\'));
        let (mut head, mut mask) = ([0; WIDTH], [0; WIDTH]);
        for (at, byte) in text.iter().chain(b"\"").enumerate().take(WIDTH) {
            (head[at], mask[at]) = (*byte, 0xff);
        }
        if !as_it_is {
            // Stands in documents with escapes only: no head is like this.
            (head, mask) = ([1; WIDTH], [0; WIDTH]);
        }
        Self { head: u64::from_le_bytes(head), mask: u64::from_le_bytes(mask), text: text.into() }
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether the key that begins here, behind its quote, is this name; escapes are not resolved. `head` are its first
    /// bytes, as [`head_at`] gives them.
    #[inline(always)]
    pub(super) fn is_at(&self, bytes: &[u8], at: usize, head: u64) -> bool {
        head & self.mask == self.head && (self.text.len() < WIDTH || self.goes_on(&bytes[at..]))
    }

    #[inline(never)]
    fn goes_on(&self, bytes: &[u8]) -> bool {
        bytes.strip_prefix(&*self.text).is_some_and(|behind| behind.first() == Some(&b'"'))
    }
}

/// The first eight bytes from here on; zeros behind the end.
#[inline(always)]
pub(super) fn head_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(head) => u64::from_le_bytes(*head),
        None => short_head(bytes.get(at..).unwrap_or_default()),
    }
}

#[cold]
fn short_head(rest: &[u8]) -> u64 {
    let mut head = [0; WIDTH];
    head.iter_mut().zip(rest).for_each(|(head, byte)| *head = *byte);
    u64::from_le_bytes(head)
}
