use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use event::{AckLevel, Acker, Completion, MessageId, Outcome, Properties, Trail};
use mqtt::QoS;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::message::{Message, Publisher, SubscriptionIds};
use crate::shared::SharedMessage;

/// Counts what was settled and what was abandoned.
#[derive(Default)]
struct Acks {
    settled: AtomicUsize,
    abandoned: AtomicUsize,
}

impl Acker for Acks {
    fn settled(&self, _: u64, outcome: Outcome) {
        let counter = if outcome == Outcome::Settled { &self.settled } else { &self.abandoned };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

fn part(acks: &Arc<Acks>) -> Part {
    let completion = Completion::new(Arc::clone(acks) as _, 1, AckLevel::Received);
    let part = completion.part();
    assert!(!completion.release());
    part
}

fn settings(dir: &TempDir) -> Persistence {
    Persistence { dir: dir.path().join("log"), fsync: Fsync::Never, bytes_max: 1 << 30 }
}

fn message(number: u128, topic: &str, payload: &[u8]) -> SharedMessage {
    let publisher = Publisher {
        clientid: "p".into(),
        username: Some("u".into()),
        peername: Some(([127, 0, 0, 1], 7).into()),
    };
    SharedMessage::new(payload, |payload| Message {
        id: MessageId(number),
        topic: topic.into(),
        payload,
        qos: QoS::ExactlyOnce,
        retain: true,
        properties: Some(Box::new(Properties {
            payload_format_indicator: Some(1),
            message_expiry_interval: Some(number as u32),
            content_type: Some("c".into()),
            response_topic: None,
            correlation_data: Some(vec![0, 255]),
            user: vec![("a".into(), "1".into()), ("a".into(), "2".into())],
        })),
        publisher: Arc::new(publisher),
        received_at_ms: 1_700_000_000_000,
        trail: Trail::empty().with(&"r1".into()).with(&"r2".into()),
        written: Default::default(),
        room: Default::default(),
    })
}

fn queued(session: u64, number: u64, message: &SharedMessage) -> Change {
    let mut ids = SubscriptionIds::None;
    (0..number % 3).for_each(|id| ids.add(Some(1 + id as u32)));
    let delivery =
        Delivery { number, ..Delivery::new(message, QoS::AtLeastOnce, number.is_multiple_of(2), ids) };
    Change::Queued { session, delivery }
}

fn opened(session: u64, with_will: bool) -> Change {
    let publisher = Arc::new(Publisher { clientid: "w".into(), username: None, peername: None });
    let will = with_will.then(|| {
        Arc::new(Will {
            room: None,
            topic: "gone".into(),
            payload: b"x".to_vec(),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Some(Properties { user: vec![("k".into(), "v".into())], ..Default::default() }),
            delay: Duration::from_secs(5),
            publisher,
        })
    });
    Change::Opened { session, clientid: format!("c{session}").into(), expiry_secs: 100, will }
}

/// Everything that an image says, but for how far apart places are.
fn shown(image: &Image) -> String {
    let sessions = image.sessions.iter().map(|(number, session)| {
        let mut bare = session.clone();
        let sent: Vec<String> = bare
            .under_way()
            .iter()
            .map(|(number, entry)| match entry {
                Entry::Released { packet_id, .. } => format!("{number} released {packet_id}"),
                Entry::Sent { packet_id, .. } => format!("{number} sent {packet_id}"),
                Entry::Queued(_) => String::new(),
            })
            .collect();
        let entries: Vec<String> = std::mem::take(&mut bare.entries)
            .into_values()
            .filter_map(|entry| match entry {
                Entry::Queued(delivery) | Entry::Sent { delivery, .. } => Some(delivery),
                Entry::Released { .. } => None,
            })
            .map(|delivery| without_mark(&format!("{delivery:?}")))
            .collect();
        let SessionImage { clientid, expiry_secs, left_at_ms, will, subscriptions, incoming, .. } = bare;
        format!(
            "{number} {clientid} {expiry_secs} {left_at_ms:?} {will:?} {subscriptions:?} {incoming:?}\n{entries:#?}\n{sent:?}"
        )
    });
    let sessions: Vec<String> = sessions.collect();
    let retained: Vec<String> =
        image.retained.values().map(|message| without_mark(&format!("{message:?}"))).collect();
    format!("{}\n{}\n{}", sessions.join("\n"), retained.join("\n"), image.queued_bytes())
}

/// The files of a folder, by name.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let paths = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

/// What a server finds that starts with these files.
fn found_in(files: &BTreeMap<String, Vec<u8>>) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    shown(&Log::open(dir.path()).unwrap().1)
}

/// The mark of the writer is none of what a message says.
fn without_mark(text: &str) -> String {
    text.split("written: ").map(|part| part.trim_start_matches(char::is_numeric)).collect()
}

fn change() -> impl Strategy<Value = Change> {
    let session = 1u64..4;
    let id = (1u16..6).prop_map(|id| PacketId::new(id).unwrap());
    let options =
        || Options { qos: QoS::AtLeastOnce, no_local: true, retain_as_published: false, id: Some(7) };
    prop_oneof![
        2 => (session.clone(), any::<bool>()).prop_map(|(session, will)| opened(session, will)),
        1 => (session.clone(), any::<bool>()).prop_map(|(session, with_will)| Change::Left {
            session, at_ms: 5, expiry_secs: 50, with_will
        }),
        1 => session.clone().prop_map(|session| Change::Ended { session }),
        1 => (session.clone(), 0..3).prop_map(move |(session, filter)| Change::Subscribed {
            session, filter: format!("f/{filter}").into(), options: options()
        }),
        1 => (session.clone(), 0..3).prop_map(|(session, filter)| Change::Unsubscribed {
            session, filter: format!("f/{filter}").into()
        }),
        6 => (session.clone(), 1u64..20, 0u128..5).prop_map(|(session, number, of)| {
            queued(session, number, &message(of, &format!("t/{of}"), &[of as u8; 40]))
        }),
        3 => (session.clone(), 1u64..20, id.clone()).prop_map(|(session, number, packet_id)| Change::Sent {
            session, number, packet_id
        }),
        2 => (session.clone(), 1u64..20, id.clone()).prop_map(|(session, number, packet_id)| Change::Released {
            session, number, packet_id
        }),
        3 => (session.clone(), 1u64..20).prop_map(|(session, number)| Change::Done { session, number }),
        1 => (session.clone(), id.clone(), any::<bool>()).prop_map(|(session, packet_id, is_settled)| {
            Change::Taken { session, packet_id, is_settled }
        }),
        1 => (session, id).prop_map(|(session, packet_id)| Change::Freed { session, packet_id }),
        // An id of its own, as every message has.
        2 => (0u128..5).prop_map(|of| Change::Retained(message(100 + of, &format!("t/{of}"), b"kept"))),
        1 => (0..5).prop_map(|of| Change::Cleared(format!("t/{of}").into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What was submitted is found again, however the writer has grouped it, and rewriting the log changes nothing.
    #[test]
    fn a_store_is_found_as_it_was_left(
        rounds in proptest::collection::vec(proptest::collection::vec(change(), 0..60), 1..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Image::default();
        for changes in rounds {
            let (store, found) = Store::open(&settings(&dir)).unwrap();
            prop_assert_eq!(shown(&found), shown(&model));
            for change in changes {
                model.apply(change.clone());
                store.note(change);
            }
            store.close();
        }
        let (log, image) = Log::open(&settings(&dir).dir).unwrap();
        prop_assert_eq!(shown(&image), shown(&model));
        writer::rewrite_for_test(log, image);
        prop_assert_eq!(fs::read_dir(settings(&dir).dir).unwrap().count(), 1);
        let (_, image) = Log::open(&settings(&dir).dir).unwrap();
        prop_assert_eq!(shown(&image), shown(&model));
    }

    /// While a log is written anew, changes come, and a crash or a power cut may end it anywhere: in the middle of a step, or with
    /// only some of the old files removed. What is found then is what was there.
    #[test]
    fn a_rewrite_may_end_anywhere(
        before in proptest::collection::vec(change(), 0..60),
        meanwhile in proptest::collection::vec(change(), 0..12),
        cut: u8,
    ) {
        // A session numbers its deliveries upwards, so none is queued twice.
        let mut numbers = BTreeSet::new();
        let mut is_new = |change: &Change| match change {
            Change::Queued { session, delivery } => numbers.insert((*session, delivery.number)),
            _ => true,
        };
        let before: Vec<_> = before.into_iter().filter(&mut is_new).collect();
        let meanwhile: Vec<_> = meanwhile.into_iter().filter(&mut is_new).collect();
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&settings(&dir)).unwrap();
        before.into_iter().for_each(|change| store.note(change));
        store.close();
        let log_dir = settings(&dir).dir;
        let (log, image) = Log::open(&log_dir).unwrap();
        let mut last: Option<BTreeMap<String, Vec<u8>>> = None;
        writer::rewrite_under_load_for_test(log, image, meanwhile, |image| {
            let now = files(&log_dir);
            assert_eq!(found_in(&now), shown(image));
            let Some(was) = last.replace(now.clone()) else { return };
            // A step, or a change, that was torn: for a change only whether it can be read is known.
            let mut torn = was.clone();
            if let Some((name, bytes)) = now.last_key_value() {
                let begin = was.get(name).map_or(0, Vec::len);
                let end = begin + (bytes.len() - begin) * usize::from(cut) / 256;
                torn.insert(name.clone(), bytes[..end].to_vec());
                found_in(&torn);
            }
            // The old files go one by one, oldest first.
            let mut left = was.clone();
            left.extend(now.clone());
            for name in was.keys().filter(|name| !now.contains_key(*name)) {
                assert_eq!(found_in(&left), shown(image));
                left.remove(name);
            }
        });
    }

    /// Whatever stands in the files, opening ends, and with something that can be written.
    #[test]
    fn damaged_files_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at: usize, byte: u8) {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&settings(&dir)).unwrap();
        store.submit(&mut vec![opened(1, true), queued(1, 1, &message(1, "t", b"x"))], None);
        store.note(Change::Retained(message(2, "r", b"y")));
        store.close();
        let path = settings(&dir).dir.join("00000001.log");
        let mut file = fs::read(&path).unwrap();
        let at = frames::HEADER + at % (file.len() - frames::HEADER);
        file[at] = byte;
        file.splice(at..at, bytes);
        fs::write(&path, file).unwrap();
        let (store, _) = Store::open(&settings(&dir)).unwrap();
        store.note(opened(2, false));
        store.close();
        prop_assert!(Store::open(&settings(&dir)).unwrap().1.sessions.contains_key(&2));
    }
}

#[test]
fn what_is_written_is_settled_and_what_cannot_be_any_more_is_abandoned() {
    let dir = tempfile::tempdir().unwrap();
    let acks = Arc::new(Acks::default());
    let (store, _) = Store::open(&settings(&dir)).unwrap();
    for number in 1..=100 {
        store.submit(&mut vec![queued(1, number, &message(1, "t", b"x"))], Some(part(&acks)));
    }
    store.submit(&mut Vec::new(), Some(part(&acks)));
    store.close();
    assert_eq!((acks.settled.load(Ordering::SeqCst), acks.abandoned.load(Ordering::SeqCst)), (101, 0));
    store.submit(&mut vec![opened(1, false)], Some(part(&acks)));
    assert_eq!(acks.abandoned.load(Ordering::SeqCst), 1);
}

#[test]
fn a_message_for_many_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&settings(&dir)).unwrap();
    let large = message(1, "t", &[7; 100_000]);
    for session in 1..=50 {
        store.submit(&mut vec![opened(session, false), queued(session, 1, &large)], None);
    }
    store.close();
    assert!(store.log_bytes() < 110_000, "{}", store.log_bytes());
    let (_, image) = Store::open(&settings(&dir)).unwrap();
    assert_eq!(image.sessions.len(), 50);
}

#[test]
fn a_log_does_not_grow_with_what_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&settings(&dir)).unwrap();
    store.note(opened(1, false));
    let acks = Arc::new(Acks::default());
    for number in 1..=4_000 {
        let delivery = queued(1, number, &message(number.into(), "t", &[7; 50_000]));
        let done = Change::Done { session: 1, number: number.saturating_sub(10) };
        store.submit(&mut vec![delivery, done], Some(part(&acks)));
        while acks.settled.load(Ordering::SeqCst) + 100 < number as usize {
            std::thread::yield_now();
        }
    }
    store.close();
    // 200 MB went through.
    assert!(store.log_bytes() < 100 << 20, "{}", store.log_bytes());
    let (_, image) = Store::open(&settings(&dir)).unwrap();
    let left: BTreeSet<u64> = image.sessions[&1].entries.keys().copied().collect();
    assert_eq!(left, (3_991..=4_000).collect());
}

#[test]
fn many_starts_leave_few_files() {
    let dir = tempfile::tempdir().unwrap();
    for number in 1..=30 {
        let (store, image) = Store::open(&settings(&dir)).unwrap();
        assert_eq!(image.sessions.len(), number as usize - 1);
        store.note(opened(number, false));
        store.close();
    }
    let files = fs::read_dir(settings(&dir).dir).unwrap().count();
    assert!(files <= 10, "{files}");
}

#[test]
fn a_disk_that_comes_back_gets_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&settings(&dir)).unwrap();
    store.note(opened(1, true));
    let acks = Arc::new(Acks::default());
    store.submit(&mut vec![queued(1, 1, &message(1, "t", b"x"))], Some(part(&acks)));
    let until = |so: &dyn Fn() -> bool| {
        let start = std::time::Instant::now();
        while !so() {
            assert!(start.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    until(&|| acks.settled.load(Ordering::SeqCst) == 1);
    store.fail_writes(true);
    store.submit(&mut vec![queued(1, 2, &message(2, "t", b"y"))], Some(part(&acks)));
    until(&|| !store.is_healthy());
    store.submit(&mut vec![queued(1, 3, &message(3, "t", b"z"))], Some(part(&acks)));
    assert_eq!(acks.settled.load(Ordering::SeqCst), 1);
    // Tried again and again, it leaves nothing behind.
    std::thread::sleep(3 * Duration::from_millis(1_100));
    assert!(fs::read_dir(settings(&dir).dir).unwrap().count() <= 2);
    store.fail_writes(false);
    until(&|| acks.settled.load(Ordering::SeqCst) == 3 && store.is_healthy());
    store.close();
    let (_, image) = Store::open(&settings(&dir)).unwrap();
    assert_eq!(image.sessions[&1].entries.len(), 3);
}

/// Prints what a message costs, and how long opening takes: figures for `docs/decisions/0011-sessions-in-a-log.md`.
/// `cargo test --release -p broker --lib store::tests::what_a_message_costs -- --ignored --nocapture`
#[test]
#[ignore = "measures, and asserts nothing"]
fn what_a_message_costs() {
    const COUNT: u64 = 500_000;
    const GROUP: u64 = 100;
    // Microseconds that the writer has computed.
    let cpu = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("stat"));
        let stats = tasks.filter_map(|path| fs::read_to_string(path).ok());
        // It may be about to start.
        let Some(writer) = stats.filter(|stat| stat.contains("(broker-store)")).last() else { return 0.0 };
        let ticks = writer.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<f64>().unwrap() * 10_000.0).sum::<f64>()
    };
    let plain = |number: u64| SharedMessage::example(number.into(), "plant/7", QoS::ExactlyOnce, &[7; 200]);
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&settings(&dir)).unwrap();
    let acks = Arc::new(Acks::default());
    store.note(opened(1, false));
    let (before, start) = (cpu(), std::time::Instant::now());
    let mut changes = Vec::new();
    for group in 0..COUNT / GROUP {
        for number in group * GROUP + 1..=(group + 1) * GROUP {
            changes.push(queued(1, number, &plain(number)));
            changes.push(Change::Done { session: 1, number: number.saturating_sub(1_000) });
        }
        store.submit(&mut changes, Some(part(&acks)));
        while acks.settled.load(Ordering::SeqCst) <= group as usize {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    let (spent, took) = ((cpu() - before) / COUNT as f64, start.elapsed());
    eprintln!("{spent:.2} us CPU a message, {took:?} in all, {} KiB on the disk", store.log_bytes() >> 10);
    for number in COUNT..COUNT + 100_000 {
        store.note(queued(1, number, &plain(number)));
    }
    store.close();
    let start = std::time::Instant::now();
    let (_, image) = Store::open(&settings(&dir)).unwrap();
    eprintln!("{} entries are read in {:?}", image.sessions[&1].entries.len(), start.elapsed());
}

#[test]
fn formats_of_others_are_refused_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let log = settings(&dir).dir;
    fs::create_dir(&log).unwrap();
    let refusal = |bytes: &[u8]| {
        fs::write(log.join("00000001.log"), bytes).unwrap();
        Store::open(&settings(&dir)).map(|_| ()).unwrap_err().to_string()
    };
    let mut newer = frames::header(1);
    newer[8] = 9;
    assert!(refusal(&newer).contains("has format 9, and this version reads format 1"));
    assert!(refusal(b"something else entirely").contains("move it out of the folder"));
}
