use std::io::Read;

use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder, GzEncoder, MultiGzDecoder, ZlibDecoder, ZlibEncoder};
use value::{Arena, Value};

use crate::function::{STR, fails, gives, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Compression and Uncompression Functions";
const NOT_A_STRING: &str = "Fails when the argument is not a string.";
const NOT_PACKED: &str =
    "Fails when the argument is not a string in this format, or would unpack to too much.";
/// What may come out of unpacking (bytes).
const UNPACKED_BYTES_MAX: u64 = Arena::BYTES_MAX as u64 / 4;

/// A pair of functions of one format.
macro_rules! format {
    ($pack:literal, $unpack:literal, $format:literal, $encoder:ident, $decoder:ident) => {
        [
            Function {
                name: $pack,
                usage: concat!($pack, "(string)"),
                signatures: &[sig(&[STR], STR)],
                summary: concat!("The string compressed as ", $format, "."),
                errors: NOT_A_STRING,
                source: SOURCE,
                examples: &[
                    gives(concat!($unpack, "(", $pack, "('valve'))"), "'valve'"),
                    fails(concat!($pack, "(5)")),
                ],
                body: |args| read(args, $encoder::new(args.bytes(0)?, Compression::default())),
            },
            Function {
                name: $unpack,
                usage: concat!($unpack, "(string)"),
                signatures: &[sig(&[STR], STR)],
                summary: concat!("The string that was compressed as ", $format, "."),
                errors: NOT_PACKED,
                source: SOURCE,
                examples: &[fails(concat!($unpack, "('garbage!')"))],
                body: |args| read(args, $decoder::new(args.bytes(0)?)),
            },
        ]
    };
}

const GZIP: [Function; 2] = format!("gzip", "gunzip", "gzip", GzEncoder, MultiGzDecoder);
const ZIP: [Function; 2] = format!("zip", "unzip", "raw deflate", DeflateEncoder, DeflateDecoder);
const ZLIB: [Function; 2] = format!("zip_compress", "zip_uncompress", "zlib", ZlibEncoder, ZlibDecoder);

pub(crate) const FUNCTIONS: &[Function] = {
    let ([a, b], [c, d], [e, f]) = (GZIP, ZIP, ZLIB);
    &[a, b, c, d, e, f]
};

fn read(args: Args<'_>, from: impl Read) -> Result<Value<'_>, CallError> {
    let mut out = Vec::new();
    let read = from.take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut out);
    if out.len() as u64 > UNPACKED_BYTES_MAX {
        return Err(CallError::TooLarge);
    }
    read.map_err(|_| CallError::Domain { arg: 0, reason: "is not in this format" })?;
    Ok(args.string(&out))
}
