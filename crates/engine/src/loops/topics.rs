//! Sets of topics: what a filter matches, and what a template may print.

use template::{Piece, Template};

/// Whether some topic is in one of each.
pub(super) fn overlap(one: &[Topics], other: &[Topics]) -> bool {
    one.iter().any(|one| other.iter().any(|other| one.meets(other)))
}

/// A set of topics: byte by byte, with gaps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Topics {
    parts: Vec<Part>,
}

/// A level of a set of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Level {
    Text(Vec<u8>),
    /// One level, whatever it says.
    Any,
    /// Part of a level, or several.
    Unknown {
        /// How it begins, as far as that is known.
        start: Vec<u8>,
        /// Whether any text may follow that, more levels among it; otherwise only such as has no `/`.
        is_text: bool,
        /// Whether nothing follows that.
        is_last: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Byte(u8),
    /// Any text without `/`.
    Level,
    /// Any text.
    Anything,
}

impl Topics {
    /// Placeholders that are filled with more inputs than this may be anything.
    const INPUTS_MAX: usize = 16;

    fn new(parts: Vec<Part>) -> Self {
        Self { parts }
    }

    /// The levels, as far as they are known; what begins with one that is not may be anything.
    pub(super) fn levels(&self) -> impl Iterator<Item = Level> + '_ {
        self.parts.split(|part| *part == Part::Byte(b'/')).map(|level| {
            let bytes = level.iter().map_while(|part| match part {
                Part::Byte(byte) => Some(*byte),
                Part::Level | Part::Anything => None,
            });
            let start: Vec<u8> = bytes.collect();
            match &level[start.len()..] {
                [] => Level::Text(start),
                [Part::Level] if start.is_empty() => Level::Any,
                [first, rest @ ..] => {
                    Level::Unknown { start, is_text: *first == Part::Anything, is_last: rest.is_empty() }
                }
            }
        })
    }

    /// What a filter matches: `a/#` is `a` and everything below.
    pub(super) fn of_filter(filter: &str) -> Vec<Topics> {
        let plain = match topic::Subscription::parse(filter) {
            Ok(subscription) => subscription.filter.as_str().to_owned(),
            Err(_) => return Vec::new(),
        };
        let part = |byte| if byte == b'+' { Part::Level } else { Part::Byte(byte) };
        let parts = |text: &str| text.bytes().map(part).collect::<Vec<_>>();
        match plain.strip_suffix('#') {
            None => vec![Topics::new(parts(&plain))],
            Some(above) => {
                let below = parts(above).into_iter().chain([Part::Anything]).collect();
                let itself = above.strip_suffix('/').map(|above| Topics::new(parts(above)));
                itself.into_iter().chain([Topics::new(below)]).collect()
            }
        }
    }

    /// What a template may print, given the topics of what the rule hears.
    pub(super) fn of_template(template: &Template, inputs: &[Topics]) -> Vec<Topics> {
        let is_topic = |piece: &Piece<'_>| matches!(piece, Piece::Name("topic"));
        let filled = template.pieces().filter(is_topic).count() == 1 && inputs.len() <= Self::INPUTS_MAX;
        let anything = Topics::new(vec![Part::Anything]);
        let choices = if filled { inputs } else { std::slice::from_ref(&anything) };
        let with = |choice: &Topics| {
            let mut parts = Vec::new();
            for piece in template.pieces() {
                match piece {
                    Piece::Text(text) => parts.extend(text.bytes().map(Part::Byte)),
                    Piece::Name("topic") => parts.extend(&choice.parts),
                    Piece::Name(_) | Piece::Other => parts.push(Part::Anything),
                }
            }
            Topics::new(parts)
        };
        choices.iter().map(with).collect()
    }

    /// Whether some topic is in both.
    pub(super) fn meets(&self, other: &Topics) -> bool {
        let (one, two) = (&self.parts, &other.parts);
        // A wildcard in front matches nothing that begins with a dollar sign (MQTT 5.0 §4.7.2).
        if let (Some(Part::Byte(b'$')), Some(Part::Level | Part::Anything))
        | (Some(Part::Level | Part::Anything), Some(Part::Byte(b'$'))) = (one.first(), two.first())
        {
            return false;
        }
        // Most differ before the first gap, which takes no table.
        let bytes = one.iter().zip(two).take_while(|pair| matches!(pair, (Part::Byte(_), Part::Byte(_))));
        let start = bytes.clone().count();
        if bytes.into_iter().any(|(a, b)| a != b) {
            return false;
        }
        let (one, two) = (&one[start..], &two[start..]);
        let width = two.len() + 1;
        let mut seen = vec![false; (one.len() + 1) * width];
        let mut open = vec![(0, 0)];
        while let Some((i, j)) = open.pop() {
            if std::mem::replace(&mut seen[i * width + j], true) {
                continue;
            }
            let (a, b) = (one.get(i).copied(), two.get(j).copied());
            let gap = |part: Option<Part>| matches!(part, Some(Part::Level | Part::Anything));
            match (a, b) {
                (None, None) => return true,
                // A gap may be empty, and may take what the other has.
                _ if gap(a) || gap(b) => {
                    if gap(a) {
                        open.push((i + 1, j));
                    }
                    if gap(b) {
                        open.push((i, j + 1));
                    }
                    let takes = |gap: Part, other: Part| gap == Part::Anything || other != Part::Byte(b'/');
                    if let (Some(a), Some(Part::Byte(_))) = (a, b)
                        && takes(a, two[j])
                    {
                        open.push((i, j + 1));
                    }
                    if let (Some(Part::Byte(_)), Some(b)) = (a, b)
                        && takes(b, one[i])
                    {
                        open.push((i + 1, j));
                    }
                }
                (Some(a), Some(b)) if a == b => open.push((i + 1, j + 1)),
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(template: &str, heard: &str, filter: &str) -> bool {
        let (template, diagnostics) = Template::parse(template);
        assert!(diagnostics.is_empty());
        let inputs = Topics::of_filter(heard);
        let published = Topics::of_template(&template, &inputs);
        overlap(&published, &Topics::of_filter(filter))
    }

    #[test]
    fn topics_meet_where_some_topic_is_both() {
        for (template, heard, filter) in [
            ("a/b", "x", "a/+"),
            ("a/b", "x", "#"),
            ("a", "x", "a/#"),
            ("a/${id}", "x", "a/b/c"),
            ("${topic}", "a/+", "a/b"),
            ("sub/${topic}", "#", "sub/#"),
            ("${a}/x/${b}", "x", "+/x/#"),
            ("a/${x}", "x", "$share/g/a/+"),
            ("p${x}q/r", "x", "+/r"),
        ] {
            assert!(meet(template, heard, filter), "{template} from {heard}, {filter}");
        }
        for (template, heard, filter) in [
            ("a/b", "x", "a/b/+"),
            ("alarm/${clientid}", "x", "temp_hum/#"),
            ("sub/${topic}", "t/#", "t/#"),
            ("plant/${line}/sensor/${id}", "plant/+/batch", "plant/+/batch"),
            ("a//b", "x", "a/+"),
            ("${x}", "x", "$SYS/#"),
            ("$x/y", "x", "+/y"),
            ("p${x}/a", "x", "q/+"),
        ] {
            assert!(!meet(template, heard, filter), "{template} from {heard}, {filter}");
        }
    }
}
