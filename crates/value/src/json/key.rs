use super::write::write_key;

/// A key of maps that are written many times, with its text written beforehand.
#[derive(Debug)]
pub struct Key {
    name: Box<[u8]>,
    /// `,"name":` if that is not longer than this, so that its copy is one of a size that is known, and its length.
    short: [u8; 32],
    length: usize,
    /// The same if it is.
    long: Box<[u8]>,
}

impl Key {
    /// The key of this name.
    pub fn new(name: &[u8]) -> Self {
        let mut text = Vec::new();
        write_key(name, false, &mut text);
        let mut short = [0; 32];
        let length = text.len();
        if let Some(room) = short.get_mut(..length) {
            room.copy_from_slice(&text);
            text.clear();
        }
        Self { name: name.into(), short, length, long: text.into() }
    }

    /// The name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Appends a comma, the name as a JSON string, and a colon.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.long.is_empty() {
            let end = out.len() + self.length;
            out.extend_from_slice(&self.short);
            out.truncate(end);
        } else {
            out.extend_from_slice(&self.long);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_written_as_other_keys_are(name in "([ -~]|[\\x00-\\x1f\"\\\\]|é){0,80}", before in "[a-z]{0,40}") {
            let mut out = before.clone().into_bytes();
            let key = Key::new(name.as_bytes());
            key.write(&mut out);
            prop_assert_eq!(key.name(), name.as_bytes());
            prop_assert_eq!(String::from_utf8(out).expect("UTF-8"), format!("{before},{}:", serde_json::json!(name)));
        }
    }
}
