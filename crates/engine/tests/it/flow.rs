//! What becomes of one message.

use crate::house::{House, queue_of, sent};

#[tokio::test]
async fn rows_are_rendered_into_the_queue_of_an_action() {
    let (house, _) = House::open(&[
        ("r.sql", "--- actions = [\"fake:up\"]\nSELECT payload.t AS t FROM \"in/#\"\n"),
        (
            "far.toml",
            "[connectors.fake.far]\nserver = \"flow\"\n[actions.fake.up]\nconnector = \"far\"\n\
             topic = \"pub/${topic}\"\npayload = \"${t} ${clientid}\"\n",
        ),
    ]);
    let queue = queue_of("flow").await;
    house.publish("in/1", r#"{"t": 5}"#);
    house.publish("in/2", r#"{"t": 6}"#);
    let mut sent = sent(&queue);
    sent.sort();
    assert_eq!(sent, ["pub/in/1 5 c1", "pub/in/2 6 c1"], "the topic is not selected: the event supplies it");
    let reading = queue.reading(std::time::Instant::now());
    assert!(reading.balances() && reading.counters.success == 2, "{reading:?}");
}

#[tokio::test]
async fn what_is_counted_adds_up() {
    let (house, _) = House::open(&[("r.sql", "SELECT payload.t AS t FROM \"in/#\" WHERE payload.t > 1\n")]);
    for payload in [r#"{"t": 2}"#, r#"{"t": 1}"#, "no json", r#"{"t": 3}"#, r#"{}"#] {
        house.publish("in/1", payload);
    }
    let reading = house.engine.rule_metrics("r").unwrap().reading;
    assert_eq!(
        (reading.matched, reading.passed, reading.failed_exception, reading.failed_no_result),
        (5, 2, 1, 2)
    );
    assert_eq!(reading.matched, reading.passed + reading.failed());
}

#[tokio::test]
async fn a_rule_does_not_feed_itself_and_a_ring_ends() {
    let republish = |topic: &str, from: &str| {
        format!(
            "--- actions = [{{ function = \"republish\", args = {{ topic = \"{topic}\", payload = \"x\" }} }}]\n\
             SELECT 1 AS one FROM \"{from}\"\n"
        )
    };
    let (house, _) = House::open(&[
        ("a.sql", &republish("b", "a")),
        ("b.sql", &republish("a", "b")),
        ("c.sql", &republish("c", "c")),
    ]);
    house.publish("a", "");
    assert_eq!(house.published(), ["b x", "a x"]);
    house.publish("c", "");
    assert_eq!(house.published(), ["c x"]);
    assert_eq!(house.engine.rule_metrics("c").unwrap().reading.actions_discarded, 1);
}

#[tokio::test]
async fn a_topic_that_cannot_be_published_to_fails_that_action_only() {
    let (house, _) = House::open(&[(
        "r.sql",
        "--- actions = [\n\
         ---   { function = \"republish\", args = { topic = \"a/${payload.t}\" } },\n\
         ---   { function = \"republish\", args = { topic = \"b\" } },\n\
         --- ]\nSELECT * FROM \"in\"\n",
    )]);
    house.publish("in", r##"{"t": "#"}"##);
    assert_eq!(house.published(), [r##"b {"t": "#"}"##]);
    let reading = house.engine.rule_metrics("r").unwrap().reading;
    assert_eq!((reading.actions_success, reading.actions_failed_unknown, reading.actions_total()), (1, 1, 2));
}

#[tokio::test]
async fn a_disabled_action_drops_and_counts() {
    let far = |enable: bool| {
        format!(
            "[connectors.fake.far]\nserver = \"disabled\"\n\
             [actions.fake.up]\nconnector = \"far\"\ntopic = \"t\"\nenable = {enable}\n"
        )
    };
    let rule = "--- actions = [\"fake:up\"]\nSELECT * FROM \"in\"\n";
    let (house, _) = House::open(&[("r.sql", rule), ("far.toml", &far(true))]);
    let queue = queue_of("disabled").await;
    house.publish("in", "kept");
    house.write("far.toml", &far(false));
    house.reload().await;
    house.publish("in", "dropped");
    let reading = queue.reading(std::time::Instant::now());
    assert_eq!((reading.fill.queuing, reading.counters.dropped_resource_stopped), (1, 1));
    assert!(reading.balances());
}

#[tokio::test]
async fn a_disabled_rule_sees_nothing() {
    let (house, _) = House::open(&[("r.sql", "--- enable = false\nSELECT * FROM \"in\"\n")]);
    house.publish("in", "x");
    assert_eq!(house.engine.rule_metrics("r").unwrap().reading.matched, 0);
}
