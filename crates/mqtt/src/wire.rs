//! The few shapes that packets are made of (MQTT 5.0 §1.5): numbers, lengths, strings.

use crate::DecodeError;

/// First bytes of packets: type and flags.
pub(crate) mod first {
    pub(crate) const CONNECT: u8 = 0x10;
    pub(crate) const PUBLISH: u8 = 0x30;
    pub(crate) const PUBACK: u8 = 0x40;
    pub(crate) const PUBREC: u8 = 0x50;
    pub(crate) const PUBREL: u8 = 0x62;
    pub(crate) const PUBCOMP: u8 = 0x70;
    pub(crate) const PINGREQ: u8 = 0xC0;
    pub(crate) const PINGRESP: u8 = 0xD0;
}

/// The largest number that a variable byte integer holds.
pub(crate) const LENGTH_MAX: usize = 268_435_455;

/// Reads a variable byte integer from the front: the number and how many bytes it took; `None` if more must come.
pub(crate) fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let mut value = 0;
    for at in 0..4 {
        let Some(byte) = bytes.get(at) else { return Ok(None) };
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    Err(DecodeError::Malformed("a length of more than four bytes"))
}

/// How many bytes a variable byte integer takes.
pub(crate) fn length_size(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Appends a variable byte integer of at most [`LENGTH_MAX`].
pub(crate) fn put_length(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7F {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a string or binary data with its length of two bytes. The caller has seen that it fits.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The part of a packet that is not read yet.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

const SHORT: DecodeError = DecodeError::Malformed("a packet that is shorter than it says");

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(crate) fn length(&mut self) -> Result<usize, DecodeError> {
        let (value, taken) = length(self.0)?.ok_or(SHORT)?;
        self.take(taken)?;
        Ok(value)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let count = self.u16()?;
        self.take(usize::from(count))
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Malformed("a string that is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_go_round() {
        for value in [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, LENGTH_MAX] {
            let mut out = Vec::new();
            put_length(&mut out, value);
            assert_eq!(out.len(), length_size(value));
            assert_eq!(length(&out), Ok(Some((value, out.len()))));
            assert_eq!(length(&out[..out.len() - 1]), Ok(None));
        }
        assert!(length(&[0xFF; 4]).is_err());
    }
}
