use super::{Outline, WIDTH};
use crate::json::cursor::plain_end;
use crate::json::name::{Name, head_at};
use crate::json::{Place, RawString};

impl<'a> Outline<'a> {
    /// Visits those entries of an object whose keys are among `wanted`, in their order, doubled ones included; none of
    /// other values.
    ///
    /// What is not wanted is passed over by the marks: no key but those is looked at closely, and no value. Gives the place
    /// behind the object, if that has come out.
    #[inline(always)]
    pub fn find<T: Copy>(
        &self,
        place: Place,
        wanted: &[(Name, T)],
        mut visit: impl FnMut(T, Place),
    ) -> Option<usize> {
        if self.document().first_byte(place) != b'{' {
            return None;
        }
        if self.escaped_keys {
            self.find_escaped(place, wanted, &mut visit);
            return None;
        }
        // Most look for one name: that one stays in registers.
        match wanted {
            [only] => {
                self.find_by(place, |key, head| only.0.is_at(self.bytes, key, head).then_some(only), visit)
            }
            _ => {
                let find = |key, head| wanted.iter().find(|(name, _)| name.is_at(self.bytes, key, head));
                self.find_by(place, find, visit)
            }
        }
    }

    /// Goes through the keys of an object; `find` says which of the wanted ones begins at a place, given its first bytes.
    #[inline(always)]
    fn find_by<'w, T: Copy + 'w>(
        &self,
        place: Place,
        find: impl Fn(usize, u64) -> Option<&'w (Name, T)>,
        mut visit: impl FnMut(T, Place),
    ) -> Option<usize> {
        let depth = place.depth + 1;
        let mut at = place.start as usize + 1;
        while let Some(marks) = self.marks.get(at / WIDTH) {
            let base = at & !(WIDTH - 1);
            let ahead = !0 << (at % WIDTH);
            let brackets = marks.brackets & ahead;
            let nearest = brackets & brackets.wrapping_neg();
            // Up to the next bracket; where there is none in the block, this is all of them.
            let mut keys = marks.keys & ahead & nearest.wrapping_sub(1);
            while keys != 0 {
                let key = base + keys.trailing_zeros() as usize + 1;
                keys &= keys - 1;
                if let Some((name, it)) = find(key, head_at(self.bytes, key)) {
                    let start = value_behind(self.bytes, key + name.text().len() + 1);
                    visit(*it, Place { start: start as u32, depth });
                }
            }
            let bracket = base + brackets.trailing_zeros() as usize;
            at = match nearest {
                // Behind this block, where such a bracket would stand.
                0 => bracket,
                _ if marks.ends & nearest != 0 => return Some(bracket + 1),
                _ => self.behind(bracket, depth),
            };
        }
        None
    }

    /// The same where keys may have escapes.
    #[cold]
    fn find_escaped<T: Copy>(&self, place: Place, wanted: &[(Name, T)], visit: &mut impl FnMut(T, Place)) {
        for (key, value) in self.entries(place) {
            if let Some((_, it)) = wanted.iter().find(|(name, _)| key.is(name.text())) {
                visit(*it, value);
            }
        }
    }

    /// The entries of an object, doubled keys included; nothing for other values.
    #[inline]
    pub fn entries(&self, place: Place) -> Entries<'_, 'a> {
        Entries(self.inside(place, b'{'))
    }

    /// The elements of an array; nothing for other values.
    #[inline]
    pub fn items(&self, place: Place) -> Items<'_, 'a> {
        Items(self.inside(place, b'['))
    }

    #[inline]
    fn inside(&self, place: Place, bracket: u8) -> Inside<'_, 'a> {
        let more = self.document().first_byte(place) == bracket;
        let mut inside = Inside { outline: self, at: 0, depth: place.depth + 1, more };
        if more {
            inside.at = after_space(self.bytes, place.start as usize + 1);
            inside.more = self.bytes.get(inside.at) != Some(&(bracket + 2));
        }
        inside
    }
}

/// The first place from `at` on that is no white space. The document has been checked: nothing else is below a blank.
#[inline(always)]
fn after_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|byte| *byte <= b' ') {
        at += 1;
    }
    at
}

/// The value of an entry, given the place behind the key's quote.
#[inline(always)]
fn value_behind(bytes: &[u8], at: usize) -> usize {
    after_space(bytes, after_space(bytes, at) + 1)
}

/// The way through one array or object. The document has been checked, so nothing is checked again.
#[derive(Debug, Clone)]
struct Inside<'o, 'a> {
    outline: &'o Outline<'a>,
    /// The next key or value.
    at: usize,
    /// How many arrays and objects the values stand in.
    depth: u32,
    more: bool,
}

impl<'a> Inside<'_, 'a> {
    /// Takes the key that comes next, and its colon.
    fn key(&mut self) -> RawString<'a> {
        let bytes = self.outline.bytes;
        let start = self.at + 1;
        let mut end = plain_end(bytes, start);
        while bytes.get(end) == Some(&b'\\') {
            end = plain_end(bytes, end + 2);
        }
        self.at = value_behind(bytes, end + 1);
        RawString { raw: &bytes[start..end], escaped: true }
    }

    /// Takes the value that comes next, and the comma behind it.
    #[inline(always)]
    fn value(&mut self) -> Place {
        let place = self.place();
        self.pass(None);
        place
    }

    #[inline(always)]
    fn place(&self) -> Place {
        Place { start: self.at as u32, depth: self.depth }
    }

    /// Passes over the value that comes next, and the comma behind it. The place behind the value may be known.
    #[inline(always)]
    fn pass(&mut self, behind: Option<usize>) {
        let outline = self.outline;
        let behind = behind.unwrap_or_else(|| match outline.document().first_byte(self.place()) {
            b'{' | b'[' => outline.behind(self.at, self.depth),
            _ => self.at,
        });
        let end = outline.end_from(behind);
        self.more = outline.bytes.get(end) == Some(&b',');
        self.at = after_space(outline.bytes, end + 1);
    }
}

/// The entries of an object.
#[derive(Debug, Clone)]
pub struct Entries<'o, 'a>(Inside<'o, 'a>);

impl<'a> Iterator for Entries<'_, 'a> {
    type Item = (RawString<'a>, Place);

    fn next(&mut self) -> Option<Self::Item> {
        if !self.0.more {
            return None;
        }
        let key = self.0.key();
        Some((key, self.0.value()))
    }
}

/// The elements of an array.
#[derive(Debug, Clone)]
pub struct Items<'o, 'a>(Inside<'o, 'a>);

impl Items<'_, '_> {
    /// The element that comes next, which stays where it is.
    #[inline]
    pub fn peek(&self) -> Option<Place> {
        self.0.more.then(|| self.0.place())
    }

    /// Passes over the element that comes next; there must be one. Whoever knows the place behind it may say so.
    #[inline]
    pub fn pass(&mut self, behind: Option<usize>) {
        self.0.pass(behind);
    }
}

impl Iterator for Items<'_, '_> {
    type Item = Place;

    #[inline]
    fn next(&mut self) -> Option<Place> {
        if self.0.more { Some(self.0.value()) } else { None }
    }
}
