use std::fmt;
use std::sync::Arc;

/// The longest topic or filter (bytes of UTF-8).
pub const BYTES_MAX: usize = 65_535;

/// The deepest filter (levels). A topic name may be deeper: what lies below is matched by `#` alone.
pub const LEVELS_MAX: usize = 128;

/// Why a text is no topic name or no topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It has no character.
    #[error("a topic has at least one character")]
    Empty,
    /// It has more than [`BYTES_MAX`] bytes.
    #[error("a topic has at most {BYTES_MAX} bytes")]
    TooLong,
    /// It has more than [`LEVELS_MAX`] levels.
    #[error("a topic filter has at most {LEVELS_MAX} levels")]
    TooDeep,
    /// It is not UTF-8.
    #[error("a topic is UTF-8")]
    NotUtf8,
    /// It has a NUL character.
    #[error("a topic has no NUL character")]
    Nul,
    /// A topic name has `+` or `#`.
    #[error("a topic name has no wildcards")]
    Wildcard,
    /// `#` stands elsewhere than as the whole last level, or `+` does not fill its level.
    #[error("`+` must fill its level, and `#` must be the whole last level")]
    MisplacedWildcard,
    /// `$share/` is not followed by a group and a filter, or the group has a wildcard.
    #[error("a shared subscription is `$share/GROUP/FILTER`, with no wildcard in the group")]
    BadShare,
}

/// The name that a message is published to: no wildcards, no NUL, 1 to [`BYTES_MAX`] bytes of UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks a name.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        if text.len() > BYTES_MAX {
            return Err(TopicError::TooLong);
        }
        match text.bytes().find(|byte| matches!(byte, 0 | b'+' | b'#')) {
            None => Ok(Self(text)),
            Some(0) => Err(TopicError::Nul),
            Some(_) => Err(TopicError::Wildcard),
        }
    }

    /// Checks a name that came as bytes.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, TopicError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| TopicError::NotUtf8)?)
    }

    /// The text.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether it belongs to the server (`$SYS/…`): no filter that starts with a wildcard matches it.
    pub fn is_reserved(self) -> bool {
        self.0.starts_with('$')
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

/// A pattern of topic names: `+` for one level, a final `#` for any number, 1 to [`BYTES_MAX`] bytes of UTF-8, at
/// most [`LEVELS_MAX`] levels. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter(Arc<str>);

impl TopicFilter {
    /// Checks a filter. `$share/…` is not taken apart here: see [`Subscription`].
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        if text.len() > BYTES_MAX {
            return Err(TopicError::TooLong);
        }
        let mut levels = 0;
        let mut ended = false;
        for level in split_levels(text) {
            let wildcard = level.bytes().any(|byte| matches!(byte, b'+' | b'#'));
            if ended || (wildcard && level != "+" && level != "#") {
                return Err(TopicError::MisplacedWildcard);
            }
            if level.bytes().any(|byte| byte == 0) {
                return Err(TopicError::Nul);
            }
            ended = level == "#";
            levels += 1;
        }
        if levels > LEVELS_MAX {
            return Err(TopicError::TooDeep);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `topic` falls under this filter: see [`matches()`].
    pub fn matches(&self, topic: TopicName<'_>) -> bool {
        matches(&self.0, topic.0)
    }

    /// Whether it matches more than one name.
    pub fn has_wildcard(&self) -> bool {
        self.0.bytes().any(|byte| matches!(byte, b'+' | b'#'))
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What a SUBSCRIBE asks for: a filter, alone or shared by a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subscription {
    /// The group that takes turns: `g` of `$share/g/f`, `$queue` of `$queue/f`.
    pub share: Option<Arc<str>>,
    /// What is matched.
    pub filter: TopicFilter,
}

impl Subscription {
    /// The group of `$queue/f`, which is `$share/$queue/f` in short.
    pub const QUEUE: &'static str = "$queue";

    /// Takes `$share/GROUP/FILTER`, `$queue/FILTER` or a plain filter apart (MQTT 5.0 §4.8.2).
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        if text.len() > BYTES_MAX {
            return Err(TopicError::TooLong);
        }
        let shared = |group: &str, filter: &str| {
            if filter.is_empty() {
                return Err(TopicError::BadShare);
            }
            Ok(Self { share: Some(group.into()), filter: TopicFilter::parse(filter)? })
        };
        if let Some(rest) = text.strip_prefix("$share/") {
            let (group, filter) = rest.split_once('/').ok_or(TopicError::BadShare)?;
            if group.is_empty() || group.bytes().any(|byte| matches!(byte, 0 | b'+' | b'#')) {
                return Err(TopicError::BadShare);
            }
            return shared(group, filter);
        }
        if let Some(filter) = text.strip_prefix("$queue/") {
            return shared(Self::QUEUE, filter);
        }
        Ok(Self { share: None, filter: TopicFilter::parse(text)? })
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.share.as_deref() {
            None => write!(out, "{}", self.filter),
            Some(Self::QUEUE) => write!(out, "{}/{}", Self::QUEUE, self.filter),
            Some(group) => write!(out, "$share/{group}/{}", self.filter),
        }
    }
}

/// The levels of a name or filter: what stands between its slashes, empty levels included.
pub fn split_levels(text: &str) -> std::str::Split<'_, char> {
    text.split('/')
}

/// Whether `topic` falls under `filter` (MQTT 5.0 §4.7).
///
/// `a/#` also matches `a`; a filter that starts with a wildcard never matches a topic that starts with `$`. Total:
/// wildcards that stand where [`TopicFilter::parse`] refuses them match themselves. O(bytes), no allocation.
pub fn matches(filter: &str, topic: &str) -> bool {
    matches_bytes(filter.as_bytes(), topic.as_bytes())
}

/// [`matches()`] for text that need not be UTF-8.
pub fn matches_bytes(filter: &[u8], topic: &[u8]) -> bool {
    if topic.first() == Some(&b'$') && matches!(filter.first(), Some(b'+' | b'#')) {
        return false;
    }
    // Both are followed level by level.
    let (mut filter, mut topic) = (filter, topic);
    loop {
        (filter, topic) = match filter {
            b"#" => return true,
            [b'+'] | [b'+', b'/', ..] => {
                let name = topic.iter().position(|byte| *byte == b'/').unwrap_or(topic.len());
                (&filter[1..], &topic[name..])
            }
            _ => {
                let pairs = filter.iter().zip(topic);
                let same = pairs.take_while(|(level, name)| level == name && **level != b'/').count();
                (&filter[same..], &topic[same..])
            }
        };
        match (filter, topic) {
            ([], []) | (b"/#", []) => return true,
            ([b'/', level @ ..], [b'/', name @ ..]) => (filter, topic) = (level, name),
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_filters_are_checked() {
        assert_eq!(TopicName::parse(""), Err(TopicError::Empty));
        assert_eq!(TopicName::parse("a/+"), Err(TopicError::Wildcard));
        assert_eq!(TopicName::parse("a\0"), Err(TopicError::Nul));
        assert_eq!(TopicName::parse(&"a".repeat(65_536)), Err(TopicError::TooLong));
        assert_eq!(TopicName::from_bytes(b"\xff"), Err(TopicError::NotUtf8));
        for good in ["/", "a b/ä", "$SYS/x", "//"] {
            assert!(TopicName::parse(good).is_ok() && TopicFilter::parse(good).is_ok(), "{good}");
        }
        for good in ["#", "+", "+/+", "/+", "a/#", "+/#", "a/+/b"] {
            assert!(TopicFilter::parse(good).is_ok(), "{good}");
        }
        for bad in ["a#", "a/#/b", "#/", "a+", "+a/b", "a/b+", "##", "++"] {
            assert_eq!(TopicFilter::parse(bad), Err(TopicError::MisplacedWildcard), "{bad}");
        }
        assert_eq!(TopicFilter::parse("a/\0"), Err(TopicError::Nul));
        assert_eq!(TopicFilter::parse(&"/".repeat(LEVELS_MAX)), Err(TopicError::TooDeep));
        assert!(TopicFilter::parse(&"/".repeat(LEVELS_MAX - 1)).is_ok());
    }

    #[test]
    fn subscriptions_are_taken_apart() {
        let shown = |text| {
            let Subscription { share, filter } = Subscription::parse(text)?;
            Ok((share.as_deref().map(str::to_owned), filter.to_string()))
        };
        assert_eq!(shown("a/#"), Ok((None, "a/#".into())));
        assert_eq!(shown("$share/g/a/+"), Ok((Some("g".into()), "a/+".into())));
        assert_eq!(shown("$share/g//a"), Ok((Some("g".into()), "/a".into())));
        assert_eq!(shown("$queue/a"), Ok((Some("$queue".into()), "a".into())));
        assert_eq!(shown("$shared/g/a"), Ok((None, "$shared/g/a".into())));
        for bad in ["$share/g", "$share//a", "$share/g/", "$share/g+/a", "$queue/", "$share/"] {
            assert_eq!(shown(bad), Err(TopicError::BadShare), "{bad}");
        }
    }

    #[test]
    fn the_examples_of_the_specification_hold() {
        for (filter, yes, no) in [
            (
                "sport/tennis/player1/#",
                &["sport/tennis/player1", "sport/tennis/player1/a/b"][..],
                &["sport/tennis"][..],
            ),
            ("sport/#", &["sport", "sport/"], &["sports"]),
            ("#", &["a", "/", "a/b"], &["$SYS", "$SYS/a"]),
            ("sport/tennis/+", &["sport/tennis/p", "sport/tennis/"], &["sport/tennis/p/r", "sport/tennis"]),
            ("sport/+", &["sport/"], &["sport"]),
            ("+/+", &["/finance"], &["finance", "a/b/c"]),
            ("/+", &["/finance"], &["finance"]),
            ("+", &["finance"], &["/finance", "$SYS"]),
            ("+/monitor/Clients", &["x/monitor/Clients"], &["$SYS/monitor/Clients"]),
            ("$SYS/#", &["$SYS/a", "$SYS"], &["a"]),
            ("$SYS/monitor/+", &["$SYS/monitor/Clients"], &["x/monitor/Clients"]),
            ("+/#", &["a", "a/b"], &["$a"]),
            ("a", &["a"], &["A", "a/", "/a"]),
        ] {
            for topic in yes {
                assert!(matches(filter, topic), "{filter} {topic}");
            }
            for topic in no {
                assert!(!matches(filter, topic), "{filter} {topic}");
            }
        }
    }
}
