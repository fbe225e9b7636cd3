use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Declares the counters once: those of the whole broker, those that a batch gathers first, and the snapshot.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a broker has counted since its start, and how much it holds at the moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Metrics {
            /// Clients connected.
            pub connections: usize,
            /// Sessions, connected or not.
            pub sessions: usize,
            /// Subscriptions of all sessions.
            pub subscriptions: usize,
            /// Bytes that their topic filters take, roughly.
            pub subscription_bytes: usize,
            /// Bytes that the wills of all sessions take.
            pub will_bytes: usize,
            /// Retained messages.
            pub retained: usize,
            /// Bytes of messages that wait for clients or are under way to them.
            pub queued_bytes: usize,
            /// Whether that is more than it may be.
            pub is_crowded: bool,
            /// Bytes of the log of sessions and retained messages; 0 if they are kept in memory alone.
            pub store_bytes: u64,
            /// Whether what is to be kept reaches the disk.
            pub store_healthy: bool,
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: AtomicU64,)* }

        /// What one batch of packets adds; kept apart so that the shared counters are touched once a batch.
        #[derive(Debug, Default)]
        pub(crate) struct Tally { $(pub(crate) $name: u64,)* }

        impl Counters {
            pub(crate) fn add(&self, tally: &mut Tally) {
                $(if tally.$name != 0 { self.$name.fetch_add(tally.$name, Relaxed); })*
                *tally = Tally::default();
            }

            pub(crate) fn snapshot(&self) -> Metrics {
                Metrics { $($name: self.$name.load(Relaxed),)* ..Metrics::default() }
            }
        }
    };
}

counters! {
    /// Bytes that came from clients.
    bytes_received,
    /// Bytes that went to clients.
    bytes_sent,
    /// Clients that were accepted.
    clients_connected,
    /// Connections that ended after they had been accepted.
    clients_disconnected,
    /// CONNECTs that were refused.
    clients_refused,
    /// PUBLISH packets that came, repeated ones included.
    messages_received,
    /// Messages that the server itself published (republish).
    messages_republished,
    /// PUBLISH packets that went out, repeated ones included.
    messages_sent,
    /// Subscriptions past what their client, or all clients, may have.
    subscriptions_refused,
    /// Messages that no session wanted.
    dropped_no_subscribers,
    /// Messages whose publisher may not publish to their topic.
    dropped_not_authorized,
    /// Messages whose topic has more levels than their listener allows.
    dropped_topic_too_deep,
    /// Deliveries that a full session queue pushed out or did not take.
    dropped_queue_full,
    /// Deliveries whose Message Expiry Interval had passed.
    dropped_expired,
    /// Deliveries that were larger than their client takes.
    dropped_too_large,
    /// Retained messages that found no room.
    dropped_retained_full,
}
