//! What was counted, and what was promised.

use std::ops::AddAssign;
use std::time::Duration;

/// The head of the table.
pub(crate) const HEAD: &str = "\
| scenario | sent | acknowledged | delivered | doubled (at most) | lost (counted) | out of order | | took |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |";

/// What came of a scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    /// What publishers were acknowledged.
    pub(crate) acked: u64,
    /// Different messages at the far end.
    pub(crate) delivered: u64,
    /// Messages too many at the far end.
    pub(crate) doubled: u64,
    /// How many that may be: what was under way at each fault, and what publishers sent again themselves.
    pub(crate) doubled_max: u64,
    /// Messages that the server says it dropped.
    pub(crate) dropped: u64,
    /// First arrivals behind a later message of the same publisher and topic.
    pub(crate) disordered: u64,
    /// What else is worth knowing.
    pub(crate) notes: Vec<String>,
    /// Further promises that were not kept.
    pub(crate) broken: Vec<String>,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, more: Self) {
        self.sent += more.sent;
        self.acked += more.acked;
        self.delivered += more.delivered;
        self.doubled += more.doubled;
        self.doubled_max += more.doubled_max;
        self.dropped += more.dropped;
        self.disordered += more.disordered;
        self.notes.extend(more.notes);
        self.broken.extend(more.broken);
    }
}

impl Outcome {
    fn lost(&self) -> u64 {
        self.acked - self.delivered.min(self.acked)
    }

    /// Notes a promise, and whether it was kept.
    pub(crate) fn promise(&mut self, is_kept: bool, what: String) {
        if !is_kept {
            self.broken.push(what.clone());
        }
        self.notes.push(what);
    }

    /// Every promise that was not kept.
    pub(crate) fn broken(&self) -> Vec<String> {
        let mut broken = self.broken.clone();
        let mut check = |is_kept: bool, what: String| {
            if !is_kept {
                broken.push(what);
            }
        };
        check(self.acked == self.sent, format!("{} of {} are acknowledged", self.acked, self.sent));
        check(
            self.lost() == self.dropped,
            format!("{} are lost, and {} of them were counted", self.lost(), self.dropped),
        );
        check(self.disordered == 0, format!("{} came out of order", self.disordered));
        check(
            self.doubled <= self.doubled_max,
            format!("{} are doubled, {} at most", self.doubled, self.doubled_max),
        );
        broken
    }

    /// A line of the table.
    pub(crate) fn row(&self, name: &str, took: Duration) -> String {
        let Self { sent, acked, delivered, doubled, doubled_max, dropped, disordered, .. } = self;
        format!(
            "| `{name}` | {sent} | {acked} | {delivered} | {doubled} ({doubled_max}) | {} ({dropped}) | {disordered} | {} | \
             {:.0} s |",
            self.lost(),
            self.notes.join("; "),
            took.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_nobody_counted_is_a_broken_promise() {
        let good = Outcome {
            sent: 9,
            acked: 9,
            delivered: 7,
            dropped: 2,
            doubled: 3,
            doubled_max: 3,
            ..Outcome::default()
        };
        assert_eq!(good.broken(), [""; 0]);
        for bad in [
            Outcome { dropped: 1, ..good.clone() },
            Outcome { acked: 8, dropped: 1, ..good.clone() },
            Outcome { doubled: 4, ..good.clone() },
            Outcome { disordered: 1, ..good.clone() },
        ] {
            assert_eq!(bad.broken().len(), 1, "{bad:?}");
        }
        let mut noted = good;
        noted.promise(false, "it hurries".into());
        noted.promise(true, "it waits".into());
        assert_eq!(noted.broken(), ["it hurries"]);
        let row = noted.row("calm", Duration::from_secs(3));
        assert_eq!(row, "| `calm` | 9 | 9 | 7 | 3 (3) | 2 (2) | 0 | it hurries; it waits | 3 s |");
    }
}
