//! The filters that are not written in jq: those of the interpreter's library that touch nothing outside of the
//! program, and our own in place of the others.

use jaq_core::box_iter::{BoxIter, box_once};
use jaq_core::native::{Filter, Fun, bome, run, unary, v};
use jaq_core::{Cv, Error, Exn, Native, RunPtr, ValR, ValX};
use jaq_std::ValT as _;

use super::interpreter::Jq;
use super::meter;
use super::regex;
use super::value::Val;

/// The interpreter's own filters that we do not take: they see the environment or the clock, write to the log, take time
/// that nobody counts, or are stricter than jq.
const NOT_TAKEN: &[&str] = &[
    "debug_empty",
    "env",
    "escape_html",
    "jn",
    "localtime",
    "ltrimstr",
    "matches",
    "now",
    "range",
    "rtrimstr",
    "split_",
    "split_matches",
    "stderr_empty",
    "strflocaltime",
    "yn",
];

/// The name under which every function that takes functions counts its calls; no program can spell it.
pub(super) const CALLED: &str = "!called";

/// Every native filter that a program can call.
pub(super) fn all() -> impl Iterator<Item = Fun<Jq>> {
    let others = jaq_core::funs().chain(jaq_std::funs());
    let others = others.filter(|(name, _, _)| !NOT_TAKEN.contains(name));
    let called = Native::new(|cv: Cv<'_, Jq>| {
        meter::chain();
        box_once(Ok(cv.1))
    })
    .with_paths(|cv| {
        meter::chain();
        box_once(Ok(cv.1))
    })
    .with_update(|cv, change| {
        meter::chain();
        change(cv.1)
    });
    others.chain(own().into_iter().map(|own| run::<Jq>(own))).chain([(CALLED, v(0), called)])
}

fn own() -> Vec<Filter<RunPtr<Jq>>> {
    vec![
        ("type", v(0), |cv| bome(Ok(Val::string(cv.1.kind())))),
        ("length", v(0), |cv| bome(length(&cv.1))),
        ("nan", v(0), |_| bome(Ok(Val::Float(f64::NAN)))),
        ("infinite", v(0), |_| bome(Ok(Val::Float(f64::INFINITY)))),
        ("isnan", v(0), |cv| match cv.1.float() {
            Some(float) => bome(Ok(Val::Bool(float.is_nan()))),
            None => bome(Err(Error::typ(cv.1, "number"))),
        }),
        ("tojson", v(0), |cv| bome(Ok(Val::string(cv.1.to_json())))),
        ("fromjson", v(0), |cv| bome(from_json(&cv.1))),
        ("tonumber", v(0), |cv| bome(to_number(cv.1))),
        ("now", v(0), |cv| bome(Ok(Val::Float(cv.0.data().now())))),
        ("range", v(3), range),
        ("contains", v(1), |cv| unary(cv, |value, part| contains(&value, &part).map(Val::Bool))),
        ("has", v(1), |cv| unary(cv, |value, key| has(&value, &key))),
        ("indices", v(1), |cv| unary(cv, |value, part| Ok(value.places_of(&part)))),
        ("bsearch", v(1), |cv| unary(cv, |value, wanted| search(value, &wanted))),
        ("ltrimstr", v(1), |cv| {
            unary(cv, |value, part| Ok(trimmed(value, &part, |text, part| text.strip_prefix(part))))
        }),
        ("rtrimstr", v(1), |cv| {
            unary(cv, |value, part| Ok(trimmed(value, &part, |text, part| text.strip_suffix(part))))
        }),
        ("delpaths", v(1), |cv| unary(cv, delete_paths)),
        ("escape_html", v(0), |cv| bome(text(&cv.1).map(|text| Val::string(escape_html(text))))),
        ("matches", v(2), |mut cv| {
            let flags = cv.0.pop_var();
            let pattern = cv.0.pop_var();
            bome(regex::matches(&cv.1, &pattern, &flags))
        }),
    ]
}

pub(super) fn text(value: &Val) -> ValR<&str, Val> {
    match value {
        Val::Str(text) => {
            meter::work(text.get().len() / 16);
            Ok(text.get())
        }
        value => Err(Error::typ(value.clone(), "string")),
    }
}

fn length(value: &Val) -> ValR<Val> {
    Ok(match value {
        Val::Null => Val::Int(0),
        Val::Bool(_) => return Err(Error::str(format_args!("{value} has no length"))),
        Val::Int(int) => int.checked_abs().map_or_else(|| Val::number((*int as f64).abs()), Val::Int),
        Val::Float(_) | Val::Big(_) => Val::number(value.float().unwrap_or_default().abs()),
        Val::Str(_) => Val::from(text(value)?.chars().count()),
        Val::Arr(items) => Val::from(items.get().len()),
        Val::Obj(entries) => Val::from(entries.get().len()),
    })
}

fn from_json(value: &Val) -> ValR<Val> {
    Val::parse(text(value)?.as_bytes()).map_err(|error| Error::str(format_args!("{value} is {error}")))
}

fn to_number(value: Val) -> ValR<Val> {
    match &value {
        Val::Int(_) | Val::Big(_) | Val::Float(_) => Ok(value),
        Val::Str(_) => {
            let digits = text(&value)?.trim();
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
            let number = plain.then(|| <Val as jaq_core::ValT>::from_num(digits).ok()).flatten();
            number.ok_or_else(|| Error::str(format_args!("{value} cannot be parsed as a number")))
        }
        _ => Err(Error::str(format_args!("{value} cannot be parsed as a number"))),
    }
}

fn range<'a>(mut cv: Cv<'a, Jq>) -> BoxIter<'a, ValX<'a, Val>> {
    /// What every number costs: they are made faster than anything else.
    const STEPS: usize = 4;
    let (by, to, from) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
    let (Some(step), Some(_), Some(_)) = (by.float(), to.float(), from.float()) else {
        return bome(Err(Error::str("range needs numbers")));
    };
    let mut next = Some(from);
    Box::new(std::iter::from_fn(move || {
        meter::work(STEPS);
        let now = next.take()?;
        let inside = if step > 0.0 { now < to } else { step < 0.0 && now > to };
        if inside {
            next = (now.clone() + by.clone()).ok();
        }
        inside.then_some(Ok(now))
    }))
}

fn contains(value: &Val, part: &Val) -> ValR<bool, Val> {
    meter::step();
    Ok(match (value, part) {
        (Val::Str(value), Val::Str(part)) => {
            meter::work(value.get().len() / 16);
            value.get().contains(part.get().as_str())
        }
        (Val::Arr(items), Val::Arr(parts)) => parts.get().iter().all(|part| {
            let mut items = items.get().iter();
            items.any(|item| item.kind() == part.kind() && contains(item, part).unwrap_or(false))
        }),
        (Val::Obj(entries), Val::Obj(parts)) => parts.get().iter().all(|(key, part)| {
            let item = entries.get().get(key);
            item.is_some_and(|item| item.kind() == part.kind() && contains(item, part).unwrap_or(false))
        }),
        (value, part) if value.kind() == part.kind() => value == part,
        (value, part) => {
            return Err(Error::str(format_args!(
                "{} ({value}) and {} ({part}) cannot have their containment checked",
                value.kind(),
                part.kind()
            )));
        }
    })
}

fn has(value: &Val, key: &Val) -> ValR<Val> {
    match (value, key) {
        (Val::Obj(entries), Val::Str(key)) => Ok(Val::Bool(entries.get().contains_key(key.get().as_str()))),
        (Val::Arr(items), key) if key.float().is_some() => {
            let at = key.float().unwrap_or(f64::NAN);
            Ok(Val::Bool(at >= 0.0 && at < items.get().len() as f64))
        }
        _ => Err(Error::str(format_args!("cannot check whether {} has the key {key}", value.kind()))),
    }
}

fn search(value: Val, wanted: &Val) -> ValR<Val> {
    match &value {
        Val::Arr(items) => Ok(match items.get().binary_search(wanted) {
            Ok(at) => Val::from(at),
            // Where it would stand, counted back from -1.
            Err(at) => Val::Int(-1 - i64::try_from(at).unwrap_or(i64::MAX - 1)),
        }),
        _ => Err(Error::typ(value, "array")),
    }
}

/// A string without a part at one end; anything else as it is.
fn trimmed(value: Val, part: &Val, strip: for<'t> fn(&'t str, &str) -> Option<&'t str>) -> Val {
    match (&value, part) {
        (Val::Str(text), Val::Str(part)) => match strip(text.get(), part.get()) {
            Some(rest) => Val::string(rest),
            None => value,
        },
        _ => value,
    }
}

/// A value without what the paths lead to: the last first, so that places in arrays stay what they were.
fn delete_paths(value: Val, paths: Val) -> ValR<Val> {
    let mut paths: Vec<Val> = paths.into_seq().map_err(|value| Error::typ(value, "array"))?;
    paths.sort_by(|left, right| right.cmp(left));
    paths.into_iter().try_fold(value, |value, path| {
        let path: Vec<Val> = path.into_seq().map_err(|value| Error::typ(value, "array"))?;
        delete(value, &path)
    })
}

fn delete(value: Val, path: &[Val]) -> ValR<Val> {
    use jaq_core::ValT as _;
    meter::step();
    let Some((first, rest)) = path.split_first() else { return Ok(Val::Null) };
    let inner = match &value {
        Val::Null => return Ok(Val::Null),
        value => value.clone().index(first)?,
    };
    if !rest.is_empty() && matches!(inner, Val::Null) {
        return Ok(value);
    }
    let opt = jaq_core::path::Opt::Essential;
    let changed = value.map_index(first, opt, |_| {
        let changed =
            if rest.is_empty() { None } else { Some(delete(inner.clone(), rest).map_err(Exn::from)) };
        changed.into_iter()
    });
    changed.map_err(|exception| exception.get_err().unwrap_or_else(|_| Error::str("cannot delete that")))
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}
