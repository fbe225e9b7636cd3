//! The four rules of the benchmark, and the messages they run on.

#![allow(dead_code, reason = "those who share it use a part of it each")]

use event::{Event, EventKind, MessageId, MessagePublish, Trail};

/// A rule with payloads as a device sends them one after the other: the same keys, other values of other lengths.
pub(crate) struct Rule {
    /// The rule.
    pub(crate) sql: String,
    /// Whether it rejects any.
    pub(crate) rejects: bool,
    payload: fn(&mut Readings, bool) -> String,
}

impl Rule {
    /// So many payloads, each with other values, that the rule lets through, or does not.
    pub(crate) fn payloads(&self, accepted: bool, count: u64) -> Vec<String> {
        (0..count).map(|seed| (self.payload)(&mut Readings(seed), accepted)).collect()
    }

    /// The same, each with a key at its end that no other has.
    pub(crate) fn shapes(&self, accepted: bool, count: u64) -> Vec<String> {
        let payloads = self.payloads(accepted, count).into_iter().enumerate();
        payloads
            .map(|(at, payload)| format!("{},\"x{at}\":1}}", payload.strip_suffix('}').expect("an object")))
            .collect()
    }
}

/// What a device measures: the same on every run. (The generator is Steele, Lea and Flood's SplitMix.)
struct Readings(u64);

impl Readings {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// An integer within these bounds.
    fn int(&mut self, range: std::ops::Range<i32>) -> i32 {
        range.start + (self.next() % range.len() as u64) as i32
    }

    /// A number within these bounds with at most one decimal.
    fn float(&mut self, range: std::ops::Range<i32>) -> f64 {
        f64::from(self.int(range.start * 10 + 1..range.end * 10)) / 10.0
    }
}

fn small(readings: &mut Readings, accepted: bool) -> String {
    let temp = readings.float(if accepted { 25..110 } else { -5..25 });
    let (hum, ok) = (readings.float(0..100), readings.int(0..8) > 0);
    let ts = 1_700_000_000_000_u64 + readings.next() % 1_000_000_000;
    format!(r#"{{"temp":{temp},"hum":{hum},"unit":"C","ts":{ts},"ok":{ok}}}"#)
}

fn large(readings: &mut Readings, accepted: bool) -> String {
    let mut channel = |at: u32| {
        let values = [0..1000, 0..10, 0..100].map(|range| readings.int(range));
        let ok = readings.int(0..8) > 0;
        let (level, [first, second, third]) = (readings.float(0..20), values);
        format!(
            r#"{{"id":{at},"name":"channel {at}","values":[{level},{first},{second},{third}],"ok":{ok}}}"#
        )
    };
    let channels: Vec<_> = (0..18).map(&mut channel).collect();
    let level = readings.int(if accepted { 4..40 } else { 0..4 });
    let note = [r#"line \"two\""#, r#"line \"three\""#, "idle", ""][readings.int(0..4) as usize];
    let device = format!(r#"{{"model":{{"name":"press","level":{level}}},"serial":"A-100"}}"#);
    let channels = channels.join(",");
    format!(r#"{{"channels":[{channels}],"site":"gh-1","device":{device},"note":"{note}"}}"#)
}

fn sensors(readings: &mut Readings, accepted: bool) -> String {
    let mut sensor = |at: i32| {
        let t = readings.float(if accepted && at >= 4 { 30..50 } else { 5..30 });
        format!(r#"{{"id":"s{at}","t":{t},"tags":["in","a"],"unit":"C"}}"#)
    };
    let sensors: Vec<_> = (0..10).map(&mut sensor).collect();
    format!(r#"{{"site":"gh-1","sensors":[{}]}}"#, sensors.join(","))
}

/// (a) everything; (b) one field of a small payload; (c) a nested path, a function and a topic match on 1.2 KB;
/// (d) a loop over ten sensors.
pub(crate) fn all() -> Vec<Rule> {
    let from = "FROM \"plant/+/state\"";
    let rule = |sql, rejects, payload| Rule { sql, rejects, payload };
    vec![
        rule(format!("SELECT * {from}"), false, small),
        rule(format!("SELECT payload.temp AS t, clientid {from} WHERE payload.temp > 25"), true, small),
        rule(
            format!(
                "SELECT upper(payload.device.model.name) AS model, payload.device.serial AS serial, topic {from} \
                 WHERE payload.device.model.level > 3 AND topic =~ 'plant/+/state'"
            ),
            true,
            large,
        ),
        rule(
            format!("FOREACH payload.sensors AS s DO s.id AS id, s.t AS t, clientid INCASE s.t > 30 {from}"),
            true,
            sensors,
        ),
    ]
}

/// A message with this payload.
pub(crate) fn message(payload: &[u8]) -> MessagePublish<'_> {
    MessagePublish {
        id: MessageId::new(1_700_000_000_000_000, 7, 1),
        clientid: "press4",
        username: Some("ops"),
        peername: Some(([192, 168, 0, 10], 32781).into()),
        topic: "plant/press4/state",
        qos: 1,
        retain: false,
        dup: false,
        payload,
        properties: None,
        received_at_ms: 1_700_000_000_000,
        node: "sluicegate@127.0.0.1",
    }
}

/// The event of a message.
pub(crate) fn event<'a>(message: &'a MessagePublish<'a>) -> Event<'a> {
    static TRAIL: Trail = Trail::empty();
    Event {
        kind: EventKind::MessagePublish,
        from: [message.topic, ""],
        timestamp_ms: message.received_at_ms,
        columns: message,
        trail: &TRAIL,
    }
}
