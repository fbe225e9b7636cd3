use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Broker;
use crate::session::Session;

/// Looks after sessions without connection: their wills that are delayed, and their end.
#[derive(Default)]
pub(crate) struct Janitor {
    /// A lock since every connection that ends adds to it; held to add or take one.
    due: Mutex<BTreeMap<(Instant, u64), Due>>,
    changed: Notify,
}

struct Due {
    session: Weak<Session>,
    /// The connection that left; if another has come since, there is nothing to do.
    claim: u64,
    what: Duty,
}

/// What is to be done with a session if its client does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Publish its will.
    Will,
    /// Forget it.
    End,
}

impl Janitor {
    /// Remembers a duty.
    pub(crate) fn remind(&self, at: Instant, session: &Arc<Session>, claim: u64, what: Duty) {
        let due = Due { session: Arc::downgrade(session), claim, what };
        // Several may be due at the same time, one session at most twice.
        let number = Arc::as_ptr(session) as usize as u64 ^ what as u64;
        self.due.lock().insert((at, number), due);
        self.changed.notify_one();
    }

    /// Does what is due, until `closing`.
    pub(crate) async fn work(&self, broker: &Broker, closing: impl Future<Output = ()>) {
        tokio::pin!(closing);
        loop {
            let next = self.due.lock().first_key_value().map(|((at, _), _)| *at);
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
            if due.first_key_value().is_none_or(|((at, _), _)| *at > now) {
                return;
            }
            let Some((_, Due { session, claim, what })) = due.pop_first() else { return };
            drop(due);
            let Some(session) = session.upgrade().filter(|session| session.is_latest(claim)) else {
                continue;
            };
            // Whoever holds the lock is a connection that has come back.
            let Ok(mut kept) = Arc::clone(&session.kept).try_lock_owned() else { continue };
            match what {
                Duty::Will => broker.publish_late(&session, &mut kept),
                Duty::End => broker.end_session(&session, &mut kept),
            }
        }
    }
}
