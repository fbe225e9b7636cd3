use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};
use num_bigint::BigInt;
use value::{Kind, Value, number};

use crate::function::{INT, STR, fails, gives, optional, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Date and Time Conversion Functions";
const BAD_UNIT: &str = "Fails when the unit is none of these.";
/// What stands for an offset from UTC.
const OFFSET: value::Kinds = STR.or(Kind::Int);

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "date_to_unix_ts",
        usage: "date_to_unix_ts(unit[, offset], format, string)",
        signatures: &[sig(&[STR, STR, STR], INT), sig(&[STR, OFFSET, STR, STR], INT)],
        summary: "The time that a text spells in a format of `%Y %m %d %H %M %S %3N %6N %N %z %:z`, as a count of `second`, `millisecond`, `microsecond` or `nanosecond` since 1970 UTC. Of other characters of the format only the number counts.",
        errors: "Fails when a part from year to second is missing or no number, the date does not exist, or unit or offset are none.",
        source: SOURCE,
        examples: &[
            gives("date_to_unix_ts('second', '%Y-%m-%d %H:%M:%S', '2022-05-26 10:40:12')", "1653561612"),
            fails("date_to_unix_ts('second', '%Y-%m-%d', '2022-05-26')"),
        ],
        body: date_to_unix_ts,
    },
    Function {
        name: "format_date",
        usage: "format_date(unit, offset, format[, time])",
        signatures: &[optional(3, &[STR, OFFSET, STR, INT], STR)],
        summary: "A time, or the current one, in a format of `%Y %m %d %H %M %S %3N %6N %N %z %:z`, at an offset from UTC.",
        errors: "Fails when unit or offset are none, or the year is not between 0 and 9999.",
        source: SOURCE,
        examples: &[gives(
            "format_date('second', '+08:00', '%Y-%m-%d %H:%M:%S%:z', 1700000000)",
            "'2023-11-15 06:13:20+08:00'",
        )],
        body: format_date,
    },
    Function {
        name: "mongo_date",
        usage: "mongo_date([time[, unit]])",
        signatures: &[optional(0, &[INT, STR], STR)],
        summary: "A time, or the current one, as an ISODate of MongoDB; in milliseconds unless a unit says otherwise.",
        errors: BAD_UNIT,
        source: SOURCE,
        examples: &[gives("mongo_date(0)", "'ISODate(1970-01-01T00:00:00.000Z)'")],
        body: mongo_date,
    },
    Function {
        name: "now_rfc3339",
        usage: "now_rfc3339([unit])",
        signatures: &[optional(0, &[STR], STR)],
        summary: "The current time by RFC 3339, in UTC.",
        errors: BAD_UNIT,
        source: SOURCE,
        examples: &[gives("strlen(now_rfc3339('millisecond'))", "29")],
        body: |args| {
            let unit = unit_or_second(args, 0)?;
            rfc3339(args, now(args), unit)
        },
    },
    Function {
        name: "now_timestamp",
        usage: "now_timestamp([unit])",
        signatures: &[optional(0, &[STR], INT)],
        summary: "The current time as a count of `second` (if not given), `millisecond`, `microsecond` or `nanosecond` since 1970 UTC.",
        errors: BAD_UNIT,
        source: SOURCE,
        examples: &[gives("is_int(now_timestamp())", "true"), fails("now_timestamp('minute')")],
        body: |args| {
            let unit = unit_or_second(args, 0)?;
            count(args, now(args), unit)
        },
    },
    Function {
        name: "rfc3339_to_unix_ts",
        usage: "rfc3339_to_unix_ts(string[, unit])",
        signatures: &[optional(1, &[STR, STR], INT)],
        summary: "The time that a text spells by RFC 3339, as a count of the unit (seconds if not given) since 1970 UTC.",
        errors: "Fails when the text is none of RFC 3339, or the unit is none.",
        source: SOURCE,
        examples: &[
            gives("rfc3339_to_unix_ts('2023-11-15T06:13:20+08:00')", "1700000000"),
            fails("rfc3339_to_unix_ts('yesterday')"),
        ],
        body: rfc3339_to_unix_ts,
    },
    Function {
        name: "timezone_to_offset_seconds",
        usage: "timezone_to_offset_seconds(offset)",
        signatures: &[sig(&[OFFSET], INT)],
        summary: "The seconds of an offset such as `+08:00`, `-0330`, `Z` or `local` (which is UTC here).",
        errors: "Fails when the text is no offset.",
        source: SOURCE,
        examples: &[
            gives("timezone_to_offset_seconds('-03:30')", "-12600"),
            fails("timezone_to_offset_seconds('UTC')"),
        ],
        body: |args| Ok(Value::Int(offset(args, 0)?)),
    },
    Function {
        name: "timezone_to_second",
        usage: "timezone_to_second(offset)",
        signatures: &[sig(&[OFFSET], INT)],
        summary: "The same as `timezone_to_offset_seconds`.",
        errors: "Fails when the text is no offset.",
        source: SOURCE,
        examples: &[gives("timezone_to_second('+0530')", "19800")],
        body: |args| Ok(Value::Int(offset(args, 0)?)),
    },
    Function {
        name: "unix_ts_to_rfc3339",
        usage: "unix_ts_to_rfc3339(time[, unit])",
        signatures: &[optional(1, &[INT, STR], STR)],
        summary: "A time by RFC 3339 in UTC, with as many decimals as the unit (seconds if not given) has.",
        errors: "Fails when the unit is none, or the year is not between 0 and 9999.",
        source: SOURCE,
        examples: &[gives(
            "unix_ts_to_rfc3339(1700000000123, 'millisecond')",
            "'2023-11-14T22:13:20.123+00:00'",
        )],
        body: |args| {
            let unit = unit_or_second(args, 1)?;
            rfc3339(args, time(args, 0, unit)?, unit)
        },
    },
];

/// The start of 1970.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// A unit of time: how many of it make a second, as a power of ten.
#[derive(Clone, Copy)]
struct Unit(u32);

impl Unit {
    fn per_second(self) -> i128 {
        10i128.pow(self.0)
    }

    fn nanos(self) -> i128 {
        10i128.pow(9 - self.0)
    }
}

fn unit(args: Args<'_>, at: usize) -> Result<Unit, CallError> {
    match args.bytes(at)? {
        b"second" => Ok(Unit(0)),
        b"millisecond" => Ok(Unit(3)),
        b"microsecond" => Ok(Unit(6)),
        b"nanosecond" => Ok(Unit(9)),
        _ => Err(CallError::Domain { arg: at, reason: "is no unit of time" }),
    }
}

fn unit_or_second(args: Args<'_>, at: usize) -> Result<Unit, CallError> {
    if args.len() > at { unit(args, at) } else { Ok(Unit(0)) }
}

/// The time of the evaluation (nanoseconds since 1970 UTC).
fn now(args: Args<'_>) -> i128 {
    i128::from(args.context().now_micros) * 1000
}

/// A count of a unit as nanoseconds since 1970 UTC.
fn time(args: Args<'_>, at: usize, unit: Unit) -> Result<i128, CallError> {
    Ok(i128::from(args.int(at)?) * unit.nanos())
}

/// Nanoseconds as a count of a unit.
fn count(args: Args<'_>, nanos: i128, unit: Unit) -> Result<Value<'_>, CallError> {
    let count = BigInt::from(nanos.div_euclid(unit.nanos()));
    number::from_wide(&count, args.arena()).map_err(|error| args.number_error(0, error))
}

/// The calendar date and time of nanoseconds since 1970, of years that have four digits.
fn civil(nanos: i128, at: usize) -> Result<DateTime, CallError> {
    let far = CallError::Domain { arg: at, reason: "is beyond the years 0 to 9999" };
    let (seconds, rest) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    let since = i64::try_from(seconds).ok().map(|seconds| SignedDuration::new(seconds, rest as i32));
    let date = since.and_then(|since| EPOCH.checked_add(since).ok());
    date.filter(|date| date.year() >= 0).ok_or(far)
}

/// An offset from UTC in seconds: a number of them, `Z`, `local`, or a sign with hours and minutes.
fn offset(args: Args<'_>, at: usize) -> Result<i64, CallError> {
    if let Value::Int(seconds) = args.value(at) {
        return Ok(seconds.clamp(-86_400, 86_400));
    }
    let no_offset = CallError::Domain { arg: at, reason: "is no offset from UTC" };
    let text = args.utf8(at)?;
    if matches!(text, "Z" | "z" | "local") {
        return Ok(0);
    }
    parse_offset(text).ok_or(no_offset)
}

fn parse_offset(text: &str) -> Option<i64> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i64>().ok())?;
    let (hours, minutes, seconds) = match digits.split(':').collect::<Vec<_>>()[..] {
        [both] if both.len() == 4 => (number(both.get(..2)?)?, number(both.get(2..)?)?, 0),
        [hours, minutes] => (number(hours)?, number(minutes)?, 0),
        [hours, minutes, seconds] => (number(hours)?, number(minutes)?, number(seconds)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60 && seconds < 60).then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

fn rfc3339(args: Args<'_>, nanos: i128, unit: Unit) -> Result<Value<'_>, CallError> {
    let date = civil(nanos, 0)?;
    let text = format!("{}{}+00:00", seconds_text(&date), fraction(&date, unit));
    Ok(args.string(text.as_bytes()))
}

fn seconds_text(date: &DateTime) -> String {
    let (year, month, day) = (date.year(), date.month(), date.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", date.hour(), date.minute(), date.second())
}

/// The decimals that a unit has, with their point.
fn fraction(date: &DateTime, unit: Unit) -> String {
    match unit.0 {
        0 => String::new(),
        digits => {
            let digits = digits as usize;
            format!(".{:0digits$}", i128::from(date.subsec_nanosecond()) / unit.nanos())
        }
    }
}

fn mongo_date(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let nanos = match args.len() {
        0 => now(args),
        1 => time(args, 0, Unit(3))?,
        _ => time(args, 0, unit(args, 1)?)?,
    };
    let date = civil(nanos, 0)?;
    let text = format!("ISODate({}{}Z)", seconds_text(&date), fraction(&date, Unit(3)));
    Ok(args.string(text.as_bytes()))
}

fn rfc3339_to_unix_ts(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let unit = unit_or_second(args, 1)?;
    let no_time = CallError::Domain { arg: 0, reason: "is no time by RFC 3339" };
    let seconds = parse_rfc3339(args.utf8(0)?).ok_or(no_time)?;
    let (seconds, digits) = seconds;
    // Decimals are rounded to the unit, but for seconds, which drop them.
    let fraction = match unit.0 {
        0 => 0,
        _ => {
            let scale = 10i128.pow(u32::try_from(digits.len()).unwrap_or(0));
            let fraction = digits.parse::<i128>().unwrap_or(0);
            (fraction * unit.per_second() * 2 + scale) / (scale * 2)
        }
    };
    let count = BigInt::from(i128::from(seconds) * unit.per_second() + fraction);
    number::from_wide(&count, args.arena()).map_err(|error| args.number_error(0, error))
}

/// The seconds since 1970 UTC of a time by RFC 3339, and the digits of its fraction.
fn parse_rfc3339(text: &str) -> Option<(i64, &str)> {
    let number = |range| {
        let digits: &str = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i16>().ok())?
    };
    let part = |range| number(range).and_then(|part| i8::try_from(part).ok());
    let separators = [(4, "-"), (7, "-"), (13, ":"), (16, ":")];
    if separators.iter().any(|(at, sign)| text.get(*at..*at + 1) != Some(sign))
        || !matches!(text.get(10..11)?, "T" | "t" | " ")
    {
        return None;
    }
    let date = Date::new(number(0..4)?, part(5..7)?, part(8..10)?).ok()?;
    let time = Time::new(part(11..13)?, part(14..16)?, part(17..19)?, 0).ok()?;
    let behind = text.get(19..)?;
    let (digits, zone) = match behind.strip_prefix('.') {
        Some(fraction) => fraction.split_at(fraction.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("", behind),
    };
    if behind.starts_with('.') && digits.is_empty() || digits.len() > 30 {
        return None;
    }
    let offset = match zone {
        "Z" | "z" => 0,
        zone if zone.len() == 6 && zone.is_ascii() => parse_offset(zone)?,
        _ => return None,
    };
    Some((seconds_of(date, time) - offset, digits))
}

fn seconds_of(date: Date, time: Time) -> i64 {
    date.to_datetime(time).duration_since(EPOCH).as_secs()
}

fn format_date(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (unit, offset, format) = (unit(args, 0)?, offset(args, 1)?, args.utf8(2)?);
    let nanos = if args.len() > 3 { time(args, 3, unit)? } else { now(args) };
    let date = civil(nanos + SignedDuration::from_secs(offset).as_nanos(), 3)?;
    let mut out = String::with_capacity(format.len() + 16);
    for piece in pieces(format) {
        match piece {
            Piece::Other(character) => out.push(character),
            Piece::Year => out.push_str(&format!("{:04}", date.year())),
            Piece::Month => out.push_str(&format!("{:02}", date.month())),
            Piece::Day => out.push_str(&format!("{:02}", date.day())),
            Piece::Hour => out.push_str(&format!("{:02}", date.hour())),
            Piece::Minute => out.push_str(&format!("{:02}", date.minute())),
            Piece::Second => out.push_str(&format!("{:02}", date.second())),
            Piece::Fraction(digits) => out.push_str(fraction(&date, Unit(digits)).trim_start_matches('.')),
            Piece::Offset(colon) => {
                let sign = if offset < 0 { '-' } else { '+' };
                let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
                out.push_str(&format!("{sign}{hours:02}{}{minutes:02}", if colon { ":" } else { "" }));
            }
        }
    }
    Ok(args.string(out.as_bytes()))
}

/// A piece of a format.
#[derive(Clone, Copy, PartialEq)]
enum Piece {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// So many decimals of a second.
    Fraction(u32),
    /// The offset, with a colon or without.
    Offset(bool),
    Other(char),
}

fn pieces(format: &str) -> impl Iterator<Item = Piece> {
    const PIECES: [(&str, Piece); 11] = [
        ("%Y", Piece::Year),
        ("%m", Piece::Month),
        ("%d", Piece::Day),
        ("%H", Piece::Hour),
        ("%M", Piece::Minute),
        ("%S", Piece::Second),
        ("%3N", Piece::Fraction(3)),
        ("%6N", Piece::Fraction(6)),
        ("%N", Piece::Fraction(9)),
        ("%z", Piece::Offset(false)),
        ("%:z", Piece::Offset(true)),
    ];
    let mut rest = format;
    std::iter::from_fn(move || {
        let known = PIECES.iter().find(|(spelling, _)| rest.starts_with(spelling));
        let (taken, piece) = match known {
            Some((spelling, piece)) => (spelling.len(), *piece),
            None => rest.chars().next().map(|other| (other.len_utf8(), Piece::Other(other)))?,
        };
        rest = &rest[taken..];
        Some(piece)
    })
}

fn date_to_unix_ts(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let unit = unit(args, 0)?;
    let (offset, format, at) = match args.len() {
        3 => (0, args.utf8(1)?, 2),
        _ => (offset(args, 1)?, args.utf8(2)?, 3),
    };
    let text = args.utf8(at)?;
    let (seconds, nanos) =
        parse_date(text, format).map_err(|reason| CallError::Domain { arg: at, reason })?;
    let nanos = i128::from(seconds - offset) * 1_000_000_000 + i128::from(nanos);
    count(args, nanos, unit)
}

/// The seconds since 1970 UTC, and the nanoseconds behind them, that a text spells in a format.
fn parse_date(text: &str, format: &str) -> Result<(i64, i64), &'static str> {
    const MISSING: &str = "misses a part from year to second";
    let mut rest = text;
    let mut take = |width: usize| {
        let end = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
        let (taken, behind) = rest.split_at(end);
        rest = behind;
        taken
    };
    // Year, month, day, hour, minute, second.
    let mut parts = [None; 6];
    let (mut nanos, mut offset) = (0, 0);
    for piece in pieces(format) {
        let (place, width) = match piece {
            Piece::Year => (0, 4),
            Piece::Month => (1, 2),
            Piece::Day => (2, 2),
            Piece::Hour => (3, 2),
            Piece::Minute => (4, 2),
            Piece::Second => (5, 2),
            Piece::Fraction(digits) => {
                nanos = decimal(take(digits as usize))?.unwrap_or(0) * 10i64.pow(9 - digits);
                continue;
            }
            Piece::Offset(colon) => {
                offset = parse_offset(take(if colon { 6 } else { 5 }))
                    .ok_or("has no offset where one should be")?;
                continue;
            }
            Piece::Other(_) => {
                take(1);
                continue;
            }
        };
        parts[place] = decimal(take(width))?;
    }
    let [Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)] = parts else {
        return Err(MISSING);
    };
    let small = |part: i64| i8::try_from(part).unwrap_or(0);
    let date = Date::new(i16::try_from(year).unwrap_or(0), small(month), small(day));
    let days =
        date.ok().map(|date| seconds_of(date, Time::midnight())).ok_or("is a date that does not exist")?;
    Ok((days + hour * 3600 + minute * 60 + second - offset, nanos))
}

/// The number that digits spell; `None` where there are none.
fn decimal(digits: &str) -> Result<Option<i64>, &'static str> {
    if digits.is_empty() {
        return Ok(None);
    }
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok());
    number.flatten().map(Some).ok_or("has something else where digits should be")
}
