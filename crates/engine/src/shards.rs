//! A map that is copied with every change.

use std::borrow::Borrow;
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

/// A map in pieces, which copies share: to copy one and change an entry costs about the root of its size, not all of it.
pub(crate) struct Shards<K, V>(Box<[Arc<FxHashMap<K, V>>]>);

impl<K: Hash + Eq + Clone, V: Clone> Shards<K, V> {
    /// About so many entries are in one piece.
    const PIECE: usize = 256;

    /// An empty one with pieces for so many entries.
    pub(crate) fn for_entries(count: usize) -> Self {
        let pieces = (count / Self::PIECE).next_power_of_two();
        Self((0..pieces).map(|_| Arc::default()).collect())
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0[self.piece(key)].get(key)
    }

    /// What was there before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let piece = self.piece(&key);
        Arc::make_mut(&mut self.0[piece]).insert(key, value)
    }

    /// What was there.
    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let piece = self.piece(key);
        Arc::make_mut(&mut self.0[piece]).remove(key)
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().flat_map(|piece| piece.iter())
    }

    /// All values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    fn piece<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        // Not the bits that the pieces themselves go by.
        (FxBuildHasher.hash_one(key) >> 24) as usize & (self.0.len() - 1)
    }
}

impl<K, V> Clone for Shards<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_changes_by_itself() {
        let mut map = Shards::for_entries(2000);
        for number in 0..2000 {
            assert_eq!(map.insert(number, number), None);
        }
        let before = map.clone();
        assert_eq!((map.insert(7, 70), map.remove(&8), map.remove(&8)), (Some(7), Some(8), None));
        assert_eq!((map.get(&7), map.get(&8), map.iter().count()), (Some(&70), None, 1999));
        assert_eq!((before.get(&7), before.get(&8), before.values().count()), (Some(&7), Some(&8), 2000));
        let shared = map.0.iter().zip(&before.0).filter(|(one, other)| Arc::ptr_eq(one, other)).count();
        assert!(shared >= map.0.len() - 2, "{shared} of {}", map.0.len());
    }
}
