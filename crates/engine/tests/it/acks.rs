//! When an acknowledgement may go out.

use std::sync::Arc;

use event::{AckLevel, Acker, Completion, Outcome, Trail};

use crate::house::{Acks, House, queue_of, sent};

const RULE: &str = "--- actions = [\"fake:up\"]\nSELECT * FROM \"in\"\n";

fn far(server: &str) -> String {
    format!(
        "[connectors.fake.far]\nserver = \"{server}\"\n[actions.fake.up]\nconnector = \"far\"\ntopic = \"t\"\n"
    )
}

fn completion(acks: &Arc<Acks>, ticket: u64, level: AckLevel) -> Completion {
    Completion::new(Arc::clone(acks) as Arc<dyn Acker>, ticket, level)
}

#[tokio::test]
async fn delivered_waits_for_the_far_side() {
    let (house, _) = House::open(&[("r.sql", RULE), ("far.toml", &far("acks-delivered"))]);
    let queue = queue_of("acks-delivered").await;
    let acks = Arc::new(Acks::default());
    let token = completion(&acks, 7, AckLevel::Delivered);
    house.local.emit("in", b"x", &Trail::empty(), Some(&token));
    assert!(!token.release());
    assert!(acks.0.lock().is_empty());
    sent(&queue);
    assert_eq!(*acks.0.lock(), [(7, Outcome::Settled)]);
}

#[tokio::test]
async fn received_and_durable_do_not_wait_for_memory() {
    let (house, _) = House::open(&[("r.sql", RULE), ("far.toml", &far("acks-received"))]);
    queue_of("acks-received").await;
    for level in [AckLevel::Received, AckLevel::Durable] {
        let token = completion(&Arc::new(Acks::default()), 1, level);
        house.local.emit("in", b"x", &Trail::empty(), Some(&token));
        assert!(token.release());
    }
}

#[tokio::test]
async fn what_nobody_wants_or_cannot_be_judged_is_settled() {
    let (house, _) = House::open(&[("r.sql", "SELECT payload.t AS t FROM \"in\" WHERE payload.t = 1\n")]);
    for (topic, payload) in [("other", "x"), ("in", "{}"), ("in", "no json")] {
        let token = completion(&Arc::new(Acks::default()), 1, AckLevel::Delivered);
        house.local.emit(topic, payload.as_bytes(), &Trail::empty(), Some(&token));
        assert!(token.release(), "{topic} {payload}");
    }
}

#[tokio::test]
async fn the_acknowledgement_waits_through_a_republish_too() {
    let first =
        "--- actions = [{ function = \"republish\", args = { topic = \"in\" } }]\nSELECT * FROM \"first\"\n";
    let (house, _) = House::open(&[("a.sql", first), ("r.sql", RULE), ("far.toml", &far("acks-republish"))]);
    let queue = queue_of("acks-republish").await;
    let acks = Arc::new(Acks::default());
    let token = completion(&acks, 3, AckLevel::Delivered);
    house.local.emit("first", b"x", &Trail::empty(), Some(&token));
    assert!(!token.release());
    sent(&queue);
    assert_eq!(*acks.0.lock(), [(3, Outcome::Settled)]);
}

#[tokio::test]
async fn a_deleted_action_lets_go_of_what_waits_for_it() {
    let (house, _) = House::open(&[("r.sql", RULE), ("far.toml", &far("acks-deleted"))]);
    let queue = queue_of("acks-deleted").await;
    let acks = Arc::new(Acks::default());
    let token = completion(&acks, 9, AckLevel::Delivered);
    house.local.emit("in", b"x", &Trail::empty(), Some(&token));
    assert!(!token.release());
    house.remove("far.toml");
    house.reload().await;
    assert_eq!(*acks.0.lock(), [(9, Outcome::Settled)]);
    let reading = queue.reading(std::time::Instant::now());
    assert_eq!(reading.counters.dropped_resource_stopped, 1);
}
