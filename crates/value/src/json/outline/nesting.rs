use crate::json::DEPTH_MAX;

/// The arrays and objects that are open.
#[derive(Clone, Copy)]
pub(super) struct Nesting {
    /// How many.
    pub(super) depth: u32,
    /// Which of the innermost are objects, the innermost in the lowest bit; those above 64 levels are put aside.
    objects: u64,
    aside: [u64; DEPTH_MAX / 64],
}

/// What the brackets of a block say.
pub(super) struct Paired {
    /// The brackets behind which the innermost is an object instead of an array, or the other way about.
    pub(super) toggles: u64,
    /// As in [`super::Marks`].
    pub(super) low: u32,
    /// The bracket that closes the document, or [`NOT_YET`].
    pub(super) last: u32,
}

/// No bracket of the block closes the document.
pub(super) const NOT_YET: u32 = u32::MAX;

impl Nesting {
    pub(super) fn none() -> Self {
        Self { depth: 0, objects: 0, aside: [0; DEPTH_MAX / 64] }
    }

    /// All ones if the innermost is an object.
    #[inline(always)]
    pub(super) fn object(&self) -> u64 {
        0u64.wrapping_sub(self.objects & 1)
    }

    /// Checks that the brackets of a block fit together: `curly` tells those of objects.
    #[inline(always)]
    pub(super) fn pair(&mut self, open: u64, close: u64, curly: u64) -> Option<Paired> {
        let (mut depth, mut objects) = (self.depth, self.objects);
        let (mut toggles, mut low) = (0, u32::MAX);
        let mut rest = open | close;
        while rest != 0 {
            let place = rest.trailing_zeros();
            rest &= rest - 1;
            let object = curly >> place & 1;
            let before = objects;
            if open >> place & 1 != 0 {
                if depth % 64 == 0 {
                    self.put_aside(depth, objects)?;
                }
                depth += 1;
                objects = objects << 1 | object;
            } else {
                if (objects ^ object) & 1 != 0 || depth == 0 {
                    return None;
                }
                depth -= 1;
                objects >>= 1;
                low = low.min(depth);
                if depth % 64 == 0 {
                    if depth == 0 {
                        return Some(Paired { toggles, low, last: place });
                    }
                    objects = self.aside[depth as usize / 64];
                }
            }
            toggles |= ((before ^ objects) & 1) << place;
        }
        (self.depth, self.objects) = (depth, objects);
        Some(Paired { toggles, low, last: NOT_YET })
    }

    /// Keeps 64 levels for later; `None` if there are as many as there may be.
    #[inline(always)]
    fn put_aside(&mut self, depth: u32, objects: u64) -> Option<()> {
        *self.aside.get_mut(depth as usize / 64)? = objects;
        Some(())
    }
}
