//! Which filters a set of topics may meet, without looking at all of them.

use std::collections::HashMap;

use crate::loops::topics::{Level, Topics, overlap};

/// The filters that rules listen to, each once: a trie of their levels, so that a topic of which the first levels are known
/// is held only against what begins with the same.
#[derive(Default)]
pub(super) struct Ears<'s> {
    filters: Vec<Vec<Topics>>,
    numbers: HashMap<&'s str, usize>,
    root: Node<'s>,
    /// What was asked before: many rules publish to the same topics.
    known: HashMap<Vec<Topics>, Vec<usize>>,
    tried: usize,
}

#[derive(Default)]
struct Node<'s> {
    children: HashMap<&'s [u8], Node<'s>>,
    plus: Option<Box<Node<'s>>>,
    /// Filters that end here, and those that end in `#` below here.
    here: Vec<usize>,
}

/// Filters that are held against topics at most, over all rules. What may print anything has to be held against all of
/// them; a warning must not take minutes, so what comes after that is not looked at.
const TRIED_MAX: usize = 20_000_000;

impl<'s> Ears<'s> {
    /// The number of a filter.
    pub(super) fn number(&mut self, filter: &'s str) -> usize {
        if let Some(number) = self.numbers.get(filter) {
            return *number;
        }
        let number = self.filters.len();
        self.filters.push(Topics::of_filter(filter));
        self.numbers.insert(filter, number);
        let plain = match filter.strip_prefix("$share/").and_then(|shared| shared.split_once('/')) {
            Some((_, plain)) => plain,
            None => filter,
        };
        let mut node = &mut self.root;
        for level in plain.split('/') {
            node = match level {
                "#" => break,
                "+" => node.plus.get_or_insert_default(),
                text => node.children.entry(text.as_bytes()).or_default(),
            };
        }
        node.here.push(number);
        number
    }

    /// How many filters there are.
    pub(super) fn len(&self) -> usize {
        self.filters.len()
    }

    /// What a filter matches.
    pub(super) fn topics(&self, number: usize) -> &[Topics] {
        &self.filters[number]
    }

    /// The numbers of the filters that match some topic of these sets, ascending.
    pub(super) fn hearing(&mut self, published: &[Topics]) -> Vec<usize> {
        if let Some(known) = self.known.get(published) {
            return known.clone();
        }
        let mut near = Vec::new();
        for topics in published {
            let levels: Vec<Level> = topics.levels().collect();
            self.root.near(&levels, &mut near);
        }
        near.sort_unstable();
        near.dedup();
        near.truncate(TRIED_MAX.saturating_sub(self.tried));
        self.tried += near.len();
        near.retain(|number| overlap(published, &self.filters[*number]));
        self.known.insert(published.to_vec(), near.clone());
        near
    }
}

impl Node<'_> {
    /// Collects what may match, for all that is known here.
    fn near(&self, levels: &[Level], near: &mut Vec<usize>) {
        near.extend(&self.here);
        let Some((level, rest)) = levels.split_first() else { return };
        match level {
            Level::Text(text) => {
                let children = self.children.get(text.as_slice()).into_iter().chain(self.plus.as_deref());
                children.for_each(|child| child.near(rest, near));
            }
            Level::Any => self.below().for_each(|child| child.near(rest, near)),
            Level::Unknown => self.below().for_each(|child| child.all(near)),
        }
    }

    fn all(&self, near: &mut Vec<usize>) {
        near.extend(&self.here);
        self.below().for_each(|child| child.all(near));
    }

    fn below(&self) -> impl Iterator<Item = &Self> {
        self.children.values().chain(self.plus.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use template::Template;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_holding_against_each_finds(
            filters in proptest::collection::vec("[$a-b+]?(/[ab+]?){0,3}(/#)?|#", 1..20),
            heard in "[a-b+]?(/[ab+]?){0,2}(/#)?",
            template in "([ab$]|\\$\\{topic\\}|\\$\\{x\\})?(/([ab]?|\\$\\{x\\}|\\$\\{topic\\})){0,3}",
        ) {
            let mut ears = Ears::default();
            let numbers: Vec<usize> = filters.iter().map(|filter| ears.number(filter)).collect();
            let inputs = Topics::of_filter(&heard);
            let (template, _) = Template::parse(&template);
            let published = Topics::of_template(&template, &inputs.iter().collect::<Vec<_>>());
            let mut naive: Vec<usize> =
                numbers.into_iter().filter(|number| overlap(&published, ears.topics(*number))).collect();
            naive.sort_unstable();
            naive.dedup();
            prop_assert_eq!(ears.hearing(&published), naive.clone());
            prop_assert_eq!(ears.hearing(&published), naive, "and again");
        }
    }
}
