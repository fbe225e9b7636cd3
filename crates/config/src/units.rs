//! Time spans and sizes as people write them: `15s`, `1h30m`, `256MB`.

use std::time::Duration;

/// The longest time span a setting may ask for: ten years. Clocks can add it without overflow.
pub const DURATION_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

const TIME_UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SIZE_UNITS: [(&str, u64); 4] = [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];

/// Why a time span or a size could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not of the form of a time span.
    #[error("a time span is written like `15s`, `200ms` or `1h30m` (w, d, h, m, s, ms)")]
    Duration,
    /// A time span longer than [`DURATION_MAX`].
    #[error("a time span is at most ten years (`3650d`)")]
    DurationTooLong,
    /// Not of the form of a size.
    #[error("a size is written like `64KB`, `256MB` or `1GB` (KB, MB, GB, TB, or bytes without a unit)")]
    Bytes,
    /// More bytes than 2^63 - 1.
    #[error("a size is at most 8,388,607TB")]
    BytesTooMany,
}

/// Reads a time span: numbers with units (`w d h m s ms`) one after the other, largest unit first, each at most once; a
/// number without a unit is milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return millis(text.parse().map_err(|_| UnitError::DurationTooLong)?);
    }
    let (mut rest, mut total, mut units) = (text, 0u64, TIME_UNITS.as_slice());
    if rest.is_empty() {
        return Err(UnitError::Duration);
    }
    while !rest.is_empty() {
        let (count, after) = leading_number(rest).ok_or(UnitError::Duration)?;
        let unit_len = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(unit_len);
        let position = units.iter().position(|(name, _)| *name == unit).ok_or(UnitError::Duration)?;
        let count: u64 = count.parse().map_err(|_| UnitError::DurationTooLong)?;
        total = count
            .checked_mul(units[position].1)
            .and_then(|part| total.checked_add(part))
            .ok_or(UnitError::DurationTooLong)?;
        units = &units[position + 1..];
        rest = after;
    }
    millis(total)
}

/// The time span of a number of milliseconds, if it is within [`DURATION_MAX`].
pub fn millis(count: u64) -> Result<Duration, UnitError> {
    let duration = Duration::from_millis(count);
    if duration > DURATION_MAX { Err(UnitError::DurationTooLong) } else { Ok(duration) }
}

/// Writes a time span so that [`parse_duration`] reads the same milliseconds: `1h30m`; `0s` for nothing.
pub fn duration_text(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    // Weeks are read but not written: `14d` is what people expect to see.
    for (unit, size) in &TIME_UNITS[1..] {
        let count = rest / size;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
            rest %= size;
        }
    }
    text
}

/// Reads a number of bytes: `256MB`, `64kb`, `1024`, `10B`. 1 KB is 1,024 bytes, as in the reference.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let (count, unit) = leading_number(text.trim()).ok_or(UnitError::Bytes)?;
    let unit = unit.trim_start();
    let size = if unit.is_empty() || unit.eq_ignore_ascii_case("B") {
        1
    } else {
        SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(UnitError::Bytes)?.1
    };
    let count: u64 = count.parse().map_err(|_| UnitError::BytesTooMany)?;
    count.checked_mul(size).filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or(UnitError::BytesTooMany)
}

/// Writes a number of bytes with the largest unit that divides it: `256MB`, `1000B`.
pub fn bytes_text(bytes: u64) -> String {
    match SIZE_UNITS.iter().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", bytes / size),
        None => format!("{bytes}B"),
    }
}

fn leading_number(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| text.split_at(digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_people_write() {
        let cases = [
            ("15s", 15_000),
            ("200ms", 200),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("0", 0),
            ("45000", 45_000),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "15", " ", "1.5h", "15 s", "1m1h", "1s1s", "-1s", "1y", "infinity", "1S"] {
            let read = parse_duration(text);
            assert_eq!(read.is_ok(), text == "15", "{text}: {read:?}");
        }
        for text in ["3651d", "99999999999999999999", "99999999999999999999w", "18446744073709551615w"] {
            assert_eq!(parse_duration(text), Err(UnitError::DurationTooLong), "{text}");
        }
    }

    #[test]
    fn sizes_people_write() {
        let cases = [
            ("256MB", 256 << 20),
            ("1gb", 1 << 30),
            ("64 KB", 64 << 10),
            ("1024", 1024),
            ("10B", 10),
            ("0", 0),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "1.5GB", "-1", "1PB", "1 M B"] {
            assert_eq!(parse_bytes(text), Err(UnitError::Bytes), "{text}");
        }
        assert_eq!(parse_bytes("8388608TB"), Err(UnitError::BytesTooMany));
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_the_same(ms in 0..=DURATION_MAX.as_millis() as u64) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&duration_text(duration)), Ok(duration));
        }

        #[test]
        fn a_written_size_reads_the_same(bytes in 0..=i64::MAX as u64) {
            prop_assert_eq!(parse_bytes(&bytes_text(bytes)), Ok(bytes));
        }

        #[test]
        fn reading_anything_returns(text in "\\PC{0,12}") {
            let _ = (parse_duration(&text), parse_bytes(&text));
        }
    }
}
