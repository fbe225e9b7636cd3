use std::collections::VecDeque;

use mqtt::QoS;
use parking_lot::Mutex;

use crate::message::Delivery;

/// What waits to go to one client: filled by whoever routes, emptied by the client's connection.
///
/// The bound of a session stands here, before anything that the connection holds. A lock, since many route to one
/// session; held for a push or for taking one batch, never while another lock is taken.
#[derive(Debug)]
pub(crate) struct Inbox(Mutex<Queue>);

#[derive(Debug)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
    /// A session that is over takes nothing more.
    open: bool,
}

/// What became of a delivery.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// It waits, and is the first that does: wake the connection.
    First,
    /// It waits behind others.
    Behind,
    /// It waits, and these were pushed out for it.
    Displaced(Vec<Delivery>),
    /// There was no room for it.
    Full(Delivery),
    /// The session is over.
    Closed,
}

/// How far a full queue is searched for a message of QoS 0 to drop, before the oldest goes whatever it is.
const SEARCHED: usize = 64;

impl Inbox {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self(Mutex::new(Queue { deliveries: VecDeque::new(), bytes: 0, messages_max, bytes_max, open: true }))
    }

    /// Sets other bounds; what waits already stays.
    pub(crate) fn set_bounds(&self, messages_max: usize, bytes_max: usize) {
        let mut queue = self.0.lock();
        (queue.messages_max, queue.bytes_max) = (messages_max, bytes_max);
    }

    /// Adds a delivery at the end. Where there is no room, one of QoS 0 is not taken, and for others old ones go: of
    /// QoS 0 if there is one near the front, otherwise the oldest.
    ///
    /// `part` is what the queue may hold (bytes) while all queues together hold too much. One that holds more shrinks step by step:
    /// twice as much goes as comes. Whoever has nothing waiting gets one message at least, unless it is of QoS 0.
    pub(crate) fn push(&self, delivery: Delivery, part: Option<usize>) -> Pushed {
        let mut queue = self.0.lock();
        if !queue.open {
            return Pushed::Closed;
        }
        let bytes = delivery.message.bytes();
        if let Some(part) = part.filter(|part| queue.bytes + bytes > *part) {
            return queue.push_crowded(delivery, bytes, part);
        }
        if queue.fits(bytes) {
            queue.bytes += bytes;
            queue.deliveries.push_back(delivery);
            return if queue.deliveries.len() == 1 { Pushed::First } else { Pushed::Behind };
        }
        if delivery.qos == QoS::AtMostOnce || bytes > queue.bytes_max {
            return Pushed::Full(delivery);
        }
        let mut displaced = Vec::new();
        while !queue.fits(bytes) {
            match queue.pop_for_room() {
                Some(oldest) => displaced.push(oldest),
                None => return Pushed::Full(delivery),
            }
        }
        queue.bytes += bytes;
        queue.deliveries.push_back(delivery);
        Pushed::Displaced(displaced)
    }

    /// Takes deliveries from the front into `batch`: as many as fit into `bytes` with at least one, and of QoS 1 and 2
    /// at most `window`. Stops at the first that may not go, so that order is kept. Returns whether any are left.
    pub(crate) fn take(&self, batch: &mut Vec<Delivery>, bytes: usize, mut window: usize) -> bool {
        let mut queue = self.0.lock();
        let mut room = bytes;
        while let Some(next) = queue.deliveries.front() {
            let size = next.message.bytes();
            if next.qos != QoS::AtMostOnce {
                if window == 0 {
                    break;
                }
                window -= 1;
            }
            if size > room && !batch.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            queue.bytes -= size;
            batch.extend(queue.deliveries.pop_front());
        }
        if queue.deliveries.is_empty() && queue.deliveries.capacity() > 1024 {
            queue.deliveries = VecDeque::new();
        }
        !queue.deliveries.is_empty()
    }

    /// How many deliveries wait.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().deliveries.len()
    }

    /// Takes nothing more from now on. Returns what waits.
    pub(crate) fn close(&self) -> VecDeque<Delivery> {
        let mut queue = self.0.lock();
        queue.open = false;
        queue.bytes = 0;
        std::mem::take(&mut queue.deliveries)
    }
}

impl Queue {
    /// Adds a delivery although the queue holds, or would hold, more than its part.
    #[cold]
    fn push_crowded(&mut self, delivery: Delivery, bytes: usize, part: usize) -> Pushed {
        if delivery.qos == QoS::AtMostOnce || bytes > self.bytes_max {
            return Pushed::Full(delivery);
        }
        let (mut displaced, mut freed) = (Vec::new(), 0);
        while !self.fits(bytes) || self.bytes + bytes > part && freed < 2 * bytes {
            let Some(oldest) = self.pop_for_room() else { break };
            freed += oldest.message.bytes();
            displaced.push(oldest);
        }
        let is_first = self.deliveries.is_empty();
        self.bytes += bytes;
        self.deliveries.push_back(delivery);
        match (displaced.is_empty(), is_first) {
            (false, _) => Pushed::Displaced(displaced),
            (true, true) => Pushed::First,
            (true, false) => Pushed::Behind,
        }
    }

    fn fits(&self, bytes: usize) -> bool {
        self.deliveries.len() < self.messages_max && self.bytes + bytes <= self.bytes_max
    }

    fn pop_for_room(&mut self) -> Option<Delivery> {
        let near = self.deliveries.iter().take(SEARCHED);
        let at = near.into_iter().position(|delivery| delivery.qos == QoS::AtMostOnce).unwrap_or(0);
        let dropped = self.deliveries.remove(at)?;
        self.bytes -= dropped.message.bytes();
        Some(dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::SubscriptionIds;
    use crate::shared::SharedMessage;

    fn delivery(name: &str, qos: QoS, size: usize) -> Delivery {
        let message = SharedMessage::example(0, name, qos, &vec![0; size]);
        Delivery::new(&message, qos, false, SubscriptionIds::None)
    }

    fn left(inbox: &Inbox) -> Vec<String> {
        let mut batch = Vec::new();
        while inbox.take(&mut batch, usize::MAX, usize::MAX) {}
        batch.iter().map(|delivery| delivery.message.topic.to_string()).collect()
    }

    #[test]
    fn a_full_queue_gives_up_qos_0_first_and_then_the_oldest() {
        let inbox = Inbox::new(3, 1 << 20);
        assert!(matches!(inbox.push(delivery("a", QoS::AtLeastOnce, 0), None), Pushed::First));
        assert!(matches!(inbox.push(delivery("b", QoS::AtMostOnce, 0), None), Pushed::Behind));
        assert!(matches!(inbox.push(delivery("c", QoS::ExactlyOnce, 0), None), Pushed::Behind));
        assert!(matches!(inbox.push(delivery("d", QoS::AtMostOnce, 0), None), Pushed::Full(_)));
        assert!(matches!(inbox.push(delivery("e", QoS::AtLeastOnce, 0), None), Pushed::Displaced(_)));
        assert!(matches!(inbox.push(delivery("f", QoS::AtLeastOnce, 0), None), Pushed::Displaced(_)));
        assert_eq!(left(&inbox), ["c", "e", "f"]);
    }

    #[test]
    fn bytes_bound_as_messages_do() {
        let inbox = Inbox::new(100, 3_000);
        inbox.push(delivery("a", QoS::AtLeastOnce, 1_000), None);
        inbox.push(delivery("b", QoS::AtLeastOnce, 1_000), None);
        inbox.push(delivery("c", QoS::AtLeastOnce, 2_000), None);
        assert!(matches!(inbox.push(delivery("d", QoS::AtLeastOnce, 3_000), None), Pushed::Full(_)));
        assert_eq!(left(&inbox), ["c"]);
    }

    #[test]
    fn a_queue_that_holds_more_than_its_part_shrinks_with_what_comes() {
        let inbox = Inbox::new(100, 1 << 20);
        for at in 0..8 {
            let qos = if at == 3 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
            inbox.push(delivery(&at.to_string(), qos, 1_000), None);
        }
        let part = Some(3_000);
        assert!(matches!(inbox.push(delivery("8", QoS::AtMostOnce, 0), part), Pushed::Full(_)));
        let displaced = |name: &str, size| match inbox.push(delivery(name, QoS::AtLeastOnce, size), part) {
            Pushed::Displaced(gone) => gone.iter().map(|gone| gone.message.topic.to_string()).collect(),
            _ => Vec::new(),
        };
        assert_eq!(displaced("9", 1_000), ["3", "0"], "of QoS 0 first, and two for one");
        assert_eq!(displaced("a", 1_000), ["1", "2"]);
        assert_eq!(displaced("b", 1_000), ["4", "5"]);
        assert_eq!(displaced("c", 1_000), ["6", "7"]);
        assert_eq!(displaced("d", 1_000), ["9", "a"]);
        assert_eq!(left(&inbox), ["b", "c", "d"]);
        // Whoever has nothing waiting gets one message, however large.
        assert!(matches!(inbox.push(delivery("e", QoS::AtMostOnce, 9_000), part), Pushed::Full(_)));
        assert!(matches!(inbox.push(delivery("f", QoS::AtLeastOnce, 9_000), part), Pushed::First));
        assert_eq!(displaced("g", 9_000), ["f"]);
        assert!(matches!(inbox.push(delivery("h", QoS::AtMostOnce, 0), None), Pushed::Behind));
    }

    #[test]
    fn a_batch_keeps_order_and_stops_at_the_window() {
        let inbox = Inbox::new(100, 1 << 20);
        for (name, qos) in [("a", 0), ("b", 1), ("c", 0), ("d", 2), ("e", 0)] {
            inbox.push(delivery(name, qos.try_into().unwrap(), 10), None);
        }
        let mut batch = Vec::new();
        assert!(inbox.take(&mut batch, usize::MAX, 1));
        assert_eq!(batch.len(), 3);
        batch.clear();
        assert!(inbox.take(&mut batch, usize::MAX, 0));
        assert!(batch.is_empty());
        assert!(inbox.take(&mut batch, 1, 5));
        assert_eq!(batch.len(), 1);
        inbox.close();
        assert!(matches!(inbox.push(delivery("x", QoS::AtMostOnce, 1), None), Pushed::Closed));
        assert!(left(&inbox).is_empty());
    }
}
