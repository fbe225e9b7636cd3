//! How much values are when they are written out.
//!
//! A value may hold another one many times over at no cost, and so on: a few dozen lists in one another can stand for more than
//! any machine holds. Whoever builds lists and maps out of values looks at their size here.

use crate::Value;

/// How deeply values may be nested.
pub const DEPTH_MAX: u32 = 1024;
/// What every value takes beside its text (bytes).
const VALUE_BYTES: usize = 16;

/// The size of a value if nothing in it were shared (bytes, about what it takes as JSON); `None` if it is more than
/// `most`, or nested too deeply. No more is looked at than it takes to say so.
pub fn of(value: &Value<'_>, most: usize) -> Option<usize> {
    let mut left = most;
    fits(value, &mut left, 0).then(|| most - left)
}

fn fits(value: &Value<'_>, left: &mut usize, depth: u32) -> bool {
    let own = match value {
        Value::Str(bytes) => bytes.len(),
        Value::Big(big) => big.limbs.len() * 20,
        _ => 0,
    };
    if !take(left, VALUE_BYTES + own) {
        return false;
    }
    match value {
        Value::Array(items) => depth < DEPTH_MAX && items.iter().all(|item| fits(item, left, depth + 1)),
        Value::Map(map) => {
            let mut entries = map.entries().iter();
            depth < DEPTH_MAX
                && entries.all(|entry| take(left, entry.key.len()) && fits(&entry.value, left, depth + 1))
        }
        _ => true,
    }
}

fn take(left: &mut usize, bytes: usize) -> bool {
    match left.checked_sub(bytes) {
        Some(rest) => *left = rest,
        None => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arena;

    #[test]
    fn shared_values_count_as_often_as_they_stand_there() {
        let arena = Arena::new();
        let text = Value::text("0123456789");
        assert_eq!(of(&text, 100), Some(26));
        assert_eq!(of(&Value::Array(&[text, text]), 100), Some(68));
        assert_eq!(of(&text, 25), None);
        let doubled = |times| (0..times).fold(text, |value, _| Value::Array(arena.slice(&[value, value])));
        assert!(of(&doubled(10), 1 << 20).is_some());
        assert_eq!(of(&doubled(1000), 1 << 20), None);
        let nested = |depth| (0..depth).fold(text, |value, _| Value::Array(arena.slice(&[value])));
        assert!(of(&nested(DEPTH_MAX), usize::MAX).is_some());
        assert_eq!(of(&nested(DEPTH_MAX + 1), usize::MAX), None);
    }
}
