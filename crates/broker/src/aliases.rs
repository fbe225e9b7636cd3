use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Topic aliases that we give to what goes to one client, as many as it takes (MQTT 5.0 §3.3.2.3.4).
///
/// A topic gets one when it is first sent. When all are given, one that was not used for a whole round goes to a new
/// topic; as long as all of them are in use, new topics go without.
#[derive(Debug)]
pub(crate) struct TopicAliases {
    max: usize,
    by_topic: FxHashMap<Arc<str>, u16>,
    slots: Vec<Slot>,
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    topic: Arc<str>,
    is_used: bool,
}

/// How the topic of one PUBLISH is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alias {
    /// In full.
    None,
    /// By the alias alone, which the client knows.
    Known(u16),
    /// In full, with the alias that stands for it from now on: [`TopicAliases::given`] must follow once it is sent.
    New(u16),
}

/// Aliases for one client at the most, whatever it takes: more topics than this have little use of it.
const ALIASES_MAX: usize = 256;

impl TopicAliases {
    /// `max` is the client's Topic Alias Maximum.
    pub(crate) fn new(max: u16) -> Self {
        let max = usize::from(max).min(ALIASES_MAX);
        Self { max, by_topic: FxHashMap::default(), slots: Vec::new(), hand: 0 }
    }

    /// How `topic` is to be written.
    pub(crate) fn of(&mut self, topic: &str) -> Alias {
        if self.max == 0 {
            return Alias::None;
        }
        if let Some(alias) = self.by_topic.get(topic) {
            self.slots[usize::from(*alias) - 1].is_used = true;
            return Alias::Known(*alias);
        }
        if self.slots.len() < self.max {
            return Alias::New(self.slots.len() as u16 + 1);
        }
        self.hand = (self.hand + 1) % self.max;
        if std::mem::take(&mut self.slots[self.hand].is_used) {
            Alias::None
        } else {
            Alias::New(self.hand as u16 + 1)
        }
    }

    /// A PUBLISH has told the client that `alias` is `topic`.
    pub(crate) fn given(&mut self, alias: u16, topic: &Arc<str>) {
        let place = usize::from(alias) - 1;
        let slot = Slot { topic: Arc::clone(topic), is_used: false };
        match self.slots.get_mut(place) {
            Some(there) => {
                self.by_topic.remove(&std::mem::replace(there, slot).topic);
            }
            None => self.slots.push(slot),
        }
        self.by_topic.insert(Arc::clone(topic), alias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What the client makes of it is always the topic that was meant.
        #[test]
        fn the_client_reads_the_topic_that_was_meant(
            max in 0u16..5,
            sent in proptest::collection::vec((0u8..8, proptest::bool::weighted(0.9)), 0..200),
        ) {
            let mut aliases = TopicAliases::new(max);
            let mut client: FxHashMap<u16, String> = FxHashMap::default();
            for (topic, arrives) in sent {
                let topic: Arc<str> = format!("t/{topic}").into();
                match aliases.of(&topic) {
                    Alias::None => {}
                    Alias::Known(alias) => prop_assert_eq!(client.get(&alias).map(String::as_str), Some(&*topic)),
                    Alias::New(alias) => {
                        prop_assert!((1..=max).contains(&alias));
                        if arrives {
                            client.insert(alias, topic.to_string());
                            aliases.given(alias, &topic);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_topic_that_is_out_of_use_makes_room() {
        let mut aliases = TopicAliases::new(1);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        assert_eq!(aliases.of(&a), Alias::New(1));
        aliases.given(1, &a);
        assert_eq!(aliases.of(&a), Alias::Known(1));
        assert_eq!(aliases.of(&b), Alias::None, "a was used in this round");
        assert_eq!(aliases.of(&b), Alias::New(1));
        aliases.given(1, &b);
        assert_eq!((aliases.of(&b), aliases.of(&a)), (Alias::Known(1), Alias::None));
    }
}
