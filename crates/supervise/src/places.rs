//! Which panics were told of lately.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where panics came up, and when the log told of each place: a mistake that comes up with every message is not to fill it.
///
/// A lock, since any thread may panic; held for a look.
#[derive(Debug)]
pub(crate) struct Places(Mutex<Vec<Place>>);

#[derive(Debug)]
struct Place {
    name: String,
    told_at: Instant,
    untold: u64,
}

impl Places {
    /// How long nothing more is told of a place.
    const PAUSE: Duration = Duration::from_secs(10);
    /// How many places are known; past it, the one that was told of longest ago is forgotten.
    const PLACES_MAX: usize = 64;

    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// How many panics came up there since it was told of, this one included, if it is time to tell.
    pub(crate) fn due(&self, name: &str, now: Instant) -> Option<u64> {
        // Whatever a thread has left, in which a panic met another one, is still a list of places.
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = places.iter_mut().find(|place| place.name == name) else {
            if places.len() == Self::PLACES_MAX {
                let oldest = (0..places.len()).min_by_key(|at| places[*at].told_at);
                oldest.map(|at| places.swap_remove(at));
            }
            places.push(Place { name: name.to_owned(), told_at: now, untold: 0 });
            return Some(1);
        };
        place.untold += 1;
        if now.duration_since(place.told_at) < Self::PAUSE {
            return None;
        }
        place.told_at = now;
        Some(std::mem::take(&mut place.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_of_at_once_and_then_every_ten_seconds() {
        let (places, start) = (Places::new(), Instant::now());
        let due = |name: &str, seconds| places.due(name, start + Duration::from_secs(seconds));
        assert_eq!((due("a.rs:7:1", 0), due("b.rs:7:1", 1)), (Some(1), Some(1)));
        assert_eq!((due("a.rs:7:1", 5), due("a.rs:7:1", 9)), (None, None));
        assert_eq!((due("a.rs:7:1", 10), due("a.rs:7:1", 11)), (Some(3), None));
    }

    #[test]
    fn no_more_places_are_known_than_may_be() {
        let (places, start) = (Places::new(), Instant::now());
        for at in 0..3 * Places::PLACES_MAX as u64 {
            assert_eq!(places.due(&format!("{at}"), start + Duration::from_secs(at)), Some(1));
        }
        assert_eq!(places.0.lock().expect("nobody panics").len(), Places::PLACES_MAX);
    }
}
