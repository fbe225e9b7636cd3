//! What a mistake of ours may end, and what goes on all the same.

use engine::{Category, ResourceId, WriteError, WriteMode};
use serde_json::json;

use crate::house::{House, OPENED};

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
