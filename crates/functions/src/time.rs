use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};
use num_bigint::BigInt;
use value::{Kind, Value, number};

use crate::function::{INT, STR, fails, gives, optional, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Date and Time Conversion Functions";
const BAD_UNIT: &str = "Fails when the unit is none of these.";
/// What stands for an offset from UTC.
const OFFSET: value::Kinds = STR.or(Kind::Int).or(Kind::Undefined);

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "date_to_unix_ts",
        usage: "date_to_unix_ts(unit[, offset], format, string)",
        signatures: &[sig(&[STR, STR, STR], INT), sig(&[STR, OFFSET, STR, STR], INT)],
        summary: "The time that a text spells in a format of `%Y %m %d %H %M %S %3N %6N %N %z %:z %::z`, as a count of `second`, `millisecond`, `microsecond` or `nanosecond` since 1970 UTC. Of other characters of the format only the number counts.",
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
        summary: "A time, or the current one, in a format of `%Y %m %d %H %M %S %3N %6N %N %z %:z %::z`, at an offset from UTC.",
        errors: "Fails when unit or offset are none, or the time is before the year 0.",
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

const NO_UNIT: &str = "is no unit of time";

fn unit_of(name: &[u8]) -> Option<Unit> {
    match name {
        b"second" => Some(Unit(0)),
        b"millisecond" => Some(Unit(3)),
        b"microsecond" => Some(Unit(6)),
        b"nanosecond" => Some(Unit(9)),
        _ => None,
    }
}

fn unit(args: Args<'_>, at: usize) -> Result<Unit, CallError> {
    unit_of(args.bytes(at)?).ok_or(CallError::Domain { arg: at, reason: NO_UNIT })
}

/// Whether a text is a unit of time.
pub(crate) fn check_unit(name: &[u8]) -> Result<(), String> {
    unit_of(name).map(|_| ()).ok_or_else(|| NO_UNIT.to_owned())
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
    match args.value(at) {
        Value::Int(seconds) => return Ok(seconds),
        Value::Undefined => return Ok(0),
        _ => {}
    }
    let no_offset = CallError::Domain { arg: at, reason: "is no offset from UTC" };
    let Ok(text) = std::str::from_utf8(args.bytes(at)?) else { return Err(no_offset) };
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
    let (seconds, fraction) = parse_rfc3339(args.bytes(0)?).ok_or(no_time.clone())?;
    // Decimals are rounded to the unit, but for seconds, which drop them.
    let fraction = match (unit.0, fraction) {
        (0, _) | (_, "") => 0,
        (_, text) => {
            let digits = text.strip_prefix('.').unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(no_time);
            }
            let fraction: f64 = text.parse().unwrap_or_default();
            (fraction * unit.per_second() as f64).round() as i128
        }
    };
    let count = BigInt::from(i128::from(seconds) * unit.per_second() + fraction);
    number::from_wide(&count, args.arena()).map_err(|error| args.number_error(0, error))
}

/// The seconds since 1970 UTC of a time by RFC 3339, and its fraction with the point. As the reference reads it: whatever
/// stands between date and time, hours and minutes of any size, and an offset that may have no minutes.
fn parse_rfc3339(text: &[u8]) -> Option<(i64, &str)> {
    let text = std::str::from_utf8(text).ok()?;
    let number = |range| integer(text.get(range)?).ok();
    let separators = [(4, "-"), (7, "-"), (13, ":"), (16, ":")];
    if separators.iter().any(|(at, sign)| text.get(*at..*at + 1) != Some(sign)) {
        return None;
    }
    let [year, month, day] = [number(0..4)?, number(5..7)?, number(8..10)?];
    let [hour, minute, second] = [number(11..13)?, number(14..16)?, number(17..19)?];
    let behind = text.get(19..)?;
    let (fraction, zone) =
        behind.split_at(behind.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count());
    let offset = match zone {
        "Z" | "z" => 0,
        zone => {
            let sign = match zone.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            let minutes = match zone.get(3..)? {
                "" => 0,
                minutes if minutes.len() == 3 => integer(minutes.strip_prefix(':')?).ok()?,
                _ => return None,
            };
            sign * (integer(zone.get(1..3)?).ok()? * 3600 + minutes * 60)
        }
    };
    let local = epoch_seconds([year, month, day, hour, minute, second]).ok()?;
    Some((within_years(local - offset).ok()?, fraction))
}

/// The seconds since 1970 of a date and a time of day, which may be past the day's end.
fn epoch_seconds([year, month, day, hour, minute, second]: [i64; 6]) -> Result<i64, &'static str> {
    let small = |part: i64| i8::try_from(part).unwrap_or(0);
    let year = i16::try_from(year).ok().filter(|year| *year >= 0).unwrap_or(i16::MAX);
    let date = Date::new(year, small(month), small(day)).map_err(|_| "is a date that does not exist")?;
    Ok(seconds_of(date, Time::midnight()) + hour * 3600 + minute * 60 + second)
}

/// A count of seconds, if it lies within the years 0 to 9999.
fn within_years(seconds: i64) -> Result<i64, &'static str> {
    /// The start of the year 0.
    const MIN: i64 = -62_167_219_200;
    /// The start of the year 10,000.
    const END: i64 = 253_402_300_800;
    if (MIN..END).contains(&seconds) { Ok(seconds) } else { Err("is beyond the years 0 to 9999") }
}

fn seconds_of(date: Date, time: Time) -> i64 {
    date.to_datetime(time).duration_since(EPOCH).as_secs()
}

fn format_date(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (unit, offset) = (unit(args, 0)?, offset(args, 1)?);
    let format = std::str::from_utf8(args.bytes(2)?)
        .map_err(|_| CallError::Domain { arg: 2, reason: "is not UTF-8" })?;
    let nanos = if args.len() > 3 { time(args, 3, unit)? } else { now(args) };
    let local = nanos + i128::from(offset) * 1_000_000_000;
    // As the reference divides: times before 1970 are cut toward it, and their fractions carry the sign.
    let seconds = local / 1_000_000_000;
    let fraction = |digits: usize| {
        let shown = nanos % 1_000_000_000 / 10i128.pow(9 - digits as u32);
        format!("{shown:0>digits$}")
    };
    let far = CallError::Domain { arg: 3, reason: "is before the year 0" };
    let ((year, month, day), rest) = date_of(seconds).ok_or(far)?;
    let mut out = String::with_capacity(format.len() + 16);
    for piece in pieces(format) {
        match piece {
            Piece::Other(character) => out.push(character),
            Piece::Year => out.push_str(&format!("{year:04}")),
            Piece::Month => out.push_str(&format!("{month:02}")),
            Piece::Day => out.push_str(&format!("{day:02}")),
            Piece::Hour => out.push_str(&format!("{:02}", rest / 3600)),
            Piece::Minute => out.push_str(&format!("{:02}", rest / 60 % 60)),
            Piece::Second => out.push_str(&format!("{:02}", rest % 60)),
            Piece::Fraction(digits) => out.push_str(&fraction(digits as usize)),
            Piece::Offset(style) => {
                let size = offset.unsigned_abs();
                if size >= 86_400 {
                    return Err(CallError::Domain { arg: 1, reason: "is a day or more" });
                }
                let (sign, hours, minutes) =
                    (if offset < 0 { '-' } else { '+' }, size / 3600, size / 60 % 60);
                out.push_str(&match style {
                    OffsetStyle::Plain => format!("{sign}{hours:02}{minutes:02}"),
                    OffsetStyle::Minutes => format!("{sign}{hours:02}:{minutes:02}"),
                    OffsetStyle::Seconds => format!("{sign}{hours:02}:{minutes:02}:{:02}", size % 60),
                });
            }
        }
    }
    Ok(args.string(out.as_bytes()))
}

/// Year, month and day of seconds since 1970, and the seconds of that day; `None` before the year 0. Years may have more
/// than four digits, which the library's dates cannot.
fn date_of(seconds: i128) -> Option<((i128, i128, i128), i128)> {
    /// 400 years, after which the calendar repeats.
    const CYCLE_DAYS: i128 = 146_097;
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (cycles, days) = (days.div_euclid(CYCLE_DAYS), days.rem_euclid(CYCLE_DAYS));
    let span = SignedDuration::from_hours(i64::try_from(days).ok()? * 24);
    let date = EPOCH.checked_add(span).ok()?.date();
    let year = i128::from(date.year()) + cycles * 400;
    (year >= 0).then(|| ((year, i128::from(date.month()), i128::from(date.day())), rest))
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
    Offset(OffsetStyle),
    Other(char),
}

/// How an offset is spelled.
#[derive(Clone, Copy, PartialEq)]
enum OffsetStyle {
    /// `+0800`
    Plain,
    /// `+08:00`
    Minutes,
    /// `+08:00:00`
    Seconds,
}

fn pieces(format: &str) -> impl Iterator<Item = Piece> {
    const PIECES: [(&str, Piece); 12] = [
        ("%Y", Piece::Year),
        ("%m", Piece::Month),
        ("%d", Piece::Day),
        ("%H", Piece::Hour),
        ("%M", Piece::Minute),
        ("%S", Piece::Second),
        ("%3N", Piece::Fraction(3)),
        ("%6N", Piece::Fraction(6)),
        ("%N", Piece::Fraction(9)),
        ("%z", Piece::Offset(OffsetStyle::Plain)),
        ("%:z", Piece::Offset(OffsetStyle::Minutes)),
        ("%::z", Piece::Offset(OffsetStyle::Seconds)),
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
    let (offset, at) = if args.len() == 3 { (0, 1) } else { (offset(args, 1)?, 2) };
    let format = std::str::from_utf8(args.bytes(at)?)
        .map_err(|_| CallError::Domain { arg: at, reason: "is not UTF-8" })?;
    let nanos = parse_date(args.bytes(at + 1)?, format)
        .map_err(|reason| CallError::Domain { arg: at + 1, reason })?;
    count(args, nanos - i128::from(offset) * 1_000_000_000, unit)
}

/// The nanoseconds since 1970 UTC that a text spells in a format. The text may end before the format does, between two of
/// its pieces; what stands behind the format is ignored.
fn parse_date(text: &[u8], format: &str) -> Result<i128, &'static str> {
    const MISSING: &str = "misses a part from year to second";
    let mut rest = text;
    // Year, month, day, hour, minute, second; then milliseconds, microseconds, nanoseconds.
    let mut parts = [None; 9];
    let mut offset = 0;
    let mut pieces = pieces(format).peekable();
    while let (Some(piece), false) = (pieces.next(), rest.is_empty()) {
        let (place, width) = match piece {
            Piece::Year => (Some(0), 4),
            Piece::Month => (Some(1), 2),
            Piece::Day => (Some(2), 2),
            Piece::Hour => (Some(3), 2),
            Piece::Minute => (Some(4), 2),
            Piece::Second => (Some(5), 2),
            Piece::Fraction(digits) => (Some(5 + digits as usize / 3), digits as usize),
            Piece::Offset(OffsetStyle::Plain) => (None, 5),
            Piece::Offset(OffsetStyle::Minutes) => (None, 6),
            Piece::Offset(OffsetStyle::Seconds) => (None, 9),
            // Of other characters only the number counts, of all that stand together.
            Piece::Other(character) => {
                let mut width = character.len_utf8();
                while let Some(Piece::Other(character)) = pieces.peek() {
                    width += character.len_utf8();
                    pieces.next();
                }
                rest = rest.get(width..).ok_or("ends within the format")?;
                continue;
            }
        };
        let (taken, behind) = rest.split_at_checked(width).ok_or("ends within the format")?;
        rest = behind;
        let taken = std::str::from_utf8(taken).map_err(|_| NO_DIGITS)?;
        match place {
            Some(place) => parts[place] = Some(integer(taken)?),
            None => offset = parse_offset(taken).ok_or("has no offset where one should be")?,
        }
    }
    let [Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second), millis, micros, nanos] =
        parts
    else {
        return Err(MISSING);
    };
    let local = epoch_seconds([year, month, day, hour, minute, second])?;
    let seconds = within_years(local - offset)?;
    let fraction = millis.unwrap_or(0) * 1_000_000 + micros.unwrap_or(0) * 1000 + nanos.unwrap_or(0);
    Ok(i128::from(seconds) * 1_000_000_000 + i128::from(fraction))
}

const NO_DIGITS: &str = "has something else where digits should be";

/// The number that digits spell, which may have a sign.
fn integer(digits: &str) -> Result<i64, &'static str> {
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let plain = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().ok_or(NO_DIGITS)
}
