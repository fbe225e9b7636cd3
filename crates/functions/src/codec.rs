use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use value::Value;

use crate::bit_sequences::{BIT_STRING, bit_string};
use crate::function::{ANY, STR, fails, gives, optional, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Decoding and Encoding Functions";
const NOT_A_STRING: &str = "Fails when the argument is not a string.";

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "base64_decode",
        usage: "base64_decode(string[, option[, option]])",
        signatures: &[optional(1, &[STR, ANY, ANY], STR)],
        summary: "The bytes that Base64 text stands for; white space in it is ignored. Options: `urlsafe`, `no_padding`.",
        errors: "Fails when the argument is not a string, or not Base64.",
        source: SOURCE,
        examples: &[
            gives("base64_decode('YQ==')", "'a'"),
            gives("base64_decode('YQ', 'no_padding')", "'a'"),
            fails("base64_decode('YQ')"),
        ],
        body: base64_decode,
    },
    Function {
        name: "base64_encode",
        usage: "base64_encode(string[, option[, option]])",
        signatures: &[optional(1, &[STR, ANY, ANY], STR)],
        summary: "The bytes of the string as Base64. Options: `urlsafe`, `no_padding`.",
        errors: NOT_A_STRING,
        source: SOURCE,
        examples: &[gives("base64_encode('a')", "'YQ=='"), gives("base64_encode('a', 'no_padding')", "'YQ'")],
        body: base64_encode,
    },
    Function {
        name: "bin2hexstr",
        usage: "bin2hexstr(string[, prefix])",
        signatures: &[optional(1, &[BIT_STRING, STR], STR)],
        summary: "The bytes of the string as hexadecimal digits in upper case, behind the prefix.",
        errors: "Fails when an argument is not a string.",
        source: SOURCE,
        examples: &[gives("bin2hexstr('abc')", "'616263'"), gives("bin2hexstr('abc', '0x')", "'0x616263'")],
        body: |args| {
            let prefix = if args.len() > 1 { args.bytes(1)? } else { b"" };
            hex(args, prefix)
        },
    },
    Function {
        name: "hexstr2bin",
        usage: "hexstr2bin(string[, prefix])",
        signatures: &[optional(1, &[STR, STR], STR)],
        summary: "The bytes that hexadecimal digits behind the prefix stand for; an odd number of digits begins with half a byte.",
        errors: "Fails when an argument is not a string, the prefix is missing, or something else is no digit.",
        source: SOURCE,
        examples: &[gives("hexstr2bin('616263')", "'abc'"), fails("hexstr2bin('61 62')")],
        body: hexstr2bin,
    },
    Function {
        name: "json_decode",
        usage: "json_decode(string)",
        signatures: &[sig(&[STR], ANY)],
        summary: "The value that a JSON text holds.",
        errors: "Fails when the argument is not a string, or not JSON.",
        source: SOURCE,
        examples: &[gives("json_decode('[1, 2.0]')", "[1, 2.0]"), fails("json_decode('{')")],
        body: |args| args.json(0, args.bytes(0)?),
    },
    Function {
        name: "json_encode",
        usage: "json_encode(any)",
        signatures: &[sig(&[ANY], STR)],
        summary: "The value as JSON.",
        errors: "",
        source: SOURCE,
        examples: &[gives("json_encode([1, 'a', 2.0])", "'[1,\"a\",2.0]'")],
        body: |args| {
            let mut out = Vec::new();
            value::json::write(&args.value(0), &mut out);
            Ok(args.string(&out))
        },
    },
    Function {
        name: "sqlserver_bin2hexstr",
        usage: "sqlserver_bin2hexstr(string)",
        signatures: &[sig(&[BIT_STRING], STR)],
        summary: "The bytes of the string as a binary literal of SQL Server.",
        errors: NOT_A_STRING,
        source: SOURCE,
        examples: &[gives("sqlserver_bin2hexstr('MZ')", "'0x4D5A'")],
        body: |args| hex(args, b"0x"),
    },
];

/// The codec that the options behind the first argument choose; what is none is ignored.
fn base64(args: Args<'_>) -> GeneralPurpose {
    let chosen = |name: &[u8]| {
        args.values().iter().skip(1).any(|arg| matches!(arg, Value::Str(text) if *text == name))
    };
    let alphabet = if chosen(b"urlsafe") { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let config = match chosen(b"no_padding") {
        true => config.with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
        false => config.with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
    };
    GeneralPurpose::new(alphabet, config)
}

fn base64_decode(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let bytes = base64(args).decode(without_white_space(args.bytes(0)?));
    Ok(args.string(&bytes.map_err(|_| CallError::Domain { arg: 0, reason: "is not Base64" })?))
}

/// Text without the white space that may stand in Base64.
pub(crate) fn without_white_space(text: &[u8]) -> Vec<u8> {
    text.iter().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).copied().collect()
}

fn base64_encode(args: Args<'_>) -> Result<Value<'_>, CallError> {
    Ok(args.string(base64(args).encode(args.bytes(0)?).as_bytes()))
}

fn hex<'a>(args: Args<'a>, prefix: &[u8]) -> Result<Value<'a>, CallError> {
    let (bytes, bits) = bit_string(args, 0)?;
    let mut out = args.builder(prefix.len() + bytes.len() * 2);
    out.extend_from_slice(prefix);
    match bits % 8 {
        0 => push_hex(bytes, UPPER, &mut |digit| out.push(digit)),
        // Zeros come before bits that make no whole digit.
        _ => {
            let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
            let missing = bits.next_multiple_of(4) - bits;
            for digit in (0..bits + missing).step_by(4) {
                let value = (digit..digit + 4)
                    .filter(|at| *at >= missing)
                    .fold(0, |value, at| value << 1 | bit(at - missing));
                out.push(UPPER[usize::from(value)]);
            }
        }
    }
    Ok(Value::Str(out.into_bump_slice()))
}

const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Hands over two digits for each byte.
pub(crate) fn push_hex(bytes: &[u8], digits: &[u8; 16], push: &mut dyn FnMut(u8)) {
    for byte in bytes {
        push(digits[usize::from(byte >> 4)]);
        push(digits[usize::from(byte & 15)]);
    }
}

fn hexstr2bin(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let text = args.bytes(0)?;
    let digits = match args.len() {
        1 => text,
        _ => text
            .strip_prefix(args.bytes(1)?)
            .ok_or(CallError::Domain { arg: 0, reason: "does not begin with the prefix" })?,
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let no_digit = CallError::Domain { arg: 0, reason: "has something that is no hexadecimal digit" };
    let mut out = args.builder(digits.len().div_ceil(2));
    let (half, pairs) = digits.split_at(digits.len() % 2);
    if let [high] = half {
        out.push(digit(high).ok_or(no_digit.clone())? as u8);
    }
    for pair in pairs.chunks_exact(2) {
        let byte = digit(&pair[0]).zip(digit(&pair[1])).map(|(high, low)| (high << 4 | low) as u8);
        out.push(byte.ok_or(no_digit.clone())?);
    }
    Ok(Value::Str(out.into_bump_slice()))
}
