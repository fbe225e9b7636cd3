//! Which messages stay in order among themselves, and in which lane they do.

use crate::queue::ActionQueue;

/// The version of [`order_key`] and of what becomes a lane of it. It is noted on disk beside whatever is written: entries of
/// another version are dealt out anew when they are read, so that what comes later stays behind them.
pub const LANES_VERSION: u16 = 1;

/// Has no pattern: the first digits of the golden ratio.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// Odd, and about half of its bits are set: the first digits of the square root of two.
const FACTOR: u64 = 0x6a09_e667_f3bc_c909;

/// The key of what must stay in order: a hash of these parts, as in client id and topic.
///
/// The value is fixed by this text and by no library, machine or release. Eight bytes at a time, little-endian and filled up
/// with zeros, are folded into the state; before them, the length of the part. Folding is `x ^ state` times `FACTOR` in 128
/// bits, the upper half XOR the lower. Who finds messages for one key only slows down one lane of his own action.
pub fn order_key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut state = SEED;
    let mut fold = |word: u64| {
        let product = u128::from(state ^ word) * u128::from(FACTOR);
        state = product as u64 ^ (product >> 64) as u64;
    };
    for part in parts {
        fold(part.len() as u64);
        let (words, rest) = part.as_chunks::<8>();
        words.iter().for_each(|word| fold(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            fold(u64::from_le_bytes(word));
        }
    }
    state
}

/// Which lane a key belongs to. A part of [`LANES_VERSION`].
pub(crate) fn lane_of(key: u64) -> usize {
    (key.wrapping_mul(SEED) >> (64 - ActionQueue::LANES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[&str]) -> u64 {
        order_key(parts.iter().map(|part| part.as_bytes()))
    }

    /// Values that backlogs on disk were dealt out by: with another one here goes another [`LANES_VERSION`].
    #[test]
    fn never_changes() {
        let found = [
            key(&[]),
            key(&[""]),
            key(&["c1", "t/1"]),
            key(&["t/1"]),
            key(&["sensor-00017", "plant/7/temp"]),
        ];
        assert_eq!(
            found,
            [
                0x9e37_79b9_7f4a_7c15,
                0x864b_f3a5_2ffa_9138,
                0xdc75_077f_d61d_2c87,
                0x47ce_eac3_8cfd_adb3,
                0x8345_7735_3eaa_8a03
            ]
        );
        assert_eq!(found.map(lane_of), [55, 3, 48, 36, 43]);
    }

    #[test]
    fn tells_parts_apart_and_fills_every_lane() {
        assert_ne!(key(&["a", "bc"]), key(&["ab", "c"]));
        assert_ne!(key(&["a", ""]), key(&["a"]));
        assert_ne!(key(&["a\0"]), key(&["a"]));
        let mut lanes = [0; ActionQueue::LANES];
        for number in 0..6400 {
            lanes[lane_of(key(&[&format!("c{number}"), "plant/7/temp"]))] += 1;
        }
        assert!(lanes.iter().all(|count| (50..200).contains(count)), "{lanes:?}");
    }
}
