//! The memory buffer against a model that is too simple to be wrong.
#![allow(clippy::unwrap_used)] // a test that finds nothing is to stop there

use std::time::{Duration, Instant};

use connector::{Buffer, Fill, Hold, Item, MemoryBuffer};
use event::{AckLevel, Acker, Completion, Outcome};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use std::sync::Arc;

struct Deaf;

impl Acker for Deaf {
    fn settled(&self, _: u64, _: Outcome) {}
}

#[derive(Debug, Clone)]
enum Step {
    Append { bytes: usize, held: bool },
    Next,
    Ack(usize),
    Retry(usize),
    Rewind,
    DropOldest,
    Wait(u8),
    Expire(u8),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0usize..3000, any::<bool>()).prop_map(|(bytes, held)| Step::Append { bytes, held }),
        8 => Just(Step::Next),
        6 => any::<usize>().prop_map(Step::Ack),
        2 => any::<usize>().prop_map(Step::Retry),
        1 => Just(Step::Rewind),
        3 => Just(Step::DropOldest),
        3 => any::<u8>().prop_map(Step::Wait),
        2 => any::<u8>().prop_map(Step::Expire),
        1 => Just(Step::Clear),
    ]
}

/// A list in order; what is gone is removed from it at once.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    seq_next: u64,
}

struct Entry {
    seq: u64,
    request: Vec<u8>,
    at: Instant,
    held: bool,
    inflight: bool,
    sendings: u32,
}

impl Model {
    fn in_flight(&self, pick: usize) -> Option<u64> {
        let all: Vec<u64> =
            self.entries.iter().filter(|entry| entry.inflight).map(|entry| entry.seq).collect();
        (!all.is_empty()).then(|| all[pick % all.len()])
    }

    fn droppable(&self) -> Option<usize> {
        self.entries.iter().position(|entry| !entry.inflight && !entry.held)
    }

    fn fill(&self) -> Fill {
        let mut fill = Fill::default();
        for entry in &self.entries {
            let bytes = entry.request.len() as u64;
            if entry.inflight {
                (fill.inflight, fill.inflight_bytes) = (fill.inflight + 1, fill.inflight_bytes + bytes);
            } else {
                (fill.queuing, fill.queuing_bytes) = (fill.queuing + 1, fill.queuing_bytes + bytes);
            }
        }
        fill
    }
}

proptest! {
    #[test]
    fn behaves_as_the_model(steps in proptest::collection::vec(step(), 0..400)) {
        let acker: Arc<dyn Acker> = Arc::new(Deaf);
        let completion = Completion::new(acker, 1, AckLevel::Delivered);
        let (mut buffer, mut model, mut now) = (MemoryBuffer::new(), Model::default(), Instant::now());
        for step in steps {
            match step {
                Step::Append { bytes, held } => {
                    let request: Vec<u8> = (0..bytes).map(|at| (at as u64 + model.seq_next) as u8).collect();
                    let hold = if held { Hold::UntilDelivered(completion.part()) } else { Hold::Nothing };
                    buffer.append(Item::from(&request), hold, now).unwrap();
                    let seq = model.seq_next;
                    model.seq_next += 1;
                    model.entries.push(Entry { seq, request, at: now, held, inflight: false, sendings: 0 });
                }
                Step::Next => {
                    let expected = model.entries.iter_mut().find(|entry| !entry.inflight);
                    match (buffer.next(), expected) {
                        (Some(found), Some(entry)) => {
                            assert_eq!((found.seq, found.sendings), (entry.seq, entry.sendings));
                            assert_eq!(found.request, entry.request);
                            (entry.inflight, entry.sendings) = (true, entry.sendings + 1);
                        }
                        (found, expected) => assert!(found.is_none() && expected.is_none()),
                    }
                }
                Step::Ack(pick) => match model.in_flight(pick) {
                    Some(seq) => {
                        let at = model.entries.iter().position(|entry| entry.seq == seq).unwrap();
                        let entry = model.entries.remove(at);
                        let removed = buffer.ack(seq).unwrap();
                        assert_eq!(removed.content.item().request, entry.request);
                        assert_eq!(removed.bytes, entry.request.len() as u64);
                        assert!(buffer.ack(seq).is_none());
                        removed.release.settle();
                    }
                    None => assert!(buffer.ack(pick as u64).is_none()),
                },
                Step::Retry(pick) => if let Some(seq) = model.in_flight(pick) {
                    assert!(buffer.retry(seq));
                    assert!(!buffer.retry(seq));
                    model.entries.iter_mut().find(|entry| entry.seq == seq).unwrap().inflight = false;
                },
                Step::Rewind => {
                    buffer.rewind();
                    model.entries.iter_mut().for_each(|entry| entry.inflight = false);
                }
                Step::DropOldest => {
                    let bytes = model.droppable().map(|at| model.entries.remove(at).request.len() as u64);
                    assert_eq!(buffer.drop_oldest().map(|removed| removed.bytes), bytes);
                }
                Step::Wait(seconds) => now += Duration::from_secs(u64::from(seconds)),
                Step::Expire(seconds) => {
                    let ttl = Duration::from_secs(u64::from(seconds));
                    while buffer.oldest(now).is_some_and(|age| age >= ttl) {
                        assert!(buffer.drop_oldest().is_some());
                    }
                    model.entries.retain(|entry| entry.inflight || entry.held || now - entry.at < ttl);
                }
                Step::Clear => {
                    let parts = buffer.clear();
                    assert_eq!(parts.len(), model.entries.iter().filter(|entry| entry.held).count());
                    parts.into_iter().for_each(event::Part::settle);
                    model.entries.clear();
                }
            }
            assert_eq!(buffer.fill(), model.fill());
            assert_eq!(buffer.oldest(now), model.droppable().map(|at| now - model.entries[at].at));
        }
        // What is left comes out once more, whole and in order.
        buffer.rewind();
        for entry in &model.entries {
            assert_eq!(buffer.next().unwrap().request, entry.request);
        }
        assert!(buffer.next().is_none());
        buffer.clear().into_iter().for_each(event::Part::settle);
    }
}

#[test]
fn one_late_acknowledgement_pins_little() {
    let (mut buffer, now) = (MemoryBuffer::new(), Instant::now());
    buffer.append(Item::from(b"late"), Hold::Nothing, now).unwrap();
    let late = buffer.next().unwrap();
    for _ in 0..100_000 {
        buffer.append(Item::from(&[7; 100]), Hold::Nothing, now).unwrap();
        let seq = buffer.next().unwrap().seq;
        buffer.ack(seq).unwrap();
    }
    assert_eq!(buffer.fill(), Fill { inflight: 1, inflight_bytes: 4, ..Fill::default() });
    assert!(buffer.ack(late.seq).is_some());
}
