use blake2::{Blake2b512, Blake2s256};
use md5::Md5;
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};
use value::Value;

use crate::codec::push_hex;
use crate::function::{STR, TEXT, fails, gives, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, Hashing Functions";
const NOT_A_STRING: &str = "Fails when the argument is not a string.";

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "hash",
        usage: "hash(algorithm, string)",
        signatures: &[sig(&[STR, TEXT], STR)],
        summary: "The digest of the string in hexadecimal digits, by `md5`, `sha` (also `sha1`), `sha224`, `sha256`, `sha384`, `sha512`, `sha3_224`, `sha3_256`, `sha3_384`, `sha3_512`, `blake2b` or `blake2s`.",
        errors: "Fails when the algorithm is none, or the other argument is not text.",
        source: SOURCE,
        examples: &[
            gives("hash('md5', 'a')", "md5('a')"),
            gives("substr(hash('sha3_256', 'abc'), 0, 16)", "'3a985da74fe225b2'"),
            gives("substr(hash('blake2b', 'abc'), 0, 16)", "'ba80a53f981c4d0d'"),
            fails("hash('rot13', 'a')"),
        ],
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

const NO_ALGORITHM: &str = "is no known algorithm";

/// Writes the digest of a text in hexadecimal digits.
type Digester = for<'a> fn(Args<'a>, &[u8]) -> Result<Value<'a>, CallError>;

fn hash(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let digest = algorithm(args.bytes(0)?).ok_or(CallError::Domain { arg: 0, reason: NO_ALGORITHM })?;
    digest(args, args.text(1)?)
}

/// Whether a text names an algorithm.
pub(crate) fn check_algorithm(name: &[u8]) -> Result<(), String> {
    algorithm(name).map(|_| ()).ok_or_else(|| NO_ALGORITHM.to_owned())
}

fn algorithm(name: &[u8]) -> Option<Digester> {
    Some(match name {
        b"md5" => digest::<Md5>,
        b"sha" | b"sha1" => digest::<Sha1>,
        b"sha224" => digest::<Sha224>,
        b"sha256" => digest::<Sha256>,
        b"sha384" => digest::<Sha384>,
        b"sha512" => digest::<Sha512>,
        b"sha3_224" => digest::<Sha3_224>,
        b"sha3_256" => digest::<Sha3_256>,
        b"sha3_384" => digest::<Sha3_384>,
        b"sha3_512" => digest::<Sha3_512>,
        b"blake2b" => digest::<Blake2b512>,
        b"blake2s" => digest::<Blake2s256>,
        _ => return None,
    })
}

fn digest<'a, D: Digest>(args: Args<'a>, text: &[u8]) -> Result<Value<'a>, CallError> {
    let mut out = args.builder(128);
    push_hex(&D::digest(text), b"0123456789abcdef", &mut |digit| out.push(digit));
    Ok(Value::Str(out.into_bump_slice()))
}
