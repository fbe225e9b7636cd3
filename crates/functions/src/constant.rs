//! What can be known of a constant before anything runs: programs and patterns that cannot be compiled, words that are
//! none of those that a function knows.

use crate::{hash, jq, regex, time};

/// What is wrong with a text, to be read on after its name; nothing if it will do.
type Check = fn(&[u8]) -> Result<(), String>;

/// Functions, the place of an argument counted from 0, and the check of constants there.
const CHECKS: &[(&str, usize, Check)] = &[
    ("date_to_unix_ts", 0, time::check_unit),
    ("format_date", 0, time::check_unit),
    ("hash", 0, hash::check_algorithm),
    ("jq", 0, jq::check_program),
    ("mongo_date", 1, time::check_unit),
    ("now_rfc3339", 0, time::check_unit),
    ("now_timestamp", 0, time::check_unit),
    ("regex_extract", 1, regex::check_pattern),
    ("regex_match", 1, regex::check_pattern),
    ("regex_replace", 1, regex::check_pattern),
    ("rfc3339_to_unix_ts", 1, time::check_unit),
    ("unix_ts_to_rfc3339", 1, time::check_unit),
];

/// Whether a constant string can ever be right as argument `arg` of a function, counted from 0; if not, why, in words
/// that read on after "argument 1".
pub fn check_constant(function: &str, arg: usize, text: &[u8]) -> Result<(), String> {
    let check = CHECKS.iter().find(|(name, at, _)| *name == function && *at == arg);
    check.map_or(Ok(()), |(_, _, check)| check(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_of_functions_that_are_there() {
        for (name, at, check) in CHECKS {
            let function = crate::all()[crate::find(name).expect("a function")];
            assert!(function.signatures.iter().any(|signature| *at < signature.params.len()), "{name}");
            assert!(check(b"(((").is_err(), "{name}");
        }
        assert_eq!(check_constant("lower", 0, b"((("), Ok(()));
        assert_eq!(check_constant("regex_match", 1, b"^a+$"), Ok(()));
        assert_eq!(check_constant("jq", 0, b".a"), Ok(()));
        assert_eq!(check_constant("jq", 1, b"((("), Ok(()));
    }
}
