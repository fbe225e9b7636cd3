//! Values as text: what a template prints and what `+` appends.

use std::io::Write as _;

use crate::{Value, json, number};

/// Appends a value as text.
///
/// Strings as they are, floats with at most ten decimals, arrays and maps as JSON, `undefined` and `null` as words.
pub fn write(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Undefined => out.extend_from_slice(b"undefined"),
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(_) | Value::Big(_) => number::write_int(value, out),
        Value::Float(float) => write_float(*float, out),
        Value::Atom(text) => out.extend_from_slice(text.as_bytes()),
        Value::Str(bytes) => out.extend_from_slice(bytes),
        Value::Array(_) | Value::Map(_) => json::write(value, out),
    }
}

/// Appends a float with at most ten decimals.
fn write_float(float: f64, out: &mut Vec<u8>) {
    /// Below, a float is so near to its shortest text that its first ten decimals are those, then zeros.
    const NEAR: f64 = 1e5;
    if float.abs() >= NEAR || !number::write_reading(float, out) {
        write_fixed(float, 10, true, out);
    }
}

/// Appends a float with a fixed number of decimals, never with an exponent; `compact` drops zeros at the end but the
/// one behind the point. Halves round away from zero.
pub fn write_fixed(float: f64, decimals: usize, compact: bool, out: &mut Vec<u8>) {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: below, whole and fraction part without loss
    let start = out.len();
    let size = float.abs();
    // Writing into a vector cannot fail.
    if size < EXACT && decimals <= 17 {
        let scale = 10u64.pow(decimals as u32);
        let mut whole = size.trunc() as u64;
        let mut fraction = (size.fract() * scale as f64 + 0.5) as u64;
        if fraction >= scale {
            whole += 1;
            fraction -= scale;
        }
        if float.is_sign_negative() {
            out.push(b'-');
        }
        let _ = match decimals {
            0 => write!(out, "{whole}"),
            _ => write!(out, "{whole}.{fraction:0decimals$}"),
        };
    } else {
        let _ = write!(out, "{float:.decimals$}");
    }
    if compact && decimals > 0 {
        while out.len() > start && out.ends_with(b"0") && !out.ends_with(b".0") {
            out.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_short_way_ends_where_the_long_one_does(digits in -99_999_999i64..=99_999_999, scale in 0usize..6) {
            let float = digits as f64 / [1.0, 10.0, 100.0, 1e3, 1e4, 1e7][scale];
            let (mut short, mut long) = (Vec::new(), Vec::new());
            write(&Value::Float(float), &mut short);
            write_fixed(float, 10, true, &mut long);
            prop_assert_eq!(String::from_utf8(short), String::from_utf8(long));
        }
    }

    fn shown(float: f64) -> String {
        let mut out = Vec::new();
        write(&Value::Float(float), &mut out);
        String::from_utf8(out).expect("writes UTF-8")
    }

    #[test]
    fn prints_floats_with_ten_decimals() {
        let cases = [
            (0.1 + 0.2, "0.3"),
            (3.0, "3.0"),
            (-12.25, "-12.25"),
            (1e22, "10000000000000000000000.0"),
            (1.5e-7, "0.00000015"),
            (-1.25e-12, "-0.0"),
            (0.00048828125, "0.0004882813"),
            (0.99999999999, "1.0"),
        ];
        for (float, text) in cases {
            assert_eq!(shown(float), text);
        }
    }
}
