use md5::Md5;
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use value::Value;

use crate::codec::push_hex;
use crate::function::{STR, fails, gives, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Hashing Functions";
const NOT_A_STRING: &str = "Fails when the argument is not a string.";

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "hash",
        usage: "hash(algorithm, string)",
        signatures: &[sig(&[STR, STR], STR)],
        summary: "The digest of the string in hexadecimal digits, by `md5`, `sha`, `sha224`, `sha256`, `sha384` or `sha512`.",
        errors: "Fails when an argument is not a string, or there is no such algorithm.",
        source: SOURCE,
        examples: &[gives("hash('md5', 'a')", "md5('a')"), fails("hash('rot13', 'a')")],
        body: hash,
    },
    Function {
        name: "md5",
        usage: "md5(string)",
        signatures: &[sig(&[STR], STR)],
        summary: "The MD5 digest in hexadecimal digits.",
        errors: NOT_A_STRING,
        source: SOURCE,
        examples: &[gives("md5('a')", "'0cc175b9c0f1b6a831c399e269772661'")],
        body: |args| digest::<Md5>(args, args.bytes(0)?),
    },
    Function {
        name: "sha",
        usage: "sha(string)",
        signatures: &[sig(&[STR], STR)],
        summary: "The SHA-1 digest in hexadecimal digits.",
        errors: NOT_A_STRING,
        source: SOURCE,
        examples: &[gives("sha('abc')", "'a9993e364706816aba3e25717850c26c9cd0d89d'")],
        body: |args| digest::<Sha1>(args, args.bytes(0)?),
    },
    Function {
        name: "sha256",
        usage: "sha256(string)",
        signatures: &[sig(&[STR], STR)],
        summary: "The SHA-256 digest in hexadecimal digits.",
        errors: NOT_A_STRING,
        source: SOURCE,
        examples: &[gives(
            "sha256('abc')",
            "'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'",
        )],
        body: |args| digest::<Sha256>(args, args.bytes(0)?),
    },
];

fn hash(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let (algorithm, text) = (args.bytes(0)?, args.bytes(1)?);
    match algorithm {
        b"md5" => digest::<Md5>(args, text),
        b"sha" => digest::<Sha1>(args, text),
        b"sha224" => digest::<Sha224>(args, text),
        b"sha256" => digest::<Sha256>(args, text),
        b"sha384" => digest::<Sha384>(args, text),
        b"sha512" => digest::<Sha512>(args, text),
        _ => Err(CallError::Domain { arg: 0, reason: "is no known algorithm" }),
    }
}

fn digest<'a, D: Digest>(args: Args<'a>, text: &[u8]) -> Result<Value<'a>, CallError> {
    let mut out = args.builder(128);
    push_hex(&D::digest(text), b"0123456789abcdef", &mut |digit| out.push(digit));
    Ok(Value::Str(out.into_bump_slice()))
}
