use std::sync::Arc;

use crate::Properties;

/// What a message went through before it came here: the rules it has passed, latest first, and the bridges between
/// brokers it has crossed. By this a rule is kept from feeding itself, and a message from going round between brokers.
///
/// Shared, immutable, and empty for everything that came straight from a client.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    steps: Option<Arc<Step>>,
    hops: u8,
}

#[derive(Debug)]
struct Step {
    rule: Arc<str>,
    length: u32,
    before: Trail,
}

impl Trail {
    /// A message that has passed this many rules is not republished again, whatever the rules are.
    pub const LENGTH_MAX: u32 = 32;

    /// The MQTT 5 User Property that counts the bridges. A message has it from its second bridge on; the connection of a
    /// bridge says by the same name, in CONNECT, that it is one.
    pub const HOPS_PROPERTY: &str = "sluicegate-hops";

    /// The trail of what came from outside.
    pub const fn empty() -> Self {
        Trail { steps: None, hops: 0 }
    }

    /// The trail of a message that came over the network: over as many bridges as it says, and over one at least if
    /// whoever brought it is one.
    pub fn arrived(properties: Option<&Properties>, over_bridge: bool) -> Self {
        let said = properties.and_then(|properties| {
            let named = |(key, _): &&(String, String)| key == Self::HOPS_PROPERTY;
            properties.user.iter().find(named).map(|(_, count)| count.parse().unwrap_or(u8::MAX))
        });
        Trail { steps: None, hops: said.unwrap_or(0).max(u8::from(over_bridge)) }
    }

    /// The trail that a message had when it was stored: its rules, latest first, and its bridges.
    pub fn restored(rules: &[Arc<str>], hops: u8) -> Self {
        rules.iter().rev().fold(Trail { steps: None, hops }, |trail, rule| trail.with(rule))
    }

    /// This trail with one more rule at its end.
    #[must_use]
    pub fn with(&self, rule: &Arc<str>) -> Self {
        let step = Step { rule: Arc::clone(rule), length: self.len() + 1, before: self.clone() };
        Trail { steps: Some(Arc::new(step)), hops: self.hops }
    }

    /// The number of rules passed.
    pub fn len(&self) -> u32 {
        self.steps.as_ref().map_or(0, |step| step.length)
    }

    /// Whether no rule was passed.
    pub fn is_empty(&self) -> bool {
        self.steps.is_none()
    }

    /// The number of bridges crossed, as far as it is known.
    pub fn hops(&self) -> u8 {
        self.hops
    }

    /// The rules passed, latest first.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<str>> {
        let steps = std::iter::successors(self.steps.as_deref(), |step| step.before.steps.as_deref());
        steps.map(|step| &step.rule)
    }

    /// Whether the message has passed this rule before.
    pub fn contains(&self, rule: &str) -> bool {
        self.rules().any(|passed| **passed == *rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_every_rule() {
        let trail = Trail::empty().with(&"a".into()).with(&"b".into());
        assert!(trail.contains("a") && trail.contains("b") && !trail.contains("c"));
        assert_eq!(trail.len(), 2);
        let rules: Vec<Arc<str>> = trail.rules().cloned().collect();
        assert_eq!(rules, ["b".into(), "a".into()]);
        let restored = Trail::restored(&rules, 3);
        assert!(restored.rules().eq(trail.rules()) && restored.hops() == 3);
    }

    #[test]
    fn counts_bridges() {
        let saying = |count: &str| Properties {
            user: vec![("x".into(), "9".into()), (Trail::HOPS_PROPERTY.into(), count.into())],
            ..Properties::default()
        };
        let hops = |count, over_bridge| Trail::arrived(Some(&saying(count)), over_bridge).hops();
        assert_eq!((hops("0", false), hops("3", false), hops("3", true)), (0, 3, 3));
        assert_eq!(hops("many", false), u8::MAX, "what cannot be read is not trusted");
        assert_eq!((Trail::arrived(None, false).hops(), Trail::arrived(None, true).hops()), (0, 1));
        assert_eq!(Trail::arrived(None, true).with(&"a".into()).hops(), 1, "rules change nothing about it");
    }
}
