//! A set of ids that lie close together.

use std::ops::Range;

/// One bit for each id from the first that was put in.
#[derive(Debug, Clone, Default)]
pub struct Bitmap {
    first: u64,
    words: Vec<u64>,
}

impl Bitmap {
    /// A set for ids from `first` on; those below are never in it.
    pub(crate) fn new(first: u64) -> Self {
        Self { first: first & !63, words: Vec::new() }
    }

    /// Puts ids in. Those from `end` on do not matter and are left out, so that a damaged record cannot take all memory.
    pub(crate) fn insert(&mut self, ids: Range<u64>, end: u64) {
        for id in ids.start.max(self.first)..ids.end.min(end) {
            let (word, bit) = self.place(id);
            if word >= self.words.len() {
                self.words.resize(word + 1, 0);
            }
            self.words[word] |= bit;
        }
    }

    /// Whether an id is in it.
    pub fn contains(&self, id: u64) -> bool {
        if id < self.first {
            return false;
        }
        let (word, bit) = self.place(id);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn place(&self, id: u64) -> (usize, u64) {
        let distance = id - self.first;
        ((distance / 64) as usize, 1 << (distance % 64))
    }
}
