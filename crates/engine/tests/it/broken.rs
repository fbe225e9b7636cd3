//! What a mistake of ours may end, and what goes on all the same.

use std::sync::Arc;

use engine::dead_letters::Filter;
use engine::{Category, ResourceId, RuleReading, WriteError, WriteMode};
use event::{AckLevel, Acker, Column, Completion, Outcome, Trail};
use parking_lot::Mutex;
use serde_json::json;

use crate::house::{Acks, House, OPENED, queue_of, sent};

const RULE: &str =
    "--- actions = [{ function = \"republish\", args = { topic = \"out\" } }]\nSELECT payload FROM \"in\"\n";

fn connector(server: &str) -> String {
    format!("[connectors.fake.far]\nserver = \"{server}\"\n")
}

/// Publishes, and whether the rule saw it.
fn runs(house: &House) -> bool {
    house.publish("in", "x");
    !house.published().is_empty()
}

#[tokio::test]
async fn a_file_that_breaks_the_reader_is_that_files_error_alone() {
    let (house, outcome) = House::open(&[("far.toml", &connector("breaks check")), ("r1.sql", RULE)]);
    assert_eq!(House::errors(&outcome).len(), 1, "{:?}", outcome.findings);
    assert!(House::errors(&outcome)[0].contains("as bugs do"));
    assert!(runs(&house), "the start went on");
    house.write("r2.sql", RULE);
    assert_eq!(house.reload().await.rules, 2, "and so do reloads");
    house.write("far.toml", &connector("well"));
    assert!(House::errors(&house.reload().await).is_empty());
}

/// An action, and a rule for it.
fn action(topic: &str) -> String {
    format!("{}[actions.fake.up]\nconnector = \"far\"\ntopic = \"{topic}\"\n", connector("well"))
}

const TO_ACTION: &str = "--- actions = [\"fake:up\"]\nSELECT payload FROM \"in\"\n";

#[tokio::test]
async fn a_reload_that_breaks_off_leaves_what_is_in_force_and_the_next_one_works() {
    let (house, outcome) = House::open(&[("far.toml", &action("t")), ("r1.sql", RULE)]);
    house.write("far.toml", &action("breaks assembling"));
    house.write("r2.sql", TO_ACTION);
    let broken = house.engine.reload().await;
    assert!(matches!(broken, Err(WriteError::BrokeOff)), "{broken:?}");
    assert_eq!((house.engine.generation(), house.engine.reloads().broken), (outcome.generation, 1));
    assert!(runs(&house) && house.engine.rule("r2").is_none());
    house.write("far.toml", &action("elsewhere"));
    let outcome = house.reload().await;
    assert_eq!((outcome.rules, House::errors(&outcome)), (2, Vec::new()));
    let up = house.engine.resource(Category::Action, &ResourceId::new("fake", "up")).unwrap();
    assert_eq!(up.settings["topic"], "elsewhere");
}

#[tokio::test]
async fn a_write_that_breaks_off_says_so_and_stores_nothing() {
    let (house, _) = House::open(&[("r1.sql", RULE)]);
    let write = async |server: &str| {
        let body = json!({ "server": server });
        let body = body.as_object().unwrap();
        house.engine.write_resource(Category::Connector, "fake", "far", body, WriteMode::Create).await
    };
    let answer = write("breaks check").await;
    assert!(matches!(answer, Err(WriteError::BrokeOff)), "{answer:?}");
    assert!(runs(&house));
    write("well").await.unwrap();
}

#[tokio::test]
async fn counters_and_queues_live_through_a_reload_that_breaks_off_late() {
    let (house, _) = House::open(&[("r1.sql", RULE)]);
    house.engine.open_sources().await;
    assert!(runs(&house));
    house.local.breaks_listening(true);
    house.write("r2.sql", RULE);
    assert!(matches!(house.engine.reload().await, Err(WriteError::BrokeOff)));
    house.local.breaks_listening(false);
    house.write("r3.sql", RULE);
    assert_eq!(house.reload().await.rules, 3);
    assert_eq!(house.engine.rule_metrics("r1").unwrap().reading.matched, 1);
}

#[tokio::test]
async fn a_connector_that_breaks_is_opened_anew() {
    for server in ["breaks open", "breaks task"] {
        let (house, _) = House::open(&[("far.toml", &connector(server))]);
        let times = || OPENED.lock().iter().filter(|name| *name == server).count();
        let status =
            || house.engine.resource(Category::Connector, &ResourceId::new("fake", "far")).unwrap().status;
        while times() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        while status() != connector::Status::connected() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

/// Hears of every acknowledgement as soon as it may go out.
struct Waiting(Mutex<Option<tokio::sync::oneshot::Sender<Outcome>>>);

impl Acker for Waiting {
    fn settled(&self, _: u64, outcome: Outcome) {
        let heard = self.0.lock().take();
        _ = heard.map(|heard| heard.send(outcome));
    }
}

/// Publishes a message whose publisher waits until it is delivered, and says what it hears.
async fn acknowledged(house: &House, payload: &str) -> Outcome {
    let (heard, outcome) = tokio::sync::oneshot::channel();
    let token = Completion::new(Arc::new(Waiting(Mutex::new(Some(heard)))), 1, AckLevel::Delivered);
    house.local.emit("in", payload.as_bytes(), &Trail::empty(), Some(&token));
    if token.release() { Outcome::Settled } else { outcome.await.unwrap() }
}

fn reading(house: &House, rule: &str) -> RuleReading {
    house.engine.rule_metrics(rule).unwrap().reading
}

/// The reasons of all dead letters.
fn reasons(house: &House) -> Vec<String> {
    let letters = house.engine.dead_letters();
    let filter = Filter::default();
    letters.ids(&filter).into_iter().filter_map(|id| letters.get(id)).map(|letter| letter.reason).collect()
}

#[tokio::test]
async fn a_rule_that_breaks_fails_and_the_others_judge_the_message() {
    let to = |topic: &str, sql: &str| {
        let args = format!("args = {{ topic = \"{topic}\", payload = \"${{t}}\" }}");
        format!("--- actions = [{{ function = \"republish\", {args} }}]\n{sql}\n")
    };
    let (house, outcome) = House::open(&[
        ("a.sql", &to("a", "SELECT payload.t AS t FROM \"in\"")),
        ("b.sql", &to("b", "SELECT payload.t AS t FROM \"in\" WHERE payload.t > 0 AND peerhost = 'x'")),
        ("c.sql", &to("c", "SELECT payload.t + 1 AS t FROM \"in\"")),
        ("d.sql", &to("d", "SELECT peerhost, payload.t AS t FROM \"in\"")),
        ("e.sql", &to("e", "FOREACH payload.l AS l DO l.t AS t FROM \"in\"")),
    ]);
    assert!(House::errors(&outcome).is_empty(), "{:?}", outcome.findings);
    let payload = r#"{"t": 7, "l": [{"t": 1}, {"t": 2}]}"#;
    house.local.breaks_reading(Some(Column::Peerhost));
    for _ in 0..3 {
        assert_eq!(acknowledged(&house, payload).await, Outcome::Settled, "it does not come again");
        assert_eq!(house.published(), ["a 7", "c 8", "e 1", "e 2"]);
    }
    house.local.breaks_reading(None);
    house.publish("in", payload);
    assert_eq!(house.published(), ["a 7", "c 8", "d 7", "e 1", "e 2"]);
    for (rule, passed, exceptions, filtered) in
        [("a", 4, 0, 0), ("b", 0, 3, 1), ("d", 1, 3, 0), ("e", 4, 0, 0)]
    {
        let reading = reading(&house, rule);
        assert_eq!(reading.matched, 4, "{rule}");
        assert_eq!(
            (reading.passed, reading.failed_exception, reading.failed_no_result),
            (passed, exceptions, filtered)
        );
    }
}

#[tokio::test]
async fn a_rule_that_breaks_behind_a_republish_is_none_of_the_first_one() {
    let again =
        "--- actions = [{ function = \"republish\", args = { topic = \"second\" } }]\nSELECT * FROM \"in\"\n";
    let (house, _) =
        House::open(&[("a.sql", again), ("b.sql", "SELECT peerhost FROM \"second\"\n"), ("c.sql", RULE)]);
    house.local.breaks_reading(Some(Column::Peerhost));
    assert_eq!(acknowledged(&house, "x").await, Outcome::Settled);
    let counts = |rule| {
        let reading = reading(&house, rule);
        (reading.passed, reading.failed_exception, reading.actions_success)
    };
    // It selects everything, and so breaks itself.
    assert_eq!((counts("a"), counts("c")), ((0, 1, 0), (1, 0, 1)));
    house.write("a.sql", &again.replace('*', "payload"));
    house.reload().await;
    assert_eq!(acknowledged(&house, "x").await, Outcome::Settled);
    assert_eq!((counts("a"), counts("b"), counts("c")), ((1, 1, 1), (0, 1, 0), (2, 0, 2)));
}

#[tokio::test]
async fn an_action_that_breaks_leaves_a_letter_and_the_other_actions_get_the_row() {
    let far = [
        "[connectors.fake.far]\nserver = \"broken-action\"\n",
        "[actions.fake.faulty]\nconnector = \"far\"\ntopic = \"breaks rendering\"\n",
        "fallback_actions = [{ kind = \"reference\", type = \"fake\", name = \"faultier\" },",
        "  { kind = \"republish\", args = { topic = \"fallback\" } }]\n",
        "[actions.fake.faultier]\nconnector = \"far\"\ntopic = \"breaks rendering\"\n",
    ];
    let rule = "--- actions = [\"fake:faulty\", { function = \"republish\", args = { topic = \"breaks publishing\" } }, { function = \"republish\", args = { topic = \"out\" } }]\nSELECT payload FROM \"in\"\n";
    let (house, outcome) = House::open(&[("far.toml", &far.concat()), ("r.sql", rule)]);
    assert!(House::errors(&outcome).is_empty(), "{:?}", outcome.findings);
    for turn in 1..=2 {
        assert_eq!(acknowledged(&house, "x").await, Outcome::Settled);
        assert_eq!(house.published(), ["fallback x", "out x"], "turn {turn}");
        let counts = reading(&house, "r");
        assert_eq!((counts.passed, counts.failed()), (turn, 0));
        assert_eq!((counts.actions_failed_unknown, counts.actions_success), (2 * turn, turn));
        assert_eq!(reasons(&house).len() as u64, turn);
    }
    let (letters, filter) = (house.engine.dead_letters(), Filter::default());
    let letter = letters.get(letters.ids(&filter)[0]).unwrap();
    assert_eq!(
        (letter.action.as_str(), letter.stage.as_str(), letter.rule.as_str()),
        ("fake:faulty", "render", "r")
    );
    assert!(letter.reason.contains("as bugs do"), "{}", letter.reason);
    assert_eq!((letter.row, letter.message.unwrap().payload), (Some(json!({"payload": "x"})), b"x".to_vec()));
}

#[tokio::test]
async fn what_breaks_while_a_request_is_written_down_leaves_a_letter_too() {
    let far = connector("broken-trace") + "[actions.fake.up]\nconnector = \"far\"\ntopic = \"t\"\n";
    let (house, _) = House::open(&[("far.toml", &far), ("r.sql", TO_ACTION)]);
    let queue = queue_of("broken-trace").await;
    house.local.breaks_reading(Some(Column::Username));
    assert_eq!(acknowledged(&house, "x").await, Outcome::Settled);
    assert_eq!((reasons(&house).len(), sent(&queue).len()), (1, 0));
    house.local.breaks_reading(None);
    let token = Completion::new(Arc::new(Acks::default()), 1, AckLevel::Durable);
    house.local.emit("in", b"y", &Trail::empty(), Some(&token));
    assert_eq!(sent(&queue), [r#"t {"payload":"y"}"#]);
}
