//! A file with a mistake: what ran goes on, and the mistake is told where people look.

use testkit::{Client, Sluicegate, wait_until};

use crate::gate;

fn rule(column: &str) -> String {
    format!(
        "--- actions = [{{ function = \"republish\", args = {{ topic = \"out\", payload = \"${{v}}\" }} }}]\n\
         SELECT\n  {column} AS v\nFROM \"in\""
    )
}

async fn error_is_gone(gate: &Sluicegate) {
    wait_until("the rule has no error", async || {
        gate.http().get("/api/v5/rules/heat").await.expect(200).json().get("error").is_none()
    })
    .await;
}

#[tokio::test]
async fn the_last_good_version_goes_on() {
    let gate = gate().rule("heat", &rule("1")).start().await;
    let client = Client::connect(gate.mqtt(), "c1").await;
    client.subscribe("out", 1).await;
    client.publish("in", "", 1).await;
    assert_eq!(client.next("out").await.payload, b"1");

    gate.write("heat.sql", &rule("no_such_function(2)"));
    // The log shows file, line, column and the place itself.
    gate.process().wait_line("heat.sql:3:3").await;
    gate.process().wait_line("no_such_function(2) AS v").await;
    gate.process().wait_line("^^^^").await;
    wait_until("the rule carries its error", async || {
        gate.http().get("/api/v5/rules/heat").await.expect(200).json().get("error").is_some()
    })
    .await;
    let answer = gate.http().get("/api/v5/rules/heat").await;
    assert_eq!((answer.at("/error/line"), answer.at("/error/column")), (3.into(), 3.into()), "{answer}");
    assert!(answer.at("/error/file").as_str().is_some_and(|file| file.ends_with("heat.sql")), "{answer}");
    assert!(
        answer.at("/error/message").as_str().is_some_and(|text| text.contains("no_such_function")),
        "{answer}"
    );
    gate.http().get("/readyz").await.expect(200);
    client.publish("in", "", 1).await;
    assert_eq!(client.next("out").await.payload, b"1");

    gate.write("heat.sql", &rule("3"));
    error_is_gone(&gate).await;
    client.publish("in", "", 1).await;
    assert_eq!(client.next("out").await.payload, b"3");
    // The counters are those of the rule, whatever its versions.
    gate.wait_metric("/rules/heat", "passed", 3).await;
}

#[tokio::test]
async fn at_a_start_it_is_left_out_and_the_others_run() {
    let gate = gate()
        .rule("heat", &rule("no_such_function(2)"))
        .rule("fine", "--- actions = [{ function = \"republish\", args = { topic = \"out\", payload = \"${.}\" } }]\nSELECT 1 AS one FROM \"in\"")
        .start()
        .await;
    gate.process().wait_line("heat.sql:3:3").await;
    let client = Client::connect(gate.mqtt(), "c1").await;
    client.subscribe("out", 1).await;
    client.publish("in", "", 1).await;
    assert_eq!(client.next("out").await.payload, br#"{"one":1}"#);
    gate.wait_metric("/rules/fine", "passed", 1).await;

    gate.write("heat.sql", &rule("2"));
    wait_until("the rule runs", async || gate.http().get("/api/v5/rules/heat").await.status == 200).await;
    error_is_gone(&gate).await;
    client.publish("in", "", 1).await;
    let mut payloads = [client.next("out").await.payload, client.next("out").await.payload];
    payloads.sort();
    assert_eq!(payloads, [b"2".to_vec(), br#"{"one":1}"#.to_vec()]);
}

#[tokio::test]
async fn a_rule_whose_file_goes_is_gone() {
    let gate = gate().rule("heat", &rule("1")).start().await;
    gate.http().get("/api/v5/rules/heat").await.expect(200);
    gate.remove("heat.sql");
    wait_until("the rule is gone", async || gate.http().get("/api/v5/rules/heat").await.status == 404).await;
}

#[tokio::test]
async fn a_rule_does_not_feed_itself() {
    let text = "--- actions = [{ function = \"republish\", args = { topic = \"echo/${n}\", payload = \"x\" } }]\n\
                SELECT 1 AS n FROM \"echo/#\"";
    let gate = gate().rule("echo", text).start().await;
    let client = Client::connect(gate.mqtt(), "c1").await;
    client.subscribe("echo/1", 1).await;
    client.publish("echo/0", "", 1).await;
    client.next("echo/1").await;
    client.nothing("echo/1").await;
    // It does judge what it republished, as the reference's would; that is where it ends.
    gate.wait_metric("/rules/echo", "passed", 2).await;
    gate.wait_metric("/rules/echo", "actions.success", 1).await;
    gate.wait_metric("/rules/echo", "actions.discarded", 1).await;
}
