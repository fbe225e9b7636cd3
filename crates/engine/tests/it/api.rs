//! Changes from outside: checked, stored, live.

use engine::{Category, Deletion, Dependants, ManagedBy, ResourceId, WriteError, WriteMode};
use serde_json::{Map, Value, json};

use crate::house::House;

const LET_GO: Deletion = Deletion { dependants: Dependants::LetGo, discard: false };

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("not an object"),
    }
}

fn rule(sql: &str) -> Map<String, Value> {
    object(json!({ "sql": sql, "actions": [{ "function": "republish", "args": { "topic": "out" } }] }))
}

#[tokio::test]
async fn what_is_created_runs_and_survives_a_restart() {
    let (house, _) = House::open(&[]);
    let made =
        house.engine.write_rule(Some("r1"), &rule("SELECT * FROM \"in\""), WriteMode::Create).await.unwrap();
    assert_eq!(
        (&*made.view.id, made.view.managed_by, made.view.from),
        ("r1", ManagedBy::Rest, vec!["in".to_owned()])
    );
    house.publish("in", "x");
    assert_eq!(house.published(), ["out x"]);
    let (house, outcome) = House::over(house.dir);
    assert_eq!(outcome.rules, 1);
    house.publish("in", "y");
    assert_eq!(house.published(), ["out y"]);
    house.engine.delete_rule("r1").await.unwrap();
    assert!(house.engine.rule("r1").is_none());
    house.publish("in", "z");
    assert!(house.published().is_empty());
}

#[tokio::test]
async fn mistakes_are_placed_in_the_sql_that_was_sent() {
    let (house, _) = House::open(&[]);
    let sql = "SELECT *\nFROM \"in\"\nWHERE upper(payload) = nope('x')";
    let body = object(json!({ "sql": sql, "description": "two\nlines" }));
    let error = house.engine.write_rule(Some("r1"), &body, WriteMode::Create).await.unwrap_err();
    let WriteError::Invalid(findings) = error else { panic!("{error:?}") };
    let finding = findings.iter().find(|finding| finding.diagnostic.is_error()).unwrap();
    let place = finding.source.locate(finding.diagnostic.span);
    assert_eq!((place.line, place.column), (3, 24));
    assert!(house.engine.rule("r1").is_none());
}

#[tokio::test]
async fn files_are_not_changed_from_outside() {
    let (house, _) = House::open(&[("r1.sql", "SELECT * FROM \"in\"\n")]);
    let path = house.path("r1.sql");
    let owned = |result: Result<(), WriteError>| match result {
        Err(WriteError::ManagedByFile(file)) => assert_eq!(file, path),
        other => panic!("{other:?}"),
    };
    for mode in [WriteMode::Create, WriteMode::Replace] {
        owned(house.engine.write_rule(Some("r1"), &rule("SELECT 1 FROM \"t\""), mode).await.map(drop));
    }
    owned(house.engine.delete_rule("r1").await);
}

#[tokio::test]
async fn under_strict_nothing_changes_while_a_file_is_broken() {
    let house = House::strict(&[("r1.sql", "SELECT * FROM \"in\"\n")]);
    let write = async |id| {
        let body = rule("SELECT 1 AS one FROM \"t\"");
        house.engine.write_rule(Some(id), &body, WriteMode::Create).await
    };
    write("before").await.unwrap();
    house.write("broken.sql", "SELECT");
    assert!(house.reload().await.refused);
    for refused in [write("r2").await.map(drop), house.engine.delete_rule("before").await] {
        let Err(WriteError::Strict(findings)) = refused else { panic!("{refused:?}") };
        assert!(findings[0].source.name().ends_with("broken.sql"));
    }
    house.remove("broken.sql");
    house.reload().await;
    assert!(house.engine.rule("r2").is_none(), "what was refused was not kept for later");
    write("r2").await.unwrap();
    house.engine.delete_rule("before").await.unwrap();
}

#[tokio::test]
async fn an_action_that_another_falls_back_to_stays() {
    let (house, _) = House::open(&[("far.toml", "[connectors.fake.far]\nserver = \"here\"\n")]);
    let action = |more: serde_json::Value| {
        let mut body = object(json!({ "connector": "far", "topic": "t" }));
        body.extend(object(more));
        body
    };
    let write = async |name, body: &serde_json::Map<String, serde_json::Value>| {
        house.engine.write_resource(Category::Action, "fake", name, body, WriteMode::Create).await.map(drop)
    };
    let to_spare =
        action(json!({ "fallback_actions": [{ "kind": "reference", "type": "fake", "name": "spare" }] }));
    let Err(WriteError::Invalid(findings)) = write("main", &to_spare).await else { panic!("it is refused") };
    assert_eq!(findings[0].diagnostic.message, "there is no action `fake:spare`");
    assert_eq!(findings[0].setting.as_ref().unwrap().to_string(), "fallback_actions[0].name");
    write("spare", &action(json!({}))).await.unwrap();
    write("main", &to_spare).await.unwrap();
    let spare = ResourceId::new("fake", "spare");
    for dependants in [Dependants::Refuse, Dependants::LetGo] {
        let deletion = Deletion { dependants, discard: true };
        let deleted = house.engine.delete_resource(Category::Action, &spare, deletion).await;
        let Err(WriteError::InUse(users)) = deleted else { panic!("{deleted:?}") };
        assert_eq!(users, ["action `fake:main`"]);
    }
}

#[tokio::test]
async fn creation_time_survives_a_replacement() {
    let (house, _) = House::open(&[]);
    let first = house
        .engine
        .write_rule(Some("r"), &rule("SELECT 1 AS a FROM \"t\""), WriteMode::Create)
        .await
        .unwrap();
    let second = house
        .engine
        .write_rule(Some("r"), &rule("SELECT 2 AS a FROM \"t\""), WriteMode::Replace)
        .await
        .unwrap();
    assert_eq!(first.view.created_at, second.view.created_at);
    assert_eq!(second.view.sql, "SELECT 2 AS a FROM \"t\"");
}

#[tokio::test]
async fn what_others_use_cannot_be_deleted() {
    let (house, _) = House::open(&[]);
    let connector = object(json!({ "server": "api" }));
    let action = object(json!({ "connector": "far", "topic": "t" }));
    let (connectors, actions) = (Category::Connector, Category::Action);
    let missing = house.engine.write_resource(actions, "fake", "up", &action, WriteMode::Create).await;
    assert!(matches!(missing, Err(WriteError::Invalid(_))), "{missing:?}");
    house.engine.write_resource(connectors, "fake", "far", &connector, WriteMode::Create).await.unwrap();
    let made = house.engine.write_resource(actions, "fake", "up", &action, WriteMode::Create).await.unwrap();
    assert_eq!(made.view.settings["qos"], json!(1), "defaults are filled in");
    let far = ResourceId::new("fake", "far");
    match house.engine.delete_resource(connectors, &far, Deletion::ALONE).await {
        Err(WriteError::InUse(users)) => assert_eq!(users, ["action `fake:up`"]),
        other => panic!("{other:?}"),
    }
    house.engine.delete_resource(actions, &ResourceId::new("fake", "up"), Deletion::ALONE).await.unwrap();
    house.engine.delete_resource(connectors, &far, Deletion::ALONE).await.unwrap();
    assert!(house.engine.resources(connectors).is_empty());
}

#[tokio::test]
async fn rules_let_go_of_what_is_deleted_if_they_may() {
    let (house, _) = House::open(&[]);
    let (connector, action) =
        (object(json!({ "server": "api" })), object(json!({ "connector": "far", "topic": "t" })));
    house
        .engine
        .write_resource(Category::Connector, "fake", "far", &connector, WriteMode::Create)
        .await
        .unwrap();
    house.engine.write_resource(Category::Action, "fake", "up", &action, WriteMode::Create).await.unwrap();
    let body = object(json!({
        "sql": "SELECT * FROM \"t\"", "description": "both",
        "actions": ["fake:up", { "function": "console" }],
    }));
    house.engine.write_rule(Some("r"), &body, WriteMode::Create).await.unwrap();
    let up = ResourceId::new("fake", "up");
    assert_eq!(house.engine.rules_using(Category::Action, &up), ["r".into()]);
    let kept = house.engine.delete_resource(Category::Action, &up, Deletion::ALONE).await;
    assert!(matches!(kept, Err(WriteError::InUse(_))), "{kept:?}");
    house.engine.delete_resource(Category::Action, &up, LET_GO).await.unwrap();
    let rule = house.engine.rule("r").unwrap();
    assert_eq!((rule.actions, rule.description.as_str()), (vec![json!({ "function": "console" })], "both"));
    assert!(rule.errors.is_empty(), "{:?}", rule.errors);
}

#[tokio::test]
async fn rules_let_go_all_or_none_where_the_disk_fails() {
    let (house, _) = House::open(&[]);
    let (connector, action) =
        (object(json!({ "server": "api" })), object(json!({ "connector": "far", "topic": "t" })));
    let (connectors, actions) = (Category::Connector, Category::Action);
    house.engine.write_resource(connectors, "fake", "far", &connector, WriteMode::Create).await.unwrap();
    house.engine.write_resource(actions, "fake", "up", &action, WriteMode::Create).await.unwrap();
    let body = object(json!({ "sql": "SELECT * FROM \"t\"", "actions": ["fake:up"] }));
    for id in ["r1", "r2", "r3"] {
        house.engine.write_rule(Some(id), &body, WriteMode::Create).await.unwrap();
    }
    // A folder where the next version of the second rule is to be written, which root too cannot write over.
    let store = config::store::Store::open(&house.dir.path().join("data")).unwrap();
    let rule = store.rule_path("r2").unwrap();
    let hash = config::ContentHash::of(rule.as_os_str().as_encoded_bytes());
    let blocked = rule.with_file_name(format!(".tmp-{hash}"));
    std::fs::create_dir(&blocked).unwrap();
    let up = ResourceId::new("fake", "up");
    let refused = house.engine.delete_resource(actions, &up, LET_GO).await;
    assert!(matches!(refused, Err(WriteError::Storage(_))), "{refused:?}");
    house.reload().await;
    let users = house.engine.rules_using(actions, &up);
    assert_eq!(users, ["r1", "r2", "r3"].map(Into::into), "nobody has let go");
    std::fs::remove_dir(&blocked).unwrap();
    house.engine.delete_resource(actions, &up, LET_GO).await.unwrap();
    assert!(house.engine.rules_using(actions, &up).is_empty());
    let left = std::fs::read_dir(rule.parent().unwrap()).unwrap().count();
    assert_eq!(left, 3, "nothing half written is left");
}

#[tokio::test]
async fn a_rule_in_a_file_lets_go_of_nothing() {
    let (house, _) = House::open(&[("r.sql", "--- actions = [\"fake:up\"]\nSELECT * FROM \"t\"")]);
    let (connector, action) =
        (object(json!({ "server": "api" })), object(json!({ "connector": "far", "topic": "t" })));
    house
        .engine
        .write_resource(Category::Connector, "fake", "far", &connector, WriteMode::Create)
        .await
        .unwrap();
    house.engine.write_resource(Category::Action, "fake", "up", &action, WriteMode::Create).await.unwrap();
    let up = ResourceId::new("fake", "up");
    match house.engine.delete_resource(Category::Action, &up, LET_GO).await {
        Err(WriteError::ManagedByFile(path)) => assert!(path.ends_with("r.sql")),
        other => panic!("{other:?}"),
    }
    assert!(house.engine.resource(Category::Action, &up).is_some());
}

#[tokio::test]
async fn a_source_is_used_by_the_rules_that_read_it() {
    let (house, _) = House::open(&[]);
    let (connector, source) = (object(json!({ "server": "api" })), object(json!({ "connector": "far" })));
    house
        .engine
        .write_resource(Category::Connector, "fake", "far", &connector, WriteMode::Create)
        .await
        .unwrap();
    house.engine.write_resource(Category::Source, "fake", "down", &source, WriteMode::Create).await.unwrap();
    house
        .engine
        .write_rule(Some("r"), &rule("SELECT * FROM \"$bridges/fake:down\""), WriteMode::Create)
        .await
        .unwrap();
    let down = ResourceId::new("fake", "down");
    match house.engine.delete_resource(Category::Source, &down, Deletion::ALONE).await {
        Err(WriteError::InUse(users)) => assert_eq!(users, ["rule `r`"]),
        other => panic!("{other:?}"),
    }
    house.engine.delete_resource(Category::Source, &down, LET_GO).await.unwrap();
    assert!(house.engine.rule("r").is_some());
}

#[tokio::test]
async fn names_and_kinds_are_checked() {
    let (house, _) = House::open(&[]);
    let bad = house.engine.write_rule(Some("../r"), &rule("SELECT 1 FROM \"t\""), WriteMode::Create).await;
    assert!(matches!(bad, Err(WriteError::BadName(_))), "{bad:?}");
    let body = object(json!({ "server": "x" }));
    let kind = house.engine.write_resource(Category::Connector, "nope", "n", &body, WriteMode::Create).await;
    assert!(matches!(kind, Err(WriteError::UnknownKind(_))), "{kind:?}");
}

#[tokio::test]
async fn a_probe_keeps_nothing() {
    let (house, _) = House::open(&[]);
    let probe = |server: &str| object(json!({ "server": server }));
    assert!(house.engine.probe(Category::Connector, "fake", &probe("up")).await.is_ok());
    match house.engine.probe(Category::Connector, "fake", &probe("down")).await {
        Err(engine::ProbeError::Failed(reason)) => assert_eq!(reason, "TCP: refused"),
        other => panic!("{other:?}"),
    }
    assert!(house.engine.resources(Category::Connector).is_empty());
}
