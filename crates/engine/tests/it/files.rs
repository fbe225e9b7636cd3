//! What is live after files change.

use crate::house::House;

const HOT: &str = "--- actions = [{ function = \"republish\", args = { topic = \"hot\", payload = \"${t}\" } }]\n\
                   SELECT payload.t AS t FROM \"in/#\" WHERE payload.t > 30\n";

#[tokio::test]
async fn a_rule_runs_as_soon_as_its_file_is_read() {
    let (house, outcome) = House::open(&[]);
    assert_eq!((outcome.rules, outcome.generation), (0, 1), "an empty folder is a generation too");
    house.write("hot.sql", HOT);
    let outcome = house.reload().await;
    assert_eq!((outcome.rules, outcome.generation, outcome.changed), (1, 2, true));
    house.publish("in/1", r#"{"t": 31}"#);
    house.publish("in/1", r#"{"t": 30}"#);
    assert_eq!(house.published(), ["hot 31"]);
}

#[tokio::test]
async fn a_reload_without_a_change_is_no_new_generation() {
    let (house, first) = House::open(&[("hot.sql", HOT)]);
    let again = house.reload().await;
    assert_eq!((again.generation, again.changed), (first.generation, false));
}

#[tokio::test]
async fn a_broken_file_keeps_its_last_good_version_and_says_so() {
    let (house, _) = House::open(&[("hot.sql", HOT)]);
    house.write("hot.sql", "SELECT payload.t FROM \"in/#\" WHERE payload.t >");
    let outcome = house.reload().await;
    assert_eq!(House::errors(&outcome).len(), 1);
    house.publish("in/1", r#"{"t": 31}"#);
    assert_eq!(house.published(), ["hot 31"]);
    let rule = house.engine.rule("hot").unwrap();
    assert!(rule.sql.contains("> 30"), "the version in force is shown");
    assert_eq!(rule.errors.len(), 1);
    assert!(rule.errors[0].source.name().ends_with("hot.sql"));

    house.write("hot.sql", &HOT.replace("30", "40"));
    house.reload().await;
    house.publish("in/1", r#"{"t": 31}"#);
    assert!(house.published().is_empty() && house.engine.rule("hot").unwrap().errors.is_empty());
}

#[tokio::test]
async fn a_file_broken_at_the_start_is_left_out_and_can_be_asked_for() {
    let (house, outcome) = House::open(&[("hot.sql", "SELECT")]);
    assert_eq!(outcome.rules, 0);
    assert!(!house.engine.rule("hot").unwrap().errors.is_empty());
}

#[tokio::test]
async fn of_two_files_with_one_id_the_later_one_says_so_at_the_rule() {
    let (house, _) = House::open(&[("hot.sql", HOT)]);
    house.write("plant/hot.sql", &HOT.replace("30", "40"));
    house.reload().await;
    let rule = house.engine.rule("hot").unwrap();
    assert!(rule.runs && rule.sql.contains("> 30"), "the one that was there goes on");
    let files: Vec<&str> = rule.errors.iter().map(|error| error.source.name()).collect();
    assert!(matches!(files[..], [file] if file.ends_with("plant/hot.sql")), "{files:?}");
    house.remove("plant/hot.sql");
    house.reload().await;
    assert!(house.engine.rule("hot").unwrap().errors.is_empty());
}

#[tokio::test]
async fn of_two_files_with_one_id_at_the_start_neither_runs() {
    let (house, outcome) = House::open(&[("hot.sql", HOT), ("plant/hot.sql", HOT), ("other.sql", HOT)]);
    assert_eq!((outcome.rules, house.engine.running_rules()), (1, 1));
    let rule = house.engine.rule("hot").unwrap();
    assert_eq!((rule.runs, rule.errors.len()), (false, 2), "both files are told of");
    house.remove("plant/hot.sql");
    house.reload().await;
    let rule = house.engine.rule("hot").unwrap();
    assert!(rule.runs && rule.errors.is_empty() && house.engine.running_rules() == 2);
}

#[tokio::test]
async fn under_strict_what_is_kept_back_says_why() {
    let house = House::strict(&[("hot.sql", HOT), ("gone.sql", HOT)]);
    house.write("hot.sql", "SELECT");
    house.write("new.sql", HOT);
    house.remove("gone.sql");
    assert!(house.reload().await.refused);
    let errors = |id| {
        let rule = house.engine.rule(id).unwrap();
        (rule.runs, rule.errors.iter().map(|error| error.diagnostic.code.as_str()).collect::<Vec<_>>())
    };
    assert_eq!(errors("hot"), (true, vec!["E107"]));
    assert_eq!(errors("new"), (false, vec!["E421"]));
    assert_eq!(errors("gone"), (true, vec![]));
    assert_eq!(house.engine.running_rules(), 2);
    house.publish("in/1", r#"{"t": 31}"#);
    assert_eq!(house.published(), ["hot 31", "hot 31"]);

    // Nothing of it is forgotten: mended, it acts as a whole.
    house.write("hot.sql", &HOT.replace("\"hot\"", "\"warm\""));
    assert!(!house.reload().await.refused);
    assert_eq!((errors("hot"), errors("new")), ((true, vec![]), (true, vec![])));
    assert!(house.engine.rule("gone").is_none());
    house.publish("in/1", r#"{"t": 31}"#);
    assert_eq!(house.published(), ["warm 31", "hot 31"]);
}

#[tokio::test]
async fn a_rule_that_cannot_be_read_can_be_asked_for() {
    let (house, _) = House::open(&[]);
    std::fs::write(house.path("latin.sql"), b"SELECT 'caf\xe9' AS c FROM \"t\"").unwrap();
    std::fs::create_dir(house.path("folder.sql")).unwrap();
    house.reload().await;
    let rule = house.engine.rule("latin").unwrap();
    assert!(!rule.runs && rule.errors[0].source.name().ends_with("latin.sql"));
}

#[tokio::test]
async fn counters_survive_an_edit() {
    let (house, _) = House::open(&[("hot.sql", HOT)]);
    house.publish("in/1", r#"{"t": 31}"#);
    house.write("hot.sql", &HOT.replace("30", "40"));
    house.reload().await;
    house.publish("in/1", r#"{"t": 31}"#);
    let reading = house.engine.rule_metrics("hot").unwrap().reading;
    assert_eq!((reading.matched, reading.passed, reading.failed_no_result), (2, 1, 1));
}

#[tokio::test]
async fn of_two_files_with_one_id_the_one_that_was_loaded_stays() {
    let (house, _) = House::open(&[("hot.sql", HOT)]);
    std::fs::create_dir(house.path("more")).unwrap();
    house.write("more/hot.sql", &HOT.replace("30", "0"));
    let outcome = house.reload().await;
    let errors = House::errors(&outcome);
    assert!(errors.len() == 1 && errors[0].contains("declared twice"), "{errors:?}");
    house.publish("in/1", r#"{"t": 1}"#);
    assert!(house.published().is_empty());
}

#[tokio::test]
async fn at_a_start_neither_of_two_files_with_one_id_runs() {
    let (house, _) = House::open(&[("hot.sql", HOT)]);
    std::fs::create_dir(house.path("more")).unwrap();
    house.write("more/hot.sql", HOT);
    let (house, outcome) = House::over(house.dir);
    assert_eq!((outcome.rules, House::errors(&outcome).len()), (0, 2));
    drop(house);
}

#[tokio::test]
async fn an_action_that_does_not_exist_keeps_the_rule_out_until_it_does() {
    let rule = "--- actions = [\"fake:up\"]\nSELECT * FROM \"in/#\"\n";
    let (house, outcome) = House::open(&[("r.sql", rule)]);
    assert_eq!(
        (outcome.rules, House::errors(&outcome)),
        (0, vec!["there is no action `fake:up`".to_owned()])
    );
    house.write(
        "far.toml",
        "[connectors.fake.far]\nserver = \"appears\"\n[actions.fake.up]\nconnector = \"far\"\ntopic = \"t\"\n",
    );
    let outcome = house.reload().await;
    assert_eq!((outcome.rules, House::errors(&outcome)), (1, vec![]));
}

#[tokio::test]
async fn an_action_that_is_taken_away_is_reported_and_counted() {
    let rule = "--- actions = [\"fake:up\", { function = \"republish\", args = { topic = \"out\" } }]\n\
                SELECT * FROM \"in/#\"\n";
    let far = "[connectors.fake.far]\nserver = \"vanishes\"\n[actions.fake.up]\nconnector = \"far\"\ntopic = \"t\"\n";
    let (house, _) = House::open(&[("r.sql", rule), ("far.toml", far)]);
    house.remove("far.toml");
    let outcome = house.reload().await;
    assert_eq!(House::errors(&outcome), ["there is no action `fake:up`"]);
    house.publish("in/1", "x");
    assert_eq!(house.published(), ["out x"], "the rest of the rule goes on");
    let reading = house.engine.rule_metrics("r").unwrap().reading;
    assert_eq!((reading.actions_success, reading.actions_failed_out_of_service), (1, 1));
}

#[tokio::test]
async fn a_misspelt_placeholder_is_a_warning_with_a_way_out() {
    let rule = "--- actions = [{ function = \"republish\", args = { topic = \"out\", retain = \"${falgs.retain}\" } }]\n\
                SELECT payload FROM \"in/#\"\n";
    let (_house, outcome) = House::open(&[("r.sql", rule)]);
    let finding = &outcome.findings[0];
    assert_eq!(finding.diagnostic.message, "`retain` of republish has `${falgs.retain}`, which is never set");
    assert_eq!(finding.diagnostic.help.as_deref(), Some("did you mean `${flags.retain}`?"));
    assert_eq!(&finding.source.text()[finding.diagnostic.span.range()], "${falgs.retain}");
    assert_eq!(outcome.rules, 1);
}

/// However reloads and messages fall together, one message is judged by one generation of the whole set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_judged_by_one_generation() {
    let rule = |topic: &str, generation: usize| {
        format!(
            "--- actions = [{{ function = \"republish\", args = {{ topic = \"{topic}\", payload = \"{generation}\" }} }}]\n\
             SELECT 1 AS one FROM \"in/#\"\n"
        )
    };
    let (house, _) = House::open(&[("a.sql", &rule("a", 0)), ("b.sql", &rule("b", 0))]);
    let local = std::sync::Arc::clone(&house.local);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let publisher = std::thread::spawn(move || {
        let mut count = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            local.emit("in/1", b"{}", &event::Trail::empty(), None);
            count += 1;
        }
        count
    });
    for generation in 1..=20 {
        house.write("a.sql", &rule("a", generation));
        house.write("b.sql", &rule("b", generation));
        house.reload().await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let count = publisher.join().unwrap();
    let published = house.published();
    assert_eq!(published.len(), 2 * count);
    for pair in published.chunks(2) {
        assert_eq!(pair[0].strip_prefix("a "), pair[1].strip_prefix("b "), "{pair:?}");
    }
}

#[tokio::test]
async fn everything_wrong_with_a_file_is_said_at_once() {
    let far = "[connectors.fake.far]\nservr = \"x\"\n\
               [actions.fake.up]\nconnector = \"far\"\ntopic = \"t\"\n\
               [actions.fake.down]\nconnector = \"fra\"\ntopic = \"t\"\n";
    let (_house, outcome) = House::open(&[("far.toml", far)]);
    let mut errors = House::errors(&outcome);
    errors.sort();
    assert_eq!(errors, ["`server` is missing", "there is no connector `fra`", "there is no setting `servr`"]);
}
