//! Regular expressions of jq programs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use fancy_regex::{Regex, RegexBuilder};
use jaq_core::{Error, ValR};

use super::heap::Entries;
use super::meter;
use super::natives::text;
use super::value::Val;

/// How many compiled patterns a thread keeps.
const KEPT_MAX: usize = 64;
/// How often a match may be tried anew from an earlier place.
const BACKTRACKS_MAX: usize = 100_000;
/// What compiling a pattern costs, in steps.
const COMPILE_STEPS: usize = 500;

thread_local! {
    // A memory of pure results, as patterns are nearly always constants of a program.
    static KEPT: RefCell<HashMap<(String, String), Rc<Regex>>> = RefCell::default();
}

/// Every match of a pattern in a string; with the flag `g` all of them, otherwise the first.
pub(super) fn matches(subject: &Val, pattern: &Val, flags: &Val) -> ValR<Val> {
    let (subject, pattern) = (text(subject)?, text(pattern)?);
    let flags = match flags {
        Val::Null => "",
        flags => text(flags)?,
    };
    let regex = compiled(pattern, flags)?;
    let most = if flags.contains('g') { usize::MAX } else { 1 };
    let names: Vec<Option<&str>> = regex.capture_names().collect();
    let mut places = Places { text: subject, byte: 0, character: 0 };
    let mut found = Vec::new();
    for captures in regex.captures_iter(subject).take(most) {
        // A match takes as long as it takes.
        meter::look_at_the_clock();
        let captures = captures
            .map_err(|_| Error::str(format_args!("the pattern {pattern} takes too long to match")))?;
        let Some(whole) = captures.get(0) else { continue };
        if flags.contains('n') && whole.as_str().is_empty() {
            continue;
        }
        let start = places.character_at(whole.start());
        let groups = names.iter().enumerate().skip(1).map(|(at, name)| {
            let group = captures.get(at).map(|group| (group.start(), group.as_str()));
            let name = name.map_or(Val::Null, Val::string);
            match group {
                // Groups may lie in any order, and are short.
                Some((byte, text)) => part(places.character_between(whole.start(), start, byte), text, name),
                None => missing(name),
            }
        });
        let groups = Val::array(groups.collect());
        found.push(whole_match(start, whole.as_str(), groups));
    }
    Ok(Val::array(found))
}

fn part(offset: usize, text: &str, name: Val) -> Val {
    Val::object(Entries::from_iter([
        ("offset".into(), Val::from(offset)),
        ("length".into(), Val::from(text.chars().count())),
        ("string".into(), Val::string(text)),
        ("name".into(), name),
    ]))
}

/// A group that took no part in the match.
fn missing(name: Val) -> Val {
    Val::object(Entries::from_iter([
        ("offset".into(), Val::Int(-1)),
        ("length".into(), Val::Int(0)),
        ("string".into(), Val::Null),
        ("name".into(), name),
    ]))
}

fn whole_match(offset: usize, text: &str, captures: Val) -> Val {
    Val::object(Entries::from_iter([
        ("offset".into(), Val::from(offset)),
        ("length".into(), Val::from(text.chars().count())),
        ("string".into(), Val::string(text)),
        ("captures".into(), captures),
    ]))
}

/// Counts characters on the way through a text, never going back.
struct Places<'t> {
    text: &'t str,
    byte: usize,
    character: usize,
}

impl Places<'_> {
    fn character_at(&mut self, byte: usize) -> usize {
        self.character += self.text[self.byte..byte].chars().count();
        self.byte = byte;
        self.character
    }

    /// The number of the character at `byte`, counted from one that is known.
    fn character_between(&self, known: usize, character: usize, byte: usize) -> usize {
        match byte.checked_sub(known) {
            Some(_) => character + self.text[known..byte].chars().count(),
            // In a look-behind.
            None => character - self.text[byte..known].chars().count(),
        }
    }
}

fn compiled(pattern: &str, flags: &str) -> ValR<Rc<Regex>, Val> {
    let key = (pattern.to_owned(), flags.to_owned());
    if let Some(regex) = KEPT.with_borrow(|kept| kept.get(&key).map(Rc::clone)) {
        return Ok(regex);
    }
    meter::work(COMPILE_STEPS);
    if let Some(unknown) = flags.chars().find(|flag| !"gimnpslx".contains(*flag)) {
        return Err(Error::str(format_args!("{unknown} is no flag of a regular expression")));
    }
    let has = |flag: char| flags.contains(flag);
    let mut builder = RegexBuilder::new(pattern);
    builder
        .case_insensitive(has('i'))
        .ignore_whitespace(has('x'))
        .dot_matches_new_line(has('s') || has('p'))
        .backtrack_limit(BACKTRACKS_MAX);
    let bad = |error| Error::str(format_args!("{pattern} is no regular expression: {error}"));
    let regex = Rc::new(builder.build().map_err(bad)?);
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, Rc::clone(&regex));
    });
    Ok(regex)
}
