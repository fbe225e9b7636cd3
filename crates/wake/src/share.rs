//! How much a task may do before it lets others run, counted in work and not in time: a clock costs more than most of what
//! would be measured.

use std::cell::Cell;

thread_local! {
    /// What was done in the batch that this thread works on.
    static SPENT: Cell<usize> = const { Cell::new(0) };
}

/// What one batch may do, in messages that are handed to a session or judged by a rule, and nodes of the index of filters
/// that are looked at for a topic: about a millisecond of it.
pub const SHARE: usize = 8192;

/// Notes so many steps. Costs a few instructions.
#[inline]
pub fn spend(units: usize) {
    SPENT.set(SPENT.get().saturating_add(units));
}

/// Whether the batch that this thread works on has done as much as it may: it is to end, and to go on after the others.
#[inline]
pub fn is_spent() -> bool {
    SPENT.get() >= SHARE
}

pub(crate) fn begin() {
    SPENT.set(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_its_share_and_the_next_one_its_own() {
        crate::batched(|| {
            spend(SHARE - 1);
            crate::batched(|| assert!(!is_spent(), "a batch within a batch is part of it"));
            spend(1);
            assert!(is_spent());
        });
        crate::batched(|| assert!(!is_spent()));
    }
}
