//! Rules that are changed one at a time among many: what is live then is what a reload of everything would have made of it.

use std::collections::BTreeMap;

use engine::{Category, Finding, ResourceId, WriteMode};
use proptest::prelude::*;
use serde_json::json;

use crate::house::House;

/// Enough that most changes share what is there, and few enough that now and then all is put together anew.
const FILES: usize = 48;

#[derive(Debug, Clone)]
enum Step {
    /// A rule of this number listens to a topic of this number, or is disabled.
    Put(usize, usize, bool),
    Delete(usize),
    /// A file comes, or is another one, and all is read anew.
    File(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..8usize, 0..4usize, prop::bool::weighted(0.8)).prop_map(|(id, topic, on)| Step::Put(id, topic, on)),
        3 => (0..8usize).prop_map(Step::Delete),
        1 => (0..FILES, 0..4usize).prop_map(|(file, topic)| Step::File(file, topic)),
    ];
    prop::collection::vec(step, 1..40)
}

fn file(at: usize, topic: usize) -> (String, String) {
    let args = format!("args = {{ topic = \"out/f{at}\", payload = \"x\" }}");
    let sql =
        format!("--- actions = [{{ function = \"republish\", {args} }}]\nSELECT * FROM \"in/{topic}\"\n");
    (format!("f{at}.sql"), sql)
}

async fn run(steps: Vec<Step>) {
    let files: Vec<_> = (0..FILES).map(|at| file(at, 4)).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (house, _) = House::open(&files);
    // By what each publishes: what it listens to, and whether it is enabled.
    let mut model: BTreeMap<String, (usize, bool)> =
        (0..FILES).map(|at| (format!("f{at}"), (4, true))).collect();
    for step in steps {
        match step {
            Step::Put(id, topic, enable) => {
                let name = format!("r{id}");
                let action = json!({ "function": "republish", "args": { "topic": format!("out/{name}"), "payload": "x" } });
                let body = json!({ "sql": format!("SELECT * FROM \"in/{topic}\""), "actions": [action], "enable": enable });
                let mode = if model.contains_key(&name) { WriteMode::Replace } else { WriteMode::Create };
                house.engine.write_rule(Some(&name), body.as_object().unwrap(), mode).await.unwrap();
                model.insert(name, (topic, enable));
            }
            Step::Delete(id) => {
                let deleted = house.engine.delete_rule(&format!("r{id}")).await;
                assert_eq!(deleted.is_ok(), model.remove(&format!("r{id}")).is_some());
            }
            Step::File(at, topic) => {
                let (name, text) = file(at, topic);
                house.write(&name, &text);
                house.reload().await;
                model.insert(format!("f{at}"), (topic, true));
            }
        }
        check(&house, &model);
    }
    let generation = house.engine.generation();
    let outcome = house.reload().await;
    assert!(!outcome.changed && outcome.generation == generation, "a reload finds nothing new: {outcome:?}");
    check(&house, &model);
    let (house, _) = House::over(house.dir);
    check(&house, &model);
}

fn check(house: &House, model: &BTreeMap<String, (usize, bool)>) {
    let ids: Vec<String> = house.engine.rules().iter().map(|rule| rule.id.to_string()).collect();
    assert!(ids.iter().eq(model.keys()), "{ids:?} {model:?}");
    assert_eq!(house.engine.running_rules(), model.values().filter(|(_, enable)| *enable).count());
    for topic in 0..5 {
        house.publish(&format!("in/{topic}"), "");
        let mut published = house.published();
        published.sort();
        let listen = model.iter().filter(|(_, (to, enable))| *to == topic && *enable);
        let expected: Vec<String> = listen.map(|(name, _)| format!("out/{name} x")).collect();
        assert_eq!(published, expected, "in/{topic}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_changes_ends_where_a_fresh_start_would(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}

const FAR: &str = "[connectors.fake.far]\nserver = \"alone\"\n[actions.fake.up]\nconnector = \"far\"\ntopic = \"${speed}\"\n\
    [actions.fake.careful]\nconnector = \"far\"\ntopic = \"t\"\n\
    fallback_actions = [{ kind = \"republish\", args = { topic = \"${heat}\" } }]\n";

/// What is said of a rule, or of the file with the actions, after a change of one rule and after a reload of all.
#[tokio::test]
async fn what_is_said_of_a_rule_and_of_others_is_what_a_reload_would_say() {
    let (house, _) = House::open(&[("far.toml", FAR), ("broken.sql", "SELECT nope(1) FROM \"in\"\n")]);
    let bodies = [
        json!({ "sql": "SELECT payload.t AS speed FROM \"in\"", "actions": ["fake:up"] }),
        json!({ "sql": "SELECT payload.t AS velocity FROM \"in\"", "actions": ["fake:up"] }),
        json!({ "sql": "SELECT payload.t AS heat FROM \"in\"", "actions": ["fake:careful"] }),
        json!({ "sql": "SELECT payload.t AS cold FROM \"in\"", "actions": ["fake:careful"] }),
        json!({ "sql": "SELECT * FROM \"$bridges/fake:nowhere\"" }),
        json!({ "sql": "SELECT * FROM \"in\"" }),
    ];
    let (mut mode, mut warned) = (WriteMode::Create, 0);
    for body in bodies {
        let written = house.engine.write_rule(Some("r"), body.as_object().unwrap(), mode).await.unwrap();
        mode = WriteMode::Replace;
        let generation = house.engine.generation();
        let outcome = house.reload().await;
        assert_eq!((outcome.changed, outcome.generation), (false, generation), "{body}");
        let sql = body["sql"].as_str().unwrap();
        let of_rule = outcome.findings.iter().filter(|finding| finding.source.text().contains(sql));
        let message = |finding: &Finding| finding.diagnostic.message.clone();
        let (of_rule, said): (Vec<_>, Vec<_>) =
            (of_rule.map(message).collect(), written.warnings.iter().map(message).collect());
        assert_eq!(of_rule, said, "{body}");
        warned += said.len();
        assert!(
            house.engine.reloads().partial > 0 && house.engine.reloads().good == 0,
            "one file is broken all the time"
        );
    }
    assert_eq!(warned, 2, "of the template of an action, and of a source");
    let missing = json!({ "sql": "SELECT * FROM \"in\"", "actions": ["fake:nowhere"] });
    assert!(house.engine.write_rule(Some("r"), missing.as_object().unwrap(), mode).await.is_err());
    house.engine.delete_rule("r").await.unwrap();
    assert!(!house.reload().await.changed);
    let up = house.engine.resource(Category::Action, &ResourceId::new("fake", "up"));
    assert!(up.is_some_and(|up| up.errors.is_empty()));
}
