use std::sync::Arc;

/// The rules a republished message has passed, latest first: how a rule is kept from feeding itself.
///
/// Shared, immutable, and empty for everything that came from outside.
#[derive(Debug, Clone, Default)]
pub struct Trail(Option<Arc<Step>>);

#[derive(Debug)]
struct Step {
    rule: Arc<str>,
    length: u32,
    before: Trail,
}

impl Trail {
    /// A message that has passed this many rules is not republished again, whatever the rules are.
    pub const LENGTH_MAX: u32 = 32;

    /// The trail of what came from outside.
    pub const fn empty() -> Self {
        Trail(None)
    }

    /// This trail with one more rule at its end.
    #[must_use]
    pub fn with(&self, rule: &Arc<str>) -> Self {
        Trail(Some(Arc::new(Step { rule: Arc::clone(rule), length: self.len() + 1, before: self.clone() })))
    }

    /// The number of rules passed.
    pub fn len(&self) -> u32 {
        self.0.as_ref().map_or(0, |step| step.length)
    }

    /// Whether it came from outside.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the message has passed this rule before.
    pub fn contains(&self, rule: &str) -> bool {
        let mut trail = self;
        while let Some(step) = &trail.0 {
            if *step.rule == *rule {
                return true;
            }
            trail = &step.before;
        }
        false
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
    }
}
