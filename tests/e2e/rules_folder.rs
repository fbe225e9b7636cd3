//! The rules folder as deployments and editors treat it.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;

use testkit::{Client, Signal, Sluicegate, wait_for, wait_until};

use crate::gate;

fn rule(value: &str) -> String {
    format!(
        "--- actions = [{{ function = \"republish\", args = {{ topic = \"out\", payload = \"${{v}}\" }} }}]\nSELECT '{value}' AS v FROM \"in\""
    )
}

/// Waits until the rule `r` says this.
async fn says(gate: &Sluicegate, client: &Client, value: &str) {
    wait_until(&format!("the rule says {value}"), async || {
        let answer = gate.http().get("/api/v5/rules/r").await;
        answer.status == 200
            && answer.at("/sql").as_str().is_some_and(|sql| sql.contains(&format!("'{value}'")))
    })
    .await;
    client.publish("in", "", 1).await;
    assert_eq!(client.next("out").await.payload, value.as_bytes());
    client.nothing("out").await;
}

async fn started(gate: &Sluicegate) -> Client {
    let client = Client::connect(gate.mqtt(), "c1").await;
    client.subscribe("out", 1).await;
    client
}

#[tokio::test]
async fn a_config_map_is_replaced_as_a_whole() {
    let gate = gate().start().await;
    let client = started(&gate).await;
    let rules = gate.home().join("rules");
    for (version, value) in [("..2026_1", "one"), ("..2026_2", "two")] {
        fs::create_dir(rules.join(version)).unwrap();
        fs::write(rules.join(version).join("r.sql"), rule(value)).unwrap();
        symlink(version, rules.join("..data_tmp")).unwrap();
        fs::rename(rules.join("..data_tmp"), rules.join("..data")).unwrap();
        if value == "one" {
            symlink("..data/r.sql", rules.join("r.sql")).unwrap();
        } else {
            fs::remove_dir_all(rules.join("..2026_1")).unwrap();
        }
        says(&gate, &client, value).await;
    }
}

#[tokio::test]
async fn what_links_lead_to_and_what_editors_leave_behind() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("r.sql"), rule("one")).unwrap();
    let gate = gate().start().await;
    let client = started(&gate).await;
    let rules = gate.home().join("rules");
    symlink(elsewhere.path().join("r.sql"), rules.join("r.sql")).unwrap();
    says(&gate, &client, "one").await;
    // In place, where no watch of the folder sees it.
    fs::write(elsewhere.path().join("r.sql"), rule("two")).unwrap();
    says(&gate, &client, "two").await;

    for leftover in [".r.sql.swp", "r.sql~", ".#r.sql", "4913", "r.sql.bak"] {
        fs::write(rules.join(leftover), "SELECT nonsense((").unwrap();
    }
    // As vim saves: the old file goes aside, the new one takes its name.
    fs::rename(rules.join("r.sql"), rules.join("r.sql~")).unwrap();
    fs::write(rules.join("r.sql"), rule("three")).unwrap();
    says(&gate, &client, "three").await;
    let reload = gate.http().post("/api/v5/reload", &serde_json::Value::Null).await.expect(200);
    assert!(!reload.body.contains("nonsense"), "{reload}");
}

#[tokio::test]
async fn a_file_that_is_written_in_pieces_is_taken_when_it_is_whole() {
    use std::io::Write as _;
    let gate = gate().rule("r", &rule("one")).start().await;
    let client = started(&gate).await;
    let text = rule("two");
    let (first, rest) = text.split_at(text.find("SELECT").unwrap() + 3);
    let mut file = fs::File::create(gate.home().join("rules/r.sql")).unwrap();
    file.write_all(first.as_bytes()).unwrap();
    // The half is an error, and the last good version goes on.
    gate.process().wait_line("keeps its last good version").await;
    says(&gate, &client, "one").await;
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    says(&gate, &client, "two").await;
}

#[tokio::test]
async fn a_reload_that_is_asked_for_answers_with_what_it_did() {
    let gate = gate().config("[rules]\nwatch = false\n").rule("r", &rule("one")).start().await;
    let client = started(&gate).await;
    let reload = async || gate.http().post("/api/v5/reload", &serde_json::Value::Null).await.expect(200);
    let first = reload().await;
    assert_eq!((first.at("/generation"), first.at("/changed")), (1.into(), false.into()), "{first}");
    gate.write("r.sql", &rule("two"));
    gate.write("broken.sql", "SELECT nope( FROM");
    let second = reload().await;
    assert_eq!(
        (second.at("/generation"), second.at("/changed"), second.at("/rules")),
        (2.into(), true.into(), 1.into()),
        "{second}"
    );
    assert!(second.body.contains("broken.sql"), "{second}");
    says(&gate, &client, "two").await;
    gate.write("r.sql", &rule("three"));
    gate.process().signal(Signal::HUP);
    gate.process().wait_line("SIGHUP").await;
    let line = gate.process().wait_line("reloaded").await;
    assert!(line.contains("generation=3") && line.contains("errors="), "{line}");
    says(&gate, &client, "three").await;
}

#[tokio::test]
async fn strict_takes_all_or_nothing() {
    let gate = gate().config("[rules]\nstrict = true\n").rule("r", &rule("one")).start().await;
    let client = started(&gate).await;
    gate.write("other.sql", "SELECT nope( FROM");
    gate.write("r.sql", &rule("two"));
    gate.process().wait_line("refused as a whole").await;
    says(&gate, &client, "one").await;
    // What was refused says so where people look, and REST changes nothing either.
    let rule = gate.http().get("/api/v5/rules/r").await.expect(200);
    assert_eq!(rule.at("/error/code"), "E421", "{rule}");
    let other = gate.http().get("/api/v5/rules/other").await.expect(200);
    assert!(other.at("/error/file").as_str().is_some_and(|file| file.ends_with("other.sql")), "{other}");
    let written = serde_json::json!({ "id": "new", "sql": "SELECT * FROM \"t\"" });
    let refused = gate.http().post("/api/v5/rules", &written).await.expect(409);
    assert!(refused.body.contains("other.sql"), "{refused}");
    gate.remove("other.sql");
    says(&gate, &client, "two").await;
}

#[tokio::test]
async fn two_files_of_one_id_leave_the_one_that_was_there() {
    let gate = gate().rule("r", &rule("one")).start().await;
    let client = started(&gate).await;
    fs::create_dir(gate.home().join("rules/plant")).unwrap();
    gate.write("plant/r.sql", &rule("two"));
    gate.process().wait_line("is declared twice").await;
    says(&gate, &client, "one").await;
    let rule = gate.http().get("/api/v5/rules/r").await.expect(200);
    assert!(rule.at("/error/file").as_str().is_some_and(|file| file.ends_with("plant/r.sql")), "{rule}");
    gate.remove("r.sql");
    says(&gate, &client, "two").await;
}

#[tokio::test]
async fn two_files_of_one_id_at_the_start_run_neither_and_are_told_of_everywhere() {
    let gate = gate().rule("r", &rule("one")).file("plant/r.sql", &rule("two")).start().await;
    gate.process().wait_line("No rule runs, of those in rules:").await;
    gate.process().wait_line("(does not run: it has an error)").await;
    let status = gate.http().get("/api/v5/status?format=json").await.expect(200);
    assert_eq!(status.at("/rules"), 0, "{status}");
    let rule = gate.http().get("/api/v5/rules/r").await.expect(200);
    assert_eq!(rule.at("/error/code"), "E405", "{rule}");
    assert_eq!(rule.at("/diagnostics").as_array().map(Vec::len), Some(2), "{rule}");
}

#[tokio::test]
async fn three_thousand_files_load_and_one_of_them_changes() {
    const FILES: usize = 3000;
    let home = (0..FILES).fold(gate(), |gate, n| {
        gate.rule(&format!("rule-{n}"), &format!("-- one of many\nSELECT payload.temp AS t, clientid FROM \"plant/{n}/+\" WHERE payload.temp > {n}"))
    });
    let begun = Instant::now();
    let gate = home.rule("r", &rule("one")).start().await;
    let status = gate.http().post("/api/v5/reload", &serde_json::Value::Null).await.expect(200);
    assert_eq!(status.at("/rules"), FILES + 1, "{status}");
    eprintln!("{FILES} files were read in {:?}", begun.elapsed());
    let client = started(&gate).await;
    let begun = Instant::now();
    gate.write("r.sql", &rule("two"));
    says(&gate, &client, "two").await;
    eprintln!("a change acted after {:?}", begun.elapsed());
    client.publish("plant/7/x", r#"{"temp": 8}"#, 1).await;
    gate.wait_metric("/rules/rule-7", "passed", 1).await;
}

#[tokio::test]
async fn an_environment_of_a_hundred_clients() {
    const CLIENTS: usize = 100;
    let gate = gate().rule("count", "SELECT * FROM \"c/#\"").start().await;
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        clients.push(Client::connect(gate.mqtt(), &format!("client-{n}")).await);
    }
    for (n, client) in clients.iter().enumerate() {
        client.subscribe(&format!("c/{n}"), 1).await;
    }
    for (n, client) in clients.iter().enumerate() {
        client.publish(&format!("c/{}", (n + 1) % CLIENTS), n.to_string(), 1).await;
    }
    for (n, client) in clients.iter().enumerate() {
        let expected = (n + CLIENTS - 1) % CLIENTS;
        assert_eq!(client.next("c/#").await.payload, expected.to_string().into_bytes());
    }
    wait_for("every message was judged", async || {
        let answer = gate.http().get("/api/v5/rules/count/metrics").await.expect(200);
        if answer.at("/metrics/matched") == CLIENTS { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}
