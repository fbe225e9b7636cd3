use crate::{TopicError, TopicFilter, split_levels};

/// A topic filter of an access rule, which may have `${clientid}` and `${username}` in it and may be meant literally.
///
/// A placeholder stands for a part of one level and never for more: a client that calls itself `a/#` gets nothing by it.
/// `%c` and `%u` mean the same. After `eq ` the wildcards stand for themselves: `eq #` is the filter `#` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPattern {
    is_literal: bool,
    levels: Vec<Template>,
}

/// One level of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Template {
    One,
    Rest,
    Text(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    ClientId,
    Username,
}

/// A pattern for one client: no placeholder is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundPattern {
    is_literal: bool,
    levels: Box<[Level]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    One,
    Rest,
    Text(Box<str>),
}

const PLACEHOLDERS: [(&str, Piece); 4] = [
    ("${clientid}", Piece::ClientId),
    ("${username}", Piece::Username),
    ("%c", Piece::ClientId),
    ("%u", Piece::Username),
];

impl AccessPattern {
    /// Reads a pattern. The error is that of the filter it would be with short names in its placeholders.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let (is_literal, text) = match text.strip_prefix("eq ") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let stand_in = PLACEHOLDERS.iter().fold(text.to_owned(), |text, (name, _)| text.replace(name, "x"));
        TopicFilter::parse(&stand_in)?;
        let template = |level: &str| match level {
            "+" if !is_literal => Template::One,
            "#" if !is_literal => Template::Rest,
            level => Template::Text(pieces(level)),
        };
        Ok(Self { is_literal, levels: split_levels(text).map(template).collect() })
    }

    /// The pattern for one client; `None`, which matches nothing, where it names a user and there is none.
    pub fn bind(&self, clientid: &str, username: Option<&str>) -> Option<BoundPattern> {
        let level = |template: &Template| {
            Some(match template {
                Template::One => Level::One,
                Template::Rest => Level::Rest,
                Template::Text(pieces) => {
                    let mut text = String::new();
                    for piece in pieces {
                        text.push_str(match piece {
                            Piece::Text(text) => text,
                            // A name with a slash or a wildcard is no level of any topic, so this matches nothing.
                            Piece::ClientId => plain(clientid)?,
                            Piece::Username => plain(username?)?,
                        });
                    }
                    Level::Text(text.into())
                }
            })
        };
        let levels = self.levels.iter().map(level).collect::<Option<_>>()?;
        Some(BoundPattern { is_literal: self.is_literal, levels })
    }
}

fn plain(name: &str) -> Option<&str> {
    (!name.bytes().any(|byte| matches!(byte, b'/' | b'+' | b'#'))).then_some(name)
}

fn pieces(level: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = level;
    loop {
        let next = PLACEHOLDERS
            .iter()
            .filter_map(|(name, piece)| rest.find(name).map(|at| (at, name.len(), piece)))
            .min_by_key(|(at, ..)| *at);
        let (text, after) = match next {
            Some((at, len, piece)) => (&rest[..at], Some((&rest[at + len..], piece))),
            None => (rest, None),
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(text.into()));
        }
        match after {
            Some((after, piece)) => {
                pieces.push(piece.clone());
                rest = after;
            }
            None => return pieces,
        }
    }
}

impl BoundPattern {
    /// Whether a message to `topic`, which has no wildcards, falls under it.
    pub fn matches(&self, topic: &str) -> bool {
        self.covers(topic)
    }

    /// Whether everything that `filter` matches falls under it; for a literal pattern, whether `filter` is it.
    pub fn covers(&self, filter: &str) -> bool {
        if self.is_literal {
            return self.is_text(filter);
        }
        if self.starts_with_wildcard() && filter.starts_with('$') {
            return false;
        }
        let mut asked = split_levels(filter);
        for (at, level) in self.levels.iter().enumerate() {
            match (level, asked.next()) {
                (Level::Rest, _) => return true,
                (_, None) | (Level::One, Some("#")) => return false,
                (Level::One, Some(_)) => {}
                (Level::Text(text), Some(name)) if **text == *name => {}
                (Level::Text(_), Some(_)) => return false,
            }
            let is_parent = matches!(self.levels.get(at + 1..), Some([Level::Rest]));
            if is_parent && asked.clone().next().is_none() {
                return true;
            }
        }
        asked.next().is_none()
    }

    /// Whether anything that `filter` matches falls under it; for a literal pattern, whether `filter` is it.
    pub fn overlaps(&self, filter: &str) -> bool {
        if self.is_literal {
            return self.is_text(filter);
        }
        let reserved = |text: &str| text.starts_with('$');
        let ours =
            self.levels.first().is_some_and(|level| matches!(level, Level::Text(text) if reserved(text)));
        if (self.starts_with_wildcard() && reserved(filter)) || (ours && filter.starts_with(['+', '#'])) {
            return false;
        }
        let mut asked = split_levels(filter);
        let mut levels = self.levels.iter();
        loop {
            match (levels.next(), asked.next()) {
                (Some(Level::Rest), _) | (_, Some("#")) | (None, None) => return true,
                (Some(Level::One), Some(_)) | (Some(Level::Text(_)), Some("+")) => {}
                (Some(Level::Text(text)), Some(name)) if **text == *name => {}
                (Some(_) | None, Some(_)) | (Some(_), None) => return false,
            }
        }
    }

    fn starts_with_wildcard(&self) -> bool {
        matches!(self.levels.first(), Some(Level::One | Level::Rest))
    }

    fn is_text(&self, filter: &str) -> bool {
        let mut asked = split_levels(filter);
        let same = |level: &Level| matches!((level, asked.next()), (Level::Text(text), Some(name)) if **text == *name);
        self.levels.iter().all(same) && asked.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matches;
    use proptest::prelude::*;

    fn bound(text: &str) -> BoundPattern {
        AccessPattern::parse(text).unwrap().bind("c1", Some("ann")).unwrap()
    }

    #[test]
    fn placeholders_are_one_level_and_never_wildcards() {
        let pattern = AccessPattern::parse("dev/${clientid}/u-%u/#").unwrap();
        assert!(pattern.bind("c1", Some("ann")).unwrap().matches("dev/c1/u-ann/x"));
        assert!(!pattern.bind("c1", Some("ann")).unwrap().matches("dev/c2/u-ann/x"));
        for (clientid, username) in [("c1", None), ("#", Some("u")), ("a/b", Some("u")), ("c", Some("+"))] {
            assert_eq!(pattern.bind(clientid, username), None);
        }
        assert_eq!(AccessPattern::parse("a/#/${clientid}"), Err(TopicError::MisplacedWildcard));
        assert_eq!(AccessPattern::parse(""), Err(TopicError::Empty));
    }

    #[test]
    fn literal_patterns_are_the_filter_itself() {
        let all = bound("eq #");
        assert!(all.covers("#") && all.overlaps("#") && !all.covers("a") && !all.overlaps("a/#"));
        assert!(bound("eq a/+/c1").covers("a/+/c1") && !bound("eq a/+/c1").covers("a/b/c1"));
        assert!(bound("eq a/b").matches("a/b"));
    }

    #[test]
    fn topics_of_the_server_need_to_be_named() {
        assert!(
            !bound("#").matches("$SYS/x") && !bound("#").covers("$SYS/#") && !bound("+/x").overlaps("$SYS/x")
        );
        assert!(!bound("$SYS/#").overlaps("#") && bound("$SYS/#").overlaps("$SYS/+"));
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![3 => "[ab]?", 1 => Just("+".to_owned())];
        (proptest::collection::vec(level, 1..4), proptest::bool::weighted(0.3)).prop_map(
            |(mut levels, rest)| {
                if rest {
                    levels.push("#".to_owned());
                }
                levels.join("/")
            },
        )
    }

    proptest! {
        /// Against every topic of up to four levels of two names and the empty one.
        #[test]
        fn covering_and_overlapping_are_what_they_say(pattern in filter(), asked in filter()) {
            prop_assume!(!pattern.is_empty() && !asked.is_empty());
            let bound = bound(&pattern);
            let names = ["a", "b", ""];
            let mut topics: Vec<String> = names.map(str::to_owned).to_vec();
            for _ in 0..4 {
                let deeper: Vec<String> =
                    topics.iter().flat_map(|topic| names.map(|name| format!("{topic}/{name}"))).collect();
                topics.extend(deeper);
                topics.sort();
                topics.dedup();
            }
            let asked_for: Vec<&String> = topics.iter().filter(|topic| matches(&asked, topic)).collect();
            let both = asked_for.iter().filter(|topic| matches(&pattern, topic)).count();
            prop_assert_eq!(bound.overlaps(&asked), both > 0);
            // `+` stands for more names than these, so what covers does so here, but not always the other way round.
            if bound.covers(&asked) {
                prop_assert_eq!(both, asked_for.len());
            }
            for topic in &topics {
                prop_assert_eq!(bound.matches(topic), matches(&pattern, topic));
            }
            prop_assert!(bound.covers(&pattern));
        }
    }
}
