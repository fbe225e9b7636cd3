//! Sends dead letters once more.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use connector::Item;
use dead_letters::{Letter, Store};
use event::{AckLevel, Acker, Completion, Outcome};
use parking_lot::Mutex;

use crate::generation::Generation;
use crate::last_resort::order_key;
use crate::origin;
use crate::rerun::Bench;
use crate::view::ResourceId;

/// What became of letters that were to be sent once more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayOutcome {
    /// Those that are in the queue of their action again.
    pub replayed: Vec<u64>,
    /// Those that are not, and why.
    pub refused: Vec<(u64, String)>,
}

/// Puts letters back into the queues of their actions, those that were never rendered by way of their rule, and takes each out of the store once it is stored or delivered
/// there: a crash on the way sends it twice rather than never.
pub(crate) struct Replayer {
    store: Arc<Store>,
    bench: Bench,
    /// Those on their way. A lock, since whoever settles last may be any thread.
    under_way: Mutex<HashSet<u64>>,
}

impl Replayer {
    pub(crate) fn new(store: Arc<Store>, bench: Bench) -> Arc<Self> {
        Arc::new(Self { store, bench, under_way: Mutex::default() })
    }

    /// Queues letters again, oldest first. Reads from the disk: not to be called where others wait.
    pub(crate) fn replay(self: &Arc<Self>, ids: &[u64], live: &Generation) -> ReplayOutcome {
        let mut outcome = ReplayOutcome::default();
        for id in ids {
            let letter = self.store.get(*id).ok_or_else(|| "there is no such letter".to_owned());
            match letter.and_then(|letter| self.replay_one(*id, &letter, live)) {
                Ok(()) => outcome.replayed.push(*id),
                Err(reason) => outcome.refused.push((*id, reason)),
            }
        }
        outcome
    }

    fn replay_one(self: &Arc<Self>, id: u64, letter: &Letter, live: &Generation) -> Result<(), String> {
        let action = ResourceId::parse(&letter.action);
        let found = action.and_then(|action| live.live.actions.get(&action).map(|queue| (action, queue)));
        let (action, queue) =
            found.ok_or_else(|| format!("there is no action `{}` any more", letter.action))?;
        let request = match letter.request.as_slice() {
            [] => Cow::Owned(self.bench.request(letter, &action, live)?),
            request => Cow::Borrowed(request),
        };
        if !self.under_way.lock().insert(id) {
            return Err("it is on its way already".to_owned());
        }
        let completion = Completion::new(Arc::clone(self) as Arc<dyn Acker>, id, AckLevel::Stored);
        let origin = origin::of_letter(letter, &request, false);
        let item = Item { request: &request, origin: &origin };
        queue.push(order_key(letter), item, Some(&completion), Instant::now());
        if completion.release() {
            self.settled(id, Outcome::Settled);
        }
        Ok(())
    }
}

impl Acker for Replayer {
    fn settled(&self, ticket: u64, outcome: Outcome) {
        self.under_way.lock().remove(&ticket);
        // Given up on the way, as at the end of the process: it stays a letter.
        if outcome == Outcome::Settled
            && let Err(error) = self.store.discard(&[ticket])
        {
            tracing::error!(ticket, %error, "a dead letter was sent and could not be removed from the store");
        }
    }
}
