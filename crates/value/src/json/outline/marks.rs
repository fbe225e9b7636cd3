use super::{Outline, WIDTH};

/// What is remembered of a block, strings left out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    /// The quotes at the beginnings of keys.
    pub(super) keys: u64,
    /// Brackets.
    pub(super) brackets: u64,
    /// Commas and closing brackets, which end a value.
    pub(super) ends: u64,
    /// How many arrays and objects are open before the first byte.
    pub(super) depth: u32,
    /// The fewest that are open behind any closing bracket; more than there can be if there is none.
    pub(super) low: u32,
}

impl Outline<'_> {
    /// The first comma or closing bracket from `at` on; the end of the document if there is none.
    #[inline(always)]
    pub(super) fn end_from(&self, at: usize) -> usize {
        let Some(marks) = self.marks.get(at / WIDTH) else { return self.bytes.len() };
        let ends = marks.ends >> (at % WIDTH);
        if ends != 0 { at + ends.trailing_zeros() as usize } else { self.end_behind(at / WIDTH) }
    }

    /// The first comma or closing bracket behind this block.
    #[inline(never)]
    fn end_behind(&self, block: usize) -> usize {
        for (marks, at) in self.marks.iter().zip(0..).skip(block + 1) {
            if marks.ends != 0 {
                return at * WIDTH + marks.ends.trailing_zeros() as usize;
            }
        }
        self.bytes.len()
    }

    /// The place behind the array or object that begins at `start`, where `depth` are open.
    #[inline(never)]
    pub(super) fn behind(&self, start: usize, depth: u32) -> usize {
        let mut block = start / WIDTH;
        let Some(mut marks) = self.marks.get(block) else { return self.bytes.len() };
        // Not the opening bracket of this very value, which is passed already.
        let mut brackets = if marks.low > depth { 0 } else { marks.brackets & !1 << (start % WIDTH) };
        let mut open = depth + 1;
        loop {
            while brackets != 0 {
                let place = brackets.trailing_zeros();
                brackets &= brackets - 1;
                if marks.ends >> place & 1 == 0 {
                    open += 1;
                } else {
                    open -= 1;
                    if open == depth {
                        return block * WIDTH + place as usize + 1;
                    }
                }
            }
            // Blocks in which no bracket closes so much are passed over.
            marks = loop {
                block += 1;
                match self.marks.get(block) {
                    Some(next) if next.low > depth => {}
                    Some(next) => break next,
                    None => return self.bytes.len(),
                }
            };
            (brackets, open) = (marks.brackets, marks.depth);
        }
    }
}
