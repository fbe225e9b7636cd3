use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Broker;
use crate::session::{Kept, Session};

/// Looks after sessions without connection: their wills that are delayed, and their end.
#[derive(Default)]
pub(crate) struct Janitor {
    /// By when, by the number of the session, and what. A lock since every connection that ends adds to it; held to add or
    /// take one.
    due: Mutex<BTreeMap<(Instant, u64, Duty), Due>>,
    changed: Notify,
}

struct Due {
    session: Weak<Session>,
    /// The connection that left; if another has come since, there is nothing to do.
    claim: u64,
}

/// What the janitor is reminded of for one session: at most one of each duty, however often its client comes and goes.
#[derive(Debug, Default)]
pub(crate) struct Reminders {
    will: Option<Instant>,
    end: Option<Instant>,
}

impl Reminders {
    fn of(&mut self, what: Duty) -> &mut Option<Instant> {
        match what {
            Duty::Will => &mut self.will,
            Duty::End => &mut self.end,
        }
    }
}

/// What is to be done with a session if its client does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Duty {
    /// Publish its will.
    Will,
    /// Forget it.
    End,
}

impl Janitor {
    /// Remembers a duty, instead of the one of its sort that was there.
    pub(crate) fn remind(
        &self,
        at: Instant,
        session: &Arc<Session>,
        kept: &mut Kept,
        claim: u64,
        what: Duty,
    ) {
        let before = kept.reminders.of(what).replace(at);
        let is_next = {
            let mut due = self.due.lock();
            if let Some(before) = before {
                due.remove(&(before, session.number, what));
            }
            let key = (at, session.number, what);
            due.insert(key, Due { session: Arc::downgrade(session), claim });
            due.first_key_value().is_some_and(|(first, _)| *first == key)
        };
        if is_next {
            self.changed.notify_one();
        }
    }

    /// Forgets what was to be done with a session: its client has come back, or it is over.
    pub(crate) fn forget(&self, session: &Session, kept: &mut Kept) {
        for what in [Duty::Will, Duty::End] {
            if let Some(at) = kept.reminders.of(what).take() {
                self.due.lock().remove(&(at, session.number, what));
            }
        }
    }

    /// Does what is due, until `closing`.
    pub(crate) async fn work(&self, broker: &Broker, closing: impl Future<Output = ()>) {
        tokio::pin!(closing);
        loop {
            let next = self.due.lock().first_key_value().map(|((at, ..), _)| *at);
            let sleep = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut closing => return,
                () = self.changed.notified() => {}
                () = sleep => self.do_due(broker),
            }
        }
    }

    fn do_due(&self, broker: &Broker) {
        let now = Instant::now();
        loop {
            let mut due = self.due.lock();
            if due.first_key_value().is_none_or(|((at, ..), _)| *at > now) {
                return;
            }
            let Some(((_, _, what), Due { session, claim })) = due.pop_first() else { return };
            drop(due);
            let Some(session) = session.upgrade().filter(|session| session.is_latest(claim)) else {
                continue;
            };
            // Whoever holds the lock is a connection that has come back.
            let Ok(mut kept) = Arc::clone(&session.kept).try_lock_owned() else { continue };
            *kept.reminders.of(what) = None;
            match what {
                Duty::Will => broker.publish_late(&session, &mut kept),
                Duty::End => broker.end_session(&session, &mut kept),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::inbox::Inbox;

    #[tokio::test]
    async fn a_client_that_comes_and_goes_leaves_one_reminder_of_each_sort() {
        let janitor = Janitor::default();
        let session = Arc::new(Session::new("c".into(), 1, Inbox::new(1, 1)));
        let mut kept = session.kept.lock().await;
        let hour = Duration::from_secs(3600);
        for claim in 1..100 {
            for what in [Duty::Will, Duty::End] {
                let at = Instant::now() + hour;
                janitor.remind(at, &session, &mut kept, claim, what);
            }
        }
        assert_eq!(janitor.due.lock().len(), 2);
        janitor.forget(&session, &mut kept);
        assert!(janitor.due.lock().is_empty());
        assert_eq!(Arc::weak_count(&session), 0, "nothing keeps the memory of a session that is over");
    }
}
