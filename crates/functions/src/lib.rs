//! The builtin functions of the dialect: one table, from which checks, docs, examples and calls derive.
//!
//! A family of functions is a file with a table of [`Function`]s and their bodies; a new family adds the file and one
//! line in [`FAMILIES`].
//!
//! *Invariant:* knows no SQL text and no event. Clock, randomness, environment and columns arrive in the
//! [`CallContext`]; a clock is looked at for nothing but to end what takes too long. Nothing here waits, panics, or takes more
//! memory than its arguments justify.

#[cfg(test)]
mod any_arguments;
mod args;
mod arrays;
mod bit_sequences;
mod bits;
mod codec;
mod constant;
mod context;
mod convert;
mod error;
mod function;
mod hash;
mod jq;
mod kinds;
mod maps;
mod math;
mod message;
mod process;
mod regex;
mod sparkplug;
mod sprintf;
mod strings;
mod term;
mod time;
mod zip;

use std::sync::LazyLock;

pub use args::Args;
pub use constant::check_constant;
pub use context::{CallContext, ColumnSource, Effort, JqTime, Random, Store, Surroundings};
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
    ("jq", jq::FUNCTIONS),
    ("Date and time", time::FUNCTIONS),
    ("Compression", zip::FUNCTIONS),
    ("Codecs", codec::FUNCTIONS),
    ("Sparkplug B", sparkplug::FUNCTIONS),
    ("Hashes", hash::FUNCTIONS),
    ("Terms", term::FUNCTIONS),
    ("Process", process::FUNCTIONS),
];

/// Functions of the reference that are not there yet, so that `check` can say so.
pub static NOT_YET: &[&str] = &[
    "ai_completion",
    "avro_decode",
    "avro_encode",
    "schema_check",
    "schema_decode",
    "schema_decode_tagged",
    "schema_encode",
    "schema_encode_and_tag",
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

    /// The functions of the reference by name and numbers of arguments, beside `sprintf`, which takes any.
    const REFERENCE: &str = "\
        abs/1 acos/1 acosh/1 ascii/1 asin/1 asinh/1 atan/1 atanh/1 base64_decode/1,2,3 base64_encode/1,2,3 \
        bin2hexstr/1,2 bitand/2 bitnot/1 bitor/2 bitsize/1 bitsl/2 bitsr/2 bitxor/2 bool/1 bytesize/1 \
        ceil/1 clientid/0 clientip/0 coalesce/1,2 coalesce_ne/1,2 concat/1,2 contains/2 contains_topic/2,3 \
        contains_topic_match/2,3 cos/1 cosh/1 date_to_unix_ts/3,4 div/2 eq/2 exp/1 find/2,3 first/1 flag/1 \
        flags/0 float/1,2 float2str/2 floor/1 fmod/2 format_date/3,4 getenv/1 gunzip/1 gzip/1 hash/2 \
        hexstr2bin/1,2 int/1 is_array/1 is_bool/1 is_empty/1 is_float/1 is_int/1 is_map/1 is_not_null/1 \
        is_not_null_var/1 is_null/1 is_null_var/1 is_num/1 is_str/1 join_to_sql_values_string/1 \
        join_to_string/1,2 jq/2,3 json_decode/1 json_encode/1 kv_store_del/1 kv_store_get/1,2 \
        kv_store_put/2 last/1 length/1 log/1 log10/1 log2/1 lower/1 ltrim/1 map/1 map_get/2,3 map_keys/1 \
        map_new/0 map_put/3 map_size/1 map_to_entries/1 map_to_redis_hset_args/1 map_values/1 md5/1 \
        mget/2,3 mod/2 mongo_date/0,1,2 mput/3 msgid/0 now_rfc3339/0,1 now_timestamp/0,1 nth/2 null/0 \
        pad/2,3,4 payload/0,1 peerhost/0 power/2 proc_dict_del/1 proc_dict_get/1 proc_dict_put/2 qos/0 \
        random/0 regex_extract/2 regex_match/2 regex_replace/3 replace/3,4 reverse/1 rfc3339_to_unix_ts/1,2 \
        rm_prefix/2 round/1 rtrim/1,2 sha/1 sha256/1 sin/1 sinh/1 split/2,3 sprintf_s/2 \
        sqlserver_bin2hexstr/1 sqrt/1 str/1 str_utf16_le/1 str_utf8/1 strlen/1 subbits/2,3,4,5,6 \
        sublist/2,3 substr/2,3 tan/1 tanh/1 term_decode/1 term_encode/1 timezone_to_offset_seconds/1 \
        timezone_to_second/1 tokens/2,3 topic/0,1 trim/1 unescape/1 unix_ts_to_rfc3339/1,2 unzip/1 upper/1 \
        username/0 uuid_v4/0 uuid_v4_no_hyphen/0 zip/1 zip_compress/1 zip_uncompress/1 sparkplug_decode/1,2 \
        sparkplug_encode/1,2 spb_decode/1,2 spb_encode/1,2 spb_zip_kvs/1";

    #[test]
    fn every_function_of_the_reference_is_there_with_every_arity() {
        for entry in REFERENCE.split_whitespace() {
            let (name, arities) = entry.split_once('/').expect("a name and arities");
            let function = all()[find(name).unwrap_or_else(|| panic!("{name} is missing"))];
            for arity in arities.split(',').map(|arity| arity.parse::<usize>().expect("a number")) {
                let mut signatures = function.signatures.iter();
                let takes = signatures.any(|one| (one.required..=one.params.len()).contains(&arity));
                assert!(takes, "{name} does not take {arity} arguments");
            }
        }
    }
}
