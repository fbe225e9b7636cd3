use std::rc::Rc;

use indexmap::IndexMap;

use super::meter::{self, Bound};
use super::value::Val;

/// Something on the heap that has been paid for.
///
/// Size and depth are known without a walk. The depth never shrinks, as nobody needs it exactly.
#[derive(Debug)]
pub(super) struct Heap<T: Measured> {
    value: T,
    /// What was taken from the meter (bytes).
    paid: usize,
    /// How much it is if nothing were shared (bytes).
    size: usize,
    depth: u16,
}

/// What the meter needs to know.
pub(super) trait Measured: Default + Clone {
    /// What it takes itself, without what it refers to (bytes).
    fn own_bytes(&self) -> usize;
    /// Its elements' sizes together, or the length of text; and the depth of the deepest.
    fn inner(&self) -> (usize, u16);
}

/// What each thing takes beside its content (bytes).
const HEAD_BYTES: usize = 48;
/// What each entry of a map takes beside its key (bytes).
pub(super) const ENTRY_BYTES: usize = 64;

/// The entries of an object, in the order in which they were put.
pub(super) type Entries = IndexMap<Rc<str>, Val>;

impl Measured for String {
    fn own_bytes(&self) -> usize {
        self.len()
    }

    fn inner(&self) -> (usize, u16) {
        (self.len(), 0)
    }
}

impl Measured for Vec<Val> {
    fn own_bytes(&self) -> usize {
        self.len() * size_of::<Val>()
    }

    fn inner(&self) -> (usize, u16) {
        meter::work(self.len() / 4);
        self.iter()
            .fold((0, 0), |(size, depth), item| (size.saturating_add(item.size()), depth.max(item.depth())))
    }
}

impl Measured for Entries {
    fn own_bytes(&self) -> usize {
        self.iter().map(|(key, _)| key.len() + ENTRY_BYTES).sum()
    }

    fn inner(&self) -> (usize, u16) {
        meter::work(self.len() / 2);
        self.iter().fold((0, 0), |(size, depth), (key, item)| {
            (size.saturating_add(item.size() + key.len()), depth.max(item.depth()))
        })
    }
}

impl<T: Measured> Heap<T> {
    pub(super) fn new(value: T) -> Rc<Self> {
        let mut new = Self { value, paid: 0, size: 0, depth: 0 };
        new.measure();
        Rc::new(new)
    }

    pub(super) fn get(&self) -> &T {
        &self.value
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn depth(&self) -> u16 {
        self.depth
    }

    /// The content, copied if others have it too.
    pub(super) fn into_inner(this: Rc<Self>) -> T {
        match Rc::try_unwrap(this) {
            Ok(mut own) => std::mem::take(&mut own.value),
            Err(shared) => {
                meter::room_for(shared.paid);
                meter::work(shared.paid / 16);
                shared.value.clone()
            }
        }
    }

    /// The content to change; the caller measures it afterwards.
    pub(super) fn make_mut(this: &mut Rc<Self>) -> &mut Self {
        if Rc::get_mut(this).is_none() {
            *this = Heap::new(Heap::into_inner(Rc::clone(this)));
        }
        Rc::get_mut(this).unwrap_or_else(|| meter::stop(Bound::Internal))
    }

    pub(super) fn value_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// Pays for what it is now.
    pub(super) fn measure(&mut self) {
        let (size, depth) = self.value.inner();
        meter::give(self.paid);
        self.paid = 0;
        let bytes = HEAD_BYTES + self.value.own_bytes();
        meter::take(bytes);
        self.paid = bytes;
        self.settle(size.saturating_add(HEAD_BYTES), depth + 1);
    }

    /// Pays for what has come to it: its own bytes, the size, and the depth of the deepest.
    pub(super) fn grown(&mut self, bytes: usize, size: usize, depth: u16) {
        meter::take(bytes);
        self.paid += bytes;
        self.settle(self.size.saturating_add(size), self.depth.max(depth + 1));
    }

    /// What stood in it has another size now.
    pub(super) fn changed(&mut self, before: usize, item: (usize, u16)) {
        self.settle(self.size.saturating_sub(before).saturating_add(item.0), self.depth.max(item.1 + 1));
    }

    fn settle(&mut self, size: usize, depth: u16) {
        self.size = size;
        self.depth = depth;
        if size > meter::SIZE_MAX {
            meter::stop(Bound::Size);
        }
        if depth > meter::DEPTH_MAX {
            meter::stop(Bound::Depth);
        }
    }
}

impl<T: Measured> Drop for Heap<T> {
    fn drop(&mut self) {
        meter::give(self.paid);
    }
}
