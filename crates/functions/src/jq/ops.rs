//! How jq computes with values: arithmetic as its manual says, numbers as floats wherever an integer will not do.

use std::ops::{Add, Div, Mul, Neg, Range, Rem, Sub};
use std::rc::Rc;

use jaq_core::ops::Math;
use jaq_core::{Error, ValR};

use super::heap::{ENTRY_BYTES, Entries, Heap};
use super::meter;
use super::value::Val;

impl From<bool> for Val {
    fn from(value: bool) -> Self {
        Val::Bool(value)
    }
}

impl From<isize> for Val {
    fn from(int: isize) -> Self {
        i64::try_from(int).map_or_else(|_| Val::number(int as f64), Val::Int)
    }
}

impl From<usize> for Val {
    fn from(int: usize) -> Self {
        i64::try_from(int).map_or_else(|_| Val::number(int as f64), Val::Int)
    }
}

impl From<f64> for Val {
    fn from(float: f64) -> Self {
        Val::number(float)
    }
}

impl From<String> for Val {
    fn from(text: String) -> Self {
        Val::string(text)
    }
}

impl From<Range<Option<Val>>> for Val {
    /// A slice as it stands in a path.
    fn from(range: Range<Option<Val>>) -> Self {
        let end = |value: Option<Val>| value.unwrap_or_default();
        Val::object(Entries::from_iter([("start".into(), end(range.start)), ("end".into(), end(range.end))]))
    }
}

impl FromIterator<Val> for Val {
    fn from_iter<I: IntoIterator<Item = Val>>(items: I) -> Self {
        let mut list = Vec::new();
        for item in items {
            meter::work(1);
            if list.len() == list.capacity() {
                meter::room_for(list.len() * 3 * size_of::<Val>());
            }
            list.push(item);
        }
        Val::array(list)
    }
}

fn numbers(left: &Val, right: &Val) -> Option<(f64, f64)> {
    left.float().zip(right.float())
}

impl Add for Val {
    type Output = ValR<Val>;

    fn add(self, right: Val) -> ValR<Val> {
        Ok(match (self, right) {
            (Val::Null, other) | (other, Val::Null) => other,
            (Val::Int(left), Val::Int(right)) => match left.checked_add(right) {
                Some(sum) => Val::Int(sum),
                None => Val::number(left as f64 + right as f64),
            },
            (Val::Str(mut left), Val::Str(right)) => {
                let added = right.get().len();
                meter::room_for(left.get().len() + added);
                let own = Heap::make_mut(&mut left);
                own.value_mut().push_str(right.get());
                own.grown(added, added, 0);
                Val::Str(left)
            }
            (Val::Arr(mut left), Val::Arr(right)) => {
                let added = right.get().len();
                meter::room_for((left.get().len() + added) * size_of::<Val>());
                meter::work(added);
                let own = Heap::make_mut(&mut left);
                own.value_mut().extend(right.get().iter().cloned());
                own.grown(added * size_of::<Val>(), right.size(), right.depth().saturating_sub(1));
                Val::Arr(left)
            }
            (Val::Obj(mut left), Val::Obj(right)) => {
                let own = Heap::make_mut(&mut left);
                for (key, item) in right.get() {
                    put(own, Rc::clone(key), item.clone());
                }
                Val::Obj(left)
            }
            (left, right) => match numbers(&left, &right) {
                Some((left, right)) => Val::number(left + right),
                None => return Err(Error::math(left, Math::Add, right)),
            },
        })
    }
}

/// Puts an entry into an object that is ours alone.
pub(super) fn put(object: &mut Heap<Entries>, key: Rc<str>, item: Val) {
    meter::work(1);
    let (size, depth, length) = (item.size(), item.depth(), key.len());
    match object.value_mut().insert(key, item) {
        Some(before) => object.changed(before.size(), (size, depth)),
        None => object.grown(length + ENTRY_BYTES, size + length, depth),
    }
}

impl Sub for Val {
    type Output = ValR<Val>;

    fn sub(self, right: Val) -> ValR<Val> {
        match (self, right) {
            (Val::Int(left), Val::Int(right)) => Ok(match left.checked_sub(right) {
                Some(difference) => Val::Int(difference),
                None => Val::number(left as f64 - right as f64),
            }),
            (Val::Arr(left), Val::Arr(right)) => {
                let mut taken: Vec<&Val> = right.get().iter().collect();
                taken.sort_unstable();
                let kept =
                    Heap::into_inner(left).into_iter().filter(|item| taken.binary_search(&item).is_err());
                Ok(kept.collect())
            }
            (left, right) => match numbers(&left, &right) {
                Some((left, right)) => Ok(Val::number(left - right)),
                None => Err(Error::math(left, Math::Sub, right)),
            },
        }
    }
}

impl Mul for Val {
    type Output = ValR<Val>;

    fn mul(self, right: Val) -> ValR<Val> {
        match (self, right) {
            (Val::Int(left), Val::Int(right)) => Ok(match left.checked_mul(right) {
                Some(product) => Val::Int(product),
                None => Val::number(left as f64 * right as f64),
            }),
            (Val::Obj(left), Val::Obj(right)) => Ok(Val::Obj(merged(left, &right))),
            (Val::Str(text), times) if times.float().is_some() => Ok(repeated(text.get(), &times)),
            (times, Val::Str(text)) if times.float().is_some() => Ok(repeated(text.get(), &times)),
            (left, right) => match numbers(&left, &right) {
                Some((left, right)) => Ok(Val::number(left * right)),
                None => Err(Error::math(left, Math::Mul, right)),
            },
        }
    }
}

/// A string so often; null for no time at all.
fn repeated(text: &str, times: &Val) -> Val {
    let times = times.float().unwrap_or_default();
    if times.is_nan() || times <= 0.0 {
        return Val::Null;
    }
    let times = (times as usize).max(1);
    let bytes = text.len().saturating_mul(times);
    meter::room_for(bytes);
    if bytes > meter::SIZE_MAX {
        meter::stop(meter::Bound::Size);
    }
    // An empty string is as long however often it stands there.
    Val::string(text.repeat(times.min(bytes)))
}

/// Objects put into one another; what is an object on both sides is merged in turn.
fn merged(mut left: Rc<Heap<Entries>>, right: &Heap<Entries>) -> Rc<Heap<Entries>> {
    let own = Heap::make_mut(&mut left);
    for (key, item) in right.get() {
        let item = match (own.get().get(key), item) {
            (Some(Val::Obj(before)), Val::Obj(item)) => Val::Obj(merged(Rc::clone(before), item)),
            (_, item) => item.clone(),
        };
        put(own, Rc::clone(key), item);
    }
    left
}

impl Div for Val {
    type Output = ValR<Val>;

    fn div(self, right: Val) -> ValR<Val> {
        match (&self, &right) {
            (Val::Str(text), Val::Str(separator)) => Ok(split(text.get(), separator.get())),
            (Val::Int(left), Val::Int(right)) if *right != 0 && left.checked_rem(*right) == Some(0) => {
                Ok(Val::Int(left / right))
            }
            _ => match numbers(&self, &right) {
                Some((left, divisor)) if divisor != 0.0 => Ok(Val::number(left / divisor)),
                _ => Err(Error::math(self, Math::Div, right)),
            },
        }
    }
}

/// The parts of a string between separators; its characters where the separator is empty.
fn split(text: &str, separator: &str) -> Val {
    meter::work(text.len() / 16);
    if text.is_empty() {
        return Val::array(Vec::new());
    }
    match separator {
        "" => text.chars().map(Val::string).collect(),
        separator => text.split(separator).map(Val::string).collect(),
    }
}

impl Rem for Val {
    type Output = ValR<Val>;

    fn rem(self, right: Val) -> ValR<Val> {
        let int = |value: &Val| match value {
            Val::Int(int) => Some(*int),
            value => value.float().map(|float| float as i64),
        };
        match int(&self).zip(int(&right)) {
            Some((left, divisor)) if divisor != 0 => Ok(Val::Int(left.checked_rem(divisor).unwrap_or(0))),
            _ => Err(Error::math(self, Math::Rem, right)),
        }
    }
}

impl Neg for Val {
    type Output = ValR<Val>;

    fn neg(self) -> ValR<Val> {
        match self {
            Val::Int(int) => Ok(int.checked_neg().map_or_else(|| Val::number(-(int as f64)), Val::Int)),
            value => match value.float() {
                Some(float) => Ok(Val::number(-float)),
                None => Err(Error::typ(value, "number")),
            },
        }
    }
}
