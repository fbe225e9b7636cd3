//! The four rules of the benchmark, and the messages they run on.

use event::{Event, EventKind, MessageId, MessagePublish, Trail};

/// A rule with a payload that it lets through and one that it does not.
pub(crate) struct Rule {
    /// The rule.
    pub(crate) sql: String,
    /// A payload for which there are rows.
    pub(crate) accepted: String,
    /// A payload for which there are none, if the rule rejects any.
    pub(crate) rejected: Option<String>,
}

/// (a) everything; (b) one field of a small payload; (c) a nested path, a function and a topic match on 1.4 KB;
/// (d) a loop over ten sensors.
pub(crate) fn all() -> Vec<Rule> {
    let small =
        |temp: f64| format!(r#"{{"temp":{temp},"hum":61.5,"unit":"C","ts":1700000000000,"ok":true}}"#);
    let large = |level: u32| {
        let padding: Vec<_> = (0..18)
            .map(|at| format!(r#"{{"id":{at},"name":"channel {at}","values":[{at}.5,2,3,4],"ok":true}}"#))
            .collect();
        let device = format!(r#"{{"model":{{"name":"press","level":{level}}},"serial":"A-100"}}"#);
        format!(
            r#"{{"channels":[{}],"site":"gh-1","device":{device},"note":"line \"two\""}}"#,
            padding.join(",")
        )
    };
    let sensors = |add: u32| {
        let sensors: Vec<_> = (0..10)
            .map(|at| format!(r#"{{"id":"s{at}","t":{}.5,"tags":["in","a"],"unit":"C"}}"#, 20 + at * add))
            .collect();
        format!(r#"{{"site":"gh-1","sensors":[{}]}}"#, sensors.join(","))
    };
    let from = "FROM \"plant/+/state\"";
    let rule = |sql, accepted, rejected| Rule { sql, accepted, rejected };
    vec![
        rule(format!("SELECT * {from}"), small(21.5), None),
        rule(
            format!("SELECT payload.temp AS t, clientid {from} WHERE payload.temp > 25"),
            small(31.5),
            Some(small(21.5)),
        ),
        rule(
            format!(
                "SELECT upper(payload.device.model.name) AS model, payload.device.serial AS serial, topic {from} \
                 WHERE payload.device.model.level > 3 AND topic =~ 'plant/+/state'"
            ),
            large(5),
            Some(large(1)),
        ),
        rule(
            format!("FOREACH payload.sensors AS s DO s.id AS id, s.t AS t, clientid INCASE s.t > 30 {from}"),
            sensors(3),
            Some(sensors(0)),
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
