//! What a panic in a rule or an action leaves to be done: it is a mistake of ours, and costs no message but its own, and that
//! only where it came up.

use connector::Row;
use event::{Completion, Event};
use supervise::Panic;

use crate::counts::Lane;
use crate::rule::{Binding, Rule, Scratch, Step, Surroundings};

impl Rule {
    /// Its evaluation broke off: it has judged the event, as any other that fails.
    #[cold]
    pub(crate) fn broke_off(&self, panic: &Panic, event: &Event<'_>, lane: Lane) {
        self.metrics.counts.of(lane).failed_exception.add_one();
        self.tell(event, format_args!("the rule broke off in a panic, and gave nothing: {panic}"));
    }

    /// An action broke off. Its row is dealt with as one that it can never send: it becomes a dead letter where others would.
    #[cold]
    pub(crate) fn action_broke_off(
        &self,
        action: &Binding,
        panic: &Panic,
        row: &Row<'_>,
        around: &Surroundings<'_>,
        scratch: &mut Scratch,
    ) {
        self.metrics.counts.of(around.lane).actions_failed_unknown.add_one();
        let Binding::Queue(bound) = action else {
            return self
                .tell(around.event, format_args!("an action of the rule broke off in a panic: {panic}"));
        };
        let action = bound.queue.id();
        self.tell(around.event, format_args!("its action `{action}` broke off in a panic: {panic}"));
        let Scratch { origin, step, .. } = scratch;
        let buried = supervise::tried(|| {
            if *step == Step::Queueing {
                // Nobody knows whether the queue has it: let it come again.
                return drop(around.completion.map(Completion::part));
            }
            origin.clear();
            // What broke off is not to break off again: then a letter of the row is all that there can be.
            if *step == Step::Rendering
                && supervise::tried(|| self.trace(row, true, around, &[], origin)).is_err()
            {
                origin.clear();
            }
            bound.queue.fail(&format!("the server broke off in a panic: {panic}"), origin, around.completion);
        });
        if buried.is_err() {
            drop(around.completion.map(Completion::part));
        }
    }

    fn tell(&self, event: &Event<'_>, what: std::fmt::Arguments<'_>) {
        if let Some(count) = self.metrics.notice.due(1) {
            tracing::error!(
                rule = &*self.id,
                topic = event.from[0],
                count,
                "{what}; this is a bug of Sluicegate, please report it"
            );
        }
    }
}
