//! Numbers: integers of any size, exact comparison, and the arithmetic of the dialect.
//!
//! Integers that fit 64 bits are computed without memory; larger ones up to [`INT_BITS_MAX`] go through the heap and
//! end in the arena. A float result that is not finite is an error, as there is no infinity in the dialect.

use std::cmp::Ordering;

use num_bigint::{BigInt as Wide, Sign};
use num_traits::{FromPrimitive as _, Signed as _, ToPrimitive as _, Zero as _};

use crate::{Arena, BigInt, Value};

/// The size of the largest integer (bits of its magnitude).
pub const INT_BITS_MAX: u64 = 1 << 16;
/// The longest integer that is read (decimal digits); all of that length are within [`INT_BITS_MAX`].
pub const DIGITS_MAX: usize = 19_728;

/// Why two numbers have no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberError {
    /// An operand is not a number, or not an integer where only integers go.
    Kind,
    /// Division by zero, or a float result beyond range.
    Domain,
    /// An integer beyond [`INT_BITS_MAX`].
    TooLarge,
}

/// `left + right`; integers stay integers.
pub fn add<'a>(left: &Value<'a>, right: &Value<'a>, arena: &'a Arena) -> Result<Value<'a>, NumberError> {
    arithmetic(left, right, arena, i64::checked_add, |a, b| a + b, |a, b| a + b)
}

/// `left - right`; integers stay integers.
pub fn sub<'a>(left: &Value<'a>, right: &Value<'a>, arena: &'a Arena) -> Result<Value<'a>, NumberError> {
    arithmetic(left, right, arena, i64::checked_sub, |a, b| a - b, |a, b| a - b)
}

/// `left * right`; integers stay integers.
pub fn mul<'a>(left: &Value<'a>, right: &Value<'a>, arena: &'a Arena) -> Result<Value<'a>, NumberError> {
    arithmetic(left, right, arena, i64::checked_mul, |a, b| a * b, |a, b| a * b)
}

/// `left / right`, always a float.
pub fn divide<'a>(left: &Value<'_>, right: &Value<'_>) -> Result<Value<'a>, NumberError> {
    let (left, right) = (to_float(left)?, to_float(right)?);
    if right == 0.0 { Err(NumberError::Domain) } else { finite(left / right) }
}

/// The whole quotient of two integers, truncated toward zero.
pub fn div<'a>(left: &Value<'a>, right: &Value<'a>, arena: &'a Arena) -> Result<Value<'a>, NumberError> {
    integers(left, right, arena, i64::checked_div, |a, b| a / b)
}

/// The remainder of [`div`]; has the sign of `left`.
pub fn rem<'a>(left: &Value<'a>, right: &Value<'a>, arena: &'a Arena) -> Result<Value<'a>, NumberError> {
    integers(left, right, arena, i64::checked_rem, |a, b| a % b)
}

/// `-value`.
pub fn neg<'a>(value: &Value<'a>, arena: &'a Arena) -> Result<Value<'a>, NumberError> {
    match value {
        Value::Float(float) => Ok(Value::Float(-float)),
        value => sub(&Value::Int(0), value, arena),
    }
}

/// A finite float as a value.
pub fn finite<'a>(float: f64) -> Result<Value<'a>, NumberError> {
    if float.is_finite() { Ok(Value::Float(float)) } else { Err(NumberError::Domain) }
}

/// A number as a float; an integer beyond the range of floats is an error.
pub fn to_float(value: &Value<'_>) -> Result<f64, NumberError> {
    let float = match value {
        Value::Int(int) => *int as f64,
        Value::Float(float) => *float,
        Value::Big(big) => wide_of(big).to_f64().unwrap_or(f64::INFINITY),
        _ => return Err(NumberError::Kind),
    };
    if float.is_finite() { Ok(float) } else { Err(NumberError::Domain) }
}

/// A whole float as an integer.
pub fn from_float(float: f64, arena: &Arena) -> Result<Value<'_>, NumberError> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if (-LIMIT..LIMIT).contains(&float) {
        return Ok(Value::Int(float as i64));
    }
    from_wide(&Wide::from_f64(float).ok_or(NumberError::Domain)?, arena)
}

/// An integer as one of the library for large ones; `None` for anything else.
pub fn to_wide(value: &Value<'_>) -> Option<Wide> {
    match value {
        Value::Int(int) => Some(Wide::from(*int)),
        Value::Big(big) => Some(wide_of(big)),
        _ => None,
    }
}

/// An integer of any size as a value, in normal form.
pub fn from_wide<'a>(wide: &Wide, arena: &'a Arena) -> Result<Value<'a>, NumberError> {
    if let Some(int) = wide.to_i64() {
        return Ok(Value::Int(int));
    }
    if wide.bits() > INT_BITS_MAX {
        return Err(NumberError::TooLarge);
    }
    let (sign, limbs) = wide.to_u64_digits();
    let big = BigInt { negative: sign == Sign::Minus, limbs: arena.slice(&limbs) };
    Ok(Value::Big(arena.alloc(big)))
}

fn wide_of(big: &BigInt<'_>) -> Wide {
    let halves = big.limbs.iter().flat_map(|limb| [*limb as u32, (*limb >> 32) as u32]).collect();
    Wide::new(if big.negative { Sign::Minus } else { Sign::Plus }, halves)
}

fn arithmetic<'a>(
    left: &Value<'a>,
    right: &Value<'a>,
    arena: &'a Arena,
    small: impl Fn(i64, i64) -> Option<i64>,
    large: impl Fn(Wide, Wide) -> Wide,
    float: impl Fn(f64, f64) -> f64,
) -> Result<Value<'a>, NumberError> {
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => finite(float(*left, *right)),
        (Value::Float(_), _) | (_, Value::Float(_)) => finite(float(to_float(left)?, to_float(right)?)),
        _ => {
            if let (Value::Int(left), Value::Int(right)) = (left, right)
                && let Some(int) = small(*left, *right)
            {
                return Ok(Value::Int(int));
            }
            let (left, right) = wide_pair(left, right)?;
            from_wide(&large(left, right), arena)
        }
    }
}

fn integers<'a>(
    left: &Value<'a>,
    right: &Value<'a>,
    arena: &'a Arena,
    small: impl Fn(i64, i64) -> Option<i64>,
    large: impl Fn(Wide, Wide) -> Wide,
) -> Result<Value<'a>, NumberError> {
    if let (Value::Int(left), Value::Int(right)) = (left, right)
        && let Some(int) = small(*left, *right)
    {
        return Ok(Value::Int(int));
    }
    let (left, right) = wide_pair(left, right)?;
    if right.is_zero() {
        return Err(NumberError::Domain);
    }
    from_wide(&large(left, right), arena)
}

fn wide_pair(left: &Value<'_>, right: &Value<'_>) -> Result<(Wide, Wide), NumberError> {
    to_wide(left).zip(to_wide(right)).ok_or(NumberError::Kind)
}

/// Compares two numbers as [`compare`] does, if neither is so large that it takes more than one comparison.
#[inline]
pub(crate) fn compare_small(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Float(left), Value::Int(right)) if is_exact(*right) => left.partial_cmp(&(*right as f64)),
        (Value::Int(left), Value::Float(right)) if is_exact(*left) => (*left as f64).partial_cmp(right),
        _ => None,
    }
}

/// Whether an integer is small enough that every one up to it is a float as well.
#[inline]
fn is_exact(int: i64) -> bool {
    const EXACT: u64 = 1 << 53;
    int.unsigned_abs() <= EXACT
}

/// Compares two numbers by their exact values, whatever their kinds; `None` where one is not a number.
pub fn compare(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Float(right)) => Some(int_with_float(*left, *right)),
        (Value::Float(left), Value::Int(right)) => Some(int_with_float(*right, *left).reverse()),
        (Value::Big(left), Value::Big(right)) => Some(big_with_big(left, right)),
        (Value::Big(left), Value::Int(_)) => Some(sign_order(left.negative)),
        (Value::Int(_), Value::Big(right)) => Some(sign_order(right.negative).reverse()),
        (Value::Big(left), Value::Float(right)) => Some(big_with_float(left, *right)),
        (Value::Float(left), Value::Big(right)) => Some(big_with_float(right, *left).reverse()),
        _ => None,
    }
}

/// How an integer beyond 64 bits stands to one within.
fn sign_order(negative: bool) -> Ordering {
    if negative { Ordering::Less } else { Ordering::Greater }
}

fn int_with_float(int: i64, float: f64) -> Ordering {
    if is_exact(int) {
        return (int as f64).partial_cmp(&float).unwrap_or(Ordering::Equal);
    }
    large_int_with_float(int, float)
}

#[cold]
fn large_int_with_float(int: i64, float: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if float >= LIMIT {
        return Ordering::Less;
    }
    if float < -LIMIT {
        return Ordering::Greater;
    }
    let whole = float.trunc();
    int.cmp(&(whole as i64)).then_with(|| 0.0f64.partial_cmp(&(float - whole)).unwrap_or(Ordering::Equal))
}

fn big_with_big(left: &BigInt<'_>, right: &BigInt<'_>) -> Ordering {
    if left.negative != right.negative {
        return sign_order(left.negative);
    }
    let size = left
        .limbs
        .len()
        .cmp(&right.limbs.len())
        .then_with(|| left.limbs.iter().rev().cmp(right.limbs.iter().rev()));
    if left.negative { size.reverse() } else { size }
}

fn big_with_float(big: &BigInt<'_>, float: f64) -> Ordering {
    // A float of that size is whole, and one that is smaller cannot reach past 64 bits.
    match Wide::from_f64(float) {
        Some(float) => wide_of(big).cmp(&float),
        None => sign_order(big.negative),
    }
}

/// Reads `[+-]digits` as an integer; `None` if it is anything else, or too long.
pub fn parse_int<'a>(text: &[u8], arena: &'a Arena) -> Option<Value<'a>> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if (1..=18).contains(&digits.len()) {
        let mut size = 0;
        for digit in digits {
            size = size * 10 + i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        }
        return Some(Value::Int(if negative { -size } else { size }));
    }
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let wide = Wide::parse_bytes(digits, 10)?;
    from_wide(&if negative { -wide } else { wide }, arena).ok()
}

/// Reads the number with which a text begins that is known to be JSON. Gives its length too if it would be written just
/// so, otherwise 0.
#[inline]
pub(crate) fn parse_in_json<'a>(text: &[u8], arena: &'a Arena) -> (Value<'a>, usize) {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let sign = text.len() - unsigned.len();
    let (mut digits, mut point, mut length) = (0i64, 0, 0);
    for byte in unsigned {
        match byte {
            b'0'..=b'9' => digits = digits.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')),
            b'.' => point = length + 1,
            b'e' | b'E' => return (parse_long(text, arena), 0),
            _ => break,
        }
        length += 1;
    }
    if length > 16 {
        return (parse_long(text, arena), 0);
    }
    if point == 0 {
        let int = if sign > 0 { -digits } else { digits };
        // There is no negative zero among integers.
        return (Value::Int(int), if int == 0 { length - sign } else { length + sign });
    }
    // As in `parse_short`.
    let decimals = length - point;
    let size = digits as f64 / TENS[decimals];
    // Of at most 15 digits no two texts read as the same float, but for zeros at the end; small ones get an exponent.
    let is_shortest = decimals == 1 || size >= 1e-3 && digits % 10 != 0;
    let float = if sign > 0 { -size } else { size };
    (Value::Float(float), if is_shortest { length + sign } else { 0 })
}

#[inline(never)]
fn parse_long<'a>(text: &[u8], arena: &'a Arena) -> Value<'a> {
    let belongs = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let text = &text[..text.iter().position(|byte| !belongs(byte)).unwrap_or(text.len())];
    let whole = !text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    let number = if whole { parse_int(text, arena) } else { parse_float(text) };
    number.unwrap_or_default()
}

/// Reads a number with a fraction or an exponent in JSON's or the reference's spelling; `None` beyond range.
pub fn parse_float<'a>(text: &[u8]) -> Option<Value<'a>> {
    if let Some(float) = parse_short(text) {
        return Some(Value::Float(float));
    }
    let float: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    finite(float).ok()
}

/// The powers of ten that decimals of readings need, all of them exact.
const TENS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Reads `[-]digits.digits` with at most 15 digits: both the digits and the power of ten are floats without loss
/// then, so that their quotient is rounded once, which is how it must be.
#[inline]
fn parse_short(text: &[u8]) -> Option<f64> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    if unsigned.len() > 16 {
        return None;
    }
    let (mut digits, mut point) = (0u64, None);
    for (byte, at) in unsigned.iter().zip(1..) {
        match byte {
            b'0'..=b'9' => digits = digits * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let size = digits as f64 / TENS[unsigned.len() - point?];
    Some(if unsigned.len() < text.len() { -size } else { size })
}

/// Reads text as the dialect converts text to numbers: `[+-]digits`, or `[+-]digits.digits` with an exponent allowed
/// behind it. No blanks, no bare exponent, no missing digit.
pub fn parse<'a>(text: &[u8], arena: &'a Arena) -> Option<Value<'a>> {
    parse_int(text, arena).or_else(|| if is_float_text(text) { parse_float(text) } else { None })
}

fn is_float_text(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let whole = digits(unsigned);
    let Some(behind) = unsigned[whole..].strip_prefix(b".") else { return false };
    let fraction = digits(behind);
    if whole == 0 || fraction == 0 {
        return false;
    }
    match &behind[fraction..] {
        [] => true,
        [b'e' | b'E', exponent @ ..] => {
            let exponent =
                exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+")).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
        _ => false,
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Appends a float as the shortest text that reads back the same, always with a point or an exponent.
pub fn write_float(float: f64, out: &mut Vec<u8>) {
    if !write_reading(float, out) {
        out.extend_from_slice(zmij::Buffer::new().format_finite(float).as_bytes());
    }
}

/// The same for floats of at most three decimals that are neither very small nor very large; otherwise gives `false`.
pub(crate) fn write_reading(float: f64, out: &mut Vec<u8>) -> bool {
    let size = float.abs();
    // Readings have few decimals. Of at most 15 digits no two texts read as the same float, so that if one does, with
    // as few decimals as possible, it is the shortest.
    for (scale, decimals) in [(1.0, 0u32), (10.0, 1), (100.0, 2), (1000.0, 3)] {
        let scaled = size * scale;
        if !(1e-3..1e15).contains(&size) || scaled >= 1e15 {
            break;
        }
        let mut whole = scaled as u64;
        let mut decimals = decimals;
        if whole as f64 == scaled && whole as f64 / scale == size {
            // With fewer decimals the product may have missed it by a rounding.
            while decimals > 1 && whole.is_multiple_of(10) {
                whole /= 10;
                decimals -= 1;
            }
            write_decimal(float < 0.0, whole, decimals, out);
            return true;
        }
    }
    false
}

/// Appends `digits` with a point before the last `decimals` of them, or `.0` behind it.
fn write_decimal(negative: bool, digits: u64, decimals: u32, out: &mut Vec<u8>) {
    let mut text = [b'0'; 24];
    let mut at = text.len();
    let mut rest = digits;
    let mut put = |byte| {
        at -= 1;
        text[at] = byte;
    };
    if decimals == 0 {
        put(b'0');
    }
    for _ in 0..decimals {
        put(b'0' + (rest % 10) as u8);
        rest /= 10;
    }
    put(b'.');
    loop {
        put(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if negative {
        put(b'-');
    }
    out.extend_from_slice(&text[at..]);
}

/// Appends an integer in decimal; nothing for other kinds.
pub fn write_int(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Int(int) => out.extend_from_slice(itoa::Buffer::new().format(*int).as_bytes()),
        Value::Big(big) => {
            let wide = wide_of(big);
            if wide.is_negative() {
                out.push(b'-');
            }
            out.extend_from_slice(wide.magnitude().to_str_radix(10).as_bytes());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(value: Result<Value<'_>, NumberError>) -> String {
        let mut out = Vec::new();
        crate::json::write(&value.expect("a number"), &mut out);
        String::from_utf8(out).expect("writes UTF-8")
    }

    #[test]
    fn computes_beyond_64_bits() {
        let arena = Arena::new();
        let max = Value::Int(i64::MAX);
        let more = add(&max, &Value::Int(1), &arena);
        assert_eq!(shown(more), "9223372036854775808");
        let square = mul(&more.expect("a number"), &more.expect("a number"), &arena);
        assert_eq!(shown(square), "85070591730234615865843651857942052864");
        assert_eq!(
            shown(div(&square.expect("a number"), &more.expect("a number"), &arena)),
            "9223372036854775808"
        );
        assert_eq!(shown(neg(&Value::Int(i64::MIN), &arena)), "9223372036854775808");
        assert_eq!(shown(div(&Value::Int(-7), &Value::Int(2), &arena)), "-3");
    }

    #[test]
    fn refuses_what_has_no_result() {
        let arena = Arena::new();
        let big = Value::Float(1e300);
        assert_eq!(mul(&big, &big, &arena).err(), Some(NumberError::Domain));
        assert_eq!(divide(&Value::Int(1), &Value::Int(0)).err(), Some(NumberError::Domain));
        assert_eq!(div(&Value::Int(1), &Value::Int(0), &arena).err(), Some(NumberError::Domain));
        assert_eq!(div(&Value::Int(1), &Value::Float(1.0), &arena).err(), Some(NumberError::Kind));
        let mut grown = Value::Int(i64::MAX);
        while let Ok(square) = mul(&grown, &grown, &arena) {
            grown = square;
        }
        assert_eq!(mul(&grown, &grown, &arena).err(), Some(NumberError::TooLarge));
    }

    #[test]
    fn reads_text_as_the_dialect_does() {
        let arena = Arena::new();
        for text in ["5", "+5", "05", "-5", "1.0e3", "5.0", "-1.5E-3"] {
            assert!(parse(text.as_bytes(), &arena).is_some(), "{text}");
        }
        for text in ["", " 5", "5 ", "1e3", ".5", "5.", "+", "abc", "1.0e", "0x1", "1_0", "1.0e999", "inf"] {
            assert!(parse(text.as_bytes(), &arena).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn short_ways_end_where_the_long_ones_do(digits in any::<u64>(), size in 0u32..18, decimals in 0usize..17) {
            let digits = digits % 10u64.pow(size + 1);
            let text = format!("{}{digits:0width$}", if digits.is_multiple_of(3) { "-" } else { "" }, width = decimals + 1);
            let text = format!("{}.{}", &text[..text.len() - decimals], &text[text.len() - decimals..]);
            let text = if decimals == 0 { format!("{text}0") } else { text };
            let float: f64 = text.parse().expect("a float");
            if let Some(short) = parse_short(text.as_bytes()) {
                prop_assert_eq!(short.to_bits(), float.to_bits(), "{}", text);
            }
            match parse_in_json(format!("{text}]").as_bytes(), &Arena::new()).0 {
                Value::Float(read) => prop_assert_eq!(read.to_bits(), float.to_bits(), "{}", text),
                other => prop_assert!(false, "{} is {:?}", text, other),
            }
            let mut out = Vec::new();
            write_float(float, &mut out);
            let mut buffer = zmij::Buffer::new();
            prop_assert_eq!(std::str::from_utf8(&out), Ok(buffer.format_finite(float)));
        }

        #[test]
        fn numbers_of_documents_are_read_as_others(int in any::<i64>(), shift in 0u32..64, exponent in -3i32..3) {
            let arena = Arena::new();
            let whole = (int >> shift).to_string();
            prop_assert_eq!(shown(Ok(parse_in_json(whole.as_bytes(), &arena).0)), whole.as_str());
            let scaled = format!("{whole}e{exponent}");
            let expected = parse_float(scaled.as_bytes()).ok_or(NumberError::Domain);
            prop_assert_eq!(shown(Ok(parse_in_json(format!("{scaled},").as_bytes(), &arena).0)), shown(expected));
        }

        #[test]
        fn numbers_of_documents_are_read_alike_whatever_follows(
            text in "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?", behind in "([,}\\] \n][ -~]{0,12})?"
        ) {
            let arena = Arena::new();
            let is_float = text.contains('.');
            let expected = if is_float { parse_float(text.as_bytes()) } else { parse_int(text.as_bytes(), &arena) };
            let (read, _) = parse_in_json(format!("{text}{behind}").as_bytes(), &arena);
            prop_assert_eq!(shown(Ok(read)), shown(expected.ok_or(NumberError::Domain)));
        }

        #[test]
        fn compares_exactly(int in any::<i64>(), near in -3i64..3) {
            let arena = Arena::new();
            let float = (int.wrapping_add(near)) as f64;
            let exact = to_wide(&Value::Int(int)).cmp(&to_wide(&from_float(float, &arena).expect("finite")));
            prop_assert_eq!(compare(&Value::Int(int), &Value::Float(float)), Some(exact));
            prop_assert_eq!(compare(&Value::Float(float), &Value::Int(int)), Some(exact.reverse()));
        }

        #[test]
        fn wide_arithmetic_agrees_with_128_bits(a in any::<i64>(), b in any::<i64>()) {
            let arena = Arena::new();
            let (left, right) = (Value::Int(a), Value::Int(b));
            let (a, b) = (i128::from(a), i128::from(b));
            prop_assert_eq!(shown(add(&left, &right, &arena)), (a + b).to_string());
            prop_assert_eq!(shown(mul(&left, &right, &arena)), (a * b).to_string());
            if b != 0 {
                prop_assert_eq!(shown(div(&left, &right, &arena)), (a / b).to_string());
                prop_assert_eq!(shown(rem(&left, &right, &arena)), (a % b).to_string());
            }
        }
    }
}
