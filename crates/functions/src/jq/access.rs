//! How jq reads and changes what is inside of values: what its interpreter asks of a value type.

use std::ops::Range;
use std::rc::Rc;

use jaq_core::box_iter::{BoxIter, box_once};
use jaq_core::path::Opt;
use jaq_core::{Error, Exn, ValR, ValX};

use super::heap::{Entries, Heap};
use super::meter;
use super::ops::put;
use super::value::Val;

fn not_iterable(value: Val) -> Error<Val> {
    Error::typ(value, "array or object")
}

/// The elements of something as an iterator that counts them.
fn counted<T>(items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    items.inspect(|_| meter::work(1))
}

impl jaq_core::ValT for Val {
    fn from_num(text: &str) -> ValR<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if let Ok(int) = text.parse() {
            return Ok(Val::Int(int));
        }
        match text.parse::<f64>() {
            Ok(_) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Val::Big(text.into())),
            Ok(float) => Ok(Val::number(float)),
            Err(_) => Err(Error::str("not a number")),
        }
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(entries: I) -> ValR<Self> {
        let entries = entries.into_iter().map(|(key, item)| match key {
            Val::Str(key) => Ok((key.get().as_str().into(), item)),
            key => Err(Error::str(format_args!("object keys must be strings, not {key}"))),
        });
        Ok(Val::object(entries.collect::<Result<Entries, Error<Val>>>()?))
    }

    fn key_values(self) -> BoxIter<'static, ValR<(Self, Self), Self>> {
        match self {
            Val::Arr(items) => {
                let items = Heap::into_inner(items).into_iter().enumerate();
                Box::new(counted(items).map(|(at, item)| Ok((Val::from(at), item))))
            }
            Val::Obj(entries) => {
                let entries = Heap::into_inner(entries).into_iter();
                Box::new(counted(entries).map(|(key, item)| Ok((Val::string(&*key), item))))
            }
            value => box_once(Err(not_iterable(value))),
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR<Self>>> {
        match self {
            Val::Arr(items) => Box::new(counted(Heap::into_inner(items).into_iter()).map(Ok)),
            Val::Obj(entries) => {
                Box::new(counted(Heap::into_inner(entries).into_iter()).map(|(_, item)| Ok(item)))
            }
            value => box_once(Err(not_iterable(value))),
        }
    }

    fn index(self, index: &Self) -> ValR<Self> {
        match (&self, index) {
            (Val::Null, Val::Null | Val::Str(_) | Val::Int(_) | Val::Float(_) | Val::Obj(_)) => {
                // Nothing but null can be read from for ever.
                meter::chain();
                Ok(Val::Null)
            }
            (Val::Obj(entries), Val::Str(key)) => {
                Ok(entries.get().get(key.get().as_str()).cloned().unwrap_or_default())
            }
            (Val::Arr(items), Val::Int(_) | Val::Float(_)) => Ok(place(index, items.get().len())
                .and_then(|at| items.get().get(at).cloned())
                .unwrap_or_default()),
            (Val::Arr(_), Val::Arr(part)) => Ok(match part.get().is_empty() {
                true => Val::Null,
                false => self.places_of(index),
            }),
            (Val::Arr(_) | Val::Str(_), Val::Obj(slice)) => {
                let (start, end) = bounds(slice);
                self.range(start.as_ref()..end.as_ref())
            }
            _ => Err(Error::index(self, index.clone())),
        }
    }

    fn range(self, range: Range<Option<&Self>>) -> ValR<Self> {
        match &self {
            Val::Null => Ok(Val::Null),
            Val::Arr(items) => {
                let (from, to) = cut(&range, items.get().len())?;
                meter::room_for((to - from) * size_of::<Val>());
                Ok(Val::array(items.get()[from..to].to_vec()))
            }
            Val::Str(text) => {
                let text = text.get();
                meter::work(text.len() / 16);
                let (from, to) = cut(&range, text.chars().count())?;
                Ok(Val::string(text.chars().skip(from).take(to - from).collect::<String>()))
            }
            _ => Err(Error::index(self, Val::from(range.start.cloned()..range.end.cloned()))),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        opt: Opt,
        change: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        match self {
            Val::Arr(items) => counted(Heap::into_inner(items).into_iter()).flat_map(change).collect(),
            Val::Obj(entries) => {
                let entries = counted(Heap::into_inner(entries).into_iter());
                let changed =
                    entries.filter_map(|(key, item)| change(item).next().map(|item| Ok((key, item?))));
                Ok(Val::object(changed.collect::<Result<Entries, Exn<'a, Self>>>()?))
            }
            value => opt.fail(value, |value| Exn::from(not_iterable(value))),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        index: &Self,
        opt: Opt,
        change: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        match (self, index) {
            (value @ (Val::Null | Val::Arr(_)), Val::Obj(slice)) => {
                let (start, end) = bounds(slice);
                value.map_range(start.as_ref()..end.as_ref(), opt, change)
            }
            (Val::Null, Val::Str(_)) => change_entry(Heap::new(Entries::new()), index, true, change),
            (Val::Obj(entries), Val::Str(_)) => change_entry(entries, index, false, change),
            (Val::Null, Val::Int(_) | Val::Float(_)) => {
                change_item(Heap::new(Vec::new()), index, opt, change)
            }
            (Val::Arr(items), Val::Int(_) | Val::Float(_)) => change_item(items, index, opt, change),
            (value, index) => opt.fail(value, |value| Exn::from(Error::index(value, index.clone()))),
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: Range<Option<&Self>>,
        opt: Opt,
        change: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        let mut items = match self {
            Val::Null => Vec::new(),
            Val::Arr(items) => Heap::into_inner(items),
            value => return opt.fail(value, |value| Exn::from(Error::typ(value, "array"))),
        };
        let (from, to) = match cut(&range, items.len()) {
            Ok(cut) => cut,
            Err(error) => return opt.fail(Val::array(items), |_| Exn::from(error)),
        };
        let new = match change(Val::array(items[from..to].to_vec())).next().transpose()? {
            None => Vec::new(),
            Some(Val::Arr(new)) => Heap::into_inner(new),
            Some(value) => return Err(Exn::from(Error::typ(value, "array"))),
        };
        meter::work(items.len() / 4);
        items.splice(from..to, new);
        Ok(Val::array(items))
    }

    fn as_bool(&self) -> bool {
        !matches!(self, Val::Null | Val::Bool(false))
    }

    fn into_string(self) -> Self {
        match self {
            Val::Str(_) => self,
            value => Val::string(value.to_json()),
        }
    }
}

/// The place that an index names, which may be behind the end; `None` before the start.
fn place(index: &Val, length: usize) -> Option<usize> {
    let index = index.float()?.floor();
    let at = if index < 0.0 { index + length as f64 } else { index };
    (at >= 0.0).then_some(at as usize)
}

/// The bounds of a slice as it stands in a path.
fn bounds(slice: &Heap<Entries>) -> (Option<Val>, Option<Val>) {
    (slice.get().get("start").cloned(), slice.get().get("end").cloned())
}

/// The places from which and up to which a slice reaches.
fn cut(range: &Range<Option<&Val>>, length: usize) -> ValR<(usize, usize), Val> {
    let bound = |value: Option<&Val>, default: usize, round: fn(f64) -> f64| match value {
        None | Some(Val::Null) => Ok(default),
        Some(value) => match value.float() {
            Some(float) => {
                let at = if float < 0.0 { float + length as f64 } else { float };
                // A cast of what is too large, or negative, saturates.
                Ok((round(at) as usize).min(length))
            }
            None => Err(Error::typ(value.clone(), "number")),
        },
    };
    let from = bound(range.start, 0, f64::floor)?;
    let to = bound(range.end, length, f64::ceil)?;
    Ok((from, to.max(from)))
}

fn change_entry<'a, I: Iterator<Item = ValX<'a, Val>>>(
    mut entries: Rc<Heap<Entries>>,
    index: &Val,
    was_null: bool,
    change: impl Fn(Val) -> I,
) -> ValX<'a, Val> {
    let Val::Str(key) = index else { return Err(Exn::from(Error::index(Val::Obj(entries), index.clone()))) };
    let key = key.get().as_str();
    let own = Heap::make_mut(&mut entries);
    // It is taken out while it changes, so that it can change in place.
    let known =
        own.value_mut().get_full_mut(key).map(|(_, key, item)| (Rc::clone(key), std::mem::take(item)));
    let is_new = known.is_none();
    let (key, before) = known.unwrap_or_else(|| (key.into(), Val::Null));
    let size = before.size();
    match change(before).next().transpose()? {
        Some(item) if is_new => put(own, key, item),
        Some(item) => {
            let measures = (item.size(), item.depth());
            own.value_mut().insert(key, item);
            own.changed(size, measures);
        }
        None if is_new && was_null => return Ok(Val::Null),
        None => {
            meter::work(own.get().len() / 4);
            own.value_mut().shift_remove(&key);
            own.measure();
        }
    }
    Ok(Val::Obj(entries))
}

fn change_item<'a, I: Iterator<Item = ValX<'a, Val>>>(
    mut items: Rc<Heap<Vec<Val>>>,
    index: &Val,
    opt: Opt,
    change: impl Fn(Val) -> I,
) -> ValX<'a, Val> {
    let Some(at) = place(index, items.get().len()) else {
        let error = Error::str("an index before the start of an array cannot be set");
        return opt.fail(Val::Arr(items), |_| Exn::from(error));
    };
    let own = Heap::make_mut(&mut items);
    let length = own.get().len();
    let before = own.value_mut().get_mut(at).map(std::mem::take).unwrap_or_default();
    let size = before.size();
    match change(before).next().transpose()? {
        Some(item) if at >= length => {
            let bytes = at.saturating_add(1).saturating_mul(size_of::<Val>());
            meter::room_for(bytes);
            if bytes > meter::SIZE_MAX {
                meter::stop(meter::Bound::Size);
            }
            own.value_mut().resize(at, Val::Null);
            own.value_mut().push(item);
            own.measure();
        }
        Some(item) => {
            let measures = (item.size(), item.depth());
            own.value_mut()[at] = item;
            own.changed(size, measures);
        }
        None if at >= length => {}
        None => {
            own.value_mut().remove(at);
            own.measure();
        }
    }
    Ok(Val::Arr(items))
}

impl Val {
    /// Where a part occurs in a string or an array, an element in an array: the places from 0.
    pub(super) fn places_of(&self, part: &Val) -> Val {
        match (self, part) {
            (Val::Str(text), Val::Str(part)) if !part.get().is_empty() => {
                let (text, part) = (text.get(), part.get());
                meter::work(text.len() / 4);
                let starts = text.char_indices().enumerate();
                let found = starts.filter(|(_, (byte, _))| text[*byte..].starts_with(part.as_str()));
                found.map(|(at, _)| Val::from(at)).collect()
            }
            (Val::Arr(items), Val::Arr(part)) if !part.get().is_empty() => {
                let windows = items.get().windows(part.get().len()).enumerate();
                windows.filter(|(_, window)| *window == part.get()).map(|(at, _)| Val::from(at)).collect()
            }
            (Val::Arr(items), part) if !matches!(part, Val::Arr(_)) => {
                let items = items.get().iter().enumerate();
                items.filter(|(_, item)| *item == part).map(|(at, _)| Val::from(at)).collect()
            }
            _ => Val::Null,
        }
    }
}

impl jaq_std::ValT for Val {
    fn into_seq<S: FromIterator<Self>>(self) -> Result<S, Self> {
        match self {
            Val::Arr(items) => {
                let items = Heap::into_inner(items);
                meter::work(items.len());
                Ok(items.into_iter().collect())
            }
            value => Err(value),
        }
    }

    fn is_int(&self) -> bool {
        matches!(self, Val::Int(_) | Val::Big(_))
    }

    fn as_isize(&self) -> Option<isize> {
        match self {
            Val::Int(int) => isize::try_from(*int).ok(),
            _ => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        self.float()
    }

    fn is_utf8_str(&self) -> bool {
        matches!(self, Val::Str(_))
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Val::Str(text) => {
                meter::work(text.get().len() / 16);
                Some(text.get().as_bytes())
            }
            _ => None,
        }
    }

    fn as_sub_str(&self, sub: &[u8]) -> Self {
        Val::string(String::from_utf8_lossy(sub))
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        Val::string(String::from_utf8_lossy(bytes.as_ref()))
    }
}
