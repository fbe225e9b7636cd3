//! Bytes that came and are not taken yet.

use std::cell::Cell;

/// Room for one read, unless a single packet needs more (bytes).
pub(crate) const ROOM: usize = 64 * 1024;
/// Memory of a connection's own that is given back as soon as nothing waits in it, rather than with [`Received::trim`] (bytes).
pub(crate) const LARGE: usize = 1024 * 1024;
/// What a packet that is larger than [`ROOM`] is given more at least (bytes).
const STEP: usize = 1024;

thread_local! {
    /// Room that no connection of this thread reads into at the moment.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes that came and are not taken yet, in memory that a connection has only while they are being taken.
///
/// The room to read into is the thread's, and goes back to it with [`Received::rest`]: connections that wait for something
/// have none, and those that do not share one that the processor has at hand. What is left, the beginning of a packet, is
/// kept in as many bytes. Only a packet that is larger than the room gets memory of its own, until [`Received::trim`].
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// What waits is `room[start..end]`, and beyond is room; where this is empty, what waits is `kept`.
    room: Vec<u8>,
    start: usize,
    end: usize,
    kept: Vec<u8>,
}

impl Received {
    /// With these bytes, as if they had come.
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        Self { kept: bytes.to_vec(), ..Self::default() }
    }

    /// What waits to be taken.
    pub(crate) fn waiting(&self) -> &[u8] {
        if self.room.is_empty() { &self.kept } else { &self.room[self.start..self.end] }
    }

    /// Takes so many of the bytes that wait.
    pub(crate) fn take(&mut self, count: usize) -> &[u8] {
        if self.room.is_empty() {
            self.use_kept();
        }
        let start = self.start;
        self.start += count;
        &self.room[start..self.start]
    }

    /// Room to read into, at least one byte, after as little moving and allocating as possible. `needed` is what the first
    /// packet that waits needs, as far as is known (bytes).
    pub(crate) fn room(&mut self, needed: usize) -> &mut [u8] {
        if self.room.is_empty() {
            if needed.max(self.kept.len() + 1) > ROOM {
                self.use_kept();
            } else {
                self.borrow();
            }
        }
        let waiting = self.end - self.start;
        if waiting == 0 {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.room.len() - self.end < self.room.len() / 2 {
            self.room.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, waiting);
        }
        if self.end == self.room.len() || needed > self.room.len() {
            // A packet that says it is large gets its room in steps, so that a length alone costs nothing.
            let wanted = needed.min(4 * self.end.max(ROOM)).max(self.end + STEP);
            if self.room.len() < wanted {
                self.room.resize(wanted, 0);
            }
        }
        &mut self.room[self.end..]
    }

    /// `count` bytes were read into the room.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// Nothing is read or taken for now: the thread gets its room back.
    pub(crate) fn rest(&mut self) {
        if self.room.len() > LARGE && self.start == self.end {
            *self = Self::default();
        }
        if self.room.is_empty() || self.room.len() > ROOM {
            return;
        }
        self.kept.clear();
        self.kept.extend_from_slice(&self.room[self.start..self.end]);
        (self.start, self.end) = (0, 0);
        let room = std::mem::take(&mut self.room);
        if room.len() == ROOM {
            SPARE.set(room);
        }
    }

    /// Gives memory back that nothing waits in, the thread's among it.
    pub(crate) fn trim(&mut self) {
        self.rest();
        if !self.room.is_empty() {
            // A packet that is larger than the thread's room, or the beginning of one.
            self.kept = self.room[self.start..self.end].to_vec();
            (self.room, self.start, self.end) = (Vec::new(), 0, 0);
        }
        self.kept.shrink_to_fit();
    }

    /// Takes the thread's room.
    fn borrow(&mut self) {
        let spare = SPARE.take();
        self.room = if spare.is_empty() { vec![0; ROOM] } else { spare };
        (self.start, self.end) = (0, self.kept.len());
        self.room[..self.end].copy_from_slice(&self.kept);
        self.kept.clear();
    }

    /// Makes room of its own of what is kept.
    fn use_kept(&mut self) {
        self.room = std::mem::take(&mut self.kept);
        (self.start, self.end) = (0, self.room.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn come(received: &mut Received, needed: usize, bytes: &[u8]) {
        let room = received.room(needed);
        room[..bytes.len()].copy_from_slice(bytes);
        received.filled(bytes.len());
    }

    #[test]
    fn who_waits_has_no_room_and_keeps_what_is_left() {
        let mut received = Received::default();
        come(&mut received, 0, b"abcdef");
        assert_eq!(received.take(4), b"abcd");
        received.rest();
        assert!(received.room.is_empty());
        assert_eq!(received.waiting(), b"ef");
        come(&mut received, 0, b"gh");
        assert_eq!((received.waiting(), received.room.len()), (&b"efgh"[..], ROOM));
        assert_eq!(received.take(4), b"efgh");
        received.rest();
        received.trim();
        assert_eq!((received.room.capacity(), received.kept.capacity()), (0, 0));
    }

    #[test]
    fn the_room_goes_from_one_to_the_next() {
        let (mut one, mut other) = (Received::default(), Received::default());
        come(&mut one, 0, b"one");
        let place = one.room.as_ptr();
        one.take(3);
        one.rest();
        come(&mut other, 0, b"other");
        assert_eq!(other.room.as_ptr(), place);
        assert_eq!(other.waiting(), b"other");
    }

    #[test]
    fn what_is_larger_gets_memory_of_its_own_in_steps() {
        let needed = 10 * ROOM;
        let mut received = Received::default();
        let mut come_so_far = 0;
        while come_so_far < needed {
            let room = received.room(needed).len();
            assert!(room <= 4 * come_so_far.max(ROOM), "a length alone costs nothing");
            received.filled(room.min(needed - come_so_far));
            come_so_far = received.waiting().len();
            received.rest();
        }
        assert_eq!(received.take(needed).len(), needed);
        received.rest();
        received.trim();
        assert_eq!(received.room.capacity(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn who_is_trimmed_has_memory_for_what_waits_and_nothing_is_lost(
            steps in proptest::collection::vec((0usize..3 * ROOM, 0usize..3 * ROOM, 0u8..4), 1..12),
        ) {
            let mut received = Received::default();
            let mut expected: Vec<u8> = Vec::new();
            for (come, take, then) in steps {
                let whole: Vec<u8> = (0..come).map(|at| (at % 251) as u8).collect();
                let mut bytes = &whole[..];
                while !bytes.is_empty() {
                    let room = received.room(expected.len() + bytes.len());
                    let (now, later) = bytes.split_at(room.len().min(bytes.len()));
                    room[..now.len()].copy_from_slice(now);
                    received.filled(now.len());
                    expected.extend(now);
                    bytes = later;
                }
                let take = take.min(expected.len());
                if take > 0 {
                    prop_assert_eq!(received.take(take), &expected[..take]);
                    expected.drain(..take);
                }
                match then {
                    0 => received.rest(),
                    1 => {
                        received.trim();
                        prop_assert_eq!(received.room.capacity(), 0);
                        prop_assert_eq!(received.kept.capacity(), expected.len());
                    }
                    _ => {}
                }
                prop_assert_eq!(received.waiting(), &expected[..]);
            }
        }
    }

    #[test]
    fn what_is_very_large_stays_no_longer_than_its_packet() {
        let mut received = Received::default();
        let needed = 2 * LARGE;
        while received.waiting().len() < needed {
            let room = received.room(needed).len();
            received.filled(room.min(needed - received.waiting().len()));
            received.rest();
        }
        received.take(needed);
        received.rest();
        assert_eq!(received.room.capacity(), 0);
    }

    #[test]
    fn what_was_kept_whole_can_be_taken() {
        let mut received = Received::holding(b"abc");
        assert_eq!(received.take(2), b"ab");
        received.rest();
        assert_eq!(received.waiting(), b"c");
    }
}
