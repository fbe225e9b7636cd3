//! The builtin functions of the dialect: one table, from which checks, docs, examples and calls derive.
//!
//! A family of functions is a file with a table of [`Function`]s and their bodies; a new family adds the file and one
//! line in [`FAMILIES`].
//!
//! *Invariant:* knows no SQL text and no event. Clock, randomness, environment and columns arrive in the
//! [`CallContext`]; nothing here blocks, panics, or takes more memory than its arguments justify.

mod args;
mod arrays;
mod bit_sequences;
mod bits;
mod codec;
mod context;
mod convert;
mod error;
mod function;
mod hash;
mod kinds;
mod maps;
mod math;
mod message;
mod process;
mod regex;
mod sprintf;
mod strings;
mod term;
mod time;
mod zip;

use std::sync::LazyLock;

pub use args::Args;
pub use context::{CallContext, ColumnSource, Random, Store, Surroundings};
pub use convert::concat;
pub use error::CallError;
pub use function::{Body, Example, Function};

/// Every family, in the order of the docs.
pub static FAMILIES: &[(&str, &[Function])] = &[
    ("Message", message::FUNCTIONS),
    ("Mathematics", math::FUNCTIONS),
    ("Bits", bits::FUNCTIONS),
    ("Type checks and missing values", kinds::FUNCTIONS),
    ("Conversion", convert::FUNCTIONS),
    ("Strings", strings::FUNCTIONS),
    ("Formatted text", sprintf::FUNCTIONS),
    ("Lists", arrays::FUNCTIONS),
    ("Maps", maps::FUNCTIONS),
    ("Bit sequences", bit_sequences::FUNCTIONS),
    ("Regular expressions", regex::FUNCTIONS),
    ("Date and time", time::FUNCTIONS),
    ("Compression", zip::FUNCTIONS),
    ("Codecs", codec::FUNCTIONS),
    ("Hashes", hash::FUNCTIONS),
    ("Terms", term::FUNCTIONS),
    ("Process", process::FUNCTIONS),
];

/// Functions of the reference that are not there yet, so that `check` can say so.
pub static NOT_YET: &[&str] = &[
    "ai_completion",
    "avro_decode",
    "avro_encode",
    "jq",
    "schema_check",
    "schema_decode",
    "schema_decode_tagged",
    "schema_encode",
    "schema_encode_and_tag",
    "sparkplug_decode",
    "sparkplug_encode",
    "spb_decode",
    "spb_encode",
    "spb_zip_kvs",
];

static BY_NAME: LazyLock<Vec<&'static Function>> = LazyLock::new(|| {
    let mut functions: Vec<_> = FAMILIES.iter().flat_map(|(_, family)| *family).collect();
    functions.sort_unstable_by_key(|function| function.name);
    functions
});

/// Every function, ordered by name. Places in this list identify functions while the process lives.
pub fn all() -> &'static [&'static Function] {
    &BY_NAME
}

/// The place of a function in [`all`].
pub fn find(name: &str) -> Option<usize> {
    BY_NAME.binary_search_by_key(&name, |function| function.name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_once_and_every_function_is_documented() {
        for pair in all().windows(2) {
            assert_ne!(pair[0].name, pair[1].name);
        }
        for function in all() {
            assert!(!NOT_YET.contains(&function.name), "{} is there", function.name);
            assert!(!function.signatures.is_empty(), "{}", function.name);
            assert!(function.usage.starts_with(&format!("{}(", function.name)), "{}", function.usage);
            assert!(!function.examples.is_empty(), "{} has no example", function.name);
            assert!(function.summary.ends_with('.') && !function.source.is_empty(), "{}", function.name);
        }
        assert!(NOT_YET.is_sorted());
    }
}
