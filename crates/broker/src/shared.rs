use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;

use event::Trail;
use parking_lot::Mutex;

use crate::held::Room;
use crate::message::Message;

/// A message that all sessions share. Whoever lets go of it last leaves its memory to messages to come.
///
/// A message costs two allocations, and they come and go in batches of hundreds, made by one thread and freed by another: there
/// the system's allocator is at its slowest, since the two wait for each other.
#[derive(Debug, Clone)]
pub(crate) struct SharedMessage(
    /// Only ever `None` while it is dropped.
    Option<Arc<Message>>,
);

/// Messages that nobody has any more, for their memory.
type Spares = Vec<Arc<Message>>;

thread_local! {
    static SPARES: RefCell<Spares> = const { RefCell::new(Vec::new()) };
}

/// What threads have too much of, for those that have none: in parts of [`PART`], so the lock is seldom taken.
static DEPOT: Mutex<Vec<Spares>> = Mutex::new(Vec::new());

/// About as many messages as come in one read.
const PART: usize = 256;
/// What a thread keeps, and how many parts there may be beyond: some 4,000 messages on two threads.
const SPARES_MAX: usize = 2 * PART;
const PARTS_MAX: usize = 12;
/// The memory of a payload that is larger is given back (bytes).
const PAYLOAD_BYTES_MAX: usize = 1024;

/// A message that nobody has.
fn take_spare() -> Option<Arc<Message>> {
    let take = |spares: &RefCell<Spares>| {
        let mut spares = spares.borrow_mut();
        if spares.is_empty() {
            *spares = DEPOT.lock().pop()?;
        }
        spares.pop()
    };
    SPARES.try_with(take).ok().flatten()
}

/// Keeps a message that nobody has, if there is room.
fn keep_spare(message: Arc<Message>) {
    let keep = |spares: &RefCell<Spares>| {
        let mut spares = spares.borrow_mut();
        spares.push(message);
        if spares.len() < SPARES_MAX {
            return;
        }
        let part = spares.split_off(SPARES_MAX - PART);
        let mut depot = DEPOT.lock();
        if depot.len() < PARTS_MAX {
            depot.push(part);
        }
    };
    let _ = SPARES.try_with(keep);
}

impl SharedMessage {
    /// A message with a copy of this payload; it counts as memory that is held from now on until the last who has it lets go.
    pub(crate) fn new(payload: &[u8], make: impl FnOnce(Vec<u8>) -> Message) -> Self {
        let mut spare = take_spare();
        let place = spare.as_mut().and_then(Arc::get_mut);
        let mut copy = place.map(|place| std::mem::take(&mut place.payload)).unwrap_or_default();
        copy.reserve_exact(payload.len());
        copy.extend_from_slice(payload);
        let mut message = make(copy);
        message.room = Room::new(message.bytes());
        let Some(mut shared) = spare else { return Self(Some(Arc::new(message))) };
        match Arc::get_mut(&mut shared) {
            Some(place) => *place = message,
            // It is nobody else's, since it was a spare one.
            None => shared = Arc::new(message),
        }
        Self(Some(shared))
    }
}

impl Deref for SharedMessage {
    type Target = Message;

    fn deref(&self) -> &Message {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for SharedMessage {
    fn drop(&mut self) {
        let Some(mut message) = self.0.take() else { return };
        // Where two let go at once, neither may be the last; then it is freed as usual.
        if Arc::strong_count(&message) > 1 {
            return;
        }
        let Some(spare) = Arc::get_mut(&mut message) else { return };
        if spare.payload.capacity() > PAYLOAD_BYTES_MAX {
            return;
        }
        spare.payload.clear();
        // Topic and publisher stay with it until then: they are small, and mostly shared with others.
        (spare.properties, spare.trail, spare.room) = (None, Trail::empty(), Room::default());
        keep_spare(message);
    }
}

#[cfg(test)]
impl SharedMessage {
    /// A message of nobody in particular.
    pub(crate) fn example(number: u128, topic: &str, qos: mqtt::QoS, payload: &[u8]) -> Self {
        let publisher = crate::message::Publisher { clientid: "p".into(), username: None, peername: None };
        Self::new(payload, |payload| Message {
            id: event::MessageId(number),
            topic: topic.into(),
            payload,
            qos,
            retain: false,
            properties: None,
            publisher: Arc::new(publisher),
            received_at_ms: 0,
            trail: Trail::empty(),
            written: Default::default(),
            room: Room::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use mqtt::QoS;

    use super::*;

    fn message(payload: &[u8]) -> SharedMessage {
        SharedMessage::example(1, "t", QoS::AtMostOnce, payload)
    }

    fn spares() -> usize {
        SPARES.with_borrow(Vec::len)
    }

    #[test]
    fn the_last_one_leaves_the_memory_to_the_next_message() {
        let first = message(b"a long payload");
        let before = spares();
        let second = first.clone();
        let place: *const Message = &*first;
        drop(first);
        assert_eq!((spares(), &*second.payload), (before, &b"a long payload"[..]));
        drop(second);
        assert_eq!(spares(), before + 1);
        let third = message(b"short");
        assert_eq!((spares(), &*third.payload), (before, &b"short"[..]));
        assert!(std::ptr::eq(place, &*third));
    }

    #[test]
    fn what_is_kept_is_bounded_and_goes_to_who_needs_it() {
        let large = message(&[0; PAYLOAD_BYTES_MAX + 1]);
        let before = spares();
        drop(large);
        assert_eq!(spares(), before);
        drop((0..2 * PARTS_MAX * PART).map(|_| message(b"x")).collect::<Vec<_>>());
        assert!(spares() < SPARES_MAX);
        assert!(DEPOT.lock().len() <= PARTS_MAX);
        let has_taken = || {
            drop(message(b"x"));
            spares() >= PART
        };
        assert!(std::thread::spawn(has_taken).join().expect("it only counts"), "another thread's");
    }
}
