//! Bytes from a network: whatever comes, packets are taken until it is known that no more are to come.

use mqtt::{Input, Version};

/// Takes packets from the bytes behind the first, which chooses who is listened to.
pub fn run(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let version = match first % 4 {
        0 => None,
        1 => Some(Version::V31),
        2 => Some(Version::V311),
        _ => Some(Version::V5),
    };
    let mut input = Input::holding(version, 1 << 16, bytes);
    let mut left = input.buffered_bytes();
    while let Ok(Some(packet)) = input.next() {
        assert!(!packet.name().is_empty());
        let _ = format!("{packet:?}");
        let now = input.buffered_bytes();
        assert!(now < left, "a packet of no bytes");
        left = now;
    }
}
