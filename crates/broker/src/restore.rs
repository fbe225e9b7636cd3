//! Sessions and retained messages of an earlier process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use topic::Subscription;

use crate::Broker;
use crate::connection::seconds;
use crate::inflight::{Inflight, Slot};
use crate::janitor::Duty;
use crate::message::Now;
use crate::metrics::Tally;
use crate::session::{Incoming, Kept, Session, Subscribed};
use crate::store::{Change, Entry, Image, SessionImage};
use crate::subscriptions::filter_bytes;

impl Broker {
    /// Goes on where an earlier process has stopped, or was stopped. Time went on meanwhile.
    pub(crate) fn take_over(&self, image: Image) {
        let (sessions, retained) = (image.sessions.len(), image.retained.len());
        let now = Now::read();
        let fresh = image.retained.into_values().filter(|message| !message.is_expired(now.ms()));
        let refused = self.retained.restore(fresh);
        if !refused.is_empty() {
            tracing::warn!(
                messages = refused.len(),
                "retained messages are over the limit and were left out"
            );
        }
        if let Some(store) = self.store() {
            store.submit(&mut refused.into_iter().map(Change::Cleared).collect(), None);
        }
        for (number, session) in image.sessions {
            self.session_last.fetch_max(number, Ordering::Relaxed);
            self.restore_session(number, &session, now);
        }
        if sessions + retained > 0 {
            tracing::info!(sessions, retained, "sessions and retained messages were restored");
        }
    }

    fn restore_session(&self, number: u64, image: &SessionImage, now: Now) {
        let session = Arc::new(Session::new(Arc::clone(&image.clientid), number, self.new_inbox()));
        session.is_stored.store(true, Ordering::Relaxed);
        // Nobody else knows it yet.
        let Ok(mut kept) = Arc::clone(&session.kept).try_lock_owned() else { return };
        kept.is_old = true;
        self.sessions.insert(Arc::clone(&session.clientid), Arc::clone(&session));
        self.restore_subscriptions(&session, &mut kept, image);
        restore_under_way(&session, &mut kept, image);
        self.restore_queue(&session, image);
        self.restore_times(&session, &mut kept, image, now);
    }

    fn restore_subscriptions(&self, session: &Arc<Session>, kept: &mut Kept, image: &SessionImage) {
        for (text, options) in &image.subscriptions {
            // It was checked when it came; a version that knows less of filters would leave it out.
            let Ok(subscription) = Subscription::parse(text) else { continue };
            let group = self.subscriptions.add(&subscription, session, *options);
            let bytes = filter_bytes(text);
            // What was there may stay, even if it may take less now.
            self.subscriptions.reserve(bytes, usize::MAX);
            kept.subscription_bytes += bytes;
            let subscribed = Subscribed { subscription, options: *options, group, feed: None };
            kept.subscriptions.insert(Box::from(&**text), subscribed);
        }
    }

    fn restore_queue(&self, session: &Arc<Session>, image: &SessionImage) {
        let mut tally = Tally::default();
        for entry in image.entries.values() {
            if let Entry::Queued(delivery) = entry {
                self.enqueue(session, delivery.clone(), None, &mut tally);
            }
        }
        self.counters.add(&mut tally);
    }

    /// The end of the session, and its will. A connection that was there when the process was killed ended about now.
    fn restore_times(&self, session: &Arc<Session>, kept: &mut Kept, image: &SessionImage, now: Now) {
        let left_at_ms = image.left_at_ms.unwrap_or_else(|| {
            let (session, with_will) = (session.number, image.will.is_some());
            let left = Change::Left { session, at_ms: now.ms(), expiry_secs: image.expiry_secs, with_will };
            if let Some(store) = self.store() {
                store.note(left);
            }
            now.ms()
        });
        (kept.left_at_ms, kept.expiry) = (left_at_ms, Duration::from_secs(image.expiry_secs.into()));
        let since = Duration::from_millis(u64::try_from(now.ms().saturating_sub(left_at_ms)).unwrap_or(0));
        let expiry = kept.expiry.min(self.config.session_expiry_max);
        let at = |after: Duration| Instant::now() + after.saturating_sub(since);
        if let Some(will) = &image.will {
            kept.will = Some(Arc::clone(will));
            self.janitor.remind(at(will.delay.min(expiry)), session, kept, 0, Duty::Will);
        }
        self.janitor.remind(at(expiry), session, kept, 0, Duty::End);
    }

    /// Publishes the will of a session whose connection has ended a while ago.
    pub(crate) fn publish_late(&self, session: &Session, kept: &mut Kept) {
        let Some(will) = kept.will.take() else { return };
        if let Some(store) = self.store().filter(|_| session.is_stored()) {
            let expiry_secs = seconds(kept.expiry);
            let (session, at_ms) = (session.number, kept.left_at_ms);
            store.note(Change::Left { session, at_ms, expiry_secs, with_will: false });
        }
        self.publish_will(Some(&will));
    }
}

fn restore_under_way(session: &Session, kept: &mut Kept, image: &SessionImage) {
    session.delivery_last.store(image.entries.keys().next_back().copied().unwrap_or(0), Ordering::Relaxed);
    let slots = image.under_way().into_iter().filter_map(|(number, entry)| match entry {
        Entry::Queued(_) => None,
        Entry::Sent { delivery, packet_id, .. } => Some((*packet_id, Slot::Published(delivery.clone()))),
        Entry::Released { packet_id, .. } => Some((*packet_id, Slot::Released(number))),
    });
    kept.inflight = Inflight::restore(slots);
    for (packet_id, is_settled) in &image.incoming {
        let incoming = Incoming { ticket: Incoming::FORGOTTEN, is_settled: *is_settled };
        kept.take_in(*packet_id, incoming);
    }
}
