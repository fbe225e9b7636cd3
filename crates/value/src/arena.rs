use bumpalo::Bump;

/// The bump arena of one worker: everything an evaluation builds lives here until [`Arena::reset`].
///
/// After the first messages it holds one chunk that is large enough, and from then on gives memory without touching
/// the heap. It bounds itself: past [`Arena::BYTES_MAX`] an evaluation is refused by [`Arena::is_exhausted`].
#[derive(Debug, Default)]
pub struct Arena(Bump);

impl Arena {
    /// What one evaluation may take before the evaluator stops it with an error (bytes).
    pub const BYTES_MAX: usize = 64 << 20;
    /// A chunk larger than this is given back at [`Arena::reset`] instead of kept for the next message (bytes).
    const BYTES_KEPT: usize = 1 << 20;

    /// An empty arena; takes its first chunk when something is put into it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Frees everything at once and keeps the last chunk, unless one huge message made it unreasonably large.
    pub fn reset(&mut self) {
        if self.0.allocated_bytes() > Self::BYTES_KEPT {
            self.0 = Bump::new();
        } else {
            self.0.reset();
        }
    }

    /// Whether the evaluation under way has taken more than [`Arena::BYTES_MAX`].
    pub fn is_exhausted(&self) -> bool {
        self.0.allocated_bytes() > Self::BYTES_MAX
    }

    /// Moves one plain value into the arena.
    pub fn alloc<T: Copy>(&self, value: T) -> &T {
        self.0.alloc(value)
    }

    /// Copies a slice into the arena.
    pub fn slice<T: Copy>(&self, items: &[T]) -> &[T] {
        self.0.alloc_slice_copy(items)
    }

    /// Copies text into the arena.
    pub fn str(&self, text: &str) -> &str {
        self.0.alloc_str(text)
    }

    /// The allocator itself, for `bumpalo::collections` that grow.
    pub fn bump(&self) -> &Bump {
        &self.0
    }
}
